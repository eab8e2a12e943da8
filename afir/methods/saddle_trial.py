"""A trial that is one saddle search and no path."""

from __future__ import annotations

from dataclasses import replace

from afir.pes.driver import Search, stage
from afir.searches.saddle import Saddle
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, Outcome, TrialResult

# Gradients of a climb from close to a minimum: a new search costs less than a long one. Of 340
# climbs on five molecules those of 70 gradients and more found nothing.
_CLIMB_STEPS = 70


def climb_limits(step: StepSettings) -> StepSettings:
    """The step settings of a saddle search that starts close to a minimum."""
    return replace(step, saddle_steps=min(step.saddle_steps, _CLIMB_STEPS))


def saddle_trial(
    search: Search[Saddle], source: str, ceiling: float | None = None
) -> Search[TrialResult]:
    """The trial that consists of a saddle search (`afir.searches.saddle.saddle`).

    Parameters
    ----------
    search
        The saddle search.
    source
        The name of its origin, for `afir.stationary.Candidate`.
    ceiling
        Absolute energy in eV above which a candidate is ignored.

    Returns
    -------
    TrialResult
        With one candidate, still to be confirmed, or none.
    """
    found = yield from stage("saddle", search)
    if found.outcome is not Outcome.CONVERGED:
        return TrialResult(Outcome.NO_SADDLE, (), (), False)
    if ceiling is not None and found.energy > ceiling:
        return TrialResult(Outcome.OUTSIDE_WINDOW, (), (), False)
    candidate = Candidate(found.positions, found.energy, found.hessian, source)
    return TrialResult(Outcome.FOUND, (candidate,), (), False)
