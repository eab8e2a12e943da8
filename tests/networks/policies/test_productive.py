"""Kinds of pushes, and the policy that learns which pushes are worth their gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from minima import made_eq
from offered import climbed, forced, kicked, pulled, pushed

from afir.errors import AfirError
from afir.io.structures import read_structure
from afir.methods.artificial_force import ForceTerm
from afir.methods.base import Offer
from afir.methods.push_kinds import push_kinds
from afir.methods.pushes import pushes
from afir.molecule import Molecule, Positions
from afir.stationary import Outcome
from networks.graph.network import ReactionNetwork
from networks.policies.productive import Productive, productive
from networks.policies.rates import Rates, fit_rates, model_terms, values, way_of
from networks.records.trials import Item, Trial
from networks.scheduling.queue import Frontier

BUTADIENE = Path(__file__).parents[3] / "examples" / "butadiene.xyz"


@pytest.fixture(scope="module")
def butadiene() -> tuple[Molecule, Positions]:
    return read_structure(BUTADIENE)


def all_pushes(molecule: Molecule, positions: Positions) -> list[Offer]:
    return [forced(*terms) for terms in pushes(molecule, positions, rng=np.random.default_rng(0))]


PUSH, PULL = pushed(0, 3), pulled(0, 1)
TERMS = ForceTerm((0,), (3,), 1), ForceTerm((0,), (1,), -1)
BOTH = forced(*TERMS)
NOTHING = Offer("sc-afir", {"forces": []})


def line(shift: float) -> Positions:
    """A bent chain C–N–O–H that `shift` makes another structure, not another molecule."""
    return np.array(
        [[0.0, 0.0, 0.0], [1.4, 0.0, 0.0], [2.0, 1.2, 0.0], [2.9, 1.2, 0.2 + 0.05 * shift]]
    )


class World:
    """EQs of one bonding, each with the same two pushes unless told otherwise."""

    def __init__(
        self,
        energies: Iterable[float],
        offered: list[Offer],
        late: Callable[[Offer], bool] | None = None,
    ) -> None:
        self.network = ReactionNetwork(Molecule.from_symbols(["C", "N", "O", "H"]))
        self.left = Frontier(lambda _: dict(enumerate(offered)), late)
        self.trials: list[Trial] = []
        for number, energy in enumerate(energies):
            eq = made_eq(number, line(number), energy)
            self.network.insert(eq)
            self.left.add(eq)

    def trial(self, item: Item, found: int, cost: int, channels: int = 0) -> Trial:
        offer = self.left.take(item)
        self.trials.append(
            Trial(
                number=len(self.trials) + 1,
                known=1,
                eq=item.eq,
                push=item.push,
                method=offer.method,
                offer=offer.data,
                seed=(0,),
                outcome=Outcome.FOUND,
                crossed=True,
                gradients={"push": cost},
                cpu_seconds=0.0,
                found=(
                    *(f"TS{100 * len(self.trials) + k}" for k in range(found)),
                    *(f"DC{100 * len(self.trials) + k}" for k in range(channels)),
                ),
                pushes_left=0,
            )
        )
        return self.trials[-1]

    def choose(self, policy: Productive, n: int, seed: int = 0) -> list[Item]:
        chosen = policy.choose(self.left, self.network, n, np.random.default_rng(seed))
        return [Item(*item) for item in chosen]


def test_kinds_that_were_tried_wait_when_repeats_bring_less() -> None:
    # Ten of the kinds were tried four times; only the first time brought something.
    offered: list[Offer] = [
        forced(ForceTerm(a, b, direction))
        for a, b in combinations([(0,), (1,), (2,), (3,), (0, 1), (1, 2), (2, 3)], 2)
        if not set(a) & set(b)
        for direction in (1, -1)
    ]
    world = World(np.linspace(-1.0, 0.0, 12), offered)
    policy = productive()
    for eq in range(4):
        for push in range(10):
            item = Item(f"EQ{eq}", push)
            policy.learn([world.trial(item, 0 if eq else 2, 200)], world.network)
    draws = [item.push for seed in range(10) for item in world.choose(policy, 5, seed)]
    assert np.mean(np.array(draws) >= 10) > 0.9


def test_what_brings_more_for_its_cost_is_chosen() -> None:
    # Every structure has a push and a pull, all of one kind each.
    world = World(np.linspace(-1.0, 0.0, 20), [PUSH, PULL])
    policy = productive()
    for number in range(12):
        for push, found in ((0, 0), (1, 1)):
            policy.learn([world.trial(Item(f"EQ{number}", push), found, 200)], world.network)
    draws = [world.choose(policy, 1, seed)[0].push for seed in range(50)]
    assert np.mean(draws) > 0.8
    # As many finds at twenty times the cost turn it around.
    dear = World(np.linspace(-1.0, 0.0, 20), [PUSH, PULL])
    policy = productive()
    for number in range(12):
        for push, cost in ((0, 200), (1, 4000)):
            policy.learn([dear.trial(Item(f"EQ{number}", push), 1, cost)], dear.network)
    draws = [dear.choose(policy, 1, seed)[0].push for seed in range(50)]
    assert np.mean(draws) < 0.2


def test_pushes_of_no_terms_or_many_are_chosen_and_learned_from() -> None:
    """Three forces are tried where they bring most, and so is nothing at all."""
    three = forced(*TERMS, ForceTerm((1,), (2,), 1))
    four = forced(*TERMS, ForceTerm((1,), (2,), 1), TERMS[1])
    for fruitful, offered in enumerate([[NOTHING, PUSH], [PUSH, three], [four, NOTHING]]):
        best = 1 if fruitful == 1 else 0
        world = World(np.linspace(-1.0, 0.0, 20), [*offered])
        policy = productive()
        for number in range(12):
            for push in (0, 1):
                item = Item(f"EQ{number}", push)
                policy.learn([world.trial(item, int(push == best), 200)], world.network)
        draws = [world.choose(policy, 1, seed)[0].push for seed in range(50)]
        assert np.mean(np.array(draws) == best) > 0.8


def test_late_pushes_follow_when_the_others_of_their_structure_are_used_up() -> None:
    world = World([0.0, 0.1], [PUSH, BOTH, PULL], late=lambda offer: len(offer.forces) > 1)
    policy = productive()
    chosen = []
    while world.left.anything_left():
        items = world.choose(policy, 4)
        chosen.append({(item.eq, item.push) for item in items})
        policy.learn([world.trial(item, 0, 100) for item in items], world.network)
    assert chosen == [
        {("EQ0", 0), ("EQ0", 2), ("EQ1", 0), ("EQ1", 2)},
        {("EQ0", 1), ("EQ1", 1)},
    ]


def test_dissociation_channels_are_no_finds() -> None:
    # Pulls tear off fragments each time, which costs no less and leads to no structure to push.
    policies = []
    for channels in (0, 1):
        world = World(np.linspace(-1.0, 0.0, 20), [PUSH, PULL])
        policy = productive()
        for number in range(12):
            pulled = world.trial(Item(f"EQ{number}", 1), 0, 200, channels)
            pushed = world.trial(Item(f"EQ{number}", 0), number % 2, 200)
            policy.learn([pulled, pushed], world.network)
        draws = [world.choose(policy, 1, seed)[0].push for seed in range(50)]
        assert np.mean(draws) < 0.2
        policies.append(policy)
    for one, other in zip(*map(fitted, policies), strict=True):
        assert np.array_equal(one, other)


def test_a_species_that_brings_more_than_others_goes_on() -> None:
    many = [PUSH] * 40
    # EQ1 is another molecule: nitrogen and oxygen have changed places.
    world = World([-1.0], many)
    other = made_eq(1, line(0.0)[[0, 2, 1, 3]], 0.0)
    world.network.insert(other)
    world.left.add(other)
    policy = productive()
    for push in range(20):
        policy.learn([world.trial(Item("EQ0", push), 0, 200)], world.network)
        policy.learn([world.trial(Item("EQ1", push), 1, 200)], world.network)
    draws = [item.eq for seed in range(20) for item in world.choose(policy, 2, seed)]
    assert draws.count("EQ1") > 0.9 * len(draws)


def test_the_model_finds_the_rates_it_was_given() -> None:
    rng = np.random.default_rng(0)
    m = 4000
    pulls, repeats, doublings = (
        rng.integers(2, size=m),
        rng.integers(4, size=m),
        rng.uniform(0, 6, m),
    )
    heights, spent = rng.uniform(0.0, 3.0, m), rng.uniform(50.0, 500.0, m)
    terms = np.zeros((m, 13))
    terms[:, 0] = 1.0
    terms[np.arange(m), 1 + pulls] = 1.0
    terms[repeats > 0, 7 + repeats[repeats > 0]] = 1.0
    terms[:, 11], terms[:, 12] = doublings, heights
    ways, others = [0.5, -0.5, *[0.0] * 5], [-0.4, -0.8, -1.2, -0.25, -0.3]
    true = np.array([np.log(4e-3), *ways, *others])
    found = rng.poisson(spent * np.exp(terms @ true)).astype(float)
    fitted, curvature = fit_rates(terms, found, spent)
    errors = np.sqrt(np.diag(np.linalg.inv(curvature)))
    # Only differences of directions matter beside the constant.
    assert fitted[1] - fitted[2] == pytest.approx(1.0, abs=0.2)
    assert np.abs(fitted[8:] - true[8:]).max() < 0.2
    assert (np.abs(fitted - true)[8:] < 4.0 * errors[8:]).all()
    # Without trials there is only the prior.
    prior, _ = fit_rates(terms[:0], found[:0], spent[:0])
    assert np.exp(prior[0]) == pytest.approx(1e-3)


def test_what_was_learned_round_by_round_is_learned_at_once() -> None:
    def offered() -> list[Offer]:
        return [PUSH, PULL, BOTH, pushed(1, 3)]

    world = World(np.linspace(-1.0, 0.0, 30), offered())
    policy = productive()
    rng = np.random.default_rng(1)
    for round in range(12):
        chosen = world.choose(policy, 5, seed=round)
        assert len(set(chosen)) == 5
        policy.learn(
            [world.trial(item, int(rng.integers(2)), int(rng.integers(1, 400))) for item in chosen],
            world.network,
        )
    again = productive()
    again.learn(world.trials, world.network)
    for seed in range(50):
        assert world.choose(again, 9, seed) == world.choose(policy, 9, seed)
    for one, other in zip(fitted(again), fitted(policy), strict=True):
        assert np.array_equal(one, other)


def fitted(policy: Productive) -> tuple[np.ndarray, np.ndarray]:
    """What the policy's model is at present."""
    return policy._rates.fit()


