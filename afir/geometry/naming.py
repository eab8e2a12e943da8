"""Names that distinguish isomers: condensed structural formulas on one line."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TypeAlias

import networkx as nx
import numpy as np

from afir.geometry.bonds import bonds
from afir.molecule import Molecule, Positions

Graph: TypeAlias = "nx.Graph[str]"

_USUAL = {"OH2": "H2O", "SH2": "H2S", "FH": "HF", "ClH": "HCl", "BrH": "HBr", "IH": "HI"}
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def names(molecule: Molecule, positions: Positions) -> tuple[str, ...]:
    """The molecules of a geometry, written as condensed structural formulas.

    Hydrogen is written behind the atom it is bonded to, branches stand in parentheses, and two
    atoms with the same raised number close a ring: formaldehyde is ``CH2–O``, acetic acid
    ``CH3–C(–O)–OH``, oxirane ``CH2¹–CH2–O¹``. A dash is a bond of any order, by covalent radii.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å.

    Returns
    -------
    tuple of str
        One name a molecule, sorted. The same for any order of like atoms, except perhaps in
        cages; conformers and stereoisomers share their names.
    """
    return _names(molecule.symbols, np.packbits(bonds(molecule, positions)).tobytes())


@lru_cache(maxsize=1 << 16)
def _names(symbols: tuple[str, ...], bits: bytes) -> tuple[str, ...]:
    """The names for an adjacency matrix as bits, cached for tables, graphs and drawings."""
    n = len(symbols)
    adjacency = np.unpackbits(np.frombuffer(bits, np.uint8), count=n * n).reshape(n, n)
    whole: Graph = nx.Graph()
    for i, symbol in enumerate(symbols):
        whole.add_node(str(i), element=symbol)
    whole.add_edges_from((str(i), str(j)) for i, j in np.argwhere(np.triu(adjacency)).tolist())
    return tuple(sorted(_name(whole.subgraph(part)) for part in nx.connected_components(whole)))


def _name(part: Graph) -> str:
    """The name of one molecule: the possible one with the fewest branches."""
    elements = part.nodes(data="element")
    if set(dict(elements).values()) == {"H"} and len(part) <= 2:
        return "H2" if len(part) == 2 else "H"
    skeleton = part.copy()
    labels = dict(elements)
    for atom, element in elements:
        if element == "H" and part.degree(atom) == 1:
            (partner,) = part.neighbors(atom)
            if labels[partner] != "H":
                skeleton.remove_node(atom)
    for atom in skeleton:
        hydrogens = len(part[atom]) - len(skeleton[atom])
        labels[atom] += "H" * (hydrogens > 0) + (str(hydrogens) if hydrogens > 1 else "")
    ranks = _ranks(skeleton, labels)
    lines = (
        (_line(skeleton, labels, ranks, atom), not labels[atom].startswith("C"))
        for atom in skeleton
    )
    best = min(lines, key=lambda line: (line[0].count("("), line[1], line[0]))[0]
    return _USUAL.get(best, best)


def _ranks(skeleton: Graph, labels: dict[str, str]) -> dict[str, int]:
    """A number for each atom that depends on its surroundings, not on its place in the list.

    Weisfeiler–Lehman refinement by hand: the hashes of NetworkX have no order that means anything,
    and the order decides where a name begins.
    """
    keys: dict[str, object] = {atom: labels[atom] for atom in skeleton}
    ranks: dict[str, int] = {}
    for _ in skeleton:
        order = {key: rank for rank, key in enumerate(sorted(set(keys.values()), key=repr))}
        ranks = {atom: order[key] for atom, key in keys.items()}
        keys = {
            atom: (ranks[atom], tuple(sorted(ranks[other] for other in skeleton[atom])))
            for atom in skeleton
        }
    return ranks


def _line(skeleton: Graph, labels: dict[str, str], ranks: dict[str, int], start: str) -> str:
    """One name of a molecule, starting from a given atom."""
    children: dict[str, list[str]] = {}
    rings: dict[str, list[str]] = {atom: [] for atom in skeleton}
    closed: set[frozenset[str]] = set()

    def walk(atom: str, parent: str | None) -> None:
        children[atom] = []
        for other in sorted(skeleton[atom], key=ranks.__getitem__):
            if other == parent or frozenset((atom, other)) in closed:
                continue
            if other in children:
                closed.add(frozenset((atom, other)))
                mark = str(len(closed)).translate(_SUPERSCRIPTS)
                rings[other].append(mark)
                rings[atom].append(mark)
            else:
                children[atom].append(other)
                walk(other, atom)

    @cache
    def depth(atom: str) -> int:
        return 1 + max(map(depth, children[atom]), default=0)

    @cache
    def write(atom: str) -> str:
        branches = sorted(children[atom], key=lambda other: (depth(other), write(other)))
        text = labels[atom] + "".join(rings[atom])
        text += "".join(f"(–{write(other)})" for other in branches[:-1])
        return text + (f"–{write(branches[-1])}" if branches else "")

    walk(start, None)
    return write(start)
