"""How complete a run is, in sentences: pushes left, the energy window, unseen structures."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

from afir.stationary import Outcome
from networks.jobfile import stored_job
from networks.records.runs import StoppedBy
from networks.reporting.run import Run, few_ids
from networks.scheduling.remains import MOST_UNTRIED
from networks.scheduling.scheduler import KeptBack

_FEWEST = 3
"""Transition states that an estimate of the unseen ones needs. Chosen: how often one or two were
met says nothing of others, and the interval is one of many."""

_FAILURES = {
    Outcome.SURFACE_FAILED: "the surface failed",
    Outcome.SEARCH_FAILED: "the search itself failed",
    Outcome.TIMED_OUT: "a task took longer than --task-seconds",
    Outcome.WORKER_DIED: "a worker died",
}
"""The words for the outcomes of `networks.records.trials.FAILED`."""


def ending(run: Run) -> list[str]:
    """Sentences on how complete a run is; those that do not apply are left out."""
    doubts = [f"Warning: {doubt}." for doubt in run.doubts]
    about = (_pushes, _failures, _window, _left_alone, _unseen)
    sentences = [*doubts, *(tell(run) for tell in about)]
    return [sentence for sentence in sentences if sentence]


def _pushes(run: Run) -> str:
    """The sentence on pushes: how many there are, and how many are left."""
    remains, summary = run.remains, run.summary
    complete = summary.complete
    count, left = remains.pushes, remains.pushes_left
    every = f"All {count} pushes were tried" if count else "Every push was tried"
    if complete.stopped_by is StoppedBy.NOTHING_LEFT:
        return f"{every}." if summary.trials else "There was nothing to try."
    if remains.uncounted:
        return f"What is left to try cannot be told: {remains.uncounted}."
    if not count and remains.eqs_untried > MOST_UNTRIED:
        return (
            f"{remains.eqs_untried} EQs have not been pushed yet and may lead to more; their "
            "pushes were not counted."
        )
    if not count:
        return ""
    if left:
        return f"{left} of {count} pushes of the structures so far are untried and may find more."
    return f"{every}; further attempts are left." if complete.anything_left else f"{every}."


def _failures(run: Run) -> str:
    """The sentence on trials that failed for another reason than what they tried."""
    trials = run.summary.trials
    every = sum(trials.values())
    if run.failure:
        late = trials.get(Outcome.TIMED_OUT) == every
        more = " Give more --task-seconds." if late else ""
        return (
            f"No trial could be done ({every} of {every} failed); the first: {run.failure}.{more}"
        )
    told = [
        f"in {trials[outcome]} of {every} trials {what}"
        for outcome, what in _FAILURES.items()
        if trials.get(outcome)
    ]
    sentence = " and ".join([", ".join(told[:-1]), told[-1]] if told[1:] else told)
    return f"{sentence[:1].upper()}{sentence[1:]}." if told else ""


def _window(run: Run) -> str:
    """The sentence on what lies above the energy window."""
    window = run.settings.window_kj_mol
    if window is None:
        return ""
    trials = run.summary.trials.get(Outcome.OUTSIDE_WINDOW, 0)
    eqs = run.remains.eqs_above
    where = f"the energy window ({window:g} kJ/mol above the start)"
    ended = f"{trials} trial{'s' * (trials != 1)} ended"
    if trials and stored_job(run.job).get("window", window) != window:
        # Products above the window are not kept, so they cannot be compared with the new one.
        above = f"; {_counted(eqs, 'EQ')} not pushed above {where}" if eqs else ""
        return f"{ended} above the energy window that was set before{above}."
    if not trials and not eqs:
        return f"No trial ended and no EQ lies above {where}."
    left = f" and {_counted(eqs, 'EQ')} not pushed" if eqs else ""
    return f"Above {where}, {ended}{left}."


def _left_alone(run: Run) -> str:
    """The sentence on what was not tried for other reasons than its energy."""
    remains, told = run.remains, []
    if remains.complexes:
        told.append(
            f"{_counted(remains.complexes, 'complex', 'complexes')} not pushed (--expand-complexes)"
        )
    if remains.eqs_deeper:
        told.append(f"{_counted(remains.eqs_deeper, 'EQ')} not pushed because of --bond-depth")
    told += [_several(reasons, ids) for reasons, ids in remains.eqs_several.items()]
    if run.settings.targets is not None:
        told.append(
            "because of --target-atoms all else was left as it is: only moves of these atoms were "
            "tried, and no random geometries"
        )
    sentence = "; ".join(told)
    return f"{sentence[:1].upper()}{sentence[1:]}." if told else ""


def _several(reasons: Sequence[KeptBack], ids: Sequence[str]) -> str:
    """The words on EQs that were not pushed for the same two or more reasons."""
    one, many = ("complex", "complexes") if KeptBack.COMPLEX in reasons else ("EQ", "EQs")
    above = " above the energy window" if KeptBack.WINDOW in reasons else ""
    deep = ", also because of --bond-depth" if KeptBack.DEPTH in reasons else ""
    return f"{_counted(len(ids), one + above, many + above)} not pushed{deep} ({few_ids(ids)})"


def _counted(count: int, one: str, several: str = "") -> str:
    """``1 EQ was`` or ``5 EQs were``."""
    return f"1 {one} was" if count == 1 else f"{count} {several or one + 's'} were"


def _unseen(run: Run) -> str:
    """The sentence on how many transition states are still unseen."""
    unseen = run.remains.unseen
    done = run.summary.complete.stopped_by is StoppedBy.NOTHING_LEFT
    remains = run.remains
    left = remains.pushes_left or remains.uncounted or remains.eqs_untried > MOST_UNTRIED
    if not unseen.trials or (left and not done):
        return ""  # too early: the pushes that are left may find any number
    if unseen.observed < _FEWEST or unseen.estimate is None:
        return (
            f"{unseen.observed or 'No'} transition state{'s' * (unseen.observed != 1)} between two "
            "structures: too few to estimate how many are still unseen."
        )
    low, high, number = floor(unseen.low or 0.0), round(unseen.high or 0.0), round(unseen.estimate)
    many = f"about {number}" if number else "hardly any"
    return (
        f"Chao's estimate: more such trials may find {many} ({low} to {high}) new transition "
        f"states ({unseen.observed} known)."
    )
