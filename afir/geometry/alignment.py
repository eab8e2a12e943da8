"""Alignment: a structure brought as close to another as like atoms, rotation and mirror allow.

Unlike `afir.geometry.symmetry.congruence`, which proves that no closer mapping exists, this starts
from a few likely permutations and improves each by turns of superposition and assignment
(Hungarian method, 10.1002/nav.3800020109). It takes some tenths of a millisecond, and it may miss
the closest mapping of structures that are far apart or highly symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afir.geometry.superposition import turn
from afir.geometry.symmetry import assigned, environments
from afir.molecule import Positions

_ROUNDS = 5  # superpositions of one start; most need two. Chosen, not fitted
_CLOSER = 1e-9  # Å: a mapping that is no closer than this is not better


@dataclass(frozen=True, eq=False)
class Alignment:
    """The mapping of one structure onto another.

    Attributes
    ----------
    permutation
        (n,) indices: ``moving[permutation]`` has the order of atoms of the reference.
    rotation
        (3, 3) orthogonal: a vector v of the moved structure becomes ``v @ rotation``. Its
        determinant is −1 if the structure is mirrored.
    positions
        (n, 3) in Å: the moved structure on the reference.
    rmsd
        Root mean square distance in Å from the reference.
    """

    permutation: NDArray[np.intp]
    rotation: NDArray[np.float64]
    positions: Positions
    rmsd: float

    def hessian(self, hessian: NDArray[np.float64]) -> NDArray[np.float64]:
        """The Hessian (3n, 3n) of the moved structure, any unit, in its new place."""
        n = len(self.permutation)
        order, turned = self.permutation, self.rotation
        blocks = hessian.reshape(n, 3, n, 3)[order][:, :, order].transpose(0, 2, 1, 3)
        moved: NDArray[np.float64] = (turned.T @ blocks @ turned).transpose(0, 2, 1, 3)
        return moved.reshape(3 * n, 3 * n)


def align(numbers: Sequence[int], reference: Positions, moving: Positions) -> Alignment:
    """Bring a structure onto another one of the same molecule.

    Parameters
    ----------
    numbers
        (n,) atomic numbers of both.
    reference, moving
        (n, 3) in Å.
    """
    z = np.asarray(numbers, dtype=np.int64)
    centroid = reference.mean(axis=0)
    x, y = reference - centroid, moving - moving.mean(axis=0)
    surroundings = environments(z, x)[:, None] - environments(z, y)[None]
    # By their surroundings atoms are told apart; equivalent ones may lie in the order given.
    starts = assigned(z, np.einsum("ijk,ijk->ij", surroundings, surroundings)), np.arange(len(z))
    best: Alignment | None = None
    for hand in (1.0, -1.0):
        for start in starts:
            found = _improved(z, x, hand * y, start)
            if best is None or found.rmsd < best.rmsd - _CLOSER:
                best = Alignment(
                    found.permutation, hand * found.rotation, found.positions + centroid, found.rmsd
                )
    assert best is not None
    return best


def _improved(
    z: NDArray[np.int64], x: Positions, y: Positions, permutation: NDArray[np.intp]
) -> Alignment:
    """The mapping of y onto x, both about their centroids, that a permutation leads to."""
    for _ in range(_ROUNDS):
        rotation = turn(x, y[permutation])
        turned = y @ rotation
        apart = x[:, None] - turned[None]
        again = assigned(z, np.einsum("ijk,ijk->ij", apart, apart))
        if np.array_equal(again, permutation):
            break
        permutation = again
    else:
        rotation = turn(x, y[permutation])
    moved = (y @ rotation)[permutation]
    away = x - moved
    return Alignment(permutation, rotation, moved, float(np.sqrt((away * away).sum() / len(z))))
