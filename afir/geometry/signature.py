"""Signatures of structures: numbers that do not depend on the order of like atoms.

Neither do they depend on position, orientation or handedness, so that they tell quickly which of
many structures may be the same as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from afir.geometry.bonds import distances
from afir.molecule import Positions


def signature(numbers: Sequence[int], positions: Positions) -> NDArray[np.float64]:
    """(n(n − 1)/2,) inverse distances in Å⁻¹, sorted within each pair of elements.

    Parameters
    ----------
    numbers
        (n,) atomic numbers.
    positions
        (n, 3) in Å.
    """
    i, j, kinds = _pairs(tuple(numbers))
    inverse: NDArray[np.float64] = 1.0 / distances(positions)[i, j]
    return inverse[np.lexsort((inverse, kinds))]


@lru_cache(maxsize=16)
def _pairs(
    numbers: tuple[int, ...],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """Every pair of atoms once, as two index arrays, and a number for its two elements."""
    i, j = np.triu_indices(len(numbers), 1)
    z = np.asarray(numbers, dtype=np.int64)
    return i, j, np.minimum(z[i], z[j]) * 1000 + np.maximum(z[i], z[j])
