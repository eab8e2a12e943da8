"""Relaxation of a path on a Gaussian process, for surfaces with costly gradients.

A Gaussian process (`afir.pes.gaussian_process`) first learns the points of the push. The path
relaxes on it without further gradients, and its peaks climb to the saddle points of the process.
Then the surface is evaluated once, at the highest uncertain peak or where the path is most
uncertain, the process learns the result, and the relaxation starts again from the path of the push,
until every peak is one on the surface too (10.1063/1.4986787).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from afir.geometry.superposition import cumulative_length, displacement, internal_part
from afir.hessians.modes import vibrations
from afir.hessians.steps import uphill_step
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.pes.gaussian_process import GaussianProcess
from afir.searches.minimum import PathPoint
from afir.searches.path import (
    Peak,
    in_line,
    moved_images,
    nearest_image,
    peaks,
    perpendicular,
    spread_images,
    tangents_of,
)
from afir.searches.settings import StepSettings

# Chosen, not fitted; what it costs is in benchmarks/RESULTS.md, "Paths on a Gaussian process".
_LEARNT, _GAP = (
    60,
    0.12,
)  # largest number of learned points of a push, and least distance in Å between them
_UNSURE = 0.25  # eV: the path does not move where its standard deviation is larger
_CLEAR = 0.1  # eV: largest standard deviation of its energy if peaks are known
_SURE = 0.02  # eV: the same if none is known
_ROUNDS, _RELAXED = 20, 0.05  # of a path on the process; eV/Å perpendicular to it
_CLIMBS, _RADIUS, _FLAT = 30, 0.1, 0.01  # of a peak on it; Å a step; eV/Å at its end
_REACH = 0.6  # Å: no atom of a peak climbs further
_FOUND = 0.3  # eV/Å: gradient of the surface at a peak below which a saddle search takes over
_NEAR, _SAME = 0.1, 0.01  # Å an atom: an evaluation there holds here; the same place


def relax_on_surrogate(
    molecule: Molecule,
    points: Sequence[PathPoint],
    settings: StepSettings | None = None,
    *,
    trace: list[PathPoint] | None = None,
) -> Search[tuple[Peak, ...]]:
    """Relax a raw path on a Gaussian process and return its peaks.

    Parameters
    ----------
    molecule
        The molecule.
    points
        The raw path with true energies and gradients; the first and the last stay fixed.
    settings
        Image spacing, the most gradients, and peak height.
    trace
        Filled with the images of the relaxed path on the process, both ends included.

    Returns
    -------
    tuple of Peak
        In the order of the path; energies and Hessians are those of the process.

    Raises
    ------
    SurfaceError
        When the surface fails on an image.
    """
    limits = settings or StepSettings()
    points = in_line(points)
    start, _ = spread_images(np.array([p.positions for p in points]), limits.path_spacing)
    paid = _thinned(points)
    process = GaussianProcess(
        np.array([point.positions for point in paid]),
        np.array([point.energy for point in paid]),
        np.array([point.gradient for point in paid]),
    )
    answers: list[PathPoint] = []
    for spent in range(limits.path_gradients + 1):
        images = _relaxed(process, start)
        tops = _tops(process, images, limits.peak_height)
        asked = _asked(process, images, tops, answers)
        if asked is None or spent == limits.path_gradients:
            break
        evaluation = yield asked[None]
        gradient = internal_part(asked, evaluation.gradients[0])
        process.learn(asked[None], evaluation.energies, gradient[None])
        answers.append(PathPoint(asked, float(evaluation.energies[0]), gradient))
    if trace is not None:
        trace += _points(process, images)
    return tops


def _thinned(points: Sequence[PathPoint]) -> list[PathPoint]:
    """Points of a path at some distance from each other, both ends included."""
    lengths = cumulative_length(np.array([point.positions for point in points]))
    gap = max(_GAP, lengths[-1] / _LEARNT)
    kept = [0]
    for index in range(1, len(points) - 1):
        if lengths[index] - lengths[kept[-1]] >= gap and lengths[-1] - lengths[index] > 0.5 * gap:
            kept.append(index)
    return [points[index] for index in (*kept, len(points) - 1)]


def _relaxed(process: GaussianProcess, images: Positions) -> Positions:
    """The images (m, n, 3) relaxed on the process where it is certain enough."""
    every = range(1, len(images) - 1)
    unsure = process.deviations(images)
    for _ in range(_ROUNDS):
        gradients = process.predict(images).gradients
        tangents = tangents_of(images)
        if max(perpendicular(gradients[i], tangents[i]) for i in every) < _RELAXED:
            break
        moved = moved_images(images, gradients, list(process.hessians(images)))
        then = process.deviations(moved)
        stay = (then > _UNSURE) & (then > unsure)
        if stay[1:-1].all():
            break
        moved[stay], then[stay] = images[stay], unsure[stay]
        images, unsure = moved, then
    return images


def _points(process: GaussianProcess, images: Positions) -> list[PathPoint]:
    """The images of a path with energies and gradients of the process."""
    said = process.predict(images)
    return [PathPoint(*item) for item in zip(images, said.energies, said.gradients, strict=True)]


def _tops(process: GaussianProcess, images: Positions, height: float) -> tuple[Peak, ...]:
    """The peaks of a path on the process, climbed to its saddle points, without duplicates."""
    found: list[Peak] = []
    for top in peaks(_points(process, images), list(process.hessians(images)), height):
        climbed = _climbed(process, images, top)
        if not any(displacement(other.positions, climbed.positions) < _NEAR for other in found):
            found.append(climbed)
    return tuple(found)


def _climbed(process: GaussianProcess, images: Positions, top: Peak) -> Peak:
    """A peak after a saddle search on the process, which ends where the process is uncertain."""
    x, direction = top.positions, top.tangent.ravel()
    if process.deviations(x[None])[0] > _UNSURE:
        x = images[nearest_image(images, x)]  # the interpolation has failed
    start = x
    for _ in range(_CLIMBS):
        gradient = process.predict(x[None]).gradients[0]
        if np.abs(gradient).max() < _FLAT:
            break
        values, vectors = vibrations(process.hessians(x[None])[0], x)
        mode = int(np.argmax(np.abs(vectors.T @ direction)))
        if values[mode] > 0.0 > values[0]:
            mode = 0
        direction = vectors[:, mode]
        step = uphill_step(values, vectors, gradient.ravel(), mode, _RADIUS)
        trial = x + step.reshape(x.shape)
        reach = np.linalg.norm(trial - start, axis=1).max()
        if reach > _REACH or process.deviations(trial[None])[0] > _UNSURE:
            break
        x = trial
    energy = float(process.predict(x[None]).energies[0])
    return Peak(x, direction.reshape(x.shape), energy, process.hessians(x[None])[0])


def _asked(
    process: GaussianProcess,
    images: Positions,
    tops: Sequence[Peak],
    answers: Sequence[PathPoint],
) -> Positions | None:
    """The next geometry (n, 3) to evaluate on the surface; None if the process is certain."""
    for top in sorted(tops, key=lambda top: -top.energy):
        away = [displacement(point.positions, top.positions) for point in answers]
        flat = [np.abs(point.gradient).max() < _FOUND for point in answers]
        certain = any(
            far < _SAME or (level and far < _NEAR) for far, level in zip(away, flat, strict=True)
        )
        if not certain:
            return top.positions
    unsure = process.deviations(images)
    worst = int(np.argmax(unsure))
    return images[worst] if unsure[worst] > (_CLEAR if tops else _SURE) else None
