"""Identity of structures: a quick filter on numbers, then superposition.

Like atoms may be exchanged and mirror images are the same, as is usual for reaction route maps:
enantiomers are one node. The labelled comparison keeps the order of the atoms, for reactions with
mapped atoms.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.geometry.bonds import distances
from afir.geometry.signature import signature
from afir.geometry.superposition import rmsd
from afir.geometry.symmetry import congruence
from afir.molecule import Molecule, Positions
from afir.units import BOHR, HARTREE

ENERGY_TOLERANCE = 2e-5 * HARTREE
"""eV. Structures further apart in energy are different, unless they lie on top of each other.

This tolerance and the next two were chosen, not fitted."""

SIGNATURE_TOLERANCE = 0.006 / BOHR
"""Å⁻¹. So are structures with any sorted inverse distance further apart than this."""

RMSD_TOLERANCE = 0.1
"""Å. The proof: root mean square distance after the best permutation and superposition."""

NOISE_TOLERANCE = 4e-4 * HARTREE
"""eV. Surfaces summed on a grid (implicit solvents, density functionals) give one structure
another energy when it is turned. With GFN2 in ALPB water the energies of one cluster of n waters,
looked at from 16 to 60 sides, span up to 1.3e-4 hartree for n = 3, 2.1e-4 for n = 8 and 2.4e-4
for n = 20 and 30; those of five organic molecules of 4 to 14 atoms, in five solvents, less than
8e-5. Structures closer in energy than this are one if they agree twice as closely as the others
must."""

ON_TOP = 0.5
"""Fraction of the signature and RMSD tolerances within which two structures coincide."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Energy and sorted inverse distances, which two equal structures have in common.

    Attributes
    ----------
    energy
        eV.
    signature
        (n(n − 1)/2,) inverse distances in Å⁻¹, sorted within each pair of elements: the same
        for any order of like atoms, orientation and handedness.
    """

    energy: float
    signature: NDArray[np.float64]


def fingerprint(molecule: Molecule, positions: Positions, energy: float) -> Fingerprint:
    """The fingerprint of a structure.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å.
    energy
        eV.

    Raises
    ------
    InputError
        If the shape of `positions` does not fit the molecule.
    """
    n = molecule.n_atoms
    if np.shape(positions) != (n, 3):
        raise InputError(f"`positions` must have the shape ({n}, 3), got {np.shape(positions)}")
    return Fingerprint(float(energy), signature(molecule.numbers, positions))


def may_be_same(a: Fingerprint, b: Fingerprint) -> bool:
    """Whether two fingerprints of one molecule agree: necessary, not sufficient."""
    return bool(np.isfinite(_rmsd_limit(a, b)))


def _rmsd_limit(a: Fingerprint, b: Fingerprint) -> float:
    apart = np.array([abs(a.energy - b.energy)])
    return float(_rmsd_limits(apart, a.signature[None], b.signature)[0])


def _rmsd_limits(
    apart: NDArray[np.float64], known: NDArray[np.float64], signature: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(k,) largest RMSD in Å with which structures are the same as one; NaN if they cannot be.

    Parameters
    ----------
    apart
        (k,) their energy differences from it, in eV.
    known
        (k, m) their signatures.
    signature
        (m,) its own signature.
    """
    share = np.where(apart < ENERGY_TOLERANCE, 1.0, ON_TOP)
    worst = np.abs(known - signature).max(axis=1, initial=0.0)
    possible = (apart < NOISE_TOLERANCE) & (worst < share * SIGNATURE_TOLERANCE)
    return np.where(possible, share * RMSD_TOLERANCE, np.nan)


def same_structure(
    molecule: Molecule,
    first: tuple[Positions, float],
    second: tuple[Positions, float],
) -> bool:
    """Whether two structures are the same, up to rigid motion, order of like atoms and inversion.

    Parameters
    ----------
    molecule
        The molecule.
    first, second
        Positions (n, 3) in Å and energy in eV.

    Raises
    ------
    InputError
        If the shape of the positions does not fit the molecule.
    """
    prints = fingerprint(molecule, *first), fingerprint(molecule, *second)
    limit = _rmsd_limit(*prints)
    if not np.isfinite(limit):
        return False
    return congruence(molecule.numbers, first[0], second[0], tolerance=limit) is not None


def same_labelled(first: Positions, second: Positions) -> bool:
    """Whether two structures (n, 3) in Å are the same with every atom in its place.

    Only rigid motions are allowed: no exchange of like atoms, no inversion. Energies are not
    compared, so use it for structures that are known to be one node.
    """
    return rmsd(first, second) < RMSD_TOLERANCE


