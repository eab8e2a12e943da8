"""What is found on a cheap surface and examined on a better one: the same, for fewer gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from known import REFERENCES

from afir.contract import check_surface
from afir.driver import (
    Level,
    Request,
    Search,
    reference_gradients,
    referred,
    solve,
    stage,
    unlearned,
)
from afir.errors import SurfaceError
from afir.molecule import Molecule, Positions
from afir.quadratic import agreeing
from afir.searches.agreement import Difference
from afir.searches.characterise import NotAMinimum, characterise
from afir.searches.confirm import confirm
from afir.searches.hessian import hessian, normal_modes
from afir.searches.reference import (
    _falls,
    _followed,
    characterise_by_reference,
    confirm_by_reference,
)
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.searches.softest import softest
from afir.searches.trust import DoubtError, doubting, trusting
from afir.stationary import Candidate, Confirmation, Outcome, StationaryPoint
from afir.surface import Checked, Evaluation, Surface, load_surface
from afir.surfaces.analytic import double_well
from afir.units import KJ_PER_MOL

PAIR, FOUR = Molecule((1, 1)), Molecule((1, 1, 1, 1))


def both(molecule: Molecule) -> Checked:
    """GFN1-xTB to search on, GFN2-xTB to examine with."""
    return Checked(load_surface("gfn1", molecule), load_surface("gfn2", molecule))


def pair(r: float) -> Positions:
    return np.array([[0.0, 0.0, 0.0], [0.0, 0.0, r]])


@dataclass(frozen=True)
class Shifted:
    """The double well, a number of eV higher, that says how far it is to be trusted."""

    height: float = 0.0
    slope: float = 0.0
    spread: float = 0.0
    limit: float = 1.0
    base: Surface | None = None
    molecule: Molecule = PAIR

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        true = double_well(PAIR).evaluate(positions)
        return Evaluation(
            true.energies + self.height,
            true.gradients + self.slope,
            {},
            np.full(len(positions), self.spread),
            self.limit,
        )

    def for_paths(self) -> Surface:
        return self


def asking(*lengths: float) -> Search[list[float]]:
    """Asks for one length after the other."""
    energies = []
    for r in lengths:
        evaluation = yield pair(r)[None]
        energies.append(float(evaluation.energies[0]))
    return energies


def test_each_surface_answers_what_it_is_asked() -> None:
    surface = Checked(Shifted(1.0, base=Shifted(2.0)), Shifted(3.0))
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


def test_a_search_is_trusted_below_the_limit() -> None:
    surface = Checked(Shifted(slope=9.0, spread=0.9), Shifted())
    gradients: Counter[str] = Counter()
    solve(trusting(asking(1.0, 1.1)), surface, gradients=gradients)
    assert reference_gradients(gradients) == 0


def test_a_false_alarm_is_heard_once() -> None:
    surface = Checked(Shifted(slope=0.1, spread=1.1), Shifted())
    gradients: Counter[str] = Counter()
    solve(trusting(asking(1.0, 1.1, 1.2)), surface, gradients=gradients)
    assert gradients["reference label"] == 1


def test_a_surface_that_errs_as_feared_ends_the_search() -> None:
    surface = Checked(Shifted(slope=1.0, spread=1.1), Shifted())
    with pytest.raises(DoubtError, match=r"errs by 1\.7 eV/Å on an atom"):
        solve(trusting(asking(1.0, 1.1)), surface)


def test_an_error_that_does_not_matter_is_tolerated() -> None:
    surface = Checked(Shifted(slope=1.0, spread=1.1), Shifted())
    gradients: Counter[str] = Counter()
    solve(trusting(asking(1.0, 1.1), tolerated=2.0), surface, gradients=gradients)
    assert reference_gradients(gradients) == 0
    with pytest.raises(DoubtError, match=r"where 1\.1 eV/Å are tolerated"):
        solve(trusting(asking(1.0, 1.1), tolerated=1.08), surface)


def test_failures_pass_through_to_a_trusting_search() -> None:
    def search() -> Search[str]:
        try:
            yield pair(0.0)[None]
        except SurfaceError as error:
            return str(error)
        return "no failure"

    assert solve(trusting(search()), Failing(at=1)) == "no SCF"


def test_a_matrix_agrees_with_what_was_measured() -> None:
    rng = np.random.default_rng(3)
    true, estimate = (m + m.T for m in rng.normal(size=(2, 8, 8)))
    directions = np.linalg.qr(rng.normal(size=(8, 3)))[0]
    better = agreeing(estimate, directions, true @ directions)
    assert np.allclose(better, better.T)
    assert np.allclose(better @ directions, true @ directions)
    # What lies wholly outside stays as it was.
    left = np.eye(8) - directions @ directions.T
    assert np.allclose(left @ better @ left, left @ estimate @ left)


@pytest.mark.parametrize("name", ["h2co", "vinyl_alcohol"])
def test_the_softest_modes_are_those_of_the_exact_hessian(name: str) -> None:
    """With the Hessian of GFN1-xTB to begin with, from few gradients of GFN2-xTB."""
    case = REFERENCES[name]
    surface = load_surface("gfn2", case.molecule)
    exact = solve(hessian(case.molecule, case.saddle), surface)
    cheap = solve(hessian(case.molecule, case.saddle), load_surface("gfn1", case.molecule))
    gradients: Counter[str] = Counter()
    search = softest(
        case.molecule,
        case.saddle,
        exact.energy,
        np.zeros_like(case.saddle),
        cheap.hessian,
    )
    found = solve(stage("softest", search), surface, gradients=gradients)
    assert found.order == exact.order == 1
    assert found.wavenumbers[:2] == pytest.approx(exact.wavenumbers[:2], rel=0.03, abs=3.0)
    assert abs(cheap.wavenumbers[0] - exact.wavenumbers[0]) > 10.0
    assert gradients["softest"] <= 8


@dataclass(frozen=True)
class Dimer:
    """Two stiff molecules of two atoms that hardly hold together: bonds, and Lennard-Jones."""

    depth: float = 4e-4
    molecule: Molecule = FOUR

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        energies, gradients = np.zeros(len(positions)), np.zeros(positions.shape)
        for i, j in ((0, 1), (2, 3), (0, 2), (0, 3), (1, 2), (1, 3)):
            arm = positions[:, i] - positions[:, j]
            r = np.linalg.norm(arm, axis=1)
            if j == i + 1 and i != 1:
                energy, slope = 18.0 * (r - 0.74) ** 2, 36.0 * (r - 0.74)
            else:
                six = (3.0 / r) ** 6
                energy = 4.0 * self.depth * (six**2 - six)
                slope = 4.0 * self.depth * (6.0 * six - 12.0 * six**2) / r
            pull = (slope / r)[:, None] * arm
            energies += energy
            gradients[:, i] += pull
            gradients[:, j] -= pull
        return Evaluation(energies, gradients)

    def for_paths(self) -> Surface:
        return self


def test_a_loose_molecule_is_turned_not_stretched() -> None:
    """Straight displacements stretch the bond of what they turn: soft modes would look stiff."""
    surface, stiffer = Dimer(), Dimer(depth=8e-4)
    start = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.74], [3.3, 0.1, 0.4], [3.3, 0.84, 0.4]])
    exact = solve(characterise(surface.molecule, start), surface)
    shifts = 1e-5 * np.eye(12).reshape(12, 4, 3)
    changes = [surface.evaluate(exact.positions + s * shifts).gradients for s in (1, -1)]
    columns = (changes[0] - changes[1]).reshape(12, 12) / 2e-5
    true = normal_modes(surface.molecule, exact.positions, 0.0, 0.0, 0.5 * (columns + columns.T))
    assert true.wavenumbers[0] < 10.0
    assert exact.wavenumbers[:2] == pytest.approx(true.wavenumbers[:2], abs=1.0)
    estimate = solve(hessian(surface.molecule, exact.positions), stiffer).hessian
    search = softest(surface.molecule, exact.positions, exact.energy, np.zeros((4, 3)), estimate)
    found = solve(search, surface)
    assert found.wavenumbers[:2] == pytest.approx(true.wavenumbers[:2], abs=1.0)


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


def test_what_climbs_above_the_ceiling_is_let_go() -> None:
    """From the side of a transition state the energy rises to it: two gradients tell enough."""
    case = REFERENCES["h2co"]
    molecule, surface = case.molecule, both(case.molecule)
    top = solve(hessian(molecule, case.saddle), load_surface("gfn2", molecule))
    aside = top.positions + 0.1 * top.mode
    asked = []
    for ceiling in (top.energy - 1.0, top.energy + 1.0):
        gradients: Counter[str] = Counter()
        search = confirm_by_reference(
            molecule, Candidate(aside, 0.0, top.hessian, ""), ceiling=ceiling
        )
        asked.append(
            (solve(search, surface, gradients=gradients).outcome, reference_gradients(gradients))
        )
    assert asked[0] == (Outcome.OUTSIDE_WINDOW, 2)
    assert asked[1][0] is Outcome.CONFIRMED


def test_what_is_known_is_not_proven_again() -> None:
    """From 0.1 Å beside a known transition state, or minimum, the search ends when it comes near.

    Like atoms may have changed places. Another one is no reason to end.
    """
    case = REFERENCES["h2co"]
    molecule, surface = case.molecule, both(case.molecule)
    known = solve(hessian(molecule, case.saddle), load_surface("gfn2", molecule))
    rng = np.random.default_rng(4)
    aside = case.saddle + 0.05 * rng.normal(size=case.saddle.shape)
    like = [i for i, z in enumerate(molecule.numbers) if z == 1]
    order = list(range(molecule.n_atoms))
    order[like[0]], order[like[1]] = like[1], like[0]
    swapped = replace(known, positions=known.positions[order])
    candidate = Candidate(aside, 0.0, known.hessian, "test")
    asked: list[int] = []
    for point, outcome in (
        (swapped, Outcome.CONVERGED),
        # Neither what lies elsewhere nor what lies there but 20 meV off is the same.
        (replace(known, energy=known.energy + 0.2), Outcome.CONFIRMED),
        (replace(known, energy=known.energy + 0.02), Outcome.CONFIRMED),
    ):
        gradients: Counter[str] = Counter()
        search = confirm_by_reference(molecule, candidate, known=(point,))
        found = solve(search, surface, gradients=gradients)
        assert found.outcome is outcome
        assert (found.point is point) == (outcome is Outcome.CONVERGED)
        asked.append(reference_gradients(gradients))
    assert asked[0] <= 4 < min(asked[1:])


def test_a_difference_is_followed_more_closely_when_it_matters() -> None:
    """Noise that helps far from a stationary point must not hide a small gradient near one."""
    case = REFERENCES["h2co"]
    cheap, truth = (load_surface(name, case.molecule) for name in ("gfn1", "gfn2"))
    rng = np.random.default_rng(5)
    x = case.saddle + 0.2 * rng.normal(size=(8, *case.saddle.shape))
    difference = Difference()
    for k in range(8):
        there = x[k : k + 1]
        difference.learn(there, cheap.evaluate(there), truth.evaluate(there))
    below, wanted = cheap.evaluate(x), truth.evaluate(x)

    def error() -> float:
        def ask() -> Search[Evaluation]:
            said = yield x
            return said

        said = solve(difference.added(ask()), Checked(cheap, truth))
        return float(np.abs(said.gradients - wanted.gradients).max())

    limit = 0.002  # eV/Å: of the gradient at a transition state
    assert limit < error() < 0.1 * np.abs(below.gradients - wanted.gradients).max()
    difference.sharpen(limit)
    assert error() < 0.1 * limit
    # It gets no blunter again.
    difference.sharpen(1.0)
    assert error() < 0.1 * limit


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


@dataclass(frozen=True)
class Linear(Shifted):
    """Two atoms pulled together or apart: E = s·r."""

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        arm = positions[:, 1] - positions[:, 0]
        r = np.linalg.norm(arm, axis=1)
        pull = (self.slope / r)[:, None] * arm
        return Evaluation(self.slope * r, np.stack([-pull, pull], axis=1))


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


@dataclass(frozen=True)
class Repelling(Shifted):
    """Two atoms that only repel each other: E = 5 eV Å / r."""

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        arm = positions[:, 1] - positions[:, 0]
        r = np.linalg.norm(arm, axis=1)
        pull = (5.0 / r**3)[:, None] * arm
        return Evaluation(5.0 / r, np.stack([pull, -pull], axis=1))


def test_what_is_no_minimum_of_the_reference_is_given_up() -> None:
    gradients: Counter[str] = Counter()
    surface = Checked(Shifted(), Repelling())
    with pytest.raises(NotAMinimum, match="the reference has no minimum nearby"):
        solve(characterise_by_reference(PAIR, pair(1.0)), surface, gradients=gradients)


def test_fragments_that_the_reference_drives_apart_are_let_go() -> None:
    """A minimum of the cheap surface that is a slope between fragments on the reference."""
    cheap, gone = Spring(stiffness=0.1, rest=3.5), Spring(stiffness=0.1, rest=5.0)
    gradients: Counter[str] = Counter()
    with pytest.raises(NotAMinimum, match="the fragments went apart"):
        solve(characterise_by_reference(PAIR, pair(3.5)), Checked(cheap, gone), gradients=gradients)
    assert reference_gradients(gradients) == 2


@dataclass(frozen=True)
class Spring(Shifted):
    """Two atoms on a spring: E = k/2 (r − r0)², in eV and Å."""

    stiffness: float = 1.0
    rest: float = 1.0

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        arm = positions[:, 1] - positions[:, 0]
        r = np.linalg.norm(arm, axis=1)
        pull = (self.stiffness * (r - self.rest) / r)[:, None] * arm
        return Evaluation(0.5 * self.stiffness * (r - self.rest) ** 2, np.stack([-pull, pull], 1))


@pytest.mark.parametrize("stiffness", [0.01, 0.04, 1.0])
def test_a_flat_minimum_of_the_reference_is_found(stiffness: float) -> None:
    """A small gradient is not enough where the surface is flat: the next step must be short."""
    surface = Checked(Spring(stiffness=stiffness), Spring(stiffness=2.0 * stiffness, rest=1.2))
    point = solve(characterise_by_reference(PAIR, pair(1.0)), surface)
    assert np.linalg.norm(np.diff(point.positions, axis=0)) == pytest.approx(1.2, abs=0.06)


def test_a_known_minimum_is_recognised_before_anything_is_measured() -> None:
    case = REFERENCES["h2co"]
    surface = both(case.molecule)
    point = solve(characterise_by_reference(case.molecule, case.ends[0]), surface)
    gradients: Counter[str] = Counter()
    search = characterise_by_reference(case.molecule, case.ends[0], known=(point,))
    assert solve(search, surface, gradients=gradients) is point
    assert gradients["reference hessian"] == 0


@dataclass(frozen=True)
class Failing(Shifted):
    """A surface that fails at one of its calls."""

    true: Surface = field(default_factory=Shifted)
    at: int = 0
    calls: list[int] = field(default_factory=list)

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        self.calls.append(len(positions))
        said = self.true.evaluate(positions, owners)
        if len(self.calls) != self.at:
            return said
        return Evaluation(said.energies, said.gradients, {0: SurfaceError("no SCF")})


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


def test_no_search_stays_on_a_steep_slope_of_the_reference() -> None:
    """It must get off it; what is not refined, and what the searched surface says, does not count.

    The double well is steep at 0.8 Å, less so at 1.0 Å, and flatter at 1.4 Å.
    """
    surface = double_well(PAIR)
    x = np.array([pair(r) for r in (0.8, 1.0, 1.4)])
    slopes = np.abs(surface.evaluate(x).gradients).max(axis=(1, 2))
    assert 0.7 * slopes[0] > slopes[1] > slopes[2]
    limit = 0.9 * float(slopes[1])

    def search(*lengths: float) -> Search[int]:
        yield from stage("own", asking(0.8, 0.8))
        yield from referred(stage("irc", asking(0.8, 0.8)))
        yield from referred(stage("refine", asking(*lengths)))
        return 3

    for lengths in ((1.4, 1.4), (1.4, 1.4, 1.4)):
        assert solve(doubting(search(*lengths), limit), surface) == 3
    with pytest.raises(DoubtError, match=r"the reference has a slope of \d+\.\d eV/Å"):
        solve(doubting(search(0.8, 0.8, 1.4), limit), surface)
    # What goes too far in its first step is not on a slope itself.
    assert solve(doubting(search(1.4, 0.8, 1.4), limit), surface) == 3
    # Down in two steps; a saddle point is not found that way.
    assert solve(doubting(search(0.8, 1.0, 1.4), limit), surface) == 3
    with pytest.raises(DoubtError):
        solve(doubting(search(0.8, 1.0, 1.4), limit, at_once=True), surface)
    assert solve(doubting(search(1.4, 0.8, 1.4), limit, at_once=True), surface) == 3
