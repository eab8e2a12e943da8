"""The policy that learns during the run which offers find most per gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from afir.methods.base import Offer
from afir.methods.push_kinds import push_kinds
from afir.policies import Offers, Structure, Structures, Tried
from networks.policies.pool import Pool
from networks.policies.rates import (
    Ints,
    Rates,
    group_values,
    longer,
    model_terms,
    place_values,
    values,
    way_of,
)

_EQS = 1000  # open EQs that are considered, the lowest
_SHORTLIST = 64  # offers that are ranked again for each that is chosen, if several are


class Productive:
    """Chooses the offers that are expected to find most per gradient, judged by the trials so far.

    The number of TSs and EQs per gradient is a log-linear model (Poisson regression) of the forces
    that act together, the number of equivalent offers tried on any structure (see
    `afir.methods.push_kinds`), the number of trials on structures with the same bonding, and
    their energy. Its coefficients are drawn from their posterior (Thompson sampling), so that a bad
    start excludes nothing. Species that found more than the model expects are preferred. Offers
    that are under way count as tried. Only the thousand open EQs of lowest energy are considered.
    Offers must be used up only by taking what was chosen.
    """

    def __init__(self) -> None:
        self._rates = Rates()
        # Equivalent offers and species, numbered as they come, with the number of their trials.
        self._kinds, self._species = _Tally(), _Tally()
        self._about: dict[str, tuple[int, float]] = {}  # by EQ: species, eV above the start
        self._pool = Pool()
        self._offers: Offers | None = None  # of this pool
        self._chosen: list[tuple[str, int]] = []  # perhaps used up since
        self._kind_of: dict[tuple[str, int], int] = {}  # of what was chosen and not learned yet
        self._under_way: dict[tuple[str, int], tuple[int, int]] = {}  # kind and species
        self._changed: set[int] = set()  # kinds whose number of trials the pool does not know

    def learn(self, trials: Iterable[Tried], network: Structures) -> None:
        """See `Policy.learn`."""
        for trial in trials:
            eq, offer = network.eqs[trial.eq], Offer(trial.method, trial.offer)
            species, height = self._describe(eq, network)
            kind = self._kind((trial.eq, trial.push), offer, network)
            self._kind_of.pop((trial.eq, trial.push), None)
            terms = model_terms(
                np.array([way_of(offer)]),
                self._kinds.tries[[kind]],
                self._species.tries[[species]],
                np.array([height]),
            )
            found = sum(not id.startswith("DC") for id in trial.found)
            self._rates.add(terms[0], species, found, max(sum(trial.gradients.values()), 1))
            self._kinds.tries[kind] += 1
            self._species.tries[species] += 1
            self._changed.add(kind)

    def choose(
        self, offers: Offers, network: Structures, n: int, rng: np.random.Generator
    ) -> list[tuple[str, int]]:
        """See `Policy.choose`."""
        pool, places = self._considered(offers, network)
        fitted, root = self._rates.fit()
        drawn = fitted + np.linalg.solve(root.T, rng.normal(size=len(root)))
        record = self._rates.records(len(self._species))
        kinds, species = self._kinds.now(), self._species.now()
        of = pool.species[places]
        score = place_values(drawn, species[of], pool.heights[places]) + record[of]
        # Neighbours in the list are similar: ties are broken at random for a wider choice.
        wanted = 1 if n == 1 else _SHORTLIST * n
        where, rows, luck = pool.best(
            places, score[:, None, None] + group_values(drawn), wanted, rng
        )
        of, heights = pool.species[where], pool.heights[where]

        def ranked(some: Ints) -> Ints:
            """Some of the rows, the best first."""
            _, way, kind = rows[some].T
            terms = model_terms(way, kinds[kind], species[of[some]], heights[some])
            scores = values(terms, drawn) + record[of[some]]
            result: Ints = some[np.lexsort((luck[some], -scores))]
            return result

        # A choice makes equivalent offers and its species less promising. The shortlist may lack
        # an offer whose rank rises meanwhile.
        shortlist = ranked(np.arange(len(rows)))[:wanted]
        while len(self._chosen) < n and len(shortlist):
            first = int(ranked(shortlist)[0])
            number, _, kind = rows[first].tolist()
            self._chosen.append((pool.ids[where[first]], number))
            self._kind_of[self._chosen[-1]] = kind
            kinds[kind] += 1
            species[of[first]] += 1
            shortlist = shortlist[shortlist != first]
        return list(self._chosen)

    def _considered(self, offers: Offers, network: Structures) -> tuple[Pool, Ints]:
        """The offers now, and the places (m,) in them of the lowest EQs, lowest first."""
        if offers is not self._offers:
            self._offers, self._pool, self._chosen = offers, Pool(), []
            self._changed = set(range(len(self._kinds)))
        pool = self._pool
        for item in self._chosen:
            if item[0] in pool.places and not offers.is_left(item):
                pool.use(*item)
        self._chosen = []
        places = []
        for eq in offers.by_energy():
            place = pool.places.get(eq.id)
            if place is None:
                left = offers.left(eq.id)
                if not left:
                    continue
                place = self._add(eq, left, network)
            places.append(place)
            if len(places) == _EQS:
                break
        if len(pool.places) > len(places):
            for id in [pool.ids[place] for place in {*pool.places.values()}.difference(places)]:
                pool.drop(id)
        self._note_under_way(offers.under_way, network)
        times = self._kinds.now()
        for kind in self._changed:
            pool.tried(kind, int(times[kind]))
        self._changed.clear()
        return pool, np.array(places, dtype=np.int64)

    def _add(self, eq: Structure, left: Mapping[int, Offer], network: Structures) -> int:
        """Add an EQ with the offers that it has left; returns its place."""
        offers = [*left.values()]
        kinds = self._kinds.numbers(push_kinds(network.molecule, eq.positions, offers))
        rows = np.array([[*left], [*map(way_of, offers)], kinds], dtype=np.int64).T
        return self._pool.add(eq.id, rows, *self._describe(eq, network))

    def _note_under_way(self, now: Mapping[tuple[str, int], Offer], network: Structures) -> None:
        """Count the offers that are under way, and no others."""
        for item in [item for item in self._under_way if item not in now]:
            self._count(*self._under_way.pop(item), -1)
        for item in [item for item in now if item not in self._under_way]:
            species, _ = self._describe(network.eqs[item[0]], network)
            self._under_way[item] = self._kind(item, now[item], network), species
            self._count(*self._under_way[item], 1)

    def _count(self, kind: int, species: int, more: int) -> None:
        """Count an offer of a kind on a species that is under way."""
        self._kinds.under_way[kind] += more
        self._species.under_way[species] += more
        self._changed.add(kind)

    def _kind(self, item: tuple[str, int], offer: Offer, network: Structures) -> int:
        """The number of the kind of an offer."""
        if item not in self._kind_of:
            positions = network.eqs[item[0]].positions
            (kind,) = self._kinds.numbers(push_kinds(network.molecule, positions, [offer]))
            self._kind_of[item] = kind
        return self._kind_of[item]

    def _describe(self, eq: Structure, network: Structures) -> tuple[int, float]:
        """The number of the species of an EQ, and its energy above the start in eV."""
        if eq.id not in self._about:
            (species,) = self._species.numbers(push_kinds(network.molecule, eq.positions, [None]))
            self._about[eq.id] = species, eq.energy - network.eqs["EQ0"].energy
        return self._about[eq.id]


class _Tally:
    """Numbers for things as they come, and the number of trials of each.

    Attributes
    ----------
    tries, under_way
        Number of trials with a result, and of those without one yet.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self.tries: Ints = np.zeros(0, dtype=np.int64)
        self.under_way: Ints = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers(self, things: Iterable[int]) -> list[int]:
        """The numbers of things, new ones included."""
        result = [self._numbers.setdefault(thing, len(self._numbers)) for thing in things]
        self.tries = longer(self.tries, len(self._numbers))
        self.under_way = longer(self.under_way, len(self._numbers))
        return result

    def now(self) -> Ints:
        """Number of trials of each, with those under way."""
        result: Ints = self.tries + self.under_way
        return result


def productive() -> Productive:
    """The policy ``productive``."""
    return Productive()
