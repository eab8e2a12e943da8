"""Saddle searches: known saddle points, directions, failures, odd molecules."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from known import ATOM, BENT, PAIR, REFERENCES, Unreliable, gfn2, mapped, noise
from scipy.spatial.transform import Rotation

from afir.errors import SurfaceError
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.searches.hessian import hessian as exact_hessian
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import Outcome
from afir.surfaces.analytic import (
    MUELLER_BROWN_BENT_POINTS,
    AnalyticSurface,
    double_well,
    lennard_jones,
    mueller_brown_bent,
)
from afir.units import HARTREE

WIDE = StepSettings(dissociation=50.0)
POINTS = {point.label: point for point in MUELLER_BROWN_BENT_POINTS}
SADDLES = ("A-C", "C-B")
MU_EH = 1e-6 * HARTREE


def bent(label, seed=0, size=0.1):
    return POINTS[label].positions + noise((3, 3), seed, size)


# The Müller–Brown surface


@pytest.mark.parametrize("label", SADDLES)
@pytest.mark.parametrize("seed", range(4))
def test_guesses_near_the_saddle_points_of_mueller_and_brown(label, seed):
    found = solve(saddle(BENT, bent(label, seed), WIDE), mueller_brown_bent(BENT))
    assert found.outcome is Outcome.CONVERGED
    assert found.energy == pytest.approx(POINTS[label].energy, abs=1e-5)
    assert np.abs(found.gradient).max() < WIDE.saddle_gradient


@pytest.mark.parametrize("label", SADDLES)
def test_the_direction_decides_which_saddle_point_is_climbed(label):
    start = POINTS["C"].positions
    direction = POINTS[label].positions - start
    guess = start + 0.4 * direction
    found = solve(saddle(BENT, guess, WIDE, direction=direction), mueller_brown_bent(BENT))
    assert found.outcome is Outcome.CONVERGED
    assert found.energy == pytest.approx(POINTS[label].energy, abs=1e-5)


def test_the_size_of_the_direction_does_not_matter():
    guess = bent("A-C", 1)
    direction = POINTS["C"].positions - POINTS["A"].positions
    energies = [
        solve(saddle(BENT, guess, WIDE, direction=s * direction), mueller_brown_bent(BENT)).energy
        for s in (1e-6, 1.0, -1e6)
    ]
    np.testing.assert_allclose(energies, POINTS["A-C"].energy, atol=1e-5)


# One atom in a field: which mode is climbed


def field(function):
    """A surface of one atom from energies and slopes of its coordinates (k, 3)."""

    def batch(positions):
        energies, slopes = function(positions[:, 0])
        return energies, slopes[:, None]

    return AnalyticSurface(ATOM, batch)


HEIGHTS = np.array([0.5, 2.0])  # eV: of the passes at x = ±1 Å and at y = ±1 Å


def two_ways(at):
    """A minimum at the origin, two ways out of it, and a spring along z."""
    xy, z = at[:, :2], at[:, 2:]
    energies = ((2.0 * xy**2 - xy**4) * HEIGHTS).sum(axis=1) + 2.0 * z[:, 0] ** 2
    return energies, np.concatenate([4.0 * (xy - xy**3) * HEIGHTS, 4.0 * z], axis=1)


def curvatures_of_two_ways(at):
    return np.diag([*(4.0 * (1.0 - 3.0 * at[:2] ** 2) * HEIGHTS), 4.0])


def test_the_stiffer_way_is_climbed_when_the_direction_says_so():
    # Convex all around, softest along x: only the direction leads to the pass at y = 1.
    start, along_y = np.array([[0.0, 0.3, 0.0]]), np.array([[0.0, 1.0, 0.0]])
    hessian = curvatures_of_two_ways(start[0])
    assert np.linalg.eigvalsh(hessian)[0] > 0.0
    found = solve(saddle(ATOM, start, WIDE, direction=along_y, hessian=hessian), field(two_ways))
    assert found.outcome is Outcome.CONVERGED
    np.testing.assert_allclose(found.positions, along_y, atol=1e-3)
    assert found.energy == pytest.approx(HEIGHTS[1], abs=1e-5)


def test_a_concave_mode_is_climbed_rather_than_a_convex_direction():
    # Near the pass at x = 1 a direction along the spring leads nowhere.
    start, along_z = np.array([[0.9, 0.05, 0.05]]), np.array([[0.0, 0.0, 1.0]])
    hessian = curvatures_of_two_ways(start[0])
    found = solve(saddle(ATOM, start, WIDE, direction=along_z, hessian=hessian), field(two_ways))
    assert found.outcome is Outcome.CONVERGED
    np.testing.assert_allclose(found.positions, [[1.0, 0.0, 0.0]], atol=1e-3)


RADIUS, PASS, HEIGHT = 1.5, np.radians(150.0), 10.0  # Å, rad, eV
WALLS, LIFT = 8.0, 0.5  # eV/Å²: springs across the valley, in its plane and along z


def bend(at):
    """A valley along a circle, from its bottom at 0° to a pass at 150°."""
    x, y, z = at.T
    r, angle, turn = np.hypot(x, y), np.arctan2(y, x), np.pi / PASS
    energies = 0.5 * HEIGHT * (1.0 - np.cos(turn * angle))
    energies += 0.5 * WALLS * (r - RADIUS) ** 2 + 0.5 * LIFT * z**2
    outwards, around = WALLS * (r - RADIUS), 0.5 * HEIGHT * turn * np.sin(turn * angle) / r
    slopes = [(outwards * x - around * y) / r, (outwards * y + around * x) / r, LIFT * z]
    return energies, np.stack(slopes, axis=1)


def test_the_mode_is_followed_around_a_bend():
    # Convex up to 75°, where the valley is nearer to across than to along its first direction,
    # and never softest before.
    angle, turn = np.radians(15.0), np.pi / PASS
    outwards = np.array([[np.cos(angle), np.sin(angle), 0.0]])
    along = np.array([[-np.sin(angle), np.cos(angle), 0.0]])
    stiff = 0.5 * HEIGHT * (turn / RADIUS) ** 2 * np.cos(turn * angle)
    assert LIFT < stiff < WALLS
    hessian = WALLS * outwards.T @ outwards + stiff * along.T @ along + np.diag([0.0, 0.0, LIFT])
    start = RADIUS * outwards
    found = solve(saddle(ATOM, start, WIDE, direction=along, hessian=hessian), field(bend))
    assert found.outcome is Outcome.CONVERGED
    top = RADIUS * np.array([[np.cos(PASS), np.sin(PASS), 0.0]])
    np.testing.assert_allclose(found.positions, top, atol=1e-3)
    assert found.energy == pytest.approx(HEIGHT, abs=1e-5)


# Two atoms and clusters


@pytest.mark.parametrize("length", [1.8, 1.95, 2.05, 2.2])
def test_the_top_of_a_double_well(length):
    guess = np.array([[0.0, 0.0, 0.0], [0.0, length, 0.0]])
    found = solve(saddle(PAIR, guess), double_well(PAIR))
    assert found.outcome is Outcome.CONVERGED
    assert found.energy == pytest.approx(1.0, abs=1e-6)
    assert np.linalg.norm(found.positions[1] - found.positions[0]) == pytest.approx(2.0, abs=1e-3)


def test_the_rhombus_of_four_lennard_jones_atoms():
    # Two triangles sharing an edge; known as the only saddle point between the tetrahedra.
    molecule = Molecule((18,) * 4)
    surface = lennard_jones(molecule, sigma=3.0)
    edge = 2 ** (1 / 6) * 3.0
    flat = edge * np.array([[0.5, 0, 0], [-0.5, 0, 0], [0, 0.866, 0], [0, -0.866, 0]])
    found = solve(saddle(molecule, flat + noise((4, 3), 0, 0.2), WIDE), surface)
    assert found.outcome is Outcome.CONVERGED
    assert found.energy == pytest.approx(-5.073420, abs=1e-4)


# GFN2


@pytest.mark.parametrize(
    ("formula", "relative"),
    [
        ("HCN", 306.38),
        ("C2H2", 252.24),
        ("H2CO", 305.56),
        ("H2CO", 324.52),
        ("H2CO", 384.81),
        ("H2CO", 469.92),
        ("H2CO", 492.14),
        ("H2CO", 669.14),
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_saddle_points_of_the_maps_from_distorted_guesses(formula, relative, seed):
    molecule, x, energy = mapped(formula, "TS", relative)
    found = solve(saddle(molecule, x + noise(x.shape, seed, 0.06)), gfn2(molecule))
    assert found.outcome is Outcome.CONVERGED
    assert found.energy == pytest.approx(energy, abs=MU_EH)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("relative", "share"), [(384.81, 0.966), (492.14, 0.873)])
def test_saddle_points_in_water_from_any_side(relative, share, seed):
    # The grid of the solvent's surface makes the gradient differ from view to view.
    molecule, x, _ = mapped("H2CO", "TS", relative)
    surface = load_surface("gfn2", molecule, solvent="water")
    view = Rotation.random(random_state=seed).apply(x + noise(x.shape, seed, 0.06))
    found = solve(saddle(molecule, view), surface)
    assert found.outcome is Outcome.CONVERGED
    point = solve(exact_hessian(molecule, found.positions), surface)
    assert point.order == 1
    # Water softens the mode; by how much does not depend on the view.
    gas = solve(exact_hessian(molecule, x), gfn2(molecule))
    assert point.wavenumbers[0] / gas.wavenumbers[0] == pytest.approx(share, abs=0.004)


def test_a_charged_identity_exchange():
    # Cl⁻ + CH3Cl: D3h in the middle, by symmetry a saddle point.
    molecule = Molecule((6, 1, 1, 1, 17, 17), charge=-1)
    turns = 2.0 * np.pi * np.arange(3) / 3.0
    ring = 1.08 * np.stack([np.cos(turns), np.sin(turns), 0.0 * turns], axis=1)
    guess = np.concatenate([[[0.0, 0.0, 0.0]], ring, [[0.0, 0.0, 2.25], [0.0, 0.0, -2.4]]])
    found = solve(saddle(molecule, guess + noise((6, 3), 1, 0.05)), gfn2(molecule))
    assert found.outcome is Outcome.CONVERGED
    left, right = (np.linalg.norm(found.positions[k] - found.positions[0]) for k in (4, 5))
    assert left == pytest.approx(right, abs=5e-3)
    point = solve(exact_hessian(molecule, found.positions), gfn2(molecule))
    assert point.order == 1


def test_an_open_shell_transfer():
    # CH4 + CH3 → CH3 + CH4: the hydrogen in the middle of two methyls.
    molecule = Molecule((6, 1, 1, 1, 1, 6, 1, 1, 1), multiplicity=2)
    turns = 2.0 * np.pi * np.arange(3) / 3.0
    ring = np.stack([1.03 * np.cos(turns), 1.03 * np.sin(turns), 0.0 * turns], axis=1)
    guess = np.concatenate(
        [
            [[0.0, 0.0, 1.33]],
            ring + np.array([0.0, 0.0, 1.6]),
            [[0.0, 0.0, 0.0]],
            [[0.0, 0.0, -1.33]],
            -ring - np.array([0.0, 0.0, 1.6]),
        ]
    )
    found = solve(saddle(molecule, guess + noise((9, 3), 0, 0.05)), gfn2(molecule))
    assert found.outcome is Outcome.CONVERGED
    point = solve(exact_hessian(molecule, found.positions), gfn2(molecule))
    assert point.order == 1
    # The climbed mode is the transfer.
    assert np.abs(point.mode[4]).max() > 0.8


def test_orientation_and_memory_layout_do_not_matter():
    molecule, x, energy = mapped("H2CO", "TS", 384.81)
    guess = x + noise(x.shape, 0, 0.06)
    turn = Rotation.from_rotvec([1.0, 0.4, -0.2]).as_matrix()
    for start in (guess @ turn.T + 5.0, np.asfortranarray(guess), np.repeat(guess, 2, 0)[::2]):
        kept = start.copy()
        found = solve(saddle(molecule, start), gfn2(molecule))
        assert found.energy == pytest.approx(energy, abs=MU_EH)
        np.testing.assert_array_equal(start, kept)


def test_hessian_and_direction_given_stay_as_they_are_and_save_gradients():
    molecule, x, energy = mapped("H2CO", "TS", 384.81)
    point = solve(exact_hessian(molecule, x), gfn2(molecule))
    kept_hessian, kept_mode = point.hessian.copy(), point.mode.copy()
    spent: Counter[str] = Counter()
    found = solve(
        saddle(
            molecule,
            x + noise(x.shape, 0, 0.03),
            direction=point.mode,
            hessian=point.hessian,
        ),
        gfn2(molecule),
        gradients=spent,
    )
    assert found.energy == pytest.approx(energy, abs=MU_EH)
    assert spent.total() < 20
    np.testing.assert_array_equal(point.hessian, kept_hessian)
    np.testing.assert_array_equal(point.mode, kept_mode)


# Ends without a saddle point


def test_the_step_limit_ends_it():
    molecule, x, _ = mapped("H2CO", "TS", 384.81)
    found = solve(
        saddle(molecule, x + noise(x.shape, 0), StepSettings(saddle_steps=3)), gfn2(molecule)
    )
    assert found.outcome is Outcome.STEPS


@pytest.mark.parametrize("case", ["h2co", "rx_meoh"])
@pytest.mark.parametrize("given_hessian", [True, False])
def test_no_search_asks_for_more_gradients_than_it_may(case, given_hessian):
    known = REFERENCES[case]
    molecule, surface = known.molecule, gfn2(known.molecule)
    x = known.saddle + 0.15 * np.random.default_rng(0).normal(size=known.saddle.shape)
    start = solve(exact_hessian(molecule, x), surface).hessian if given_hessian else None
    unlimited: Counter[str] = Counter()
    whole = solve(saddle(molecule, x, hessian=start), surface, gradients=unlimited)
    assert whole.outcome is Outcome.CONVERGED
    for limit in range(1, 40, 2):
        spent: Counter[str] = Counter()
        found = solve(
            saddle(molecule, x, StepSettings(saddle_steps=limit), hessian=start),
            surface,
            gradients=spent,
        )
        assert spent.total() <= limit
        if spent.total() < unlimited.total():
            assert found.outcome is Outcome.STEPS
        else:
            np.testing.assert_array_equal(found.positions, whole.positions)


def test_without_an_energy_at_the_guess_there_is_no_search():
    molecule, x, _ = mapped("HCN", "TS", 306.38)
    with pytest.raises(SurfaceError):
        solve(saddle(molecule, x), Unreliable(gfn2(molecule), range(1)))


def test_a_failure_on_the_way_is_stepped_around():
    molecule, x, energy = mapped("H2CO", "TS", 384.81)
    point = solve(exact_hessian(molecule, x), gfn2(molecule))
    for failing in range(1, 8):
        found = solve(
            saddle(molecule, x + noise(x.shape, 0, 0.05), hessian=point.hessian),
            Unreliable(gfn2(molecule), (failing,)),
        )
        assert found.outcome is Outcome.CONVERGED
        assert found.energy == pytest.approx(energy, abs=MU_EH)


@pytest.mark.parametrize("first", [1, 4, 9])
def test_a_surface_that_fails_for_good_gives_an_outcome(first):
    molecule, x, _ = mapped("H2CO", "TS", 384.81)
    surface = Unreliable(gfn2(molecule), range(first, 10**6))
    found = solve(saddle(molecule, x + noise(x.shape, 0)), surface)
    assert found.outcome is Outcome.SURFACE_FAILED
    assert np.isfinite(found.energy)


def test_a_saddle_point_of_the_reference_is_found_from_itself():
    known = REFERENCES["rx_meoh"]
    spent: Counter[str] = Counter()
    found = solve(saddle(known.molecule, known.saddle), gfn2(known.molecule), gradients=spent)
    assert found.outcome is Outcome.CONVERGED
    assert found.energy == pytest.approx(known.energy, abs=MU_EH)
    assert np.abs(found.positions - known.saddle).max() < 0.01
