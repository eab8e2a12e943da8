"""Checks that the surface of a run has not changed since the run began.

A model file may be replaced, a calculator changed, a package updated: then energies of two surfaces
would be mixed in one network without notice. The reported surface is evaluated at EQ0, on resume,
with every few trials and at the end of a run, unless it found what was wanted. A change that leaves
EQ0 as it is, or a change of the searched surface beside a reference, is not noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from afir.errors import AfirError, BrokenSurfaceError, InputError, SurfaceError
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import limit
from afir.stationary import StationaryPoint
from afir.units import KJ_PER_MOL
from afir.verification.consistency import DRIFT
from afir.verification.minima import NotAMinimum, characterise
from networks.execution.context import label
from networks.execution.tasks import Characterise, Label, Labelled, TaskResult
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.structures import EQ
from networks.records.trials import Absorbed, Key
from networks.stages.base import Question, no_trial
from networks.storage.base import ReadableStore

GRADIENT = 0.05
"""eV/Å: how much larger the largest component of the gradient of EQ0 may be than it was."""


def check_unchanged(store: ReadableStore) -> None:
    """Evaluate EQ0 when a run is resumed; that gradient is not counted.

    Raises
    ------
    InputError
        If the surface cannot be loaded, fails, or its result has changed.
    """
    first = store.first_eq()
    if first is None:
        return
    name, options = store.settings.reported
    surface = load_surface(name, store.molecule, **options)
    limit(surface, store.settings.task_seconds)
    try:
        said = solve(label(first.positions), surface)
    except (SurfaceError, BrokenSurfaceError) as error:
        raise InputError(
            f"the surface {name} must still work for the start of {store.path}, it says: {error}"
        ) from error
    off = _off(said.energy, first)
    if off:
        with suppress(SurfaceError, NotAMinimum):
            # As EQ0 was found: the SCF may have two solutions.
            refined = characterise(store.molecule, first.positions, hessian=first.hessian)
            if not _off(solve(refined, surface).energy, first):
                return
        what = f"energy of EQ0 is {off / KJ_PER_MOL:+.2f} kJ/mol off"
    else:
        steepest = float(np.abs(said.gradient).max())
        if steepest <= first.gradient_max + GRADIENT:
            return
        what = f"largest gradient component of EQ0 is {steepest:.2f} eV/Å and should be about 0"
    raise InputError(
        f"the surface {name} must be the one that {store.path} began with; the {what}: bring back "
        f"what was changed or begin a new run"
    )


class ChangedSurfaceError(AfirError):
    """The surface is not the one that the run began with."""


DUE, FAILED = Key("again", 0), Key("again", 1)
"""The keys of the rechecks of EQ0: every few trials, and when the surface failed in a trial."""
RECHECKS = (DUE, FAILED)
PROBE = Key("probe", 0)
"""The question whether EQ0 is refined as it was: when EQ0 fails or is off."""
CHECKS = (*RECHECKS, PROBE)
"""The tasks that belong to no trial."""

_EVERY = 16
"""Trials between two rechecks: one gradient among thousands."""
_EVERY_REFERENCED = 128
"""The same with a reference, whose gradients are expensive."""


def is_due(trial: int, *, referenced: bool) -> bool:
    """Whether EQ0 is rechecked with this trial."""
    return trial % (_EVERY_REFERENCED if referenced else _EVERY) == 0


def again(network: ReactionNetwork, key: Key) -> Question:
    """The recheck of EQ0; one gradient."""
    return key, Label(network.eqs["EQ0"].positions, "again")


def probe(network: ReactionNetwork) -> Question:
    """The task that refines EQ0."""
    first = network.eqs["EQ0"]
    return PROBE, Characterise(first.positions, first.hessian)


def failed_or_changed(answer: TaskResult, network: ReactionNetwork) -> bool:
    """Whether the recheck of EQ0 failed or gave another energy."""
    return not isinstance(answer.value, Labelled) or _off_by(answer, network) != 0.0


def check_surface(answers: Mapping[Key, TaskResult], network: ReactionNetwork, when: str) -> None:
    """Check the answers to `again` and `probe`, as far as there are any.

    Parameters
    ----------
    answers
        With these keys, among others.
    network
        With EQ0.
    when
        When they were given, in words.

    Raises
    ------
    AfirError
        If the surface fails for EQ0: then trials fail that should not be used up.
    ChangedSurfaceError
        If it gives another energy than when the run began, unless it gives the old one when EQ0 is
        refined as at the beginning: an SCF may have several solutions.
    """
    asked = [answers[key] for key in RECHECKS if key in answers]
    refined = answers.get(PROBE)
    if refined is None or not any(failed_or_changed(answer, network) for answer in asked):
        return
    off = max((_off_by(answer, network) for answer in asked), key=abs)
    point = refined.value
    if not isinstance(point, StationaryPoint) and not off:
        raise AfirError(
            f"the surface failed for EQ0 in {when} ({refined.error}); nothing of the trials in "
            "flight was kept: fix the surface, then resume the run"
        )
    if off and (not isinstance(point, StationaryPoint) or _off(point.energy, network.eqs["EQ0"])):
        raise ChangedSurfaceError(
            f"the surface gave another energy for EQ0 in {when} than when the run began, "
            f"{off / KJ_PER_MOL:+.2f} kJ/mol off; nothing since the last check was kept: fix the "
            "surface, then resume the run"
        )


class Rechecked:
    """The stage that rechecks EQ0 when trials were judged since the last check.

    Parameters
    ----------
    number
        Its number among the stages.
    network
        With EQ0.
    """

    def __init__(self, number: int, network: ReactionNetwork) -> None:
        self.number = number
        self._network = network
        self._answers: dict[Key, TaskResult] = {}

    def begin(self) -> list[Question]:
        """EQ0."""
        return [again(self._network, DUE)]

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """EQ0 is refined if it failed or was off."""
        self._answers[key] = result
        doubtful = key == DUE and failed_or_changed(result, self._network)
        return [probe(self._network)] if doubtful else []

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Nothing to add; AfirError if the surface has changed or fails."""
        check_surface(self._answers, network, "the last check")
        return no_trial(self.number, self._answers)


def _off_by(answer: TaskResult, network: ReactionNetwork) -> float:
    """How far in eV the energy of EQ0 is off by an answer to `again`; 0 if that means nothing."""
    if not isinstance(answer.value, Labelled):
        return 0.0
    return _off(answer.value.energy, network.eqs["EQ0"])


def _off(energy: float, first: EQ) -> float:
    """How far in eV an energy of EQ0 is off; 0 if that means nothing."""
    off = energy - first.energy
    return off if abs(off) > DRIFT else 0.0
