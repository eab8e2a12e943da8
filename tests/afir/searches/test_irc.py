"""Intrinsic reaction coordinates: against integrated steepest descent and known ends."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from known import BENT, PAIR, REFERENCES, SOFT, Unreliable, gfn2, mapped
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar
from scipy.spatial.transform import Rotation

from afir.geometry.superposition import superpose
from afir.hessians.model import model_hessian
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.pes.surface import Evaluation
from afir.searches.hessian import hessian as exact_hessian
from afir.searches.irc import irc
from afir.searches.irc_end import _beside
from afir.searches.partial_hessian import loosest
from afir.searches.settings import StepSettings
from afir.stationary import Minimum, Outcome
from afir.surfaces.analytic import (
    DOUBLE_WELL_POINTS,
    MUELLER_BROWN_BENT_POINTS,
    AnalyticSurface,
    double_well,
    mueller_brown_bent,
)
from afir.units import HARTREE, KJ_PER_MOL

WIDE = StepSettings(dissociation=50.0)
POINTS = {point.label: point for point in MUELLER_BROWN_BENT_POINTS}


def followed(molecule, positions, surface, limits=None):
    point = solve(exact_hessian(molecule, positions), surface)
    return point, solve(irc(molecule, point, limits), surface)


def steepest_descent(molecule, point, surface, sign):
    """The IRC to many digits: dq/ds = −g/|g| in mass-weighted coordinates."""
    root = np.repeat(np.sqrt(molecule.masses), 3)
    shape = point.positions.shape

    def slope(_, q):
        gradient = surface.evaluate((q / root).reshape(1, *shape)).gradients[0].ravel() / root
        return -gradient / np.linalg.norm(gradient)

    def arrived(_, q):
        gradient = surface.evaluate((q / root).reshape(1, *shape)).gradients[0].ravel() / root
        return np.linalg.norm(gradient) - 0.05

    arrived.terminal = True
    arrived.direction = -1
    mode = sign * point.mode.ravel() * root
    start = point.positions.ravel() * root + 0.01 * mode / np.linalg.norm(mode)
    result = solve_ivp(
        slope, (0.0, 30.0), start, rtol=1e-6, atol=1e-8, max_step=0.02, events=arrived
    )
    return (result.y.T / root).reshape(-1, *shape)


@pytest.mark.parametrize(("label", "ends"), [("A-C", {"A", "C"}), ("C-B", {"C", "B"})])
def test_the_paths_of_mueller_and_brown(label, ends):
    surface = mueller_brown_bent(BENT)
    _, branches = followed(BENT, POINTS[label].positions, surface, WIDE)
    assert all(branch.monotone for branch in branches)
    assert all(branch.end.outcome is Outcome.CONVERGED for branch in branches)
    reached = sorted(branch.end.energy for branch in branches)
    assert reached == pytest.approx(sorted(POINTS[end].energy for end in ends), abs=1e-4)


@pytest.mark.parametrize("label", ["A-C", "C-B"])
def test_the_path_is_the_line_of_steepest_descent(label):
    surface = mueller_brown_bent(BENT)
    point, branches = followed(BENT, POINTS[label].positions, surface, WIDE)
    for sign, branch in zip((-1, 1), branches, strict=True):
        truth = steepest_descent(BENT, point, surface, sign)
        bottom = branch.end.energy
        for item in branch.points:
            # Near its end the path becomes a minimisation.
            if item.energy < bottom + 0.3 * (point.energy - bottom):
                break
            placed = [superpose(item.positions, x) for x in truth]
            away = min(np.linalg.norm(x - item.positions, axis=1).max() for x in placed)
            assert away < 0.03


def test_both_sides_of_a_double_well():
    top = DOUBLE_WELL_POINTS[2].positions
    _, branches = followed(PAIR, top, double_well(PAIR))
    lengths = sorted(
        np.linalg.norm(branch.end.positions[1] - branch.end.positions[0]) for branch in branches
    )
    assert lengths == pytest.approx([1.5, 2.5], abs=1e-3)


@pytest.mark.parametrize("case", ["hcn", "hcch", "h2co", "h2cnh", "rx_silane", "vinyl_alcohol"])
def test_known_reactions_end_where_they_should(case):
    known = REFERENCES[case]
    _, branches = followed(known.molecule, known.saddle, gfn2(known.molecule))
    assert all(branch.monotone for branch in branches)
    reached = sorted(branch.end.energy for branch in branches)
    assert reached == pytest.approx(sorted(known.end_energies), abs=0.5 * KJ_PER_MOL)


def turned(x, seed):
    return Rotation.random(random_state=seed).apply(x) if seed else x


def dihedral(x, i, j, k, m):
    """The angle in degrees between the planes of atoms i, j, k and j, k, m, from 0 to 180."""
    axis = x[k] - x[j]
    first, second = np.cross(x[i] - x[j], axis), np.cross(axis, x[m] - x[k])
    cosine = -(first @ second) / np.linalg.norm(first) / np.linalg.norm(second)
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


# kJ/mol below the transition state, and the dihedral angles of the ends, from paths integrated
# finely by other means.
SOFT_ENDS = {
    "glycine": ((0, 1, 2, 3), [(8.52, 0.0), (3.53, 180.0)]),
    "butadiene": ((0, 1, 2, 3), [(22.77, 180.0), (13.87, 18.4)]),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", SOFT_ENDS)
def test_both_sides_of_a_soft_transition_state_end_on_their_own_side(case, seed):
    molecule, x, energy = SOFT[case]
    _, branches = followed(molecule, turned(x, seed), gfn2(molecule))
    atoms, known = SOFT_ENDS[case]
    ends = sorted((side.end for side in branches), key=lambda end: end.energy)
    for end, (fall, angle) in zip(ends, known, strict=True):
        assert (energy - end.energy) / KJ_PER_MOL == pytest.approx(fall, abs=0.05)
        assert dihedral(end.positions, *atoms) == pytest.approx(angle, abs=3.0)
    assert all(side.monotone for side in branches)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["rx_meoh", "hf_abstraction", "zimmerman_12", "zimmerman_16"])
def test_the_ends_do_not_depend_on_how_the_molecule_lies_in_space(case):
    known = REFERENCES[case]
    reached = []
    for seed in range(4):
        _, branches = followed(known.molecule, turned(known.saddle, seed), gfn2(known.molecule))
        reached.append(sorted(branch.end.energy for branch in branches))
    np.testing.assert_allclose(reached, [reached[0]] * 4, atol=0.02 * KJ_PER_MOL)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["rx_meoh", "hf_abstraction", "zimmerman_05"])
def test_an_end_that_is_a_saddle_point_is_followed_down(case):
    known = REFERENCES[case]
    _, branches = followed(known.molecule, known.saddle, gfn2(known.molecule))
    # Each of these paths runs into one, by symmetry or because the complex is so loose.
    ridges = [value for branch in branches for value in branch.end.ridges]
    assert ridges
    assert max(ridges) < -10.0
    for branch in branches:
        point = solve(exact_hessian(known.molecule, branch.end.positions), gfn2(known.molecule))
        assert point.wavenumbers[0] > -10.0
        energies = [item.energy for item in branch.points]
        assert (np.diff(energies) < 1e-5).all()
        assert energies[-1] == pytest.approx(branch.end.energy, abs=1e-6)


@pytest.mark.parametrize("case", ["glycine", "butadiene"])
def test_no_side_comes_back_through_the_plane_that_divides_both(case):
    molecule, x, _ = SOFT[case]
    point, branches = followed(molecule, x, gfn2(molecule))
    root = np.repeat(np.sqrt(molecule.masses), 3)
    for sign, branch in zip((-1, 1), branches, strict=True):
        for item in branch.points:
            away = superpose(point.positions, item.positions) - point.positions
            assert sign * float(away.ravel() * root @ (point.mode.ravel() * root)) > 0.0


def test_the_points_run_downhill_without_gaps():
    molecule, x, _ = mapped("H2CO", "TS", 384.81)
    point, branches = followed(molecule, x, gfn2(molecule))
    for sign, branch in zip((-1, 1), branches, strict=True):
        chain = [point.positions, *(item.positions for item in branch.points)]
        energies = [point.energy, *(item.energy for item in branch.points)]
        # The first point lies on its own side of the saddle point.
        assert ((chain[1] - chain[0]) * point.mode).sum() * sign > 0.0
        assert branch.monotone
        assert (np.diff(energies) < 1e-4).all()
        assert energies[-1] == pytest.approx(branch.end.energy, abs=1e-6)
        for first, second in pairwise(chain):
            assert np.linalg.norm(second - first, axis=1).max() < 0.5
        np.testing.assert_allclose(chain[-1], branch.end.positions)
        for item in branch.points[::4]:
            answer = gfn2(molecule).evaluate(item.positions[None])
            assert item.energy == pytest.approx(answer.energies[0], abs=1e-5)


def test_the_saddle_point_stays_as_it_is():
    molecule, x, _ = mapped("HCN", "TS", 306.38)
    point = solve(exact_hessian(molecule, x), gfn2(molecule))
    kept = [array.copy() for array in (point.positions, point.hessian, point.mode)]
    solve(irc(molecule, point), gfn2(molecule))
    for array, before in zip((point.positions, point.hessian, point.mode), kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_the_same_point_gives_the_same_path():
    molecule, x, _ = mapped("HCN", "TS", 306.38)
    point = solve(exact_hessian(molecule, x), gfn2(molecule))
    first, second = (solve(irc(molecule, point), gfn2(molecule)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.end.positions, other.end.positions)


def test_the_way_off_a_symmetric_ridge_is_named_by_the_order_of_the_atoms():
    # Planar ammonia: both pyramids are alike, and which is taken labels the ends of a path.
    ammonia = Molecule((7, 1, 1, 1))
    angles = np.radians([0.0, 120.0, 240.0])
    flat = np.vstack([np.zeros(3), np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)])
    surface = gfn2(ammonia)
    flat *= minimize_scalar(
        lambda size: surface.evaluate(size * flat[None]).energies[0], bounds=(0.9, 1.1)
    ).x
    hands = set()
    for seed in range(8):
        x = Rotation.random(random_state=seed).apply(flat)
        evaluation = surface.evaluate(x[None])
        energy, gradient = float(evaluation.energies[0]), evaluation.gradients[0]
        model = model_hessian(ammonia, x)
        soft = solve(loosest(ammonia, x, gradient, model), surface)
        assert soft.wavenumber < -500.0
        end = Minimum(Outcome.CONVERGED, x, energy, gradient, model, False)
        beside = solve(_beside(ammonia, end, soft), surface)
        hands.add(float(np.sign(np.linalg.det(beside[1:] - beside[0]))))
    assert len(hands) == 1


def test_a_path_that_keeps_its_symmetry_does_not_end_on_a_saddle_point():
    # Inverting ammonia from its planar form, and a planar path of H2CO's map.
    molecule, x, _ = mapped("H2CO", "TS", 469.92)
    _, branches = followed(molecule, x, gfn2(molecule))
    for branch in branches:
        assert branch.end.outcome in (Outcome.CONVERGED, Outcome.DISSOCIATED)
        point = solve(exact_hessian(molecule, branch.end.positions), gfn2(molecule))
        assert point.order == 0


@pytest.mark.parametrize("first", [0, 1, 5, 12, 20, 40])
def test_a_surface_that_fails_costs_its_side_only(first):
    molecule, x, energy = mapped("HCN", "TS", 306.38)
    point = solve(exact_hessian(molecule, x), gfn2(molecule))
    surface = Unreliable(gfn2(molecule), range(first, 10**6))
    backward, forward = solve(irc(molecule, point), surface)
    assert forward.end.outcome is Outcome.SURFACE_FAILED
    if first < 10:
        assert backward.end.outcome is Outcome.SURFACE_FAILED
    for branch in (backward, forward):
        assert branch.end.energy <= energy + 1e-6 * HARTREE
        assert np.isfinite(branch.end.positions).all()


def quartic(positions):
    """A double well along x with minima at ±0.05 Å, harmonic across."""
    q, across = positions[:, 0, 0], positions[:, 0, 1:]
    energies = -0.5 * q**2 + 100.0 * q**4 + 2.0 * (across**2).sum(axis=1)
    gradients = np.zeros_like(positions)
    gradients[:, 0, 0] = -q + 400.0 * q**3
    gradients[:, 0, 1:] = 4.0 * across
    return energies, gradients


def test_a_first_step_across_a_narrow_well_is_shortened_on_its_own_side():
    molecule = Molecule((1,), charge=1)
    surface = AnalyticSurface(molecule, quartic)
    point, (backward, forward) = followed(molecule, np.zeros((1, 3)), surface)
    side = np.sign(point.mode[0, 0])
    # A fall of 1 kJ/mol on the model would lead past the minimum and up the wall behind it.
    for branch, sign in ((backward, -side), (forward, side)):
        assert branch.points[0].energy < point.energy
        assert all(item.positions[0, 0] * sign > 0.0 for item in branch.points)
        assert branch.end.positions[0, 0] * sign == pytest.approx(0.05, abs=1e-3)


def test_a_step_that_the_surface_refuses_is_shortened():
    molecule, x, _ = mapped("HCN", "TS", 306.38)
    point = solve(exact_hessian(molecule, x), gfn2(molecule))
    smooth = solve(irc(molecule, point), gfn2(molecule))
    rough = solve(irc(molecule, point), Unreliable(gfn2(molecule), [3, 4, 9]))
    for one, other in zip(smooth, rough, strict=True):
        assert other.end.outcome is Outcome.CONVERGED
        assert other.end.energy == pytest.approx(one.end.energy, abs=1e-3 * KJ_PER_MOL)


class TwoSolutions:
    """A surface that slides 1 eV down for whoever goes on from a density of the right side."""

    def __init__(self, inner, beyond):
        self.inner, self.molecule, self.beyond = inner, inner.molecule, beyond
        self.slid = set()

    def evaluate(self, positions, owners=None):
        answer = self.inner.evaluate(positions, owners)
        energies = answer.energies.copy()
        for index, owner in enumerate(owners):
            energies[index] -= 1.0 if owner in self.slid else 0.0
            if np.linalg.norm(positions[index][1] - positions[index][0]) > self.beyond:
                self.slid.add(owner)
        return Evaluation(energies, answer.gradients, answer.failures)

    def for_paths(self):
        return self


def test_a_path_that_slid_to_another_solution_of_the_scf_proves_nothing():
    top = DOUBLE_WELL_POINTS[2].positions
    point = solve(exact_hessian(PAIR, top), double_well(PAIR))
    sides = solve(irc(PAIR, point), TwoSolutions(double_well(PAIR), beyond=2.2))
    lengths = [np.linalg.norm(b.end.positions[1] - b.end.positions[0]) for b in sides]
    assert [side.monotone for side in sides] == [length < 2.0 for length in lengths]
