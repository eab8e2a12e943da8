"""The exact Hessian by differences of gradients, and the normal modes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afir.driver import Search
from afir.geometry import internal_motions, internal_part
from afir.molecule import Molecule, Positions
from afir.quadratic import Matrix, Vector, longest, loosened, model_hessian, vibrations
from afir.stationary import StationaryPoint
from afir.units import WAVENUMBER

STEP = 0.0025
"""Displacement in Å. Larger ones err by up to 3 cm⁻¹, smaller ones meet the SCF's noise."""

NOISE = 10.0
"""An imaginary wavenumber below this (cm⁻¹) is taken for zero when the order is counted."""

_STIFF = 5.0  # eV/Å²: directions that are stiffer in the model need one displacement only
_STIFF_ERROR = 0.1  # eV/Å²: what noise may do to their curvatures
_SMALLEST_STEP, _LARGEST_STEP = 1e-4, 5e-4  # Å: of their displacement; beyond it bends too much
_FLATTEST = 1e-4  # eV/Å²: curvatures below this are as good as none
_FARTHEST = 0.03  # Å: how far the minimum of the quadratic model may be
_GAIN = 1e-5  # eV: and how much lower


def hessian(molecule: Molecule, positions: Positions) -> Search[StationaryPoint]:
    """The Hessian and normal modes of a stationary point.

    Translations and rotations cost nothing: near a stationary point they do not change the
    gradient, so only the 3n − 6 (3n − 5) internal directions are displaced. Soft ones are
    displaced both ways, which also tells the noise of the gradients. Stiff ones, to which little
    noise and a small step do no harm, are displaced one way only: on GFN2-xTB wavenumbers agree
    within 3 cm⁻¹, most within 0.5, with central differences throughout.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å, where the gradient vanishes.

    Returns
    -------
    StationaryPoint
        Costs at most 1 + 2·(3n − 6) gradients, 1 + 2·(3n − 5) for a linear molecule, and about
        two thirds of it where gradients are as exact as those of GFN2-xTB.
    """
    point, _ = yield from hessian_and_gradient(molecule, positions)
    return point


def hessian_and_gradient(
    molecule: Molecule, positions: Positions
) -> Search[tuple[StationaryPoint, Positions]]:
    """The same, and the internal part of the gradient there, (n, 3) in eV/Å."""
    evaluation = yield positions[None]
    energy = float(evaluation.energies[0])
    gradient = internal_part(positions, evaluation.gradients[0])
    gradient_max = float(np.abs(gradient).max())
    directions, stiff = _directions(molecule, positions)
    soft = directions[:, ~stiff]
    columns = yield from _central(positions, soft)
    block = soft.T @ columns
    step = _noise(block) / _STIFF_ERROR
    within = directions[:, stiff]
    if stiff.any() and soft.shape[1] > 1 and step < _LARGEST_STEP:
        rest = yield from _forward(positions, within, gradient.ravel(), max(step, _SMALLEST_STEP))
    else:
        rest = yield from _central(positions, within)
    # What soft and stiff directions have to do with each other the soft ones tell better.
    between = within.T @ columns
    last = within.T @ rest
    mixed = np.block([[0.5 * (block + block.T), between.T], [between, 0.5 * (last + last.T)]])
    basis = np.concatenate([soft, within], axis=1)
    matrix = basis @ mixed @ basis.T
    return normal_modes(molecule, positions, energy, gradient_max, matrix), gradient


def _directions(molecule: Molecule, positions: Positions) -> tuple[Matrix, NDArray[np.bool_]]:
    """Orthonormal internal directions (3n, m), and which a model takes for stiff ones."""
    internal = internal_motions(positions)
    model = model_hessian(molecule, positions) + loosened(molecule, positions)
    values, vectors = np.linalg.eigh(internal.T @ model @ internal)
    return internal @ vectors, values > _STIFF


def _central(positions: Positions, directions: Matrix) -> Search[Matrix]:
    """The Hessian times directions (3n, m) by central differences."""
    if not directions.shape[1]:
        return np.zeros_like(directions)
    shifts = STEP * directions.T.reshape(-1, *positions.shape)
    evaluation = yield np.concatenate([positions + shifts, positions - shifts])
    gradients = evaluation.gradients.reshape(2, len(shifts), positions.size)
    result: Matrix = (gradients[0] - gradients[1]).T / (2.0 * STEP)
    return result


def _forward(
    positions: Positions, directions: Matrix, gradient: Vector, step: float
) -> Search[Matrix]:
    """The same by forward differences from the gradient (3n,) at the centre."""
    evaluation = yield positions + step * directions.T.reshape(-1, *positions.shape)
    change = evaluation.gradients.reshape(directions.shape[1], positions.size) - gradient
    result: Matrix = change.T / step
    return result


def _noise(block: Matrix) -> float:
    """Noise of a gradient in eV/Å, told by how unsymmetric central differences came out."""
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
    return longest(vectors @ amounts) < _FARTHEST and gain < _GAIN


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
