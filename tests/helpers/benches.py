"""Benches and surfaces for tests of executors: what a worker of theirs does with a task."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from afir.errors import InputError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.surface import Evaluation
from afir.stationary import Candidate, Outcome, TrialResult
from afir.surfaces.analytic import double_well
from networks.execution.context import Bench
from networks.execution.local import BatchedExecutor
from networks.execution.tasks import Confirm, Task, TaskResult


def task(order: str) -> Confirm:
    """A task that does what `order` says; see `OrderBench`."""
    return Confirm(Candidate(np.zeros((1, 3)), 0.0, np.eye(3), order))


def order_of(task: Task) -> str:
    """What a task was told to do."""
    assert isinstance(task, Confirm)
    return task.candidate.source


@dataclass(frozen=True)
class OrderBench:
    """Does as it is told, in words.

    ``"sleep 3"``, ``"exit 4"``, ``"fork 4"``, ``"close 4"``, ``"segfault"``, ``"pid"``,
    ``"parent"`` (kill who started this process), ``"environ NAME"``, ``"big"``; anything is
    returned as the error text of the result.
    """

    broken: str = ""

    def open(self) -> Callable[[Task], TaskResult]:
        """See `afir.pes.child.Opening`."""
        if self.broken == "input":
            raise InputError("`surface` must be better, got this")
        if self.broken == "exit":
            os._exit(7)
        if self.broken:
            raise RuntimeError(self.broken)
        return perform


def perform(task: Task) -> TaskResult:
    """Do what the task says."""
    word, *rest = order_of(task).split()
    answer, value = order_of(task), None
    if word == "sleep":
        time.sleep(float(rest[0]))
    elif word == "exit":
        os._exit(int(rest[0]))
    elif word == "fork":
        if os.fork() == 0:
            time.sleep(20)
        os._exit(int(rest[0]))
    elif word == "close":
        os.closerange(3, 100)
        time.sleep(0.4)
        os._exit(int(rest[0]))
    elif word == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif word == "pid":
        answer = str(os.getpid())
    elif word == "parent":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    elif word == "environ":
        answer = os.environ.get(rest[0], "")
    elif word == "big":
        candidate = Candidate(np.zeros((1000, 3)), 0.0, np.ones((1000, 1000)), "big")
        value = TrialResult(Outcome.FOUND, (candidate,), (), True)
    return TaskResult(value, None, answer, Counter({"words": 1}), 0.0)


class OrderExecutor:
    """An executor that does what tasks say (`task`), and all others on the surface of its bench.

    ``"together"`` is answered with the number of tasks that were given at once.
    """

    batch = 1

    def __init__(self, bench: Bench) -> None:
        self._real = BatchedExecutor(bench)

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """See `networks.execution.base.Executor`."""
        for index, task in enumerate(tasks):
            if not isinstance(task, Confirm):
                yield from ((index, result) for _, result in self._real.run([task]))
            elif order_of(task) == "together":
                yield index, TaskResult(None, None, str(len(tasks)), Counter(), 0.0)
            else:
                yield index, perform(task)

    def close(self) -> None:
        """Nothing is held."""


class GroupExecutor(OrderExecutor):
    """One that wants four tasks at once."""

    batch = 4


@dataclass(frozen=True)
class FaultySurface:
    """A double well that does what no surface may where the bond is longer than 3 Å.

    It notes how many geometries it was asked for in each call.
    """

    molecule: Molecule
    how: str
    sizes: list[int] = field(default_factory=list)

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """See `afir.pes.surface.Surface`."""
        self.sizes.append(len(positions))
        right = double_well(self.molecule).evaluate(positions)
        beyond = np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1) > 3.0
        if not beyond.any():
            return right
        if self.how == "raise":
            raise ValueError("no such integral")
        if self.how == "misuse":
            raise InputError("`basis` must cover He")
        if self.how == "fail":
            raise SurfaceError("no SCF")
        if self.how == "shape":
            return Evaluation(right.energies[:-1], right.gradients)
        energies, gradients = right.energies.copy(), right.gradients.copy()
        (energies if self.how == "energy" else gradients)[beyond] = np.nan
        return Evaluation(energies, gradients)

    def for_paths(self) -> FaultySurface:
        """Itself, if it can."""
        if self.how == "for_paths":
            raise RuntimeError("no paths")
        return self


def faulty(molecule: Molecule, *, how: str) -> FaultySurface:
    """The factory of the surface ``faulty``."""
    if how == "build":
        raise RuntimeError("no library")
    return FaultySurface(molecule, how)
