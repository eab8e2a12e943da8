"""The workers of a cluster as the run sees them."""

from __future__ import annotations

import math
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from afir.errors import AfirError, plain


@dataclass(eq=False)
class Worker:
    """A worker of the cluster.

    Attributes
    ----------
    address, host
        Its address and the name of its machine.
    threads
        Number of groups of tasks that it does at once.
    state
        ``"joining"``, ``"compared"`` (waits for the others), ``"accepted"``, ``"refused"``.
    mark, tries
        The digest of its minimisation, and how often that was begun.
    batch
        How many tasks it wants at once in a group.
    problem, since
        Why and when it was refused.
    differs
        Whether that is only because it would find another network.
    errands
        What it is doing.
    has
        The numbers of the known structures that were sent to it.
    """

    address: str
    host: str
    threads: int
    state: str = "joining"
    mark: str = ""
    tries: int = 1
    batch: int = 1
    problem: AfirError | None = None
    since: float = math.inf
    differs: bool = False
    errands: set[Errand] = field(default_factory=set)
    has: set[int] = field(default_factory=set)

    def __str__(self) -> str:
        """It in words."""
        return f"the worker {self.address} on {self.host}"

    @property
    def free(self) -> int:
        """Number of groups that it could begin now."""
        return self.threads - len(self.errands) if self.state == "accepted" else 0


@dataclass(eq=False)
class Errand:
    """A group of tasks at a worker; without tasks it is the minimisation that is compared."""

    worker: Worker
    tasks: tuple[int, ...]
    answer: Future[Any]


def problem_of(error: Exception) -> AfirError:
    """Why a worker cannot do tasks."""
    if isinstance(error, AfirError):
        return error
    return AfirError(
        f"{type(error).__name__}: {error}; scheduler, workers and this command need the same "
        "packages"
    )


def problem_of_all(worker: Worker) -> AfirError:
    """The error of a worker as that of a run which has no other."""
    kind = type(plain(worker.problem or AfirError()))
    return kind(f"the cluster has no worker that can be used; {worker} says: {worker.problem}")