def test_equal_pushes_are_equal_to_the_last_bit() -> None:
    # A matrix product gives equal rows different values, depending on where they stand.
    terms = np.tile(np.random.default_rng(0).normal(size=11), (31, 1))
    for seed in range(20):
        scores = values(terms, np.random.default_rng(seed).normal(size=11))
        assert len(set(scores.tolist())) == 1


def test_among_equals_chance_decides() -> None:
    world = World([-1.0], [PUSH] * 31)
    policy = productive()
    first = Counter(world.choose(policy, 1, seed)[0].push for seed in range(200))
    assert len(first) > 25
    assert max(first.values()) < 25


def test_what_is_not_finite_is_refused() -> None:
    terms, found, spent = np.ones((3, 13)), np.ones(3), np.full(3, 100.0)
    terms[1, 12] = np.nan
    with pytest.raises(AfirError, match="could not be fitted"):
        fit_rates(terms, found, spent)


def test_of_many_open_eqs_the_lowest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("networks.policies.productive._EQS", 3)
    world = World(np.linspace(-1.0, 0.0, 20), [PUSH, PULL])
    policy = productive()
    assert {item.eq for item in world.choose(policy, 99)} == {"EQ0", "EQ1", "EQ2"}
    for push in (0, 1):
        policy.learn([world.trial(Item("EQ1", push), 0, 200)], world.network)
    assert {item.eq for item in world.choose(policy, 99)} == {"EQ0", "EQ2", "EQ3"}


