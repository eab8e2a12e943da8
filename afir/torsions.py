"""Internal rotations: what turns about the bonds of a structure that are in no ring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afir.geometry import bonds
from afir.molecule import Molecule, Positions

_LEVER = 0.3  # Å: an end whose atoms lie no further from the axis does not turn


@dataclass(frozen=True)
class Rotor:
    """Two ends of a molecule that turn against each other about a bond.

    Attributes
    ----------
    axis
        The two atoms of the bond.
    first, second
        The atoms on the side of either, itself included.
    """

    axis: tuple[int, int]
    first: tuple[int, ...]
    second: tuple[int, ...]

    def motion(self, molecule: Molecule, positions: Positions) -> NDArray[np.float64]:
        """The displacement (n, 3) of the rotation, without angular momentum about the axis.

        In Å for an angle of one radian between both ends.
        """
        origin, tip = positions[list(self.axis)]
        along = (tip - origin) / np.linalg.norm(tip - origin)
        turned = np.cross(along, positions - origin)
        inertia = molecule.masses * (turned**2).sum(axis=1)
        first, second = list(self.first), list(self.second)
        a, b = inertia[first].sum(), inertia[second].sum()
        motion = np.zeros_like(positions)
        motion[first] = -b / (a + b) * turned[first]
        motion[second] = a / (a + b) * turned[second]
        return motion


def rotors(molecule: Molecule, positions: Positions) -> list[Rotor]:
    """The internal rotations of a structure (n, 3) in Å, in the order of their bonds.

    About every bond that is in no ring and has atoms off its axis on both sides, single or not.
    """
    adjacency = bonds(molecule, positions)
    found = []
    for i, j in np.argwhere(np.triu(adjacency)).tolist():
        first = _side(adjacency, i, j)
        if j in first:
            continue  # a ring
        second = _side(adjacency, j, i)
        along = positions[j] - positions[i]
        arms = np.cross(along / np.linalg.norm(along), positions - positions[i])
        lever = np.linalg.norm(arms, axis=1)
        if min(lever[list(side)].max() for side in (first, second)) > _LEVER:
            found.append(Rotor((i, j), first, second))
    return found


def _side(adjacency: NDArray[np.bool_], atom: int, other: int) -> tuple[int, ...]:
    """The atoms that hang together with one when its bond to the other is cut."""
    seen, edge = {atom}, [atom]
    while edge:
        here = edge.pop()
        for near in np.flatnonzero(adjacency[here]).tolist():
            if near not in seen and (here, near) != (atom, other):
                seen.add(near)
                edge.append(near)
    return tuple(sorted(seen))
