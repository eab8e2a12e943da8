"""Ids of structures: ``EQ3``, ``TS0``, ``DC12``, and ``EQ3.1`` for one arrangement of its atoms."""

from __future__ import annotations

import re
from typing import Literal, Self, TypeAlias, cast

from afir.errors import InputError

Kind: TypeAlias = Literal["EQ", "TS", "DC"]
"""Equilibrium structure, transition state, dissociation channel."""

_KINDS = ("EQ", "TS", "DC")
_FORM = re.compile(r"(EQ|TS|DC)(0|[1-9][0-9]*)(?:\.(0|[1-9][0-9]*))?")


class Id(str):
    """The id of a structure: the text that files and people see, and what it says.

    It equals the same plain text and is written as such, and ``<`` compares it as text: sort by
    `order`.

    Parameters
    ----------
    text
        The id, e.g. ``"EQ3"`` or ``"EQ3.1"``.

    Raises
    ------
    InputError
        If the text is no id.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:  # noqa: D102  # the class says it
        if isinstance(text, cls):
            return text
        if not isinstance(text, str) or _FORM.fullmatch(text) is None:
            raise InputError(f"`id` must be like EQ3, TS0 or DC12, got {text!r}")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, kind: Kind, number: int) -> Self:
        """The id of the structure of a kind with a number, counted from 0."""
        return cls(f"{kind}{number}")

    @property
    def kind(self) -> Kind:
        """``"EQ"``, ``"TS"`` or ``"DC"``."""
        return cast("Kind", self[:2])

    @property
    def number(self) -> int:
        """The number in the order of discovery, from 0."""
        return int(self[2:].partition(".")[0])

    @property
    def arrangement(self) -> int | None:
        """The number behind the dot, of an arrangement of the atoms; None if there is none."""
        number = self.partition(".")[2]
        return int(number) if number else None

    def arranged(self, number: int) -> Self:
        """The id of an arrangement of the atoms of this structure, ``EQ3.1``."""
        return type(self)(f"{self.kind}{self.number}.{number}")

    def order(self) -> tuple[int, int, int]:
        """The key to sort by: EQs, TSs, DCs, each by number."""
        arrangement = self.arrangement
        return _KINDS.index(self.kind), self.number, -1 if arrangement is None else arrangement
