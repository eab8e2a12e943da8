"""Exact Hessians and normal modes: closed forms, finite differences, reference wavenumbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase.build import molecule as build
from known import ATOM, BENT, PAIR, REFERENCES, WATER, Unreliable, gfn2, mapped, valley
from scipy.spatial.transform import Rotation

from afir.errors import SurfaceError
from afir.geometry.superposition import rigid_motions
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import Evaluation
from afir.searches.hessian import STEP, arrived, hessian, measure, normal_modes
from afir.searches.minimum import minimise
from afir.searches.settings import StepSettings
from afir.surfaces.analytic import (
    DOUBLE_WELL_POINTS,
    MUELLER_BROWN_BENT_POINTS,
    MUELLER_BROWN_POINTS,
    double_well,
    mueller_brown,
    mueller_brown_bent,
)
from afir.units import WAVENUMBER

TIGHT = StepSettings(minimum_gradient=5e-4)


def relaxed(name, **state):
    atoms = build(name)
    molecule = Molecule(tuple(atoms.numbers), **state)
    return molecule, solve(minimise(molecule, atoms.positions, TIGHT), gfn2(molecule)).positions


# Closed forms


@pytest.mark.parametrize("point", DOUBLE_WELL_POINTS)
def test_a_diatomic_vibrates_as_its_spring_and_reduced_mass_say(point):
    molecule = Molecule((1, 17))
    found = solve(hessian(molecule, point.positions), double_well(molecule))
    curvature = 32.0 if point.order == 0 else -16.0  # 8h/w² and −4h/w²
    reduced = 1.0 / (1.0 / molecule.masses).sum()
    expected = WAVENUMBER * np.sign(curvature) * np.sqrt(abs(curvature) / reduced)
    assert found.wavenumbers == pytest.approx([expected], rel=1e-3)
    assert found.order == point.order
    assert found.energy == pytest.approx(point.energy)
    # The light atom does the moving, along the bond.
    assert np.linalg.norm(found.mode) == pytest.approx(1.0)
    assert abs(found.mode[0, 0] / found.mode[1, 0]) == pytest.approx(
        molecule.masses[1] / molecule.masses[0], rel=1e-6
    )


def test_one_unit_of_everything_is_the_known_wavenumber():
    # √(1 eV/Å²/amu)/(2πc), from CODATA.
    assert pytest.approx(521.4709, abs=1e-3) == WAVENUMBER


@pytest.mark.parametrize("point", MUELLER_BROWN_POINTS)
def test_orders_on_the_surface_of_mueller_and_brown(point):
    found = solve(hessian(ATOM, point.positions), mueller_brown(ATOM))
    assert found.order == point.order
    assert len(found.wavenumbers) == 3


@pytest.mark.parametrize("point", MUELLER_BROWN_BENT_POINTS)
def test_orders_on_the_same_surface_in_bond_lengths(point):
    found = solve(hessian(BENT, point.positions), mueller_brown_bent(BENT))
    assert found.order == point.order
    assert len(found.wavenumbers) == 3


@pytest.mark.parametrize("negative", range(4))
def test_the_order_counts_negative_curvatures(negative):
    rng = np.random.default_rng(negative)
    molecule = Molecule((6, 6, 6, 6))
    x = rng.normal(size=(4, 3))
    values = np.linspace(1.0, 6.0, 12)
    vectors = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    flat = normal_modes(molecule, x, 0.0, 0.0, vectors @ np.diag(values) @ vectors.T)
    assert flat.order == 0
    # Negative curvatures along internal directions only.
    internal = np.linalg.qr(rigid_motions(x), mode="complete")[0][:, 6:]
    curvatures = np.array([-1.0 - i if i < negative else 1.0 + i for i in range(6)])
    point = normal_modes(molecule, x, 0.0, 0.0, internal @ np.diag(curvatures) @ internal.T)
    assert point.order == negative
    assert (np.diff(point.wavenumbers) >= 0.0).all()


# Against plain finite differences of everything


def brute_force(molecule, x, step=0.004):
    """All 3n mass-weighted wavenumbers, nothing projected out."""
    size = x.size
    shifts = step * np.eye(size).reshape(size, *x.shape)
    up = gfn2(molecule).evaluate(x + shifts).gradients.reshape(size, size)
    down = gfn2(molecule).evaluate(x - shifts).gradients.reshape(size, size)
    root = np.sqrt(np.repeat(molecule.masses, 3))
    matrix = (up - down) / (2.0 * step) / np.outer(root, root)
    values = np.linalg.eigvalsh(0.5 * (matrix + matrix.T))
    return WAVENUMBER * np.sign(values) * np.sqrt(np.abs(values))


@pytest.mark.parametrize(
    ("name", "rigid"), [("H2O", 6), ("H2CO", 6), ("NH3", 6), ("HCN", 5), ("CO2", 5), ("H2", 5)]
)
def test_wavenumbers_agree_with_the_whole_cartesian_hessian(name, rigid):
    molecule, x = relaxed(name)
    point = solve(hessian(molecule, x), gfn2(molecule))
    everything = brute_force(molecule, x)
    # The rigid motions of a relaxed structure are the ones nearest to zero.
    order = np.argsort(np.abs(everything))
    assert np.abs(everything[order[:rigid]]).max() < 60.0
    assert point.wavenumbers == pytest.approx(np.sort(everything[order[rigid:]]), abs=1.5)
    assert point.order == 0


@pytest.mark.parametrize(
    ("relative", "lowest"), [(0.0, 776.99), (83.77, 594.99)], ids=["HCN", "HNC"]
)
def test_lowest_bends_of_the_map_of_hcn(relative, lowest):
    molecule, x, _ = mapped("HCN", "EQ", relative)
    point = solve(hessian(molecule, x), gfn2(molecule))
    assert point.wavenumbers[:2] == pytest.approx([lowest, lowest], abs=2.0)


@pytest.mark.parametrize("case", ["hcn", "h2co", "h2cnh", "rx_meoh", "rx_silane", "vinyl_alcohol"])
def test_imaginary_wavenumbers_of_known_transition_states(case):
    known = REFERENCES[case]
    point = solve(hessian(known.molecule, known.saddle), gfn2(known.molecule))
    assert point.order == 1
    assert point.wavenumbers[0] == pytest.approx(known.imaginary, abs=2.0)
    assert point.energy == pytest.approx(known.energy, abs=1e-5)


class Noisy:
    """GFN2-xTB with noise of some eV/Å in its gradients, as of a coarse grid."""

    def __init__(self, molecule, size):
        self.molecule = molecule
        self._inner, self._size = gfn2(molecule), size
        self._rng = np.random.default_rng(0)

    def evaluate(self, positions, owners=None):
        said = self._inner.evaluate(positions, owners)
        noise = self._size * self._rng.normal(size=said.gradients.shape)
        return Evaluation(said.energies, said.gradients + noise, said.failures)

    def for_paths(self):
        return self


@pytest.mark.parametrize("case", ["hcch", "rx_meoh", "vinyl_alcohol", "hf_abstraction"])
def test_central_differences_throughout_say_the_same(case):
    known = REFERENCES[case]
    spent: Counter[str] = Counter()
    point = solve(hessian(known.molecule, known.saddle), gfn2(known.molecule), gradients=spent)
    central = brute_force(known.molecule, known.saddle, STEP)
    # Of the rigid motions brute force makes the wavenumbers nearest to zero.
    count = len(point.wavenumbers)
    kept = np.sort(central[np.argsort(np.abs(central))[-count:]])
    assert point.wavenumbers == pytest.approx(kept, abs=1.5)
    assert spent.total() < 1 + 2 * count


@pytest.mark.parametrize("case", ["rx_meoh", "h2co", "vinyl_alcohol"])
@pytest.mark.parametrize("size", [5e-5, 2e-4])
def test_noisy_gradients_are_displaced_both_ways_and_far(case, size):
    known = REFERENCES[case]
    spent: Counter[str] = Counter()
    noisy = Noisy(known.molecule, size)
    point = solve(hessian(known.molecule, known.saddle), noisy, gradients=spent)
    # No more than what it takes to notice is lost.
    assert 0 <= spent.total() - (1 + 2 * len(point.wavenumbers)) <= 2
    assert point.order == 1
    assert point.wavenumbers[0] == pytest.approx(known.imaginary, abs=10.0)


@pytest.mark.parametrize("case", ["rx_meoh", "vinyl_alcohol", "hf_abstraction"])
@pytest.mark.parametrize("accuracy", [0.1, 1.0])
def test_a_coarse_scf_is_noticed(case, accuracy):
    known = REFERENCES[case]
    exact = solve(hessian(known.molecule, known.saddle), gfn2(known.molecule))
    coarse = load_surface("gfn2", known.molecule, accuracy=accuracy)
    point = solve(hessian(known.molecule, known.saddle), coarse)
    # Central differences throughout are as far off.
    assert point.wavenumbers == pytest.approx(exact.wavenumbers, abs=2.0 if accuracy < 1 else 10.0)


def test_half_a_hessian_tells_when_the_rest_is_not_worth_it():
    known = REFERENCES["rx_meoh"]
    surface = gfn2(known.molecule)
    asked = []

    def never(point, gradient):
        asked.append((point.order, np.abs(gradient).max()))
        return False

    spent: Counter[str] = Counter()
    part = solve(measure(known.molecule, known.saddle, never), surface, gradients=spent)
    assert not part.whole
    whole = solve(measure(known.molecule, known.saddle, lambda point, gradient: True), surface)
    assert whole.whole
    assert spent.total() < 1 + len(whole.point.wavenumbers)
    # Leaving stiff directions out can hide what is concave, but does not invent it.
    ((order, largest),) = asked
    assert order <= whole.point.order == 1
    assert largest == part.point.gradient_max == whole.point.gradient_max
    assert whole.point.wavenumbers[0] == pytest.approx(known.imaginary, abs=2.0)


# Cost, invariance, form


# So few directions that all of them are displaced both ways.
@pytest.mark.parametrize(("name", "cost"), [("H2O", 1 + 2 * 3), ("CO2", 1 + 2 * 4), ("H2", 1 + 2)])
def test_rigid_motions_cost_nothing(name, cost):
    molecule, x = relaxed(name)
    spent: Counter[str] = Counter()
    solve(hessian(molecule, x), gfn2(molecule), gradients=spent)
    assert spent.total() == cost


def test_orientation_does_not_matter():
    molecule, x = relaxed("H2CO")
    point = solve(hessian(molecule, x), gfn2(molecule))
    turn = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    there = solve(hessian(molecule, x @ turn.T + 3.0), gfn2(molecule))
    assert there.wavenumbers == pytest.approx(point.wavenumbers, abs=0.5)
    full = np.kron(np.eye(4), turn)
    np.testing.assert_allclose(there.hessian, full @ point.hessian @ full.T, atol=0.05)


def test_the_mode_neither_shifts_nor_turns_the_molecule():
    known = REFERENCES["rx_meoh"]
    point = solve(hessian(known.molecule, known.saddle), gfn2(known.molecule))
    masses = known.molecule.masses[:, None]
    x = known.saddle - (masses * known.saddle).sum(0) / masses.sum()
    assert np.linalg.norm(point.mode) == pytest.approx(1.0)
    np.testing.assert_allclose((masses * point.mode).sum(0), 0.0, atol=1e-8)
    np.testing.assert_allclose((masses * np.cross(x, point.mode)).sum(0), 0.0, atol=1e-8)
    np.testing.assert_allclose(point.hessian, point.hessian.T, atol=1e-10)


def test_the_mode_is_the_direction_in_which_the_energy_falls():
    known = REFERENCES["rx_meoh"]
    point = solve(hessian(known.molecule, known.saddle), gfn2(known.molecule))
    sides = known.saddle + 0.1 * np.array([point.mode, -point.mode])
    assert (gfn2(known.molecule).evaluate(sides).energies < point.energy - 1e-3).all()


@pytest.mark.parametrize("arrange", [np.asfortranarray, lambda x: np.repeat(x, 2, axis=0)[::2]])
def test_any_memory_layout_will_do_and_the_input_stays(arrange):
    molecule, x = relaxed("H2O")
    arranged = arrange(x)
    kept = arranged.copy()
    found = solve(hessian(molecule, arranged), gfn2(molecule))
    np.testing.assert_array_equal(arranged, kept)
    plain = solve(hessian(molecule, x), gfn2(molecule))
    assert found.wavenumbers == pytest.approx(plain.wavenumbers, abs=0.1)


def test_a_stationary_point_does_not_change_with_the_array_it_came_from():
    x = np.array(build("H2O").positions)
    point = solve(hessian(WATER, x), gfn2(WATER))
    kept = point.positions.copy()
    x += 1.0
    np.testing.assert_array_equal(point.positions, kept)


@pytest.mark.parametrize("failing", [0, 1, 5])
def test_without_all_its_energies_there_is_no_hessian(failing):
    surface = Unreliable(gfn2(WATER), (failing,))
    with pytest.raises(SurfaceError):
        solve(hessian(WATER, build("H2O").positions), surface)


@pytest.mark.parametrize("failing", range(0, 18, 2))
def test_nor_without_those_of_stiff_directions(failing):
    known = REFERENCES["rx_meoh"]
    surface = Unreliable(gfn2(known.molecule), (failing,))
    with pytest.raises(SurfaceError):
        solve(hessian(known.molecule, known.saddle), surface)


def test_one_free_atom_has_nothing_to_vibrate_against():
    neon = Molecule((10,))
    point = solve(hessian(neon, np.zeros((1, 3))), gfn2(neon))
    assert point.order == 0
    assert np.abs(point.wavenumbers).max(initial=0.0) < 1.0


def test_one_atom_in_a_field_vibrates_in_three_directions():
    stiffness = np.diag([4.0, 9.0, 16.0])
    molecule = Molecule((2,))
    point = solve(
        hessian(molecule, np.zeros((1, 3))), valley(molecule, np.zeros((1, 3)), stiffness)
    )
    expected = WAVENUMBER * np.array([2.0, 3.0, 4.0]) / np.sqrt(molecule.masses[0])
    assert point.wavenumbers == pytest.approx(expected, rel=1e-6)


def test_pairs_of_atoms_have_one_vibration():
    point = solve(hessian(PAIR, DOUBLE_WELL_POINTS[0].positions), double_well(PAIR))
    assert point.wavenumbers.shape == (1,)
    assert point.mode.shape == (2, 3)


def test_how_far_off_is_told_by_the_newton_step_not_by_the_gradient():
    """A spring of k eV/Å² pulled by g is g/k too long, and g²/2k too high."""
    molecule = Molecule((1, 1))
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.8]])
    along = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]) / np.sqrt(2.0)

    def spring(k):
        matrix = k * np.outer(along, along)
        return normal_modes(molecule, positions, 0.0, 0.0, matrix)

    # As steep: one is where it should be, the other 0.2 Å and 5e-5 eV off.
    slope = 5e-4 * along
    assert arrived(spring(1.0), slope)
    assert not arrived(spring(2.5e-3), slope)
    assert arrived(spring(2.5e-3), slope, farthest=0.21, most=5.1e-5)
    assert not arrived(spring(2.5e-3), slope, farthest=0.19, most=5.1e-5)
    assert not arrived(spring(2.5e-3), slope, farthest=0.21, most=4.9e-5)
