"""Protein Data Bank files (format 3.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from afir.elements import SYMBOLS
from afir.io.electronic_state import stated
from afir.io.formats.frame import FormatError, Frame, made_of, number, shown

_FORMAL_CHARGE = re.compile(r"(?P<sign>[+-]?)(?P<size>\d?)(?P<after>[+-]?)", re.ASCII)
_BY_PLACE = {"CA", "CD", "CE", "HE", "HG", "HO", "ND", "NE"}
"""Names of atoms of proteins and nucleotides that look like elements.

A `C`, an `N` or an `H` in column 14 with the label of its place, such as ``CD`` for C-delta.
"""


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
        charge += _formal_charge(row, text)
    return Frame(made_of(symbols, positions), stated([("charge", charge)] if charge else []))


def _formal_charge(row: int, text: str) -> int:
    """The formal charge of an atom, as 2+, +2 or + in columns 79 and 80; 0 if they are blank."""
    said = text[78:80].strip()
    found = _FORMAL_CHARGE.fullmatch(said)
    told = found is not None and not (found["sign"] and found["after"])
    # A number alone may be that of the line, which old files have in columns 77 to 80.
    if said.isdigit() and not text[76:78].strip().isalpha():
        told = False
    if found is None or not told:
        raise FormatError(
            f"line {row + 1} must hold a formal charge such as 1+ in columns 79 and 80, or "
            f"nothing, got {shown(said)}"
        )
    sign = -1 if "-" in said else 1
    return sign * int(found["size"] or bool(said))


def _element(row: int, text: str) -> str:
    """The element of an atom: from its own columns, else from the columns of the name.

    There the symbol ends in column 14, so that a name in column 13 begins with a symbol of two
    letters: `` CA `` is a carbon atom and ``CA  `` calcium. Many programs begin each name in column
    13 or each in column 14, so a name whose first two letters are an element is only trusted where
    it can be nothing else: as that of an ion whose residue has the same name, of chlorine or
    bromine with a number, of a place in a protein, or of a hydrogen atom with four characters.
    """
    given = text[76:78].strip().capitalize()
    if given in SYMBOLS:
        return given
    name = text[12:16].ljust(4).upper()
    found = _ion(name, text) or (_of_name(name) if name[0].isalpha() else _of_place(name))
    if found in SYMBOLS:
        return found
    raise FormatError(
        f"line {row + 1} does not tell the element of atom {shown(name.strip())}: put it into "
        "columns 77 and 78"
    )


def _ion(name: str, text: str) -> str:
    """What an atom that is a residue of its own name is called, as ions are; else empty."""
    ion, residue = (part.strip(" 0123456789+-").upper() for part in (name, text[17:20]))
    return ion.capitalize() if ion == residue else ""


def _of_name(name: str) -> str:
    """The element of a name that begins in column 13; empty if it is not clear."""
    pair = name[:2].strip().capitalize()
    if len(pair) == 1 or re.fullmatch(r"(CL|BR)\d+ *", name):
        return pair
    if name[0] == "H" and " " not in name:
        return "H"
    return "" if pair in SYMBOLS else name[0]  # ``CB  ``


def _of_place(name: str) -> str:
    """The element of a name that begins in column 14, as `` CA `` or ``1HB ``; empty if unclear."""
    if not name[1].isalpha():
        return name[1:].strip(" 0123456789")
    pair = name[1:3]
    return "" if pair.capitalize() in SYMBOLS and pair not in _BY_PLACE else name[1]


def _refuse_alternatives(model: Sequence[_Line]) -> None:
    """Raise FormatError if atoms have more than one location."""
    places = sorted({text[16] for _, text in model if len(text) > 16} - {" "})
    if len(places) > 1:
        raise FormatError(
            f"column 17 names alternative locations of atoms ({', '.join(places)}); keep one"
        )
