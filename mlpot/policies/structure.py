"""What the features of offers need of a structure: its bonds, its elements, how it gives way."""

from __future__ import annotations

from functools import cached_property, lru_cache

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from afir.elements import ELECTRONEGATIVITIES, RADII, period, valence_electrons
from afir.geometry.bonds import bond_lengths, bonds, distances
from afir.hessians.modes import vibrations
from afir.molecule import Molecule
from afir.policies import Structure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ELEMENT = ("electronegativity", "covalent radius", "valence electrons", "period")
"""The descriptors of an element."""
BONDING = ("bonded atoms", "bond orders", "free valence", "unsaturation", "bonded hydrogens")
"""The descriptors of an atom in its molecule."""

FARTHEST = 8.0
"""Bonds between two atoms beyond which it does not matter how many; chosen."""

_DECAY = 0.308  # Å: Pauling's bond orders, 0.71 Å for a factor of ten (10.1021/ja01195a024)
_SOFT = 0.05  # eV/Å²: modes below are rotations of groups, and give way without end; chosen


@lru_cache(maxsize=8)
def elements_of(molecule: Molecule) -> Floats:
    """(n, 4) the descriptors `ELEMENT` of each atom."""
    return np.array(
        [
            (ELECTRONEGATIVITIES[number], RADII[number], valence_electrons(number), period(number))
            for number in molecule.numbers
        ]
    )


class DescribedStructure:
    """A structure as the features see it; arrays are worked out when they are needed.

    Parameters
    ----------
    molecule
        The molecule.
    eq
        The structure.
    """

    def __init__(self, molecule: Molecule, eq: Structure) -> None:
        self.molecule = molecule
        self.eq = eq
        self.x = np.asarray(eq.positions, dtype=np.float64)
        self.adjacency = bonds(molecule, self.x)
        lengths = bond_lengths(molecule)
        self.relative = distances(self.x) / lengths
        np.fill_diagonal(self.relative, np.inf)
        self.lengths = lengths
        self.orders: Floats = np.where(
            self.adjacency, np.exp((1.0 - self.relative) * lengths / _DECAY), 0.0
        )
        arms = self.x[None] - self.x[:, None]
        self.towards: Floats = arms / np.maximum(distances(self.x), 1e-9)[:, :, None]

    @cached_property
    def graph(self) -> Floats:
        """(n, n) number of bonds between two atoms; `FARTHEST` in different molecules.

        In one molecule one less is the most.
        """
        steps = np.where(self.adjacency, 1.0, np.inf)
        np.fill_diagonal(steps, 0.0)
        for atom in range(len(steps)):
            steps = np.minimum(steps, steps[:, [atom]] + steps[[atom]])
        result: Floats = np.where(np.isinf(steps), FARTHEST, np.minimum(steps, FARTHEST - 1.0))
        return result

    @cached_property
    def in_ring(self) -> NDArray[np.bool_]:
        """(n, n) whether two atoms are bonded in a ring."""
        graph: nx.Graph[int] = nx.Graph(np.argwhere(np.triu(self.adjacency)).tolist())
        rings = self.adjacency.copy()
        for i, j in nx.bridges(graph):
            rings[i, j] = rings[j, i] = False
        return rings

    @cached_property
    def atoms(self) -> Floats:
        """(n, 5) the descriptors `BONDING` of each atom."""
        neighbours = self.adjacency.sum(axis=1)
        total = self.orders.sum(axis=1)
        hydrogens = self.adjacency @ np.equal(self.molecule.numbers, 1).astype(float)
        unsaturation = np.maximum(self.orders.max(axis=1, initial=0.0) - 1.0, 0.0)
        return np.column_stack([neighbours, total, self.valence - total, unsaturation, hydrogens])

    @cached_property
    def valence(self) -> Floats:
        """(n,) the usual number of bonds of each atom."""
        electrons = elements_of(self.molecule)[:, 2]
        result: Floats = np.minimum(electrons, np.maximum(8.0 - electrons, 0.0))
        result[np.equal(self.molecule.numbers, 1)] = 1.0
        return result

    @cached_property
    def compliance(self) -> Floats:
        """(3n, 3n) in Å²/eV: the inverse Hessian without its softest modes."""
        values, vectors = vibrations(np.asarray(self.eq.hessian), self.x)
        stiff = values > _SOFT
        result: Floats = (vectors[:, stiff] / values[stiff]) @ vectors[:, stiff].T
        return result

    def moved(self, forces: Floats) -> Floats:
        """(k, 3n) how far the structure gives way to forces (k, 3n), in the harmonic picture.

        The same to the last bit for a force, whatever others there are: no product of matrices.
        """
        result: Floats = (self.compliance * forces[:, None, :]).sum(axis=2)
        return result

    @cached_property
    def modes(self) -> Floats:
        """(m, n, 3) the normal modes in plain coordinates, the softest first, of unit length."""
        root = np.sqrt(self.molecule.masses)
        _, vectors = vibrations(np.asarray(self.eq.hessian), self.x, root)
        moves = vectors.T.reshape(-1, len(root), 3) / root[:, None]
        result: Floats = moves / np.linalg.norm(moves, axis=(1, 2), keepdims=True)
        return result
