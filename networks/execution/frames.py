"""The geometries that a task evaluated, with energies and gradients, to train potentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from afir.molecule import Positions
from afir.pes.driver import Asked, Level, Request, Search, reference_stage, relayed
from afir.pes.surface import Evaluation

T = TypeVar("T")

LEFT_OUT = frozenset(
    ["hessian", "consistency", "again", *map(reference_stage, ("consistency", "again"))]
)
"""The stages that are not kept: their geometries are nearly the same, or nearly EQ0."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Evaluated geometries in the order of evaluation.

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
        `afir.pes.driver.Level`.
    """

    positions: Positions
    energies: NDArray[np.float64]
    gradients: Positions
    stages: tuple[str, ...]
    levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.energies)

    def of_level(self, level: str) -> Frames:
        """The frames of one level."""
        return self._part([name == level for name in self.levels])

    def but_level(self, level: str) -> Frames:
        """The frames of all other levels."""
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
    """Keeps the evaluations of searches that run through it.

    Parameters
    ----------
    n_atoms
        Of the molecule.
    only_reference
        Whether to keep only evaluations of the reference.
    """

    def __init__(self, n_atoms: int, *, only_reference: bool = False) -> None:
        self._shape = (0, n_atoms, 3)
        self._only_reference = only_reference
        self._positions: list[Positions] = []
        self._energies: list[NDArray[np.float64]] = []
        self._gradients: list[Positions] = []
        self._origins: list[tuple[str, str]] = []

    def listen(self, search: Search[T]) -> Search[T]:
        """The search, recorded; evaluations without a stage are kept under the stage ``""``."""
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
        """The frames that were kept."""
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
        The evaluated geometries.
    """

    trial: int
    frames: Frames
