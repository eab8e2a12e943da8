"""The artificial force: a bias that pushes fragments together or pulls them apart.

AFIR adds ρ·α·r̄ to the energy, where r̄ is the distance between the atoms of two fragments
averaged with the weights ((R_i + R_j)/r_ij)^6 (10.1063/1.3457903, 10.1002/tcr.201600043).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.molecule import Molecule, Positions
from afir.units import KJ_PER_MOL

# As the method is defined (10.1063/1.3457903).
_ARGON_DISTANCE = 3.8164  # Å, minimum of the Ar–Ar Lennard-Jones potential
_ARGON_DEPTH = 1.0061  # kJ/mol, its depth
_POWER = 6


def alpha(gamma: float) -> float:
    """The strength α of the force in kJ/mol/Å for the collision energy parameter γ.

    α = γ / {[2^(−1/6) − (1 + √(1 + γ/ε))^(−1/6)]·R₀} with the Ar–Ar Lennard-Jones R₀ and ε
    (10.1063/1.3457903). γ = 0 gives 0.

    Parameters
    ----------
    gamma
        γ in kJ/mol, 0 or more: roughly the highest barrier that the force overcomes.
    """
    if not gamma >= 0.0:
        raise InputError(f"`gamma` must be 0 kJ/mol or more, got {gamma}")
    if gamma == 0.0:
        return 0.0
    shape = 2 ** (-1 / 6) - (1 + np.sqrt(1 + gamma / _ARGON_DEPTH)) ** (-1 / 6)
    return float(gamma / (shape * _ARGON_DISTANCE))


@dataclass(frozen=True)
class ForceTerm:
    """A force term: two fragments that are pushed together or pulled apart.

    Attributes
    ----------
    a, b
        Disjoint, non-empty tuples of atom indices (0-based).
    direction
        +1 pushes together, −1 pulls apart.
    """

    a: tuple[int, ...]
    b: tuple[int, ...]
    direction: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "a", tuple(sorted(map(_whole, self.a))))
        object.__setattr__(self, "b", tuple(sorted(map(_whole, self.b))))
        if not self.a or not self.b:
            raise InputError("a force term must have atoms on both sides, got an empty fragment")
        if len(set(self.a)) < len(self.a) or len(set(self.b)) < len(self.b):
            raise InputError(f"a force term must name each atom once, got {self}")
        shared = sorted(set(self.a) & set(self.b))
        if shared:
            raise InputError(
                f"the fragments of a force term must not share atoms, got {shared} on both sides"
            )
        if self.direction not in (1, -1):
            raise InputError(f"`direction` must be 1 or -1, got {self.direction}")

    def __str__(self) -> str:
        """``+0,1|4`` pushes atoms 0 and 1 onto 4; ``-2|3`` pulls 2 from 3."""
        sign = "+" if self.direction > 0 else "-"
        return f"{sign}{','.join(map(str, self.a))}|{','.join(map(str, self.b))}"

    @classmethod
    def parse(cls, text: str) -> ForceTerm:
        """A term from its text (``str``); InputError for any other text."""
        try:
            direction = {"+": 1, "-": -1}[text[0]]
            left, right = text[1:].split("|")
            a, b = (tuple(_atom(i) for i in side.split(",")) for side in (left, right))
        except (KeyError, ValueError, IndexError):
            raise InputError(
                f"a force term must look like +0,1|4 (push) or -2|3 (pull), got {text!r}"
            ) from None
        return cls(a, b, direction)

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> ForceTerm:
        """A term from the values of `plain`; InputError for any others."""
        try:
            a, b = data["fragments"]
            sign = data["sign"]
            if not (isinstance(a, list | tuple) and isinstance(b, list | tuple)):
                raise TypeError(f"no lists: {a!r}, {b!r}")
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"a force must look like {cls((0, 1), (4,), 1).plain()}, got {data!r}"
            ) from None
        return cls(tuple(a), tuple(b), sign)

    def plain(self) -> dict[str, Any]:
        """The term as plain JSON values: ``{"sign": 1, "fragments": [[0, 1], [4]]}``."""
        return {"sign": self.direction, "fragments": [list(self.a), list(self.b)]}


def _whole(atom: object) -> int:
    """The index of an atom; InputError for anything but a whole number."""
    if type(atom) is int:  # as mostly; to ask for any Integral takes ten times as long
        return atom
    if isinstance(atom, bool) or not isinstance(atom, Integral):
        raise InputError(f"a force term must name atoms by whole numbers, got {atom!r}")
    return int(atom)


def _atom(text: str) -> int:
    """The index of an atom from ASCII digits; ValueError for other text that `int` accepts."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError(text)
    return int(text)


class ArtificialForce:
    """The sum of one or several force terms of the same γ.

    Parameters
    ----------
    molecule
        Gives the covalent radii.
    terms
        The fragments; each term has the full strength α(γ).
    gamma
        γ in kJ/mol.

    Raises
    ------
    InputError
        For no terms, an atom index outside the molecule, or a negative γ.
    """

    def __init__(self, molecule: Molecule, terms: Sequence[ForceTerm], gamma: float) -> None:
        if not terms:
            raise InputError("`terms` must hold at least one force term, got none")
        for term in terms:
            for index in term.a + term.b:
                if not 0 <= index < molecule.n_atoms:
                    raise InputError(
                        f"force term {term} must name atoms from 0 to {molecule.n_atoms - 1}, "
                        f"got {index}"
                    )
        self.terms = tuple(terms)
        self.gamma = gamma
        pairs = [(i, j) for term in self.terms for i in term.a for j in term.b]
        counts = [len(term.a) * len(term.b) for term in self.terms]
        first, second = np.array(pairs).T
        each = np.arange(len(pairs))
        self._radii = molecule.radii[first] + molecule.radii[second]
        self._term = np.repeat(np.arange(len(counts)), counts)
        self._starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        directions = np.array([term.direction for term in self.terms])
        self._strengths = alpha(gamma) * KJ_PER_MOL * directions  # eV/Å
        # Which atoms a pair joins, as 1 and −1: from positions to arms, from pulls to gradients.
        self._ends = np.zeros((molecule.n_atoms, len(pairs)))
        self._ends[first, each] = 1.0
        self._ends[second, each] = -1.0

    def __call__(self, positions: Positions) -> tuple[float, NDArray[np.float64]]:
        """The bias in eV and its gradient (n, 3) in eV/Å at one geometry (n, 3) in Å."""
        arms = self._ends.T @ positions
        r = np.sqrt(np.vecdot(arms, arms))
        w = (self._radii / r) ** _POWER
        totals = np.add.reduceat(w, self._starts)
        means = np.add.reduceat(w * r, self._starts) / totals
        # d r̄/d r_ij = (w/W)·[(1 − p) + p·r̄/r]: changes sign at r = 1.2·r̄.
        slopes = (self._strengths / totals)[self._term] * w
        slopes *= (1 - _POWER) + _POWER * means[self._term] / r
        gradient: NDArray[np.float64] = self._ends @ ((slopes / r)[:, None] * arms)
        return float(self._strengths @ means), gradient
