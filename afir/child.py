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
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol
from weakref import finalize

from afir.errors import AfirError

START_SECONDS = 600.0
"""Seconds for the start: packages on a cold disk load slowly."""

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_LAST_WORDS = 200  # characters of its output that are quoted
_LONGEST_WAIT = 1e6  # seconds: the system takes no more at once

# It waits for a word or for the end of who started it.
_WATCH = """read word
kill -s KILL -- "-$1"
rm -rf -- "$2" || { sleep 0.1; rm -rf -- "$2"; }"""


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
        program = ["-m", "afir.worker", str(other.fileno()), str(self._folder)]
        try:
            with other, output or contextlib.nullcontext():
                self._process = subprocess.Popen(
                    [sys.executable, "-P", *program],  # modules come from `place` alone
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=place.folder,
                    env=environment,
                    pass_fds=[other.fileno()],
                    process_group=0,
                )
            watcher, line = _watch(self._process.pid, self._folder)
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise AfirError(f"no process could be started: {error.strerror or error}") from error
        self._ended = _pidfd(self._process.pid)
        self._give_back = finalize(
            self,
            _give_back,
            self._process,
            watcher,
            (line, self._ended),
            self.connection,
            os.getpid(),
        )
        self.send(opening)

    @property
    def handles(self) -> list[Connection[Any, Any] | int]:
        """What to wait on: ready when there is a message to receive or the process has ended."""
        return [self.connection] if self._ended is None else [self.connection, self._ended]

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
            If the process has ended, even if one that it has started holds the connection.
        """
        if not self.connection.poll() and self._process.poll() is not None:
            raise EOFError
        return self.connection.recv()

    def wait(self, seconds: float) -> bool:
        """Wait for a message or the end of the process; False if neither comes in time."""
        give_up = time.monotonic() + seconds
        while (left := give_up - time.monotonic()) > 0:
            if wait(self.handles, min(left, _LONGEST_WAIT)):
                return True
        return False

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
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):  # signals of real time have no names
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


def _pidfd(pid: int) -> int | None:
    """A file that is ready when a process ends; None where the system has or allows none.

    The end of its connection then tells, unless a process that it has started holds that.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _watch(pid: int, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A process that ends a group and removes its folder, once told to or once this one ends.

    Returns
    -------
    tuple
        The process, and the file descriptor to tell it: it holds the other end.
    """
    theirs, ours = os.pipe()
    try:
        watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(pid), str(folder)],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
    finally:
        os.close(theirs)
    return watcher, ours


def _give_back(
    process: subprocess.Popen[bytes],
    watcher: subprocess.Popen[bytes],
    files: tuple[int, int | None],
    connection: Connection[Any, Any],
    owner: int,
) -> None:
    if os.getpid() != owner:
        return  # a forked copy of this process: the child is its parent's
    line, ended = files
    with contextlib.suppress(OSError):  # somebody has ended the watcher
        os.write(line, b"\n")
    watcher.wait()
    process.kill()
    process.wait()
    connection.close()
    os.close(line)
    if ended is not None:
        os.close(ended)
