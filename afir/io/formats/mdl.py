"""MOL and SDF files, versions V2000 and V3000 (BIOVIA, CTfile formats)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from afir.io.electronic_state import Statement, stated
from afir.io.formats.frame import FormatError, Frame, made_of, number, shown

# Codes and columns of the format: BIOVIA, CTfile Formats.
_CHARGE_COLUMN = {1: 3, 2: 2, 3: 1, 5: -1, 6: -2, 7: -3}
_DOUBLET_COLUMN = 4
_UNPAIRED = {0: 0, 1: 0, 2: 1, 3: 2}  # electrons of a singlet, doublet and triplet centre
_COUNTS = 3  # the line of a record with the number of its atoms, counted from 0


@dataclass
class _Record:
    """The data of one record."""

    symbols: list[str] = field(default_factory=list)
    positions: list[list[float]] = field(default_factory=list)
    charges: dict[int, int] = field(default_factory=dict)  # by atom
    radicals: dict[int, int] = field(default_factory=dict)  # unpaired electrons by atom


def mdl_frames(text: str) -> list[Frame]:
    """The structures of a MOL or SDF file; formal charges and radical centres are added up.

    The unpaired electrons of several centres are taken as parallel, and that is remarked.

    Raises
    ------
    FormatError
        For the first line that breaks the format.
    """
    lines = text.rstrip().split("\n")
    frames = []
    start = 0
    ends = [row for row, line in enumerate(lines) if line.startswith("$$$$")]
    for end in [*ends, len(lines)]:
        if end > start:
            _refuse_more(lines, start, end)
            frames.append(_frame(lines, start, end))
        start = end + 1
    return frames


def _refuse_more(lines: Sequence[str], start: int, end: int) -> None:
    """Raise FormatError if a record holds another structure."""
    ended = next((i for i in range(start, end) if re.match(r"M  END\s*$", lines[i])), end)
    for row in range(ended + 1, end):
        if lines[row].startswith("M  "):
            raise FormatError(
                f"line {row + 1} must not be of another structure; a line $$$$ must be between"
            )


def _frame(lines: Sequence[str], start: int, end: int) -> Frame:
    """The record in these lines."""
    counts = lines[start + _COUNTS] if start + _COUNTS < end else ""
    record = _v3000(lines, start, end) if "V3000" in counts else _v2000(lines, start, end, counts)
    said: list[Statement] = []
    if total := sum(record.charges.values()):
        said.append(("charge", total))
    centres = [unpaired for unpaired in record.radicals.values() if unpaired]
    if record.radicals:
        said.append(("unpaired", sum(centres)))
    parallel = (
        f"the unpaired electrons of its {len(centres)} radical centres are taken as parallel: "
        f"multiplicity {sum(centres) + 1}; give --multiplicity for another"
    )
    state = stated(said)
    if len(centres) > 1:
        state = replace(state, remarks={"multiplicity": parallel})
    remark = ""
    flat = lines[start + 1][20:22] == "2D" if start + 1 < end else False
    if flat and len(record.symbols) > 3 and not any(row[2] for row in record.positions):
        remark = "it is marked as a flat drawing (2D), whose coordinates are no geometry"
    return Frame(made_of(record.symbols, record.positions), state, remark)


def _v2000(lines: Sequence[str], start: int, end: int, counts: str) -> _Record:
    where = start + _COUNTS
    count = counts[:3].strip()
    if not (count.isascii() and count.isdecimal()):
        raise FormatError(
            f"line {where + 1} must begin with the number of atoms, got {shown(counts)}"
        )
    rows = range(where + 1, where + 1 + int(count))
    record = _Record()
    for atom, row in enumerate(rows):
        if row >= end or lines[row].startswith("M  "):
            raise FormatError(f"line {where + 1} announces {count} atoms, but {atom} follow")
        symbol, position, code = _v2000_atom(lines[row], row)
        record.symbols.append(symbol)
        record.positions.append(position)
        if code == _DOUBLET_COLUMN:
            record.radicals[atom] = 1
        elif code in _CHARGE_COLUMN:
            record.charges[atom] = _CHARGE_COLUMN[code]
    listed = [
        (line[3:6], row, line.split()[3:])
        for row, line in enumerate(lines[rows.stop : end], start=rows.stop)
        if line.startswith(("M  CHG", "M  RAD"))
    ]
    if listed:  # then the column of the atoms does not count
        record.charges, record.radicals = {}, {}
    for kind, row, fields in listed:
        values = [_whole(text, row) for text in fields]
        if len(values) % 2 or _whole(lines[row][6:9], row) * 2 != len(values):
            raise FormatError(f"line {row + 1} must list atoms and values, got {shown(lines[row])}")
        for atom, value in zip(values[::2], values[1::2], strict=True):
            _note(record, kind, atom - 1, value, row)
    return record


def _v2000_atom(line: str, row: int) -> tuple[str, list[float], int]:
    """Symbol, position and charge code of an atom line: by columns, by words where those fail."""
    try:
        position = [number(line[column : column + 10].strip()) for column in (0, 10, 20)]
        symbol, code = line[31:34].strip(), line[36:39].strip()
        if not symbol.isalpha() or not line[30:31].isspace():
            raise FormatError(line)
    except FormatError:
        fields = line.split()
        if len(fields) < 4:
            raise FormatError(
                f"line {row + 1} must hold three coordinates and an element, got {shown(line)}"
            ) from None
        try:
            position = [number(text) for text in fields[:3]]
        except FormatError as error:
            raise FormatError(f"line {row + 1} {error}") from None
        symbol, code = fields[3], fields[5] if len(fields) > 5 else ""
    return symbol, position, _whole(code or "0", row)


def _v3000(lines: Sequence[str], start: int, end: int) -> _Record:
    record = _Record()
    inside, announced = False, 0
    places: dict[str, int] = {}
    for row, text in _v30_lines(lines, start, end):
        fields = text.split()
        if fields[:1] == ["COUNTS"] and len(fields) > 1:
            announced = _whole(fields[1], row)
        elif fields[:2] in (["BEGIN", "ATOM"], ["END", "ATOM"]):
            inside = fields[0] == "BEGIN"
        elif inside:
            if len(fields) < 5 or fields[0] in places:
                raise FormatError(
                    f"line {row + 1} must hold a number of its own, an element and three "
                    f"coordinates, got {shown(text)}"
                )
            atom = places[fields[0]] = len(places)
            record.symbols.append(fields[1])
            try:
                record.positions.append([number(part) for part in fields[2:5]])
            except FormatError as error:
                raise FormatError(f"line {row + 1} {error}") from None
            for part in fields[6:]:
                kind, equals, value = part.partition("=")
                if equals and kind in ("CHG", "RAD"):
                    _note(record, kind, atom, _whole(value, row), row)
    if announced != len(record.symbols):
        raise FormatError(
            f"line {start + _COUNTS + 1} and on announce {announced} atoms, but "
            f"{len(record.symbols)} follow"
        )
    return record


def _v30_lines(lines: Sequence[str], start: int, end: int) -> Iterator[tuple[int, str]]:
    """Lines of a V3000 block without their mark, those that a dash continues joined."""
    text = ""
    for row in range(start, end):
        if lines[row].startswith("M  V30 "):
            text += lines[row][7:].rstrip()
            if text.endswith("-"):
                text = text[:-1]
            else:
                yield row, text
                text = ""


def _note(record: _Record, kind: str, atom: int, value: int, row: int) -> None:
    """Keep a charge or a radical centre."""
    if not 0 <= atom < len(record.symbols):
        raise FormatError(
            f"line {row + 1} must name atoms up to {len(record.symbols)}, got {atom + 1}"
        )
    if kind == "CHG":
        record.charges[atom] = value
    elif value in _UNPAIRED:
        record.radicals[atom] = _UNPAIRED[value]
    else:
        raise FormatError(f"line {row + 1} must hold radicals from 0 to 3, got {value}")


def _whole(text: str, row: int) -> int:
    if not re.fullmatch(r"\s*[+-]?\d{1,9}\s*", text, re.ASCII):
        raise FormatError(f"line {row + 1} must hold whole numbers, got {shown(text)}")
    return int(text)
