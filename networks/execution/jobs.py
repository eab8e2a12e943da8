"""Jobs of a batch system that become workers: submitted again until they do.

Dask submits a job once. One that cannot be submitted, or ends before its worker joins, would be
missing for the rest of the run without a word.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import re
import shlex
import shutil
import time
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from afir.errors import InputError, StoppedError

logger = logging.getLogger(__name__)

_TRIES = 4  # in a row for each job, with less than two minutes between the first and the last
_PAUSE = 15.0  # seconds until a job is submitted again, twice as many after each failure
_LONGEST_PAUSE = 600.0  # seconds: a batch system that was down is found again soon
_LOOK = 30.0  # seconds between looks at the queue, and for a new job to appear in it


@dataclass(frozen=True)
class System:
    """A batch system.

    Attributes
    ----------
    cluster
        The class of dask-jobqueue.
    queue
        The command that lists the jobs of a user which wait or run.
    """

    cluster: str
    queue: str


SYSTEMS = {
    "htcondor": System("HTCondorCluster", "condor_q {user} -af ClusterId"),
    "lsf": System("LSFCluster", "bjobs -u {user} -noheader -o jobid"),
    "moab": System("MoabCluster", "showq -u {user}"),
    "oar": System("OARCluster", "oarstat -u {user}"),
    "pbs": System("PBSCluster", "qselect -u {user}"),
    "sge": System("SGECluster", "qstat -u {user}"),
    "slurm": System("SLURMCluster", "squeue -u {user} --noheader --format=%A"),
}


@dataclass(frozen=True)
class _Job:
    """A job that was submitted, and when."""

    id: str
    since: float


class Jobs:
    """What has become of the jobs of a run.

    Parameters
    ----------
    system
        A key of `SYSTEMS`.
    """

    def __init__(self, system: str) -> None:
        self._system = system
        # By the names of their workers. Waiting: without a worker yet.
        self._waiting: dict[str, _Job] = {}
        self._again: dict[str, float] = {}  # those that failed, and when to submit them again
        self._failures: Counter[str] = Counter()  # in a row
        self._words = ""
        self._watching: Future[None] | None = None

    def begin(self, cluster: Any) -> None:
        """Watch the jobs of a cluster of Dask, in its thread, until `end`."""
        self._watching = asyncio.run_coroutine_threadsafe(
            self._watch(cluster), cluster.loop.asyncio_loop
        )

    def end(self) -> None:
        """Submit no more jobs."""
        if self._watching is not None:
            self._watching.cancel()

    def check(self) -> None:
        """Raise StoppedError if no job waits or runs and each has failed several times."""
        failures = list(self._failures.values())
        if failures and not self._waiting and min(failures) >= _TRIES:
            raise StoppedError(
                f"no job of {self._system} becomes a worker: {self._words}; correct the options of "
                "the executor, then resume the run"
            )

    def submitted(self, name: str, job_id: str) -> None:
        """Note a job that the batch system has taken."""
        self._waiting[name] = _Job(job_id, time.monotonic())

    def failed(self, name: str, words: str) -> None:
        """Note a job that could not be submitted or has ended without a worker."""
        self._waiting.pop(name, None)
        self._failures[name] += 1
        self._words = words
        pause = min(_PAUSE * 2 ** (self._failures[name] - 1), _LONGEST_PAUSE)
        self._again[name] = time.monotonic() + pause
        logger.warning("%s; another one is submitted in %g s", words, pause)

    async def _watch(self, cluster: Any) -> None:
        """Have jobs submitted again that have failed."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(min(1.0, _PAUSE))
            now = time.monotonic()
            for said in cluster.scheduler_info["workers"].values():
                self._joined(str(said["name"]))
            for name in [name for name, when in self._again.items() if when <= now]:
                if name in cluster.workers:
                    del self._again[name]
                    # Dask makes a new one of what it misses.
                    await cluster.workers.pop(name).close()
            if now > looked + _LOOK and self._waiting:
                looked = now
                await self._look()

    def _joined(self, worker: str) -> None:
        """Note a worker, one of several of its job perhaps, which add a number to their name."""
        for name in [name for name in self._waiting if f"{worker}-".startswith(f"{name}-")]:
            del self._waiting[name]
            self._failures.pop(name, None)

    async def _look(self) -> None:
        """Find jobs that have ended without a worker."""
        asked = time.monotonic()
        queue = await self.queue()
        for name, job in list(self._waiting.items()):
            if queue is not None and number(job.id) not in queue and job.since < asked - _LOOK:
                self.failed(name, f"the job {job.id} has ended before its worker joined")

    async def queue(self) -> set[str] | None:
        """The numbers of the jobs that wait or run, among others; None if that is not known."""
        try:
            command = shlex.split(SYSTEMS[self._system].queue.format(user=getpass.getuser()))
            asked = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            said, _ = await asked.communicate()
        except (OSError, KeyError):  # no such program, or a user without a name
            return None
        if asked.returncode != 0:
            return None
        return set(re.findall(r"\d+", said.decode(errors="replace")))


def number(job_id: str) -> str:
    """The number of a job, without the rest of its name."""
    found = re.search(r"\d+", job_id)
    return found[0] if found else job_id


def watched(kind: Any, base: Any, jobs: Jobs) -> Any:
    """A class of jobs of dask-jobqueue, with failures noted instead of raised.

    `base` is the class that submits a job when it starts.
    """

    class Watched(kind):
        """A job, which is submitted when it starts."""

        async def start(self) -> None:
            """Submit it."""
            try:
                await super().start()
            except Exception as error:
                jobs.failed(self.name, f"a job cannot be submitted: {words_of(error)}")
                await super(base, self).start()  # as if it were there: Dask goes on
            else:
                jobs.submitted(self.name, self.job_id)

        @classmethod
        async def _close_job(cls, job_id: str | None, cancel_command: str) -> None:
            """End it."""
            if not job_id:
                return
            try:
                await cls._call([*shlex.split(cancel_command), job_id])
            except (OSError, RuntimeError) as error:
                queue = await jobs.queue()
                if queue is None or number(job_id) in queue:
                    logger.warning(
                        "the job %s could not be ended: %s; end it yourself",
                        job_id,
                        words_of(error),
                    )

    Watched.__name__ = kind.__name__  # it is part of messages
    return Watched


def words_of(error: Exception) -> str:
    """What a program of the batch system said, in one line."""
    _, _, said = str(error).partition("stderr:\n")
    return " ".join((said.strip() or str(error)).split()) or type(error).__name__


def check_programs(kind: Any, system: str) -> None:
    """Raise InputError if the programs of a batch system are not here."""
    for command in (kind.submit_command, kind.cancel_command):
        program = shlex.split(command)[0]
        if shutil.which(program) is None:
            raise InputError(
                f"`cluster` must be a batch system that is installed here, got {system!r}: there "
                f"is no program {program}; run this where jobs can be submitted"
            )
