"""A child process that computes for this one: a fresh interpreter in its own folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol
from weakref import finalize

from afir.errors import AfirError

START_SECONDS = 120.0
"""Seconds for the start: packages on a cold disk load slowly."""

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_LAST_WORDS = 200  # characters of its output that are quoted
_TRIES = 5


class Opening(Protocol):
    """The first message to a child; it must be picklable."""

    def open(self) -> Callable[[Any], Any]:
        """Prepare, and return the function that answers requests."""
        ...


def _absolute_path() -> tuple[str, ...]:
    return tuple(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100 - "" is the cwd


@dataclass(frozen=True)
class Place:
    """Where children are started: the present state of this process, whatever changes later.

    Attributes
    ----------
    folder
        The working directory.
    path
        Where modules are imported from.
    """

    folder: str = field(default_factory=os.getcwd)
    path: tuple[str, ...] = field(default_factory=_absolute_path)


class Child:
    """A process that runs `afir.worker`.

    It has one numerical thread, leads a process group with all processes that it starts, and
    computes in a new folder below the one for temporary files. All three end with this object and
    with this process, however it ends. SIGINT and SIGTERM do not end it.

    Parameters
    ----------
    opening
        The first message.
    place
        Where it is started and prepared, before it changes to its folder.
    quiet
        Whether to hide its output from the terminal.

    Raises
    ------
    AfirError
        If there is no room for its folder.
    """

    def __init__(self, opening: Opening, place: Place, *, quiet: bool = False) -> None:
        self.connection: Connection[Any, Any]
        self.connection, other = Pipe()
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="afir-"))
            (self._folder / "work").mkdir()
            output = (self._folder / "output").open("ab") if quiet else None
        except OSError as error:
            raise AfirError(
                f"no folder for temporary files: {error.strerror or error}; set TMPDIR to one that "
                "can be written"
            ) from error
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(place.path))
        environment.update(dict.fromkeys(_ONE_THREAD, "1"))
        with other, output or contextlib.nullcontext():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "afir.worker", str(other.fileno()), str(self._folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=place.folder,
                env=environment,
                pass_fds=[other.fileno()],
                process_group=0,
            )
        self._give_back = finalize(
            self, _give_back, self._process, self.connection, self._folder, os.getpid()
        )
        self.send(opening)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Send a message; the next `receive` notices if the process has died."""
        with contextlib.suppress(OSError):
            self.connection.send(message)

    def receive(self) -> Any:
        """The next message.

        Raises
        ------
        EOFError, OSError
            If the process has ended.
        """
        return self.connection.recv()

    def last_words(self) -> str:
        """The last line of its hidden output, shortened."""
        try:
            with (self._folder / "output").open("rb") as output:
                output.seek(max(0, output.seek(0, os.SEEK_END) - 4 * _LAST_WORDS))
                text = output.read().decode(errors="replace")
        except OSError:
            return ""
        return " ".join(text.split())[-_LAST_WORDS:]

    def kill(self) -> int:
        """End the process with its children and its folder; returns its exit code.

        For a process that a signal ended it is the negative number of the signal.
        """
        self._give_back()
        return self._process.wait()


def ended_with(code: int) -> str:
    """An exit code in words."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _give_back(
    process: subprocess.Popen[bytes], connection: Connection[Any, Any], folder: Path, owner: int
) -> None:
    if os.getpid() != owner:
        return  # a forked copy of this process: the child is its parent's
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    connection.close()
    for _ in range(_TRIES):  # its own children may still be ending, and write
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
