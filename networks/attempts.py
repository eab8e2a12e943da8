"""Trying once more what crossed a barrier without a saddle point being found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from networks.frontier import Frontier, PushTerms
from networks.records import EQ, Used


def further_attempts(
    attempt: int,
    tried: Iterable[Used],
    eqs: Iterable[EQ],
    pushes: Callable[[EQ], Sequence[PushTerms]],
) -> Frontier:
    """The pushes that are due for another attempt, from another displacement.

    They are numbered behind those of the attempts before. Pushes are worked out only of the EQs
    that have one due, if it can be told without.

    Parameters
    ----------
    attempt
        Which attempt: 1 is the first after the first.
    tried
        All pushes that were tried, in order.
    eqs
        The EQs that are worth expanding.
    pushes
        Works out all pushes of an EQ.
    """
    missed: dict[str, set[int]] = {}
    used: dict[str, list[int]] = {}
    counts: dict[str, int] = {}  # how many pushes an EQ has, where its last trial tells
    for (id, push), left, in_vain in tried:
        used.setdefault(id, []).append(push)
        if in_vain:
            missed.setdefault(id, set()).add(push)
        if left == 0:
            counts.setdefault(id, len(used[id]))

    def again(eq: EQ) -> dict[int, PushTerms]:
        listed = pushes(eq)
        numbers = enumerate(listed, start=attempt * len(listed))
        return {number: terms for number, terms in numbers if number - len(listed) in missed[eq.id]}

    frontier = Frontier(again)
    for eq in eqs:
        if eq.id not in missed:
            continue
        count = counts.get(eq.id) or len(pushes(eq))
        before = range((attempt - 1) * count, attempt * count)
        due = {number + count for number in missed[eq.id].intersection(before)}
        left = len(due.difference(used[eq.id]))
        if left:
            frontier.add(eq, used[eq.id], left)
    return frontier
