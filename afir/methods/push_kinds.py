"""Equivalent offers: the same atoms in the same bonding graph, whatever the geometry.

Conformers and structures with freely rotating groups have the same offers again and again; after
one of them the others seldom find anything new.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from afir.geometry.bonds import bonds
from afir.methods.base import Offer
from afir.molecule import Molecule, Positions

_LARGEST = 2**64 - 1  # of the unsigned integers that colours are
_ROUNDS = 5  # of refinement: the distance in bonds up to which environments are distinguished

Colours = NDArray[np.uint64]
_Force = tuple[tuple[int, ...], tuple[int, ...], int]  # two fragments and a sign


def push_kinds(
    molecule: Molecule, positions: Positions, offers: Sequence[Offer | None]
) -> list[int]:
    """A number for each offer on a structure, the same for equivalent offers.

    Two pushes have the same number when an isomorphism of the bonding graphs carries the forces
    of one into those of the other. Colours are refined by those of bonded neighbours
    (Weisfeiler and Leman), each atom beginning with its element and its part in the push, so
    that in rare cases different pushes share a number, too. Offers without forces are equivalent
    if their methods, kinds, modes and atoms are: random geometries, or both ways of a mode. The
    numbers do not depend on the machine or the session.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å.
    offers
        The offers; None stands for the structure alone.
    """
    adjacency = bonds(molecule, positions).astype(np.uint64)
    elements = _mixed(np.asarray(molecule.numbers, dtype=np.uint64))
    bare = _refined(elements[None], adjacency)[0]
    colours = [int(colour) for colour in bare]
    forces: dict[_Force, tuple[int, int]] = {}  # many offers have the same
    parts = np.array([_parts(colours, offer, forces) for offer in offers], dtype=np.uint64)
    parts = parts.reshape(-1, len(bare))
    return [int(x) for x in _refined(_mixed(parts + bare), adjacency).sum(axis=1)]


def bonding_kinds(molecule: Molecule, adjacencies: NDArray[np.bool_]) -> list[int]:
    """A number for each bonding graph, that of `push_kinds` for a structure alone.

    Parameters
    ----------
    molecule
        The molecule.
    adjacencies
        (m, n, n) which atoms are bonded.
    """
    graphs = adjacencies.astype(np.uint64)
    elements = _mixed(np.asarray(molecule.numbers, dtype=np.uint64))
    colours = np.broadcast_to(elements, (len(graphs), 1, molecule.n_atoms))
    bare = _refined(colours, graphs)
    return [int(x) for x in _refined(_mixed(bare), graphs).sum(axis=(1, 2))]


def _parts(bare: list[int], offer: Offer | None, known: dict[_Force, tuple[int, int]]) -> list[int]:
    """A number (n,) for the part of each atom in a trial; forces and their sides have no order."""
    result = [0] * len(bare)
    if offer is None:
        return result
    if not offer.forces:
        data = offer.data
        part = _label(json.dumps([offer.method, data.get("kind"), data.get("mode")]))
        for atom in data.get("atoms") or range(len(bare)):
            result[atom] = part
    for force in offer.forces:
        first, second = map(tuple, force["fragments"])
        acting = first, second, force["sign"]
        if acting not in known:
            known[acting] = _sides(bare, acting)
        for fragment, part in zip((first, second), known[acting], strict=True):
            for atom in fragment:
                result[atom] = (result[atom] + part) & _LARGEST
    return result


def _sides(bare: list[int], force: _Force) -> tuple[int, int]:
    """A number for the part of the atoms on either side of a force."""
    first, second = (sum(bare[atom] for atom in fragment) & _LARGEST for fragment in force[:2])
    both = _mixed_one(_mixed_one(first) + _mixed_one(second) + force[2] + 1)
    one, other = (_mixed_one(both + _mixed_one(_mixed_one(side))) for side in (first, second))
    return one, other


@lru_cache(maxsize=1 << 12)
def _label(text: str) -> int:
    """A number for a text, the same in every session."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def _refined(colours: Colours, adjacency: Colours) -> Colours:
    """The colours (…, k, n) of atoms, refined by those of their neighbours."""
    for _ in range(_ROUNDS):
        colours = _mixed(colours + _mixed(colours * np.uint64(3)) @ adjacency)
    return colours


def _mixed(x: Colours) -> Colours:
    """Numbers without a pattern; arithmetic modulo 2⁶⁴ (the finaliser of SplitMix64)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Colours = x ^ (x >> np.uint64(31))
    return result


def _mixed_one(x: int) -> int:
    """The same for one number: faster without NumPy for a few."""
    x = (x + 0x9E3779B97F4A7C15) & _LARGEST
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _LARGEST
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _LARGEST
    return x ^ (x >> 31)
