"""The exact Hessian by central differences, and the normal modes."""

from __future__ import annotations

import numpy as np

from afir.driver import Search
from afir.geometry import internal_motions, internal_part
from afir.molecule import Molecule, Positions
from afir.quadratic import Matrix, vibrations
from afir.stationary import StationaryPoint
from afir.units import WAVENUMBER

STEP = 0.0025
"""Displacement in Å. Larger ones err by up to 3 cm⁻¹, smaller ones meet the SCF's noise."""

NOISE = 10.0
"""An imaginary wavenumber below this (cm⁻¹) is taken for zero when the order is counted."""


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
    evaluation = yield positions[None]
    energy = float(evaluation.energies[0])
    gradient_max = float(np.abs(internal_part(positions, evaluation.gradients[0])).max())
    size = positions.size
    internal = internal_motions(positions)
    shifts = STEP * internal.T.reshape(-1, *positions.shape)
    evaluation = yield np.concatenate([positions + shifts, positions - shifts])
    gradients = evaluation.gradients.reshape(2, len(shifts), size)
    columns = (gradients[0] - gradients[1]) / (2.0 * STEP)
    block = columns @ internal
    matrix = internal @ (0.5 * (block + block.T)) @ internal.T
    return normal_modes(molecule, positions, energy, gradient_max, matrix)


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
