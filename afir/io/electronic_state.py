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
    "q": "q",
}
"""Names, lower-case and without dashes and underscores, and the quantity that they give."""

_LABEL = re.compile(
    r"""(?: \b(?P<part>nuclear|core|atomic|partial|effective|point|mulliken|hirshfeld)\s+
    | (?<![\w.-]) -{0,2} ) ["']? (?P<key>[A-Za-z_][\w-]*) ["']? (?:\s+is)? \s* [=:] \s*""",
    re.VERBOSE | re.IGNORECASE,
)
"""A name and what separates it from its value; ``part`` is a part of the molecule."""
_TEXT = re.compile(
    r"""(?: (?: "(?:\\.|[^"\\])*" | '[^']*' ) (?! \s* [=:] ) )?""",  # that is no key
    re.VERBOSE,
)
_VALUE = re.compile(
    r""""(?:\\.|[^"\\])*" | '[^']*' | \{[^{}]*\} | \[[^][]*\]
    | (?! ["']? [A-Za-z_][\w-]* ["']? \s* [=:] ) [^\s,;]+ |""",
    re.VERBOSE,
)
_COLUMNS = re.compile(
    r"""\bProperties\s*=\s*"? [^\s:="]+:[A-Z]:\d+ (?: :[^\s:="]+:[A-Z]:\d+ )*""", re.VERBOSE
)
"""The names of the columns in an extended XYZ file, which may be those of atomic charges."""
_PROSE = re.compile(
    r"""\bcharge [\s(]+ (?:(?:is|of|state)\s+)? ([+-]?\d+(?:\.\d*)?[+-]?) (?![\d.])
    (?: [\s,;()]* (?:and\s+)? (?:spin\s+)?
    mult(?:iplicity)? [\s(]+ (?:(?:is|of)\s+)? (\d+(?:\.\d*)?) (?![\d.]) )?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_BARE = re.compile(r"\s*[+-]?\d{1,2}\s+[1-9]\s*", re.ASCII)
_WHOLE = re.compile(r"([+-]?)(\d{1,18})(?:\.0*)?([+-]?)", re.ASCII)  # 2-, as chemists write it, too
# e: largest deviation of the sum of the atomic charges from a whole number: charges of two digits
# are off by up to 0.005 each, mostly not all to one side.
_ROUNDED = 0.02


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
        try:
            return Molecule(numbers, charge, multiplicity)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error

    def _of_spin(self, electrons: int, spin: float) -> int | None:
        """The multiplicity that a spin stands for; None if that is not clear."""
        possible = _multiplicities(electrons, spin)
        if self.multiplicity is not None:
            return self.multiplicity if self.multiplicity in possible else None
        if len(possible) > 1:
            # Data sets write 2S + 1, also of closed shells; nothing is left to tell S from 2S.
            possible &= {int(spin)}
        return possible.pop() if possible else None

    def tells(self, what: str) -> bool:
        """Whether something is stated, clearly or not, of the ``charge`` or ``multiplicity``."""
        value = self.charge if what == "charge" else self.multiplicity
        by_spin = what == "multiplicity" and self.spin is not None
        return value is not None or by_spin or what in self.doubts

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
    """The combined statements; names that do not concern the state are ignored.

    A whole number as ``q`` is taken as the charge, with a remark.
    """
    said: dict[str, dict[int, str]] = {"charge": {}, "multiplicity": {}}
    spins: dict[float, str] = {}
    doubts: dict[str, str] = {}
    by_name = False
    for name, value in statements:
        kind = _kind(name)
        if kind is None or (kind == "q" and _whole(value) is None):
            continue
        words = _words(name, value)
        what = _quantity(kind)
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
            by_name = by_name or kind == "charge"
    if len(spins) > 1:
        doubts.setdefault("multiplicity", _contradiction("multiplicity", spins.values()))
    for what, numbers in said.items():
        if len(numbers) > 1:
            doubts.setdefault(what, _contradiction(what, numbers.values()))
    charge, multiplicity = (next(iter(numbers), None) for numbers in said.values())
    remarks = {}
    if charge and not by_name:
        remarks["charge"] = f"`{said['charge'][charge]}` is taken as its charge"
    spin = next(((words, value) for value, words in spins.items()), None)
    return Stated(charge, multiplicity, spin, doubts, remarks)


def _kind(name: str) -> str | None:
    """What a name gives, a value of `_KEYS`; None if it does not concern the state."""
    return _KEYS.get(re.sub(r"[\s_-]", "", name).lower())


def _quantity(kind: str) -> str:
    """The quantity that a value of `_KEYS` tells something of."""
    return "charge" if kind in ("charge", "q") else "multiplicity"


def _words(name: str, value: object) -> str:
    return f"{name}={value}" if len(f"{value}") < 40 else f"{name}=…"


def _contradiction(what: str, words: Iterable[str]) -> str:
    return f"`{what}` must be said once, got {' and '.join(words)}"


def in_comment(comment: str) -> Stated:
    """The state in a comment line, by keys such as ``charge=1`` or in words: charge 1 mult 2.

    A whole number as ``q`` is the charge, too. Charges of parts, such as a nuclear charge, and
    what stands in quotes behind another name are none; they only give a remark.

    Two numbers alone, as in ``1 2``, are ambiguous: they only give a remark.
    """
    if _BARE.fullmatch(comment) and comment.split() != ["0", "1"]:
        charge, multiplicity = comment.split()
        remark = (
            f"its comment {comment.strip()!r} is not taken for a charge and a multiplicity; "
            f"write charge={charge} multiplicity={multiplicity} if it is meant so"
        )
        return Stated(remarks={"charge": remark, "multiplicity": remark})
    said, unused, rest = _statements(_COLUMNS.sub(" ", comment))
    plain: list[re.Match[str]] = []
    for found in _PROSE.finditer(rest):
        if found[2] is not None:
            said += [("charge", found[1]), ("multiplicity", found[2])]
        elif _whole(found[1]):
            plain.append(found)
    known = stated(said)
    doubts, remarks = dict(known.doubts), dict(known.remarks)
    if plain and not known.tells("charge"):
        words, number = plain[0][0], plain[0][1].rstrip(".")
        doubts["charge"] = (
            f"`{words}` in its comment may be its charge or not (write charge={number})"
        )
    for what, words in unused.items():
        if what not in doubts and not known.tells(what):
            remarks[what] = f"`{words}` in its comment is not taken as its {what}"
    return replace(known, doubts=doubts, remarks=remarks)


def _statements(comment: str) -> tuple[list[Statement], dict[str, str], str]:
    """What the labels of a comment state.

    Returns
    -------
    tuple of list, dict and str
        The statements; for ``"charge"`` and ``"multiplicity"`` the words that are of a part of the
        molecule or inside of a quotation, and are not used; and the comment without all these.
    """
    said: list[Statement] = []
    unused: dict[str, str] = {}
    rest: list[str] = []
    start = 0
    while (label := _LABEL.search(comment, start)) is not None:
        part, key = label["part"], label["key"]
        kind = _kind(key)
        # What follows another label may be the state: "dication: charge=2".
        match = (_TEXT if kind is None else _VALUE).match(comment, label.end())
        assert match is not None  # both match nothing, too
        rest.append(comment[start : label.start()])
        start = match.end()
        value = match[0].strip("\"'{}[] ")
        if kind is None:
            quoted = in_comment(value)
            told = [what for what in ("charge", "multiplicity") if quoted.tells(what)]
        elif part is None:
            said.append((key, value))
            continue
        else:
            told = [_quantity(kind)] if _whole(value) is not None else []
        for what in told:
            unused.setdefault(what, _words(f"{part} {key}" if part else key, match[0].strip()))
    return said, unused, " = ".join([*rest, comment[start:]])


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
    if not said.tells("charge") and (total := _total(charges)) != 0.0:
        charge = round(total) if abs(total - round(total)) < _ROUNDED else None
        if charge is None:  # partial charges, perhaps of some atoms only
            remarks["charge"] = (
                f"the charges of its atoms add up to {total:.3f}, which is not a whole number; "
                "its charge is taken as 0"
            )
    if not said.tells("multiplicity") and (total := abs(_total(moments))) != 0.0:
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
