"""The run on disk: one SQLite file with everything needed to continue or to report.

A transaction is committed after every task, so that a run killed at any moment loses only the
tasks in flight. Nothing in the file is pickled: arrays are ``.npy`` bytes, everything
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
from networks.execution.tasks import TaskResult
from networks.files import contents
from networks.graph.rejected import ZERO
from networks.records.runs import Complete, Model, StoppedBy
from networks.records.trials import Absorbed, Key, Planned
from networks.settings import Settings
from networks.storage import rows, schema
from networks.storage.codec import pack
from networks.storage.lock import Lock
from networks.storage.reading import Reader
from networks.storage.seal import Row, sealed
from networks.storage.sqlite import Database, check_name, make, sweep


class RunFile(Reader):
    """A run file.

    A `networks.storage.base.Store`, made by `RunFile.create` or `RunFile.open`; a context manager
    that closes it. What is not described here is in `networks.storage.reading.Reader`.
    """

    @classmethod
    def create(
        cls, path: Path, molecule: Molecule, start: Positions, settings: Settings, job: str = ""
    ) -> RunFile:
        """Create a run file and open it for writing.

        If this process ends early, there is the complete file or none.

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
            The job text, kept as it is.

        Raises
        ------
        InputError
            If the file exists, its directory does not, or it cannot have such a name.
        StoreError
            If it cannot be written.
        """
        check_name(path)
        if not path.parent.is_dir():
            raise InputError(f"`output` must be in a directory that exists, got {path}")
        if path.exists():
            raise InputError(
                f"`output` must be a new file, got {path}, which exists; resume continues it"
            )
        run = _new_run(molecule, start, settings, job)

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
    def open(cls, path: Path, *, writing: bool = False) -> RunFile:
        """Open a run file, to read it or to continue it.

        Parameters
        ----------
        writing
            Whether to open it for writing, which excludes other writers.

        Raises
        ------
        InputError
            If there is no such file, it cannot be one by its name, it is no run, it has another
            schema version, or it is opened for writing while another process writes it or it has
            several names.
        StoreError
            If it is damaged.
        """
        check_name(path)
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            raise InputError(f"the run file {path} {what}; check the name")
        if not writing:
            return cls._on(Database(path, None))
        lock = Lock(path)
        sweep(path)
        return cls._held(path, lock)

    @classmethod
    def _held(cls, path: Path, lock: Lock) -> RunFile:
        """The run file opened for writing, with its lock held."""
        try:
            lock.claim()
        except BaseException:
            lock.release()
            raise
        return cls._on(Database(path, lock), writing=True)

    @classmethod
    def _on(cls, database: Database, *, writing: bool = False) -> RunFile:
        """The opened run file; closed again if it cannot be used."""
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
        """Close and delete the file of a run that could not start."""
        self._database.discard()

    def change_settings(self, settings: Settings) -> None:
        """Replace the settings; a new energy window drops the records of structures above it."""
        with self._change() as change:
            if settings.window_kj_mol != self.settings.window_kj_mol:
                self._forget_outside(change)
            change.run(settings=_as_text(settings))
        self.settings = settings

    def _forget_outside(self, change: _Change) -> None:
        """Drop the records of structures above the window; trials in flight knew fewer then."""
        kept = [record for record in self.dismissed() if record.reason != ZERO]
        for planned in self.planned():
            known = planned.known
            outside = [d.outcome is Outcome.OUTSIDE_WINDOW for d in kept[: known.dismissed]]
            if any(outside):
                fewer = known._replace(dismissed=known.dismissed - sum(outside))
                where = schema.PLANNED.c.stage == planned.stage
                change.update(schema.PLANNED, where, known=json.dumps(fewer))
        change.delete(schema.DISMISSED, schema.DISMISSED.c.outcome == Outcome.OUTSIDE_WINDOW.name)

    def plan(self, planned: Iterable[Planned]) -> None:
        """Store trials that begin now, all or none."""
        with self._change() as change:
            change.insert(schema.PLANNED, map(rows.planned_row, planned))

    def add_result(self, stage: int, key: Key, result: TaskResult, seconds: float) -> None:
        """Store the result of a task of a stage; `seconds` is the total of the run."""
        row = rows.result_row(stage, key, result)
        with self._change() as change:
            change.insert(schema.RESULTS, [row])
            if result.frames is not None:
                change.insert(schema.FRAMES, [rows.frames_row(stage, key, result.frames)])
            change.run(seconds=seconds)

    def forget_results(self) -> None:
        """Drop the results of all stages in flight, so that their tasks are repeated."""
        with self._change() as change:
            change.delete(schema.RESULTS, schema.RESULTS.c.stage >= self.stages)
            change.delete(schema.FRAMES, schema.FRAMES.c.stage >= self.stages)

    def roll_back(self) -> None:
        """Drop all trials since the last check of the surface, so that they are repeated."""
        checked, trials = self.checked, schema.TRIALS.c
        kept = [planned for planned in self.planned() if planned.trial > checked]
        dropped = [trial for trial in self.trials() if trial.number > checked]
        if not dropped:
            self.forget_results()
            return
        stage = kept[0].stage
        with self._change() as change:
            for table, kind in ((schema.TSS, "TS"), (schema.DCS, "DC"), (schema.EQS, "EQ")):
                if table is schema.EQS:  # trials refer to them
                    change.delete(schema.TRIALS, trials.number > checked)
                found = [id for trial in dropped for id in trial.found if id.kind == kind]
                if found:
                    change.delete(table, table.c.number >= min(id.number for id in found))
            change.delete(schema.DISMISSED, schema.DISMISSED.c.trial > checked)
            for table in (schema.RESULTS, schema.FRAMES):
                change.delete(table, table.c.stage >= stage)
            change.delete(schema.STAGES, schema.STAGES.c.number >= stage)
            late = [planned.stage for planned in kept if planned.known.trials > checked]
            if late:
                change.delete(schema.PLANNED, schema.PLANNED.c.stage >= min(late))
            change.run(stages=stage)

    def absorb(
        self,
        absorbed: Absorbed,
        seconds: float,
        *,
        checked: int,
        seen_from: int,
    ) -> None:
        """Store the results of a stage, all or nothing.

        See `networks.storage.base.Store`. The run file is then complete without the files beside
        it.
        """
        with self._change() as change:
            dismissed = change.next(schema.DISMISSED.c.number)
            for table, values in rows.rows_of(absorbed, dismissed):
                change.insert(table, values)
            for key, node in absorbed.nodes.items():
                if node is not None:
                    self._set_node(change, absorbed.stage, key, node)
            for table in (schema.RESULTS, schema.PLANNED):
                change.delete(table, table.c.stage < seen_from)
            change.run(stages=absorbed.stage + 1, seconds=seconds, checked=checked)
            if absorbed.wanted is not None:
                positions, energy = absorbed.wanted
                change.run(wanted=pack(positions), wanted_energy=energy)
        self._database.settle()

    def _set_node(self, change: _Change, stage: int, key: Key, node: str) -> None:
        """Store the node that a structure became with the result of its task."""
        columns = schema.RESULTS.c
        where = (columns.stage == stage) & (columns.phase == key.phase)
        change.update(schema.RESULTS, where & (columns.position == key.index), node=node)

    def add_model(self, model: Model) -> None:
        """Store a trained model."""
        with self._change() as change:
            change.insert(schema.MODELS, [rows.model_row(model)])

    def stopped(self, complete: Complete, seconds: float) -> None:
        """Store that the run ended or, with INTERRUPTED, that it is running."""
        with self._change() as change:
            change.run(
                anything_left=complete.anything_left,
                stopped_by=complete.stopped_by.name,
                seconds=seconds,
            )
        self._database.settle()

    @contextmanager
    def _change(self) -> Iterator[_Change]:
        """A transaction that writes the row of the run at its end."""
        with self._database.writing() as connection:
            change = _Change(connection, dict(self._run()._mapping), self._counts())
            yield change
            change.finish()


class _Change:
    """The changes of one transaction; only here rows are written, with their checksums.

    Parameters
    ----------
    connection
        The connection.
    run
        The row of the run.
    counts
        Number of rows of each table.
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

    def update(self, table: sa.Table, where: sa.ColumnElement[bool], **columns: Any) -> None:
        """Change columns of the one row that meets a condition."""
        row = self._connection.execute(sa.select(table).where(where)).one()
        full = sealed(table, {**row._mapping, **columns})
        self._connection.execute(sa.update(table).where(where), full)

    def next(self, column: sa.Column[Any]) -> int:
        """The number after the highest in a column."""
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


def _as_text(settings: Settings) -> str:
    """Settings as text, with what the files that they name contain."""
    files = contents(settings.policy, settings.policy_options)
    return json.dumps({**settings.to_dict(), **({"contents": files} if files else {})})


def _new_run(molecule: Molecule, start: Positions, settings: Settings, job: str) -> Row:
    """The row of a run that has not begun."""
    return {
        "schema_version": schema.SCHEMA_VERSION,
        "numbers": json.dumps(list(molecule.numbers)),
        "charge": molecule.charge,
        "multiplicity": molecule.multiplicity,
        "start": pack(start),
        "settings": _as_text(settings),
        "job": job,
        "stages": 0,
        "checked": 0,
        "seconds": 0.0,
        "anything_left": True,
        "stopped_by": StoppedBy.INTERRUPTED.name,
        "counts": json.dumps({table.name: 0 for table in schema.COUNTED}),
    }
