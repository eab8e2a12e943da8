"""The exact Hessian by central differences, and the normal modes."""

from __future__ import annotations

import numpy as np

from afir.driver import Search
from afir.geometry import internal_motions, internal_part
from afir.molecule import Molecule, Positions
from afir.quadratic import Matrix, longest, vibrations
from afir.stationary import StationaryPoint
from afir.units import WAVENUMBER

STEP = 0.0025
"""Displacement in Å. Larger ones err by up to 3 cm⁻¹, smaller ones meet the SCF's noise."""

NOISE = 10.0
"""An imaginary wavenumber below this (cm⁻¹) is taken for zero when the order is counted."""

_FLATTEST = 1e-4  # eV/Å²: curvatures below this are as good as none
_FARTHEST = 0.05  # Å: how far the minimum of the quadratic model may be
_GAIN = 1e-5  # eV: and how much lower


def hessian(molecule: Molecule, positions: Positions) -> Search[StationaryPoint]:
    """The Hessian and normal modes of a stationary point.

    Translations and rotations cost nothing: near a stationary point they do not change the
    gradient, so only the 3n − 6 (3n − 5) internal directions are displaced. All displaced
    geometries are asked for at once.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å, where the gradient vanishes.

    Returns
    -------
    StationaryPoint
        Costs 1 + 2·(3n − 6) gradients, 1 + 2·(3n − 5) for a linear molecule.
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
    size = positions.size
    internal = internal_motions(positions)
    shifts = STEP * internal.T.reshape(-1, *positions.shape)
    evaluation = yield np.concatenate([positions + shifts, positions - shifts])
    gradients = evaluation.gradients.reshape(2, len(shifts), size)
    columns = (gradients[0] - gradients[1]) / (2.0 * STEP)
    block = columns @ internal
    matrix = internal @ (0.5 * (block + block.T)) @ internal.T
    gradient_max = float(np.abs(gradient).max())
    return normal_modes(molecule, positions, energy, gradient_max, matrix), gradient


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
