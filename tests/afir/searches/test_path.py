"""Paths: their peaks in one dimension, and relaxing a bad path on a known surface."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from ase.build import molecule as build
from hypothesis import given, settings
from hypothesis import strategies as st
from known import BENT, Unreliable, gfn2, mapped
from scipy.spatial.transform import Rotation

from afir.errors import SurfaceError
from afir.geometry.superposition import superpose
from afir.hessians.model import model_hessian
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.searches.hessian import hessian as exact_hessian
from afir.searches.minimum import PathPoint
from afir.searches.path import path_hessians, peaks, relax_path
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import Outcome
from afir.surfaces.analytic import MUELLER_BROWN_BENT_POINTS, mueller_brown_bent
from afir.units import KJ_PER_MOL

WIDE = StepSettings(dissociation=50.0)
POINTS = {point.label: point for point in MUELLER_BROWN_BENT_POINTS}
LINE = np.eye(3)


def profile(energy, slope, places):
    """Points of one atom on a line with a given energy and slope."""
    x = np.asarray(places, dtype=float)
    return [
        PathPoint(np.array([[place, 0.0, 0.0]]), float(energy(place)), np.array([[s, 0.0, 0.0]]))
        for place, s in zip(x, slope(x), strict=True)
    ]


def tops(points, height=2.0):
    return peaks(points, [LINE] * len(points), height)


# One dimension


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_hill_has_its_peak(count):
    points = profile(
        lambda x: 1.0 - np.cos(2.0 * np.pi * x),
        lambda x: 2.0 * np.pi * np.sin(2.0 * np.pi * x),
        np.linspace(0.0, count, 8 * count + 1),
    )
    found = tops(points)
    assert [top.positions[0, 0] for top in found] == pytest.approx(
        [k + 0.5 for k in range(count)], abs=0.03
    )
    for top in found:
        assert top.energy == pytest.approx(2.0, abs=0.02)
        assert abs(top.tangent[0, 0]) == pytest.approx(1.0)


def test_a_peak_between_the_points_is_found_by_the_gradients():
    # Nowhere near a sampled point, and higher than all of them.
    points = profile(
        lambda x: np.exp(-(((x - 1.3) / 0.5) ** 2)),
        lambda x: -2.0 * (x - 1.3) / 0.25 * np.exp(-(((x - 1.3) / 0.5) ** 2)),
        [-1.0, 0.0, 0.5, 1.0, 1.6, 2.2, 3.0, 4.0],
    )
    (top,) = tops(points)
    assert top.positions[0, 0] == pytest.approx(1.3, abs=0.05)
    assert top.energy == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_slope_has_no_peak(sign):
    points = profile(
        lambda x: sign * np.tanh(x), lambda x: sign / np.cosh(x) ** 2, np.linspace(-3, 3, 15)
    )
    assert tops(points) == ()


def test_a_valley_has_no_peak_even_if_its_rims_differ():
    points = profile(lambda x: (x - 0.3) ** 2, lambda x: 2 * (x - 0.3), np.linspace(-2, 2, 11))
    assert tops(points) == ()


def test_a_flat_line_has_no_peak():
    points = profile(lambda x: 0.0, lambda x: 0.0 * x, np.linspace(0, 1, 6))
    assert tops(points) == ()


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_points_have_no_peak(count):
    points = profile(lambda x: x, lambda x: 1.0 + 0.0 * x, np.arange(count))
    assert tops(points) == ()


def test_ripples_lower_than_the_height_are_ignored():
    ripple = 1.5 * KJ_PER_MOL / 2.0

    def energy(x):
        return np.exp(-(x**2)) + ripple * np.cos(6.0 * np.pi * x)

    def slope(x):
        return -2.0 * x * np.exp(-(x**2)) - 6.0 * np.pi * ripple * np.sin(6.0 * np.pi * x)

    points = profile(energy, slope, np.linspace(-3.0, 3.0, 121))
    (top,) = tops(points, 2.0)
    assert top.positions[0, 0] == pytest.approx(0.0, abs=0.05)
    assert len(tops(points, 0.2)) > 5


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_peaks_lie_on_the_path_above_both_of_its_sides(seed):
    rng = np.random.default_rng(seed)
    height, shift = rng.normal(size=(2, 4))

    waves = list(zip((1, 2, 3, 4), height, shift, strict=True))

    def energy(x):
        return sum(h * np.sin(k * x + s) for k, h, s in waves)

    def slope(x):
        return sum(h * k * np.cos(k * x + s) for k, h, s in waves)

    places = np.linspace(0.0, 6.0, 40)
    points = profile(energy, slope, places)
    dense = energy(np.linspace(0.0, 6.0, 2000))
    inside = (dense[1:-1] > dense[:-2]) & (dense[1:-1] > dense[2:])
    found = tops(points, 1e-3)
    assert len(found) <= inside.sum()
    order = [top.positions[0, 0] for top in found]
    assert order == sorted(order)
    for top in found:
        place = top.positions[0, 0]
        assert 0.0 < place < 6.0
        assert abs(slope(place)) < 0.4
        assert top.energy == pytest.approx(energy(place), abs=0.01)
    # None of the clear hills is missed.
    clear = tops(points, 20.0)
    assert len(clear) <= len(found)


def test_a_point_met_twice_does_no_harm():
    places = np.sort([*np.linspace(0.0, 1.0, 9), 0.25, 0.5, 1.0])
    points = profile(
        lambda x: 1.0 - np.cos(2.0 * np.pi * x),
        lambda x: 2.0 * np.pi * np.sin(2.0 * np.pi * x),
        places,
    )
    assert len(tops(points)) == 1


def test_hessians_along_a_path_learn_from_its_gradients():
    truth = np.diag([5.0, 3.0, 1.0])
    places = np.random.default_rng(0).normal(size=(30, 3))
    points = [PathPoint(x[None], 0.5 * x @ truth @ x, (truth @ x)[None]) for x in places]
    kept = np.eye(3)
    learnt = path_hessians(Molecule((2,)), points, kept)
    assert len(learnt) == len(points)
    np.testing.assert_array_equal(learnt[0], np.eye(3))
    np.testing.assert_allclose(learnt[-1], truth, atol=1e-3)
    np.testing.assert_array_equal(kept, np.eye(3))


def test_hessians_turn_with_the_atoms_along_an_internal_rotation():
    """H2O2 turned by 120° about its bond; without turning 76 % of the Hessian is wrong."""
    atoms = build("H2O2")
    molecule, start = Molecule(tuple(atoms.numbers)), atoms.positions
    axis = start[0] - start[1]
    places = []
    for angle in np.linspace(0.0, 2.0 * np.pi / 3.0, 13):
        turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
        x = start.copy()
        x[2] = start[0] + turn.apply(start[2] - start[0])
        places.append(x)
    answer = gfn2(molecule).evaluate(np.array(places))
    points = [
        PathPoint(x, float(e), g)
        for x, e, g in zip(places, answer.energies, answer.gradients, strict=True)
    ]
    first, last = (solve(exact_hessian(molecule, places[k]), gfn2(molecule)) for k in (0, -1))
    learnt = path_hessians(molecule, points, first.hessian)[-1]
    assert np.linalg.norm(learnt - last.hessian) < 0.25 * np.linalg.norm(last.hessian)


# The Müller–Brown surface


def detour(surface, bulge, count=21):
    """A path from A to B over C's neighbourhood, bent away from the valley, as path points."""
    a, b = POINTS["A"].positions, POINTS["B"].positions
    b = superpose(a, b)
    t = np.linspace(0.0, 1.0, count)[:, None, None]
    aside = np.zeros_like(a)
    aside[0, 0], aside[2, 1] = bulge, bulge
    path = (1 - t) * a + t * b + 4.0 * t * (1 - t) * aside
    answer = surface.evaluate(path)
    return [
        PathPoint(x, float(e), g)
        for x, e, g in zip(path, answer.energies, answer.gradients, strict=True)
    ]


