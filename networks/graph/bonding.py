"""The bonding graphs of the molecules in a geometry, whatever the order of like atoms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import networkx as nx
import numpy as np

from afir.geometry.bonds import bonds, components
from afir.molecule import Molecule, Positions

Graph: TypeAlias = "nx.MultiGraph[str]"
Signature: TypeAlias = tuple[tuple[tuple[str, tuple[str, ...]], ...], ...]


@dataclass(frozen=True, eq=False)
class Bonding:
    """The bonding graphs of the molecules of a geometry; made by `bonding`."""

    signature: Signature
    """Element and bonded neighbours of each atom, sorted: the same for equal molecules. A hash of
    Weisfeiler and Lehman takes as long as all the rest, and `same` decides anyway."""
    _graphs: tuple[Graph, ...]

    def same(self, other: Bonding) -> bool:
        """Whether the molecules of both can be paired so that bonds map onto bonds."""
        if self.signature != other.signature:
            return False
        left = list(other._graphs)
        for graph in self._graphs:
            for place, candidate in enumerate(left):
                if nx.is_isomorphic(graph, candidate, node_match=_same_element):
                    del left[place]
                    break
            else:
                return False
        return not left


def bonding(molecule: Molecule, positions: Positions) -> Bonding:
    """The bonding of a geometry (n, 3) in Å."""
    adjacency = bonds(molecule, positions)
    symbols = molecule.symbols
    found = []
    for part in components(molecule, positions):
        graph: Graph = nx.Graph((i, j) for i in part for j in part if i < j and adjacency[i, j])
        graph.add_nodes_from((i, {"element": symbols[i]}) for i in part)
        neighbourhood = tuple(
            sorted(
                (symbols[i], tuple(sorted(symbols[j] for j in np.flatnonzero(adjacency[i]))))
                for i in part
            )
        )
        found.append((neighbourhood, graph))
    found.sort(key=lambda item: item[0])
    return Bonding(tuple(item[0] for item in found), tuple(item[1] for item in found))


def _same_element(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    return first["element"] == second["element"]
