"""The connection to a cluster, which may stop to answer at any time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from networks.execution.jobs import Jobs

logger = logging.getLogger(__name__)

# Chosen: a scheduler that is there answers in milliseconds, a batch system that is busy in seconds.
_LEAVE = 10.0  # seconds to leave a cluster
_END = 30.0  # seconds to end one, with its jobs
_MORE = 1.5  # times as long until what Dask should have given up by then is given up


@dataclass(frozen=True)
class Connection:
    """A client of a cluster, and the cluster if it was started for it.

    Attributes
    ----------
    client, cluster
        Those of Dask.
    expected
        Number of workers that will come, 0 if that is not known.
    jobs
        The jobs of a batch system that become workers.
    """

    client: Any
    cluster: Any = None
    expected: int = 0
    jobs: Jobs | None = None

    @property
    def address(self) -> str:
        """Where the scheduler is."""
        return str(self.client.scheduler.address)

    def close(self) -> None:
        """Leave the cluster; end it if it was started for this client.

        What does not answer is waited for a minute at most, and named.
        """
        if self.jobs is not None:
            self.jobs.end()
        if not left(self.client):
            logger.warning("the scheduler of the cluster does not answer; it is left as it is")
        if self.cluster is not None and not _ended(_END, self.cluster):
            jobs = "" if self.jobs is None else "; see whether its jobs have ended"
            logger.warning("the cluster could not be ended in time%s", jobs)


def left(client: Any) -> bool:
    """Close a client of Dask; whether that was done in time."""
    return _ended(_LEAVE, client)


def _ended(seconds: float, part: Any) -> bool:
    """Close a part of Dask; whether that was done in time."""
    try:
        in_time(_MORE * seconds, partial(part.close, timeout=seconds))
    except TimeoutError:
        return False
    except OSError:  # the other side has gone already
        pass
    return True


def in_time(seconds: float, do: Callable[[], object]) -> None:
    """Do something in another thread, which is left alone when it takes too long.

    Dask has time limits of its own, but waits without one for what accepts a connection and says
    nothing.

    Raises
    ------
    TimeoutError
        If it takes longer. What it raises itself is raised too.
    """
    done: Future[None] = Future()

    def work() -> None:
        try:
            do()
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    done.result(seconds)
