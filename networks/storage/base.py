"""The protocol of a store: what a run remembers, wherever that is kept.

One store is one run. What is written is there for whoever opens the store next, all of a call or
nothing of it; a run that was killed at any moment goes on from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from afir.molecule import Molecule, Positions
from networks.execution.frames import Frames, Kept
from networks.execution.tasks import TaskResult
from networks.graph.network import ReactionNetwork
from networks.records.ids import Id
from networks.records.runs import Complete, Examined, Model, RunSummary
from networks.records.structures import EQ, Dismissed
from networks.records.trials import Absorbed, Key, Planned, Trial
from networks.settings import Settings


class Results(NamedTuple):
    """The raw results of a stage, and the nodes that its structures became."""

    answers: dict[Key, TaskResult]
    nodes: dict[Key, Id | None]


class ReadableStore(Protocol):
    """A store as it is read, also while another process writes it.

    Attributes
    ----------
    path
        Where it is, for people.
    molecule
        The molecule of the run.
    start
        (n, 3) the start structure as it was given, in Å.
    settings
        The settings.
    job
        The job text as it was resolved when the run was created.
    """

    path: Path
    molecule: Molecule
    start: Positions
    settings: Settings
    job: str

    def snapshot(self) -> AbstractContextManager[None]:
        """Reads within see one state, even while another process writes."""
        ...

    def load_network(self) -> ReactionNetwork:
        """The network as it was last committed."""
        ...

    def first_eq(self) -> EQ | None:
        """EQ0, the relaxed start; None if there is none yet."""
        ...

    def trials(self) -> Iterator[Trial]:
        """All judged trials, in order."""
        ...

    def dismissed(self) -> Iterator[Dismissed]:
        """All structures that were found and are no nodes of their own, in order."""
        ...

    def planned(self) -> list[Planned]:
        """The trials in flight, after those that they can see or that may be repeated, in order."""
        ...

    def results(self) -> Mapping[int, Results]:
        """The raw results by stage: those in flight, and those that they can still see."""
        ...

    def frames(self) -> Iterator[Kept]:
        """The geometries that were evaluated in finished stages, task by task.

        Empty for a run that does not keep them; with a reference only its evaluations, unless the
        run keeps all.
        """
        ...

    def labels(self) -> Iterator[tuple[str, Frames]]:
        """The phase and the reference evaluations of each task of finished stages, in order."""
        ...

    def label_counts(self) -> list[tuple[str, int]]:
        """The phase and the number of labels of each task."""
        ...

    def models(self) -> list[Model]:
        """The models that were trained, in order."""
        ...

    def examined(self) -> tuple[Examined, ...]:
        """The surfaces with the result of their check at the start."""
        ...

    def wanted(self) -> tuple[Positions, float] | None:
        """The wanted product, optimised on the surface: positions in Å, energy in eV."""
        ...

    def summary(self) -> RunSummary:
        """Totals of the run."""
        ...

    def gradients(self) -> int:
        """Counted gradient evaluations of all finished stages (`Settings.counted`)."""
        ...

    @property
    def stages(self) -> int:
        """Number of finished stages, the start included."""
        ...

    @property
    def checked(self) -> int:
        """The last trial after which the surface was the same as at the start."""
        ...

    @property
    def seconds(self) -> float:
        """Wall time of the run so far."""
        ...

    def close(self) -> None:
        """Close it; a writer lets others write it."""
        ...


class Store(ReadableStore, Protocol):
    """A store that is written: it has one writer at a time."""

    def plan(self, planned: Iterable[Planned]) -> None:
        """Store trials that begin now, all or none."""
        ...

    def add_result(self, stage: int, key: Key, result: TaskResult, seconds: float) -> None:
        """Store the result of a task of a stage; `seconds` is the total of the run."""
        ...

    def absorb(
        self,
        absorbed: Absorbed,
        seconds: float,
        *,
        checked: int,
        seen_from: int,
    ) -> None:
        """Store the results of a stage, all or nothing.

        Parameters
        ----------
        absorbed
            The results.
        seconds
            Wall time of the run.
        checked
            The last trial after which the surface was checked.
        seen_from
            The first stage whose plan and raw results may still be needed; the next one if none
            of the finished stages is.
        """
        ...

    def forget_results(self) -> None:
        """Drop the results of all stages in flight, so that their tasks are repeated."""
        ...

    def roll_back(self) -> None:
        """Drop all trials since the last check of the surface, so that they are repeated."""
        ...

    def add_model(self, model: Model) -> None:
        """Store a trained model."""
        ...

    def change_settings(self, settings: Settings) -> None:
        """Replace the settings; a new energy window drops the records of structures above it."""
        ...

    def stopped(self, complete: Complete, seconds: float) -> None:
        """Store that the run ended or, with INTERRUPTED, that it is running."""
        ...

    def discard(self) -> None:
        """Close and delete the store of a run that could not start."""
        ...
