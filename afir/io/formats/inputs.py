"""Inputs of Gaussian and Turbomole; charge and multiplicity in outputs of programs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from afir.io.electronic_state import Stated, Statement, in_comment, stated
from afir.io.formats.frame import FormatError, Frame, read_by_ase, shown
from afir.units import BOHR

_STATE = re.compile(r"\s*([+-]?\d+)(?:\s*,\s*|\s+)([+-]?\d+)(?:[\s,]+[+-]?\d+)*\s*", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_LINK = re.compile(r"^\s*--\s*link1\s*--\s*$", re.IGNORECASE | re.MULTILINE)
_IN_BOHR = re.compile(r"\bunits?\s*[=(][^\s)]*\b(?:au|bohr)\b", re.IGNORECASE)
_PATH_SEARCH = re.compile(r"\bqst([23])\b", re.IGNORECASE)  # from two or three structures
_FROM_CHECKPOINT = re.compile(r"\bgeom(?:etry)?\s*[=(][^\s)]*check", re.IGNORECASE)

_OUTPUTS = {
    "gaussian-out": (
        r"^\s*Charge\s*=\s*([+-]?\d+)\s+Multiplicity\s*=\s*\d+",
        r"^\s*Charge\s*=\s*[+-]?\d+\s+Multiplicity\s*=\s*(\d+)",
    ),
    "orca-output": (
        r"^\s*Total Charge\s+Charge\s+\.+\s+([+-]?\d+)\s*$",
        r"^\s*Multiplicity\s+Mult\s+\.+\s+(\d+)\s*$",
    ),
}
"""Patterns of charge and multiplicity in outputs, by their name in ASE; the last match counts."""


def gaussian_frames(text: str) -> list[Frame]:
    """The structures of a Gaussian input file, one for each job that has coordinates.

    A job with QST2 has two: reactants and products; with QST3 a guess of the saddle follows.

    Raises
    ------
    FormatError
        Where a structure has no charge and multiplicity, or its coordinates are in bohr.
    """
    frames = []
    for job in _LINK.split(text):
        paragraphs = re.split(r"\n[ \t]*(?:\n[ \t]*)+", job.strip())
        route = paragraphs[0]
        if len(paragraphs) < 3 and _FROM_CHECKPOINT.search(route):
            continue
        search = _PATH_SEARCH.search(route)
        for index in range(2, 2 * int(search[1]) + 1 if search else 3, 2):
            specification = paragraphs[index] if index < len(paragraphs) else ""
            frames += _gaussian_structure(route, specification)
    return frames


def _gaussian_structure(route: str, specification: str) -> list[Frame]:
    """The structure after a title; none if its coordinates are in a checkpoint file."""
    first, *rest = specification.split("\n", 1)
    found = _STATE.fullmatch(first.split("!")[0])
    if found is None:
        raise FormatError(
            f"the line after the title must hold charge and multiplicity, got {shown(first)}"
        )
    if _FROM_CHECKPOINT.search(route) and not rest:
        return []
    if _IN_BOHR.search(route):
        raise FormatError("its coordinates must be in Å, but its route says units of bohr")
    # Only the structure: other sections may look like another one.
    atoms = "\n".join(map(_with_points, "".join(rest).split("\n")))
    plain = f"#\n\n-\n\n{found[1]} {found[2]}\n{atoms}\n\n"
    said = stated([("charge", found[1]), ("multiplicity", found[2])])
    return [Frame(read_by_ase(plain, "gaussian-in"), said)]


def _with_points(line: str) -> str:
    """A line of an atom and three coordinates; ASE takes whole numbers for those of a Z-matrix."""
    atom, *coordinates = line.replace(",", " ").split() or [""]
    if len(coordinates) != 3:
        return line
    return " ".join([atom, *(f"{x}.0" if _WHOLE.fullmatch(x) else x for x in coordinates)])


def turbomole_frames(text: str) -> list[Frame]:
    """The structures of a Turbomole coord file, one for each ``$coord``; its state is of all.

    Raises
    ------
    FormatError
        Where coordinates are in a unit that is not known, or in another file.
    """
    lines = text.split("\n")
    said = _turbomole_state(lines)
    frames = []
    for row, line in enumerate(lines):
        words = line.strip().lower().split()
        if not words or words[0] != "$coord":
            continue
        if words[1:] not in ([], ["bohr"], ["angs"]):
            raise FormatError(
                f"line {row + 1} must be $coord, $coord bohr or $coord angs, got {shown(line)}"
            )
        body = "\n".join(["$coord", *lines[row + 1 :], "$end", ""])
        atoms = read_by_ase(body, "turbomole")
        if "angs" in words:
            atoms.positions /= BOHR
        frames.append(Frame(atoms, said))
    return frames


def _turbomole_state(lines: Sequence[str]) -> Stated:
    """Charge and multiplicity as Turbomole (``$eht``) and xtb (``$chrg``, ``$spin``) give them."""
    said: list[Statement] = []
    for line in lines:
        words = line.lower().split()
        if words[:1] == ["$eht"]:
            found = in_comment(line.strip()[len("$eht") :])
            said += [("charge", found.charge)] if found.charge is not None else []
            if found.multiplicity is not None:
                said.append(("multiplicity", found.multiplicity))
            if found.doubts:
                return found
        elif words[:1] in (["$chrg"], ["$spin"]) and len(words) > 1:
            said.append(("charge" if words[0] == "$chrg" else "unpaired", words[1]))
    return stated(said)


def output_state(name: str, text: str) -> Stated:
    """The state in the output of a program; ``name`` is a key of `STATED_OUTPUTS`."""
    said: list[Statement] = []
    for kind, pattern in zip(("charge", "multiplicity"), _OUTPUTS[name], strict=True):
        found = re.findall(pattern, text, re.MULTILINE | re.ASCII)
        said += [(kind, value) for value in found[-1:]]
    return stated(said)


STATED_OUTPUTS = tuple(_OUTPUTS)
"""Outputs of programs whose charge and multiplicity are read, by their name in ASE."""


def cjson_state(text: str) -> Stated:
    """The state in a Chemical JSON file."""
    properties = json.loads(text).get("properties")
    if not isinstance(properties, dict):
        return Stated()
    return stated(
        (key, properties[key])
        for key in ("totalCharge", "totalSpinMultiplicity")
        if key in properties
    )
