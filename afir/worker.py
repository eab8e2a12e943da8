"""The program of a process that computes for another: ``python -m afir.worker FD FOLDER``.

It reads what it is to prepare and then requests from the connection at that file descriptor and
answers each. It ends at once when the connection does, with all that it has started and with its
folder, so that nothing outlives the process that it works for. Signals that ask a run to end are
for the process that leads it: a worker that obeyed them would look as if its task had killed it.
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

_MOST_OUTPUT = 1_000_000  # bytes that are kept of what a calculator prints


def serve(connection: Connection[Any, Any], folder: Path) -> None:
    """Answer requests until the other side goes away.

    The first message has a method ``open()``, which makes the function that answers requests; the
    answer is None when that is ready, else an AfirError or a sentence that says why it cannot be.
    Then every ``(number, request)`` is answered by ``(number, answer)``. Requests are answered in
    ``folder / "work"``, what is prepared is prepared where the program was started.
    """
    try:
        opening = connection.recv()
    except (EOFError, OSError):  # the other side ended before this had begun
        shutil.rmtree(folder, ignore_errors=True)
        return
    inbox: SimpleQueue[tuple[int, Any]] = SimpleQueue()
    # Requests are read beside the work: the end of the other side is noticed in the middle of one.
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
    finally:  # also for a request that cannot be read: die rather than wait for another
        shutil.rmtree(folder, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])), Path(sys.argv[2]))
