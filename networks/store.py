"""The run on disk: one SQLite file that holds everything needed to go on or to report.

A transaction is committed after every task, so that a run killed at any moment loses only the
tasks that were in flight. Nothing in the file is pickled: arrays are ``.npy`` bytes, everything
else is text and numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from afir.errors import InputError
from afir.molecule import Molecule, Positions
from afir.stationary import Outcome
from networks import rows, schema
from networks.codec import pack
from networks.database import Database, check_name, make, sweep
from networks.lock import Lock
from networks.reading import Reader
from networks.records import Absorbed, Complete, Key, Model, Plan, StoppedBy
from networks.seal import Row, sealed
from networks.settings import Settings
from networks.tasks import TaskResult


class Store(Reader):
    """A run file.

    Make one with `Store.create` or `Store.open`; a context manager that closes it. What it can be
    asked is a `networks.reading.Reader`'s; `change_settings` replaces the settings.
    """

    @classmethod
    def create(
        cls, path: Path, molecule: Molecule, start: Positions, settings: Settings, job: str = ""
    ) -> Store:
        """Make a new run file and hold it for writing.

        There is the whole file or none, whatever ends this process.

        Parameters
        ----------
        path
            The file.
        molecule
            The molecule.
        start
            (n, 3) in Å.
        settings
            The settings.
        job
            Kept as it is.

        Raises
        ------
        InputError
            If there is such a file already, no directory for it, or it has a name that SQLite
            gives a meaning.
        StoreError
            If it cannot be written.
        """
        if not path.parent.is_dir():
            raise InputError(f"`output` must be in a directory that exists, got {path}")
        check_name(path)
        if path.exists():
            raise InputError(
                f"`output` must be a new file, got {path}, which exists; resume goes on with it"
            )
        run = {
            "schema_version": schema.SCHEMA_VERSION,
            "numbers": json.dumps(list(molecule.numbers)),
            "charge": molecule.charge,
            "multiplicity": molecule.multiplicity,
            "start": pack(start),
            "settings": json.dumps(settings.to_dict()),
            "job": job,
            "rounds": 0,
            "seconds": 0.0,
            "anything_left": True,
            "stopped_by": StoppedBy.INTERRUPTED.name,
            "counts": json.dumps({table.name: 0 for table in schema.COUNTED}),
        }

        def fill(connection: sa.Connection) -> None:
            schema.METADATA.create_all(connection)
            connection.execute(sa.insert(schema.RUN), sealed(schema.RUN, run))

        lock = Lock(path)
        try:
            make(path, fill)
        except BaseException:
            lock.release()
            raise
        return cls._held(path, lock)

    @classmethod
    def open(cls, path: Path, *, writing: bool = False) -> Store:
        """Open a run file, to read it or to go on with it.

        Parameters
        ----------
        writing
            Whether it is going to be written: then nobody else can.

        Raises
        ------
        InputError
            If there is no such file, it is no run, its schema version is another one, or it
            is to be written while another process writes it or under one of several names.
        StoreError
            If it is damaged.
        """
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            raise InputError(f"the run file {path} {what}; check the name")
        if not writing:
            return cls._on(Database(path, None))
        lock = Lock(path)
        sweep(path)
        return cls._held(path, lock)

    @classmethod
    def _held(cls, path: Path, lock: Lock) -> Store:
        """A run file whose lock is held, for writing."""
        try:
            lock.claim()
        except BaseException:
            lock.release()
            raise
        return cls._on(Database(path, lock), writing=True)

    @classmethod
    def _on(cls, database: Database, *, writing: bool = False) -> Store:
        """A run file, closed again if it cannot be used."""
        try:
            store = cls(database)
            if writing:
                database.prepare()
        except BaseException:
            database.close()
            raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a writer leaves it as one plain file and lets others write it."""
        self._database.close()

    def discard(self) -> None:
        """Close the file and delete it: a run that could not even start."""
        ours = self._database.still_there()
        self.close()
        if ours:
            self.path.unlink(missing_ok=True)

    def change_settings(self, settings: Settings) -> None:
        """Replace the settings; what was outside another energy window is examined anew."""
        with self._change() as change:
            if settings.window_kj_mol != self.settings.window_kj_mol:
                outside = schema.DISMISSED.c.outcome == Outcome.OUTSIDE_WINDOW.name
                change.delete(schema.DISMISSED, outside)
            change.run(settings=json.dumps(settings.to_dict()))
        self.settings = settings

    def plan_round(self, plan: Plan) -> None:
        """Write down what a round is going to try."""
        with self._change() as change:
            items = json.dumps({"ceiling": plan.ceiling, "items": plan.items})
            change.run(plan_round=plan.round, plan=items)

    def add_result(self, round: int, key: Key, result: TaskResult, seconds: float) -> None:
        """Keep what a task of the round in progress returned; `seconds` is the run's total."""
        row = rows.result_row(round, key, result)
        with self._change() as change:
            change.insert(schema.RESULTS, [row])
            if result.frames is not None:
                change.insert(schema.FRAMES, [rows.frames_row(round, key, result.frames)])
            change.run(seconds=seconds)

    def forget_results(self) -> None:
        """Drop what the tasks of the round in progress returned, so that they are done again."""
        rounds = self.rounds
        with self._change() as change:
            change.delete(schema.RESULTS)
            change.delete(schema.FRAMES, schema.FRAMES.c.round >= rounds)

    def absorb(self, absorbed: Absorbed, seconds: float) -> None:
        """Write what a round found and forget its raw results, all or nothing.

        The file itself then holds all of it, whatever becomes of those beside it.
        """
        with self._change() as change:
            dismissed = change.next(schema.DISMISSED.c.number)
            for table, values in rows.rows_of(absorbed, dismissed):
                change.insert(table, values)
            change.delete(schema.RESULTS)
            change.run(rounds=absorbed.round + 1, seconds=seconds, plan_round=None, plan=None)
            if absorbed.wanted is not None:
                positions, energy = absorbed.wanted
                change.run(wanted=pack(positions), wanted_energy=energy)
        self._database.settle()

    def add_model(self, model: Model) -> None:
        """Note that a model was trained."""
        with self._change() as change:
            change.insert(schema.MODELS, [rows.model_row(model)])

    def stopped(self, complete: Complete, seconds: float) -> None:
        """Note that the run ended, or, with INTERRUPTED, that it is under way."""
        with self._change() as change:
            change.run(
                anything_left=complete.anything_left,
                stopped_by=complete.stopped_by.name,
                seconds=seconds,
            )
        self._database.settle()

    @contextmanager
    def _change(self) -> Iterator[_Change]:
        """A transaction; the row of the run is written at its end."""
        with self._database.writing() as connection:
            change = _Change(connection, dict(self._run()._mapping), self._counts())
            yield change
            change.finish()


