"""The file of a run as a database: one writer, any number of readers, all or nothing.

What is in it is the business of `networks.store`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import finalize

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from afir.errors import AfirError
from networks.lock import Lock


class StoreError(AfirError):
    """The run file could not be read or written; what was committed before is safe.

    Attributes
    ----------
    reason
        What SQLite said.
    """

    def __init__(self, path: Path, failure: str, error: SQLAlchemyError, advice: str = "") -> None:
        self.reason = str(getattr(error, "orig", None) or error)
        super().__init__(f"the run file {path} {failure} ({self.reason}){advice}")


class Database:
    """A SQLite file, closed at the latest when nobody holds this any more.

    Parameters
    ----------
    path
        The file; made by the first transaction that writes.
    lock
        The right to write it, given back when the file is closed; None to read only.
    """

    def __init__(self, path: Path, lock: Lock | None) -> None:
        self.path = path
        # One connection: a run has one writer, and pragmas belong to a connection.
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
        )
        self._asking: sa.Connection | None = None
        self._close = finalize(self, _give_back, self._engine, lock, os.getpid())

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
                # Readers see the last commit meanwhile, and a commit waits for no disk: it
                # survives the end of this process, though not a power cut.
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                connection.exec_driver_sql("PRAGMA synchronous=NORMAL")
                connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        except SQLAlchemyError as error:
            raise StoreError(self.path, "cannot be written", error) from error

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to ask; raises StoreError when the file cannot be read.

        All that is asked on it, also by calls within, is answered from one state of the file,
        whoever writes it meanwhile.
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
            raise StoreError(self.path, "could not be read", error) from error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction, committed at its end; raises StoreError when that is not possible."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            advice = (
                "; everything up to the last finished task is in it: mend the cause, then resume"
            )
            raise StoreError(self.path, "could not be written", error, advice) from error


def _give_back(engine: sa.Engine, lock: Lock | None, owner: int) -> None:
    if os.getpid() != owner:
        return  # a forked child: file and lock are its parent's
    if lock is not None:
        # Without the write-ahead log the file can be copied and read anywhere. While someone
        # is reading it stays as it is, which is no harm.
        with suppress(SQLAlchemyError), engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=100")
            connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    engine.dispose()
    if lock is not None:
        lock.release()
