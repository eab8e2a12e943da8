"""Tasks on the workers of a cluster, which come and go."""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Self

from afir.errors import AfirError
from networks.execution import crews
from networks.execution.base import Executor
from networks.execution.context import Bench
from networks.execution.local import BatchedExecutor
from networks.execution.rounding import comparison, fingerprint
from networks.execution.tasks import Task, TaskResult
from networks.execution.waiting import Waiting

logger = logging.getLogger(__name__)

REFUSE, WARN = "refuse", "warn"
"""What is done with workers that round otherwise."""
_LOOK = 5.0  # seconds between looks at the workers, if nothing is heard of them
_VOTE = 30.0  # seconds that the slowest of the first workers may take longer than the fastest
_TRIES = 3  # of the minimisation, which a machine that is starting may not finish in time
_RENEW = crews.LEASE / 4
_QUIET = 60.0  # seconds without a worker until that is said


@dataclass(frozen=True)
class Connection:
    """A client of a cluster, and the cluster if it was started for it."""

    client: Any
    cluster: Any = None

    @property
    def address(self) -> str:
        """Where the scheduler is."""
        return str(self.client.scheduler.address)

    def close(self) -> None:
        """Leave the cluster; end it if it was started for this client."""
        with suppress(OSError, TimeoutError, asyncio.TimeoutError):
            self.client.close(timeout=10)
        if self.cluster is not None:
            self.cluster.close(timeout=30)


