"""Tasks in worker processes."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from afir.errors import AfirError, InputError
from afir.pes.child import START_SECONDS, Child, Opening, Place, wait_for
from afir.stationary import Outcome
from networks.execution.parcels import Packed, Sender, Unpacking
from networks.execution.tasks import Task, TaskResult
from networks.settings import MOST_WORKERS

logger = logging.getLogger(__name__)

GRACE = 2.0
"""Seconds for a worker to end by itself after its time limit, before it is killed."""

START_TRIES = 3
"""Processes that may end before they are ready: one that is killed twice by chance gets another."""


class ProcessExecutor:
    """Does tasks in worker processes.

    Each worker is a fresh interpreter with one numerical thread and a working directory of its
    own (`afir.pes.child.Child`). One that dies costs the task it was doing, one that hangs is
    killed, and both are replaced. Workers end with this process, however it ends; they ignore
    SIGINT and SIGTERM, so that the run can end in order.

    Parameters
    ----------
    bench
        Sent to every worker once.
    workers
        How many, 1 or more.
    seconds
        A task that takes longer than this plus `GRACE` is aborted.
    """

    def __init__(self, bench: Opening, workers: int, seconds: float = float("inf")) -> None:
        if not 1 <= workers <= MOST_WORKERS:
            raise InputError(f"`workers` must be from 1 to {MOST_WORKERS}, got {workers}")
        self._bench = Unpacking(bench)
        self._sender = Sender()
        self._count = workers
        self._seconds = seconds
        self._place = Place()
        # Started now, so that they get ready while the caller prepares.
        self._workers = [_Worker(self._bench, self._place) for _ in range(workers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """Do the tasks on all workers; see `Executor.run`."""
        following = 0
        done: list[tuple[int, TaskResult]] = []
        while len(self._workers) < self._count:
            self._workers.append(_Worker(self._bench, self._place))
        try:
            while True:
                for worker in self._workers:
                    if following < len(tasks) and worker.idle:
                        (packed,) = self._sender.packed((tasks[following],), worker.has)
                        worker.give(following, packed, self._seconds)
                        following += 1
                if done:
                    yield done.pop(0)
                elif following < len(tasks) or any(w.number is not None for w in self._workers):
                    done.extend(self._collect())
                else:
                    return
        finally:
            # Left early: an answer to this run must not count for the next.
            for worker in self._workers:
                if worker.number is not None:
                    worker.kill()
            self._workers = [worker for worker in self._workers if worker.number is None]

    def close(self) -> None:
        """Kill the workers."""
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def _collect(self) -> Iterator[tuple[int, TaskResult]]:
        """The results of workers that answered, died or ran out of time; waits for the first."""
        pause = min(worker.deadline for worker in self._workers) - time.monotonic()
        ready = wait_for([worker.child for worker in self._workers], pause)
        now = time.monotonic()
        for index, worker in enumerate(self._workers):
            number = worker.number
            if worker.child in ready:
                try:
                    result = worker.receive()
                except (EOFError, OSError):
                    how = worker.child.ending()
                    self._replace(index, f"it {how}")
                    if number is not None:
                        error = f"the worker process {how}"
                        yield number, lost(Outcome.WORKER_DIED, error)
                else:
                    if number is not None and result is not None:
                        yield number, result
            elif now >= worker.deadline:
                worker.kill()
                self._replace(index, f"it was not ready after {START_SECONDS:g} s")
                if number is not None:
                    error = f"killed after {self._seconds:g} s"
                    yield number, lost(Outcome.TIMED_OUT, error)

    def _replace(self, index: int, why: str) -> None:
        """Start a new worker in place of one that ended."""
        old = self._workers[index]
        tries = 0 if old.ready else old.tries + 1
        if tries >= START_TRIES:
            raise AfirError(f"no worker process could be started: {why}")
        logger.warning("worker process %d is replaced", old.child.pid)
        self._workers[index] = _Worker(self._bench, self._place, tries)


class _Worker:
    """One worker process and its task."""

    def __init__(self, bench: Opening, place: Place, tries: int = 0) -> None:
        self.tries = tries
        self.ready = False
        self.number: int | None = None
        self.deadline = time.monotonic() + START_SECONDS
        self.has: set[int] = set()  # the known structures that were sent to it
        self.child = Child(bench, place)

    @property
    def idle(self) -> bool:
        """Whether it can take a task."""
        return self.ready and self.number is None

    def give(self, number: int, task: Packed, seconds: float) -> None:
        """Send it a task."""
        self.number = number
        self.deadline = time.monotonic() + seconds + GRACE
        self.child.send((number, task))

    def receive(self) -> TaskResult | None:
        """Its next result; None when it has just become ready.

        Raises EOFError or OSError when it has ended.
        """
        message = self.child.receive()
        self.deadline = float("inf")
        if not self.ready:
            ready(message)
            self.ready = True
            return None
        _, result = message
        self.number = None
        answer: TaskResult = result
        return answer

    def kill(self) -> None:
        """Kill it."""
        self.child.kill()


def ready(message: object) -> None:
    """Raise AfirError unless the first message of a process says that it is ready."""
    if isinstance(message, AfirError):
        raise message
    if message is not None:
        raise AfirError(f"a worker process could not get ready: {message}")


def lost(outcome: Outcome, error: str) -> TaskResult:
    """The result of a task whose process ended or was killed."""
    return TaskResult(None, outcome, error, Counter(), 0.0)
