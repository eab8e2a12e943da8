"""Protein Data Bank files (format 3.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from afir.electronic_state import stated
from afir.elements import SYMBOLS
from afir.formats.frame import FormatError, Frame, made_of, number, shown

_FORMAL_CHARGE = re.compile(r"(\d)([+-])")


class _Line(NamedTuple):
    """A line of the file, with its place counted from 0."""

    row: int
    text: str


def pdb_frames(text: str) -> list[Frame]:
    """The structures of a PDB file, one a model; formal charges of the atoms are added up.

    Raises
    ------
    FormatError
        For the first line that breaks the format, atoms without a clear element, and alternative
        locations of atoms.
    """
    lines = text.split("\n")
    periodic = any(_is_cell(line) for line in lines)
    frames = []
    for model in _models(lines):
        _refuse_alternatives(model)
        frames.append(_frame(model))
        frames[-1].atoms.pbc = periodic
    return frames


def _models(lines: Sequence[str]) -> Iterator[list[_Line]]:
    """The atoms of each model."""
    model: list[_Line] = []
    for row, text in enumerate(lines):
        if text.startswith(("ATOM", "HETATM")):
            model.append(_Line(row, text))
        elif text.startswith(("END", "MODEL")) and model:
            yield model
            model = []
    if model:
        yield model


def _is_cell(line: str) -> bool:
    """Whether a line gives a cell; programs write one of 1 Å for none."""
    if not line.startswith("CRYST1"):
        return False
    return not re.fullmatch(r"(\s+1\.0*){3}\s*", line[6:33])


def _frame(model: Sequence[_Line]) -> Frame:
    symbols, positions, charge = [], [], 0
    for row, text in model:
        try:
            positions.append([number(text[at : at + 8].strip()) for at in (30, 38, 46)])
        except FormatError:
            raise FormatError(
                f"line {row + 1} must hold three coordinates in columns 31 to 54, got "
                f"{shown(text[30:54])}"
            ) from None
        symbols.append(_element(row, text))
        formal = _FORMAL_CHARGE.fullmatch(text[78:80])
        if formal is not None:
            charge += int(f"{formal[2]}{formal[1]}")
    return Frame(made_of(symbols, positions), stated([("charge", charge)] if charge else []))


def _element(row: int, text: str) -> str:
    """The element of an atom: from its own columns, else from the columns of the name.

    There the symbol ends in column 14, so that a name in column 13 begins with a symbol of two
    letters: `` CA `` is a carbon atom and ``CA  `` calcium. Many programs begin each name in column
    13, so such a name is only trusted where it can be nothing else: as that of an ion whose residue
    has the same name, or of a hydrogen atom with four characters.
    """
    given = text[76:78].strip().capitalize()
    if given in SYMBOLS:
        return given
    name = text[12:16].ljust(4)
    first, second = name[0], name[1] if name[1].isalpha() else name[1:].strip(" 0123456789")
    if not first.isalpha() and second.upper() in SYMBOLS:  # `` CA ``, ``1HB ``
        return second.upper()
    pair = name[:2].strip().capitalize()
    if first.isalpha() and pair in SYMBOLS and (len(pair) == 1 or _is_ion(name, text)):
        return pair
    if first.upper() == "H" and " " not in name:
        return "H"
    if first.isalpha() and pair not in SYMBOLS and first.upper() in SYMBOLS:  # ``CB  ``
        return first.upper()
    raise FormatError(
        f"line {row + 1} does not tell the element of atom {shown(name.strip())}: put it into "
        "columns 77 and 78"
    )


def _is_ion(name: str, text: str) -> bool:
    """Whether an atom is a residue of its own name, as ions are."""
    return name.strip().upper() == text[17:20].strip().upper()


def _refuse_alternatives(model: Sequence[_Line]) -> None:
    """Raise FormatError if atoms have more than one location."""
    places = sorted({text[16] for _, text in model if len(text) > 16} - {" "})
    if len(places) > 1:
        raise FormatError(
            f"column 17 names alternative locations of atoms ({', '.join(places)}); keep one"
        )
