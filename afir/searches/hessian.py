"""The exact Hessian by differences of gradients, and the normal modes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afir.driver import Search
from afir.geometry import internal_motions, internal_part
from afir.molecule import Molecule, Positions
from afir.quadratic import Matrix, loosened, model_hessian, vibrations
from afir.stationary import StationaryPoint
from afir.units import WAVENUMBER

STEP = 0.0025
"""Displacement in Å of central differences. Larger ones err by up to 3 cm⁻¹, smaller ones meet the
SCF's noise."""

NOISE = 10.0
"""An imaginary wavenumber below this (cm⁻¹) is taken for zero when the order is counted."""

_STIFF = 5.0  # eV/Å²: directions that are stiffer in the model are displaced last
_STIFF_ERROR = 0.1  # eV/Å²: what noise may do to their curvatures
_SMALLEST_STEP, _LARGEST_STEP = 1e-4, 5e-4  # Å: of their displacement; beyond it bends too much
_FLATTEST = 1e-4  # eV/Å²: curvatures below this are as good as none
_FARTHEST = 0.05  # Å: how far the stationary point of the quadratic model may be (norm)
_GAIN = 1e-5  # eV: and how much lower


def hessian(molecule: Molecule, positions: Positions) -> Search[StationaryPoint]:
    """The Hessian and normal modes of a stationary point.

    Translations and rotations cost nothing: near a stationary point they do not change the
    gradient, so only the 3n − 6 (3n − 5) internal directions are displaced. Soft ones are
    displaced both ways, which also tells the noise of the gradients. Where there is little, a
    much smaller displacement one way does for the stiff ones: on GFN2-xTB wavenumbers agree
    within 1 cm⁻¹ with central differences throughout, but for rare ones within 3.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å, where the gradient vanishes.

    Returns
    -------
    StationaryPoint
        Costs at most 1 + 2·(3n − 6) gradients, 1 + 2·(3n − 5) for a linear molecule; about two
        thirds of it where gradients are as exact as those of GFN2-xTB.
    """
    measured = yield from measure(molecule, positions)
    return measured.point


@dataclass(frozen=True)
class Measured:
    """What displacing a structure told.

    Attributes
    ----------
    point
        The stationary point; not `whole`, its stiff curvatures are those of a model.
    gradient
        (n, 3) the internal part of the gradient there in eV/Å.
    whole
        Whether every direction was displaced.
    """

    point: StationaryPoint
    gradient: Positions
    whole: bool


def measure(
    molecule: Molecule,
    positions: Positions,
    worthwhile: Callable[[StationaryPoint, Positions], bool] | None = None,
) -> Search[Measured]:
    """The Hessian of `hessian`, given up when half of it says enough.

    Parameters
    ----------
    molecule, positions
        As for `hessian`.
    worthwhile
        Asked, with the point and its gradient, when the soft directions have been displaced,
        which tell how flat the surface is and most of what is concave. If it says no, the stiff
        ones are left as the model has them. Without it the Hessian is always whole.
    """
    evaluation = yield positions[None]
    energy = float(evaluation.energies[0])
    gradient = internal_part(positions, evaluation.gradients[0])

    def described(columns: Matrix, whole: bool) -> Measured:
        matrix = basis @ (0.5 * (columns + columns.T)) @ basis.T
        largest = float(np.abs(gradient).max())
        point = normal_modes(molecule, positions, energy, largest, matrix)
        return Measured(point, gradient, whole)

    internal = internal_motions(positions)
    model = internal.T @ (model_hessian(molecule, positions) + loosened(molecule, positions))
    values, vectors = np.linalg.eigh(model @ internal)
    basis = internal @ vectors
    soft = int((values < _STIFF).sum())
    columns = yield from _central(positions, basis[:, :soft])
    block = np.diag(values)
    # What soft directions have to do with stiff ones is left out: the model is too rough to say
    # how much that softens them, so that what looks too soft even now is.
    block[:soft, :soft] = basis[:, :soft].T @ columns
    part = described(block, False)
    if worthwhile is not None and soft < len(values) and not worthwhile(part.point, gradient):
        return part
    step = _noise(block[:soft, :soft]) / _STIFF_ERROR
    if step < _LARGEST_STEP:
        step = max(step, _SMALLEST_STEP)
        stiff = yield from _forward(positions, basis[:, soft:], evaluation.gradients[0], step)
    else:
        stiff = yield from _central(positions, basis[:, soft:])
    whole = basis.T @ np.concatenate([columns, stiff], axis=1)
    # What soft and stiff directions have to do with each other the soft ones tell better.
    whole[:soft, soft:] = whole[soft:, :soft].T
    return described(whole, True)


def _central(positions: Positions, directions: Matrix) -> Search[Matrix]:
    """The Hessian times directions (3n, m) by central differences."""
    if not directions.shape[1]:
        return directions
    shifts = STEP * directions.T.reshape(-1, *positions.shape)
    evaluation = yield np.concatenate([positions + shifts, positions - shifts])
    gradients = evaluation.gradients.reshape(2, len(shifts), positions.size)
    result: Matrix = (gradients[0] - gradients[1]).T / (2.0 * STEP)
    return result


def _forward(
    positions: Positions, directions: Matrix, gradient: Positions, step: float
) -> Search[Matrix]:
    """The same by differences from the gradient (n, 3) at the centre."""
    if not directions.shape[1]:
        return directions
    evaluation = yield positions + step * directions.T.reshape(-1, *positions.shape)
    changes = (evaluation.gradients - gradient).reshape(-1, positions.size)
    result: Matrix = changes.T / step
    return result


def _noise(block: Matrix) -> float:
    """Noise of a gradient in eV/Å, told by how unsymmetric central differences (m, m) came out."""
    if len(block) < 2:
        return np.inf
    upper = np.triu_indices(len(block), 1)
    # Each entry is the difference of two gradients over twice the step.
    return float(np.sqrt(((block - block.T)[upper] ** 2).mean())) * STEP


def arrived(point: StationaryPoint, gradient: Positions) -> bool:
    """Whether the stationary point of the quadratic model is where the point is.

    On a flat surface a small gradient (n, 3) in eV/Å proves nothing: the Newton step tells how
    far it still is.
    """
    values, vectors = vibrations(point.hessian, point.positions)
    slopes = vectors.T @ gradient.ravel()
    amounts = slopes / np.maximum(np.abs(values), _FLATTEST)
    gain = 0.5 * float(np.abs(slopes * amounts).sum())
    return float(np.linalg.norm(amounts)) < _FARTHEST and gain < _GAIN


def normal_modes(
    molecule: Molecule, positions: Positions, energy: float, gradient_max: float, matrix: Matrix
) -> StationaryPoint:
    """The stationary point that a Hessian (3n, 3n) in eV/Å² describes."""
    root = np.sqrt(molecule.masses)
    values, vectors = vibrations(matrix, positions, root)
    wavenumbers = WAVENUMBER * np.sign(values) * np.sqrt(np.abs(values))
    mode = vectors[:, 0].reshape(positions.shape) / root[:, None]
    return StationaryPoint(
        positions=np.array(positions),
        energy=energy,
        gradient_max=gradient_max,
        hessian=matrix,
        wavenumbers=wavenumbers,
        mode=mode / np.linalg.norm(mode),
        order=int((wavenumbers < -NOISE).sum()),
    )
