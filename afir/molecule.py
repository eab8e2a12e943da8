"""The composition and electronic state: elements, charge and multiplicity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afir.elements import MASSES, RADII, SYMBOLS
from afir.errors import InputError

_MOST_ADDED = 8  # electrons: a full shell; backends count them in few bytes, and some crash

Positions = NDArray[np.float64]
"""Cartesian coordinates in Å: (n, 3) for one geometry, (k, n, 3) for a batch."""


def read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """A view of the same numbers that cannot be written to."""
    view = array.view()
    view.setflags(write=False)
    return view


@dataclass(frozen=True)
class Molecule:
    """The composition and electronic state shared by every structure of a network.

    Parameters
    ----------
    numbers
        Atomic numbers, in the order of the atoms.
    charge
        Total charge in units of e.
    multiplicity
        2S + 1. Must fit the number of electrons: odd for an even count.

    Raises
    ------
    InputError
        If there are no atoms, an element is unknown, the charge is impossible, or charge and
        multiplicity are incompatible.
    """

    numbers: tuple[int, ...]
    charge: int = 0
    multiplicity: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", tuple(int(z) for z in self.numbers))
        if not self.numbers:
            raise InputError("`numbers` must name at least one atom, got none")
        for index, z in enumerate(self.numbers):
            if not 1 <= z < len(SYMBOLS):
                raise InputError(
                    f"`numbers` must hold atomic numbers from 1 to {len(SYMBOLS) - 1}, "
                    f"got {z} for atom {index}"
                )
        if self.multiplicity < 1:
            raise InputError(f"`multiplicity` must be 1 or more, got {self.multiplicity}")
        electrons = self.electrons
        if electrons < 0:
            raise InputError(
                f"`charge` must leave at least 0 electrons, got {self.charge:+d} "
                f"for {self.formula} with {sum(self.numbers)} electrons when neutral"
            )
        most = sum(self.numbers) + _MOST_ADDED * len(self.numbers)
        if electrons > most:
            raise InputError(
                f"`charge` must add {_MOST_ADDED} electrons to each atom at most, got "
                f"{self.charge:+d} for {self.formula}"
            )
        unpaired = self.multiplicity - 1
        if (electrons - unpaired) % 2 or unpaired > electrons:
            kind = "odd" if electrons % 2 == 0 else "even"
            charge = f"{self.charge:+d}" if self.charge else "0"
            number = "1 electron" if electrons == 1 else f"{electrons} electrons"
            if unpaired > electrons:
                kind = f"{electrons + 1} at most"
            raise InputError(
                f"`multiplicity` must be {kind} for {self.formula} with charge {charge} "
                f"({number}), got {self.multiplicity}; change `charge` or `multiplicity`"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Plain values only: what follows from them is made again, and is again read-only."""
        return type(self), (self.numbers, self.charge, self.multiplicity)

    @classmethod
    def from_symbols(
        cls, symbols: Sequence[str], charge: int = 0, multiplicity: int = 1
    ) -> Molecule:
        """Build from element symbols; raises InputError for one that is unknown."""
        numbers = []
        for index, symbol in enumerate(symbols):
            if symbol not in SYMBOLS[1:]:
                raise InputError(
                    f"`symbols` must hold element symbols, got {symbol!r} for atom {index}"
                )
            numbers.append(SYMBOLS.index(symbol))
        return cls(tuple(numbers), charge, multiplicity)

    @property
    def n_atoms(self) -> int:
        """The number of atoms."""
        return len(self.numbers)

    @property
    def electrons(self) -> int:
        """The number of electrons."""
        return sum(self.numbers) - self.charge

    @property
    def symbols(self) -> tuple[str, ...]:
        """Element symbols in atom order."""
        return tuple(SYMBOLS[z] for z in self.numbers)

    @property
    def formula(self) -> str:
        """The Hill formula (carbon, hydrogen, then alphabetical), e.g. ``CH2O``."""
        return hill_formula(self.symbols)

    @property
    def name(self) -> str:
        """The formula, with charge and multiplicity unless it is a neutral singlet."""
        return f"{self.formula} ({self.state})" if self.state else self.formula

    @property
    def state(self) -> str:
        """Charge and multiplicity in words; empty for a neutral singlet."""
        if self.charge == 0 and self.multiplicity == 1:
            return ""
        charge = f"{self.charge:+d}" if self.charge else "0"
        return f"charge {charge}, multiplicity {self.multiplicity}"

    @cached_property
    def masses(self) -> NDArray[np.float64]:
        """(n,) standard atomic weights in amu, read-only."""
        return read_only(MASSES[list(self.numbers)])

    @cached_property
    def radii(self) -> NDArray[np.float64]:
        """(n,) Pyykkö single-bond covalent radii in Å (10.1002/chem.200800987), read-only."""
        return read_only(RADII[list(self.numbers)])


def hill_formula(symbols: Sequence[str]) -> str:
    """The Hill formula of a bag of element symbols, e.g. ``["O", "H", "H"]`` → ``H2O``."""
    counts = {symbol: symbols.count(symbol) for symbol in sorted(set(symbols))}
    order = list(counts)
    if "C" in counts:
        order = ["C"] + [s for s in ("H",) if s in counts] + [s for s in order if s not in "CH"]
    return "".join(s + (str(counts[s]) if counts[s] > 1 else "") for s in order)
