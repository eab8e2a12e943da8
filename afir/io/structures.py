"""Structure files: read and check a structure, write structures.

Most formats that ASE reads can be read (`afir.formats`); what is written is extended XYZ, which
carries energy, charge and multiplicity along, so that the output of one command is the input of
the next.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afir.elements import SYMBOLS
from afir.errors import InputError
from afir.geometry.bonds import BOND_FACTOR, OVERLAP_FACTOR, bond_lengths, relative_distances
from afir.io.formats.files import read_frames
from afir.io.printable import printable
from afir.io.safe_write import writing
from afir.molecule import Molecule, Positions
from afir.units import BOHR

if TYPE_CHECKING:  # takes 0.2 s
    from ase import Atoms

logger = logging.getLogger(__name__)

XYZ_SUFFIXES = (".xyz", ".extxyz")
# Chosen: no bond is shorter than 0.7 Å, and no file of a molecule has coordinates of micrometres.
_OVERLAP_DISTANCE = 0.3  # Å: closer atoms are an error, and electronic structure fails
_FARTHEST = 1e5  # Å: larger coordinates lose significant digits of bond lengths
_COVALENT = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 32, 33, 34, 35, 52, 53)
# Chosen, and `BOND_FACTOR` for the other end.
_USUAL = (0.65, BOND_FACTOR)  # of the distance to the nearest atom, in units of a single bond
_UNITS = {
    "coordinates in pm": 100.0,
    "coordinates in bohr": 1.0 / BOHR,
    "coordinates in Å that are taken for bohr": BOHR,
    "coordinates in nm": 0.1,
}
"""Possible errors of units, and the factor by which they lengthen distances."""
# Chosen, wider than `_USUAL`.
_MEANT = (0.5, 2.5)  # factors that stretched bonds and separated atoms have, too


def read_structure(
    path: Path | str, *, charge: int | None = None, multiplicity: int | None = None
) -> tuple[Molecule, Positions]:
    """Read one structure and check that a search can start from it.

    Parameters
    ----------
    path
        A file of a format that `afir.io.formats.files` reads; it is not changed. Of several
        structures the last is taken, with a warning in the log; periodic cells are ignored, with
        a warning.
    charge, multiplicity
        The electronic state. Where they are None the file decides (`afir.io.electronic_state`),
        else 0 and 1.

    Returns
    -------
    tuple of Molecule and (n, 3) array
        The molecule and its coordinates in Å.

    Raises
    ------
    InputError
        If the file is missing, empty or unreadable, names an unknown element, holds
        coordinates that are not finite or in another unit than Å, or atoms that overlap, if what
        it says of charge and multiplicity is needed and not clear, or if they do not fit the
        number of electrons.
    """
    path = Path(path)
    frames = read_frames(path)
    if len(frames) > 1:
        logger.warning(
            "%s holds %d structures; the last one is used: save another in a file of its own to "
            "use that",
            path,
            len(frames),
        )
    atoms, stated = frames[-1].atoms, frames[-1].stated
    if frames[-1].remark:
        logger.warning("%s: %s", path, frames[-1].remark)
    if atoms.pbc.any():
        logger.warning("%s is periodic; its cell is ignored and the atoms are a molecule", path)
    numbers = elements_of(atoms, source=str(path))
    molecule = stated.molecule(
        numbers,
        source=str(path),
        charge=charge,
        multiplicity=multiplicity,
        advice="correct the file or give --{name}",
    )
    for assumption in stated.assumptions(molecule, charge=charge, multiplicity=multiplicity):
        logger.warning("%s: %s", path, assumption)
    positions = np.array(atoms.positions, dtype=np.float64)
    check_positions(molecule, positions, source=str(path))
    _check_unit(molecule, positions, source=str(path))
    return molecule, positions


def elements_of(atoms: Atoms, *, source: str) -> tuple[int, ...]:
    """The atomic numbers of what ASE has read; InputError, naming ``source``, for dummy atoms."""
    for index, number in enumerate(atoms.numbers):
        if not 1 <= number < len(SYMBOLS):
            name = repr(SYMBOLS[0]) if number == 0 else f"the number {number}"
            raise InputError(
                f"{source}: atom {index} must be an element, got {name}; remove dummy atoms"
            )
    return tuple(int(z) for z in atoms.numbers)


def check_positions(molecule: Molecule, positions: Positions, *, source: str) -> None:
    """Raise InputError, naming ``source`` and the atoms, for an impossible geometry.

    Parameters
    ----------
    molecule
        Gives the elements and covalent radii.
    positions
        (n, 3) in Å.
    source
        Where the geometry came from, for the message.
    """
    symbols = molecule.symbols
    for index, row in enumerate(positions):
        if not np.all(np.isfinite(row)):
            raise InputError(
                f"{source}: coordinates must be finite numbers, got {row.tolist()} for atom "
                f"{index} ({symbols[index]})"
            )
        if np.abs(row).max() > _FARTHEST:
            raise InputError(
                f"{source}: coordinates must be within {_FARTHEST:g} Å, got {row.tolist()} for "
                f"atom {index} ({symbols[index]})"
            )
    first, second = np.triu_indices(molecule.n_atoms, 1)
    if not len(first):
        return
    distances = np.linalg.norm(positions[first] - positions[second], axis=1)
    shortest = OVERLAP_FACTOR * bond_lengths(molecule)[first, second]
    allowed = np.maximum(_OVERLAP_DISTANCE, shortest)
    worst = int(np.argmin(distances - allowed))
    if distances[worst] < allowed[worst]:
        i, j = int(first[worst]), int(second[worst])
        raise InputError(
            f"{source}: atoms {i} ({symbols[i]}) and {j} ({symbols[j]}) are "
            f"{distances[worst]:.3f} Å apart, so they overlap; check the coordinates and that "
            "they are in Å"
        )


def _check_unit(molecule: Molecule, positions: Positions, *, source: str) -> None:
    """Raise InputError for distances that are those of a molecule in another unit than Å.

    Where they may be meant, as those of a molecule in bohr may, it only gives a warning.
    Only elements that are always bonded decide: noble gases and metals have longer distances. If
    none of their atoms is near another one, and no unit explains it, the atoms are taken as
    separated, with a warning.
    """
    bonded = np.flatnonzero(np.isin(molecule.numbers, _COVALENT))
    if molecule.n_atoms < 3 or len(bonded) < 2:
        return
    ratios = relative_distances(molecule, positions)
    np.fill_diagonal(ratios, np.inf)
    nearest = ratios[bonded].min(axis=1)
    low, high = _USUAL
    if ((nearest > low) & (nearest < high)).any():
        return
    for what, times in _UNITS.items():
        if ((nearest > low * times) & (nearest < high * times)).all():
            told = f"all distances are about {times:.3g} times those in a molecule, as with {what}"
            if not _MEANT[0] < times < _MEANT[1]:
                raise InputError(f"{source}: {told}; convert them to Å")
            logger.warning("%s: %s; check that the coordinates are in Å", source, told)
            return
    if nearest.min() > high:
        logger.warning(
            "%s: no two atoms are close enough to be bonded; check that the coordinates are in Å",
            source,
        )


def write_xyz(
    path: Path | str,
    molecule: Molecule,
    frames: Sequence[Positions] | Positions,
    *,
    energies: Sequence[float] | NDArray[np.float64] | None = None,
    labels: Sequence[Mapping[str, str | int | float]] | None = None,
    overwrite: bool = False,
) -> None:
    """Write structures as extended XYZ, the whole file or none of it.

    Parameters
    ----------
    path
        The file to write.
    molecule, frames, energies, labels
        What it holds; see `xyz_text`.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the file exists and ``overwrite`` is False, or cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; choose another name or remove it first")
    text = xyz_text(molecule, frames, energies=energies, labels=labels)
    with writing(path) as (draft,):
        draft.write_text(text, encoding="utf-8")