@pytest.mark.parametrize("bulge", [-0.15, -0.1, 0.0, 0.1, 0.15])
def test_a_bad_path_relaxes_to_the_saddle_points_of_mueller_and_brown(bulge):
    surface = mueller_brown_bent(BENT)
    raw = detour(surface, bulge)
    start = solve(exact_hessian(BENT, raw[0].positions), surface)
    images: list[PathPoint] = []
    found = solve(relax_path(BENT, raw, start.hessian, WIDE, trace=images), surface)
    highest = max(point.energy for point in raw)
    reached = set()
    for top in found:
        assert top.energy < highest
        climbed = solve(
            saddle(BENT, top.positions, WIDE, direction=top.tangent, hessian=top.hessian), surface
        )
        if climbed.outcome is Outcome.CONVERGED:
            reached |= {label for label, point in POINTS.items() if near(climbed, point)}
    assert reached == {"A-C", "C-B"}
    # The path that is handed out has the same ends, and nothing on it is higher than the peaks.
    for end in (0, -1):
        assert images[end].energy == pytest.approx(raw[end].energy, abs=1e-3)
    assert max(image.energy for image in images) < max(top.energy for top in found) + 0.02


def near(climbed, point):
    return abs(climbed.energy - point.energy) < 1e-4


def test_relaxing_changes_neither_the_points_nor_the_hessian():
    surface = mueller_brown_bent(BENT)
    raw = detour(surface, 0.1)
    start = solve(exact_hessian(BENT, raw[0].positions), surface)
    kept = [point.positions.copy() for point in raw], start.hessian.copy()
    solve(relax_path(BENT, raw, start.hessian, WIDE), surface)
    for point, before in zip(raw, kept[0], strict=True):
        np.testing.assert_array_equal(point.positions, before)
    np.testing.assert_array_equal(start.hessian, kept[1])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_points_that_lie_turned_leave_the_same_peaks(seed):
    surface = mueller_brown_bent(BENT)
    raw = detour(surface, 0.1)
    start = solve(exact_hessian(BENT, raw[0].positions), surface)
    rng = np.random.default_rng(seed)
    turned = [raw[0]]
    for point in raw[1:]:
        rotation = Rotation.random(random_state=rng).as_matrix()
        place = point.positions @ rotation.T + rng.normal(size=3)
        turned.append(PathPoint(place, point.energy, point.gradient @ rotation.T))
    first = solve(relax_path(BENT, raw, start.hessian, WIDE), surface)
    second = solve(relax_path(BENT, turned, start.hessian, WIDE), surface)
    assert [top.energy for top in second] == pytest.approx([top.energy for top in first], abs=1e-6)


