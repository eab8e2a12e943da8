"""The trials so far, in memory: trials never change, so each is read once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa

from networks.records.trials import Item, Result, Used
from networks.storage.rows import result_of


class Tried:
    """The trials of a run in short form.

    Attributes
    ----------
    outcomes
        Number of trials by the name of their outcome.
    gradients
        Gradient evaluations of the trials by stage.
    cpu_seconds
        Their processor time.
    """

    def __init__(self) -> None:
        self.outcomes = Counter[str]()
        self.gradients = Counter[str]()
        self.cpu_seconds = 0.0
        self._used: list[Used] = []
        self._found: list[tuple[int, tuple[str, ...]]] = []
        self._last: dict[Item, tuple[Result, float]] = {}

    def __len__(self) -> int:
        return len(self._used)

    def add(self, row: sa.Row[Any]) -> None:
        """Add the row of the next trial; ValueError if its number is not the next."""
        if row.number != len(self) + 1:
            raise ValueError(f"trials must be numbered, got {row.number} after {len(self)}")
        result = result_of(row.outcome, row.offer, crossed=row.crossed)
        item = Item(f"EQ{row.eq}", row.push)
        gradients = json.loads(row.gradients)
        self._used.append(Used(item, row.pushes_left, result))
        self._last[item] = result, row.gamma
        if row.found:
            self._found.append((row.number, tuple(row.found.split())))
        self.outcomes[row.outcome] += 1
        self.gradients.update(gradients)
        self.cpu_seconds += row.cpu_seconds

    def used(self) -> Iterator[Used]:
        """All trials in short form, in order."""
        return iter(self._used)

    def last(self, item: Item) -> tuple[Result, float] | None:
        """The result of a push and the γ in kJ/mol at which it crossed; None if never tried."""
        return self._last.get(item)

    def barren(self) -> int:
        """Number of trials since one last added a node."""
        return len(self) - (self._found[-1][0] if self._found else 0)

    def barren_kicks(self, first: int, dull: Collection[str]) -> int:
        """See `networks.storage.reading.Reader.barren_kicks`."""
        finds = (number for number, ids in reversed(self._found) if _something(ids, dull))
        last = next(finds, 0)
        return sum(item.push >= first for item, _, _ in self._used[last:])


def _something(ids: tuple[str, ...], dull: Collection[str]) -> bool:
    """Whether a trial added an EQ or a TS that is not in `dull`."""
    return any(not id.startswith("DC") and id not in dull for id in ids)
