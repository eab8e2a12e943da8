"""Displacements of a structure from which saddle searches start, besides pushes.

Pushes need bonds to change. Internal rotations, inversions and many rearrangements of a small
molecule cost less by a saddle search that starts close to the structure: up a mode, half way
through an inversion (`afir.methods.inversions`), or at random.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from afir.errors import InputError
from afir.geometry.bonds import distances
from afir.hessians.modes import vibrations
from afir.hessians.steps import longest
from afir.methods.artificial_force import ForceTerm
from afir.molecule import Molecule, Positions
from afir.stationary import StationaryPoint

UPHILL = 0.15
"""Å (norm): displacement along a mode from which a search starts. Chosen, not fitted."""

FEWEST_ATOMS = 3
"""Two atoms have no saddle point."""

# Å⁻¹: both ways of a mode are equivalent when no inverse distance differs more. Chosen, not fitted:
# some 0.005 Å of a bond.
_ALIKE = 2e-3


@dataclass(frozen=True)
class Uphill:
    """A climb along a normal mode.

    Attributes
    ----------
    mode
        Number of the mode, from 0 for the softest.
    direction
        +1 or −1: along the mode or against it.
    """

    mode: int
    direction: int

    def __str__(self) -> str:
        """``~3+`` climbs the fourth mode along its positive direction, ``~3-`` against it."""
        return f"~{self.mode}{'+' if self.direction > 0 else '-'}"


@dataclass(frozen=True)
class Inversion:
    """The inversion of an atom, through the plane of its three neighbours or the line between two.

    Attributes
    ----------
    atom
        Its index.
    """

    atom: int

    def __str__(self) -> str:
        """``^4`` inverts atom 4."""
        return f"^{self.atom}"


@dataclass(frozen=True)
class Kick:
    """A random displacement of all atoms or of one, or all atoms arranged at random.

    Attributes
    ----------
    number
        Number of the displacement, from 0; each is different.
    """

    number: int

    @property
    def arranged(self) -> bool:
        """Whether all atoms are rearranged; every second displacement keeps part of the start."""
        return self.number % 2 == 1

    @property
    def moved(self) -> bool:
        """Whether one atom alone is moved: a hydrogen if there is one."""
        return self.number % 4 == 2

    @property
    def relaxed(self) -> bool:
        """Whether the arrangement is minimised, without a saddle search."""
        return self.number % 4 == 3

    def __str__(self) -> str:
        """``*5`` is the sixth displacement."""
        return f"*{self.number}"


Displacement: TypeAlias = Uphill | Inversion | Kick
Term: TypeAlias = ForceTerm | Displacement


@lru_cache(maxsize=1 << 14)
def parse_term(text: str) -> Term:
    """A force term or a displacement from its text (``str``); InputError for any other text."""
    if found := re.fullmatch(r"~(\d+)([+-])", text):
        return Uphill(int(found[1]), 1 if found[2] == "+" else -1)
    if found := re.fullmatch(r"\^(\d+)", text):
        return Inversion(int(found[1]))
    if found := re.fullmatch(r"\*(\d+)", text):
        return Kick(int(found[1]))
    try:
        return ForceTerm.parse(text)
    except InputError:
        raise InputError(
            f"a term must look like +0,1|4 (push), -2|3 (pull), ~3+ (climb a mode), ^4 (invert "
            f"an atom) or *5 (displace at random), got {text!r}"
        ) from None


def climbs(molecule: Molecule, point: StationaryPoint, most: int) -> list[Uphill]:
    """The modes of a minimum to climb, both ways unless symmetry makes them equivalent.

    Parameters
    ----------
    molecule
        The molecule.
    point
        A minimum with its exact Hessian.
    most
        How many modes at most, the softest.
    """
    if molecule.n_atoms < FEWEST_ATOMS:
        return []
    found = []
    # One diagonalisation for all modes; the reverse direction has the opposite sign.
    for mode, way in enumerate(motions(molecule, point)[:most]):
        both = [Uphill(mode, direction) for direction in (1, -1)]
        # As far in large molecules as in small ones.
        far = UPHILL * way / longest(way.ravel())
        there = [point.positions + sign * far for sign in (1, -1)]
        first, second = (_marks(molecule, x) for x in there)
        found += both[:1] if np.abs(first - second).max(initial=0.0) < _ALIKE else both
    return found


def motion(molecule: Molecule, point: StationaryPoint, uphill: Uphill) -> Positions:
    """The unit displacement (n, 3) along a mode, in its direction."""
    return uphill.direction * motions(molecule, point)[uphill.mode]


def motions(molecule: Molecule, point: StationaryPoint) -> list[Positions]:
    """The unit displacement (n, 3) along each mode, the softest first."""
    weights = np.sqrt(molecule.masses)
    _, vectors = vibrations(point.hessian, point.positions, weights)
    found = []
    for vector in vectors.T:
        mode = vector.reshape(point.positions.shape) / weights[:, None]
        # The sign of an eigenvector is arbitrary: its largest component decides.
        largest = mode.ravel()[int(np.argmax(np.abs(mode)))]
        found.append(mode * (np.sign(largest) / np.linalg.norm(mode)))
    return found


def _marks(molecule: Molecule, x: Positions) -> Positions:
    """Inverse distances sorted within each pair of elements: the same for equivalent structures."""
    numbers = np.asarray(molecule.numbers)
    i, j = np.triu_indices(len(numbers), 1)
    pair = 1000 * np.minimum(numbers[i], numbers[j]) + np.maximum(numbers[i], numbers[j])
    inverse = 1.0 / distances(x)[i, j]
    return inverse[np.lexsort((inverse, pair))]
