"""Charge and multiplicity from a structure file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from afir.errors import InputError
from afir.molecule import Molecule

Statement = tuple[str, object]
"""One statement of the state: its name as in the file, and a value."""

_KEYS = {
    "charge": "charge",
    "totalcharge": "charge",
    "netcharge": "charge",
    "molecularcharge": "charge",
    "chrg": "charge",
    "multiplicity": "multiplicity",
    "mult": "multiplicity",
    "spinmultiplicity": "multiplicity",
    "spinmult": "multiplicity",
    "totalspinmultiplicity": "multiplicity",
    "unpaired": "unpaired",
    "unpairedelectrons": "unpaired",
    "nunpaired": "unpaired",
    "uhf": "unpaired",
    "spin": "spin",
    "totalspin": "spin",
}
"""Names, lower-case and without dashes and underscores, and the quantity that they give."""

_PAIR = re.compile(
    r"""(?<![\w.-]) ["']? (?P<key>[A-Za-z_][\w-]*) ["']? \s* [=:] \s*
    (?P<value> "(?:\\.|[^"\\])*" | '[^']*' | \{[^}]*\} | \[[^\]]*\] | [^\s,;]* )""",
    re.VERBOSE,
)
_PROSE = re.compile(
    r"\bcharge\s+(?:is\s+)?([+-]?\d+(?:\.\d*)?[+-]?)(?![\d.])(?:\s*,?\s*(?:and\s+)?(?:spin\s+)?"
    r"mult(?:iplicity)?\s+(?:is\s+)?(\d+(?:\.\d*)?)(?![\d.]))?",
    re.IGNORECASE | re.ASCII,
)
_OF_A_PART = re.compile(
    r"\b(?:nuclear|core|atomic|partial|effective|point|mulliken|hirshfeld)\s+\Z", re.IGNORECASE
)
"""Words before a charge or a spin that is not that of the molecule."""
_BARE = re.compile(r"\s*[+-]?\d{1,2}\s+[1-9]\s*", re.ASCII)
_WHOLE = re.compile(r"([+-]?)(\d{1,18})(?:\.0*)?([+-]?)", re.ASCII)  # 2-, as chemists write it, too
_ROUNDED = 0.02  # e: largest deviation of the sum of the atomic charges from a whole number


@dataclass(frozen=True)
class Stated:
    """The electronic state as stated by one structure of a file.

    Attributes
    ----------
    charge, multiplicity
        The unambiguous values; None if not stated.
    spin
        A statement of spin, which may be S, 2S or 2S + 1: the words, and the value.
    doubts
        For ``"charge"`` and ``"multiplicity"``: why a statement cannot be used.
    remarks
        For ``"charge"`` and ``"multiplicity"``: the assumption made if it is not given.
    """

    charge: int | None = None
    multiplicity: int | None = None
    spin: tuple[str, float] | None = None
    doubts: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)

    def molecule(
        self,
        numbers: Iterable[int],
        *,
        source: str,
        charge: int | None = None,
        multiplicity: int | None = None,
        advice: str = "correct the file",
    ) -> Molecule:
        """The molecule of these atoms in the given state, else the stated one, else 0 and 1.

        Parameters
        ----------
        numbers
            Atomic numbers.
        source
            The file, for messages.
        charge, multiplicity
            The state given by the caller, which takes precedence; None if not given.
        advice
            Remedy for a state that cannot be used; ``{name}`` in it is ``charge`` or
            ``multiplicity``.

        Raises
        ------
        InputError
            For a statement that is needed and cannot be used, and an impossible state.
        """
        numbers = tuple(numbers)
        for name, value in (("charge", charge), ("multiplicity", multiplicity)):
            if value is None and name in self.doubts:
                raise InputError(f"{source}: {self.doubts[name]}; {advice.format(name=name)}")
        if charge is None:
            charge = self.charge or 0
        if multiplicity is None and self.spin is not None:
            words, spin = self.spin
            multiplicity = self._of_spin(sum(numbers) - charge, spin)
            if multiplicity is None:
                raise InputError(
                    f"{source}: `{words}` may mean S, 2S or 2S + 1 and does not tell the "
                    f"multiplicity; {advice.format(name='multiplicity')}"
                )
        if multiplicity is None:
            multiplicity = 1 if self.multiplicity is None else self.multiplicity
        return Molecule(numbers, charge, multiplicity)

    def _of_spin(self, electrons: int, spin: float) -> int | None:
        """The multiplicity that a spin stands for; None if that is not clear."""
        possible = _multiplicities(electrons, spin)
        if self.multiplicity is not None:
            return self.multiplicity if self.multiplicity in possible else None
        if len(possible) > 1:
            # Data sets write 2S + 1, also of closed shells; nothing is left to tell S from 2S.
            possible &= {int(spin)}
        return possible.pop() if possible else None

    def assumptions(
        self, molecule: Molecule, *, charge: int | None, multiplicity: int | None
    ) -> tuple[str, ...]:
        """What was assumed to get the molecule, for a warning; arguments as of `molecule`."""
        given = {"charge": charge, "multiplicity": multiplicity}
        told = [text for name, text in self.remarks.items() if given[name] is None]
        if multiplicity is None and self.multiplicity is None and self.spin is not None:
            words, spin = self.spin
            if len(_multiplicities(molecule.electrons, spin)) > 1:
                told.append(f"`{words}` is taken as 2S + 1: multiplicity {molecule.multiplicity}")
        return tuple(dict.fromkeys(told))


UNREADABLE = Stated(
    doubts={
        name: f"its `{name}` must be given, since it cannot be read from a file of this format"
        for name in ("charge", "multiplicity")
    }
)
"""The statement of a file format whose charge and multiplicity are not read."""


