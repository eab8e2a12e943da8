"""Executors in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from threadpoolctl import ThreadpoolController

from afir.errors import InputError
from afir.pes.child import Opening
from afir.pes.driver import Search, drive
from afir.pes.surface import Surface, traits_of
from networks.execution.context import Bench, as_result
from networks.execution.frames import Recorder
from networks.execution.tasks import Failure, Task, TaskResult, Value


class SerialExecutor:
    """Does one task after the other in this process.

    Numerical libraries use one thread, as in a worker, so that results are the same to the last
    digit.

    Parameters
    ----------
    bench
        Opened for the first task.
    """

    def __init__(self, bench: Opening) -> None:
        self._bench = bench
        self._perform: Callable[[Task], TaskResult] | None = None

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """Do the tasks in order; see `Executor.run`."""
        if self._perform is None:
            self._perform = self._bench.open()
        threads = ThreadpoolController()  # of the libraries that are loaded by now
        index = 0
        while index < len(tasks):
            with threads.limit(limits=1):
                result = self._perform(tasks[index])
            yield index, result
            index += 1

    def close(self) -> None:
        """Nothing to release."""


class BatchedExecutor:
    """Does many tasks side by side in this process and evaluates their geometries in batches.

    For surfaces that are faster with batches, as learned ones are. Numerical libraries use one
    thread.

    Parameters
    ----------
    bench
        What the tasks have in common.
    width
        Number of tasks in flight; None leaves it to the surface (`afir.pes.surface.Traits`),
        which mostly wants one.
    """

    def __init__(self, bench: Bench, width: int | None = None) -> None:
        if width is not None and width < 1:
            raise InputError(f"`width` must be 1 or more, got {width}")
        self._bench = bench
        self._width = width
        self._surface: Surface | None = None
        self._suited = bench

    @property
    def batch(self) -> int:
        """Number of tasks in flight; this loads the surface."""
        surface = self._loaded()
        return traits_of(surface).batch if self._width is None else self._width

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """Do the tasks side by side; see `Executor.run`.

        The processor time of one task among others is not known: each result has the time since
        the result before.
        """
        surface = self._loaded()
        searches = _Searches(self._suited, tasks)
        driven = drive(searches, surface, width=self.batch)
        threads = ThreadpoolController()  # of the libraries that are loaded by now
        while True:
            before = time.process_time()
            with threads.limit(limits=1):
                finished = next(driven, None)
            if finished is None:
                return
            used = time.process_time() - before
            assert finished.value is not None  # the search of a bench always returns something
            index = int(str(finished.key))
            recorder = searches.recorders.pop(index, None)
            yield index, as_result(finished.value, finished.gradients, used, recorder)

    def close(self) -> None:
        """Nothing to release."""

    def _loaded(self) -> Surface:
        """The surface."""
        if self._surface is None:
            self._surface = self._bench.load()
            self._suited = self._bench.suited(self._surface)
        return self._surface


class _Searches:
    """The searches of a list of tasks, one after the other; the list may grow meanwhile."""

    def __init__(self, bench: Bench, tasks: Sequence[Task]) -> None:
        self._bench = bench
        self._tasks = tasks
        self._next = 0
        self.recorders: dict[int, Recorder] = {}

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[object, Search[Value | Failure]]:
        if self._next == len(self._tasks):
            raise StopIteration
        index = self._next
        self._next += 1
        search, recorder = self._bench.search(self._tasks[index]), self._bench.recorder()
        if recorder is not None:
            self.recorders[index] = recorder
            search = recorder.listen(search)
        return index, search