@dataclass(eq=False)
class _Worker:
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
    errands
        What it is doing.
    """

    address: str
    host: str
    threads: int
    state: str = "joining"
    mark: str = ""
    tries: int = 1
    batch: int = 1
    errands: set[_Errand] = field(default_factory=set)

    @property
    def free(self) -> int:
        """Number of groups that it could begin now."""
        return self.threads - len(self.errands) if self.state == "accepted" else 0


@dataclass(eq=False)
class _Errand:
    """A group of tasks at a worker; without tasks it is the minimisation that is compared."""

    worker: _Worker
    tasks: tuple[int, ...]
    answer: Future[Any]


class ClusterExecutor:
    """Does tasks on the workers of a cluster.

    A worker that joins does one minimisation first, and gets tasks only if that agrees to the last
    digit with the one of the first workers: others would find another network. Tasks of a worker
    that is lost go to others. A worker whose surface wants batches gets several tasks at once.

    Parameters
    ----------
    bench
        What the tasks have in common.
    connection
        The cluster.
    rounding
        ``"refuse"`` workers that round otherwise, or ``"warn"``.
    make
        Makes the executor that does tasks within a process of a worker.
    """

    def __init__(
        self,
        bench: Bench,
        connection: Connection,
        *,
        rounding: str = REFUSE,
        make: Callable[[Bench], Executor] = BatchedExecutor,
    ) -> None:
        self._bench = bench
        self._connection = connection
        self._rounding = rounding
        self._make = make
        self._token = uuid.uuid4().hex
        self._setup = pickle.dumps(crews.Setup(bench, make, bench.seconds))
        self._probe = b""
        self._workers: dict[str, _Worker] = {}
        self._mark = ""
        self._compared = math.inf  # when the first worker was compared
        self._problem: Exception | None = None  # of the worker that was refused last
        self._retired: set[str] = set()  # workers that left in order
        self._heard: SimpleQueue[_Errand | None] = SimpleQueue()
        self._looked = -math.inf
        self._alone = time.monotonic()  # since when there has been no worker
        self._count = 0
        self._client = connection.client
        self._address = connection.address
        self._client.subscribe_topic("all", self._told)
        self._renewing = self._soon(self._renew())

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """Do the tasks on all workers; see `networks.execution.base.Executor.run`.

        Raises
        ------
        AfirError
            If no worker can do tasks, or the scheduler is gone.
        """
        work = Waiting(tasks)
        try:
            while True:
                work.grow()
                if work.open:
                    self._look(work)
                    self._judge()
                    self._hand_out(work)
                    self._listen(work)
                if work.done:
                    yield work.done.popleft()
                elif not work.open:
                    return
        finally:
            # Left early: an answer to this run must not count for the next. Comparisons go on.
            for worker in self._workers.values():
                for errand in [errand for errand in worker.errands if errand.tasks]:
                    worker.errands.discard(errand)
                    errand.answer.cancel()

    def moved(self, bench: Bench) -> Self:
        """An executor for another bench on the same workers."""
        self._leave()
        return type(self)(bench, self._connection, rounding=self._rounding, make=self._make)

    def close(self) -> None:
        """End the processes of this run, and the cluster if it was started for it."""
        self._leave()
        self._connection.close()

    def _leave(self) -> None:
        """End the processes of this executor."""
        self._renewing.cancel()
        with suppress(Exception):  # the scheduler may be gone; the processes end by themselves then
            self._client.unsubscribe_topic("all")
            ended = self._client.run(
                crews.end, self._token, on_error="ignore", asynchronous=True, nanny=False
            )
            self._soon(ended).result(timeout=10)

    # -- workers that come and go ------------------------------------------------------------

    def _told(self, event: tuple[float, Any]) -> None:
        """Hear of a worker that joins or leaves; called in the thread of the client."""
        said = event[1]
        action = said.get("action") if isinstance(said, dict) else None
        if action == "remove-worker" and said.get("expected"):
            self._retired.add(said["worker"])
        if action in ("add-worker", "remove-worker"):
            self._looked = -math.inf
            self._heard.put(None)

    def _look(self, work: Waiting) -> None:
        """Look which workers have joined and which are lost."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        present = self._present()
        if present is None:
            return
        for address in [address for address in self._workers if address not in present]:
            self._lose(self._workers.pop(address), work)
        for address, said in present.items():
            if address not in self._workers and said["status"] == "running":
                worker = _Worker(address, str(said["host"]), int(said["nthreads"]))
                self._workers[address] = worker
                self._send(worker, (), self._probe or self._probed(work.tasks[0]))
        self._check_any(now)

    def _present(self) -> dict[str, Any] | None:
        """The workers of the cluster; None while the connection is being restored.

        Raises
        ------
        AfirError
            If it cannot be restored.
        """
        said: dict[str, Any] = {}
        with suppress(OSError):
            said = self._client.scheduler_info(n_workers=-1)
        if self._client.status == "closed":
            raise AfirError(
                f"the Dask scheduler at {self._address} does not answer any more; start one, then "
                "resume the run"
            )
        return said.get("workers")

    def _check_any(self, now: float) -> None:
        """Raise the error of the last worker if all had one; say if there is none to use."""
        usable = any(worker.state != "refused" for worker in self._workers.values())
        if self._workers and not usable and self._problem is not None:
            raise self._problem
        if usable:
            self._alone = math.inf
        elif self._alone == math.inf:
            self._alone = now
        elif now - self._alone > _QUIET:
            self._alone = math.inf
            logger.warning("the cluster has no worker that can be used; waiting for one")

    def _lose(self, worker: _Worker, work: Waiting) -> None:
        """Give the tasks of a worker that is lost to others."""
        retired = worker.address in self._retired
        logger.warning("%s %s", _named(worker), "has left" if retired else "was lost")
        for errand in list(worker.errands):
            if errand.answer.cancel():  # else it has answered
                worker.errands.discard(errand)
                (work.again if retired else work.lose)(errand.tasks)

    def _refuse(self, worker: _Worker, problem: Exception) -> None:
        """Give a worker no more tasks; the run ends if no other is left."""
        worker.state = "refused"
        self._problem = problem
        logger.warning("%s is given no tasks: %s", _named(worker), problem)

    # -- rounding ----------------------------------------------------------------------------

    def _probed(self, task: Task) -> bytes:
        """The minimisation that workers are compared by."""
        self._probe = pickle.dumps((comparison(self._bench.molecule, task),))
        return self._probe

    def _judge(self) -> None:
        """Decide which of the workers that were compared get tasks.

        The first ones decide by majority. All that have joined by then are waited for, a while.
        """
        compared = [w for w in self._workers.values() if w.state == "compared"]
        if not compared:
            return
        if not self._mark:
            self._compared = min(self._compared, time.monotonic())
            joining = any(w.state == "joining" for w in self._workers.values())
            if joining and time.monotonic() < self._compared + _VOTE:
                return
            ((self._mark, _),) = Counter(w.mark for w in compared).most_common(1)
        for worker in compared:
            worker.state = "accepted"
            if worker.mark == self._mark:
                continue
            differs = (
                "its processor rounds otherwise than that of the other workers, or its packages "
                "are other versions, so that it finds another network"
            )
            if self._rounding == WARN:
                logger.warning("%s is used although %s", _named(worker), differs)
            else:
                remedy = (
                    "choose machines of one kind, set OPENBLAS_CORETYPE alike on all, or accept it "
                    "with the option rounding=warn"
                )
                worker.state = "refused"
                logger.warning("%s is given no tasks: %s; %s", _named(worker), differs, remedy)

    # -- tasks -------------------------------------------------------------------------------

    def _hand_out(self, work: Waiting) -> None:
        """Give tasks to all workers that are free; a batch to each, if there are enough."""
        free = sum(max(worker.free, 0) for worker in self._workers.values())
        while work.waiting and free:
            worker = max(self._workers.values(), key=lambda each: each.free)
            size = min(worker.batch, math.ceil(len(work.waiting) / free))
            indices = work.share(size)
            self._send(worker, indices, pickle.dumps(tuple(work.tasks[i] for i in indices)))
            free -= 1

    def _send(self, worker: _Worker, indices: tuple[int, ...], tasks: bytes) -> None:
        """Send tasks to a worker; its answer will be heard."""
        self._count += 1
        future = self._client.submit(
            crews.perform,
            self._token,
            self._setup,
            tasks,
            workers=[worker.address],
            key=f"afir-{self._token}-{self._count}",
            pure=False,
        )
        errand = _Errand(worker, indices, self._soon(self._fetched(future)))
        worker.errands.add(errand)
        errand.answer.add_done_callback(lambda _: self._heard.put(errand))

    async def _fetched(self, future: Any) -> bytes:
        """The answer to an errand, which the cluster then forgets."""
        try:
            answer: bytes = await future.result()
            return answer
        finally:
            future.release()

    def _listen(self, work: Waiting) -> None:
        """Take all answers; if there is no result yet, wait for one or for another worker."""
        pause = 0.0 if work.done else max(self._looked + _LOOK - time.monotonic(), 0.0)
        with suppress(Empty):
            heard = self._heard.get(timeout=pause)
            while True:
                if heard is not None and heard in heard.worker.errands:
                    heard.worker.errands.discard(heard)
                    self._take(heard, work)
                heard = self._heard.get_nowait()

    def _take(self, errand: _Errand, work: Waiting) -> None:
        """Take the answer to an errand."""
        worker = errand.worker
        try:
            group: crews.Group = pickle.loads(errand.answer.result())
        except (CancelledError, asyncio.CancelledError, crews.EndedError):
            # The scheduler has lost it, or the worker has not heard of this process for a while.
            work.again(errand.tasks)
            self._looked = -math.inf
            return
        except Exception as error:
            work.again(errand.tasks)
            if worker.state != "refused":
                self._refuse(worker, _as_problem(error))
            self._check_any(time.monotonic())
            return
        if errand.tasks:
            work.finish(errand.tasks, group)
        elif group.results:
            worker.batch = group.batch
            worker.mark = fingerprint(group.results[0])
            worker.state = "compared"
        elif worker.tries < _TRIES:
            worker.tries += 1
            self._send(worker, (), self._probe)
        else:
            assert group.lost is not None
            self._refuse(worker, AfirError(f"it cannot minimise the start: {group.lost.error}"))
            self._check_any(time.monotonic())

    # -- the thread of the client ------------------------------------------------------------

    def _soon(self, work: Any) -> Future[Any]:
        """Have a coroutine done in the thread of the client."""
        return asyncio.run_coroutine_threadsafe(work, self._client.loop.asyncio_loop)

    async def _renew(self) -> None:
        """Let the processes of this run live on for as long as this executor does."""
        while True:
            await asyncio.sleep(_RENEW)
            with suppress(Exception):  # the scheduler is back in a moment, or `run` says so
                heard = self._client.run(
                    crews.renew, self._token, on_error="ignore", asynchronous=True
                )
                await asyncio.wait_for(heard, _RENEW)


def _named(worker: _Worker) -> str:
    """A worker in words."""
    return f"the worker {worker.address} on {worker.host}"


def _as_problem(error: Exception) -> Exception:
    """Why a worker cannot do tasks."""
    if isinstance(error, AfirError):
        return error
    return AfirError(
        f"{type(error).__name__}: {error}; scheduler, workers and this command need the same "
        "packages"
    )
