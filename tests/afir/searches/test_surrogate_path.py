"""Paths on a Gaussian process: the same transition states for fewer gradients."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from known import BENT, Unreliable, gfn2, mapped
from scipy.spatial.transform import Rotation

from afir.errors import InputError, SurfaceError
from afir.geometry.superposition import rmsd, superpose
from afir.methods.artificial_force import ForceTerm
from afir.methods.sc_afir import try_push
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import traits_of
from afir.searches.minimum import PathPoint
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.searches.surrogate_path import relax_on_surrogate
from afir.surfaces.analytic import MUELLER_BROWN_BENT_POINTS, mueller_brown_bent
from afir.units import HARTREE
from afir.verification.minima import characterise

POINTS = {point.label: point for point in MUELLER_BROWN_BENT_POINTS}
WIDE = StepSettings(dissociation=50.0)


def bent_path(surface, bulge):
    """From A to B of the Müller–Brown surface, beside the valley."""
    a = POINTS["A"].positions
    b = superpose(a, POINTS["B"].positions)
    t = np.linspace(0.0, 1.0, 21)[:, None, None]
    aside = np.zeros_like(a)
    aside[0, 0] = aside[2, 1] = bulge
    path = (1 - t) * a + t * b + 4.0 * t * (1 - t) * aside
    told = surface.evaluate(path)
    return [
        PathPoint(x, float(e), g)
        for x, e, g in zip(path, told.energies, told.gradients, strict=True)
    ]


@pytest.mark.parametrize("bulge", [-0.15, 0.0, 0.15])
def test_the_peaks_are_the_saddle_points_of_mueller_and_brown(bulge):
    surface = mueller_brown_bent(BENT)
    raw = bent_path(surface, bulge)
    spent: Counter[str] = Counter()
    images: list[PathPoint] = []
    found = solve(relax_on_surrogate(BENT, raw, WIDE, trace=images), surface, gradients=spent)
    assert spent.total() <= WIDE.path_gradients
    reached = set()
    for top in found:
        climbed = solve(
            saddle(BENT, top.positions, WIDE, direction=top.tangent, hessian=top.hessian), surface
        )
        reached |= {
            label for label, point in POINTS.items() if abs(climbed.energy - point.energy) < 1e-4
        }
    assert reached == {"A-C", "C-B"}
    # The path that is handed out has the same ends, and nothing on it is higher than the peaks.
    for end in (0, -1):
        assert images[end].energy == pytest.approx(raw[end].energy, abs=0.05)
    assert max(image.energy for image in images) < max(top.energy for top in found) + 0.02


def tried(molecule, start, term, surrogate):
    spent: Counter[str] = Counter()
    search = try_push(
        molecule, start, (term,), StepSettings(surrogate=surrogate), rng=np.random.default_rng(0)
    )
    return solve(search, gfn2(molecule), gradients=spent), spent


@pytest.mark.parametrize(
    ("formula", "term", "relative"),
    [
        ("HCN", ForceTerm((0,), (2,), 1), 306.38),
        ("H2CO", ForceTerm((0,), (3,), 1), 384.81),
        ("C2H2", ForceTerm((0, 2), (3,), 1), 252.2),
    ],
    ids=["HCN-HNC", "H2CO-HCOH", "C2H2-CCH2"],
)
def test_the_same_transition_state_for_fewer_gradients(formula, term, relative):
    molecule, x, _ = mapped(formula, "EQ", 0.0)
    start = solve(characterise(molecule, x), gfn2(molecule))
    _, _, energy = mapped(formula, "TS", relative)
    plain, before = tried(molecule, start, term, False)
    learnt, after = tried(molecule, start, term, True)
    one, other = (
        min(result.candidates, key=lambda found: abs(found.energy - energy))
        for result in (plain, learnt)
    )
    assert one.energy == pytest.approx(energy, abs=1e-6 * HARTREE)
    assert other.energy == pytest.approx(energy, abs=1e-6 * HARTREE)
    mirrored = other.positions * np.array([1.0, 1.0, -1.0])
    assert min(rmsd(one.positions, other.positions), rmsd(one.positions, mirrored)) < 0.01
    assert after["push"] == before["push"]
    assert after["path"] < before["path"]
    assert after["path"] + after["saddle"] < 0.7 * (before["path"] + before["saddle"])


def test_the_same_push_gives_the_same_candidates_again():
    molecule, x, _ = mapped("HCN", "EQ", 0.0)
    start = solve(characterise(molecule, x), gfn2(molecule))
    term = ForceTerm((0,), (2,), 1)
    (one, spent), (other, again) = (tried(molecule, start, term, True) for _ in range(2))
    assert spent == again
    for first, second in zip(one.candidates, other.candidates, strict=True):
        np.testing.assert_array_equal(first.positions, second.positions)
        np.testing.assert_array_equal(first.hessian, second.hessian)


def test_points_that_lie_turned_leave_the_same_peaks():
    surface = mueller_brown_bent(BENT)
    raw = bent_path(surface, 0.1)
    rng = np.random.default_rng(0)
    turned = [raw[0]]
    for point in raw[1:]:
        turn = Rotation.random(random_state=rng).as_matrix()
        place = point.positions @ turn + rng.normal(size=3)
        turned.append(PathPoint(place, point.energy, point.gradient @ turn))
    first = solve(relax_on_surrogate(BENT, raw, WIDE), surface)
    second = solve(relax_on_surrogate(BENT, turned, WIDE), surface)
    assert [top.energy for top in second] == pytest.approx([top.energy for top in first], abs=1e-3)


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_gradients_are_spent_than_allowed(most):
    surface = mueller_brown_bent(BENT)
    spent: Counter[str] = Counter()
    few = StepSettings(dissociation=50.0, path_gradients=most)
    found = solve(relax_on_surrogate(BENT, bent_path(surface, 0.15), few), surface, gradients=spent)
    assert found
    assert spent.total() == most


def test_a_surface_that_fails_on_the_path_raises():
    surface = mueller_brown_bent(BENT)
    raw = bent_path(surface, 0.15)
    with pytest.raises(SurfaceError):
        solve(relax_on_surrogate(BENT, raw, WIDE), Unreliable(surface, (2,)))


# Who decides


def test_a_surface_says_whether_it_is_expensive():
    pair = Molecule((18, 18))
    calculator = "ase:ase.calculators.lj.LennardJones"
    cheap = load_surface(calculator, pair)
    dear = load_surface(calculator, pair, expensive=True)
    assert (traits_of(cheap).expensive, traits_of(dear).expensive) == (False, True)
    assert not traits_of(gfn2(pair)).expensive
    with pytest.raises(InputError, match="`expensive` must be true or false"):
        load_surface(calculator, pair, expensive="yes")
    assert StepSettings().suited(dear).surrogate is True
    assert StepSettings().suited(cheap).surrogate is False
    assert StepSettings(surrogate=False).suited(dear).surrogate is False
    assert StepSettings(surrogate=True).suited(cheap).surrogate is True


def test_the_choice_must_be_one():
    with pytest.raises(InputError, match="`surrogate` must be true or false"):
        StepSettings(surrogate=1)
