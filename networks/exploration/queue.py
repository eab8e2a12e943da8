"""The tasks that an executor is given: a list that grows, in which the oldest trials come first."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar, overload

from networks.execution.tasks import Task
from networks.records.trials import Key


class Numbered(Protocol):
    """A stage: the tasks of a lower number come first."""

    number: int


S = TypeVar("S", bound=Numbered)


class TaskQueue(Sequence[Task], Generic[S]):
    """The tasks of a run, whose order is decided when they are taken.

    A place in the list becomes a task when it is first asked for: of those that wait, one of the
    oldest stage. New trials begin only when the oldest is judged, so its tasks must not wait behind
    the pushes of those after it. A task is kept until its result is there, so that an executor may
    give it to another worker.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int]] = []  # stage and order of each task that waits
        self._asked: dict[int, tuple[S, Key, Task]] = {}  # by order
        self._taken: dict[int, int] = {}  # place: order
        self._done = bytearray()  # by place

    def __len__(self) -> int:
        """Number of all tasks so far, those that are done included."""
        return len(self._done)

    @overload
    def __getitem__(self, index: int) -> Task: ...

    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...

    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        """The task at a place; IndexError beyond the last, KeyError for one that is done."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return self._asked[self._order(index)][2]

    @property
    def open(self) -> int:
        """Number of tasks without a result."""
        return len(self._asked)

    def add(self, stage: S, key: Key, task: Task) -> None:
        """Add a task of a stage."""
        order = len(self)
        self._asked[order] = stage, key, task
        heappush(self._waiting, (stage.number, order))
        self._done.append(False)

    def done(self, place: int) -> tuple[S, Key]:
        """The stage and the key of a task whose result is there; it is forgotten."""
        stage, key, _ = self._asked.pop(self._order(place))
        del self._taken[place]
        self._done[place] = True
        return stage, key

    def _order(self, place: int) -> int:
        """The task at a place: one that waits, if it was not asked for before."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        if self._done[place]:
            raise KeyError(place)
        if place not in self._taken:
            self._taken[place] = heappop(self._waiting)[1]
        return self._taken[place]
