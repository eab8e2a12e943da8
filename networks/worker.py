"""The program of a worker process: ``python -m networks.worker FD``.

It reads its bench and then tasks from the connection at that file descriptor and answers with
results. It ends at once when the connection does, so that no worker outlives the run. Signals
that ask a run to end are for the process that leads it: a worker that obeyed them would look as
if its task had killed it.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from afir.errors import AfirError


def serve(connection: Connection[Any, Any]) -> None:
    """Do tasks until the other side goes away.

    The first message is a bench (or anything with its ``open()``); the answer is None when it
    is ready, else an AfirError or a sentence that says why it cannot be. Then every
    ``(number, task)`` is answered by ``(number, result)``.
    """
    try:
        bench = connection.recv()
    except (EOFError, OSError):
        return  # the run ended before this had begun
    inbox: SimpleQueue[tuple[int, Any]] = SimpleQueue()
    # The tasks are read beside the work: the end of the run is noticed in the middle of one.
    Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    try:
        perform = bench.open()
    except AfirError as error:
        connection.send(error)
        return
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
        return
    connection.send(None)
    while True:
        number, task = inbox.get()
        connection.send((number, perform(task)))


def _listen(connection: Connection[Any, Any], inbox: SimpleQueue[tuple[int, Any]]) -> None:
    while True:
        try:
            inbox.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)
        except Exception:
            os._exit(1)  # a task that cannot be read: die at once rather than wait for another


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])))
