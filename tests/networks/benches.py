"""Benches for tests of executors: what a worker of theirs does with a task."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afir.errors import InputError
from afir.stationary import Candidate, Outcome, TrialResult
from networks.tasks import Confirm, Task, TaskResult


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

    ``"sleep 3"``, ``"exit 4"``, ``"segfault"``, ``"pid"``, ``"environ NAME"``, ``"big"``; anything
    is returned as the error text of the result.
    """

    broken: str = ""

    def open(self) -> Callable[[Task], TaskResult]:
        """See `networks.executor.Opening`."""
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
    elif word == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif word == "pid":
        answer = str(os.getpid())
    elif word == "environ":
        answer = os.environ.get(rest[0], "")
    elif word == "big":
        candidate = Candidate(np.zeros((1000, 3)), 0.0, np.ones((1000, 1000)), "big")
        value = TrialResult(Outcome.FOUND, (candidate,), (), True)
    return TaskResult(value, None, answer, Counter({"words": 1}), 0.0)
