"""The number of unseen classes, estimated from how often each of the others was met.

If many were met only once, many were probably never met. The estimate is A. Chao's for
incidences (10.2307/2531532) in the form that is corrected for bias, with its log-normal interval
(A. Chao and R. K. Colwell, 10.2436/20.8080.02.49). It is a lower bound: the more unequal the
classes are, the more of them are missing from it, and one that no trial can meet always is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from afir.errors import InputError

_Z = 1.959964  # standard deviations on either side that hold 95 % of a normal distribution


@dataclass(frozen=True)
class Unseen:
    """The numbers of observed and unseen classes.

    Attributes
    ----------
    observed
        Number of classes that were met.
    met_once, met_twice
        Number of classes that were met in exactly one trial, and in two.
    trials
        Number of trials.
    estimate
        Number of unseen classes; None if nothing was met.
    low, high
        95 % interval of the estimate; None if nothing was met.
    """

    observed: int = 0
    met_once: int = 0
    met_twice: int = 0
    trials: int = 0
    estimate: float | None = None
    low: float | None = None
    high: float | None = None


def unseen(counts: Iterable[int], trials: int) -> Unseen:
    """The estimated number of classes that were never met.

    Parameters
    ----------
    counts
        Number of trials in which each class was met.
    trials
        Number of trials.

    Raises
    ------
    InputError
        For a class that was met in no trial, or in more than there were.
    """
    met = Counter(counts)
    if trials < 0 or any(not 0 < times <= trials for times in met):
        raise InputError(f"`counts` must be from 1 to {trials} trials, got {sorted(met)}")
    observed = met.total()
    if observed == 0:
        return Unseen(trials=trials)
    once, twice = met[1], met[2]
    share = (trials - 1) / trials
    more = share * once * max(once - 1, 0) / (2 * (twice + 1))
    low, high = _interval(more, once, twice, share) if more > 0 else _interval_of_none(met, trials)
    return Unseen(observed, once, twice, trials, more, low, high)


def _interval(more: float, once: int, twice: int, share: float) -> tuple[float, float]:
    """The log-normal 95 % interval of an estimate `more`."""
    variance = (
        more
        + share**2 * once * (2 * once - 1) ** 2 / (4 * (twice + 1) ** 2)
        + share**2 * once**2 * twice * (once - 1) ** 2 / (4 * (twice + 1) ** 4)
    )
    spread = math.exp(_Z * math.sqrt(math.log(1 + variance / more**2)))
    return more / spread, more * spread


def _interval_of_none(met: Counter[int], trials: int) -> tuple[float, float]:
    """The 95 % interval of an estimate of zero: the classes that as many trials would miss.

    A class that was met k times is missed with a probability of e^−k.
    """
    observed = met.total()
    missed = sum(number * math.exp(-times) for times, number in met.items())
    variance = sum(number * math.exp(-k) * (1 - math.exp(-k)) for k, number in met.items())
    variance -= sum(k * number * math.exp(-k) for k, number in met.items()) ** 2 / trials
    chance = missed / observed
    centre = observed * chance / (1 - chance)
    half = _Z * math.sqrt(max(variance, 0.0)) / (1 - chance)
    return max(0.0, centre - half), centre + half
