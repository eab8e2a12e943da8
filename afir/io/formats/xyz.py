"""XYZ files, plain and extended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from afir.elements import SYMBOLS
from afir.io.electronic_state import in_comment
from afir.io.formats.frame import FormatError, Frame, made_of, number, read_by_ase, shown, told_by

_CELL = re.compile(r'\bLattice\s*=\s*"|\bpbc\s*=\s*"?[TF\s]*T', re.ASCII)
_COLUMNS = re.compile(r'(?:^|\s)Properties\s*=\s*("[^"]*"|\S*)')
_SEPARATOR = ">"  # between the structures of an .allxyz file


class _Block(NamedTuple):
    """The lines of one structure; the first is the line `first` of the file, counted from 0."""

    first: int
    comment: str
    atoms: list[str]


def looks_like_xyz(text: str) -> bool:
    """Whether a text begins as XYZ does, with a line that is a number of atoms."""
    first = text.lstrip().split("\n", 1)[0].strip()
    return first.isascii() and first.isdecimal()


def xyz_frames(text: str) -> list[Frame]:
    """The structures of an XYZ file; blank lines before and between them do not matter.

    Raises
    ------
    FormatError
        For the first line that breaks the format.
    """
    return [_frame(block) for block in _blocks(text.split("\n")) if block.atoms]


def _frame(block: _Block) -> Frame:
    """One structure; only the columns of extended XYZ are left to ASE."""
    said = in_comment(block.comment)
    if _COLUMNS.search(block.comment):
        text = "\n".join([str(len(block.atoms)), block.comment, *block.atoms, ""])
        atoms = read_by_ase(text, "extxyz")
        return Frame(atoms, told_by(atoms, said))
    rows = [line.split() for line in block.atoms]
    atoms = made_of([row[0] for row in rows], [[number(x) for x in row[1:4]] for row in rows])
    atoms.pbc = _CELL.search(block.comment) is not None
    return Frame(atoms, said)


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    """The structures as they follow each other; FormatError for the first line that is wrong."""
    start = 0
    while start < len(lines):
        count = lines[start].strip()
        if not count or (count == _SEPARATOR and start):
            start += 1
            continue
        if not (count.isascii() and count.isdecimal()):
            raise FormatError(
                f"line {start + 1} must be the number of atoms, got {shown(lines[start])}"
            )
        announced = int(count) if len(count) < 12 else len(lines)
        atoms = list(lines[start + 2 : start + 2 + announced])
        filled = next((i for i, line in enumerate(atoms) if not line.strip()), len(atoms))
        if filled < announced:
            raise FormatError(
                f"line {start + 1} announces {shown(count)[1:-1]} atoms, but {filled} follow"
            )
        block = _Block(start, lines[start + 1] if start + 1 < len(lines) else "", atoms)
        _check(block)
        yield block
        start += 2 + announced


def _check(block: _Block) -> None:
    """FormatError for the first atom that is wrong."""
    columns = _COLUMNS.search(block.comment)
    if columns is not None:
        _check_columns(block, columns[1].strip('"'))
        return
    for index, line in enumerate(block.atoms, start=block.first + 3):
        fields = line.split()
        if len(fields) < 4:
            raise FormatError(
                f"line {index} must be an element and three coordinates, got {shown(line)}"
            )
        if fields[0].capitalize() not in SYMBOLS:
            raise FormatError(
                f"line {index} must start with an element symbol, got {shown(fields[0])}"
            )
        for text in fields[1:4]:
            try:
                number(text)
            except FormatError:
                raise FormatError(
                    f"line {index} must hold three coordinates in Å, got {shown(text)}"
                ) from None


def _check_columns(block: _Block, columns: str) -> None:
    """FormatError where the columns that a comment line names are not those of the atoms."""
    parts = columns.split(":")
    widths = [int(part) if re.fullmatch("[1-9][0-9]?", part) else 0 for part in parts[2::3]]
    named = dict(zip(parts[::3], widths, strict=False))
    elements = named.get("species", named.get("Z"))
    if len(parts) % 3 or 0 in widths or elements != 1 or named.get("pos") != 3:
        raise FormatError(
            f"line {block.first + 2} must name columns such as Properties=species:S:1:pos:R:3, "
            f"got {shown(columns)}"
        )
    if len(named) < len(widths):
        raise FormatError(f"line {block.first + 2} names a column twice in {shown(columns)}")
    for index, line in enumerate(block.atoms, start=block.first + 3):
        if len(line.split()) != sum(widths):
            raise FormatError(
                f"line {index} must hold the {sum(widths)} columns of {shown(columns)}, got "
                f"{shown(line)}"
            )
