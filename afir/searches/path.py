"""Relaxing a path between two minima, and its peaks.

A push gives a path that lies too high: the force that carries it over the barrier also bends
it. Locally updated planes (10.1016/0009-2614(91)90057-S) relax images of it perpendicular to
the path. Each image carries its own Hessian, handed down from the push and updated by every
gradient paid for. The whole path moves once, with the gradients of the push; from then on only
the images at its peaks do, for nothing else is asked of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from afir.driver import Search
from afir.geometry import cumulative_length, superpose, turn
from afir.molecule import Molecule, Positions
from afir.quadratic import Matrix, Vector, bofill, downhill_step, vibrations
from afir.searches.minimum import PathPoint
from afir.searches.settings import StepSettings
from afir.units import KJ_PER_MOL

_FEWEST, _MOST = 5, 9  # free images
_IMAGE_STEP = 0.15  # Å: longest perpendicular move of one atom a round
_NEIGHBOUR = 0.6  # Å: images closer than this teach each other's Hessian
_RELAXED = 0.35  # eV/Å: perpendicular gradient at the peaks below which a saddle search takes over


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


def path_hessians(points: Sequence[PathPoint], hessian: Matrix) -> list[Matrix]:
    """Hessian estimates (3n, 3n) along a path, from that of its first point.

    Bofill updates with the gradients that were paid for on the way.
    """
    hessians = [hessian]
    for first, second in pairwise(points):
        step = (second.positions - first.positions).ravel()
        change = (second.gradient - first.gradient).ravel()
        hessians.append(bofill(hessians[-1], step, change))
    return hessians


def peaks(
    points: Sequence[PathPoint], hessians: Sequence[Matrix], height: float
) -> tuple[Peak, ...]:
    """The maxima of the energy along a path.

    Parameters
    ----------
    points
        In order, ends included.
    hessians
        An estimate for each point.
    height
        A maximum counts when the energy falls by more than this on both sides before it
        rises above it, in kJ/mol.

    Returns
    -------
    tuple of Peak
        In the order of the path; energy, place and tangent from a cubic interpolation that
        honours the gradients.
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

    A valley reaches to the next higher point. (SciPy's ``find_peaks`` does the same, but to
    import ``scipy.signal`` takes a worker a second.)
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
) -> Search[tuple[Peak, ...]]:
    """Relax a raw path by locally updated planes and return its peaks.

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
    raw_hessians = path_hessians(points, hessian)
    images, places = spread_images(raw, limits.path_spacing)
    count = len(images) - 2
    hessians = [raw_hessians[int(np.argmin(np.abs(lengths - place)))] for place in places]
    energies = np.array([points[0].energy, *np.zeros(count), points[-1].energy])
    gradients = _between(lengths[keep], slopes[keep], places)
    every = list(range(1, count + 1))
    tops: tuple[Peak, ...] = ()
    for _ in range(limits.path_rounds):
        at_peaks = {nearest_image(images, top.positions) for top in tops}
        moving = [index for index in every if index in at_peaks] if tops else every
        if not moving:
            break
        before, slopes_before = images, gradients.copy()
        images = moved_images(images, gradients, hessians, moving)
        evaluation = yield images[moving]
        energies[moving] = evaluation.energies
        gradients[moving] = evaluation.gradients
        for index in moving:
            hessians[index] = bofill(
                hessians[index],
                (images[index] - before[index]).ravel(),
                (gradients[index] - slopes_before[index]).ravel(),
            )
            for other in (index - 1, index + 1):
                step = (images[other] - images[index]).ravel()
                if np.linalg.norm(step) < _NEIGHBOUR:
                    change = (gradients[other] - gradients[index]).ravel()
                    hessians[index] = bofill(hessians[index], step, change)
        relaxed = [PathPoint(*item) for item in zip(images, energies, gradients, strict=True)]
        tops = peaks(relaxed, hessians, limits.peak_height)
        tangents = tangents_of(images)
        if tops and all(
            perpendicular(gradients[near], tangents[near]) < _RELAXED
            for near in (nearest_image(images, top.positions) for top in tops)
        ):
            break
    return tops


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
    """Which of some images (m, n, 3) is nearest to a geometry (n, 3), as they lie."""
    return int(np.argmin(((images - x) ** 2).sum(axis=(1, 2))))


def tangents_of(images: Positions) -> Positions:
    """Unit tangents (m, n, 3) of a chain of images."""
    slopes = CubicSpline(cumulative_length(images), images)(cumulative_length(images), 1)
    result: Positions = (
        slopes / np.linalg.norm(slopes.reshape(len(images), -1), axis=1)[:, None, None]
    )
    return result


def perpendicular(gradient: Positions, tangent: Positions) -> float:
    """Largest component of the gradient perpendicular to the path, in eV/Å."""
    return float(np.abs(gradient - (gradient * tangent).sum() * tangent).max())


def moved_images(
    images: Positions, gradients: Positions, hessians: Sequence[Matrix], moving: Sequence[int]
) -> Positions:
    """The images after one perpendicular step of some; after one of all, evenly spread again."""
    tangents = tangents_of(images)
    moved = images.copy()
    for index in moving:
        tangent = tangents[index].ravel()
        slope = gradients[index].ravel()
        slope = slope - (slope @ tangent) * tangent
        step = _perpendicular_step(images[index], hessians[index], slope, tangent)
        moved[index] += step.reshape(images[index].shape)
    if len(moving) < len(images) - 2:
        return moved
    for index in range(1, len(moved)):
        moved[index] = superpose(moved[index - 1], moved[index])
    lengths = cumulative_length(moved)
    spread: Positions = CubicSpline(lengths, moved)(np.linspace(0.0, lengths[-1], len(moved)))
    return spread


def _perpendicular_step(x: Positions, hessian: Matrix, slope: Vector, tangent: Vector) -> Vector:
    """A limited Newton step that leaves the tangent alone."""
    product = hessian @ tangent
    outer = np.outer(tangent, product)
    # The tangent gets a stiff eigenvalue of its own: no step along it.
    flat = hessian - outer - outer.T + (float(tangent @ product) + 1e4) * np.outer(tangent, tangent)
    values, vectors = vibrations(flat, x)
    return downhill_step(np.maximum(np.abs(values), 1.0), vectors, slope, _IMAGE_STEP)
