"""A child process that computes for this one: a fresh interpreter in its own folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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
_LAST_WORDS = 200  # characters of its output that are quoted: two or three lines of a terminal
_MOMENT = 1.0  # seconds that a process gets to end, which takes milliseconds; chosen
_MARK = "AFIR_FOLDER"  # the variable by which programs that it has started are known

# The path is an argument: programs that are started would inherit PYTHONPATH, and other
# interpreters among them would find the wrong standard library.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[3:]; del sys.argv[3:]; "
    "from afir.pes.worker import main; main()"
)

# It waits for a word or for the end of who started it. Programs that have left the group are known
# by their environment; they may start others meanwhile.
_WATCH = f"""trap '' HUP INT TERM
read word
kill -s KILL -- "-$1"
for round in 1 2 3 4 5; do
    files=$(grep -lszxF -- "{_MARK}=$2" /proc/[0-9]*/environ)
    [ -n "$files" ] || break
    for file in $files; do
        file=${{file#/proc/}}
        kill -s KILL "${{file%/environ}}"
    done
    sleep 0.01
done
rm -rf -- "$2" || {{ sleep 0.1; rm -rf -- "$2"; }}"""


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
    """A process that runs `afir.pes.worker`.

    It has one numerical thread, leads a process group, and computes in a new folder below the one
    for temporary files. It ends with this object and with this process, however that ends, and so
    do its folder and the programs that it has started, unless they leave the group and clear their
    environment too. SIGINT and SIGTERM do not end it.

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
        If there is no room for its folder, or no process can be started.
    """

    def __init__(self, opening: Opening, place: Place, *, quiet: bool = False) -> None:
        with ExitStack() as held:  # given back at once if the start is cut off
            try:
                self.connection, other = _pipe(held)
                self._folder = _new_folder(held)
                self._process = _start(held, other, self._folder, place, quiet=quiet)
                _watch(held, self._process.pid, self._folder)
            except OSError as error:
                reason = error.strerror or error
                raise AfirError(f"no process could be started: {reason}") from error
            self.send(opening)
            self._give_back = finalize(self, _give_back, held.pop_all(), os.getpid())

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
        if not self.connection.poll() and self.has_ended():
            raise EOFError
        return self.connection.recv()

    def has_ended(self) -> bool:
        """Whether the process has ended; its number stays taken until `kill`."""
        try:
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.pid, options) is not None
        except ChildProcessError:  # it has been waited for
            return True

    def wait(self, seconds: float) -> bool:
        """Wait for a message or the end of the process; False if neither comes in time."""
        return bool(wait_for([self], seconds))

    def last_words(self) -> str:
        """The last line of its hidden output, shortened."""
        try:
            with (self._folder / "output").open("rb") as output:
                output.seek(max(0, output.seek(0, os.SEEK_END) - 4 * _LAST_WORDS))
                text = output.read().decode(errors="replace")
        except OSError:
            return ""
        return " ".join(text.split())[-_LAST_WORDS:]

    def kill(self) -> None:
        """End the process with all that it has started, and remove its folder."""
        self._give_back()

    def ending(self) -> str:
        """How the process ends by itself, in words.

        For one that has ended its connection: it is given a moment to end too, then killed.
        """
        give_up = time.monotonic() + _MOMENT
        while not (ended := self.has_ended()) and time.monotonic() < give_up:
            time.sleep(0.01)
        self.kill()
        if not ended:
            return "closed its connection"
        code = self._process.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        with contextlib.suppress(ValueError):  # signals of real time have no names
            return f"ended with signal {signal.Signals(-code).name}"
        return f"ended with signal {-code}"


def wait_for(children: Sequence[Child], seconds: float) -> list[Child]:
    """Wait for messages or the end of processes; empty if neither comes in time.

    The end of a connection does not tell of the end of its process where a copy of that holds it.
    """
    give_up = time.monotonic() + seconds
    while True:
        left = give_up - time.monotonic()
        heard = wait([child.connection for child in children], min(max(left, 0.0), _MOMENT))
        ready = [child for child in children if child.connection in heard or child.has_ended()]
        if ready or left <= 0.0:
            return ready


def _pipe(held: ExitStack) -> tuple[Connection[Any, Any], Connection[Any, Any]]:
    ours, other = Pipe()
    held.callback(ours.close)
    held.callback(other.close)
    return ours, other


def _new_folder(held: ExitStack) -> Path:
    try:
        folder = Path(tempfile.mkdtemp(prefix="afir-"))
        held.callback(_remove_unused, folder)
        (folder / "work").mkdir()
        (folder / "output").touch()
    except OSError as error:
        raise AfirError(
            f"no folder for temporary files: {error.strerror or error}; set TMPDIR to one that "
            "can be written"
        ) from error
    return folder


def _remove_unused(folder: Path) -> None:
    """Remove a folder if its process has not come to use it; this needs no more open files."""
    for remove in ((folder / "output").unlink, (folder / "work").rmdir, folder.rmdir):
        with contextlib.suppress(OSError):
            remove()


def _start(
    held: ExitStack, connection: Connection[Any, Any], folder: Path, place: Place, *, quiet: bool
) -> subprocess.Popen[bytes]:
    """Start the process, which takes the connection over."""
    number = connection.fileno()
    environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), _MARK: str(folder)}
    # Of what it imports nothing comes from the working directory (-P).
    program = [sys.executable, "-P", "-c", _PROGRAM, str(number), str(folder), *place.path]
    with connection, (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            program,
            stdin=subprocess.DEVNULL,
            stdout=output if quiet else None,
            stderr=output if quiet else None,
            cwd=place.folder,
            env=environment,
            pass_fds=[number],
            process_group=0,
        )
    held.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _watch(held: ExitStack, pid: int, folder: Path) -> None:
    """Start a process that ends a group and removes its folder, once this one wants it or ends."""
    theirs, ours = os.pipe()
    held.callback(os.close, ours)
    try:
        watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(pid), str(folder)],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath)},  # without the mark of another child
            process_group=0,
        )
    finally:
        os.close(theirs)
    held.callback(_tell, watcher, ours)


def _tell(watcher: subprocess.Popen[bytes], line: int) -> None:
    with contextlib.suppress(OSError):  # somebody has ended the watcher
        os.write(line, b"\n")
    watcher.wait()


def _give_back(held: ExitStack, owner: int) -> None:
    if os.getpid() == owner:  # in a forked copy of this process the child is its parent's
        held.close()
