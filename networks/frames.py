"""The geometries a task evaluated, with their energies and gradients: what potentials learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from afir.driver import Asked, Level, Request, Search, reference_stage, relayed
from afir.molecule import Positions
from afir.surface import Evaluation

T = TypeVar("T")

LEFT_OUT = frozenset(
    ["hessian", "consistency", "again", *map(reference_stage, ("consistency", "again"))]
)
"""The stages that are not kept: their geometries hardly differ from each other, or from EQ0."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Evaluated geometries in the order in which they were asked for.

    Attributes
    ----------
    positions
        (m, n, 3) in Å.
    energies
        (m,) in eV, without any bias.
    gradients
        (m, n, 3) in eV/Å.
    stages
        The stage of a search that asked for each.
    levels
        ``"path"``, ``"point"``, ``"base"`` or ``"reference"``: which surface it was, see
        `afir.driver.Level`.
    """

    positions: Positions
    energies: NDArray[np.float64]
    gradients: Positions
    stages: tuple[str, ...]
    levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.energies)

    def of_level(self, level: str) -> Frames:
        """Those of one level."""
        return self._part([name == level for name in self.levels])

    def but_level(self, level: str) -> Frames:
        """Those of all other levels."""
        return self._part([name != level for name in self.levels])

    def _part(self, wanted: list[bool]) -> Frames:
        chosen = [index for index, is_wanted in enumerate(wanted) if is_wanted]
        return Frames(
            self.positions[chosen],
            self.energies[chosen],
            self.gradients[chosen],
            tuple(self.stages[index] for index in chosen),
            tuple(self.levels[index] for index in chosen),
        )


class Recorder:
    """Keeps what the surface says to searches that run through it.

    Parameters
    ----------
    n_atoms
        Of the molecule.
    only_reference
        Whether to keep nothing but what the reference says, where there is one.
    """

    def __init__(self, n_atoms: int, *, only_reference: bool = False) -> None:
        self._shape = (0, n_atoms, 3)
        self._only_reference = only_reference
        self._positions: list[Positions] = []
        self._energies: list[NDArray[np.float64]] = []
        self._gradients: list[Positions] = []
        self._origins: list[tuple[str, str]] = []

    def listen(self, search: Search[T]) -> Search[T]:
        """Run `search`; what is asked for without a stage is kept under the stage ``""``."""
        return relayed(search, heard=self._keep)

    def _keep(self, asked: Asked, evaluation: Evaluation) -> Evaluation:
        stage, level, positions = "", "point", asked
        if isinstance(asked, Request):
            stage, level, positions = asked.stage, asked.level.value, asked.positions
        wanted = level == Level.REFERENCE.value or not self._only_reference
        if stage not in LEFT_OUT and wanted:
            self._positions.append(np.array(positions))
            self._energies.append(np.array(evaluation.energies))
            self._gradients.append(np.array(evaluation.gradients))
            self._origins += [(stage, level)] * len(evaluation.energies)
        return evaluation

    def frames(self) -> Frames:
        """What was kept."""
        empty = np.empty(self._shape)
        return Frames(
            np.concatenate([empty, *self._positions]),
            np.concatenate([np.empty(0), *self._energies]),
            np.concatenate([empty, *self._gradients]),
            tuple(stage for stage, _ in self._origins),
            tuple(level for _, level in self._origins),
        )


@dataclass(frozen=True, eq=False)
class Kept:
    """The frames of one task of a run.

    Attributes
    ----------
    trial
        The number of the trial it belonged to; 0 for the start.
    frames
        What it evaluated.
    """

    trial: int
    frames: Frames
