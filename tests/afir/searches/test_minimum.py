"""Minimisation: known minima, true energies under a force, failures, odd molecules."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase.build import molecule as build
from ase.cluster import Icosahedron
from known import ATOM, BENT, PAIR, REFERENCES, WATER, Unreliable, gfn2, mapped, noise
from scipy.spatial.transform import Rotation

from afir.errors import SurfaceError
from afir.geometry.bonds import components
from afir.geometry.superposition import internal_part
from afir.hessians.model import model_hessian
from afir.methods.artificial_force import ArtificialForce, ForceTerm
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.searches.minimum import DescentLimits, descend, minimise
from afir.searches.settings import StepSettings
from afir.stationary import Outcome
from afir.surfaces.analytic import (
    LENNARD_JONES_13,
    LENNARD_JONES_MINIMA,
    MUELLER_BROWN_BENT_POINTS,
    MUELLER_BROWN_POINTS,
    AnalyticSurface,
    double_well,
    lennard_jones,
    mueller_brown,
    mueller_brown_bent,
)
from afir.units import HARTREE, KJ_PER_MOL

SETTINGS = StepSettings()


@pytest.mark.parametrize("length", [1.2, 1.45, 1.9, 2.1, 2.7, 3.2])
def test_a_double_well_falls_to_the_nearer_side(length):
    found = solve(
        minimise(PAIR, np.array([[0.0, 0.0, 0.0], [length, 0.0, 0.0]])), double_well(PAIR)
    )
    assert found.outcome is Outcome.CONVERGED
    assert np.linalg.norm(found.positions[1] - found.positions[0]) == pytest.approx(
        1.5 if length < 2.0 else 2.5, abs=1e-3
    )


@pytest.mark.parametrize("point", [p for p in MUELLER_BROWN_POINTS if p.order == 0])
@pytest.mark.parametrize("seed", range(3))
def test_one_atom_falls_to_the_minima_of_mueller_and_brown(point, seed):
    start = point.positions + noise((1, 3), seed, 0.1)
    found = solve(minimise(ATOM, start), mueller_brown(ATOM))
    assert found.outcome is Outcome.CONVERGED
    np.testing.assert_allclose(found.positions, point.positions, atol=1e-3)
    assert found.energy == pytest.approx(point.energy, abs=1e-5)


@pytest.mark.parametrize("point", [p for p in MUELLER_BROWN_BENT_POINTS if p.order == 0])
def test_three_atoms_fall_to_the_minima_of_mueller_and_brown(point):
    # Their bonds are no bonds by the radii, and the force field of the guess knows nothing.
    limits = StepSettings(dissociation=20.0)
    found = solve(
        minimise(BENT, point.positions + noise((3, 3), 1, 0.1), limits), mueller_brown_bent(BENT)
    )
    assert found.outcome is Outcome.CONVERGED
    assert found.energy == pytest.approx(point.energy, abs=1e-5)


WAVE = 0.32  # Å


def waves(height):
    """Waves along x of some eV for one atom, from a valley at 0, and springs across."""

    def function(positions):
        phase = 2.0 * np.pi / WAVE * positions[:, 0, 0]
        across = positions[:, 0, 1:]
        energies = 0.5 * height * (1.0 - np.cos(phase)) + 0.5 * (across**2).sum(axis=1)
        slopes = np.zeros_like(positions)
        slopes[:, 0, 0] = np.pi / WAVE * height * np.sin(phase)
        slopes[:, 0, 1:] = across
        return energies, slopes

    return AnalyticSurface(ATOM, function)


@pytest.mark.parametrize("height", [0.03, 0.3, 1.5])
def test_a_step_to_the_flat_top_of_a_hill_is_not_taken(height):
    # The first step, 0.2 Å, goes from the slope behind the valley to the top before it.
    surface = waves(height)
    start = np.array([[-WAVE / 8.0, 0.0, 0.0]])
    first, top = surface.evaluate(start + np.array([[[0.0] * 3], [[0.2, 0.0, 0.0]]])).energies
    assert top - first > 0.02
    trace = []
    limits = StepSettings(dissociation=20.0)
    found = solve(minimise(ATOM, start, limits, hessian=0.1 * np.eye(3), trace=trace), surface)
    assert found.outcome is Outcome.CONVERGED
    np.testing.assert_allclose(found.positions, np.zeros((1, 3)), atol=1e-3)
    assert np.diff([point.energy for point in trace]).max() <= 0.02


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("seed", range(3))
def test_clusters_reach_one_of_their_known_minima(n, seed):
    molecule = Molecule((18,) * n)
    start = 1.8 * np.random.default_rng(seed).normal(size=(n, 3))
    surface = lennard_jones(molecule, sigma=3.0)
    found = solve(minimise(molecule, start, StepSettings(dissociation=50.0)), surface)
    assert found.outcome is Outcome.CONVERGED
    assert min(abs(found.energy - e) for e in LENNARD_JONES_MINIMA[n]) < 1e-4


def test_the_icosahedron_of_thirteen():
    molecule = Molecule((18,) * 13)
    start = Icosahedron("Ar", 2, 5.0).positions + noise((13, 3), 0, 0.3)
    surface = lennard_jones(molecule, sigma=3.0)
    found = solve(minimise(molecule, start, StepSettings(dissociation=50.0)), surface)
    assert found.energy == pytest.approx(LENNARD_JONES_13, abs=1e-4)


@pytest.mark.parametrize(
    ("formula", "relative"),
    [
        ("HCN", 0.0),
        ("HCN", 83.77),
        ("H2CO", 0.0),
        ("H2CO", 208.64),
        ("H2CO", 216.53),
        ("C2H2", 0.0),
    ],
)
def test_distorted_molecules_come_back(formula, relative):
    molecule, x, energy = mapped(formula, "EQ", relative)
    found = solve(minimise(molecule, x + noise(x.shape, 3)), gfn2(molecule))
    assert found.outcome is Outcome.CONVERGED
    assert found.energy == pytest.approx(energy, abs=1e-6 * HARTREE)
    assert np.abs(found.gradient).max() < SETTINGS.minimum_gradient


@pytest.mark.parametrize("case", ["rx_meoh", "vinyl_alcohol", "rx_cycbut", "hf_abstraction"])
def test_ends_of_known_paths_are_reached_again_at_little_cost(case):
    known = REFERENCES[case]
    for end, energy in zip(known.ends, known.end_energies, strict=True):
        spent: Counter[str] = Counter()
        found = solve(
            minimise(known.molecule, end + noise(end.shape, 0, 0.05)),
            gfn2(known.molecule),
            gradients=spent,
        )
        assert found.energy == pytest.approx(energy, abs=0.05 * KJ_PER_MOL)
        assert spent.total() < 60


@pytest.mark.parametrize("seed", range(5))
def test_where_it_ends_does_not_depend_on_the_orientation(seed):
    rng = np.random.default_rng(seed)
    molecule = Molecule((18,) * 5)
    surface = lennard_jones(molecule, sigma=3.0)
    start = 2.0 * rng.normal(size=(5, 3))
    turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    limits = StepSettings(dissociation=50.0)
    here = solve(minimise(molecule, start, limits), surface)
    there = solve(minimise(molecule, start @ turn.T + rng.normal(size=3), limits), surface)
    assert there.energy == pytest.approx(here.energy, abs=1e-4)


# What comes back


def test_the_trace_starts_at_the_start_ends_at_the_end_and_never_rises():
    molecule, x, _ = mapped("H2CO", "EQ", 0.0)
    start = x + noise(x.shape, 0, 0.3)
    trace: list = []
    found = solve(minimise(molecule, start, trace=trace), gfn2(molecule))
    np.testing.assert_array_equal(trace[0].positions, start)
    np.testing.assert_array_equal(trace[-1].positions, found.positions)
    energies = np.array([point.energy for point in trace])
    assert energies[-1] == found.energy
    # A rise smaller than 0.02 eV may be taken for the curvature it teaches.
    assert (np.diff(energies) < 0.02).all()
    steps = np.diff([point.positions for point in trace], axis=0)
    assert np.linalg.norm(steps, axis=-1).max() < SETTINGS.max_step * 1.05
    for point in trace[::5]:
        answer = gfn2(molecule).evaluate(point.positions[None])
        assert point.energy == pytest.approx(answer.energies[0], abs=1e-5)
        np.testing.assert_allclose(point.gradient, answer.gradients[0], atol=1e-3)


@pytest.mark.parametrize("arrange", [np.asfortranarray, lambda x: np.repeat(x, 2, axis=0)[::2]])
def test_any_memory_layout_will_do_and_the_input_stays(arrange):
    x = arrange(build("H2O").positions + noise((3, 3), 0))
    kept = x.copy()
    hessian = model_hessian(WATER, x)
    kept_hessian = hessian.copy()
    found = solve(minimise(WATER, x, hessian=hessian), gfn2(WATER))
    plain = solve(minimise(WATER, np.ascontiguousarray(x)), gfn2(WATER))
    assert found.energy == pytest.approx(plain.energy, abs=1e-7)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(hessian, kept_hessian)


def test_a_good_hessian_is_put_to_use():
    molecule = REFERENCES["rx_meoh"].molecule
    x = REFERENCES["rx_meoh"].ends[1]
    relaxed = solve(minimise(molecule, x), gfn2(molecule))
    spent: Counter[str] = Counter()
    again = relaxed.positions + noise(x.shape, 0, 0.01)
    solve(minimise(molecule, again, hessian=relaxed.hessian), gfn2(molecule), gradients=spent)
    assert spent.total() < 15


# A force on top


def test_a_biased_minimum_reports_the_true_energy():
    waters = Molecule((8, 1, 1, 8, 1, 1))
    one = build("H2O").positions
    x = np.concatenate([one, one + np.array([0.0, 0.3, 3.2])])
    force = ArtificialForce(waters, [ForceTerm((0, 1, 2), (3, 4, 5), 1)], 50.0)
    found = solve(
        descend(
            waters,
            x,
            DescentLimits(steps=200, gradient=1e-3, max_step=0.2),
            hessian=model_hessian(waters, x),
            bias=force,
        ),
        gfn2(waters),
    )
    assert found.outcome is Outcome.CONVERGED
    true = gfn2(waters).evaluate(found.positions[None])
    assert found.energy == pytest.approx(true.energies[0], abs=1e-6)
    np.testing.assert_allclose(found.gradient, true.gradients[0], atol=1e-4)
    # Pushed together, the two lie closer and higher than on their own.
    assert np.abs(found.gradient + force(found.positions)[1]).max() < 1e-3
    assert np.abs(found.gradient).max() > 0.02
    free = solve(minimise(waters, found.positions), gfn2(waters))
    assert free.energy < found.energy - 1e-3


# Ends that are no minimum


def test_the_step_limit_ends_it():
    molecule, x, _ = mapped("H2CO", "EQ", 0.0)
    spent: Counter[str] = Counter()
    found = solve(
        minimise(molecule, x + noise(x.shape, 0), StepSettings(minimum_steps=3)),
        gfn2(molecule),
        gradients=spent,
    )
    assert found.outcome is Outcome.STEPS
    assert spent.total() == 3


def test_fragments_far_apart_are_no_minimum():
    waters = Molecule((8, 1, 1, 8, 1, 1))
    one = build("H2O").positions
    found = solve(
        minimise(waters, np.concatenate([one, one + np.array([0.0, 0.0, 9.0])])), gfn2(waters)
    )
    assert found.dissociated or found.outcome is not Outcome.CONVERGED


def test_like_charges_fly_apart():
    hydroxides = Molecule((8, 1, 8, 1), charge=-2)
    x = np.array([[0.0, 0.0, 0.0], [-0.9, 0.3, 0.0], [2.6, 0.0, 0.0], [3.5, 0.3, 0.0]])
    found = solve(minimise(hydroxides, x), gfn2(hydroxides))
    assert found.outcome is Outcome.DISSOCIATED
    assert found.dissociated


def test_without_an_energy_at_the_start_there_is_no_search():
    surface = Unreliable(gfn2(WATER), range(1))
    with pytest.raises(SurfaceError):
        solve(minimise(WATER, build("H2O").positions), surface)


@pytest.mark.parametrize("fails", [(1,), (2, 3), (5,)])
def test_a_failure_on_the_way_is_stepped_around(fails):
    molecule, x, energy = mapped("H2CO", "EQ", 0.0)
    surface = Unreliable(gfn2(molecule), fails)
    found = solve(minimise(molecule, x + noise(x.shape, 0)), surface)
    assert found.outcome is Outcome.CONVERGED
    assert found.energy == pytest.approx(energy, abs=1e-6 * HARTREE)


def test_a_surface_that_fails_for_good_leaves_the_last_good_point():
    molecule, x, _ = mapped("H2CO", "EQ", 0.0)
    trace: list = []
    surface = Unreliable(gfn2(molecule), range(4, 10**6))
    found = solve(minimise(molecule, x + noise(x.shape, 0), trace=trace), surface)
    assert found.outcome is Outcome.SURFACE_FAILED
    assert found.ending.startswith(f"{Outcome.SURFACE_FAILED.value}: ")
    assert found.error
    np.testing.assert_array_equal(found.positions, trace[-1].positions)
    assert np.isfinite(found.energy)


# Small, charged, open-shell, large


@pytest.mark.parametrize("number", [2, 10, 18])
def test_one_atom_is_its_own_minimum(number):
    molecule = Molecule((number,))
    spent: Counter[str] = Counter()
    x = np.array([[1.0, 2.0, 3.0]])
    found = solve(minimise(molecule, x), gfn2(molecule), gradients=spent)
    assert found.outcome is Outcome.CONVERGED
    np.testing.assert_array_equal(found.positions, x)
    assert spent.total() == 1


def alkane(carbons):
    """A zigzag chain, atoms in no particular order but that of building."""
    numbers, positions = [], []
    for k in range(carbons):
        up = 1.0 if k % 2 else -1.0
        centre = np.array([1.27 * k, 0.42 * up, 0.0])
        side = np.array([0.0, 0.0, 0.9])
        numbers += [6, 1, 1]
        above = centre + np.array([0.0, 0.63 * up, 0.0])
        positions += [centre, above + side, above - side]
        if k in (0, carbons - 1):
            out = -1.0 if k == 0 else 1.0
            numbers.append(1)
            positions.append(centre + np.array([0.9 * out, -0.63 * up, 0.0]))
    return Molecule(tuple(numbers)), np.array(positions)


def test_thirty_atoms_relax_downhill():
    molecule, x = alkane(9)
    assert molecule.formula == "C9H20"
    trace: list = []
    found = solve(
        minimise(molecule, x + noise(x.shape, 0), StepSettings(minimum_steps=15), trace=trace),
        gfn2(molecule),
    )
    assert found.outcome in (Outcome.CONVERGED, Outcome.STEPS)
    assert found.energy < trace[0].energy - 0.5
    assert np.abs(found.gradient).max() < 0.1


def test_fragments_that_are_apart_from_the_start_are_relaxed_all_the_same():
    # A squeezed water, not all of whose atoms count as bonded, far from methane.
    methane = build("CH4")
    water = np.array([[0.0, 0.0, -5.2], [0.0, 0.94, -5.2], [0.0, 0.35, -6.4]])
    molecule = Molecule((*methane.numbers, 8, 1, 1))
    start = np.concatenate([methane.positions, water])
    assert len(components(molecule, start)) == 3
    found = solve(minimise(molecule, start), gfn2(molecule))
    assert found.outcome is Outcome.DISSOCIATED
    inner = internal_part(found.positions, found.gradient)
    assert np.abs(inner).max() < StepSettings().push_gradient
    apart = sum(
        relaxed_energy(Molecule(tuple(molecule.numbers[k] for k in part)), start[list(part)])
        for part in ((0, 1, 2, 3, 4), (5, 6, 7))
    )
    # Some 4 Å from each other they hardly feel each other.
    assert found.energy == pytest.approx(apart, abs=0.03)


def relaxed_energy(molecule, start):
    return solve(minimise(molecule, start), gfn2(molecule)).energy
