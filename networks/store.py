"""The run on disk: one SQLite file that holds everything needed to go on or to report.

A transaction is committed after every task, so that a run killed at any moment loses only the
tasks that were in flight. Nothing in the file is pickled: arrays are ``.npy`` bytes, everything
else is text and numbers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from afir.driver import Level
from afir.errors import AfirError, InputError
from afir.molecule import Molecule, Positions
from afir.stationary import Outcome
from networks import schema
from networks.codec import encode, pack, unpack
from networks.database import Database, StoreError
from networks.frames import Frames, Kept
from networks.lock import Lock
from networks.network import ReactionNetwork
from networks.records import (
    EQ,
    Absorbed,
    Complete,
    Dismissed,
    Examined,
    Item,
    Key,
    Model,
    Plan,
    Result,
    RunSummary,
    StoppedBy,
    Trial,
    Used,
)
from networks.settings import Settings, located
from networks.tasks import TaskResult


class Store:
    """A run file.

    Make one with `Store.create` or `Store.open`; a context manager that closes it.

    Attributes
    ----------
    path
        The file.
    molecule
        The molecule of the run.
    start
        (n, 3) the structure the run was given, in Å.
    settings
        The settings; `change_settings` replaces them.
    job
        The job text as it was resolved when the run was created.
    """

    molecule: Molecule
    start: Positions
    settings: Settings
    job: str

    def __init__(self, database: Database) -> None:
        self.path = database.path
        self._database = database

    @classmethod
    def create(
        cls, path: Path, molecule: Molecule, start: Positions, settings: Settings, job: str = ""
    ) -> Store:
        """Make a new run file and hold it for writing.

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
            If there is such a file already, or no directory for it.
        StoreError
            If it cannot be written.
        """
        if not path.parent.is_dir():
            raise InputError(f"`output` must be in a directory that exists, got {path}")
        lock = Lock(path)
        if path.exists():
            lock.release()
            raise InputError(
                f"`output` must be a new file, got {path}, which exists; resume goes on with it"
            )
        store = cls(Database(path, lock))
        try:
            store._database.prepare()
            with store._database.writing() as connection:
                schema.METADATA.create_all(connection)
                connection.execute(
                    sa.insert(schema.RUN).values(
                        schema_version=schema.SCHEMA_VERSION,
                        numbers=json.dumps(list(molecule.numbers)),
                        charge=molecule.charge,
                        multiplicity=molecule.multiplicity,
                        start=pack(start),
                        settings=json.dumps(settings.to_dict()),
                        job=job,
                        rounds=0,
                        seconds=0.0,
                        start_cpu_seconds=0.0,
                        anything_left=True,
                        stopped_by=StoppedBy.INTERRUPTED.name,
                    )
                )
            store._read_run()
        except BaseException:  # half a file would keep its name from the next run
            store.discard()
            raise
        return store

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
            is to be written while another process writes it.
        """
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            raise InputError(f"the run file {path} {what}; check the name")
        store = cls(Database(path, Lock(path) if writing else None))
        try:
            store._read_run()
            if writing:
                store._database.prepare()
        except AfirError:
            store.close()
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
        self.close()
        self.path.unlink(missing_ok=True)

    # -- writing -------------------------------------------------------------------------

    def change_settings(self, settings: Settings) -> None:
        """Replace the settings; what was outside another energy window is examined anew."""
        with self._database.writing() as connection:
            if settings.window_kj_mol != self.settings.window_kj_mol:
                outside = schema.DISMISSED.c.outcome == Outcome.OUTSIDE_WINDOW.name
                connection.execute(sa.delete(schema.DISMISSED).where(outside))
            connection.execute(
                sa.update(schema.RUN).values(settings=json.dumps(settings.to_dict()))
            )
        self.settings = settings

    def plan_round(self, plan: Plan) -> None:
        """Write down what a round is going to try."""
        with self._database.writing() as connection:
            connection.execute(
                sa.update(schema.RUN).values(
                    plan_round=plan.round,
                    plan=json.dumps({"ceiling": plan.ceiling, "items": plan.items}),
                )
            )

    def add_result(self, round: int, key: Key, result: TaskResult, seconds: float) -> None:
        """Keep what a task of the round in progress returned; `seconds` is the run's total."""
        text, arrays = None, None
        if result.value is not None:
            text, arrays = encode(result.value)
        with self._database.writing() as connection:
            connection.execute(
                sa.insert(schema.RESULTS).values(
                    round=round,
                    phase=key.phase,
                    position=key.index,
                    outcome=None if result.outcome is None else result.outcome.name,
                    error=result.error,
                    gradients=json.dumps(result.gradients),
                    cpu_seconds=result.cpu_seconds,
                    value=text,
                    arrays=arrays,
                )
            )
            if result.frames is not None:
                connection.execute(
                    sa.insert(schema.FRAMES).values(
                        round=round,
                        phase=key.phase,
                        position=key.index,
                        **schema.frames_row(result.frames),
                    )
                )
            connection.execute(sa.update(schema.RUN).values(seconds=seconds))

    def forget_results(self) -> None:
        """Drop what the tasks of the round in progress returned, so that they are done again."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(schema.RESULTS))
            if self.settings.records:
                untold = schema.FRAMES.c.trial.is_(None)
                connection.execute(sa.delete(schema.FRAMES).where(untold))

    def absorb(self, absorbed: Absorbed, seconds: float) -> None:
        """Write what a round found and forget its raw results, all or nothing."""
        rows = schema.rows(absorbed)
        with self._database.writing() as connection:
            schema.EXAMINED.create(connection, checkfirst=True)
            for table, values in rows:
                if values:
                    connection.execute(sa.insert(table), values)
            for record in absorbed.tss:
                for end in record.ends:
                    if end.startswith("DC"):
                        connection.execute(
                            sa.update(schema.DCS)
                            .where(schema.DCS.c.number == int(end[2:]))
                            .values(no_ts_known=False)
                        )
            connection.execute(sa.delete(schema.RESULTS))
            if self.settings.records:
                for key, trial in absorbed.owners.items():
                    connection.execute(
                        sa.update(schema.FRAMES)
                        .where(
                            schema.FRAMES.c.round == absorbed.round,
                            schema.FRAMES.c.phase == key.phase,
                            schema.FRAMES.c.position == key.index,
                        )
                        .values(trial=trial)
                    )
            changes: dict[str, Any] = {
                "rounds": absorbed.round + 1,
                "seconds": seconds,
                "plan_round": None,
                "plan": None,
                # All that is no trial: the start, and what goes with learning.
                "start_cpu_seconds": schema.RUN.c.start_cpu_seconds + absorbed.cpu_seconds,
            }
            if absorbed.wanted is not None:
                changes["wanted"] = pack(absorbed.wanted[0])
                changes["wanted_energy"] = absorbed.wanted[1]
            connection.execute(sa.update(schema.RUN).values(changes))

    def stopped(self, complete: Complete, seconds: float) -> None:
        """Note that the run ended, or, with INTERRUPTED, that it is under way."""
        with self._database.writing() as connection:
            connection.execute(
                sa.update(schema.RUN).values(
                    anything_left=complete.anything_left,
                    stopped_by=complete.stopped_by.name,
                    seconds=seconds,
                )
            )

    # -- reading -------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read within is of one commit, also while another process writes."""
        with self._database.reading():
            yield

    def load_network(self) -> ReactionNetwork:
        """The network as it was last committed."""
        network = ReactionNetwork(self.molecule)
        with self._database.reading() as connection:
            for row in connection.execute(sa.select(schema.EQS).order_by(schema.EQS.c.number)):
                network.insert(schema.eq_record(row))
            for row in connection.execute(sa.select(schema.DCS).order_by(schema.DCS.c.number)):
                network.insert(schema.dc_record(row))
            for row in connection.execute(sa.select(schema.TSS).order_by(schema.TSS.c.number)):
                network.insert(schema.ts_record(row))
        return network

    def first_eq(self) -> EQ | None:
        """EQ0, which the start led to; None as long as there is none."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(schema.EQS).where(schema.EQS.c.number == 0)).first()
        return None if row is None else schema.eq_record(row)

    def trials(self) -> Iterator[Trial]:
        """All trials, in order."""
        with self._database.reading() as connection:
            counts: dict[int, dict[str, int]] = {}
            for trial, stage, count in connection.execute(sa.select(schema.GRADIENTS)):
                counts.setdefault(trial, {})[stage] = count
            rows = connection.execute(
                sa.select(schema.TRIALS).order_by(schema.TRIALS.c.number)
            ).all()
        for row in rows:
            yield schema.trial_record(row, counts.get(row.number, {}))

    def frames(self) -> Iterator[Kept]:
        """The geometries that were evaluated in finished rounds, task by task.

        Nothing for a run that does not keep them; of one with a reference only what that said,
        unless it keeps them all.
        """
        if not self.settings.records:
            return
        columns = schema.FRAMES.c
        order = (columns.round, columns.phase, columns.position)
        with self._database.reading() as connection:
            query = sa.select(schema.FRAMES).where(columns.trial.is_not(None)).order_by(*order)
            for row in connection.execute(query):
                yield schema.frames_record(row)

    def labels(self) -> Iterator[tuple[str, Frames]]:
        """What the reference said in finished rounds, task by task, in order.

        With each the phase of the task.
        """
        columns = schema.FRAMES.c
        order = (columns.round, columns.phase, columns.position)
        query = sa.select(schema.FRAMES).where(columns.trial.is_not(None)).order_by(*order)
        with self._database.reading() as connection:
            for row in connection.execute(query):
                frames = schema.frames_record(row).frames.of_level(Level.REFERENCE.value)
                if len(frames):
                    yield row.phase, frames

    def label_counts(self) -> list[tuple[str, int]]:
        """How many geometries `labels` gives for each task, told without reading them."""
        columns = schema.FRAMES.c
        query = sa.select(columns.phase, columns.origins).where(columns.trial.is_not(None))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        counts = [
            (phase, schema.frames_of_level(origins, Level.REFERENCE.value))
            for phase, origins in rows
        ]
        return [(phase, number) for phase, number in counts if number]

    def add_model(self, model: Model) -> None:
        """Note that a model was trained."""
        with self._database.writing() as connection:
            connection.execute(
                sa.insert(schema.MODELS).values(
                    number=model.number,
                    round=model.round,
                    labels=model.labels,
                    seconds=model.seconds,
                    errors=json.dumps(dict(model.errors)),
                )
            )

    def models(self) -> list[Model]:
        """The models that were trained, in order."""
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(schema.MODELS).order_by(schema.MODELS.c.number)
            ).all()
        return [
            Model(row.number, row.round, row.labels, row.seconds, json.loads(row.errors))
            for row in rows
        ]

    def examined(self) -> tuple[Examined, ...]:
        """The surfaces as they were found to be at the start; none of a run of before that."""
        with self._database.reading() as connection:
            if not sa.inspect(connection).has_table(schema.EXAMINED.name):
                return ()
            rows = connection.execute(sa.select(schema.EXAMINED)).all()
        return tuple(Examined(**row._mapping) for row in rows)

    def dismissed(self) -> Iterator[Dismissed]:
        """All structures that were met and are no nodes of their own, in order."""
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(schema.DISMISSED).order_by(schema.DISMISSED.c.number)
            ).all()
        for row in rows:
            yield schema.dismissed_record(row)

    def used(self) -> Iterator[Used]:
        """What has been tried, in order."""
        columns = schema.TRIALS.c
        query = sa.select(
            columns.eq,
            columns.push,
            columns.pushes_left,
            columns.outcome,
            columns.crossed,
            columns.terms,
        ).order_by(columns.number)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        for eq, push, left, outcome, crossed, terms in rows:
            result = schema.result_of(outcome, terms, crossed=crossed)
            yield Used(Item(f"EQ{eq}", push), left, result)

    def last_attempt(self, item: Item) -> tuple[Result, float] | None:
        """How a push went, and the γ in kJ/mol at which it crossed; None if it was not tried."""
        columns = schema.TRIALS.c
        query = sa.select(columns.outcome, columns.terms, columns.crossed, columns.gamma).where(
            columns.eq == int(item.eq[2:]), columns.push == item.push
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return schema.result_of(row.outcome, row.terms, crossed=row.crossed), row.gamma

    def barren_kicks(self, first: int, dull: Collection[str]) -> int:
        """How many trials numbered `first` or later have passed without anything new.

        Parameters
        ----------
        first
            The first of the numbers.
        dull
            The ids of EQs and TSs that do not count as anything new; no DC does.
        """
        columns = schema.TRIALS.c
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(columns.number, columns.found)
                .where(columns.found != "")
                .order_by(columns.number.desc())
            )
            finds = (row.number for row in rows if _brought_something(row.found, dull))
            last = next(finds, 0)
            count = sa.select(sa.func.count()).where(columns.number > last, columns.push >= first)
            return int(connection.execute(count).scalar_one())

    def plan(self) -> Plan | None:
        """The round in progress, if there is one."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(schema.RUN.c.plan_round, schema.RUN.c.plan)).one()
        if row.plan is None:
            return None
        content = json.loads(row.plan)
        items = tuple(Item(str(eq), int(push)) for eq, push in content["items"])
        return Plan(row.plan_round, content["ceiling"], items)

    def results(self, round: int) -> dict[Key, TaskResult]:
        """The raw results of the round in progress."""
        query = sa.select(schema.RESULTS).where(schema.RESULTS.c.round == round)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {Key(row.phase, row.position): schema.result_record(row) for row in rows}

    @property
    def rounds(self) -> int:
        """How many rounds are finished, the start being the first."""
        return int(self._value(sa.select(schema.RUN.c.rounds)))

    @property
    def seconds(self) -> float:
        """Wall time of the run so far."""
        return float(self._value(sa.select(schema.RUN.c.seconds)))

    def gradients(self) -> int:
        """Gradient evaluations of all finished rounds that count (`Settings.counted`)."""
        columns = schema.GRADIENTS.c
        query = sa.select(columns.stage, sa.func.sum(columns.count)).group_by(columns.stage)
        with self._database.reading() as connection:
            counts = {stage: int(count) for stage, count in connection.execute(query)}
        return self.settings.counted(counts)

    def barren_trials(self) -> int:
        """How many trials have passed since one last added a node."""
        last = sa.func.coalesce(sa.func.max(schema.TRIALS.c.number), 0)
        fruitful = self._value(sa.select(last).where(schema.TRIALS.c.found != ""))
        return int(self._value(sa.select(last))) - int(fruitful)

    def wanted(self) -> tuple[Positions, float] | None:
        """The wanted product, refined on the surface: positions in Å, energy in eV."""
        with self._database.reading() as connection:
            row = connection.execute(
                sa.select(schema.RUN.c.wanted, schema.RUN.c.wanted_energy)
            ).one()
        return None if row.wanted is None else (unpack(row.wanted), row.wanted_energy)

    def summary(self) -> RunSummary:
        """Totals of the run."""
        with self._database.reading() as connection:
            run = connection.execute(sa.select(schema.RUN)).one()
            trials = connection.execute(
                sa.select(schema.TRIALS.c.outcome, sa.func.count()).group_by(
                    schema.TRIALS.c.outcome
                )
            ).all()
            rejected = connection.execute(
                sa.select(schema.DISMISSED.c.outcome, sa.func.count())
                .where(schema.DISMISSED.c.node.is_(None))
                .group_by(schema.DISMISSED.c.outcome)
            ).all()
            stages = connection.execute(
                sa.select(schema.GRADIENTS.c.stage, sa.func.sum(schema.GRADIENTS.c.count)).group_by(
                    schema.GRADIENTS.c.stage
                )
            ).all()
            raw = connection.execute(
                sa.select(schema.RESULTS.c.gradients, schema.RESULTS.c.cpu_seconds)
            ).all()
            cpu = connection.execute(sa.select(sa.func.sum(schema.TRIALS.c.cpu_seconds))).scalar()
        gradients = Counter({stage: int(count) for stage, count in stages})
        for row in raw:
            gradients.update(json.loads(row.gradients))
        return RunSummary(
            trials={Outcome[name]: count for name, count in sorted(trials)},
            rejected={Outcome[name]: count for name, count in sorted(rejected)},
            gradients=dict(sorted(gradients.items())),
            seconds=run.seconds,
            cpu_seconds=run.start_cpu_seconds + (cpu or 0.0) + sum(r.cpu_seconds for r in raw),
            complete=Complete(run.anything_left, StoppedBy[run.stopped_by]),
        )

    # -- plumbing ------------------------------------------------------------------------

    def _read_run(self) -> None:
        path = self.path
        try:
            with self._database.reading() as connection:
                version = connection.execute(sa.select(schema.RUN.c.schema_version)).scalar_one()
                if version != schema.SCHEMA_VERSION:
                    raise InputError(
                        f"{path} must have the schema version {schema.SCHEMA_VERSION}, got "
                        f"{version}; read it with the version of afir that wrote it"
                    )
                row = connection.execute(sa.select(schema.RUN)).one()
        except StoreError as error:
            # What SQLite says of tables means nothing to who named the wrong file.
            of_tables = error.reason.startswith(("no such table", "no such column"))
            reason = "it holds no run" if of_tables else error.reason
            raise InputError(f"{path} must be a run of afir that can be read: {reason}") from error
        self.molecule = Molecule(tuple(json.loads(row.numbers)), row.charge, row.multiplicity)
        self.start = unpack(row.start)
        known = json.loads(row.settings)
        # Before there was a choice, runs learned with networks.
        before = {"learner": "delta"} if known.get("learn") else {}
        # A model may have been moved together with its run.
        for key in ("surface", "reference"):
            if key in known:
                here = located(known[key], Path())
                known[key] = located(here, path.absolute().parent, moved=True)
        self.settings = Settings.from_dict(before | known)
        self.job = row.job

    def _value(self, query: sa.Select[tuple[Any]]) -> Any:
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()


def _brought_something(found: str, dull: Collection[str]) -> bool:
    """Whether among the ids that a trial added is an EQ or a TS that is not dull."""
    return any(not id.startswith("DC") and id not in dull for id in found.split())
