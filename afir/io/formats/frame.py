"""One structure of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

from afir.elements import SYMBOLS
from afir.io.electronic_state import Stated, completed, stated

if TYPE_CHECKING:  # takes 0.2 s
    from ase import Atoms


class FormatError(ValueError):
    """An error in the content of a file; the message follows the file name."""


@dataclass(frozen=True)
class Frame:
    """One structure of a file.

    Attributes
    ----------
    atoms
        Elements, coordinates in Å and, if present, a cell and labels.
    stated
        The stated charge and multiplicity.
    remark
        A warning about its geometry; else empty.
    """

    atoms: Atoms
    stated: Stated = field(default_factory=Stated)
    remark: str = ""


def made_of(symbols: Sequence[str], positions: Sequence[Sequence[float]]) -> Atoms:
    """Atoms of these elements, in letters of any size, at these places in Å."""
    from ase import Atoms

    for index, symbol in enumerate(symbols):
        if symbol.capitalize() not in SYMBOLS:
            raise FormatError(f"atom {index} must be an element, got {shown(symbol)}")
    rows = [list(row) for row in positions]
    return Atoms([symbol.capitalize() for symbol in symbols], positions=rows or None)


def read_by_ase(text: str, name: str) -> Atoms:
    """The first structure of a text in the format that ASE calls ``name``."""
    from ase import Atoms
    from ase.io import read

    atoms = read(StringIO(text), index=0, format=name)
    assert isinstance(atoms, Atoms)
    return atoms


def told_by(atoms: Atoms, said: Stated | None = None) -> Stated:
    """The stated charge and multiplicity, with those of the atoms as read by ASE."""
    if said is None:
        said = stated((str(name), value) for name, value in atoms.info.items())
    results: dict[str, Any] = getattr(atoms.calc, "results", None) or {}
    charges = atoms.arrays.get("initial_charges", results.get("charges"))
    moments = atoms.arrays.get("initial_magmoms", results.get("magmoms"))
    return completed(said, charges, moments)


def number(text: str) -> float:
    """A number of a file, also with a Fortran exponent; FormatError for other text."""
    try:
        if text.isascii() and "_" not in text:
            return float(text.replace("D", "E").replace("d", "e"))
    except ValueError:
        pass
    raise FormatError(f"must hold numbers, got {shown(text)}")


def shown(text: str) -> str:
    """Text shortened and made printable, in quotes."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
