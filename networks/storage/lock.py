"""Locks: one writer per run file, whatever names the file has.

By hand: the package filelock locks one path, and knows neither other names of the file nor whether
it was moved, nor who holds it, nor readers that only look; and it leaves its files behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from afir.errors import InputError
from networks.storage.mounts import is_shared

LOCK = "-lock"
"""End of the name of the lock file beside a run."""

_RETRIES = (0.0, 0.2, 1.0)
"""Seconds to wait before each look at a file that cannot be seen."""

_LOOKS = 0.1
"""Seconds: far longer than `writer` takes."""


class Lock:
    """The right to write a run file, held until `release` or the end of the process.

    There are two locks, both of the operating system, so that none outlives its holder. One is on
    a file beside the run and holds for all paths to it (SQLite's own locks would keep readers
    out). The other, which `claim` takes, is on the file itself, which may have been moved or may
    have another name elsewhere. It is the address of a socket: a lock on the file would conflict
    with those of SQLite, which a process loses when it closes any descriptor of the file.

    Parameters
    ----------
    path
        The run file.

    Raises
    ------
    InputError
        If another process holds it, the directory cannot be written, or its file system has no
        locks.
    """

    def __init__(self, path: Path) -> None:
        self._name = path
        self._run = Path(os.path.realpath(path))
        self._path = _beside(self._run)
        self._identity: tuple[int, int] | None = None
        self._claim: socket.socket | None = None
        give_up = time.monotonic() + _LOOKS
        while True:
            try:
                self._file = cast("BinaryIO", self._path.open("a+b", buffering=0))
            except OSError as error:
                raise InputError(
                    f"{path} must be in a directory that can be written, got: {error.strerror}"
                ) from error
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(self._file)
                self._file.close()
                if time.monotonic() < give_up:  # another process may only be looking
                    time.sleep(0.01)
                    continue
                raise _taken(path, holder) from None
            except OSError as error:
                raise self._failed(path, error) from error
            if self._current():
                break
            self._file.close()  # its last holder has just deleted it
        try:
            self._file.truncate(0)
            self._file.write(_here(os.getpid()).encode())
        except OSError as error:
            raise self._failed(path, error) from error

    def claim(self) -> None:
        """Lock the file itself, which must exist, and remember which one it is.

        Raises
        ------
        InputError
            If another process writes it under another name, or it has two names.
        """
        try:
            status = self._run.stat()
        except OSError as error:
            raise InputError(
                f"the run file {self._name} cannot be read: {error.strerror}"
            ) from error
        address = f"\0afir-run-{status.st_dev}-{status.st_ino}"
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(address)
            claim.listen(1000)  # nobody accepts; each refused writer stays in the queue
        except OSError as error:
            claim.close()
            if error.errno == errno.EADDRINUSE:
                raise _taken(self._name, _owner(address)) from None
            # Not every system has such addresses; the lock beside the file is held.
        else:
            self._claim = claim
        if status.st_nlink > 1:
            raise InputError(
                f"{self._name} must be the only name of its file, which has {status.st_nlink} "
                f"(hard links): what is being written lies beside one of them, and is not seen "
                f"from the others; continue with a copy of the file"
            )
        # On shared file systems the number of a file may change while it is open.
        shared = is_shared(self._run)
        self._identity = None if shared else (status.st_dev, status.st_ino)

    def lost(self) -> tuple[str, str, str] | None:
        """What has become of the claimed file: what, why and what to do; None if nothing has."""
        moved = (
            "; if it was moved, resume it where it is now: it holds everything up to the last trial"
        )
        for wait in _RETRIES:
            time.sleep(wait)
            try:
                status = self._run.stat()
            except (FileNotFoundError, NotADirectoryError):
                return "was moved or deleted during the run", "the run has ended", moved
            except OSError as error:
                reason = error.strerror or str(error)
                continue  # file systems over a network have hiccups
            if self._identity not in (None, (status.st_dev, status.st_ino)):
                return "was replaced by another file during the run", "the run has ended", moved
            return None
        return "cannot be accessed", reason, "; restore the access, then resume the run"

    @property
    def beside(self) -> bool:
        """Whether the files beside the path of the run are those of this writer.

        They are another's if the folder was moved or deleted and somebody made a new one.
        """
        try:
            return not self._file.closed and self._current()
        except OSError:
            return False

    def release(self) -> None:
        """Release both locks."""
        if self._claim is not None:
            self._claim.close()
        if not self._file.closed:
            with suppress(OSError):  # e.g. the directory is gone
                if self._current():
                    self._path.unlink()
            self._file.close()

    def _failed(self, path: Path, error: OSError) -> InputError:
        """Release the lock after a failure; returns the error to raise."""
        self.release()
        return InputError(
            f"{path} must be where files can be locked and written, got: "
            f"{error.strerror or error}; choose another folder"
        )

    def _current(self) -> bool:
        """Whether the locked file is still the one at its path."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False


def writer(path: Path) -> str | None:
    """The process that is writing a run file, e.g. ``"4711 on node7"``, or None."""
    try:
        with _beside(Path(os.path.realpath(path))).open("rb", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(cast("BinaryIO", file))
    except OSError:  # there is no lock, or the file system has none
        pass
    return None


def _here(process: int) -> str:
    """A process of this machine in words: on shared file systems it may be another's."""
    return f"{process} on {socket.gethostname()}"


def _beside(path: Path) -> Path:
    return path.with_name(path.name + LOCK)


def _taken(path: Path, holder: str) -> InputError:
    return InputError(f"{path} is being written by process {holder}; wait for it or stop it first")


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip() or "unknown"


def _owner(address: str) -> str:
    """The process that listens at an address, which is one of this machine."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        asking.connect(address)
        credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return _here(struct.unpack("3i", credentials)[0])
    return "unknown"