def xyz_text(
    molecule: Molecule,
    frames: Sequence[Positions] | Positions,
    *,
    energies: Sequence[float] | NDArray[np.float64] | None = None,
    labels: Sequence[Mapping[str, str | int | float]] | None = None,
) -> str:
    """Structures as the text of an extended XYZ file.

    Parameters
    ----------
    molecule
        The molecule all frames share; its charge and multiplicity go into the text.
    frames
        k geometries (n, 3) in Å.
    energies
        k energies in eV, written as ``energy``.
    labels
        k mappings of further key-value pairs for the comment line; characters that cannot be seen
        are written as escapes.
    """
    lines: list[str] = []
    for index, frame in enumerate(frames):
        comment: dict[str, str | int | float] = {}
        if energies is not None:
            comment["energy"] = float(energies[index])
        comment |= {"charge": molecule.charge, "multiplicity": molecule.multiplicity}
        if labels is not None:
            comment |= labels[index]
        lines.append(str(molecule.n_atoms))
        lines.append(
            "Properties=species:S:1:pos:R:3 "
            + " ".join(f"{key}={_quoted(value)}" for key, value in comment.items())
            + ' pbc="F F F"'
        )
        lines += [
            f"{symbol:<2} {x:16.10f} {y:16.10f} {z:16.10f}"
            for symbol, (x, y, z) in zip(molecule.symbols, frame, strict=True)
        ]
    return "".join(f"{line}\n" for line in lines)


def _quoted(value: str | int | float) -> str:
    """A value as extended XYZ wants it: text in double quotes, numbers in full precision."""
    if not isinstance(value, str):
        return repr(value)
    escaped = printable(value).replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'
