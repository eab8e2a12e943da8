"""The events of an exploration while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from networks.records.runs import Model, StoppedBy
from networks.records.structures import DC, EQ, TS, Dismissed
from networks.records.trials import Trial


@dataclass(frozen=True)
class Opened:
    """The run file is open; the numbers are of what it holds already when it is resumed."""

    eqs: int
    tss: int
    dcs: int
    trials: int
    gradients: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class TaskDone:
    """One task is done; `open` others are asked for by now.

    `kind` is ``"push"``, ``"confirm"``, ``"characterise"``, ``"compare"``, ``"wanted"``,
    ``"examine"``, ``"again"``, ``"probe"``, ``"label"``, ``"sample"`` or ``"recall"``; `gradients`
    are those that count (`networks.settings.Settings.counted`); `error` says why there is no
    result; `trial` is None for tasks outside trials.
    """

    trial: int | None
    kind: str
    gradients: int
    seconds: float
    error: str | None
    open: int


@dataclass(frozen=True)
class Found:
    """A new EQ, TS or DC, and the number of the trial that found it; None for the start."""

    record: EQ | TS | DC
    trial: int | None


@dataclass(frozen=True)
class Rebonded:
    """Bonds of a given structure changed while it was relaxed.

    `what` is ``"start"`` or ``"wanted product"``; `changes` describes each bond that was formed or
    broken.
    """

    what: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Doubted:
    """A surface of the run may be unreliable; `doubt` says why, as half a sentence."""

    surface: str
    doubt: str


@dataclass(frozen=True)
class Unsure:
    """The policy of the run knows little about the molecule; `doubt` says why."""

    policy: str
    doubt: str


@dataclass(frozen=True)
class Rejected:
    """A candidate structure was examined and rejected."""

    dismissed: Dismissed


@dataclass(frozen=True)
class TrialDone:
    """A trial is finished and in the run file; `again` are its candidates rejected before."""

    trial: Trial
    again: tuple[Dismissed, ...] = ()


@dataclass(frozen=True)
class Progress:
    """The totals of the whole run, after each trial and each other stage."""

    eqs: int
    tss: int
    dcs: int
    trials: int
    gradients: int
    seconds: float


@dataclass(frozen=True)
class Training:
    """A model is being trained on `labels` labels."""

    number: int
    labels: int


@dataclass(frozen=True)
class Trained:
    """A model was trained and is in use."""

    model: Model


@dataclass(frozen=True)
class Stopped:
    """The exploration has ended; the last event."""

    reason: StoppedBy
    anything_left: bool


Event: TypeAlias = (
    Opened
    | TaskDone
    | Found
    | Rebonded
    | Doubted
    | Unsure
    | Rejected
    | TrialDone
    | Progress
    | Training
    | Trained
    | Stopped
)

__all__ = [
    "Doubted",
    "Event",
    "Found",
    "Opened",
    "Progress",
    "Rebonded",
    "Rejected",
    "Stopped",
    "StoppedBy",
    "TaskDone",
    "Trained",
    "Training",
    "TrialDone",
    "Unsure",
]
