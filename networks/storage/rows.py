"""Conversion of records to rows of a run file and back.

It is written by hand, without the mapped dataclasses of SQLAlchemy: they set attributes of each
instance, which frozen records refuse, and every row has a checksum over what is stored.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, fields
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa

from afir.methods.base import Offer
from afir.stationary import Outcome, StationaryPoint
from networks.execution.frames import Frames, Kept
from networks.execution.tasks import TaskResult
from networks.records.ids import Id
from networks.records.runs import Examined, Model
from networks.records.structures import DC, EQ, TS, Dismissed, content
from networks.records.trials import Absorbed, Item, Key, Known, Planned, Trial
from networks.storage import schema
from networks.storage.codec import decode, encode, pack, unpack
from networks.storage.seal import Row


def rows_of(absorbed: Absorbed, dismissed: int) -> list[tuple[sa.Table, list[Row]]]:
    """All rows a finished stage adds, table by table, referenced ones first.

    Parameters
    ----------
    absorbed
        The results of the stage.
    dismissed
        The number of the next dismissed structure.
    """
    return [
        (schema.EQS, [_eq_row(record) for record in absorbed.eqs]),
        (schema.DCS, [_dc_row(record) for record in absorbed.dcs]),
        (schema.TSS, [_ts_row(record) for record in absorbed.tss]),
        (schema.TRIALS, [_trial_row(absorbed.trial)] if absorbed.trial else []),
        (
            schema.DISMISSED,
            [_dismissed_row(*item) for item in enumerate(absorbed.dismissed, dismissed)],
        ),
        (schema.STAGES, [_stage_row(absorbed)]),
        (
            schema.EXAMINED,
            [{"number": k, **asdict(record)} for k, record in enumerate(absorbed.examined)],
        ),
    ]


def examined_record(row: sa.Row[Any]) -> Examined:
    """The check of a surface, from its row."""
    return Examined(row.surface, row.deviation, row.ratio, row.drift, row.doubt)


def _stage_row(absorbed: Absorbed) -> Row:
    return {
        "number": absorbed.stage,
        "trial": absorbed.trial.number if absorbed.trial else 0,
        "gradients": json.dumps(dict(absorbed.gradients)),
        "cpu_seconds": absorbed.cpu_seconds,
    }


def trial_of(row: sa.Row[Any]) -> tuple[int, int]:
    """The number of a finished stage, and that of its trial, 0 if it has none."""
    return row.number, row.trial


def planned_row(planned: Planned) -> Row:
    """The row of a trial in flight."""
    return {
        "stage": planned.stage,
        "trial": planned.trial,
        "eq": planned.item.eq.number,
        "push": planned.item.push,
        "method": planned.offer.method,
        "offer": json.dumps(planned.offer.data),
        "pushes_left": planned.left,
        "ceiling": planned.ceiling,
        "gamma": planned.gamma,
        "attempt": planned.attempt,
        "known": json.dumps(planned.known),
    }


def planned_record(row: sa.Row[Any]) -> Planned:
    """A trial in flight from its row."""
    return Planned(
        stage=row.stage,
        trial=row.trial,
        item=Item(Id.of("EQ", row.eq), row.push),
        offer=Offer(row.method, json.loads(row.offer)),
        left=row.pushes_left,
        ceiling=row.ceiling,
        gamma=row.gamma,
        attempt=row.attempt,
        known=Known(*json.loads(row.known)),
    )


def costs_of(row: sa.Row[Any]) -> tuple[dict[str, int], float]:
    """Gradients by stage and CPU seconds, of a stage or a result."""
    return json.loads(row.gradients), row.cpu_seconds


def _point_row(point: StationaryPoint) -> Row:
    """The columns that EQs and TSs share."""
    return {
        name: pack(value) if isinstance(value, np.ndarray) else value
        for name, value in content(point).items()
    }


def _point(row: sa.Row[Any]) -> dict[str, Any]:
    """The fields of a stationary point from the row of an EQ or a TS."""
    stored = {field.name: getattr(row, field.name) for field in fields(StationaryPoint)}
    return {
        name: unpack(value) if isinstance(value, bytes) else value for name, value in stored.items()
    }


def _eq_row(record: EQ) -> Row:
    flags = " ".join(record.flags)
    return {"number": record.number, **_point_row(record), "flags": flags}


def eq_record(row: sa.Row[Any]) -> EQ:
    """An EQ from its row."""
    return EQ(**_point(row), id=Id.of("EQ", row.number), flags=tuple(row.flags.split()))


def _dc_row(record: DC) -> Row:
    return {
        "number": record.id.number,
        "energy": record.energy,
        "fragments": " ".join(record.fragments),
        "origin": record.origin,
        "positions": pack(record.positions),
    }


def dc_record(row: sa.Row[Any]) -> DC:
    """A DC from its row, flagged as without a TS until its TSs are read."""
    return DC(
        id=Id.of("DC", row.number),
        positions=unpack(row.positions),
        energy=row.energy,
        fragments=tuple(row.fragments.split()),
        no_ts_known=True,
        origin=row.origin,
    )


def _ts_row(record: TS) -> Row:
    return {
        "number": record.id.number,
        **_point_row(record),
        "first_end": record.ends[0],
        "second_end": record.ends[1],
        "proof": json.dumps(record.proof),
        "irc_positions": pack(record.irc_positions),
        "irc_energies": pack(record.irc_energies),
    }


def ts_record(row: sa.Row[Any]) -> TS:
    """A TS from its row."""
    return TS(
        **_point(row),
        id=Id.of("TS", row.number),
        ends=(row.first_end, row.second_end),
        proof=json.loads(row.proof),
        irc_positions=unpack(row.irc_positions),
        irc_energies=unpack(row.irc_energies),
    )


def _trial_row(trial: Trial) -> Row:
    return {
        "number": trial.number,
        "known": trial.known,
        "eq": trial.eq.number,
        "push": trial.push,
        "method": trial.method,
        "offer": json.dumps(trial.offer),
        "seed": json.dumps(trial.seed),
        "outcome": trial.outcome.name,
        "crossed": trial.crossed,
        "gamma": trial.gamma,
        "gradients": json.dumps(dict(trial.gradients)),
        "cpu_seconds": trial.cpu_seconds,
        "found": " ".join(trial.found),
        "met": " ".join(trial.met),
        "error": trial.error,
        "pushes_left": trial.pushes_left,
    }


def trial_record(row: sa.Row[Any]) -> Trial:
    """A trial from its row."""
    return Trial(
        number=row.number,
        known=row.known,
        eq=Id.of("EQ", row.eq),
        push=row.push,
        method=row.method,
        offer=json.loads(row.offer),
        seed=tuple(json.loads(row.seed)),
        outcome=Outcome[row.outcome],
        crossed=row.crossed,
        gamma=row.gamma,
        gradients=json.loads(row.gradients),
        cpu_seconds=row.cpu_seconds,
        found=tuple(row.found.split()),
        met=tuple(row.met.split()),
        error=row.error,
        pushes_left=row.pushes_left,
    )


def _dismissed_row(number: int, record: Dismissed) -> Row:
    return {
        "number": number,
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


def frames_row(stage: int, key: Key, frames: Frames) -> Row:
    """The row for the frames of a task; runs of equal origins are stored as counts."""
    origins = [
        [stage, level, len(list(group))]
        for (stage, level), group in groupby(zip(frames.stages, frames.levels, strict=True))
    ]
    return {
        "stage": stage,
        "phase": key.phase,
        "position": key.index,
        "origins": json.dumps(origins),
        "positions": pack(frames.positions),
        "energies": pack(frames.energies),
        "gradients": pack(frames.gradients),
    }


def frames_record(row: sa.Row[Any], trial: int) -> Kept:
    """The frames of a task of a trial from their row."""
    origins = json.loads(row.origins)
    return Kept(
        trial,
        Frames(
            unpack(row.positions),
            unpack(row.energies),
            unpack(row.gradients),
            tuple(stage for stage, _, count in origins for _ in range(count)),
            tuple(level for _, level, count in origins for _ in range(count)),
        ),
    )


def result_row(stage: int, key: Key, result: TaskResult) -> Row:
    """The row for the result of a task."""
    text, arrays = (None, None) if result.value is None else encode(result.value)
    return {
        "stage": stage,
        "phase": key.phase,
        "position": key.index,
        "outcome": None if result.outcome is None else result.outcome.name,
        "error": result.error,
        "gradients": json.dumps(result.gradients),
        "cpu_seconds": result.cpu_seconds,
        "value": text,
        "arrays": arrays,
        "node": None,
    }


def result_record(row: sa.Row[Any]) -> tuple[int, Key, TaskResult, Id | None]:
    """The stage, the key, the result and the node of a task, from its row."""
    result = TaskResult(
        value=None if row.value is None else decode(row.value, row.arrays),
        outcome=None if row.outcome is None else Outcome[row.outcome],
        error=row.error,
        gradients=Counter(json.loads(row.gradients)),
        cpu_seconds=row.cpu_seconds,
    )
    node = None if row.node is None else Id(row.node)
    return row.stage, Key(row.phase, row.position), result, node


def model_row(model: Model) -> Row:
    """The row for a trained model."""
    return {
        "number": model.number,
        "stage": model.stage,
        "labels": model.labels,
        "seconds": model.seconds,
        "errors": json.dumps(dict(model.errors)),
    }


def model_record(row: sa.Row[Any]) -> Model:
    """A model from its row."""
    return Model(row.number, row.stage, row.labels, row.seconds, json.loads(row.errors))
