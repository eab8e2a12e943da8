"""Stationary points of a dear surface, searched on a cheap one until both agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from known import DATA, REFERENCES
from pairs import PAIR, Repelling, Shifted, Spring, both, pair

from afir.geometry.naming import names
from afir.io.structures import read_structure
from afir.molecule import Molecule
from afir.multilevel.agreement import Difference
from afir.multilevel.verification import (
    characterise_by_reference,
    confirm_by_reference,
)
from afir.pes.driver import (
    Search,
    reference_gradients,
    solve,
)
from afir.pes.loading import load_surface
from afir.pes.surface import Checked, Evaluation
from afir.searches.hessian import hessian
from afir.searches.minimum import minimise
from afir.stationary import Candidate, Outcome
from afir.verification.minima import NotAMinimum


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


def test_what_is_no_minimum_of_the_reference_is_given_up() -> None:
    gradients: Counter[str] = Counter()
    surface = Checked(Shifted(), Repelling())
    with pytest.raises(NotAMinimum, match="the reference has no minimum nearby"):
        solve(characterise_by_reference(PAIR, pair(1.0)), surface, gradients=gradients)


@pytest.mark.parametrize(("stiffness", "rest"), [(0.1, 5.0), (0.1, 4.02)])
def test_fragments_that_the_reference_drives_apart_are_let_go(
    stiffness: float, rest: float
) -> None:
    """A minimum of the cheap surface that is a slope between fragments on the reference."""
    surface = Checked(Spring(stiffness=0.1, rest=3.5), Spring(stiffness=stiffness, rest=rest))
    gradients: Counter[str] = Counter()
    with pytest.raises(NotAMinimum, match="the fragments went apart"):
        solve(characterise_by_reference(PAIR, pair(3.5)), surface, gradients=gradients)
    assert reference_gradients(gradients) <= 3


@pytest.mark.parametrize("stiffness", [1e-3, 0.01, 0.04, 1.0])
def test_a_flat_minimum_of_the_reference_is_found(stiffness: float) -> None:
    """A small gradient is not enough where the surface is flat: the next step must be short.

    From either side, so near that the gradient is below its limit at once where it is flattest.
    """
    reference = Spring(stiffness=2.0 * stiffness, rest=3.5)
    lengths = []
    for rest in (3.3, 3.7):
        surface = Checked(Spring(stiffness=stiffness, rest=rest), reference)
        point = solve(characterise_by_reference(PAIR, pair(rest)), surface)
        lengths.append(float(np.linalg.norm(np.diff(point.positions, axis=0))))
    assert lengths == pytest.approx([3.5, 3.5], abs=0.075)


def test_a_known_minimum_is_recognised_before_anything_is_measured() -> None:
    case = REFERENCES["h2co"]
    surface = both(case.molecule)
    point = solve(characterise_by_reference(case.molecule, case.ends[0]), surface)
    gradients: Counter[str] = Counter()
    search = characterise_by_reference(case.molecule, case.ends[0], known=(point,))
    assert solve(search, surface, gradients=gradients) is point
    assert gradients["reference hessian"] == 0


@pytest.mark.parametrize("start", [1.5, 1.55])
def test_a_minimum_of_the_reference_alone_is_not_left_on_the_cheap_surface(start: float) -> None:
    """The end of a path may be no minimum of the cheap surface, whose own one lies elsewhere."""
    bonded = Molecule((53, 53))  # at all lengths in question
    surface = Checked(Spring(stiffness=3.0, rest=2.5, molecule=bonded), Shifted(molecule=bonded))
    point = solve(characterise_by_reference(bonded, pair(start)), surface)
    assert np.linalg.norm(np.diff(point.positions, axis=0)) == pytest.approx(1.5, abs=0.01)


def test_a_carbene_that_the_cheap_surface_lacks_stays_what_it_is() -> None:
    """A 1,2-shift has no barrier on GFN1-xTB, and leads to butadiene 320 kJ/mol below."""
    molecule, x = read_structure(DATA / "butenylidene.xyz")
    point = solve(characterise_by_reference(molecule, x), both(molecule))
    alone = solve(minimise(molecule, x), load_surface("gfn2", molecule))
    assert names(molecule, point.positions) == names(molecule, x) == ("CH2–CH–CH2–CH",)
    assert point.energy == pytest.approx(alone.energy, abs=1e-3)
