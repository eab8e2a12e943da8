"""One writer a run file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from afir.errors import InputError


class Lock:
    """The right to write a run file, held until `release` or the end of the process.

    The lock is on a file beside the run (SQLite's own locks would keep readers out), and it is
    the operating system's: it ends with its holder, so none is ever left over.

    Raises
    ------
    InputError
        If another process holds it, or the directory cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + "-lock")
        while True:
            try:
                self._file: IO[str] = self._path.open("a+")
            except OSError as error:
                raise InputError(
                    f"{path} must be in a directory that can be written, got: {error.strerror}"
                ) from error
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.seek(0)
                holder = self._file.read().strip() or "unknown"
                self._file.close()
                raise InputError(
                    f"{path} must not be in use, but process {holder} is writing it"
                ) from None
            if self._current():
                break
            self._file.close()  # its last holder has just deleted it
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let others have it."""
        if not self._file.closed:
            self._path.unlink(missing_ok=True)
            self._file.close()

    def _current(self) -> bool:
        """Whether the locked file is still the one that others would find."""
        try:
            return os.fstat(self._file.fileno()).st_ino == self._path.stat().st_ino
        except FileNotFoundError:
            return False