@dataclass(frozen=True, eq=False, slots=True)
class _Entry:
    """The labelled versions of a known structure, and the distances of some of them."""

    versions: list[Positions]
    gaps: list[NDArray[np.float64]]


class IdentityIndex:
    """The known structures, searched by energy first.

    Energies are kept in order. Among structures within the tolerance one number of each signature
    selects the signatures to compare, so that a search among a hundred thousand structures costs
    hardly more than among a hundred.

    Parameters
    ----------
    molecule
        The molecule all structures belong to.
    """

    def __init__(self, molecule: Molecule) -> None:
        self.molecule = molecule
        self._entries: dict[str, _Entry] = {}
        self._ids: list[str] = []
        # Energies in order; for each the number of its structure and one entry of its signature.
        self._energies, self._numbers, self._middles = array("d"), array("q"), array("d")
        n = molecule.n_atoms
        self._signatures = np.empty((16, n * (n - 1) // 2))

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, id: str, fingerprint: Fingerprint, positions: Positions) -> None:
        """Add a structure, positions (n, 3) in Å, without a search for equal ones.

        Raises
        ------
        InputError
            If the id is taken or the energy is not a number.
        """
        if id in self._entries:
            raise InputError(f"`id` must be new to the index, got {id!r} again")
        if not np.isfinite(fingerprint.energy):
            raise InputError(f"`fingerprint` must have a finite energy, got {fingerprint.energy}")
        number = len(self._ids)
        if number == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._signatures[number] = fingerprint.signature
        self._ids.append(id)
        self._entries[id] = _Entry([np.array(positions, dtype=np.float64)], [])
        place = bisect_right(self._energies, fingerprint.energy)
        self._energies.insert(place, fingerprint.energy)
        self._numbers.insert(place, number)
        self._middles.insert(place, _middle(fingerprint.signature))

    def find(
        self,
        fingerprint: Fingerprint,
        positions: Positions,
        among: Callable[[str], bool] | None = None,
    ) -> str | None:
        """The id of the structure that is the same, or None.

        If there are several, the one nearest in energy.

        Parameters
        ----------
        fingerprint
            Of the structure.
        positions
            (n, 3) in Å.
        among
            Whether a structure with this id is compared; without it all are.
        """
        energy = fingerprint.energy
        start = bisect_left(self._energies, energy - NOISE_TOLERANCE)
        stop = bisect_right(self._energies, energy + NOISE_TOLERANCE)
        away = np.abs(np.array(self._middles[start:stop]) - _middle(fingerprint.signature))
        near = np.flatnonzero(away < SIGNATURE_TOLERANCE)
        if not near.size:
            return None
        numbers = np.array(self._numbers[start:stop])[near]
        apart = np.abs(np.array(self._energies[start:stop])[near] - energy)
        limits = _rmsd_limits(apart, self._signatures[numbers], fingerprint.signature)
        order = np.lexsort((numbers, apart))
        for index in order[np.isfinite(limits[order])]:
            id: str = self._ids[numbers[index]]
            if among is not None and not among(id):
                continue
            known = self._entries[id].versions[0]
            tolerance = float(limits[index])
            if congruence(self.molecule.numbers, known, positions, tolerance=tolerance) is not None:
                return id
        return None

    def arrangement(self, id: str, positions: Positions) -> int:
        """The number of the arrangement of the atoms of a known structure.

        Geometries that agree atom by atom share it; 0 is the one that was added, and the others are
        numbered as they come.

        Parameters
        ----------
        id
            The structure, as `find` or `add` named it.
        positions
            (n, 3) in Å of the geometry.

        Raises
        ------
        InputError
            If the id is unknown.
        """
        if id not in self._entries:
            raise InputError(f"`id` must be known to the index, got {id!r}")
        entry = self._entries[id]
        # No distance between two atoms changes by more than this within the RMSD tolerance.
        most = RMSD_TOLERANCE * np.sqrt(2.0 * len(positions))
        gaps = distances(positions)
        entry.gaps.extend(map(distances, entry.versions[len(entry.gaps) :]))
        for number in np.flatnonzero(np.abs(np.array(entry.gaps) - gaps).max(axis=(1, 2)) <= most):
            if same_labelled(entry.versions[number], positions):
                return int(number)
        entry.versions.append(np.array(positions, dtype=np.float64))
        return len(entry.versions) - 1


def _middle(signature: NDArray[np.float64]) -> float:
    """The entry in the middle of a signature; 0 for an atom, which has none."""
    return float(signature[len(signature) // 2]) if len(signature) else 0.0
