"""Pushes: where a force leads, what they report, and how they end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ase.build import molecule as build
from known import Unreliable, gfn2, mapped

from afir.errors import InputError, SurfaceError
from afir.geometry.bonds import components, distances, gap
from afir.hessians.model import model_hessian
from afir.methods.afir_path import push
from afir.methods.artificial_force import ArtificialForce, ForceTerm
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.searches.settings import StepSettings
from afir.stationary import Outcome
from afir.units import KJ_PER_MOL

WATERS = Molecule((8, 1, 1, 8, 1, 1))
ONE = build("H2O").positions
TWO = np.concatenate([ONE, ONE + np.array([0.4, 0.3, 4.0])])
NEAR = ForceTerm((0, 1, 2), (3, 4, 5), 1)


def pushed(molecule, x, terms, seed=0, surface=None, **limits):
    search = push(
        molecule,
        x,
        terms,
        StepSettings(**limits),
        hessian=model_hessian(molecule, x),
        rng=np.random.default_rng(seed),
    )
    return solve(search, surface or gfn2(molecule))


def test_two_waters_are_pushed_together():
    path = pushed(WATERS, TWO, [NEAR], gamma=100.0, dissociation=10.0)
    assert gap(WATERS, path.end.positions) < gap(WATERS, TWO) - 1.0
    assert len(components(WATERS, path.end.positions)) == 2
    assert not path.rebonded


def test_two_waters_are_pulled_apart():
    close = np.concatenate([ONE, ONE + np.array([0.0, 0.3, 3.0])])
    apart = ForceTerm((0, 1, 2), (3, 4, 5), -1)
    path = pushed(WATERS, close, [apart], gamma=100.0)
    assert path.end.outcome is Outcome.DISSOCIATED
    assert gap(WATERS, path.end.positions) > 4.0


def test_hydrogen_of_hcn_is_pushed_over_to_nitrogen():
    molecule, x, _ = mapped("HCN", "EQ", 0.0)
    path = pushed(molecule, x, [ForceTerm((0,), (2,), 1)], gamma=1000.0)
    assert path.rebonded
    r = distances(path.end.positions)
    assert r[0, 2] < r[0, 1]
    assert path.gamma in (500.0, 1000.0)


def test_a_straight_molecule_is_bent_by_chance_alone():
    molecule, x, _ = mapped("HCN", "EQ", 0.0)
    axis = x[2] - x[1]
    axis = axis / np.linalg.norm(axis)
    line = x[1] + np.outer([-1.07, 0.0, 1.14], axis)
    path = pushed(molecule, line, [ForceTerm((0,), (2,), 1)], gamma=1000.0)
    assert path.rebonded


def test_the_ladder_is_climbed_only_as_far_as_needed():
    molecule, x, _ = mapped("HCN", "EQ", 0.0)
    term = [ForceTerm((0,), (2,), 1)]
    strong = pushed(molecule, x, term, gamma=2000.0, ladder=(0.5, 1.0))
    weak = pushed(molecule, x, term, gamma=10.0, ladder=(0.5, 1.0))
    assert strong.gamma == 1000.0
    assert weak.gamma == 10.0
    assert not weak.rebonded


def test_a_harder_push_bends_further():
    molecule, x, _ = mapped("H2CO", "EQ", 0.0)
    lengths = []
    for gamma in (20.0, 100.0, 200.0):
        path = pushed(molecule, x, [ForceTerm((0,), (3,), 1)], gamma=gamma, ladder=(1.0,))
        lengths.append(distances(path.end.positions)[0, 3])
    assert lengths[0] > lengths[1] > lengths[2]


def test_two_terms_act_at_once():
    molecule, x, _ = mapped("H2CO", "EQ", 0.0)
    terms = [ForceTerm((0,), (3,), 1), ForceTerm((1,), (2,), -1)]
    path = pushed(molecule, x, terms, gamma=100.0, ladder=(1.0,))
    before, after = distances(x), distances(path.end.positions)
    assert after[0, 3] < before[0, 3]
    assert after[1, 2] > before[1, 2]


def test_points_carry_true_energies_and_lie_downhill_under_the_force():
    molecule, x, _ = mapped("HCN", "EQ", 0.0)
    path = pushed(molecule, x, [ForceTerm((0,), (2,), 1)], gamma=1000.0, ladder=(1.0,))
    force = ArtificialForce(molecule, path.terms, path.gamma)
    total = []
    for point in path.points:
        answer = gfn2(molecule).evaluate(point.positions[None])
        assert point.energy == pytest.approx(answer.energies[0], abs=1e-4)
        np.testing.assert_allclose(point.gradient, answer.gradients[0], atol=5e-2)
        total.append(point.energy + force(point.positions)[0])
    assert (np.diff(total) < 0.02).all()
    assert max(point.energy for point in path.points) > path.points[0].energy + 1.0
    np.testing.assert_array_equal(path.points[-1].positions, path.end.positions)
    for first, second in pairwise(path.points):
        moved = np.linalg.norm(second.positions - first.positions, axis=1).max()
        assert moved < StepSettings().max_step * 1.1


def test_an_arrived_push_balances_force_and_gradient():
    path = pushed(WATERS, TWO, [NEAR], gamma=100.0, ladder=(1.0,), dissociation=10.0)
    assert path.end.outcome is Outcome.CONVERGED
    bias = ArtificialForce(WATERS, [NEAR], 100.0)(path.end.positions)[1]
    assert np.abs(path.end.gradient + bias).max() < StepSettings().push_gradient


def test_the_seed_alone_decides_and_the_start_stays():
    molecule, x, _ = mapped("HCN", "EQ", 0.0)
    kept = x.copy()
    term = [ForceTerm((0,), (2,), 1)]
    first, second, other = (pushed(molecule, x, term, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.end.positions, second.end.positions)
    assert len(first.points) == len(second.points)
    assert (first.points[0].positions != other.points[0].positions).any()
    np.testing.assert_array_equal(x, kept)
    moved = np.linalg.norm(first.points[0].positions - x, axis=1)
    assert 0.0 < moved.max() < 0.1


@pytest.mark.parametrize("first", [1, 2, 5, 8, 12, 20])
def test_a_surface_that_fails_on_the_way_ends_the_push(first):
    molecule, x, _ = mapped("HCN", "EQ", 0.0)
    surface = Unreliable(gfn2(molecule), range(first, 10**6))
    path = pushed(molecule, x, [ForceTerm((0,), (2,), 1)], gamma=600.0, surface=surface)
    assert path.end.outcome in (Outcome.SURFACE_FAILED, Outcome.CONVERGED)
    assert path.points
    assert np.isfinite(path.end.energy)


def test_a_failure_between_two_strengths_ends_the_push_too():
    molecule, x, _ = mapped("HCN", "EQ", 0.0)
    term = [ForceTerm((0,), (2,), 1)]
    weak = pushed(molecule, x, term, gamma=20.0, ladder=(1.0,))
    for first in range(1, len(weak.points) + 4):
        surface = Unreliable(gfn2(molecule), range(first, 10**6))
        path = pushed(molecule, x, term, gamma=40.0, surface=surface)
        assert np.isfinite(path.end.energy)


def test_without_an_energy_at_the_start_there_is_no_push():
    with pytest.raises(SurfaceError):
        pushed(WATERS, TWO, [NEAR], surface=Unreliable(gfn2(WATERS), range(1)))


def test_atoms_that_are_not_there_cannot_be_pushed():
    with pytest.raises(InputError, match="force term"):
        pushed(WATERS, TWO, [ForceTerm((0,), (6,), 1)])


def test_a_push_of_hcn_goes_over_the_barrier_and_not_far_above():
    molecule, x, _ = mapped("HCN", "EQ", 0.0)
    path = pushed(molecule, x, [ForceTerm((0,), (2,), 1)], gamma=1000.0, ladder=(1.0,))
    rise = max(point.energy for point in path.points) - path.points[0].energy
    assert 306.0 < rise / KJ_PER_MOL < 600.0
