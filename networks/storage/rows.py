"""Conversion of records to rows of a run file and back."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from afir.stationary import Outcome
from networks.execution.frames import Frames, Kept
from networks.execution.tasks import TaskResult
from networks.records.runs import Examined, Model
from networks.records.structures import DC, EQ, TS, Dismissed
from networks.records.trials import Absorbed, Key, Result, Trial
from networks.storage import schema
from networks.storage.codec import decode, encode, pack, unpack
from networks.storage.seal import Row


def rows_of(absorbed: Absorbed, dismissed: int) -> list[tuple[sa.Table, list[Row]]]:
    """All rows a finished round adds, table by table, referenced ones first.

    Parameters
    ----------
    absorbed
        The results of the round.
    dismissed
        The number of the next dismissed structure.
    """
    return [
        (schema.EQS, [_eq_row(record) for record in absorbed.eqs]),
        (schema.DCS, [_dc_row(record) for record in absorbed.dcs]),
        (schema.TSS, [_ts_row(record) for record in absorbed.tss]),
        (schema.TRIALS, [_trial_row(trial) for trial in absorbed.trials]),
        (
            schema.DISMISSED,
            [_dismissed_row(*item) for item in enumerate(absorbed.dismissed, dismissed)],
        ),
        (schema.ROUNDS, [_round_row(absorbed)]),
        (
            schema.EXAMINED,
            [{"number": k, **asdict(record)} for k, record in enumerate(absorbed.examined)],
        ),
    ]


def examined_record(row: sa.Row[Any]) -> Examined:
    """The check of a surface, from its row."""
    return Examined(row.surface, row.deviation, row.ratio, row.drift, row.doubt)


def _round_row(absorbed: Absorbed) -> Row:
    return {
        "number": absorbed.round,
        "gradients": json.dumps(dict(absorbed.gradients)),
        "cpu_seconds": absorbed.cpu_seconds,
        "owners": json.dumps(
            [(key.phase, key.index, trial) for key, trial in absorbed.owners.items()]
        ),
    }


def owners_of(row: sa.Row[Any]) -> tuple[int, dict[Key, int]]:
    """The number of a finished round, and the trial that each of its tasks belonged to."""
    owners = {Key(phase, index): trial for phase, index, trial in json.loads(row.owners)}
    return row.number, owners


def costs_of(row: sa.Row[Any]) -> tuple[dict[str, int], float]:
    """Gradients by stage and CPU seconds, of a round or a result."""
    return json.loads(row.gradients), row.cpu_seconds


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
        "origin": record.origin,
        "positions": pack(record.positions),
    }


def dc_record(row: sa.Row[Any]) -> DC:
    """A DC from its row, flagged as without a TS until its TSs are read."""
    return DC(
        id=f"DC{row.number}",
        positions=unpack(row.positions),
        energy=row.energy,
        fragments=tuple(row.fragments.split()),
        no_ts_known=True,
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
        round=row.round,
        eq=f"EQ{row.eq}",
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


_ENDED = {
    outcome.name
    for outcome in (
        Outcome.FOUND,
        Outcome.NO_BARRIER,
        Outcome.NO_SADDLE,
        Outcome.OUTSIDE_WINDOW,
    )
}
"""The outcomes of pushes that ran to their end."""


def result_of(outcome: str, offer: str, *, crossed: bool) -> Result:
    """The result of a trial of an offer with this outcome, for further attempts."""
    if not json.loads(offer).get("forces"):
        return Result.DISPLACED
    if crossed:
        return Result.MISSED if outcome == Outcome.NO_SADDLE.name else Result.MOVED
    return Result.UNMOVED if outcome in _ENDED else Result.FAILED


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


def frames_row(round: int, key: Key, frames: Frames) -> Row:
    """The row for the frames of a task; runs of equal origins are stored as counts."""
    origins = [
        [stage, level, len(list(group))]
        for (stage, level), group in groupby(zip(frames.stages, frames.levels, strict=True))
    ]
    return {
        "round": round,
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


def result_row(round: int, key: Key, result: TaskResult) -> Row:
    """The row for the result of a task."""
    text, arrays = (None, None) if result.value is None else encode(result.value)
    return {
        "round": round,
        "phase": key.phase,
        "position": key.index,
        "outcome": None if result.outcome is None else result.outcome.name,
        "error": result.error,
        "gradients": json.dumps(result.gradients),
        "cpu_seconds": result.cpu_seconds,
        "value": text,
        "arrays": arrays,
    }


def result_record(row: sa.Row[Any]) -> tuple[int, Key, TaskResult]:
    """The round, the key and the result of a task, from its row."""
    result = TaskResult(
        value=None if row.value is None else decode(row.value, row.arrays),
        outcome=None if row.outcome is None else Outcome[row.outcome],
        error=row.error,
        gradients=Counter(json.loads(row.gradients)),
        cpu_seconds=row.cpu_seconds,
    )
    return row.round, Key(row.phase, row.position), result


def model_row(model: Model) -> Row:
    """The row for a trained model."""
    return {
        "number": model.number,
        "round": model.round,
        "labels": model.labels,
        "seconds": model.seconds,
        "errors": json.dumps(dict(model.errors)),
    }


def model_record(row: sa.Row[Any]) -> Model:
    """A model from its row."""
    return Model(row.number, row.round, row.labels, row.seconds, json.loads(row.errors))