class _Change:
    """What is written at once: the only place where rows are made, with their checksums.

    Parameters
    ----------
    connection
        Where to.
    run
        The row of the run.
    counts
        How many rows of each table there are.
    """

    def __init__(self, connection: sa.Connection, run: Row, counts: dict[str, int]) -> None:
        self._connection = connection
        self._run = run
        self._counts = counts

    def insert(self, table: sa.Table, content: Iterable[Row]) -> None:
        """Add rows."""
        made = [sealed(table, row) for row in content]
        if made:
            self._connection.execute(sa.insert(table), made)
            self._counts[table.name] += len(made)

    def next(self, column: sa.Column[Any]) -> int:
        """The number that follows the highest in a column."""
        highest = self._connection.execute(sa.select(sa.func.max(column))).scalar()
        return int(highest or 0) + 1

    def delete(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> None:
        """Delete all rows, or those that meet the conditions."""
        deleted = self._connection.execute(sa.delete(table).where(*conditions))
        self._counts[table.name] -= deleted.rowcount

    def run(self, **columns: Any) -> None:
        """Change columns of the row of the run."""
        self._run.update(columns)

    def finish(self) -> None:
        """Write the row of the run."""
        self._run.update(counts=json.dumps(self._counts))
        self._connection.execute(sa.update(schema.RUN), sealed(schema.RUN, self._run))