def _multiplicities(electrons: int, spin: float) -> set[int]:
    """The multiplicities possible for the electrons and this S, 2S or 2S + 1."""
    return {
        int(value)
        for value in (2 * spin + 1, spin + 1, spin)
        if value.is_integer() and 1 <= value <= electrons + 1 and (electrons + 1 - value) % 2 == 0
    }


def stated(statements: Iterable[Statement]) -> Stated:
    """The combined statements; names that do not concern the state are ignored."""
    said: dict[str, dict[int, str]] = {"charge": {}, "multiplicity": {}}
    spins: dict[float, str] = {}
    doubts: dict[str, str] = {}
    for name, value in statements:
        kind = _KEYS.get(re.sub(r"[\s_-]", "", name).lower())
        if kind is None:
            continue
        words = f"{name}={value}" if len(f"{value}") < 40 else f"{name}=…"
        what = "charge" if kind == "charge" else "multiplicity"
        if kind == "spin":
            try:
                spins[float(str(value))] = words
            except ValueError:
                doubts[what] = f"`{name}` must be a number, got {str(value)[:40]!r}"
            continue
        number = _whole(value)
        if number is None:
            doubts[what] = f"`{name}` must be a whole number, got {str(value)[:40]!r}"
        else:
            said[what].setdefault(number + (kind == "unpaired"), words)
    if len(spins) > 1:
        doubts.setdefault("multiplicity", _contradiction("multiplicity", spins.values()))
    for what, numbers in said.items():
        if len(numbers) > 1:
            doubts.setdefault(what, _contradiction(what, numbers.values()))
    charge, multiplicity = (next(iter(numbers), None) for numbers in said.values())
    spin = next(((words, value) for value, words in spins.items()), None)
    return Stated(charge, multiplicity, spin, doubts)


def _contradiction(what: str, words: Iterable[str]) -> str:
    return f"`{what}` must be said once, got {' and '.join(words)}"


def in_comment(comment: str) -> Stated:
    """The state in a comment line, by keys such as ``charge=1`` or in words: charge 1 mult 2.

    A whole number as ``q`` is the charge, too; a nuclear or partial charge is none.

    Two numbers alone, as in ``1 2``, are ambiguous: they only give a remark.
    """
    if _BARE.fullmatch(comment) and comment.split() != ["0", "1"]:
        charge, multiplicity = comment.split()
        remark = (
            f"its comment {comment.strip()!r} is not taken for a charge and a multiplicity; "
            f"write charge={charge} multiplicity={multiplicity} if it is meant so"
        )
        return Stated(remarks={"charge": remark, "multiplicity": remark})
    said: list[Statement] = []
    for pair in _PAIR.finditer(comment):
        key, value = pair["key"], pair["value"].strip("\"'{}[] ")
        if key.lower() == "q" and _whole(value) is not None:
            key = "charge"
        if _OF_A_PART.search(comment, 0, pair.start()) is None:
            said.append((key, value))
    found = _PROSE.search(_PAIR.sub(" ", comment))
    if found is None:
        return stated(said)
    if found[2] is not None:
        return stated([*said, ("charge", found[1]), ("multiplicity", found[2])])
    if not _whole(found[1]) or any(name.lower() == "charge" for name, _ in said):
        return stated(said)
    plain = found[1].rstrip(".")
    doubt = f"`{found[0]}` in its comment may be its charge or not (write charge={plain})"
    known = stated(said)
    return Stated(None, known.multiplicity, known.spin, {**known.doubts, "charge": doubt})


def completed(said: Stated, charges: Any, moments: Any) -> Stated:
    """The stated values, else the sums over the atoms.

    Parameters
    ----------
    said
        The statement for the whole structure; it takes precedence, since atoms may have partial
        charges.
    charges, moments
        (n,) charges in e and magnetic moments in Bohr magnetons of the atoms, or None.
    """
    doubts, remarks = dict(said.doubts), dict(said.remarks)
    charge, multiplicity = said.charge, said.multiplicity
    if charge is None and "charge" not in doubts and (total := _total(charges)) != 0.0:
        charge = round(total) if abs(total - round(total)) < _ROUNDED else None
        if charge is None:  # partial charges, perhaps of some atoms only
            remarks["charge"] = (
                f"the charges of its atoms add up to {total:.3f}, which is not a whole number; "
                "its charge is taken as 0"
            )
    untold = multiplicity is None and said.spin is None and "multiplicity" not in doubts
    if untold and (total := abs(_total(moments))) != 0.0:
        multiplicity = round(total) + 1 if abs(total - round(total)) < _ROUNDED else None
        if multiplicity is None:
            doubts["multiplicity"] = (
                f"the magnetic moments of its atoms must add up to a whole number, got {total:.3f}"
            )
    return replace(said, charge=charge, multiplicity=multiplicity, doubts=doubts, remarks=remarks)


def _total(values: Any) -> float:
    """The sum of the values of the atoms; 0 if there are none, or they are not numbers."""
    numbers = np.asarray(0.0 if values is None else values)
    if numbers.dtype.kind not in "if" or numbers.ndim > 1 or not np.isfinite(numbers).all():
        return 0.0
    total = float(numbers.sum())
    return 0.0 if abs(total) < _ROUNDED else total


def _whole(value: object) -> int | None:
    """The whole number of a value; None if it is not one."""
    match = _WHOLE.fullmatch(str(value).strip())
    if match is None or (match[1] and match[3]):
        return None
    return int(match[2]) * (-1 if "-" in (match[1], match[3]) else 1)
