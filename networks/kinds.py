"""Pushes of one kind: the same atoms of the same bonding, whatever the geometry.

Conformers and structures with freely turning groups offer the same pushes again and again, and
what one of them has brought the others seldom add to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afir.force import ForceTerm
from afir.geometry import bonds
from afir.molecule import Molecule, Positions

_ROUNDS = 5  # of looking at neighbours: as far as environments are told apart, in bonds

Colours = NDArray[np.uint64]


def push_kinds(
    molecule: Molecule, positions: Positions, pushes: Sequence[Sequence[ForceTerm]]
) -> list[int]:
    """A number for the kind of each push of a structure.

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
        The force terms of each push.
    """
    adjacency = bonds(molecule, positions).astype(np.uint64)
    elements = _mixed(np.asarray(molecule.numbers, dtype=np.uint64))
    bare = _refined(elements[None], adjacency)[0]
    parts = np.zeros((len(pushes), len(bare)), dtype=np.uint64)
    for part, push in zip(parts, pushes, strict=True):
        part += _parts(bare, push)
    return [int(x) for x in _refined(_mixed(parts + bare), adjacency).sum(axis=1)]


def _parts(bare: Colours, push: Sequence[ForceTerm]) -> Colours:
    """What each atom (n,) takes part in; the sides of a force and the forces have no order."""
    result = np.zeros_like(bare)
    for term in push:
        sides = [bare[list(side)].sum(keepdims=True) for side in (term.a, term.b)]
        force = _mixed(_mixed(sides[0]) + _mixed(sides[1]) + np.uint64(term.direction + 1))
        for side, colour in zip((term.a, term.b), sides, strict=True):
            result[list(side)] += _mixed(force + _mixed(_mixed(colour)))
    return result


def _refined(colours: Colours, adjacency: Colours) -> Colours:
    """The colours (k, n) of atoms after looking at their neighbours."""
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
