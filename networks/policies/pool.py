"""The offers that a policy can choose, counted so that the best are found without a look at each.

Of thousands of offers on an EQ many are as good as each other: those of one way (`rates.way_of`)
whose equivalents were tried equally often. They form a group.
"""

from __future__ import annotations

import numpy as np

from networks.policies.rates import REPEATS, WAYS, Floats, Ints, longer

NUMBER, WAY, KIND = range(3)
"""The columns of the rows of an EQ."""

_LEVELS = REPEATS + 1  # earlier trials of equivalent offers: none, 1, 2, 3 or more
_TIE = 1e-9  # groups whose scores differ less are compared again to the last bit


class Pool:
    """The offers left on open EQs.

    Attributes
    ----------
    places
        The place of each EQ in the arrays, by id.
    counts
        (k, WAYS, REPEATS + 1) number of offers left in each place, by way and by the number of
        earlier trials of equivalent offers.
    heights
        (k,) energy of the EQ in each place above the start, in eV.
    species
        (k,) number of its species.
    ids
        The EQ in each place.
    """

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.counts: Ints = np.zeros((0, WAYS, _LEVELS), dtype=np.int64)
        self.heights = np.zeros(0)
        self.species: Ints = np.zeros(0, dtype=np.int64)
        self.ids: list[str] = []
        self._free: list[int] = []
        self._rows: list[Ints] = []
        self._levels: Ints = np.zeros(0, dtype=np.int64)  # of each kind
        self._holders: dict[int, dict[int, int]] = {}  # by kind and place: offers left

    def add(self, id: str, rows: Ints, species: int, height: float) -> int:
        """Add an EQ with its offers as rows (m, 3); returns its place."""
        place = self._free.pop() if self._free else len(self._rows)
        if place == len(self._rows):
            self._rows.append(rows)
            self.ids.append(id)
            self.counts = longer(self.counts, place + 1)
            self.heights = longer(self.heights, place + 1)
            self.species = longer(self.species, place + 1)
        self._rows[place], self.ids[place] = rows, id
        self.heights[place], self.species[place] = height, species
        self.places[id] = place
        self._levels = longer(self._levels, int(rows[:, KIND].max(initial=-1)) + 1)
        np.add.at(self.counts[place], (rows[:, WAY], self._levels[rows[:, KIND]]), 1)
        for kind in rows[:, KIND].tolist():
            holders = self._holders.setdefault(kind, {})
            holders[place] = holders.get(place, 0) + 1
        return place

    def drop(self, id: str) -> None:
        """Remove an EQ."""
        place = self.places.pop(id)
        for kind in set(self._rows[place][:, KIND].tolist()):
            del self._holders[kind][place]
        self._rows[place] = self._rows[place][:0]
        self.counts[place] = 0
        self._free.append(place)

    def use(self, id: str, number: int) -> None:
        """Remove an offer of an EQ, and the EQ with its last."""
        place = self.places[id]
        rows = self._rows[place]
        gone = rows[:, NUMBER] == number
        for _, way, kind in rows[gone].tolist():
            self.counts[place, way, self._levels[kind]] -= 1
            self._holders[kind][place] -= 1
            if not self._holders[kind][place]:
                del self._holders[kind][place]
        self._rows[place] = rows[~gone]
        if not len(self._rows[place]):
            self.drop(id)

    def tried(self, kind: int, times: int) -> None:
        """Set how often offers of a kind were tried."""
        self._levels = longer(self._levels, kind + 1)
        before, level = int(self._levels[kind]), min(times, REPEATS)
        if level == before:
            return
        self._levels[kind] = level
        holders = self._holders.get(kind)
        if holders:
            places = np.fromiter(holders, np.int64, len(holders))
            left = np.fromiter(holders.values(), np.int64, len(holders))
            rows = self._rows[places[0]]
            way = rows[rows[:, KIND] == kind][0, WAY]  # equivalent offers are of one way
            self.counts[places, way, before] -= left
            self.counts[places, way, level] += left

    def best(
        self, places: Ints, scores: Floats, count: int, rng: np.random.Generator
    ) -> tuple[Ints, Ints, Floats]:
        """The offers of the best groups, at least `count` if there are as many.

        Parameters
        ----------
        places
            (m,) places of EQs.
        scores
            (m, WAYS, REPEATS + 1) score of each group of each of them, the higher the better.
        count
            How many offers are wanted.
        rng
            For ties.

        Returns
        -------
        where : (k,)
            The place of the EQ of each offer.
        rows : (k, 3)
            The offers.
        luck : (k,)
            Uniform random numbers: that of an offer is the one at its place in the list of all.
        """
        left = self.counts[places]
        shown = np.where(left > 0, scores, -np.inf)
        if count == 1:
            least = shown.max(initial=-np.inf)
        else:
            order = np.argsort(-shown, axis=None)
            enough = int(np.searchsorted(left.ravel()[order].cumsum(), count))
            least = shown.ravel()[order[enough : enough + 1]].max(initial=-np.inf)
        wanted = shown >= least - _TIE
        wanted &= left > 0
        firsts = np.concatenate([[0], left.sum(axis=(1, 2)).cumsum()])
        chosen: list[Ints] = [np.zeros((0, 3), dtype=np.int64)]
        where: list[Ints] = [places[:0]]
        listed: list[Ints] = [places[:0]]
        for index in np.flatnonzero(wanted.any(axis=(1, 2))).tolist():
            rows = self._rows[places[index]]
            picked = np.flatnonzero(wanted[index, rows[:, WAY], self._levels[rows[:, KIND]]])
            chosen.append(rows[picked])
            where.append(np.full(len(picked), places[index]))
            listed.append(firsts[index] + picked)
        at = np.concatenate(listed)
        luck = rng.random(int(at.max(initial=-1)) + 1)[at]
        return np.concatenate(where), np.concatenate(chosen), luck
