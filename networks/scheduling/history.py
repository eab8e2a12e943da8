"""The trials of a run in short form, those in flight included."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence

from afir.methods.base import Offer
from afir.stationary import Outcome
from networks.records.ids import Id
from networks.records.trials import Item, Planned, Result, Trial, Used

_ENDED = {Outcome.FOUND, Outcome.NO_BARRIER, Outcome.NO_SADDLE, Outcome.OUTSIDE_WINDOW}
"""The outcomes of pushes that ran to their end."""


def result_of(trial: Trial) -> Result:
    """The result of a trial, for further attempts."""
    if not trial.offered.forces:
        return Result.DISPLACED
    if trial.crossed:
        return Result.MISSED if trial.outcome is Outcome.NO_SADDLE else Result.MOVED
    return Result.UNMOVED if trial.outcome in _ENDED else Result.FAILED


class History:
    """What was tried, and what came of it.

    Parameters
    ----------
    trials
        All judged trials, in order.

    Attributes
    ----------
    under_way
        What is tried in the trials in flight.
    """

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        self._used: list[Used] = []  # judged trials, then those in flight
        self._judged = 0
        self._in_flight: deque[Planned] = deque()
        self.under_way: dict[Item, Offer] = {}
        self._found: list[tuple[int, tuple[Id, ...]]] = []
        self._last: dict[Item, tuple[Result, float]] = {}
        for trial in trials:
            self.add(trial)

    def plan(self, planned: Planned) -> None:
        """Take in the next trial, which begins now."""
        self._used.append(Used(planned.item, planned.left, Result.RUNNING))
        self._in_flight.append(planned)
        self.under_way[planned.item] = planned.offer

    def add(self, trial: Trial) -> None:
        """Take in the next judged trial."""
        item, result = Item(trial.eq, trial.push), result_of(trial)
        self._used[self._judged : self._judged + 1] = [Used(item, trial.pushes_left, result)]
        self._judged += 1
        if self._in_flight:
            del self.under_way[self._in_flight.popleft().item]
        self._last[item] = result, trial.gamma
        if trial.found:
            self._found.append((trial.number, trial.found))

    def used(self) -> Iterator[Used]:
        """All trials, in order."""
        return iter(self._used)

    def in_flight(self) -> Sequence[Planned]:
        """The trials that are not judged yet, in order."""
        return self._in_flight

    def last(self, item: Item) -> tuple[Result, float] | None:
        """The result of a push and the γ in kJ/mol at which it crossed; None if never judged."""
        return self._last.get(item)

    def barren(self) -> int:
        """Number of judged trials since one last added a node."""
        return self._judged - (self._found[-1][0] if self._found else 0)

    def barren_kicks(self, first: int, dull: Collection[str]) -> int:
        """Number of random geometries since anything new was last found.

        Parameters
        ----------
        first
            The number of the first random geometry of an EQ.
        dull
            The ids of EQs and TSs that do not count as new; no DC does.
        """
        finds = (number for number, ids in reversed(self._found) if _something(ids, dull))
        last = next(finds, 0)
        return sum(item.push >= first for item, _, _ in self._used[last : self._judged])


def _something(ids: tuple[Id, ...], dull: Collection[str]) -> bool:
    """Whether a trial added an EQ or a TS that is not in `dull`."""
    return any(id.kind != "DC" and id not in dull for id in ids)
