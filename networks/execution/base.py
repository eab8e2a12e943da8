"""The protocol of executors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from afir.pes.child import Opening
from networks.execution.tasks import Task, TaskResult


class Executor(Protocol):
    """Does tasks, in any order and place."""

    @property
    def bench(self) -> Opening:
        """The bench that tasks run on: a run compares it with the bench that it needs.

        See `networks.exploration.executors.check_executor`.
        """
        ...

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """Do tasks and yield each index with its result, in the order of completion.

        `tasks` may grow while the results are read: appended tasks are done too. A task that
        cannot be finished has a result that says so; the others continue.
        """
        ...

    def close(self) -> None:
        """Release all resources; unfinished tasks are dropped."""
        ...