def test_one_at_a_time_chooses_what_would_be_chosen_together() -> None:
    # What is under way counts as tried, so that a choice knows of those before it. No two of these
    # offers are as good as each other.
    offered = [PUSH, PULL, BOTH, kicked(0)]
    for seed in range(5):
        together = World(np.linspace(-1.0, 0.0, 30), offered)
        apart = World(np.linspace(-1.0, 0.0, 30), offered)
        policies = productive(), productive()
        for world, policy in zip((together, apart), policies, strict=True):
            learned = [world.trial(Item(f"EQ{k}", k % 4), k % 2, 50 + k) for k in range(20)]
            policy.learn(learned, world.network)
        expected = together.choose(policies[0], 6, seed)
        chosen: list[Item] = []
        under_way: dict[Item, Offer] = {}
        apart.left.under_way = under_way
        for _ in range(6):
            (item,) = apart.choose(policies[1], 1, seed)
            under_way[item] = apart.left.take(item)
            chosen.append(item)
        assert chosen == expected
        assert len({item.eq for item in chosen}) > 1


def test_the_best_of_all_offers_is_chosen() -> None:
    # As if each offer were scored by itself.
    singles = [pushed(0, 3), pulled(0, 1), pulled(1, 2), pushed(1, 3), pushed(0, 2), BOTH]
    world = World(np.linspace(-1.0, 1.0, 25), [*singles, kicked(0), climbed(1, 1)])
    policy = productive()
    rng = np.random.default_rng(2)
    for seed in range(60):
        (item,) = world.choose(policy, 1, seed)
        fitted, root = policy._rates.fit()
        draws = np.random.default_rng(seed).normal(size=len(root))
        drawn = fitted + np.linalg.solve(root.T, draws)
        scores = {}
        for eq in world.left.by_energy():
            species, height = policy._describe(eq, world.network)
            record = policy._rates.records(len(policy._species))[species]
            left = world.left.left(eq.id)
            kinds = push_kinds(world.network.molecule, eq.positions, [*left.values()])
            for kind, (number, offer) in zip(
                policy._kinds.numbers(kinds), left.items(), strict=True
            ):
                terms = model_terms(
                    np.array([way_of(offer)]),
                    policy._kinds.tries[[kind]],
                    policy._species.tries[[species]],
                    np.array([height]),
                )
                scores[Item(eq.id, number)] = values(terms, drawn)[0] + record
        assert scores[item] == max(scores.values())
        policy.learn(
            [world.trial(item, int(rng.integers(2)), int(rng.integers(1, 400)))], world.network
        )


def test_choosing_one_looks_at_no_list_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(np.linspace(-1.0, 0.0, 40), [PUSH, PULL, BOTH])
    policy = productive()
    looked_at: list[str] = []
    left = Frontier.left

    def looked(frontier: Frontier, id: str) -> Mapping[int, Offer]:
        looked_at.append(id)
        return left(frontier, id)

    monkeypatch.setattr(Frontier, "left", looked)
    for seed in range(30):
        (item,) = world.choose(policy, 1, seed)
        policy.learn([world.trial(item, seed % 2, 100)], world.network)
    assert sorted(looked_at) == sorted(world.network.eqs)


def test_the_model_follows_from_the_trials_however_often_it_is_fitted() -> None:
    often, once = Rates(), Rates()
    rng = np.random.default_rng(4)
    for _ in range(700):
        terms = model_terms(*rng.integers(0, 4, size=(3, 1)), rng.random(1))[0]
        trial = terms, int(rng.integers(3)), int(rng.integers(2)), int(rng.integers(1, 900))
        for rates in (often, once):
            rates.add(*trial)
        fitted = often.fit()
        records = often.records(3)
    for one, other in zip((*fitted, records), (*once.fit(), once.records(3)), strict=True):
        assert np.array_equal(one, other)
