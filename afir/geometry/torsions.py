"""Internal rotations about the acyclic bonds of a structure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afir.geometry.bonds import bonds
from afir.molecule import Molecule, Positions

# Å: an end whose atoms lie no further from the axis does not turn. Hydrogen of a bent end is 0.9 Å
# away, of a straight one less than 0.1 Å.
_LEVER = 0.3


class Halves(NamedTuple):
    """An acyclic bond: its atoms a and b, and the indices (m,) of all on either side, sorted."""

    a: int
    b: int
    here: NDArray[np.intp]
    there: NDArray[np.intp]


def halves(adjacency: NDArray[np.bool_]) -> Iterator[Halves]:
    """The acyclic bonds of an adjacency matrix (n, n) with more than one atom on both sides."""
    for a, b in np.argwhere(np.triu(adjacency)).tolist():
        here, there = _side(adjacency, a, b), _side(adjacency, b, a)
        if len(here) > 1 and len(there) > 1 and b not in here:
            yield Halves(a, b, here, there)


def _side(adjacency: NDArray[np.bool_], a: int, b: int) -> NDArray[np.intp]:
    """The atoms that can be reached from a without the bond to b, sorted."""
    # By hand: SciPy's connected_components takes three to seven times as long for 9 to 14 atoms.
    found, queue = {a}, [a]
    while queue:
        atom = queue.pop()
        for other in np.flatnonzero(adjacency[atom]).tolist():
            if other not in found and {atom, other} != {a, b}:
                found.add(other)
                queue.append(other)
    return np.array(sorted(found), dtype=np.intp)


def rotations(molecule: Molecule, positions: Positions) -> list[NDArray[np.float64]]:
    """The internal rotations of a structure (n, 3) in Å, in the order of their bonds.

    Returns
    -------
    list of (n, 3)
        The displacement in Å for an angle of one radian between both ends of a bond, single or
        not, without angular momentum about it. None where all atoms of an end lie on the axis.
    """
    found = []
    for a, b, here, there in halves(bonds(molecule, positions)):
        along = positions[b] - positions[a]
        turned = np.cross(along / np.linalg.norm(along), positions - positions[a])
        squares = (turned**2).sum(axis=1)
        if min(squares[here].max(), squares[there].max()) < _LEVER**2:
            continue
        inertia = molecule.masses * squares
        first, second = inertia[here].sum(), inertia[there].sum()
        motion = np.zeros_like(positions)
        motion[here] = -second / (first + second) * turned[here]
        motion[there] = first / (first + second) * turned[there]
        found.append(motion)
    return found
