"""Relaxation of a path between two minima, and its peaks.

The path of a push lies too high, since the force distorts it. Locally updated planes
(10.1016/0009-2614(91)90057-S) relax images of it perpendicular to the path. Each image has its own
Hessian, inherited from the push, updated by every gradient and turned with its atoms. The whole
path moves a few times; then only its peaks do, each as a new image: saddle searches start only
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from afir.geometry.superposition import (
    cumulative_length,
    local_turns,
    superpose,
    turn,
    turned_back,
    turned_hessian,
)
from afir.hessians.model import bond_tension, surroundings
from afir.hessians.modes import Matrix, Vector, vibrations
from afir.hessians.steps import downhill_step
from afir.hessians.updates import bofill
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.searches.minimum import PathPoint
from afir.searches.settings import StepSettings
from afir.units import KJ_PER_MOL

# Chosen, not fitted, but for `_WHOLE`.
_FEWEST, _MOST = 5, 9  # free images
_IMAGE_STEP = 0.15  # Å: largest perpendicular displacement of one atom in a round
_NEIGHBOUR = 0.6  # Å (Euclidean norm): images closer than this update each other's Hessian
_RELAXED = 0.35  # eV/Å: perpendicular gradient at the peaks below which a saddle search takes over
# Fitted on pushes of butadiene, cyclobutene, fluoroethane, hydroxyacetone and allyl phenyl ether:
# after one round of the whole path the peaks of 20 atoms are still far from transition states.
_WHOLE = 3  # rounds in which all images move, at most
_GAP = 0.4  # Å (Euclidean norm): an image closer to a peak than this is replaced by that peak


@dataclass(frozen=True)
class Peak:
    """A maximum of the energy along a path: the guess of a saddle search.

    Attributes
    ----------
    positions
        (n, 3) in Å.
    tangent
        (n, 3) unit direction of the path.
    energy
        eV, interpolated.
    hessian
        (3n, 3n) estimate in eV/Å².
    """

    positions: Positions
    tangent: Positions
    energy: float
    hessian: Matrix


@dataclass(frozen=True)
class _Image:
    """A point of a path with an estimate of its Hessian (3n, 3n) in eV/Å²."""

    point: PathPoint
    hessian: Matrix


def path_hessians(molecule: Molecule, points: Sequence[PathPoint], hessian: Matrix) -> list[Matrix]:
    """Hessian estimates, (3n, 3n) in eV/Å², along a path, from that of its first point.

    Bofill updates with the gradients of the path. The Hessian of an atom turns with its
    surroundings.
    """
    hessians = [hessian]
    for first, second in pairwise(points):
        hessians.append(_carried(molecule, hessians[-1], first, second))
    return hessians


def _carried(molecule: Molecule, hessian: Matrix, first: PathPoint, second: PathPoint) -> Matrix:
    """The Hessian (3n, 3n) of a point of a path, carried to another one."""
    before, after = first.positions, second.positions
    turns = local_turns(surroundings(molecule, before), before, after)
    change = turned_back(turns, second.gradient) - first.gradient
    learnt = bofill(hessian, (after - before).ravel(), change.ravel())
    # The tension part is known at both points; the rest turns.
    rest = learnt - bond_tension(molecule, before, first.gradient.ravel())
    return turned_hessian(turns, rest) + bond_tension(molecule, after, second.gradient.ravel())


def peaks(
    points: Sequence[PathPoint], hessians: Sequence[Matrix], height: float
) -> tuple[Peak, ...]:
    """The maxima of the energy along a path.

    Parameters
    ----------
    points
        In order, ends included.
    hessians
        An estimate for each point, (3n, 3n) in eV/Å².
    height
        A maximum counts if the energy falls by more than this on both sides before it rises above
        it, in kJ/mol.

    Returns
    -------
    tuple of Peak
        In the order of the path; energy, position and tangent from a cubic interpolation of
        energies and gradients.
    """
    path = np.array([point.positions for point in points])
    lengths = cumulative_length(path)
    keep = np.concatenate([[True], np.diff(lengths) > 1e-6])
    chosen = [index for index in range(len(points)) if keep[index]]
    if len(chosen) < 3:
        return ()
    s = lengths[chosen]
    curve = CubicSpline(s, path[chosen])
    tangents = curve(s, 1)
    slopes = [
        float((points[index].gradient * tangent).sum())
        for index, tangent in zip(chosen, tangents, strict=True)
    ]
    energy = CubicHermiteSpline(s, [points[index].energy for index in chosen], slopes)
    grid = np.unique(np.concatenate([s, np.linspace(0.0, s[-1], 20 * len(s))]))
    values = energy(grid)
    found = []
    for top in _prominent(values, height * KJ_PER_MOL):
        place = float(grid[top])
        nearest = int(np.argmin(np.abs(s - place)))
        tangent = curve(place, 1)
        hessian = hessians[chosen[nearest]]
        for other in (nearest - 1, nearest + 1):
            if 0 <= other < len(chosen):
                a, b = points[chosen[nearest]], points[chosen[other]]
                hessian = bofill(
                    hessian,
                    (b.positions - a.positions).ravel(),
                    (b.gradient - a.gradient).ravel(),
                )
        found.append(
            Peak(curve(place), tangent / np.linalg.norm(tangent), float(values[top]), hessian)
        )
    return tuple(found)


def _prominent(values: Vector, height: float) -> list[int]:
    """Indices of the inner maxima that stand `height` above the valleys on both sides.

    A valley reaches to the next higher point. (SciPy's ``find_peaks`` does the same, but importing
    ``scipy.signal`` takes a second in each worker.)
    """
    tops = []
    for top in range(1, len(values) - 1):
        if not values[top - 1] < values[top] >= values[top + 1]:
            continue
        higher = np.flatnonzero(values > values[top])
        first = int(higher[higher < top].max(initial=0))
        last = int(higher[higher > top].min(initial=len(values) - 1))
        valley = max(values[first:top].min(), values[top : last + 1].min())
        if values[top] - valley >= height:
            tops.append(top)
    return tops


def relax_path(
    molecule: Molecule,
    points: Sequence[PathPoint],
    hessian: Matrix,
    settings: StepSettings | None = None,
    *,
    trace: list[PathPoint] | None = None,
) -> Search[tuple[Peak, ...]]:
    """Relax a raw path by locally updated planes and return its peaks.

    It ends when all peaks are relaxed, or none is left.

    Parameters
    ----------
    molecule
        The molecule.
    points
        The raw path with true energies and gradients; the first and the last stay fixed.
    hessian
        (3n, 3n) estimate at the first point in eV/Å².
    settings
        Image spacing, rounds and peak height.
    trace
        Filled with the images of the relaxed path, both ends included.

    Raises
    ------
    SurfaceError
        When the surface fails on an image.
    """
    limits = settings or StepSettings()
    points = in_line(points)
    raw = np.array([point.positions for point in points])
    slopes = np.array([point.gradient for point in points])
    lengths = cumulative_length(raw)
    keep = np.concatenate([[True], np.diff(lengths) > 1e-6])
    raw_hessians = path_hessians(molecule, points, hessian)
    images, places = spread_images(raw, limits.path_spacing)
    nearest = [int(np.argmin(np.abs(lengths - place))) for place in places]
    chain = [
        _Image(PathPoint(x, points[near].energy, slope), raw_hessians[near])
        for x, slope, near in zip(
            images, _between(lengths[keep], slopes[keep], places), nearest, strict=True
        )
    ]
    tops: tuple[Peak, ...] = ()
    for number in range(limits.path_rounds):
        rough = [top for top in tops if not _is_relaxed(chain, top)]
        if number and not rough:
            break
        if number < _WHOLE:
            chain = yield from _all_moved(molecule, chain)
        else:
            chain = yield from _tops_moved(molecule, chain, rough)
        points = [image.point for image in chain]
        tops = peaks(points, [image.hessian for image in chain], limits.peak_height)
    if trace is not None:
        trace += [image.point for image in chain]
    return tops


def _positions(chain: Sequence[_Image]) -> Positions:
    """Where the images are, (m, n, 3) in Å."""
    return np.array([image.point.positions for image in chain])


def _is_relaxed(chain: Sequence[_Image], top: Peak) -> bool:
    """Whether an image close to a peak has a small gradient across the path.

    The ends do not count: they are fixed minima.
    """
    images = _positions(chain)
    near = nearest_image(images, top.positions)
    gradient = chain[near].point.gradient
    return (
        0 < near < len(chain) - 1
        and float(np.linalg.norm(images[near] - top.positions)) < _GAP
        and perpendicular(gradient, tangents_of(images)[near]) < _RELAXED
    )


def _all_moved(molecule: Molecule, chain: Sequence[_Image]) -> Search[list[_Image]]:
    """The chain after one step of every image between its ends."""
    gradients = np.array([image.point.gradient for image in chain])
    moved = moved_images(_positions(chain), gradients, [image.hessian for image in chain])
    evaluation = yield moved[1:-1]
    inner = []
    for before, x, energy, gradient in zip(
        chain[1:-1], moved[1:-1], evaluation.energies, evaluation.gradients, strict=True
    ):
        point = PathPoint(x, float(energy), gradient)
        inner.append(_Image(point, _carried(molecule, before.hessian, before.point, point)))
    # The far end turns with the path, and so does its Hessian.
    last = chain[-1]
    way = turn(moved[-1], last.point.positions)
    point = PathPoint(moved[-1], last.point.energy, last.point.gradient @ way)
    turns = np.broadcast_to(way.T, (molecule.n_atoms, 3, 3))
    return [chain[0], *inner, _Image(point, turned_hessian(turns, last.hessian))]


def _tops_moved(
    molecule: Molecule, chain: Sequence[_Image], tops: Sequence[Peak]
) -> Search[list[_Image]]:
    """The chain with new images at its peaks, which are in order, one step across the path."""
    images = _positions(chain)
    sides, asked = [], []
    for top in tops:
        near = 1 + nearest_image(images[1:-1], top.positions)
        ahead = float(((top.positions - images[near]) * top.tangent).sum()) > 0.0
        other = near + (1 if ahead else -1)
        near_gap, other_gap = (
            float(np.linalg.norm(images[index] - top.positions)) for index in (near, other)
        )
        share = near_gap / (near_gap + other_gap)
        slope = (1.0 - share) * chain[near].point.gradient + share * chain[other].point.gradient
        step = _perpendicular_step(top.positions, top.hessian, slope, top.tangent)
        sides.append((near, other, near_gap))
        asked.append(top.positions + step)
    evaluation = yield np.array(asked)
    result = list(chain)
    # From the end, so that earlier indices stay valid.
    for (near, other, gap), x, energy, gradient in reversed(
        list(zip(sides, asked, evaluation.energies, evaluation.gradients, strict=True))
    ):
        point = PathPoint(x, float(energy), gradient)
        hessian = _carried(molecule, chain[near].hessian, chain[near].point, point)
        away = chain[other].point.positions - x
        if np.linalg.norm(away) < _NEIGHBOUR:
            change = chain[other].point.gradient - gradient
            hessian = bofill(hessian, away.ravel(), change.ravel())
        if gap < _GAP and result[near] is chain[near]:
            result[near] = _Image(point, hessian)
        else:
            result.insert(max(near, other), _Image(point, hessian))
    return result


def spread_images(raw: Positions, spacing: float) -> tuple[Positions, Vector]:
    """Images evenly spread along a path, ends included, and their places along it.

    Parameters
    ----------
    raw
        (k, n, 3) in Å, each superposed on the one before.
    spacing
        About how far apart they are, in Å.

    Returns
    -------
    images : (m, n, 3)
    places : (m,)
        In Å from the start.
    """
    lengths = cumulative_length(raw)
    keep = np.concatenate([[True], np.diff(lengths) > 1e-6])
    count = int(np.clip(round(lengths[-1] / spacing) - 1, _FEWEST, _MOST))
    places = np.linspace(0.0, lengths[-1], count + 2)
    images: Positions = CubicSpline(lengths[keep], raw[keep])(places)
    return images, places


def in_line(points: Sequence[PathPoint]) -> list[PathPoint]:
    """Each point superposed on the one before; its gradient turns with it."""
    placed = list(points[:1])
    for point in points[1:]:
        before = placed[-1].positions
        gradient = point.gradient @ turn(before, point.positions)
        placed.append(PathPoint(superpose(before, point.positions), point.energy, gradient))
    return placed


def _between(lengths: Vector, slopes: Positions, places: Vector) -> Positions:
    """Gradients (m, n, 3) at places along a path, linear between those of its points."""
    high = np.clip(np.searchsorted(lengths, places), 1, len(lengths) - 1)
    share = (places - lengths[high - 1]) / (lengths[high] - lengths[high - 1])
    share = np.clip(share, 0.0, 1.0)[:, None, None]
    result: Positions = (1.0 - share) * slopes[high - 1] + share * slopes[high]
    return result


def nearest_image(images: Positions, x: Positions) -> int:
    """Index of the image (m, n, 3) nearest to a geometry, (n, 3) in Å, without superposition."""
    return int(np.argmin(((images - x) ** 2).sum(axis=(1, 2))))


def tangents_of(images: Positions) -> Positions:
    """Unit tangents (m, n, 3) of a chain of images, (m, n, 3) in Å."""
    lengths = cumulative_length(images)
    slopes = CubicSpline(lengths, images)(lengths, 1)
    result: Positions = (
        slopes / np.linalg.norm(slopes.reshape(len(images), -1), axis=1)[:, None, None]
    )
    return result


def perpendicular(gradient: Positions, tangent: Positions) -> float:
    """Largest component of the gradient (n, 3) perpendicular to the path, in eV/Å."""
    return float(np.abs(gradient - (gradient * tangent).sum() * tangent).max())


def moved_images(images: Positions, gradients: Positions, hessians: Sequence[Matrix]) -> Positions:
    """The images, (m, n, 3) in Å, after one step of all but the ends, evenly spread again.

    Their gradients (m, n, 3) are in eV/Å, their Hessians (3n, 3n) in eV/Å².
    """
    tangents = tangents_of(images)
    moved = images.copy()
    for index in range(1, len(images) - 1):
        moved[index] += _perpendicular_step(
            images[index], hessians[index], gradients[index], tangents[index]
        )
    for index in range(1, len(moved)):
        moved[index] = superpose(moved[index - 1], moved[index])
    lengths = cumulative_length(moved)
    spread: Positions = CubicSpline(lengths, moved)(np.linspace(0.0, lengths[-1], len(moved)))
    return spread


def _perpendicular_step(
    x: Positions, hessian: Matrix, gradient: Positions, tangent: Positions
) -> Positions:
    """A limited Newton step (n, 3) perpendicular to the tangent."""
    along, slope = tangent.ravel(), gradient.ravel()
    slope = slope - (slope @ along) * along
    product = hessian @ along
    outer = np.outer(along, product)
    # The tangent gets a stiff eigenvalue of its own: no step along it.
    flat = hessian - outer - outer.T + (float(along @ product) + 1e4) * np.outer(along, along)
    values, vectors = vibrations(flat, x)
    step = downhill_step(np.maximum(np.abs(values), 1.0), vectors, slope, _IMAGE_STEP)
    result: Positions = step.reshape(x.shape)
    return result
