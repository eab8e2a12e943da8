"""How a run ended, in sentences: what is left, what its window cut off, what is still unseen."""

from __future__ import annotations

from math import floor

from afir.stationary import Outcome
from networks.records import StoppedBy
from networks.remains import MOST_UNTRIED
from networks.report import Run


def ending(run: Run) -> list[str]:
    """How complete a run is: sentences, without those that have nothing to tell."""
    sentences = [_pushes(run), _window(run), _left_alone(run), _unseen(run)]
    return [sentence for sentence in sentences if sentence]


def _pushes(run: Run) -> str:
    """How many pushes there are, and how many are left."""
    remains, summary = run.remains, run.summary
    complete = summary.complete
    count, left = remains.pushes, remains.pushes_left
    every = f"All {count} pushes were tried" if count else "Every push was tried"
    if complete.stopped_by is StoppedBy.NOTHING_LEFT:
        trials = sum(summary.trials.values())
        failed = summary.trials.get(Outcome.SURFACE_FAILED, 0)
        but = f", but in {failed} of {trials} trials the surface gave no energy" if failed else ""
        return f"{every}{but}."
    if not count and remains.eqs_untried > MOST_UNTRIED:
        return (
            f"{remains.eqs_untried} EQs have not been pushed yet and may lead to more; their "
            "pushes were not counted."
        )
    if not count:
        return ""
    if left:
        return f"{left} of the {count} pushes of the structures so far are left and may find more."
    return f"{every}; further attempts are left." if complete.anything_left else f"{every}."


def _window(run: Run) -> str:
    """What lies above the window."""
    window = run.settings.window_kj_mol
    if window is None:
        return ""
    trials = run.summary.trials.get(Outcome.OUTSIDE_WINDOW, 0)
    eqs = run.remains.eqs_above
    where = f"bove the window, {window:g} kJ/mol above the start"
    if not trials and not eqs:
        return f"Nothing was met a{where}."
    left = f" and {_counted(eqs, 'EQ')} not pushed" if eqs else ""
    return f"A{where}, {trials} trial{'s' * (trials != 1)} ended{left}."


def _left_alone(run: Run) -> str:
    """What was left alone for other reasons than its energy."""
    remains, told = run.remains, []
    if remains.complexes:
        told.append(
            f"{_counted(remains.complexes, 'complex', 'complexes')} not pushed (--expand-complexes)"
        )
    if remains.eqs_deeper:
        told.append(f"{_counted(remains.eqs_deeper, 'EQ')} not pushed for --bond-depth")
    if run.settings.targets is not None:
        told.append("only what moves the target atoms was tried, and nothing at random")
    sentence = "; ".join(told)
    return f"{sentence[:1].upper()}{sentence[1:]}." if told else ""


def _counted(count: int, one: str, several: str = "") -> str:
    """``1 EQ was`` or ``5 EQs were``."""
    return f"1 {one} was" if count == 1 else f"{count} {several or one + 's'} were"


def _unseen(run: Run) -> str:
    """How many transition states are still unseen."""
    unseen = run.remains.unseen
    done = run.summary.complete.stopped_by is StoppedBy.NOTHING_LEFT
    left = run.remains.pushes_left or run.remains.eqs_untried > MOST_UNTRIED
    if not unseen.trials or (left and not done):
        return ""  # too early to tell: what is left may lead anywhere
    if unseen.estimate is None or unseen.low is None or unseen.high is None:
        return (
            "No transition state between two structures was met: how many are unseen is not known."
        )
    low, high = floor(unseen.low), round(unseen.high)
    number = f"about {unseen.estimate:.0f} ({low} to {high})" if high > 0 else "hardly any"
    return (
        f"Such trials can find {number} transition states beyond the {unseen.observed} known "
        "(Chao's estimate)."
    )
