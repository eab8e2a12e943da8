"""Distances between atoms, and which of them are bonds.

Distances are in units of the usual length of a single bond between the two elements
(`relative_distances`). All limits are here, side by side. Their statistics are from `tests/data` on
GFN2-xTB: 647 bonds and 3155 other pairs of atoms of equilibrium structures, and the 104 pairs
whose bonds the 36 reference reactions make or break, in their transition states.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from afir.molecule import Molecule, Positions

OVERLAP_FACTOR = 0.3
"""Atoms nearer than this overlap, which is an error: no bond has a third of its usual length."""

STRETCHED_FACTOR = 1.1
"""Bonds longer than this react: 5 of the 647 bonds are longer, and 82 % of the pairs in transition
states."""

CLEAR_FACTOR = 1.25
"""Atoms nearer than this are clearly bonded, as all the bonds are: one side of a bond that a push
made or broke, and pairs that are pulled and never pushed."""

BOND_FACTOR = 1.3
"""Atoms nearer than this are bonded: in fragments, names, the network and reports. It lies in the
gap between the longest bond, 1.25, and the nearest other pair, 1.39."""

BREAKING_FACTOR = 1.5
"""Up to this a reacting bond has its own force: three quarters of the pairs in transition states.
Forces on atoms farther apart are strain of other bonds."""

GONE_FACTOR = 1.6
"""Atoms farther apart than this are clearly not bonded, as all but 12 of the other pairs: the other
side of a bond that a push made or broke."""

APART_FACTOR = 1.8
"""Atoms farther apart than this do not react: 94 % of the pairs in transition states are nearer."""

# Fragments are apart beyond this, whatever limit in Å is set: above all limits of what reacts.
_ROOM_FACTOR = 2.0
_H2_LENGTH = 0.77  # Å: of H2, on GFN2-xTB 0.776
# Å: between hydrogen atoms that have less than an electron each. On GFN2-xTB the bonds of H3+ and
# H2+ are 1.03 Å long, those of H5+ up to 1.09 Å. In other electron-deficient molecules (B2H6,
# CH5+, C2H5+) no bond is longer than 1.2 times its usual length.
_SHARED_LENGTH = 0.9


def distances(positions: Positions) -> NDArray[np.float64]:
    """(n, n) distances in Å of a geometry (n, 3) in Å."""
    result: NDArray[np.float64] = np.sqrt(squared_distances(positions))
    return result


def squared_distances(positions: Positions) -> NDArray[np.float64]:
    """(n, n) squares of the distances in Å² of a geometry (n, 3) in Å; read only."""
    return _squared_distances(np.asarray(positions, np.float64).tobytes())


@lru_cache(maxsize=4)
def _squared_distances(place: bytes) -> NDArray[np.float64]:
    """`squared_distances` of positions as bytes, cached: every step needs them several times."""
    positions = np.frombuffer(place).reshape(-1, 3)
    difference = positions[:, None] - positions[None]
    result: NDArray[np.float64] = np.vecdot(difference, difference)
    result.setflags(write=False)
    return result


@lru_cache(maxsize=8)
def bond_lengths(molecule: Molecule) -> NDArray[np.float64]:
    """(n, n) the usual length in Å of a single bond between each two atoms; read only.

    The sum of their covalent radii, but 0.77 Å between two hydrogen atoms: the radius of hydrogen
    is that of its bonds to other elements, which would make H₂ 0.64 Å long and take a relaxed one
    for a bond that breaks. In a cation of hydrogen alone, such as H₃⁺, it is 0.9 Å: there three
    atoms share the two electrons that hold H₂ together.
    """
    lengths: NDArray[np.float64] = molecule.radii[:, None] + molecule.radii[None]
    hydrogen = np.equal(molecule.numbers, 1)
    shared = bool(hydrogen.all()) and molecule.charge > 0
    lengths[hydrogen[:, None] & hydrogen] = _SHARED_LENGTH if shared else _H2_LENGTH
    lengths.setflags(write=False)
    return lengths


def relative_distances(molecule: Molecule, positions: Positions) -> NDArray[np.float64]:
    """(n, n) distances of a geometry (n, 3) in Å in units of `bond_lengths`: about 1 for a bond."""
    ratios: NDArray[np.float64] = distances(positions) / bond_lengths(molecule)
    return ratios


def bonds(
    molecule: Molecule, positions: Positions, factor: float = BOND_FACTOR
) -> NDArray[np.bool_]:
    """(n, n) adjacency of a geometry (n, 3) in Å: `relative_distances` below `factor`.

    False on the diagonal.
    """
    adjacency: NDArray[np.bool_] = squared_distances(positions) < _reach(molecule, factor)
    return adjacency


@lru_cache(maxsize=32)
def _reach(molecule: Molecule, factor: float) -> NDArray[np.float64]:
    """(n, n) squares in Å² of the distances below which atoms are bonded; 0 on the diagonal."""
    squares = (factor * bond_lengths(molecule)) ** 2
    np.fill_diagonal(squares, 0.0)
    squares.setflags(write=False)
    return squares


def bonds_changed(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> int:
    """The number of bonds that one adjacency matrix (n, n) has and the other has not."""
    return int(np.triu(first ^ second).sum())


def rebonded(molecule: Molecule, first: Positions, second: Positions) -> bool:
    """Whether a bond that one geometry (n, 3) in Å clearly has is clearly gone in the other.

    Clear means below `CLEAR_FACTOR` here and above `GONE_FACTOR` there: this is for structures on
    their way, with half-made bonds. Of minima `bonds` tell, as names do.
    """
    return any(
        bool((bonds(molecule, one, CLEAR_FACTOR) & ~bonds(molecule, other, GONE_FACTOR)).any())
        for one, other in ((first, second), (second, first))
    )


def brief_changes(molecule: Molecule, first: Positions, second: Positions) -> tuple[str, ...]:
    """What `bond_changes` tells of two geometries (n, 3) in Å, in brief.

    The bonds that are broken, as ``-C0–H2``, then those that are made, as ``+O1–H2``.
    """
    before, after = bonds(molecule, first), bonds(molecule, second)
    return tuple(
        f"{sign}{molecule.symbols[i]}{i}–{molecule.symbols[j]}{j}"
        for sign, found in (("-", before & ~after), ("+", after & ~before))
        for i, j in np.argwhere(np.triu(found))
    )


def bond_changes(molecule: Molecule, first: Positions, second: Positions) -> tuple[str, ...]:
    """The bonds that were made or broken between two geometries, as text.

    Parameters
    ----------
    molecule
        The molecule.
    first, second
        (n, 3) in Å, in the same order of atoms.

    Returns
    -------
    tuple of str
        One text a bond, such as ``C0–O5 made (2.40 → 1.41 Å)``, in the order of the atoms.
    """
    after = bonds(molecule, second)
    was, now = distances(first), distances(second)
    return tuple(
        f"{molecule.symbols[i]}{i}–{molecule.symbols[j]}{j} {'made' if after[i, j] else 'broken'} "
        f"({was[i, j]:.2f} → {now[i, j]:.2f} Å)"
        for i, j in np.argwhere(np.triu(bonds(molecule, first) ^ after))
    )


def components(
    molecule: Molecule, positions: Positions, factor: float = BOND_FACTOR
) -> list[tuple[int, ...]]:
    """The fragments of a geometry (n, 3) in Å as atom indices, each sorted, by first atom."""
    return list(_components(molecule, np.asarray(positions, np.float64).tobytes(), factor))


@lru_cache(maxsize=8)
def _components(molecule: Molecule, place: bytes, factor: float) -> tuple[tuple[int, ...], ...]:
    """`components` of positions as bytes, cached: every step needs them twice."""
    adjacency = bonds(molecule, np.frombuffer(place).reshape(-1, 3), factor)
    # Sets of atoms as the bits of integers: 2 to 30 times as fast as SciPy's search in graphs.
    packed = np.packbits(adjacency, axis=1, bitorder="little")
    width, data = packed.shape[1], packed.tobytes()
    neighbours = [
        int.from_bytes(data[start : start + width], "little")
        for start in range(0, len(data), width)
    ]
    unseen = (1 << molecule.n_atoms) - 1
    found = []
    while unseen:
        edge = unseen & -unseen
        component = []
        while edge:
            bit = edge & -edge
            atom = bit.bit_length() - 1
            component.append(atom)
            unseen &= ~bit
            edge = (edge | neighbours[atom]) & unseen
        found.append(tuple(sorted(component)))
    return tuple(found)


def gap(molecule: Molecule, positions: Positions) -> float:
    """The smallest distance in Å between components of a geometry (n, 3) in Å; inf if there is one.

    Of a geometry (n, 3) in Å. When there are more than two components it is the largest of the
    gaps that have to be bridged to join them all, so that one fragment that has left is noticed.
    """
    return _widest(components(molecule, positions), distances(positions))


def _widest(parts: list[tuple[int, ...]], r: NDArray[np.float64]) -> float:
    """The longest link of the minimum spanning tree of all parts; inf for a single one.

    Parameters
    ----------
    parts
        The fragments.
    r
        (n, n) distances of the atoms in any unit.
    """
    # Prim's algorithm by hand: SciPy's takes 20 times as long for the two or three parts there are.
    if len(parts) == 1:
        return float("inf")
    joined = list(parts[0])
    rest = parts[1:]
    widest = 0.0
    while rest:
        near = r.take(joined, 0)
        reach = [float(near.take(part, 1).min()) for part in rest]
        nearest = int(np.argmin(reach))
        widest = max(widest, reach[nearest])
        joined.extend(rest.pop(nearest))
    return widest


def dissociated(molecule: Molecule, positions: Positions, limit: float) -> bool:
    """Whether two or more components of a geometry (n, 3) in Å are more than `limit` Å apart.

    Between atoms so large that twice the usual length of their bond exceeds the limit, that counts.
    """
    parts = components(molecule, positions)
    if len(parts) == 1:
        return False
    return _widest(parts, distances(positions) / _room(molecule, limit)) > limit


@lru_cache(maxsize=8)
def _room(molecule: Molecule, limit: float) -> NDArray[np.float64]:
    """(n, n) distances of atoms that count as far apart, in units of `limit`."""
    room = np.maximum(_ROOM_FACTOR * bond_lengths(molecule) / limit, 1.0)
    room.setflags(write=False)
    return room
