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
from queue import Empty, SimpleQueue
from typing import Any, Self

from afir.errors import AfirError, StoppedError
from networks.execution import crews
from networks.execution.base import Executor
from networks.execution.connection import Connection
from networks.execution.context import Bench
from networks.execution.local import BatchedExecutor
from networks.execution.parcels import ForgottenError, Sender
from networks.execution.rounding import comparison, fingerprint
from networks.execution.tasks import Task, TaskResult
from networks.execution.versions import difference
from networks.execution.waiting import Waiting
from networks.execution.workers import Errand, Worker, problem_of, problem_of_all

logger = logging.getLogger(__name__)

REFUSE, WARN = "refuse", "warn"
"""What is done with workers that round otherwise."""
_LOOK = 5.0  # seconds between looks at the workers, if nothing is heard of them
_VOTE = 30.0  # seconds that the slowest of the first workers may take longer than the fastest
_TRIES = 3  # of the minimisation, which a machine that is starting may not finish in time
_RENEW = crews.LEASE / 4
_ALONE = 10.0  # seconds without a worker, or an answer of the scheduler, until that is said
_SILENT = 300.0  # seconds that the scheduler may be silent: it may be asleep or overworked; chosen
_GRACE = 30.0  # seconds that a worker which can do tasks may come after one that cannot; chosen


