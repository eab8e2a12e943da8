"""The run file as a database: one writer, any number of readers, all or nothing.

Its content is defined in `networks.storage.run_file`.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import finalize

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from afir.errors import AfirError, InputError
from networks.storage.lock import LOCK, Lock
from networks.storage.mounts import is_shared

_PATIENCE = 30.0
"""Seconds to wait while another process holds the file: with a rollback journal readers keep the
writer out, and the other way round."""

_NO_TEXT = "a text in it is not UTF-8"

_BESIDE = ("-wal", "-journal", "-shm", LOCK)
"""Ends of the names of files that SQLite and this package keep beside a run."""


class StoreError(AfirError):
    """The run file could not be read or written; what was committed before is safe.

    Attributes
    ----------
    reason
        Why: what SQLite or the system said.
    advice
        What to do, to be added to a sentence; may be empty.
    """

    def __init__(self, path: Path, failure: str, reason: str, advice: str = "") -> None:
        self.reason = reason
        self.advice = advice
        super().__init__(f"the run file {path} {failure} ({reason}){advice}")


def check_name(path: Path) -> None:
    """Raise InputError if a run file cannot have such a name.

    Nor can it if its place cannot be looked at, or if the files beside it would have names that
    are too long.
    """
    name = path.name
    no_file = InputError(f"the run file must be a file, got {str(path)!r}, which is no file name")
    if str(path) == ":memory:" or str(path).startswith("file:"):
        raise no_file
    try:
        _draft(_real(path)).lstat()  # the longest name of all that are made
    except (FileNotFoundError, NotADirectoryError):
        pass
    except ValueError:
        raise no_file from None
    except OSError as error:
        must = "have a shorter name" if error.errno == errno.ENAMETOOLONG else "be accessible"
        raise InputError(f"the run file must {must}, got {path}: {error.strerror}") from error
    if name.endswith(_BESIDE):
        raise InputError(
            f"the run file must not end in {name[name.rindex('-') :]}, got {path}: that ending is "
            f"reserved for files beside a run"
        )


def go_back(path: Path) -> str:
    """Advice for a damaged file."""
    return f"; go back to a copy of it, without the {path.name}-wal that may lie beside this one"


def make(path: Path, fill: Callable[[sa.Connection], None]) -> None:
    """Make a complete database: if this process ends early, there is no file.

    Call it with the lock held.

    Parameters
    ----------
    path
        The file.
    fill
        Writes its content.

    Raises
    ------
    InputError
        If there is such a file already, or files beside it that belong to another.
    StoreError
        If it cannot be written.
    """
    place = _real(path)
    for left in (place.with_name(place.name + end) for end in ("-wal", "-journal")):
        if left.exists() and left.stat().st_size:  # SQLite would apply it to the new file
            raise InputError(
                f"{left} must not be there: it belongs to a run file that was moved or deleted "
                f"without it; put it beside that one, or remove it"
            )
    draft = _draft(place)
    try:
        draft.unlink(missing_ok=True)
        engine = _engine(str(draft))
        try:
            with engine.begin() as connection:
                # An unfinished draft is deleted, so it needs no journal.
                connection.exec_driver_sql("PRAGMA journal_mode=OFF")
                connection.exec_driver_sql("BEGIN")
                fill(connection)
        finally:
            engine.dispose()
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        _put(draft, place)
    except FileExistsError:
        raise InputError(
            f"`output` must be a new file, got {path}, which exists; resume continues it"
        ) from None
    except SQLAlchemyError as error:
        raise StoreError(path, "cannot be written", _reason(error)) from error
    except OSError as error:
        raise StoreError(path, "cannot be written", error.strerror or str(error)) from error
    finally:
        sweep(path)


def sweep(path: Path) -> None:
    """Remove the draft of a run file, if one is left. Call it with the lock held."""
    with suppress(OSError):
        _draft(_real(path)).unlink(missing_ok=True)


class Database:
    """A SQLite file, closed at the latest when this object is deleted.

    Parameters
    ----------
    path
        The file.
    lock
        The claimed right to write it, released when the file is closed. None to read only: the
        current state at any time or, on shared file systems, the state of now.

    Raises
    ------
    StoreError
        If it must be read at once and cannot be.
    """

    def __init__(self, path: Path, lock: Lock | None) -> None:
        self.path = path
        self._lock = lock
        # Absolute, it is no name that SQLite gives a meaning, and without links it is the one
        # that the files beside it are named after.
        self._place = _real(path)
        still = lock is None and _log_is_out_of_reach(self._place)
        name = f"file:{quote(str(self._place))}?mode=ro&immutable=1" if still else str(self._place)
        self._engine = _engine(name, uri=still)
        if lock is None and is_shared(self._place):
            self._engine = self._copied()  # a reader of such a file blocks its writer
        self._asking: sa.Connection | None = None
        self._close = finalize(self, _give_back, self._engine, lock, os.getpid())

    def _copied(self) -> sa.Engine:
        """The file as it is now, in memory."""
        memory = _engine(":memory:")
        try:
            with self._engine.connect() as file, memory.connect() as copy:
                target: Any = copy.connection.driver_connection
                source: Any = file.connection.driver_connection
                source.backup(target)
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError(self.path, "could not be read", str(error)) from error
        finally:
            self._engine.dispose()
        return memory

    def close(self) -> None:
        """Close the file; a writer leaves it as one plain file and lets others write it."""
        self._close()

    def prepare(self) -> None:
        """Set the connection up for writing.

        Raises
        ------
        StoreError
            If the file cannot be written.
        """
        try:
            with self._engine.connect() as connection:
                _choose_journal(connection, shared=is_shared(self._place))
                # A commit waits for no disk: it survives the end of this process, though not a
                # power cut.
                connection.exec_driver_sql("PRAGMA synchronous=NORMAL")
                connection.exec_driver_sql("PRAGMA foreign_keys=ON")
                # Whether it can be written at all.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.exec_driver_sql("PRAGMA user_version=1")
                connection.rollback()
        except SQLAlchemyError as error:
            raise StoreError(self.path, "cannot be written", _reason(error)) from error

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read from; raises StoreError when the file cannot be read.

        All reads on it, also in nested calls, see one state of the file, even while another
        process writes.
        """
        if self._asking is not None:
            yield self._asking
            return
        try:
            with self._engine.connect() as connection:
                # Python's driver begins no transaction before a SELECT.
                connection.exec_driver_sql("BEGIN")
                self._asking = connection
                try:
                    yield connection
                finally:
                    self._asking = None
        except SQLAlchemyError as error:
            reason = _reason(error)
            damaged = "malformed" in reason or reason == _NO_TEXT
            advice = go_back(self.path) if damaged else ""
            raise StoreError(self.path, "could not be read", reason, advice) from error
        except UnicodeDecodeError as error:  # SQLite quotes damaged names in its messages
            advice = go_back(self.path)
            raise StoreError(self.path, "could not be read", _NO_TEXT, advice) from error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction, committed at its end; raises StoreError if that fails.

        It also fails if the path no longer leads to the same file.
        """
        try:
            with self._engine.begin() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                self._asking = connection
                try:
                    yield connection
                finally:
                    self._asking = None
                lost = None if self._lock is None else self._lock.lost()
                if lost is not None:
                    failure, reason, advice = lost
                    raise StoreError(self.path, failure, reason, advice)
        except SQLAlchemyError as error:
            advice = (
                "; everything up to the last finished task is in it: fix the cause, then resume"
            )
            raise StoreError(self.path, "could not be written", _reason(error), advice) from error

    def settle(self) -> None:
        """Write all that was committed into the file itself, so that it is complete alone.

        If that is not possible now, e.g. because another process reads an older state or the
        disk is full, the log beside the file keeps the data.
        """
        with suppress(SQLAlchemyError), self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def discard(self) -> None:
        """Delete the file, unless its path now leads to another one, and close it."""
        if self._lock is not None and self._lock.lost() is None:
            with suppress(OSError):  # what made the run fail matters more
                self._place.unlink()
        self.close()


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _engine(name: str, *, uri: bool = False) -> sa.Engine:
    # One connection: a run has one writer, and pragmas belong to a connection.
    return sa.create_engine(
        sa.URL.create("sqlite", database=name, query={"uri": "true"} if uri else {}),
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": _PATIENCE},
    )


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.unfinished")


def _put(draft: Path, path: Path) -> None:
    """Give a finished file its name; raises FileExistsError if another has it."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # some file systems have no hard links
        if os.path.lexists(path):
            raise FileExistsError from None
        draft.rename(path)


