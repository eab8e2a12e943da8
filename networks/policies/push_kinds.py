"""Equivalent pushes: the same atoms in the same bonding graph, whatever the geometry.

Conformers and structures with freely rotating groups have the same pushes again and again; after
one of them the others seldom find anything new.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afir.geometry.bonds import bonds
from afir.methods.displacements import Inversion, Kick, Term, Uphill
from afir.molecule import Molecule, Positions

_LARGEST = 2**64 - 1
# First numbers of displacements, apart from those of forces.
_KICK, _INVERSION, _CLIMB = 2**62, 2**62 + 2**61, 2**63
_ROUNDS = 5  # of refinement: the distance in bonds up to which environments are distinguished

Colours = NDArray[np.uint64]


def push_kinds(
    molecule: Molecule, positions: Positions, pushes: Sequence[Sequence[Term]]
) -> list[int]:
    """A number for each push of a structure, the same for equivalent pushes.

    Two pushes have the same number when an isomorphism of the bonding graphs carries the forces
    of one into those of the other. Colours are refined by those of bonded neighbours
    (Weisfeiler and Leman), each atom beginning with its element and its part in the push, so
    that in rare cases different pushes share a number, too. The numbers do not depend on the
    machine or the session.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å.
    pushes
        The force terms, or the displacement, of each.
    """
    adjacency = bonds(molecule, positions).astype(np.uint64)
    elements = _mixed(np.asarray(molecule.numbers, dtype=np.uint64))
    bare = _refined(elements[None], adjacency)[0]
    colours = [int(colour) for colour in bare]
    parts = np.array([_parts(colours, push) for push in pushes], dtype=np.uint64)
    parts = parts.reshape(-1, len(bare))
    return [int(x) for x in _refined(_mixed(parts + bare), adjacency).sum(axis=1)]


def _parts(bare: list[int], push: Sequence[Term]) -> list[int]:
    """A number (n,) for the part of each atom in a push; forces and their sides have no order."""
    result = [0] * len(bare)
    for term in push:
        if isinstance(term, Uphill | Kick):
            # The same for all atoms: random geometries are equivalent, and so are climbs of a mode.
            part = _mixed_one(_KICK if isinstance(term, Kick) else _CLIMB + term.mode)
            result = [(value + part) & _LARGEST for value in result]
            continue
        if isinstance(term, Inversion):
            result[term.atom] = (result[term.atom] + _mixed_one(_INVERSION)) & _LARGEST
            continue
        sides = [sum(bare[atom] for atom in side) & _LARGEST for side in (term.a, term.b)]
        force = _mixed_one(_mixed_one(sides[0]) + _mixed_one(sides[1]) + term.direction + 1)
        for side, colour in zip((term.a, term.b), sides, strict=True):
            part = _mixed_one(force + _mixed_one(_mixed_one(colour)))
            for atom in side:
                result[atom] = (result[atom] + part) & _LARGEST
    return result


def _refined(colours: Colours, adjacency: Colours) -> Colours:
    """The colours (k, n) of atoms, refined by those of their neighbours."""
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
