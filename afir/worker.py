"""The program of a process that computes for another: ``python -m afir.worker FD FOLDER``.

It reads its preparation and then requests from the connection at that file descriptor and answers
each. It ends at once with the connection, with its own children and its folder, so that nothing
outlives the parent process. Signals that end a run are for the leading process: a worker that
obeyed them would look as if its task had killed it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from afir.errors import AfirError

_MOST_OUTPUT = 1_000_000  # bytes kept of the output of a calculator


def serve(connection: Connection[Any, Any], folder: Path) -> None:
    """Answer requests until the connection ends.

    The first message has a method ``open()``, which makes the function that answers requests; the
    answer is None when it is ready, else an AfirError or a sentence with the reason. Then every
    ``(number, request)`` is answered by ``(number, answer)``. Requests are answered in
    ``folder / "work"``; the preparation runs where the program was started.
    """
    try:
        opening = connection.recv()
    except (EOFError, OSError):  # the parent ended before the start
        shutil.rmtree(folder, ignore_errors=True)
        return
    inbox: SimpleQueue[tuple[int, Any]] = SimpleQueue()
    # Requests are read in parallel: the end of the parent is noticed in the middle of one.
    Thread(target=_listen, args=(connection, inbox, folder), daemon=True).start()
    try:
        answer = opening.open()
    except AfirError as error:
        connection.send(error)
        return
    except (Exception, SystemExit) as error:
        connection.send(f"{type(error).__name__}: {error}")
        return
    os.chdir(folder / "work")
    connection.send(None)
    output = folder / "output"
    while True:
        number, request = inbox.get()
        connection.send((number, answer(request)))
        if output.exists() and output.stat().st_size > _MOST_OUTPUT:
            os.truncate(output, 0)


def _listen(
    connection: Connection[Any, Any], inbox: SimpleQueue[tuple[int, Any]], folder: Path
) -> None:
    try:
        while True:
            inbox.put(connection.recv())
    finally:  # also for a request that cannot be read: end rather than wait for another
        shutil.rmtree(folder, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])), Path(sys.argv[2]))