def _choose_journal(connection: sa.Connection, *, shared: bool) -> None:
    """Choose the journal: a write-ahead log, unless machines share the file.

    With the log, readers see the last commit while the next one is written. It needs memory that
    all processes with the file open share; without it SQLite keeps a rollback journal.
    """
    if not shared:
        with suppress(SQLAlchemyError):
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        return
    # A log that another machine left can be read without such memory by a single process.
    connection.exec_driver_sql("PRAGMA locking_mode=EXCLUSIVE")
    connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    connection.exec_driver_sql("PRAGMA locking_mode=NORMAL")
    connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")  # lets go of the lock


def _log_is_out_of_reach(path: Path) -> bool:
    """Whether a file in write-ahead mode has no log, and this user cannot create one beside it.

    SQLite would have to create the log even to read.
    """
    if (
        os.access(path.parent, os.W_OK, effective_ids=True)
        or path.with_name(path.name + "-wal").exists()
    ):
        return False
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False


def _reason(error: SQLAlchemyError) -> str:
    """The message of SQLite, without the raw bytes that Python's driver would add."""
    text = str(getattr(error, "orig", None) or error)
    if text.startswith("Could not decode"):
        return _NO_TEXT
    # It may quote the content of a damaged file.
    return "".join(character if character.isprintable() else "?" for character in text)


def _give_back(engine: sa.Engine, lock: Lock | None, owner: int) -> None:
    if os.getpid() != owner:
        return  # a forked child: file and lock are its parent's
    if lock is not None:
        with suppress(SQLAlchemyError), engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=100")
            if lock.lost() is None or lock.beside:
                # Without the write-ahead log the file can be copied and read anywhere. While
                # someone is reading it stays as it is, which is no harm.
                connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
            else:
                # SQLite deletes the log by its name, which may be that of another run by now. An
                # empty log is left where the file is; closing a file that moved deletes nothing.
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    if lock is not None:
        lock.release()
