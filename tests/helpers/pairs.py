"""Surfaces of two atoms, or two pairs, whose stationary points are plain to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from afir.errors import SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.driver import (
    Search,
)
from afir.pes.loading import load_surface
from afir.pes.surface import Checked, Evaluation, Surface, Traits
from afir.surfaces.analytic import double_well

PAIR, FOUR = Molecule((1, 1)), Molecule((1, 1, 1, 1))


def both(molecule: Molecule) -> Checked:
    """GFN1-xTB to search on, GFN2-xTB to examine with."""
    return Checked(load_surface("gfn1", molecule), load_surface("gfn2", molecule))


def pair(r: float) -> Positions:
    return np.array([[0.0, 0.0, 0.0], [0.0, 0.0, r]])


@dataclass(frozen=True)
class Shifted:
    """The double well, a number of eV higher, that says how far it is to be trusted."""

    height: float = 0.0
    slope: float = 0.0
    spread: float = 0.0
    limit: float = 1.0
    traits: Traits = Traits()  # noqa: RUF009 - a frozen value
    molecule: Molecule = PAIR

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        true = double_well(PAIR).evaluate(positions)
        return Evaluation(
            true.energies + self.height,
            true.gradients + self.slope,
            {},
            np.full(len(positions), self.spread),
            self.limit,
        )

    def for_paths(self) -> Surface:
        return self


def asking(*lengths: float) -> Search[list[float]]:
    """Asks for one length after the other."""
    energies = []
    for r in lengths:
        evaluation = yield pair(r)[None]
        energies.append(float(evaluation.energies[0]))
    return energies


@dataclass(frozen=True)
class Linear(Shifted):
    """Two atoms pulled together or apart: E = s·r."""

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        arm = positions[:, 1] - positions[:, 0]
        r = np.linalg.norm(arm, axis=1)
        pull = (self.slope / r)[:, None] * arm
        return Evaluation(self.slope * r, np.stack([-pull, pull], axis=1))


@dataclass(frozen=True)
class Repelling(Shifted):
    """Two atoms that only repel each other: E = 5 eV Å / r."""

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        arm = positions[:, 1] - positions[:, 0]
        r = np.linalg.norm(arm, axis=1)
        pull = (5.0 / r**3)[:, None] * arm
        return Evaluation(5.0 / r, np.stack([pull, -pull], axis=1))


@dataclass(frozen=True)
class Spring(Shifted):
    """Two atoms on a spring: E = k/2 (r − r0)², in eV and Å."""

    stiffness: float = 1.0
    rest: float = 1.0

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        arm = positions[:, 1] - positions[:, 0]
        r = np.linalg.norm(arm, axis=1)
        pull = (self.stiffness * (r - self.rest) / r)[:, None] * arm
        return Evaluation(0.5 * self.stiffness * (r - self.rest) ** 2, np.stack([-pull, pull], 1))


@dataclass(frozen=True)
class Failing(Shifted):
    """A surface that fails at one of its calls."""

    true: Surface = field(default_factory=Shifted)
    at: int = 0
    calls: list[int] = field(default_factory=list)

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        self.calls.append(len(positions))
        said = self.true.evaluate(positions, owners)
        if len(self.calls) != self.at:
            return said
        return Evaluation(said.energies, said.gradients, {0: SurfaceError("no SCF")})


@dataclass(frozen=True)
class Dimer:
    """Two stiff molecules of two atoms that hardly hold together: bonds, and Lennard-Jones."""

    depth: float = 4e-4
    molecule: Molecule = FOUR

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        energies, gradients = np.zeros(len(positions)), np.zeros(positions.shape)
        for i, j in ((0, 1), (2, 3), (0, 2), (0, 3), (1, 2), (1, 3)):
            arm = positions[:, i] - positions[:, j]
            r = np.linalg.norm(arm, axis=1)
            if j == i + 1 and i != 1:
                energy, slope = 18.0 * (r - 0.74) ** 2, 36.0 * (r - 0.74)
            else:
                six = (3.0 / r) ** 6
                energy = 4.0 * self.depth * (six**2 - six)
                slope = 4.0 * self.depth * (6.0 * six - 12.0 * six**2) / r
            pull = (slope / r)[:, None] * arm
            energies += energy
            gradients[:, i] += pull
            gradients[:, j] -= pull
        return Evaluation(energies, gradients)

    def for_paths(self) -> Surface:
        return self