def test_the_first_step_is_taken_with_the_gradients_of_the_push():
    """A single evaluation of the images finds them lower already."""
    surface = mueller_brown_bent(BENT)
    raw = detour(surface, 0.1)
    start = solve(exact_hessian(BENT, raw[0].positions), surface)
    once = StepSettings(dissociation=50.0, path_rounds=1)
    found = solve(relax_path(BENT, raw, start.hessian, once), surface)
    saddle_energy = max(POINTS[label].energy for label in ("A-C", "C-B"))
    above = max(point.energy for point in raw) - saddle_energy
    assert max(top.energy for top in found) - saddle_energy < 0.9 * above


@pytest.mark.parametrize("rounds", [2, 4, 6])
def test_after_three_rounds_only_the_peaks_are_paid_for(rounds):
    surface = mueller_brown_bent(BENT)
    raw = detour(surface, 0.1)
    start = solve(exact_hessian(BENT, raw[0].positions), surface)
    spent: Counter[str] = Counter()
    some = StepSettings(dissociation=50.0, path_rounds=rounds)
    found = solve(relax_path(BENT, raw, start.hessian, some), surface, gradients=spent)
    assert found
    # Five images lie between the ends, and no more than two peaks.
    assert sum(spent.values()) <= 5 * min(rounds, 3) + 2 * max(rounds - 3, 0)


# GFN2


def stretched(molecule, chain, count=9):
    """A polygon through geometries, superposed one on the other, with true gradients."""
    placed = [chain[0]]
    for x in chain[1:]:
        placed.append(superpose(placed[-1], x))
    t = np.linspace(0.0, 1.0, count, endpoint=False)[:, None, None]
    legs = [(1 - t) * a + t * b for a, b in pairwise(placed)]
    path = np.concatenate([*legs, placed[-1][None]])
    answer = gfn2(molecule).evaluate(path)
    return [
        PathPoint(x, float(e), g)
        for x, e, g in zip(path, answer.energies, answer.gradients, strict=True)
    ]


def corner():
    """HCN → HNC with the hydrogen going straight round a corner."""
    molecule, start, _ = mapped("HCN", "EQ", 0.0)
    _, c, n = start
    axis = (n - c) / np.linalg.norm(n - c)
    side = np.cross(axis, [0.3, -0.5, 0.8])
    side /= np.linalg.norm(side)
    middle = np.array([0.5 * (c + n) + 1.45 * side, c, n])
    end = np.array([n + 1.0 * axis, c, n])
    return molecule, stretched(molecule, [start, middle, end])


def test_a_cornered_path_of_hcn_leads_to_its_transition_state():
    molecule, raw = corner()
    _, _, energy = mapped("HCN", "TS", 306.38)
    guess = model_hessian(molecule, raw[0].positions)
    (top,) = solve(relax_path(molecule, raw, guess), gfn2(molecule))
    assert top.energy < max(point.energy for point in raw) + 0.05
    climbed = solve(
        saddle(molecule, top.positions, direction=top.tangent, hessian=top.hessian),
        gfn2(molecule),
    )
    assert climbed.energy == pytest.approx(energy, abs=2e-5)


def test_a_path_without_energies_raises():
    molecule, raw = corner()
    guess = model_hessian(molecule, raw[0].positions)
    with pytest.raises(SurfaceError):
        solve(relax_path(molecule, raw, guess), Unreliable(gfn2(molecule), (2,)))
