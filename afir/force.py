"""The artificial force: a bias that pushes fragments together or pulls them apart.

AFIR adds ρ·α·r̄ to the energy, where r̄ is the distance between the atoms of two fragments
averaged with the weights ((R_i + R_j)/r_ij)^6 (10.1063/1.3457903, 10.1002/tcr.201600043).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.molecule import Molecule, Positions
from afir.units import KJ_PER_MOL

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
        γ in kJ/mol, 0 or more: roughly the highest barrier the force carries over.
    """
    if not gamma >= 0.0:
        raise InputError(f"`gamma` must be 0 kJ/mol or more, got {gamma}")
    if gamma == 0.0:
        return 0.0
    shape = 2 ** (-1 / 6) - (1 + np.sqrt(1 + gamma / _ARGON_DEPTH)) ** (-1 / 6)
    return float(gamma / (shape * _ARGON_DISTANCE))


@dataclass(frozen=True)
class ForceTerm:
    """Two fragments and whether they are pushed together or pulled apart.

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
        object.__setattr__(self, "a", tuple(sorted(int(i) for i in self.a)))
        object.__setattr__(self, "b", tuple(sorted(int(i) for i in self.b)))
        if not self.a or not self.b:
            raise InputError("a force term must have atoms on both sides, got an empty fragment")
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
        """Read what ``str`` writes; raises InputError for anything else."""
        try:
            direction = {"+": 1, "-": -1}[text[0]]
            left, right = text[1:].split("|")
            a, b = (tuple(int(i) for i in side.split(",")) for side in (left, right))
        except (KeyError, ValueError, IndexError):
            raise InputError(
                f"a force term must look like +0,1|4 (push) or -2|3 (pull), got {text!r}"
            ) from None
        return cls(a, b, direction)


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
        self._strength = alpha(gamma) * KJ_PER_MOL  # eV/Å
        self._pairs = []
        for term in self.terms:
            i = np.repeat(term.a, len(term.b))
            j = np.tile(term.b, len(term.a))
            self._pairs.append((i, j, molecule.radii[i] + molecule.radii[j], term.direction))

    def __call__(self, positions: Positions) -> tuple[float, NDArray[np.float64]]:
        """The bias in eV and its gradient (n, 3) in eV/Å at one geometry (n, 3) in Å."""
        value = 0.0
        gradient = np.zeros_like(positions)
        for i, j, radii, direction in self._pairs:
            difference = positions[i] - positions[j]
            r = np.sqrt(np.einsum("ij,ij->i", difference, difference))
            w = (radii / r) ** _POWER
            total = w.sum()
            mean = float((w * r).sum() / total)
            strength = direction * self._strength
            value += strength * mean
            # d r̄/d r_ij = (w/W)·[(1 − p) + p·r̄/r]: changes sign at r = 1.2·r̄.
            slope = strength / total * w * ((1 - _POWER) + _POWER * mean / r)
            pull = (slope / r)[:, None] * difference
            np.add.at(gradient, i, pull)
            np.subtract.at(gradient, j, pull)
        return value, gradient