class ClusterExecutor:
    """Does tasks on the workers of a cluster.

    A worker that joins does one minimisation first, and gets tasks only if its packages have the
    same versions as here and the minimisation agrees to the last digit with that of the first
    workers: others would find another network. Tasks of a worker that is lost go to others. A
    worker whose surface wants batches gets several tasks at once.

    Parameters
    ----------
    bench
        What the tasks have in common.
    connection
        The cluster.
    rounding
        ``"refuse"`` workers that round otherwise or have other versions, or ``"warn"``.
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
        self._sender = Sender()
        self._probe = b""
        self._workers: dict[str, Worker] = {}
        self._mark = ""
        self._compared = math.inf  # when the first worker was compared
        self._retired: set[str] = set()  # workers that left in order
        self._heard: SimpleQueue[Errand | None] = SimpleQueue()
        self._looked = -math.inf
        self._alone = time.monotonic()  # since when there has been no worker to use
        self._told_alone = False
        self._silent = math.inf  # since when the scheduler has not answered
        self._told_silent = False
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
            If no worker can do tasks.
        StoppedError
            If the scheduler is gone.
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
                worker = Worker(address, str(said["host"]), int(said["nthreads"]))
                self._workers[address] = worker
                self._send(worker, (), self._probe or self._probed(work.tasks[0]))
        self._check_any(now)

    def _present(self) -> dict[str, Any] | None:
        """The workers of the cluster; None while the scheduler does not answer.

        Raises
        ------
        StoppedError
            If the connection cannot be restored, or the scheduler is silent for too long.
        """
        self._silent = min(self._silent, time.monotonic())
        # Not `scheduler_info`, which without a connection gives what was known last, or no workers.
        # A client that is being closed has no connections, and then no scheduler.
        with suppress(OSError, RuntimeError, AttributeError):
            asked = self._soon(self._client.scheduler.identity(n_workers=-1))
            # One that is overworked gets more time once that is said.
            said = asked.result(_SILENT / 5 if self._told_silent else _ALONE)
            self._silent, self._told_silent = math.inf, False
            return dict(said["workers"])
        silent = time.monotonic() - self._silent
        if self._client.status == "closed" or silent > _SILENT:
            raise StoppedError(
                f"the Dask scheduler at {self._address} does not answer any more; start one, then "
                "resume the run"
            )
        if silent >= _ALONE and not self._told_silent:
            self._told_silent = True
            where = self._address
            logger.warning("the Dask scheduler at %s does not answer; waiting for it", where)
        return None

    def _check_any(self, now: float) -> None:
        """Raise the error of a worker if all have one and no other comes; say if there is none.

        A worker that fails may be the first that joins, of many that do not.
        """
        workers = self._workers.values()
        if any(worker.state != "refused" for worker in workers):
            self._alone, self._told_alone = math.inf, False
            return
        self._alone = min(self._alone, now)
        waited = now - self._alone
        if self._connection.jobs is not None:
            self._connection.jobs.check()
        # Where others have been used before, they may come back.
        hopeless = [worker for worker in workers if not (worker.differs and self._mark)]
        if hopeless and len(hopeless) == len(workers) and self._nobody_comes(now):
            raise problem_of_all(hopeless[-1])
        if waited > _ALONE and not self._told_alone:
            self._told_alone = True
            how = "" if self._connection.expected else f": dask worker {self._address}"
            logger.warning("the cluster has no worker that can be used; waiting for one%s", how)

    def _nobody_comes(self, now: float) -> bool:
        """Whether no worker is to be expected besides those that were refused."""
        if self._connection.expected:
            return len(self._workers) >= self._connection.expected
        return now - min(worker.since for worker in self._workers.values()) > _GRACE

    def _lose(self, worker: Worker, work: Waiting) -> None:
        """Give the tasks of a worker that is lost to others."""
        retired = worker.address in self._retired
        logger.warning("%s %s", worker, "has left" if retired else "was lost")
        for errand in list(worker.errands):
            if errand.answer.cancel():  # else it has answered
                worker.errands.discard(errand)
                (work.again if retired else work.lose)(errand.tasks)

    def _refuse(self, worker: Worker, problem: AfirError) -> None:
        """Give a worker no more tasks; the run ends if no other is left or comes."""
        worker.state = "refused"
        worker.problem, worker.since = problem, time.monotonic()
        logger.warning("%s is given no tasks: %s", worker, problem)

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
            if worker.mark != self._mark:
                self._object(
                    worker,
                    "its processor rounds otherwise than that of the other workers, so that it "
                    "finds another network",
                    "choose machines of one kind, set OPENBLAS_CORETYPE alike on all",
                )

    def _object(self, worker: Worker, differs: str, remedy: str) -> None:
        """Refuse a worker that would find another network, or warn of it."""
        if self._rounding == WARN:
            logger.warning("%s is used although %s", worker, differs)
        else:
            worker.differs = True
            accept = "or accept it with the option rounding=warn"
            self._refuse(worker, AfirError(f"{differs}; {remedy}, {accept}"))

    # -- tasks -------------------------------------------------------------------------------

    def _hand_out(self, work: Waiting) -> None:
        """Give tasks to all workers that are free; a batch to each, if there are enough."""
        free = sum(max(worker.free, 0) for worker in self._workers.values())
        while work.waiting and free:
            worker = max(self._workers.values(), key=lambda each: each.free)
            size = min(worker.batch, math.ceil(len(work.waiting) / free))
            indices = work.share(size)
            packed = self._sender.packed([work.tasks[i] for i in indices], worker.has)
            self._send(worker, indices, pickle.dumps(packed))
            free -= 1

    def _send(self, worker: Worker, indices: tuple[int, ...], tasks: bytes) -> None:
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
        errand = Errand(worker, indices, self._soon(self._fetched(future)))
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

    def _take(self, errand: Errand, work: Waiting) -> None:
        """Take the answer to an errand."""
        worker = errand.worker
        try:
            group: crews.Group = pickle.loads(errand.answer.result())
        except (CancelledError, asyncio.CancelledError, crews.EndedError):
            # The scheduler has lost it, or the worker has not heard of this process for a while.
            work.again(errand.tasks)
            self._looked = -math.inf
            return
        except ForgottenError:
            worker.has.clear()
            work.again(errand.tasks)
            return
        except Exception as error:
            work.again(errand.tasks)
            if worker.state != "refused":
                self._refuse(worker, problem_of(error))
            self._check_any(time.monotonic())
            return
        if errand.tasks:
            work.finish(errand.tasks, group)
        elif group.results:
            worker.batch = group.batch
            worker.mark = fingerprint(group.results[0])
            worker.state = "compared"
            if other := difference(group.versions):
                self._object(
                    worker,
                    f"its packages have other versions, {other}, so that it may find another "
                    "network",
                    "install the same ones",
                )
                self._check_any(time.monotonic())
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
