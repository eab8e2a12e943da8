"""The program of a process that computes for another; `afir.pes.child` starts and ends it.

It reads its preparation and then requests from a connection and answers each. Signals that end a
run are for the leading process: a worker that obeyed them would look as if its task had killed it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from afir.errors import AfirError, plain

_MOST_OUTPUT = 1_000_000  # bytes kept of the output of a calculator: no disk fills up; chosen


def serve(connection: Connection[Any, Any], folder: Path) -> None:
    """Answer requests until the connection ends.

    The first message has a method ``open()``, which makes the function that answers requests; the
    answer is None when it is ready, else an AfirError or a sentence with the reason. Then every
    ``(number, request)`` is answered by ``(number, answer)``. Requests are answered in
    ``folder / "work"``, the preparation is done where the program was started.
    """
    os.set_inheritable(connection.fileno(), False)  # calculators start programs of their own
    opening = connection.recv()
    try:
        answer = opening.open()
    except AfirError as error:
        connection.send(plain(error))
        return
    except (Exception, SystemExit) as error:
        connection.send(f"{type(error).__name__}: {error}")
        return
    os.chdir(folder / "work")
    connection.send(None)
    output = folder / "output"
    while True:
        number, request = connection.recv()
        connection.send((number, answer(request)))
        if output.exists() and output.stat().st_size > _MOST_OUTPUT:
            os.truncate(output, 0)


def main() -> None:
    """Serve the connection at the file descriptor, in the folder, that the arguments name."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # A handler, since programs that are started would inherit that a signal is ignored.
        signal.signal(number, lambda *_: None)
    with suppress(EOFError, ConnectionError):  # the other side has ended
        serve(Connection(int(sys.argv[1])), Path(sys.argv[2]))
