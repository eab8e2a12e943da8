"""What is found on a cheap surface and examined on a better one: the same, for fewer gradients."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from known import REFERENCES
from pairs import PAIR, Failing, Linear, Shifted, asking, both, pair

from afir.molecule import Molecule
from afir.multilevel import verification as reference
from afir.multilevel.agreement import Difference
from afir.multilevel.verification import (
    _falls,
    _followed,
    characterise_by_reference,
    confirm_by_reference,
)
from afir.pes.contract import check_surface
from afir.pes.driver import (
    Level,
    Request,
    Search,
    reference_gradients,
    referred,
    solve,
    stage,
    unlearned,
)
from afir.pes.loading import load_surface
from afir.pes.surface import Checked, Traits
from afir.searches.hessian import hessian
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, Confirmation, Outcome, StationaryPoint
from afir.surfaces.analytic import double_well
from afir.units import KJ_PER_MOL
from afir.verification.minima import characterise
from afir.verification.transition_states import confirm


def test_each_surface_answers_what_it_is_asked() -> None:
    surface = Checked(Shifted(1.0, traits=Traits(base=Shifted(2.0))), Shifted(3.0))
    zero = float(double_well(PAIR).evaluate(pair(1.0)[None]).energies[0])
    gradients: Counter[str] = Counter()

    def search() -> Search[list[float]]:
        own = yield from stage("a", asking(1.0))
        below = yield from unlearned(stage("b", asking(1.0, 1.0)))
        better = yield from referred(stage("c", asking(1.0, 1.0, 1.0)))
        unnamed = yield from referred(asking(1.0))
        return [*own, *below, *better, *unnamed]

    said = solve(search(), surface, gradients=gradients)
    assert said == pytest.approx([zero + k for k in (1, 2, 2, 3, 3, 3, 3)])
    assert gradients == {"a": 1, "b": 2, "reference c": 3, "reference other": 1}
    assert reference_gradients(gradients) == 4
    # Without a second surface there is only one to answer.
    assert solve(referred(asking(1.0)), Shifted(1.0)) == pytest.approx([zero + 1.0])
    assert solve(unlearned(asking(1.0)), Shifted(1.0)) == pytest.approx([zero + 1.0])


def test_a_surface_with_a_reference_keeps_the_contract() -> None:
    case = REFERENCES["hcn"]
    check_surface(both(case.molecule), case.saddle[None], rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", ["hcn", "h2co", "vinyl_alcohol"])
def test_minima_and_transition_states_are_those_of_the_reference(name: str) -> None:
    case = REFERENCES[name]
    molecule, surface = case.molecule, both(case.molecule)
    direct = load_surface("gfn2", molecule)
    cheap = solve(saddle(molecule, case.saddle), surface)
    assert cheap.outcome is Outcome.CONVERGED
    gradients: Counter[str] = Counter()
    candidate = Candidate(cheap.positions, cheap.energy, cheap.hessian, "test")
    found = solve(confirm_by_reference(molecule, candidate), surface, gradients=gradients)
    assert found.outcome is Outcome.CONFIRMED
    assert found.point.order == 1
    assert found.checked_at >= 6
    exact = solve(
        confirm(molecule, Candidate(case.saddle, 0.0, cheap.hessian, "test")), direct
    ).point
    assert found.point.energy == pytest.approx(exact.energy, abs=1e-4)
    assert found.point.wavenumbers[0] == pytest.approx(exact.wavenumbers[0], rel=0.03)
    # Another surface has another transition state.
    assert abs(cheap.energy - exact.energy) > 0.01
    whole = sum(gradients.values())
    assert reference_gradients(gradients) < 30 < whole
    for end in found.ends:
        if end.outcome is not Outcome.CONVERGED:
            continue
        asked: Counter[str] = Counter()
        search = characterise_by_reference(molecule, end.positions, hessian=end.hessian)
        point = solve(search, surface, gradients=asked)
        again = solve(characterise(molecule, point.positions), direct)
        assert point.order == 0
        assert point.energy == pytest.approx(again.energy, abs=1e-4)
        assert reference_gradients(asked) < 15


@pytest.mark.parametrize(
    ("above", "outcome"),
    [
        (-0.5, Outcome.OUTSIDE_WINDOW),
        (-0.05, Outcome.OUTSIDE_WINDOW),
        (0.05, Outcome.CONFIRMED),
    ],
)
def test_no_path_is_followed_from_above_the_ceiling(above: float, outcome: Outcome) -> None:
    case = REFERENCES["hcn"]
    molecule, surface = case.molecule, both(case.molecule)
    cheap = solve(saddle(molecule, case.saddle), surface)
    candidate = Candidate(cheap.positions, cheap.energy, cheap.hessian, "test")
    true = float(load_surface("gfn2", molecule).evaluate(case.saddle[None]).energies[0])
    gradients: Counter[str] = Counter()
    search = confirm_by_reference(molecule, candidate, ceiling=true + above)
    found = solve(search, surface, gradients=gradients)
    assert found.outcome is outcome
    assert found.point.energy == pytest.approx(true, abs=1e-3)
    assert (gradients["irc"] > 0) == (outcome is Outcome.CONFIRMED)
    # Far above it the order does not matter.
    assert (gradients["reference hessian"] > 0) == (above > -0.3)


@pytest.mark.parametrize(("falls", "proven"), [(False, True), (True, False)])
def test_without_a_path_that_falls_nothing_is_confirmed(
    falls: bool, proven: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four paths are followed, each with what was said on those before; none is handed on."""
    case = REFERENCES["hcn"]
    molecule, surface = case.molecule, both(case.molecule)
    known = solve(hessian(molecule, case.saddle), load_surface("gfn1", molecule))

    def looked_at(
        found: Confirmation, difference: Difference, *, again: bool
    ) -> Search[tuple[bool, int]]:
        _, asked = yield from _falls(found, difference, again=again)
        return falls, max(asked, 1)

    def followed(
        molecule: Molecule, point: StationaryPoint, difference: Difference, limits: StepSettings
    ) -> Search[Confirmation]:
        path = yield from _followed(molecule, point, difference, limits)
        return path if proven else replace(path, outcome=Outcome.IRC_FAILED)

    monkeypatch.setattr(reference, "_falls", looked_at)
    monkeypatch.setattr(reference, "_followed", followed)
    search = confirm_by_reference(molecule, Candidate(case.saddle, 0.0, known.hessian, ""))
    gradients: Counter[str] = Counter()
    found = solve(search, surface, gradients=gradients)
    assert found.outcome is Outcome.IRC_FAILED
    assert (found.ends, found.irc_positions.shape, found.irc_energies.shape) == (
        (),
        (0, 3, 3),
        (0,),
    )
    assert found.checked_at > 6
    assert gradients["reference irc"] <= 24


