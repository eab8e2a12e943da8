"""A Dask cluster: one on this machine, one that runs, or jobs of a batch system."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from afir.errors import InputError, MissingPackageError, said
from afir.options import check_whole
from networks.execution.base import declares
from networks.execution.cluster import REFUSE, WARN, ClusterExecutor
from networks.execution.connection import Connection, in_time, left
from networks.execution.context import Bench
from networks.execution.jobs import SYSTEMS, Jobs, check_programs, watched

_JOIN = 60.0  # seconds for a scheduler to answer; Dask itself gives up connecting after 30 s
# The page on which Dask shows itself: on this machine only, at any free port.
_PAGE = {"dashboard_address": "127.0.0.1:0"}
# A job is one worker with a thread for each core: every thread has its own process.
_JOB = {"processes": 1}
# What is reached at a host and a port.
_NETWORK = ("tcp", "tls", "ucx", "ucxx", "ws", "wss")

PLAIN = (
    *("cluster", "jobs", "cores", "processes", "memory", "walltime", "queue", "account", "project"),
    *("interface", "rounding", "disk", "ncpus", "mem", "lsf_units", "job_cpu", "job_mem"),
)
"""Options that are numbers and names: no commands, files or addresses."""

# Parameters of dask-jobqueue that are set here, or that no option can be.
_NO_OPTIONS = frozenset(
    [
        *("scheduler", "scheduler_cls", "job_cls", "n_workers", "name"),
        *("loop", "asynchronous", "dashboard_address", "host"),
    ]
)


def check(
    *,
    workers: int = 1,
    address: str = "",
    cluster: str = "",
    jobs: int | None = None,
    rounding: str = REFUSE,
    **queue: Any,
) -> None:
    """Raise InputError for options of `dask` that make no sense; no cluster is needed for that."""
    if rounding not in (REFUSE, WARN):
        raise InputError(f"`rounding` must be {REFUSE} or {WARN}, got {rounding!r}")
    if address and cluster:
        raise InputError("`address` must not go with `cluster`: a cluster that runs is not started")
    if (address or cluster) and workers > 1:
        raise InputError(
            f"`workers` must be 1 with `address` or `cluster`, whose workers do the tasks, got "
            f"{workers}"
        )
    alone = queue if jobs is None else {**queue, "jobs": jobs}
    if alone and not cluster:
        raise InputError(
            f"the executor 'dask' has no option {min(alone)!r} without `cluster`; it has address, "
            "cluster and rounding"
        )
    scheme, _, place = address.rpartition("://")
    host, _, port = place.rpartition(":")
    if address and scheme in ("", *_NETWORK) and not (host and port.isdecimal()):
        raise InputError(f"`address` must be like tcp://10.0.0.1:8786, got {address!r}")
    _distributed()
    if cluster:
        _check_jobs(cluster, 1 if jobs is None else jobs, queue)


@declares(plain=PLAIN, check=check)
def dask(
    bench: Bench,
    *,
    workers: int = 1,
    address: str = "",
    cluster: str = "",
    jobs: int | None = None,
    rounding: str = REFUSE,
    **queue: Any,
) -> ClusterExecutor:
    """Tasks on the workers of a Dask cluster; each does its tasks in processes of its own.

    Parameters
    ----------
    bench
        What the tasks have in common.
    workers
        Number of workers of a cluster on this machine, without `address` and `cluster`.
    address
        Where a scheduler is running, e.g. ``"tcp://10.0.0.1:8786"``. It stays.
    cluster
        A batch system whose jobs are the workers: ``"slurm"``, ``"pbs"``, ``"sge"``, ``"lsf"``,
        ``"htcondor"``, ``"moab"`` or ``"oar"``. They end with the run.
    jobs
        Number of jobs, with `cluster`; one by default. Those that end are replaced.
    rounding
        What to do with a worker that would find another network, because its results differ from
        those of the others in the last digits or its packages have other versions: ``"refuse"``
        it, or ``"warn"``.
    **queue
        With `cluster` what dask-jobqueue wants to know, e.g. ``cores`` (tasks at once in a job),
        ``memory``, ``queue``, ``walltime``, ``account``.

    Raises
    ------
    InputError
        If that makes no sense, or no scheduler answers.
    MissingPackageError
        If Dask is not installed.
    """
    check(workers=workers, address=address, cluster=cluster, jobs=jobs, rounding=rounding, **queue)
    if address:
        connection = _joined(address)
    elif cluster:
        connection = _submitted(cluster, 1 if jobs is None else jobs, queue)
    else:
        connection = _started(workers)
    return ClusterExecutor(bench, connection, rounding=rounding)


def _distributed() -> Any:
    """The package, which is loaded when it is asked for."""
    try:
        import distributed
    except ImportError as error:
        raise MissingPackageError(
            "the executor 'dask' needs the package distributed; install it with "
            'pip install "afir[cluster]"'
        ) from error
    logging.getLogger("distributed.client").addFilter(_said_otherwise)
    return distributed


def _said_otherwise(record: logging.LogRecord) -> bool:
    """Keep back that a client has lost its scheduler, which ends the run with an error."""
    return not record.getMessage().startswith("Failed to reconnect to scheduler")


def _joined(address: str) -> Connection:
    """A connection to a cluster that is running."""
    kind = _distributed().Client
    # Made before it connects, so that it can be closed if that fails: a client that is left to the
    # garbage collector may wait for a lock that its own thread holds, while another one starts.
    client = kind.__new__(kind)
    try:
        in_time(_JOIN, lambda: client.__init__(address, set_as_default=False))
    except BaseException as error:
        with suppress(AttributeError):  # it may not have got so far
            left(client)
        if not isinstance(error, OSError | ValueError):
            raise
        said = str(error) or "nothing is heard from there"
        raise InputError(
            f"no Dask scheduler answers at {address}: {said}; start one with `dask scheduler`, or "
            "correct the address"
        ) from error
    return Connection(client)


def _started(workers: int) -> Connection:
    """A new cluster on this machine.

    Its workers are threads: what they compute is done in processes anyway. So no port is open
    through which others could have it do something.
    """
    distributed = _distributed()
    cluster = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        memory_limit=0,
        **_PAGE,
        worker_dashboard_address="127.0.0.1:0",
        silence_logs=logging.ERROR,
    )
    return Connection(distributed.Client(cluster, set_as_default=False), cluster, workers)


def _check_jobs(system: str, jobs: int, options: Mapping[str, Any]) -> None:
    """Raise InputError unless such jobs can be submitted here, as far as can be told before."""
    if system not in SYSTEMS:
        raise InputError(f"`cluster` must be one of {', '.join(SYSTEMS)}, got {system!r}")
    check_whole("jobs", jobs, least=1)
    library = _jobqueue(system)
    kind = getattr(library, SYSTEMS[system].cluster)
    of_job = _parameters(kind.job_cls.__mro__) - _NO_OPTIONS
    of_cluster = _parameters([kind, library.JobQueueCluster]) - _NO_OPTIONS
    for name in options:
        if name not in of_job | of_cluster:
            raise InputError(f"the cluster {system!r} has no option {name!r}; see dask-jobqueue")
    check_programs(kind.job_cls, system)
    for name in ("cores", "processes"):
        value = options.get(name)
        if value is not None:
            check_whole(name, value, least=1)
    # A job makes its `log_directory`; here nothing is made.
    given = {name: value for name, value in options.items() if name in of_job - {"security"}}
    given = {**_JOB, **given, "log_directory": "."}
    with _starting(system):
        kind.job_cls("tcp://127.0.0.1:8786", "check", **given).job_script()


def _jobqueue(system: str) -> Any:
    """The package dask-jobqueue."""
    try:
        import dask_jobqueue
    except ImportError as error:
        raise MissingPackageError(
            f"the cluster {system!r} needs the package dask-jobqueue; install it with "
            'pip install "afir[cluster]"'
        ) from error
    return dask_jobqueue


def _parameters(kinds: Iterable[type]) -> frozenset[str]:
    """The names of all arguments that classes are made with."""
    flexible = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return frozenset(
        parameter.name
        for kind in kinds
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.kind not in flexible
    )


@contextmanager
def _starting(system: str) -> Iterator[None]:
    """Say in one sentence what dask-jobqueue objects to."""
    try:
        yield
    except Exception as error:  # it objects in many ways
        raise InputError(f"no cluster of {system!r} can be started: {said(error)}") from error


def _submitted(system: str, jobs: int, options: Mapping[str, Any]) -> Connection:
    """A new cluster whose workers are jobs of a batch system."""
    library = _jobqueue(system)
    kind = getattr(library, SYSTEMS[system].cluster)
    watch = Jobs(system)
    job = watched(kind.job_cls, library.core.Job, watch)
    with _starting(system):
        cluster = kind(job_cls=job, **{"scheduler_options": _PAGE, **_JOB, **options})
    cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # so that jobs that end are replaced
    watch.begin(cluster)
    client = _distributed().Client(cluster, set_as_default=False)
    return Connection(client, cluster, jobs, watch)
