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
from mlpot.policies.correction import TERMS
from mlpot.policies.memory import Grouping, Memory
from mlpot.policies.model import NAMES, PolicyModel, load_model, shipped_model
from mlpot.policies.pool import Described, Pool
from mlpot.policies.ranking import EQ_WEIGHT, EXPLORE, LOW_WEIGHT, Ranking, best, likeness
from mlpot.policies.replay import LOW
from mlpot.policies.structure import DescribedStructure, Floats, Ints
from mlpot.policies.telling import Asked, doubt_of, expected, explained

_EQS = 400  # open EQs that are considered, the lowest
PACKAGED = "packaged"
"""The name of the model of this package, as a file is named."""
_REMEMBERED = 256  # structures whose descriptions are kept


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
        self._model, self._weights = model, weights
        self._grouping, self._memory = Grouping(), Memory()
        self._ranking = Ranking(model, explore, weights)
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
        terms = described.terms(np.array([row]), self._memory, now)
        eqs = [id for id in trial.found if id.startswith("EQ")]
        tss = [id for id in trial.found if id.startswith("TS")]
        limit = network.eqs["EQ0"].energy + LOW * KJ_PER_MOL
        low = sum(network.tss[id].energy < limit for id in tss)
        self._ranking.weigh(rows, terms, (len(tss), low, len(eqs)))
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
        return self._best(None, offers, network, n, rng)

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
            likenesses *= likeness(groups, self._groups_of(item, offer, network))
        for place in range(count):
            likenesses[place + 1 :] *= likeness(groups[place + 1 :], groups[place])
        corrections = self._ranking.corrections(terms)
        return Asked(items, list(offers.values()), rows, corrections, likenesses)

    def _best(
        self,
        explore: str | None,
        offers: Offers,
        network: Structures,
        n: int,
        rng: np.random.Generator,
    ) -> list[tuple[str, int]]:
        """The best offers, in order, by one way to explore; None is that of the policy."""
        pool = self._pool_of(offers, network)
        rows = pool.rows([eq.id for eq in islice(offers.by_energy(), _EQS) if eq.id in pool])
        pool.update(rows)
        foretold = pool.gains[rows], pool.spreads[rows], pool.costs[rows]
        values = self._ranking.values(foretold, pool.terms[rows], rng, explore)
        groups = pool.groups[rows]
        for item, offer in offers.under_way.items():
            values *= likeness(groups, self._groups_of(item, offer, network))
        for place in islice(best(values, groups), n):
            item = pool.item(int(rows[place]))
            self._groups[item] = groups[place]
            self._chosen.append(item)
        return list(self._chosen)

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


def learned(
    model: str | Path = PACKAGED,
    explore: str = "thompson",
    eq_weight: float = EQ_WEIGHT,
    low_weight: float = LOW_WEIGHT,
) -> Learned:
    """The policy ``learned``.

    Parameters
    ----------
    model
        A file written by ``afir learn-policy``; ``packaged`` is the model of this package.
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
    if not isinstance(model, str | Path) or not str(model):
        raise InputError(
            f"`model` must be a file of afir learn-policy, or {PACKAGED!r}, got {model!r}"
        )
    known = shipped_model() if model == PACKAGED else load_model(Path(model))
    return Learned(known, explore, np.array([1.0, low_weight, eq_weight]))
