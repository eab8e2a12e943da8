"""What a run records about itself: models, checks, its summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from afir.stationary import Outcome


class StoppedBy(Enum):
    """Why an exploration is not running; the value says it in words."""

    NOTHING_LEFT = "nothing is left to try"
    WANTED = "the wanted product was found"
    TRIALS = "the trial limit was reached"
    GRADIENTS = "the gradient limit was reached"
    SECONDS = "the time limit was reached"
    PATIENCE = "the last trials found nothing new"
    INTERRUPTED = "the run was interrupted"


@dataclass(frozen=True)
class Model:
    """A model of the difference between two surfaces that was trained during a run.

    Attributes
    ----------
    number
        1, 2, …; its file is named after it.
    stage
        Number of finished stages when it was trained.
    labels
        Number of geometries it was trained on: the first ones of the run.
    seconds
        Wall time of the training.
    errors
        Its errors as the learner reports them, plain numbers by name.
    """

    number: int
    stage: int
    labels: int
    seconds: float
    errors: Mapping[str, float]


@dataclass(frozen=True)
class Examined:
    """A surface of a run whose energies were compared with its gradients at the start.

    Attributes
    ----------
    surface
        Its name and options, for people.
    deviation, ratio, drift
        As in `afir.stationary.Consistency`.
    doubt
        A warning about it; may be empty.
    """

    surface: str
    deviation: float
    ratio: float
    drift: float
    doubt: str


@dataclass(frozen=True)
class Complete:
    """Whether an exploration is complete, and why it is not running."""

    anything_left: bool
    stopped_by: StoppedBy


@dataclass(frozen=True)
class RunSummary:
    """Totals of a run.

    Attributes
    ----------
    trials
        Number of trials by outcome.
    rejected
        Number of rejected candidates, for transition states and minima, by reason.
    gradients
        Gradient evaluations by stage, those of trials in flight included.
    seconds, cpu_seconds
        Wall time of all parts of the run; processor time of its tasks.
    complete
        Whether anything is left.
    under_way
        Number of pushes done in trials that are in flight.
    """

    trials: Mapping[Outcome, int]
    rejected: Mapping[Outcome, int]
    gradients: Mapping[str, int]
    seconds: float
    cpu_seconds: float
    complete: Complete
    under_way: int = 0
