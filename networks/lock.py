"""One writer a run file."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import BinaryIO, cast

from afir.errors import InputError

_LOOKS = 0.1
"""Seconds: far longer than `writer` takes."""


class Lock:
    """The right to write a run file, held until `release` or the end of the process.

    The lock is on a file beside the run (SQLite's own locks would keep readers out), and it is
    the operating system's: it ends with its holder, so none is ever left over.

    Raises
    ------
    InputError
        If another process holds it, the directory cannot be written, or its file system has no
        locks.
    """

    def __init__(self, path: Path) -> None:
        self._path = _beside(path)
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
                if time.monotonic() < give_up:  # somebody may only be looking who writes
                    time.sleep(0.01)
                    continue
                raise InputError(
                    f"{path} is being written by process {holder}; wait for it or stop it first"
                ) from None
            except OSError as error:
                raise self._failed(path, error) from error
            if self._current():
                break
            self._file.close()  # its last holder has just deleted it
        try:
            self._file.truncate(0)
            self._file.write(str(os.getpid()).encode())
        except OSError as error:
            raise self._failed(path, error) from error

    def release(self) -> None:
        """Let others have it."""
        if not self._file.closed:
            self._path.unlink(missing_ok=True)
            self._file.close()

    def _failed(self, path: Path, error: OSError) -> InputError:
        """Leave nothing behind when the system refuses the lock; returns what to say."""
        self.release()
        return InputError(
            f"{path} must be where files can be locked and written, got: "
            f"{error.strerror or error}; choose another folder"
        )

    def _current(self) -> bool:
        """Whether the locked file is still the one that others would find."""
        try:
            return os.fstat(self._file.fileno()).st_ino == self._path.stat().st_ino
        except FileNotFoundError:
            return False


def writer(path: Path) -> str | None:
    """The id of the process that is writing a run file, or None."""
    try:
        with _beside(path).open("rb", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(cast("BinaryIO", file))
    except OSError:  # there is no lock, or the file system has none
        pass
    return None


def _beside(path: Path) -> Path:
    return path.with_name(path.name + "-lock")


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode().strip() or "unknown"
