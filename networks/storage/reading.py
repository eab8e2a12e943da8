"""Reading a run file; every row is checked as it is read, here and nowhere else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from afir.errors import AfirError, InputError
from afir.molecule import Molecule, Positions
from afir.pes.driver import Level
from afir.stationary import Outcome
from networks.execution.frames import Frames, Kept
from networks.files import located, with_absolute_paths
from networks.graph.network import ReactionNetwork
from networks.records.runs import Complete, Examined, Model, RunSummary, StoppedBy
from networks.records.structures import EQ, Dismissed
from networks.records.trials import Key, Planned, Trial
from networks.settings import Settings
from networks.storage import rows, schema
from networks.storage.base import Results
from networks.storage.codec import unpack
from networks.storage.seal import is_intact
from networks.storage.sqlite import Database, StoreError, go_back

T = TypeVar("T")

_PUSH = "push"
"""The first phase of each trial."""


class Reader:
    """A run file, opened to read.

    Parameters
    ----------
    database
        The file.

    Raises
    ------
    InputError
        If it is no run, or its schema version is another one.
    StoreError
        If it is damaged; every method that reads raises this.

    Attributes
    ----------
    path
        The file.
    molecule
        The molecule of the run.
    start
        (n, 3) the start structure as it was given, in Å.
    settings
        The settings.
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
        self._labels_by_stage: dict[int, list[tuple[str, int]]] = {}
        self._check_version()
        run = self._run()
        with self._sense():
            self.molecule = Molecule(tuple(json.loads(run.numbers)), run.charge, run.multiplicity)
            self.start = unpack(run.start)
            known = json.loads(run.settings)
        self.contents: dict[str, str] = known.pop("contents", {})  # of files of the policy
        # A model may have been moved together with its run.
        for key in ("surface", "reference"):
            if key in known:
                here = located(known[key], Path())
                known[key] = located(here, self.path.absolute().parent, moved=True)
        self.settings = Settings.from_dict(known)
        options = self.settings.policy_options
        for folder, moved in ((Path(), False), (self.path.absolute().parent, True)):
            options = with_absolute_paths(self.settings.policy, options, folder, moved=moved)
        self.settings = replace(self.settings, policy_options=options)
        self.job = run.job

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads within see one commit, even while another process writes."""
        with self._database.reading():
            yield

    def load_network(self) -> ReactionNetwork:
        """The network as it was last committed."""
        network = ReactionNetwork(self.molecule)
        with self._database.reading():
            for record in self._records(schema.EQS, rows.eq_record):
                self._insert(network, record)
            for channel in self._records(schema.DCS, rows.dc_record):
                self._insert(network, channel)
            for ts in self._records(schema.TSS, rows.ts_record):
                self._insert(network, ts)
        return network

    def first_eq(self) -> EQ | None:
        """EQ0, the relaxed start; None if there is none yet."""
        return next(self._records(schema.EQS, rows.eq_record, schema.EQS.c.number == 0), None)

    def trials(self) -> Iterator[Trial]:
        """All trials, in order."""
        return iter(list(self._records(schema.TRIALS, rows.trial_record)))

    def frames(self) -> Iterator[Kept]:
        """The geometries that were evaluated in finished stages, task by task.

        Empty for a run that does not keep them; with a reference only its evaluations, unless the
        run keeps all.
        """
        if self.settings.records:
            for _, kept in self._kept():
                yield kept

    def labels(self) -> Iterator[tuple[str, Frames]]:
        """The phase and the reference evaluations of each task of finished stages, in order."""
        for key, kept in self._kept():
            frames = kept.frames.of_level(Level.REFERENCE.value)
            if len(frames):
                yield key.phase, frames

    def label_counts(self) -> list[tuple[str, int]]:
        """The phase and the number of labels of each task; every task is read only once."""
        with self._database.reading():
            counts = self._labels_by_stage
            first = max(counts, default=-1) + 1
            for number in range(first, self.stages):
                counts[number] = []
                for key, kept in self._kept(number):
                    frames = kept.frames.of_level(Level.REFERENCE.value)
                    if len(frames):
                        counts[number].append((key.phase, len(frames)))
        return [count for number in sorted(counts) for count in counts[number]]

    def models(self) -> list[Model]:
        """The models that were trained, in order."""
        return list(self._records(schema.MODELS, rows.model_record))

    def examined(self) -> tuple[Examined, ...]:
        """The surfaces with the result of their check at the start."""
        return tuple(self._records(schema.EXAMINED, rows.examined_record))

    def dismissed(self) -> Iterator[Dismissed]:
        """All structures that were found and are no nodes of their own, in order."""
        return iter(list(self._records(schema.DISMISSED, rows.dismissed_record)))

    def planned(self) -> list[Planned]:
        """The trials in flight, after those that they can see or that may be repeated, in order."""
        return list(self._records(schema.PLANNED, rows.planned_record))

    def results(self) -> Mapping[int, Results]:
        """The raw results by stage: those in flight, and those that they can still see."""
        found: dict[int, Results] = {}
        for stage, key, result, node in self._records(schema.RESULTS, rows.result_record):
            kept = found.setdefault(stage, Results({}, {}))
            kept.answers[key], kept.nodes[key] = result, node
        return found

    @property
    def checked(self) -> int:
        """The last trial after which the surface was the same as at the start."""
        return int(self._run().checked)

    @property
    def stages(self) -> int:
        """Number of finished stages, the start included."""
        return int(self._run().stages)

    @property
    def seconds(self) -> float:
        """Wall time of the run so far."""
        return float(self._run().seconds)

    def gradients(self) -> int:
        """Counted gradient evaluations of all finished stages (`Settings.counted`)."""
        counts: Counter[str] = Counter()
        with self._database.reading():
            for table in (schema.TRIALS, schema.STAGES):
                for gradients, _ in self._records(table, rows.costs_of):
                    counts.update(gradients)
        return self.settings.counted(counts)

    def wanted(self) -> tuple[Positions, float] | None:
        """The wanted product, optimised on the surface: positions in Å, energy in eV."""
        run = self._run()
        if run.wanted is None:
            return None
        with self._sense():
            return unpack(run.wanted), float(run.wanted_energy)

    def summary(self) -> RunSummary:
        """Totals of the run."""
        with self._database.reading():
            run = self._run()
            in_flight = schema.RESULTS.c.stage >= run.stages
            answers = list(
                self._records(schema.RESULTS, lambda r: (r.phase, rows.costs_of(r)), in_flight)
            )
            trials = list(self._records(schema.TRIALS, lambda r: (r.outcome, rows.costs_of(r))))
            costs = [
                *(cost for _, cost in trials),
                *self._records(schema.STAGES, rows.costs_of),
                *(cost for _, cost in answers),
            ]
            rejected = Counter(d.outcome for d in self.dismissed() if d.node is None)
        outcomes = Counter(outcome for outcome, _ in trials)
        gradients = Counter[str]()
        for counts, _ in costs:
            gradients.update(counts)
        with self._sense():
            return RunSummary(
                trials={Outcome[name]: count for name, count in sorted(outcomes.items())},
                rejected=dict(sorted(rejected.items(), key=lambda item: item[0].name)),
                gradients=dict(sorted(gradients.items())),
                seconds=run.seconds,
                cpu_seconds=sum(seconds for _, seconds in costs),
                complete=Complete(run.anything_left, StoppedBy[run.stopped_by]),
                under_way=sum(phase == _PUSH for phase, _ in answers),
            )

    # -- rows ----------------------------------------------------------------------------

    def _kept(self, stage: int | None = None) -> Iterator[tuple[Key, Kept]]:
        """The frames of finished stages, or of one of them, task by task, in order."""
        columns = schema.FRAMES.c
        with self._database.reading():
            one = stage is not None
            chosen = (schema.STAGES.c.number == stage,) if one else ()
            trials = dict(self._records(schema.STAGES, rows.trial_of, *chosen))
            for row in self._rows(schema.FRAMES, *((columns.stage == stage,) if one else ())):
                key = Key(row.phase, row.position)
                if row.stage in trials:
                    with self._sense():
                        kept = rows.frames_record(row, trials[row.stage])
                    yield key, kept

    def _run(self) -> sa.Row[Any]:
        """The row of the run."""
        found = list(self._rows(schema.RUN))
        if len(found) != 1:
            raise self._damaged("the row of the run is missing")
        return found[0]

    def _counts(self) -> dict[str, int]:
        """Number of rows of each table except that of the run."""
        with self._sense():
            return {str(name): int(count) for name, count in json.loads(self._run().counts).items()}

    def _records(
        self,
        table: sa.Table,
        record: Callable[[sa.Row[Any]], T],
        *conditions: sa.ColumnElement[bool],
    ) -> Iterator[T]:
        """The records of the rows of a table."""
        for row in self._rows(table, *conditions):
            with self._sense():
                made = record(row)
            yield made

    def _rows(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> Iterator[sa.Row[Any]]:
        """The rows of a table by key; without a condition their number is checked."""
        keys = list(table.primary_key.columns)
        query = sa.select(table).where(*conditions).order_by(*keys)
        with self._database.reading() as connection:
            seen = 0
            last: tuple[Any, ...] | None = None
            places = [list(table.columns).index(key) for key in keys]
            for row in connection.execute(query):
                if not is_intact(row):
                    raise self._damaged(f"a row of {table.name} is not what was written")
                key = tuple(row[place] for place in places)
                if last is not None and not last < key:
                    raise self._damaged(f"rows of {table.name} are out of order")
                seen, last = seen + 1, key or None
                yield row
            if not conditions and keys and seen != self._counts().get(table.name):
                raise self._damaged(f"rows of {table.name} are missing")

    def _insert(self, network: ReactionNetwork, record: Any) -> None:
        """Add a record to the network; its id must be new and its ends known."""
        with self._sense():
            network.insert(record)

    @contextmanager
    def _sense(self) -> Iterator[None]:
        """Errors within mean that the file is damaged."""
        try:
            yield
        except StoreError:
            raise
        except (
            AfirError,
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise self._damaged(str(error) or type(error).__name__) from error

    def _damaged(self, reason: str) -> StoreError:
        return StoreError(self.path, "is damaged", reason, go_back(self.path))

    def _check_version(self) -> None:
        """Raise InputError if this is no run, or has another version."""
        path = self.path
        try:
            with self._database.reading() as connection:
                tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
                if not tables:
                    raise InputError(
                        f"{path} must be a run file of `afir explore`: it holds no run; if it "
                        f"was moved or copied without {path.name}-wal that lay beside it, put that "
                        f"beside it, too"
                    )
                query = sa.select(schema.RUN.c.schema_version).limit(2)
                versions = connection.execute(query).scalars().all()
        except StoreError as error:
            # Messages of SQLite on tables do not help someone who named the wrong file.
            of_tables = error.reason.startswith(("no such table", "no such column"))
            reason = "it holds no run" if of_tables else f"{error.reason}{error.advice}"
            raise InputError(f"{path} must be a run file of `afir explore`: {reason}") from error
        if len(versions) != 1:
            raise InputError(f"{path} must be a run file of `afir explore`: it holds no run")
        if versions[0] != schema.SCHEMA_VERSION:
            raise InputError(
                f"{path} must have the schema version {schema.SCHEMA_VERSION}, got "
                f"{versions[0]}; read it with the version of afir that wrote it"
            )
