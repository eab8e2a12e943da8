"""Structures in files: reading and checking one, writing the ones that were found.

Whatever ASE reads can be read; what is written is extended XYZ, which carries energy, charge
and multiplicity along, so that the output of one command is the input of the next.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afir.bonds import OVERLAP_FACTOR, bond_lengths
from afir.elements import SYMBOLS
from afir.errors import InputError
from afir.files import writing
from afir.molecule import Molecule, Positions
from afir.printable import printable

logger = logging.getLogger(__name__)

XYZ_SUFFIXES = (".xyz", ".extxyz")
_OVERLAP_DISTANCE = 0.3  # Å: nothing but a mistake, and electronic structure breaks down


def read_structure(
    path: Path | str, *, charge: int | None = None, multiplicity: int | None = None
) -> tuple[Molecule, Positions]:
    """Read one structure and make sure that a search can start from it.

    Parameters
    ----------
    path
        A file of any format ASE knows. Of several frames the last is taken, with a warning
        in the log; periodic cells are ignored, with a warning.
    charge, multiplicity
        The electronic state. Where they are None the file decides (``charge=`` and
        ``multiplicity=`` in the comment line of extended XYZ), else 0 and 1.

    Returns
    -------
    tuple of Molecule and (n, 3) array
        The molecule and its coordinates in Å.

    Raises
    ------
    InputError
        If the file is missing, empty or unreadable, names an unknown element, holds
        coordinates that are not finite or atoms that overlap, or if charge and multiplicity
        do not fit the number of electrons.
    """
    path = Path(path)
    numbers, positions, info = _read_last_frame(path)
    charge = _from_info(path, info, "charge", 0) if charge is None else charge
    multiplicity = (
        _from_info(path, info, "multiplicity", 1) if multiplicity is None else multiplicity
    )
    molecule = Molecule(numbers, charge, multiplicity)
    check_positions(molecule, positions, source=str(path))
    return molecule, positions


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


def _read_last_frame(path: Path) -> tuple[tuple[int, ...], Positions, Mapping[str, Any]]:
    """Atomic numbers, coordinates in Å and comment values of the last frame of a file."""
    try:
        if not path.exists():
            raise InputError(f"{path}: there is no such file; check the name")
        if path.is_dir():
            raise InputError(f"{path} is a directory, not a structure file; name a file in it")
        if not path.is_file():  # a pipe is empty when it is read again, a device never ends
            raise InputError(f"{path} must be an ordinary file; save the structure in one")
        empty = not path.read_bytes().strip()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if empty:
        raise InputError(f"{path} is empty; it must hold a structure, e.g. in XYZ format")

    from ase import Atoms  # takes 0.2 s, so only where a file is read
    from ase.io import read

    try:
        frames = [frame for frame in read(path, index=":") if isinstance(frame, Atoms)]
    except Exception as error:  # ASE's readers raise whatever their parsing trips over
        raise InputError(_why_unreadable(path, error)) from error
    if not frames or not len(frames[-1]):
        raise InputError(f"{path} holds no atoms; it must hold a structure, e.g. in XYZ format")
    if len(frames) > 1:
        logger.warning(
            "%s holds %d structures; the last one is used: save another in a file of its own to "
            "use that",
            path,
            len(frames),
        )
    atoms = frames[-1]
    if atoms.pbc.any():
        logger.warning("%s is periodic; its cell is ignored and the atoms are a molecule", path)
    for index, number in enumerate(atoms.numbers):
        if not 1 <= number < len(SYMBOLS):
            raise InputError(
                f"{path}: atom {index} must be an element, got {atoms[index].symbol!r}; "
                "remove dummy atoms"
            )
    positions = np.array(atoms.positions, dtype=np.float64)
    return tuple(int(z) for z in atoms.numbers), positions, atoms.info


def _from_info(path: Path, info: Mapping[str, Any], key: str, default: int) -> int:
    """An integer from the comment line of a frame."""
    value = info.get(key, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not number.is_integer():
        raise InputError(f"{path}: `{key}` must be a whole number, got {value!r}")
    return int(number)


def _why_unreadable(path: Path, error: Exception) -> str:
    """One sentence for people: what is wrong with a file that ASE could not read."""
    reason = None
    if path.suffix.lower() in XYZ_SUFFIXES:
        reason = _xyz_fault(path.read_text(encoding="utf-8", errors="replace").splitlines())
    if reason is not None:
        return f"{path} is not an XYZ file: {reason}"
    what = " ".join(str(error).split()) or type(error).__name__
    return (
        f"{path} cannot be read as a structure ({what}); "
        "give a format that ASE reads, e.g. XYZ with the suffix .xyz"
    )


def _xyz_fault(lines: Sequence[str]) -> str | None:
    """The first line that breaks the plain XYZ format and why; None if there is none."""
    start = 0
    while start < len(lines) and (start == 0 or lines[start].strip()):
        count = lines[start].split()
        if len(count) != 1 or not count[0].isdigit():
            return f"line {start + 1} must be the number of atoms, got {_shown(lines[start])}"
        end = start + 2 + int(count[0])
        if len([line for line in lines[start + 2 : end] if line.strip()]) < int(count[0]):
            found = sum(1 for line in lines[start + 2 : end] if line.strip())
            return f"line {start + 1} announces {count[0]} atoms, but {found} follow"
        if "Properties=" not in lines[start + 1]:  # else the columns mean something else
            for index in range(start + 2, end):
                fault = _atom_fault(lines[index])
                if fault is not None:
                    return f"line {index + 1} {fault}"
        start = end
    return None


def _atom_fault(line: str) -> str | None:
    """What is wrong with one atom line of plain XYZ; None if nothing is."""
    fields = line.split()
    if len(fields) < 4:
        return f"must be an element and three coordinates, got {_shown(line)}"
    if fields[0].capitalize() not in SYMBOLS[1:]:
        return f"must start with an element symbol, got {fields[0]!r}"
    for field in fields[1:4]:
        try:
            float(field)
        except ValueError:
            return f"must hold three coordinates in Å, got {field!r}"
    return None


def _shown(line: str) -> str:
    """A line shortened and made printable, in quotes."""
    return repr(line if len(line) <= 40 else line[:37] + "...")
