"""The policy ``learned``: offers are chosen by what a model expects of them, for its price."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from afir.errors import InputError
from afir.methods.base import Offer
from afir.policies import Expectation, Explanation, Offers, Structure, Structures, Tried
from afir.units import KJ_PER_MOL
from mlpot.policies.correction import TERMS, Correction, factors
from mlpot.policies.memory import KIND, PRODUCT, SPECIES, STRUCTURE, Grouping, Memory
from mlpot.policies.model import NAMES, PolicyModel, load_model, shipped_model
from mlpot.policies.pool import Described, Pool
from mlpot.policies.replay import LOW
from mlpot.policies.structure import DescribedStructure, Floats, Ints
from mlpot.policies.telling import Asked, doubt_of, expected, explained

EXPLORE = ("greedy", "ucb", "expected-improvement", "thompson")
"""How the uncertainty of what is expected counts."""

_EQS = 400  # open EQs that are considered, the lowest
_REMEMBERED = 256  # structures whose descriptions are kept
_TIE = 1e-6  # relative: expectations that differ less are equal, and chance decides
# An offer under way makes others less promising: equivalent ones, those from one species to the
# same product, those on the same structure. From replays of 16 molecules.
_ALIKE, _SAME_PRODUCT, _SAME_STRUCTURE = 0.4, 0.7, 0.96


class Learned:
    """Chooses the offers that are expected to bring most for their gradients.

    A model that was trained on other runs (`PolicyModel`) foretells what is new in what an offer
    finds and what its search costs. What this run has found corrects it (`Correction`), and
    decides where offers are unlike all of the training. Offers under way make similar ones less
    promising. Only the 400 open EQs of lowest energy are considered. Offers must be used up only by
    taking what was chosen.

    Parameters
    ----------
    model
        The model.
    explore
        One of `EXPLORE`.
    weights
        (3,) the worth of a TS, of a low TS beyond that, and of an EQ.
    """

    def __init__(self, model: PolicyModel, explore: str, weights: Floats) -> None:
        self._model, self._explore, self._weights = model, explore, weights
        self._grouping, self._memory, self._correction = Grouping(), Memory(), Correction()
        self._structures: OrderedDict[str, DescribedStructure] = OrderedDict()
        self._offers: Offers | None = None  # of this pool
        self._pool = Pool(model, weights, self._memory)
        self._chosen: list[tuple[str, int]] = []  # perhaps used up since
        self._groups: dict[tuple[str, int], Ints] = {}  # of what was chosen and not learned yet
        self._species: dict[str, int] = {}

    def learn(self, trials: Iterable[Tried], network: Structures) -> None:
        """See `Policy.learn`."""
        for id, some in groupby(trials, key=lambda trial: trial.eq):
            mine = list(some)
            described = self._described(
                network.eqs[id], [Offer(trial.method, trial.offer) for trial in mine], network
            )
            for row, trial in enumerate(mine):
                self._groups.pop((trial.eq, trial.push), None)
                self._learn(trial, described, row, network)

    def _learn(self, trial: Tried, described: Described, row: int, network: Structures) -> None:
        """Take in a trial whose offer has been described."""
        if not len(self._species):
            self._know(network, ["EQ0"], [])
        groups = described.groups[[row]]
        now = self._memory.features(groups)
        rows = np.hstack([described.features[[row]], now]).astype(np.float64)
        (expected,), _, _ = self._model.foretold(rows, self._weights)
        terms = described.terms(np.array([row]), self._memory, now)
        eqs = [id for id in trial.found if id.startswith("EQ")]
        tss = [id for id in trial.found if id.startswith("TS")]
        limit = network.eqs["EQ0"].energy + LOW * KJ_PER_MOL
        low = sum(network.tss[id].energy < limit for id in tss)
        found = np.array([len(tss), low, len(eqs)]) @ self._weights
        self._correction.add(terms[0], float(found), float(expected))
        self._memory.add(groups[0], len(tss) + len(eqs))
        self._know(network, eqs, tss)

    def _know(self, network: Structures, eqs: list[str], tss: list[str]) -> None:
        """Remember the species of new structures, and which are connected."""
        species = [self._species_of(network.eqs[id], network) for id in eqs]
        links = []
        for id in tss:
            ends = network.tss[id].ends
            if all(end in network.eqs for end in ends):
                first, second = (self._species_of(network.eqs[end], network) for end in ends)
                links.append((first, second))
        self._memory.know(species, links)

    def _species_of(self, eq: Structure, network: Structures) -> int:
        if eq.id not in self._species:
            self._species[eq.id] = self._grouping.species_of(self._structure(eq, network))
        return self._species[eq.id]

    def choose(
        self, offers: Offers, network: Structures, n: int, rng: np.random.Generator
    ) -> list[tuple[str, int]]:
        """See `Policy.choose`."""
        return self._best(self._explore, offers, network, n, rng)

    def propose(
        self, offers: Offers, network: Structures, n: int, rng: np.random.Generator
    ) -> list[Expectation]:
        """See `afir.policies.Proposes`: in the order of what is expected, not of `explore`."""
        best = self._best("greedy", offers, network, n, rng)
        those = {(id, number): offers.left(id)[number] for id, number in best}
        asked = self._asked(those, offers.under_way, network)
        return expected(self._model, self._weights, asked)

    def explain(
        self,
        offers: Mapping[tuple[str, int], Offer],
        under_way: Mapping[tuple[str, int], Offer],
        network: Structures,
    ) -> list[Explanation]:
        """See `afir.policies.Explains`."""
        return explained(self._model, self._weights, self._asked(offers, under_way, network))

    def doubt(self, offers: Sequence[Offer], network: Structures) -> str:
        """See `afir.policies.Doubts`."""
        if not offers:
            return ""
        described = self._described(network.eqs["EQ0"], list(offers), network)
        return doubt_of(self._model.range, described.features.astype(np.float64))

    def _asked(
        self,
        offers: Mapping[tuple[str, int], Offer],
        under_way: Mapping[tuple[str, int], Offer],
        network: Structures,
    ) -> Asked:
        """Offers with their features now; each counts as under way for those after it."""
        if not len(self._species):
            self._know(network, ["EQ0"], [])
        items, count = list(offers), len(offers)
        places: dict[str, list[int]] = {}  # of the offers on each structure
        for place, (id, _) in enumerate(items):
            places.setdefault(id, []).append(place)
        rows, terms = np.zeros((count, len(NAMES))), np.zeros((count, TERMS))
        groups: Ints = np.zeros((count, 7), dtype=np.int64)
        for id, mine in places.items():
            some = [offers[items[place]] for place in mine]
            described = self._described(network.eqs[id], some, network)
            now = self._memory.features(described.groups)
            groups[mine] = described.groups
            rows[mine] = np.hstack([described.features, now])
            terms[mine] = described.terms(np.arange(len(mine)), self._memory, now)
        likenesses = np.ones(count)
        for item, offer in under_way.items():
            likenesses *= _likeness(groups, self._groups_of(item, offer, network))
        for place in range(count):
            likenesses[place + 1 :] *= _likeness(groups[place + 1 :], groups[place])
        corrections = factors(terms, self._correction.fit()[0])
        return Asked(items, list(offers.values()), rows, corrections, likenesses)

    def _best(
        self, explore: str, offers: Offers, network: Structures, n: int, rng: np.random.Generator
    ) -> list[tuple[str, int]]:
        """The best offers, in order, by one way to explore."""
        pool = self._pool_of(offers, network)
        rows = pool.rows([eq.id for eq in islice(offers.by_energy(), _EQS) if eq.id in pool])
        pool.update(rows)
        values = self._values(explore, rows, rng) * (1.0 + _TIE * rng.random(len(rows)))
        groups = pool.groups[rows]
        for item, offer in offers.under_way.items():
            values *= _likeness(groups, self._groups_of(item, offer, network))
        left = np.ones(len(rows), dtype=bool)
        while len(self._chosen) < min(n, len(rows)):
            best = int(np.argmax(np.where(left, values, -np.inf)))
            left[best] = False
            item = pool.item(int(rows[best]))
            self._groups[item] = groups[best]
            self._chosen.append(item)
            values *= _likeness(groups, groups[best])
        return list(self._chosen)

    def _values(self, explore: str, rows: Ints, rng: np.random.Generator) -> Floats:
        """What each offer is expected to bring for a gradient."""
        pool = self._pool
        gains, spreads = pool.gains[rows], pool.spreads[rows]
        thompson = explore == "thompson"
        beta = self._correction.drawn(rng) if thompson else self._correction.fit()[0]
        factor = factors(pool.terms[rows], beta) / pool.costs[rows]
        if explore == "ucb":
            gains = gains + spreads
        values = gains * factor
        if explore == "expected-improvement":
            values = _improvement(values, spreads * factor)
        return values

    def _pool_of(self, offers: Offers, network: Structures) -> Pool:
        """The offers that are left on the lowest structures."""
        if offers is not self._offers:
            self._offers, self._chosen = offers, []
            self._pool = Pool(self._model, self._weights, self._memory)
        pool = self._pool
        for item in self._chosen:
            if item[0] in pool and not offers.is_left(item):
                pool.use(item)
        self._chosen = []
        if not len(self._species):
            self._know(network, ["EQ0"], [])
        considered = list(islice(offers.by_energy(), _EQS))
        ids = {eq.id for eq in considered}
        for id in pool.structures:
            if id not in ids:
                pool.drop(id)
        for eq in considered:
            if eq.id in pool:
                continue
            left = offers.left(eq.id)
            if left:
                pool.add(eq, list(left), self._described(eq, list(left.values()), network))
        return pool

    def _described(self, eq: Structure, offers: list[Offer], network: Structures) -> Described:
        height = eq.energy - network.eqs["EQ0"].energy
        return Described(self._structure(eq, network), offers, height, self._grouping)

    def _structure(self, eq: Structure, network: Structures) -> DescribedStructure:
        """The description of a structure; the last ones are kept."""
        known = self._structures
        if eq.id not in known:
            known[eq.id] = DescribedStructure(network.molecule, eq)
            if len(known) > _REMEMBERED:
                known.popitem(last=False)
        known.move_to_end(eq.id)
        return known[eq.id]

    def _groups_of(self, item: tuple[str, int], offer: Offer, network: Structures) -> Ints:
        """The groups (7,) of an offer under way."""
        if item not in self._groups:
            described = self._described(network.eqs[item[0]], [offer], network)
            self._groups[item] = described.groups[0]
        return self._groups[item]


def _likeness(groups: Ints, chosen: Ints) -> Floats:
    """What offers (m, 7) are still worth when one (7,) is under way."""
    factor = np.where(groups[:, KIND] == chosen[KIND], _ALIKE, 1.0)
    if chosen[PRODUCT] != chosen[SPECIES]:  # it is meant to change bonds
        same = (groups[:, PRODUCT] == chosen[PRODUCT]) & (groups[:, SPECIES] == chosen[SPECIES])
        factor[same] *= _SAME_PRODUCT
    factor[groups[:, STRUCTURE] == chosen[STRUCTURE]] *= _SAME_STRUCTURE
    return factor


def _improvement(means: Floats, spreads: Floats) -> Floats:
    """By how much each is expected to surpass the best mean, normal distributions assumed."""
    from scipy.stats import norm  # half a second to import, and seldom asked for

    spreads = np.maximum(spreads, 1e-12)
    z = (means - means.max(initial=0.0)) / spreads
    result: Floats = spreads * (z * norm.cdf(z) + norm.pdf(z))
    return result


def learned(
    model: str = "",
    explore: str = "thompson",
    eq_weight: float = 0.3,
    low_weight: float = 0.5,
) -> Learned:
    """The policy ``learned``.

    Parameters
    ----------
    model
        A file written by ``afir learn-policy``; the model of this package if it is not given.
    explore
        ``greedy`` (what is expected), ``ucb`` (plus one standard deviation among the trees),
        ``expected-improvement``, or ``thompson`` (the correction is drawn from its posterior).
    eq_weight
        The worth of a new EQ; that of a new TS is 1.
    low_weight
        What a new TS less than 300 kJ/mol above the start is worth beyond that.
    """
    if explore not in EXPLORE:
        raise InputError(f"`explore` must be one of {', '.join(EXPLORE)}, got {explore!r}")
    for name, weight in (("eq_weight", eq_weight), ("low_weight", low_weight)):
        if not 0.0 <= weight <= 1e3:
            raise InputError(f"`{name}` must be from 0 to 1000, got {weight}")
    known = load_model(Path(model)) if model else shipped_model()
    return Learned(known, explore, np.array([1.0, low_weight, eq_weight]))
