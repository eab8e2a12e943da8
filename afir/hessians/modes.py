"""Vibrations: eigenvalues and eigenvectors of Hessians without rigid motions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afir.geometry.superposition import projectors
from afir.molecule import Positions

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
_RIGID_EIGENVALUE = 1e6  # eV/Å²: above every real mode, of some 300 at most; chosen


def vibrations(
    hessian: Matrix, positions: Positions, weights: Vector | None = None
) -> tuple[Vector, Matrix]:
    """Eigenvalues and eigenvectors of a Hessian, translations and rotations removed.

    Parameters
    ----------
    hessian
        (3n, 3n) in eV/Å².
    positions
        (n, 3) in Å.
    weights
        (n,) square roots of the masses for normal modes; plain coordinates if not given.

    Returns
    -------
    values : (m,)
        Ascending, in eV/Å² (eV/Å²/amu with weights).
    vectors : (3n, m)
        Orthonormal, in the same coordinates.
    """
    inside, rigid, count = projectors(positions, weights)
    if weights is not None:
        root = np.repeat(weights, 3)
        hessian = hessian / root[:, None] / root
    projected = inside @ hessian @ inside
    projected += _RIGID_EIGENVALUE * rigid
    values, vectors = np.linalg.eigh(projected)
    keep = len(values) - count
    return values[:keep], vectors[:, :keep]
