"""Are two structures the same? A quick filter on numbers, then a proof by superposition.

Like atoms may change places and a structure may be its own mirror image, as is the habit for
reaction route maps: enantiomers are one node. The labelled comparison at the end keeps the
order of the atoms, for reactions whose atoms are mapped.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.geometry import distances, rmsd
from afir.molecule import Molecule, Positions
from afir.symmetry import congruence
from afir.units import BOHR, HARTREE

ENERGY_TOLERANCE = 2e-5 * HARTREE
"""eV. Structures further apart in energy are different, unless they lie on top of each other."""

SIGNATURE_TOLERANCE = 0.006 / BOHR
"""Å⁻¹. So are structures with any sorted inverse distance further apart than this."""

RMSD_TOLERANCE = 0.1
"""Å. The proof: root mean square distance after the best permutation and superposition."""

NOISE_TOLERANCE = 4e-4 * HARTREE
"""eV. Surfaces summed on a grid (implicit solvents, density functionals) give one structure
another energy when it is turned, by up to 3e-4 hartree for GFN2 with ALPB. Structures closer in
energy than this are one if they agree twice as closely as the others must."""

ON_TOP = 0.5
"""Fraction of the signature and RMSD tolerances within which two structures coincide."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What two equal structures must have in common.

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
    i, j = np.triu_indices(n, 1)
    z = np.asarray(molecule.numbers)
    inverse = 1.0 / distances(positions)[i, j]
    pair = np.minimum(z[i], z[j]) * 1000 + np.maximum(z[i], z[j])
    return Fingerprint(float(energy), inverse[np.lexsort((inverse, pair))])


def may_be_same(a: Fingerprint, b: Fingerprint) -> bool:
    """Whether two fingerprints of one molecule agree: necessary, not sufficient."""
    return _rmsd_limit(a, b) is not None


def _rmsd_limit(a: Fingerprint, b: Fingerprint) -> float | None:
    """How closely two structures must superpose to be one, in Å; None if they cannot be one."""
    apart = abs(a.energy - b.energy)
    if apart >= NOISE_TOLERANCE:
        return None
    share = 1.0 if apart < ENERGY_TOLERANCE else ON_TOP
    if (np.abs(a.signature - b.signature) >= share * SIGNATURE_TOLERANCE).any():
        return None
    return share * RMSD_TOLERANCE


def _same(molecule: Molecule, a: Fingerprint, x: Positions, b: Fingerprint, y: Positions) -> bool:
    limit = _rmsd_limit(a, b)
    return limit is not None and congruence(molecule.numbers, x, y, tolerance=limit) is not None


def same_structure(
    molecule: Molecule,
    first: tuple[Positions, float],
    second: tuple[Positions, float],
) -> bool:
    """Whether two structures are one, up to rigid motion, order of like atoms and inversion.

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
    return _same(molecule, prints[0], first[0], prints[1], second[0])


def same_labelled(first: Positions, second: Positions) -> bool:
    """Whether two structures (n, 3) in Å are one with every atom in its own place.

    Only rigid motions are allowed: no exchange of like atoms, no inversion. Energies are not
    asked for, so compare structures that are known to be one node.
    """
    return rmsd(first, second) < RMSD_TOLERANCE


@dataclass(frozen=True, eq=False)
class _Entry:
    """A known structure and its labelled versions, the one that was added first."""

    id: str
    fingerprint: Fingerprint
    versions: list[Positions]


class IdentityIndex:
    """The structures known so far, found again by energy first.

    Looking up costs the same whatever the number of structures: the energies are kept in
    order, and only those within the tolerance are compared.

    Parameters
    ----------
    molecule
        The molecule all structures belong to.
    """

    def __init__(self, molecule: Molecule) -> None:
        self.molecule = molecule
        self._entries: dict[str, _Entry] = {}
        self._by_energy: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, id: str, fingerprint: Fingerprint, positions: Positions) -> None:
        """Register a structure without looking for equal ones.

        Raises
        ------
        InputError
            If the id is taken or the energy is not a number.
        """
        if id in self._entries:
            raise InputError(f"`id` must be new to the index, got {id!r} again")
        if not np.isfinite(fingerprint.energy):
            raise InputError(f"`fingerprint` must have a finite energy, got {fingerprint.energy}")
        self._entries[id] = _Entry(id, fingerprint, [np.array(positions, dtype=np.float64)])
        insort(self._by_energy, (fingerprint.energy, id))

    def find(self, fingerprint: Fingerprint, positions: Positions) -> str | None:
        """The id of the structure that is the same, or None.

        Of several, the one nearest in energy.
        """
        energy = fingerprint.energy
        start = bisect_left(self._by_energy, energy - NOISE_TOLERANCE, key=itemgetter(0))
        stop = bisect_right(self._by_energy, energy + NOISE_TOLERANCE, key=itemgetter(0))
        near = [(abs(known - energy), id) for known, id in self._by_energy[start:stop]]
        for _, id in sorted(near):
            entry = self._entries[id]
            if _same(self.molecule, entry.fingerprint, entry.versions[0], fingerprint, positions):
                return id
        return None

    def label(self, id: str, positions: Positions) -> str:
        """The labelled id of one appearance of a known structure, e.g. ``EQ3.1``.

        Appearances that agree atom by atom share it; ``.0`` is the one that was added, and
        the others are numbered as they come.

        Parameters
        ----------
        id
            The structure, as `find` or `add` named it.
        positions
            (n, 3) in Å of the appearance.

        Raises
        ------
        InputError
            If the id is unknown.
        """
        if id not in self._entries:
            raise InputError(f"`id` must be known to the index, got {id!r}")
        versions = self._entries[id].versions
        for number, version in enumerate(versions):
            if same_labelled(version, positions):
                return f"{id}.{number}"
        versions.append(np.array(positions, dtype=np.float64))
        return f"{id}.{len(versions) - 1}"
