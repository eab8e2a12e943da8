"""The offers that are left on open structures, with what is expected of each.

An expectation follows from an offer and from the counts of its groups (`memory`). It is worked out
anew only when one of these counts has changed, so that thousands of offers cost little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afir.methods.base import Offer
from afir.policies import Structure
from mlpot.policies import correction
from mlpot.policies.features import Terms, features
from mlpot.policies.memory import KIND, Grouping, Memory
from mlpot.policies.model import PolicyModel
from mlpot.policies.structure import DescribedStructure, Floats, Ints

_SPARE = 2  # arrays are made anew when they are longer than so many times the offers left


def way_of(offer: Offer) -> int:
    """The number of the way of an offer in `correction.WAYS`; len(WAYS) for any other."""
    signs = sorted(force["sign"] for force in offer.forces)
    name = str(offer.data.get("kind"))
    if signs:
        extremes = (signs[-1], signs[0])[: len(signs)]
        name = "".join("+" if sign > 0 else "-" for sign in extremes)
    known = correction.WAYS
    return known.index(name) if name in known else len(known)


class Described:
    """Offers on a structure with their features, groups and ways.

    Parameters
    ----------
    structure
        The structure.
    offers
        The offers.
    height
        Its energy above the start in eV.
    grouping
        The groups of the run.
    """

    def __init__(
        self,
        structure: DescribedStructure,
        offers: Sequence[Offer],
        height: float,
        grouping: Grouping,
    ) -> None:
        terms = Terms(structure, offers)
        self.features = features(structure, offers, terms, height).astype(np.float32)
        self.groups = grouping.of(structure, offers, terms)
        self.ways: Ints = np.array([way_of(offer) for offer in offers], dtype=np.int64)
        self.height = height

    def terms(self, rows: Ints, memory: Memory, now: Ints) -> Floats:
        """The terms of the correction for some of the offers with these features of the run."""
        heights = np.full(len(rows), self.height)
        return correction_terms(self.groups[rows], self.ways[rows], heights, memory, now)


def correction_terms(
    groups: Ints, ways: Ints, heights: Floats, memory: Memory, now: Ints
) -> Floats:
    """The terms (m, k) of the correction for offers with these groups and features of the run."""
    return correction.terms(ways, memory.tries(groups[:, KIND], KIND), now[:, 4], heights)


_ARRAYS = (
    *("_features", "_trust", "_now", "_ways", "_heights"),
    *("groups", "terms", "gains", "spreads", "costs"),
)


class Pool:
    """The offers left on open structures.

    Attributes
    ----------
    gains, spreads, costs
        (m,) what is expected of each offer.
    groups
        (m, 7) its groups.
    terms
        (m, k) its terms of the correction.
    """

    def __init__(self, model: PolicyModel, weights: Floats, memory: Memory) -> None:
        self._model, self._weights, self._memory = model, weights, memory
        self._places: dict[str, Ints] = {}  # the rows left of each structure
        self._items: list[tuple[str, int]] = []
        self._row_of: dict[tuple[str, int], int] = {}
        self._new: list[dict[str, NDArray[Any]]] = []  # arrays that are not joined yet
        self._empty = True
        self._features: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)
        self._trust: Floats = np.zeros(0)
        self._now: Ints = np.zeros((0, 0), dtype=np.int64)
        self._ways: Ints = np.zeros(0, dtype=np.int64)
        self._heights: Floats = np.zeros(0)
        self.groups: Ints = np.zeros((0, 7), dtype=np.int64)
        self.terms: Floats = np.zeros((0, 0))
        self.gains: Floats = np.zeros(0)
        self.spreads: Floats = np.zeros(0)
        self.costs: Floats = np.zeros(0)

    def __contains__(self, id: str) -> bool:
        return id in self._places

    @property
    def structures(self) -> list[str]:
        """The ids of the structures that are in it."""
        return list(self._places)

    def item(self, row: int) -> tuple[str, int]:
        """The structure and the number of the offer in a row."""
        return self._items[row]

    def add(self, eq: Structure, numbers: Sequence[int], described: Described) -> None:
        """Add a structure with the offers that it has left."""
        first = len(self._items)
        self._items += [(eq.id, number) for number in numbers]
        self._row_of |= {item: first + k for k, item in enumerate(self._items[first:])}
        self._places[eq.id] = np.arange(first, len(self._items))
        heights = np.full(len(numbers), described.height)
        now = self._memory.features(described.groups)
        terms = correction_terms(described.groups, described.ways, heights, self._memory, now)
        rows = np.hstack([described.features, now]).astype(np.float64)
        trust = self._model.trust(described.features.astype(np.float64))
        expected = self._model.foretold(rows, self._weights, trust)
        values = described.features, trust, now, described.ways, heights, described.groups, terms
        self._new.append(dict(zip(_ARRAYS, (*values, *expected), strict=True)))

    def _join(self) -> None:
        """Join the arrays of structures that were added, all at once: each time all is copied."""
        for name in _ARRAYS:
            parts = [] if self._empty else [getattr(self, name)]
            setattr(self, name, np.concatenate([*parts, *(new[name] for new in self._new)]))
        self._empty = False
        self._new.clear()

    def use(self, item: tuple[str, int]) -> None:
        """Remove an offer, and its structure with its last."""
        rows = self._places[item[0]]
        self._places[item[0]] = rows[rows != self._row_of.pop(item)]
        if not len(self._places[item[0]]):
            del self._places[item[0]]

    def drop(self, id: str) -> None:
        """Remove a structure."""
        for row in self._places.pop(id).tolist():
            del self._row_of[self._items[row]]

    def rows(self, ids: Iterable[str]) -> Ints:
        """The rows of all offers, the structures in this order; what was removed is forgotten."""
        self._places = {id: self._places[id] for id in ids}
        if self._new:
            self._join()
        left: Ints = np.concatenate([np.zeros(0, dtype=np.int64), *self._places.values()])
        if len(self._items) > _SPARE * len(left):
            self._keep(left)
            left = np.arange(len(left))
        return left

    def _keep(self, rows: Ints) -> None:
        for name in _ARRAYS:
            setattr(self, name, getattr(self, name)[rows])
        self._items = [self._items[row] for row in rows.tolist()]
        self._row_of = {item: row for row, item in enumerate(self._items)}
        first = 0
        for id, mine in self._places.items():
            self._places[id] = np.arange(first, first + len(mine))
            first += len(mine)

    def update(self, rows: Ints) -> None:
        """Work out anew what is expected of offers whose groups were tried or found something."""
        dirty = self._memory.changed(self.groups[rows])
        rows = rows[dirty]
        if not len(rows):
            return
        now = self._memory.features(self.groups[rows])
        self.terms[rows] = correction_terms(
            self.groups[rows], self._ways[rows], self._heights[rows], self._memory, now
        )
        different = (now != self._now[rows]).any(axis=1)
        rows, now = rows[different], now[different]
        self._now[rows] = now
        if len(rows):
            x = np.hstack([self._features[rows], now]).astype(np.float64)
            self.gains[rows], self.spreads[rows], self.costs[rows] = self._model.foretold(
                x, self._weights, self._trust[rows]
            )
