"""The tasks that wait for workers of a cluster, and what becomes of those whose worker is lost."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from heapq import heappop, heappush

from afir.stationary import Outcome
from networks.execution.crews import Group
from networks.execution.processes import lost
from networks.execution.tasks import Task, TaskResult

LOSSES = 5
"""Workers that may be lost with a task: after that it is thought to be the cause."""


class Waiting:
    """The tasks of a call of `ClusterExecutor.run`; their list may grow."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks
        self.done: deque[tuple[int, TaskResult]] = deque()
        self.waiting: list[int] = []  # a heap: the oldest trial comes first
        self.open = 0
        self._known = 0
        self._alone: set[int] = set()
        self._losses: Counter[int] = Counter()

    def grow(self) -> None:
        """Take new tasks in."""
        for index in range(self._known, len(self.tasks)):
            heappush(self.waiting, index)
            self.open += 1
        self._known = len(self.tasks)

    def share(self, size: int) -> tuple[int, ...]:
        """The next tasks for a worker, at most `size`."""
        if self.waiting[0] in self._alone:
            return (heappop(self.waiting),)
        taken: list[int] = []
        while self.waiting and len(taken) < size and self.waiting[0] not in self._alone:
            taken.append(heappop(self.waiting))
        return tuple(taken)

    def finish(self, tasks: tuple[int, ...], group: Group) -> None:
        """Take the results of a group; of several whose process was lost each is tried alone."""
        if group.results:
            for index, result in zip(tasks, group.results, strict=True):
                self._finish(index, result)
        elif len(tasks) == 1 and group.lost is not None:
            self._finish(tasks[0], group.lost)
        else:
            self._alone.update(tasks)
            self.again(tasks)

    def again(self, tasks: tuple[int, ...]) -> None:
        """Put tasks back."""
        for index in tasks:
            heappush(self.waiting, index)

    def lose(self, tasks: tuple[int, ...]) -> None:
        """Put tasks back whose worker was lost, unless that has happened to them too often."""
        self._alone.update(tasks)
        self._losses.update(tasks)
        for index in tasks:
            if self._losses[index] < LOSSES:
                heappush(self.waiting, index)
            else:
                error = f"{LOSSES} workers of the cluster were lost with it"
                self._finish(index, lost(Outcome.WORKER_DIED, error))

    def _finish(self, index: int, result: TaskResult) -> None:
        self.done.append((index, result))
        self.open -= 1
