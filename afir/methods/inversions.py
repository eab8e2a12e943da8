"""Inversions: of a pyramidal atom through its plane, of a bent one through the straight line.

Amines and sulfoxides invert in this way, and so do imines and nitrous acid, whose isomers
interconvert without rotation about a bond. Neither a push nor a normal mode leads far along such a
motion, but its transition state has a known geometry: the atom is in the plane of its three
neighbours, or on the line between two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from afir.geometry.bonds import CLEAR_FACTOR, bonds
from afir.geometry.symmetry import automorphisms
from afir.methods.arrangements import CLASH, apart
from afir.methods.base import Known
from afir.methods.pushes import SYMMETRY_TOLERANCE
from afir.methods.saddle_trial import climb_limits, saddle_trial
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.searches.known import KnownStructures
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import StationaryPoint, TrialResult

# Chosen, not fitted.
_FLAT = 0.1  # Å: an atom nearer to the plane, or the line, is not inverted
_TINY = 1e-9  # Å: against a division by zero


@dataclass(frozen=True)
class Inversions:
    """Inverts atoms: saddle searches from the geometry half way."""

    def offers(self, known: Known, rng: np.random.Generator) -> Iterator[Mapping[str, Any]]:
        """One for each of the `inversions`."""
        for atom in inversions(known.molecule, known.start.positions, known.targets):
            yield {"kind": "inversion", "atoms": [atom]}

    def search(
        self,
        molecule: Molecule,
        start: StationaryPoint,
        data: Mapping[str, Any],
        step: StepSettings,
        *,
        ceiling: float | None,
        rng: np.random.Generator,
        known: KnownStructures | None = None,
    ) -> Search[TrialResult]:
        """The saddle search from the geometry half way, along the inversion."""
        guess, way = inverted(molecule, start.positions, *data["atoms"])
        search = saddle(molecule, guess, climb_limits(step), direction=way, known=known)
        return saddle_trial(search, "inversion", ceiling)


def inversions(
    molecule: Molecule, positions: Positions, targets: Sequence[int] | None = None
) -> list[int]:
    """The atoms of a structure that can be inverted, one of those that symmetry makes equivalent.

    The atoms have three neighbours and are out of their plane, or two and are out of their line.
    Excluded are atoms with two neighbours in a ring and atoms whose three neighbours form a cage.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å.
    targets
        The atoms that may be inverted; all if not given.
    """
    bonded = bonds(molecule, positions, CLEAR_FACTOR)
    symmetry = automorphisms(molecule.numbers, positions, tolerance=SYMMETRY_TOLERANCE)
    found: dict[int, int] = {}  # by the first of the equivalent atoms
    for atom in sorted(range(molecule.n_atoms) if targets is None else set(targets)):
        if _has_room(bonded, atom):
            guess = positions.copy()
            guess[atom] += _way(positions, atom, np.flatnonzero(bonded[atom]).tolist())
            if np.linalg.norm(guess - positions) > _FLAT and apart(molecule, guess, CLASH):
                first = min(permutation[atom] for permutation in symmetry)
                found.setdefault(first, atom)
    return list(found.values())


def inverted(molecule: Molecule, positions: Positions, atom: int) -> tuple[Positions, Positions]:
    """The geometry half way through an inversion.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å.
    atom
        One of `inversions`.

    Returns
    -------
    tuple of ndarray
        (n, 3) in Å, the guess of a transition state, and (n, 3), the unit displacement through it.
    """
    neighbours = np.flatnonzero(bonds(molecule, positions, CLEAR_FACTOR)[atom]).tolist()
    way = _way(positions, atom, neighbours)
    guess, direction = positions.copy(), np.zeros_like(positions)
    guess[atom] += way
    direction[atom] = way / max(float(np.linalg.norm(way)), _TINY)
    return guess, direction


def _way(positions: Positions, atom: int, neighbours: list[int]) -> Positions:
    """(3,) in Å: from an atom to the plane of its three neighbours, or to the line between two."""
    there = positions[neighbours]
    if len(neighbours) == 3:
        normal = np.cross(there[1] - there[0], there[2] - there[0])
        normal /= max(float(np.linalg.norm(normal)), _TINY)  # neighbours in line have no plane
        return np.asarray(normal * float((there[0] - positions[atom]) @ normal))
    # Both bonds are shortened in proportion.
    first, second = np.linalg.norm(there - positions[atom], axis=1)
    foot = (there[0] * second + there[1] * first) / (first + second)
    return np.asarray(foot - positions[atom])


def _has_room(bonded: NDArray[np.bool_], atom: int) -> bool:
    """Whether an atom has two neighbours outside of a ring, or three that form no cage."""
    neighbours = np.flatnonzero(bonded[atom])
    if len(neighbours) == 3:
        return bool(bonded[np.ix_(neighbours, neighbours)].sum() != 6)
    if len(neighbours) != 2:
        return False
    rest = bonded.copy()
    rest[atom] = rest[:, atom] = False
    _, part = connected_components(rest, directed=False)
    return bool(part[neighbours[0]] != part[neighbours[1]])
