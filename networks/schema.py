"""The tables of a run file, and how records become rows and rows records.

Together with `networks.database` and `networks.store` the only user of SQLAlchemy.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from afir.displacements import parse_term
from afir.stationary import Outcome
from networks.codec import decode, pack, unpack
from networks.frames import Frames, Kept
from networks.records import DC, EQ, TS, Absorbed, Dismissed, Result, Trial
from networks.tasks import TaskResult

SCHEMA_VERSION = 5

Row = dict[str, Any]

METADATA = sa.MetaData()
RUN = sa.Table(
    "run",
    METADATA,
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("numbers", sa.Text, nullable=False),
    sa.Column("charge", sa.Integer, nullable=False),
    sa.Column("multiplicity", sa.Integer, nullable=False),
    sa.Column("start", sa.LargeBinary, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("rounds", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("start_cpu_seconds", sa.Float, nullable=False),
    sa.Column("anything_left", sa.Boolean, nullable=False),
    sa.Column("stopped_by", sa.Text, nullable=False),
    sa.Column("plan_round", sa.Integer),
    sa.Column("plan", sa.Text),
    sa.Column("wanted", sa.LargeBinary),
    sa.Column("wanted_energy", sa.Float),
)
EQS = sa.Table(
    "eqs",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("energy", sa.Float, nullable=False),
    sa.Column("flags", sa.Text, nullable=False),
    sa.Column("gradient_max", sa.Float, nullable=False),
    sa.Column("positions", sa.LargeBinary, nullable=False),
    sa.Column("wavenumbers", sa.LargeBinary, nullable=False),
    sa.Column("hessian", sa.LargeBinary, nullable=False),
    sa.Column("mode", sa.LargeBinary, nullable=False),
)
DCS = sa.Table(
    "dcs",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("energy", sa.Float, nullable=False),
    sa.Column("fragments", sa.Text, nullable=False),
    sa.Column("no_ts_known", sa.Boolean, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("positions", sa.LargeBinary, nullable=False),
)
TSS = sa.Table(
    "tss",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("energy", sa.Float, nullable=False),
    sa.Column("imaginary_cm1", sa.Float, nullable=False),
    sa.Column("first_end", sa.Text, nullable=False),
    sa.Column("second_end", sa.Text, nullable=False),
    sa.Column("proof", sa.Text, nullable=False),
    sa.Column("positions", sa.LargeBinary, nullable=False),
    sa.Column("wavenumbers", sa.LargeBinary, nullable=False),
    sa.Column("mode", sa.LargeBinary, nullable=False),
    sa.Column("hessian", sa.LargeBinary, nullable=False),
    sa.Column("irc_positions", sa.LargeBinary, nullable=False),
    sa.Column("irc_energies", sa.LargeBinary, nullable=False),
)
TRIALS = sa.Table(
    "trials",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("eq", sa.Integer, sa.ForeignKey("eqs.number"), nullable=False),
    sa.Column("push", sa.Integer, nullable=False),
    sa.Column("terms", sa.Text, nullable=False),
    sa.Column("seed", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("crossed", sa.Boolean, nullable=False),
    sa.Column("gamma", sa.Float, nullable=False),
    sa.Column("cpu_seconds", sa.Float, nullable=False),
    sa.Column("found", sa.Text, nullable=False),
    sa.Column("met", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("pushes_left", sa.Integer),
    sa.UniqueConstraint("eq", "push"),
)
GRADIENTS = sa.Table(
    "gradients",
    METADATA,
    # 0 is the start, which is no trial; −N is what belongs to round N and to no trial of it.
    sa.Column("trial", sa.Integer, primary_key=True),
    sa.Column("stage", sa.Text, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
)
DISMISSED = sa.Table(
    "dismissed",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("energy", sa.Float, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("node", sa.Text),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("positions", sa.LargeBinary, nullable=False),
)
RESULTS = sa.Table(
    "results",
    METADATA,
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("phase", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("outcome", sa.Text),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("gradients", sa.Text, nullable=False),
    sa.Column("cpu_seconds", sa.Float, nullable=False),
    sa.Column("value", sa.Text),
    sa.Column("arrays", sa.LargeBinary),
)


FRAMES = sa.Table(
    "frames",
    METADATA,
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("phase", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    # Not known before the round is over.
    sa.Column("trial", sa.Integer),
    sa.Column("origins", sa.Text, nullable=False),
    sa.Column("positions", sa.LargeBinary, nullable=False),
    sa.Column("energies", sa.LargeBinary, nullable=False),
    sa.Column("gradients", sa.LargeBinary, nullable=False),
)


MODELS = sa.Table(
    "models",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("labels", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("errors", sa.Text, nullable=False),
)


# Run files of before have no such table; those of a later date lack nothing without it.
EXAMINED = sa.Table(
    "examined",
    METADATA,
    sa.Column("surface", sa.Text, primary_key=True),
    sa.Column("deviation", sa.Float, nullable=False),
    sa.Column("ratio", sa.Float, nullable=False),
    sa.Column("drift", sa.Float, nullable=False),
    sa.Column("doubt", sa.Text, nullable=False),
)


def rows(absorbed: Absorbed) -> list[tuple[sa.Table, list[Row]]]:
    """All rows a finished round adds, table by table, referenced ones first."""
    counts: dict[int, Mapping[str, int]] = {t.number: t.gradients for t in absorbed.trials}
    if absorbed.gradients:
        counts[-absorbed.round] = absorbed.gradients
    return [
        (EQS, [_eq_row(record) for record in absorbed.eqs]),
        (DCS, [_dc_row(record) for record in absorbed.dcs]),
        (TSS, [_ts_row(record) for record in absorbed.tss]),
        (TRIALS, [_trial_row(trial) for trial in absorbed.trials]),
        (DISMISSED, [_dismissed_row(record) for record in absorbed.dismissed]),
        (
            GRADIENTS,
            [
                {"trial": trial, "stage": stage, "count": count}
                for trial, stages in counts.items()
                for stage, count in stages.items()
            ],
        ),
        (EXAMINED, [asdict(record) for record in absorbed.examined]),
    ]


def _eq_row(record: EQ) -> Row:
    return {
        "number": record.number,
        "energy": record.energy,
        "flags": " ".join(record.flags),
        "gradient_max": record.gradient_max,
        "positions": pack(record.positions),
        "wavenumbers": pack(record.wavenumbers),
        "hessian": pack(record.hessian),
        "mode": pack(record.mode),
    }


def eq_record(row: sa.Row[Any]) -> EQ:
    """An EQ from its row."""
    return EQ(
        id=f"EQ{row.number}",
        positions=unpack(row.positions),
        energy=row.energy,
        wavenumbers=unpack(row.wavenumbers),
        hessian=unpack(row.hessian),
        flags=tuple(row.flags.split()),
        gradient_max=row.gradient_max,
        mode=unpack(row.mode),
    )


def _dc_row(record: DC) -> Row:
    return {
        "number": int(record.id[2:]),
        "energy": record.energy,
        "fragments": " ".join(record.fragments),
        "no_ts_known": record.no_ts_known,
        "origin": record.origin,
        "positions": pack(record.positions),
    }


def dc_record(row: sa.Row[Any]) -> DC:
    """A DC from its row."""
    return DC(
        id=f"DC{row.number}",
        positions=unpack(row.positions),
        energy=row.energy,
        fragments=tuple(row.fragments.split()),
        no_ts_known=row.no_ts_known,
        origin=row.origin,
    )


def _ts_row(record: TS) -> Row:
    return {
        "number": int(record.id[2:]),
        "energy": record.energy,
        "imaginary_cm1": record.imaginary_cm1,
        "first_end": record.ends[0],
        "second_end": record.ends[1],
        "proof": json.dumps(record.proof),
        "positions": pack(record.positions),
        "wavenumbers": pack(record.wavenumbers),
        "mode": pack(record.mode),
        "hessian": pack(record.hessian),
        "irc_positions": pack(record.irc_positions),
        "irc_energies": pack(record.irc_energies),
    }


def ts_record(row: sa.Row[Any]) -> TS:
    """A TS from its row."""
    return TS(
        id=f"TS{row.number}",
        positions=unpack(row.positions),
        energy=row.energy,
        imaginary_cm1=row.imaginary_cm1,
        wavenumbers=unpack(row.wavenumbers),
        mode=unpack(row.mode),
        hessian=unpack(row.hessian),
        ends=(row.first_end, row.second_end),
        verified=True,
        proof=json.loads(row.proof),
        irc_positions=unpack(row.irc_positions),
        irc_energies=unpack(row.irc_energies),
    )


def _trial_row(trial: Trial) -> Row:
    return {
        "number": trial.number,
        "round": trial.round,
        "eq": int(trial.eq[2:]),
        "push": trial.push,
        "terms": " ".join(map(str, trial.terms)),
        "seed": json.dumps(trial.seed),
        "outcome": trial.outcome.name,
        "crossed": trial.crossed,
        "gamma": trial.gamma,
        "cpu_seconds": trial.cpu_seconds,
        "found": " ".join(trial.found),
        "met": " ".join(trial.met),
        "error": trial.error,
        "pushes_left": trial.pushes_left,
    }


def trial_record(row: sa.Row[Any], gradients: Mapping[str, int]) -> Trial:
    """A trial from its row and its gradients by stage."""
    return Trial(
        number=row.number,
        round=row.round,
        eq=f"EQ{row.eq}",
        push=row.push,
        terms=tuple(parse_term(text) for text in row.terms.split()),
        seed=tuple(json.loads(row.seed)),
        outcome=Outcome[row.outcome],
        crossed=row.crossed,
        gamma=row.gamma,
        gradients=gradients,
        cpu_seconds=row.cpu_seconds,
        found=tuple(row.found.split()),
        met=tuple(row.met.split()),
        error=row.error,
        pushes_left=row.pushes_left,
    )


_ENDED = {
    outcome.name
    for outcome in (
        Outcome.FOUND,
        Outcome.NO_BARRIER,
        Outcome.NO_SADDLE,
        Outcome.OUTSIDE_WINDOW,
    )
}
"""What a push that came to its end may say."""


def result_of(outcome: str, terms: str, *, crossed: bool) -> Result:
    """What a trial with this outcome and these terms says of trying the same again."""
    if not terms.startswith(("+", "-")):
        return Result.DISPLACED
    if crossed:
        return Result.MISSED if outcome == Outcome.NO_SADDLE.name else Result.MOVED
    return Result.UNMOVED if outcome in _ENDED else Result.FAILED


def _dismissed_row(record: Dismissed) -> Row:
    return {
        "kind": record.kind,
        "energy": record.energy,
        "outcome": record.outcome.name,
        "reason": record.reason,
        "node": record.node,
        "trial": record.trial,
        "positions": pack(record.positions),
    }


def dismissed_record(row: sa.Row[Any]) -> Dismissed:
    """A dismissed structure from its row."""
    return Dismissed(
        kind=row.kind,
        positions=unpack(row.positions),
        energy=row.energy,
        outcome=Outcome[row.outcome],
        reason=row.reason,
        node=row.node,
        trial=row.trial,
    )


def frames_row(frames: Frames) -> Row:
    """What is stored of the frames of a task; equal origins in a row are counted."""
    origins = [
        [stage, level, len(list(group))]
        for (stage, level), group in groupby(zip(frames.stages, frames.levels, strict=True))
    ]
    return {
        "origins": json.dumps(origins),
        "positions": pack(frames.positions),
        "energies": pack(frames.energies),
        "gradients": pack(frames.gradients),
    }


def frames_of_level(origins: str, level: str) -> int:
    """How many frames with these stored origins are of a level."""
    return sum(number for _, each, number in json.loads(origins) if each == level)


def frames_record(row: sa.Row[Any]) -> Kept:
    """The frames of a task from their row."""
    origins = json.loads(row.origins)
    return Kept(
        row.trial,
        Frames(
            unpack(row.positions),
            unpack(row.energies),
            unpack(row.gradients),
            tuple(stage for stage, _, count in origins for _ in range(count)),
            tuple(level for _, level, count in origins for _ in range(count)),
        ),
    )


def result_record(row: sa.Row[Any]) -> TaskResult:
    """What a task returned, from its row."""
    return TaskResult(
        value=None if row.value is None else decode(row.value, row.arrays),
        outcome=None if row.outcome is None else Outcome[row.outcome],
        error=row.error,
        gradients=Counter(json.loads(row.gradients)),
        cpu_seconds=row.cpu_seconds,
    )
