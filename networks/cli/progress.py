"""The progress of a run on the screen: one live line, and one line for every new structure.

The log has the rest: ``-v`` shows each trial and each rejected structure, ``-vv`` each task too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from afir.cli.terminal import LiveLine
from afir.geometry.naming import names
from afir.molecule import Molecule
from afir.stationary import Outcome
from afir.units import KJ_PER_MOL
from networks.exploration.events import (
    Doubted,
    Event,
    Found,
    Opened,
    Progress,
    Rebonded,
    Rejected,
    Stopped,
    TaskDone,
    Trained,
    Training,
    TrialDone,
    Unsure,
)
from networks.records.runs import Model
from networks.records.structures import COMPLEX, DC, EQ, TS
from networks.records.trials import Trial

logger = logging.getLogger(__name__)

_DOING = {
    "push": "pushing",
    "confirm": "verifying transition states",
    "characterise": "refining minima",
    "compare": "comparing minima with known ones",
    "wanted": "comparing minima with the wanted product",
    "examine": "comparing energies with gradients",
    "again": "rechecking the energy of EQ0",
    "probe": "testing the surface",
    "label": "labelling",
    "sample": "labelling geometries of pushes",
    "recall": "locating known structures on the new model",
}


@dataclass
class Tally:
    """The numbers of structures, trials and gradients so far.

    Attributes
    ----------
    molecule
        The molecule of the run.
    zero
        Energy of EQ0 in eV; None until it is known.
    reference
        The surface whose gradients are counted, where it is not the one that is searched.
    eqs, tss, dcs, trials, gradients
        Numbers.
    doing
        What the run is doing, in words.
    began
        Start of the run by `time.monotonic`, without the time between its parts.
    """

    molecule: Molecule
    zero: float | None = None
    reference: str = ""
    eqs: int = 0
    tss: int = 0
    dcs: int = 0
    trials: int = 0
    gradients: int = 0
    doing: str = "starting"
    began: float = field(default_factory=time.monotonic)

    def take(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, Opened):
            self.eqs, self.tss, self.dcs = event.eqs, event.tss, event.dcs
            self.trials, self.gradients = event.trials, event.gradients
            self.began = time.monotonic() - event.seconds
        elif isinstance(event, TaskDone):
            self.gradients += event.gradients
            self.doing = f"{_where(event)}{_DOING.get(event.kind, event.kind)}"
            if event.open:
                self.doing += f", {event.open} tasks open"
        elif isinstance(event, Found):
            record = event.record
            self.eqs += isinstance(record, EQ)
            self.tss += isinstance(record, TS)
            self.dcs += isinstance(record, DC)
            if self.zero is None and isinstance(record, EQ):
                self.zero = record.energy
        elif isinstance(event, TrialDone):
            self.trials += 1
        elif isinstance(event, Training):
            self.doing = f"training model {event.number} on {event.labels} labels"
        elif isinstance(event, Progress):
            self.eqs, self.tss, self.dcs = event.eqs, event.tss, event.dcs
            self.trials, self.gradients = event.trials, event.gradients
            self.began = time.monotonic() - event.seconds

    def line(self) -> str:
        """The live line."""
        of = f" on {self.reference}" if self.reference else ""
        return (
            f"{self.eqs} EQ  {self.tss} TS  {self.dcs} DC  {self.trials} trials  "
            f"{self.gradients} gradients{of}  {time.monotonic() - self.began:.0f} s  {self.doing}"
        )

    def height(self, energy: float) -> float:
        """An energy in eV as kJ/mol relative to EQ0."""
        return 0.0 if self.zero is None else (energy - self.zero) / KJ_PER_MOL

    def find(self, found: Found) -> str:
        """The line about a new structure, energies relative to EQ0."""
        record = found.record
        text = f"{record.id:<6}{self.height(record.energy):8.1f} kJ/mol relative to EQ0  "
        if isinstance(record, TS):
            text += f"{record.ends[0]} – {record.ends[1]}, {record.imaginary_cm1:.0f}i cm⁻¹"
        else:
            text += " + ".join(names(self.molecule, record.positions))
            text += " (complex)" if isinstance(record, EQ) and COMPLEX in record.flags else ""
        return text + ("  (the start)" if found.trial is None else f"  (trial {found.trial})")


def watch(events: Iterable[Event], line: LiveLine, tally: Tally) -> Stopped | None:
    """Show events as they come and return the last one.

    Parameters
    ----------
    events
        What `networks.exploration.run.explore` or `resume` yields.
    line
        Where to show them.
    tally
        The counts, updated.
    """
    stopped = None
    with line:
        for event in events:
            tally.take(event)
            _log(event, tally)
            if isinstance(event, Found):
                line.say(tally.find(event))
            elif isinstance(event, Rebonded):
                line.say(
                    f"Warning: the {event.what} is not the molecule that was given: bonds changed "
                    f"while it was relaxed: {', '.join(event.changes)}"
                )
            elif isinstance(event, Doubted):
                line.say(f"Warning: the surface {event.surface}: {event.doubt}")
            elif isinstance(event, Unsure):
                line.say(f"Warning: the policy {event.policy}: {event.doubt}")
            elif isinstance(event, Training):
                line.say(
                    f"Model {event.number}: training on {event.labels} labels, seconds to minutes"
                )
            elif isinstance(event, Trained):
                line.say(_learned(event.model))
            elif isinstance(event, Stopped):
                stopped = event
            line.show(tally.line())
    return stopped


def _learned(model: Model) -> str:
    """The line about a model."""
    errors = ", ".join(f"{name} {value:.3g}" for name, value in model.errors.items())
    return f"Model {model.number}: {model.seconds:.0f} s" + (f"; {errors}" if errors else "")


def _log(event: Event, tally: Tally) -> None:
    """Log an event."""
    if isinstance(event, TaskDone):
        logger.debug(
            "%s%s, %d gradients, %.2f s%s",
            _where(event),
            _DOING.get(event.kind, event.kind),
            event.gradients,
            event.seconds,
            f": {event.error}" if event.error else "",
        )
    elif isinstance(event, Rejected):
        dismissed = event.dismissed
        logger.info(
            "trial %d: rejected %s candidate at %.1f kJ/mol: %s",
            dismissed.trial,
            dismissed.kind,
            tally.height(dismissed.energy),
            dismissed.reason,
        )
    elif isinstance(event, TrialDone):
        trial = event.trial
        logger.info("trial %d: %s, %s: %s", trial.number, trial.eq, trial.offered, _end(trial))
        for before in event.again:
            logger.info(
                "trial %d: %s candidate at %.1f kJ/mol was rejected before, in trial %d: %s",
                trial.number,
                before.kind,
                tally.height(before.energy),
                before.trial,
                before.reason,
            )


def _where(event: TaskDone) -> str:
    """The trial of a task, if it has one."""
    return "" if event.trial is None else f"trial {event.trial}: "


def _end(trial: Trial) -> str:
    """The outcome of a trial, what it found and its gradients, in words."""
    known = [id for id in trial.met if id not in trial.found]
    told = []
    if trial.error or trial.outcome is not Outcome.FOUND:
        told.append(trial.error or trial.outcome.value)
    elif not any(id.kind == "TS" for id in (*trial.found, *known)):
        told.append("no candidate was verified as a transition state")
    if trial.found:
        told.append(f"found {' '.join(trial.found)}")
    if known:
        told.append(f"reached known {' '.join(known)}")
    if trial.crossed:
        told.append(f"the artificial force alone crossed a barrier at γ = {trial.gamma:g} kJ/mol")
    return "; ".join([*told, f"{sum(trial.gradients.values())} gradients"])
