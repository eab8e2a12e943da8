"""The tasks that an executor is given: a list that grows, and forgets what is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar, overload

from networks.execution.tasks import Task
from networks.records.trials import Key

S = TypeVar("S")


class TaskQueue(Sequence[Task], Generic[S]):
    """The tasks of a run in the order in which they are asked for.

    A task is kept until its result is there, so that an executor may give it to another worker.
    """

    def __init__(self) -> None:
        self._tasks: dict[int, tuple[S, Key, Task]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Number of all tasks so far, those that are done included."""
        return self._count

    @overload
    def __getitem__(self, index: int) -> Task: ...

    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...

    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        """The task with a number; IndexError beyond the last, KeyError for one that is done."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._tasks[index][2]

    @property
    def open(self) -> int:
        """Number of tasks without a result."""
        return len(self._tasks)

    def add(self, stage: S, key: Key, task: Task) -> None:
        """Add a task of a stage."""
        self._tasks[self._count] = stage, key, task
        self._count += 1

    def done(self, index: int) -> tuple[S, Key]:
        """The stage and the key of a task whose result is there; it is forgotten."""
        stage, key, _ = self._tasks.pop(index)
        return stage, key
