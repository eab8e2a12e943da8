"""Repeated trials: pushes that found no saddle point, stronger pushes, random geometries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from afir.methods.base import Offer
from networks.records.structures import EQ
from networks.records.trials import Result, Used
from networks.scheduling.offers import KICKS
from networks.scheduling.queue import Frontier

_AT_ONCE = 2  # random geometries of each EQ before any EQ gets more


def further_attempts(
    attempt: int,
    tried: Iterable[Used],
    eqs: Iterable[EQ],
    pushes: Callable[[EQ], Sequence[Offer]],
    due: Callable[[Result], bool],
) -> Frontier:
    """The pushes that are due for another attempt, from another displacement.

    Their numbers follow those of earlier attempts. The pushes of an EQ are worked out only if one
    of them is due, as far as that is known beforehand.

    Parameters
    ----------
    attempt
        Which attempt: 1 is the first after the first.
    tried
        All that was tried, in order.
    eqs
        The EQs that are worth expanding.
    pushes
        Works out all pushes of an EQ.
    due
        Whether a push with this result in the attempt before is repeated in this one.
    """
    missed: dict[str, set[int]] = {}
    used: dict[str, list[int]] = {}
    counts: dict[str, int] = {}  # number of pushes of an EQ, if its last trial tells
    for (id, push), left, result in tried:
        if push >= KICKS:
            continue
        used.setdefault(id, []).append(push)
        if due(result):
            missed.setdefault(id, set()).add(push)
        if left == 0:
            counts.setdefault(id, len(used[id]))

    def again(eq: EQ) -> dict[int, Offer]:
        listed = pushes(eq)
        numbers = enumerate(listed, start=attempt * len(listed))
        return {number: offer for number, offer in numbers if number - len(listed) in missed[eq.id]}

    frontier = Frontier(again)
    for eq in eqs:
        if eq.id not in missed:
            continue
        count = counts.get(eq.id) or len(pushes(eq))
        before = range((attempt - 1) * count, attempt * count)
        wanted = {number + count for number in missed[eq.id].intersection(before)}
        left = len(wanted.difference(used[eq.id]))
        if left:
            frontier.add(eq, used[eq.id], left)
    return frontier


def further_kicks(
    tried: Iterable[Used], eqs: Iterable[EQ], endless: Callable[[EQ, int], Mapping[int, Offer]]
) -> Frontier:
    """The next offers without an end: a few of each EQ, starting with EQs that had the fewest.

    Parameters
    ----------
    tried
        All that was tried, in order.
    eqs
        The EQs that are worth expanding.
    endless
        Works out the first such offers of an EQ.
    """
    used: dict[str, list[int]] = {}
    for (id, push), _, _ in tried:
        if push >= KICKS:
            used.setdefault(id, []).append(push)
    expanded = list(eqs)
    fewest = min((len(used.get(eq.id, ())) for eq in expanded), default=0)
    last = _AT_ONCE * (fewest // _AT_ONCE + 1)

    frontier = Frontier(lambda eq: endless(eq, last))
    for eq in expanded:
        before = used.get(eq.id, [])
        if len(before) < last:
            frontier.add(eq, before, last - len(before))
    return frontier