def test_a_path_is_asked_again_only_where_it_went_elsewhere() -> None:
    case = REFERENCES["h2co"]
    molecule, surface = case.molecule, both(case.molecule)
    cheap = solve(saddle(molecule, case.saddle), surface)
    candidate = Candidate(cheap.positions, cheap.energy, cheap.hessian, "test")
    gradients: Counter[str] = Counter()
    found = solve(confirm_by_reference(molecule, candidate), surface, gradients=gradients)
    assert found.outcome is Outcome.CONFIRMED
    assert 6 <= found.checked_at < 12
    assert reference_gradients(gradients) <= 18


def test_what_is_learned_on_a_path_does_not_vouch_for_its_energies() -> None:
    """The energies of the path fall, those of the reference rise, and little was known of it."""
    cheap, reference = Linear(slope=-2.0), Linear(slope=2.0)
    difference = Difference()
    far = pair(3.0)[None]
    difference.learn(far, cheap.evaluate(far), reference.evaluate(far))
    lengths = (1.03, 1.02, 1.01, 1.0, 1.01, 1.02, 1.03)
    path = np.array([pair(r) for r in lengths])
    energies = np.array([1.7, 1.8, 1.9, 57.0, 1.9, 1.8, 1.7])
    nothing = np.empty(0)
    point = StationaryPoint(path[3], 7.0, 0.0, np.eye(6), nothing, nothing, 1)
    found = Confirmation(Outcome.CONFIRMED, point, (), True, path, energies)
    falls, asked = solve(_falls(found, difference, again=True), Checked(cheap, reference))
    assert not falls
    assert asked == 6


def test_a_path_begins_at_the_energy_of_the_surface_it_is_followed_on() -> None:
    """What is learned of the saddle point errs by 50 meV; the path falls all the same."""
    case = REFERENCES["h2co"]
    molecule = case.molecule
    cheap, truth = (load_surface(name, molecule) for name in ("gfn1", "gfn2"))
    point = solve(hessian(molecule, case.saddle), truth)
    there = point.positions[None]
    difference = Difference()
    said = truth.evaluate(there)
    for error in (0.0, 0.1):
        wrong = replace(said, energies=said.energies + error)
        difference.learn(there, cheap.evaluate(there), wrong)
    surface = Checked(cheap, truth)
    assert solve(difference.energy(point.positions), surface) == pytest.approx(
        point.energy + 0.05, abs=0.01
    )
    path = solve(_followed(molecule, point, difference, StepSettings()), surface)
    assert path.monotone
    assert path.irc_energies.max() == pytest.approx(point.energy, abs=1e-9)


@pytest.mark.parametrize("at", [2, 4, 6, 8, 10, 12])
def test_one_failure_of_the_reference_costs_no_proof(at: int) -> None:
    case = REFERENCES["h2co"]
    molecule = case.molecule
    gfn1, gfn2 = load_surface("gfn1", molecule), load_surface("gfn2", molecule)
    cheap = solve(saddle(molecule, case.saddle), gfn1)
    candidate = Candidate(cheap.positions, cheap.energy, cheap.hessian, "test")
    failing = Failing(molecule=molecule, true=gfn2, at=at)
    found = solve(confirm_by_reference(molecule, candidate), Checked(gfn1, failing))
    assert found.outcome is Outcome.CONFIRMED
    assert len(failing.calls) > at


def test_requests_keep_their_owner_and_stage() -> None:
    search = referred(stage("irc", asking(1.0)))
    asked = next(search)
    assert isinstance(asked, Request)
    assert (asked.stage, asked.level) == ("reference irc", Level.REFERENCE)


def test_energies_are_those_of_the_reference() -> None:
    """H2CO: the barrier to H2 + CO differs by 20 kJ/mol between the two surfaces."""
    case = REFERENCES["h2co"]
    surface = both(case.molecule)
    start = solve(characterise_by_reference(case.molecule, case.ends[0]), surface)
    direct = solve(characterise(case.molecule, case.ends[0]), load_surface("gfn2", case.molecule))
    assert (start.energy - direct.energy) / KJ_PER_MOL == pytest.approx(0.0, abs=0.01)
