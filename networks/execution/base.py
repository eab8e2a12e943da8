"""The protocol of executors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, Self, runtime_checkable

from networks.execution.context import Bench
from networks.execution.tasks import Task, TaskResult


@runtime_checkable
class Executor(Protocol):
    """Does tasks, in any order and place.

    A factory ``factory(bench, *, workers=…, option=…) -> Executor`` is registered as an entry point
    of the group ``afir.executors``; see `networks.execution.registry`. The bench, a
    `networks.execution.context.Bench`, says on which surface and with which settings tasks are
    done. It is plain data and can be sent anywhere. A run that learns makes a new executor for each
    surface.
    """

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """Do tasks and yield each index with its result, in the order of completion.

        `tasks` may grow while the results are read: appended tasks are done too. A task that
        cannot be finished has a result that says so; the others continue.
        """
        ...

    def close(self) -> None:
        """Release all resources; unfinished tasks are dropped."""
        ...


@runtime_checkable
class Movable(Protocol):
    """Optional protocol of an executor that keeps its workers when the surface changes."""

    def moved(self, bench: Bench) -> Self:
        """An executor for another bench, on the same workers; this one must not be used again."""
        ...


@runtime_checkable
class Batching(Protocol):
    """Optional protocol of an executor that does several tasks at once for less."""

    @property
    def batch(self) -> int:
        """How many tasks it wants at a time."""
        ...
