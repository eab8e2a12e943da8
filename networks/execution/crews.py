"""What a worker of a cluster does: tasks, in processes of its own.

A worker of a cluster knows no time limits and dies with a task that kills its process. So each
group of tasks is done by a child of the worker (`afir.pes.child.Child`), which can be killed and
replaced. A run that has disappeared must not keep a cluster busy: children end unless their run is
heard of now and then.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from threading import Lock, Thread

from afir.errors import AfirError
from afir.pes.child import START_SECONDS, Child, Place
from afir.stationary import Outcome
from networks.execution.base import Batching, Executor
from networks.execution.context import Bench
from networks.execution.parcels import Packed, Receiver, Sender
from networks.execution.processes import GRACE, START_TRIES, lost, ready
from networks.execution.tasks import TaskResult
from networks.execution.versions import loaded, versions_of

LEASE = 60.0
"""Seconds after which the processes of a run that is no longer heard of are ended."""

_LOOK = 1.0  # seconds between looks whether a run is still heard of


class EndedError(AfirError):
    """The run of a task is no longer heard of, so the task was given up."""


@dataclass(frozen=True)
class Group:
    """The results of tasks that were done together.

    Attributes
    ----------
    batch
        How many tasks the surface wants at once.
    results
        One a task; empty if their process ended or was killed.
    lost
        Otherwise the result of a task that was alone there.
    versions
        Of the packages that they were done with; see `networks.execution.versions`.
    """

    batch: int
    results: tuple[TaskResult, ...]
    lost: TaskResult | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Setup:
    """The first message to a child; see `afir.pes.child.Opening`.

    Attributes
    ----------
    bench
        What tasks have in common.
    make
        Makes the executor that does the tasks in the child, from the bench.
    seconds
        Wall time after which a task is aborted.
    """

    bench: Bench
    make: Callable[[Bench], Executor]
    seconds: float

    def open(self) -> Callable[[tuple[Packed, ...]], Group]:
        """Load the surface and the methods."""
        before = loaded()
        executor = self.make(self.bench)
        batch = executor.batch if isinstance(executor, Batching) else 1
        versions = versions_of(self.bench, loaded() - before)

        receiver = Receiver()

        def perform(parcels: tuple[Packed, ...]) -> Group:
            done = sorted(executor.run(receiver.opened(parcels)), key=itemgetter(0))
            return Group(batch, tuple(result for _, result in done), versions=versions)

        return perform


@dataclass(eq=False)
class _Hand:
    """A process of a crew, and the numbers of the known structures that were sent to it."""

    child: Child
    has: set[int] = field(default_factory=set)


class Crew:
    """The processes of one worker for one surface of a run.

    Parameters
    ----------
    setup
        What they are opened with.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._place = Place()
        self._lock = Lock()
        self._idle: list[_Hand] = []
        # What was sent here once goes on to each process once.
        self._receiver, self._sender = Receiver(), Sender()
        self._ended = False
        self.renew()

    @property
    def expired(self) -> bool:
        """Whether its run is no longer heard of, or has ended it."""
        return self._ended or time.monotonic() > self._until

    def renew(self) -> None:
        """Let it live on."""
        self._until = time.monotonic() + LEASE

    def end(self) -> None:
        """End all processes; one that is at work ends shortly after."""
        self._ended = True
        with self._lock:
            idle, self._idle = self._idle, []
        for hand in idle:
            hand.child.kill()

    def perform(self, parcels: tuple[Packed, ...]) -> Group:
        """The results of tasks that are done together in one process.

        Raises
        ------
        EndedError
            If its run is no longer heard of.
        ForgottenError
            If a known structure of a task was sent to another crew, before the worker started anew.
        AfirError
            If no process gets ready.
        """
        tasks = self._receiver.opened(parcels)
        with self._lock:
            hand = self._idle.pop() if self._idle else None
        hand = hand or _Hand(self._started())
        try:
            group = self._asked(hand.child, self._sender.packed(tasks, hand.has))
        except BaseException:
            hand.child.kill()
            raise
        with self._lock:
            if group.results and not self._ended:
                self._idle.append(hand)
                return group
        hand.child.kill()
        return group

    def _asked(self, child: Child, parcels: tuple[Packed, ...]) -> Group:
        """The answer of a process, or how it ended."""
        child.send((0, parcels))
        try:
            if not self._heard(child, self._setup.seconds + GRACE):
                error = f"killed after {self._setup.seconds:g} s"
                return Group(1, (), lost(Outcome.TIMED_OUT, error))
            group: Group = child.receive()[1]
            return group
        except (EOFError, OSError):
            error = f"the worker process {child.ending()}"
            return Group(1, (), lost(Outcome.WORKER_DIED, error))

    def _started(self) -> Child:
        """A new process that is ready."""
        ending = ""
        for _ in range(START_TRIES):
            child = Child(self._setup, self._place, quiet=True)
            try:
                if not self._heard(child, START_SECONDS):
                    ending = f"was not ready after {START_SECONDS:g} s"
                    child.kill()
                    continue
                ready(child.receive())
                return child
            except (EOFError, OSError):
                ending = child.ending()
            except BaseException:
                child.kill()
                raise
        raise AfirError(f"no worker process could be started: it {ending}")

    def _heard(self, child: Child, seconds: float) -> bool:
        """Wait for a message or the end of a process, as long as its run is heard of."""
        give_up = time.monotonic() + seconds
        while not child.wait(min(_LOOK, max(give_up - time.monotonic(), 0.0))):
            if self.expired:
                raise EndedError("the run of this worker process has ended")
            if time.monotonic() >= give_up:
                return False
        return True


# A worker of a cluster is one process for all runs: these are its crews by the token of their run.
_crews: dict[str, Crew] = {}
_lock = Lock()


def perform(token: str, setup: bytes, tasks: bytes) -> bytes:
    """Do tasks in a worker of a cluster.

    Parameters
    ----------
    token
        Stands for one surface of one run.
    setup, tasks
        A pickled `Setup`, and the packed tasks as a pickled tuple (`Sender.packed`).

    Returns
    -------
    bytes
        The pickled `Group`.
    """
    with _lock:
        crew = _crews.get(token)
        if crew is None:
            crew = _crews[token] = Crew(pickle.loads(setup))
            Thread(target=_watch, args=(token, crew), daemon=True).start()
    crew.renew()
    return pickle.dumps(crew.perform(pickle.loads(tasks)))


def renew(token: str) -> None:
    """Let the processes of a run live on."""
    with suppress(KeyError):
        _crews[token].renew()


def end(token: str) -> None:
    """End the processes of a run."""
    with _lock:
        crew = _crews.pop(token, None)
    if crew is not None:
        crew.end()


def _watch(token: str, crew: Crew) -> None:
    """End a crew whose run is no longer heard of."""
    while not crew.expired:
        time.sleep(_LOOK)
    with _lock:
        if _crews.get(token) is crew:  # not one that has come after it
            del _crews[token]
    crew.end()
