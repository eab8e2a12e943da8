"""The learned policy: what it chooses follows from the trials, to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from minima import made_eq, made_minimum
from offered import climbed, forced, inverted, kicked, pulled, pushed

from afir.errors import InputError
from afir.methods.artificial_force import ForceTerm
from afir.methods.base import Offer
from afir.molecule import Molecule, Positions
from afir.policies import Policy
from afir.stationary import Outcome
from mlpot.policies.policy import EXPLORE, learned
from networks.graph.network import ReactionNetwork
from networks.policies.base import load_policy
from networks.records.ids import Id
from networks.records.structures import TS, content
from networks.records.trials import Item, Trial
from networks.scheduling.queue import Frontier

PUSH, PULL = pushed(0, 3), pulled(0, 1)
TERMS = ForceTerm((0,), (3,), 1), ForceTerm((0,), (1,), -1)
BOTH = forced(*TERMS)
MANY = [
    forced(ForceTerm(a, b, direction))
    for a, b in combinations([(0,), (1,), (2,), (3,), (0, 1), (1, 2), (2, 3)], 2)
    if not set(a) & set(b)
    for direction in (1, -1)
]


def line(shift: float) -> Positions:
    """A bent chain C–N–O–H that `shift` makes another structure, not another molecule."""
    return np.array(
        [[0.0, 0.0, 0.0], [1.4, 0.0, 0.0], [2.0, 1.2, 0.0], [2.9, 1.2, 0.2 + 0.05 * shift]]
    )


class World:
    """EQs of one bonding, each with the same offers, and what trials of them find."""

    def __init__(
        self,
        energies: Iterable[float],
        offered: list[Offer],
        late: Callable[[Offer], bool] | None = None,
    ) -> None:
        self.network = ReactionNetwork(Molecule.from_symbols(["C", "N", "O", "H"]))
        self.offered = offered
        self.late = late
        self.left = self.frontier()
        self.trials: list[Trial] = []
        for number, energy in enumerate(energies):
            eq = made_eq(number, line(number), energy)
            self.network.insert(eq)
            self.left.add(eq)

    def frontier(self) -> Frontier:
        return Frontier(lambda _: dict(enumerate(self.offered)), self.late)

    def again(self) -> Frontier:
        """The offers that are left, as a resumed run has them."""
        left = self.frontier()
        for eq in self.network.eqs.values():
            left.add(eq, [trial.push for trial in self.trials if trial.eq == eq.id])
        return left

    def _ts(self, eq: str) -> str:
        number = len(self.network.tss)
        x = line(0.0) + 0.01 * (number + 1)
        first = self.network.eqs[eq]
        point = replace(made_minimum(x, first.energy + 1.0), order=1)
        self.network.insert(
            TS(
                **content(point),
                id=Id.of("TS", number),
                ends=(Id(eq), Id("EQ0")),
                proof={},
                irc_positions=x[None],
                irc_energies=np.array([point.energy]),
            )
        )
        return f"TS{number}"

    def trial(self, item: Item, found: int, cost: int, channels: int = 0) -> Trial:
        offer = self.offered[item.push]
        if self.left.is_left(item):
            self.left.take(item)
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
                    *(self._ts(item.eq) for _ in range(found)),
                    *(f"DC{100 * len(self.trials) + k}" for k in range(channels)),
                ),
                pushes_left=0,
            )
        )
        return self.trials[-1]

    def choose(self, policy: Policy, n: int, seed: int = 0) -> list[Item]:
        chosen = policy.choose(self.left, self.network, n, np.random.default_rng(seed))
        return [Item(*item) for item in chosen]


@pytest.mark.parametrize("explore", EXPLORE)
def test_every_offer_is_chosen_once(explore: str) -> None:
    world = World([0.0, 0.1, 0.2], [PUSH, PULL, BOTH, climbed(0, 1), inverted(1), kicked(0)])
    policy = learned(explore=explore)
    used: list[Item] = []
    while world.left.anything_left():
        items = world.choose(policy, 4, seed=len(used))
        assert len(items) == min(4, 18 - len(used))
        policy.learn([world.trial(item, len(used) % 2, 100) for item in items], world.network)
        used += items
    assert len(set(used)) == 18
    assert world.choose(policy, 3) == []


@pytest.mark.parametrize("explore", EXPLORE)
def test_what_was_learned_trial_by_trial_is_learned_at_once(explore: str) -> None:
    world = World(np.linspace(-1.0, 0.0, 12), [*MANY, BOTH, climbed(0, 1), climbed(1, -1)])
    policy = learned(explore=explore)
    rng = np.random.default_rng(1)
    under_way: dict[Item, Offer] = {}
    world.left.under_way = under_way
    waiting: list[Item] = []
    for round in range(40):
        for item in world.choose(policy, 3 if round == 0 else 1, seed=round):
            under_way[item] = world.left.take(item)
            waiting.append(item)
        first = waiting.pop(0)
        trial = world.trial(first, int(rng.integers(3)), int(rng.integers(1, 400)))
        del under_way[first]
        policy.learn([trial], world.network)
    resumed = learned(explore=explore)
    resumed.learn(world.trials, world.network)
    left = world.again()
    for item in waiting:
        left.take(item)
    left.under_way = under_way
    for seed in range(20):
        expected = policy.choose(world.left, world.network, 5, np.random.default_rng(seed))
        assert resumed.choose(left, world.network, 5, np.random.default_rng(seed)) == expected


def test_what_brings_more_for_its_cost_is_chosen() -> None:
    # Twelve structures have told that only pulls bring something, or that pulls are dear.
    for fruitful, (push, pull) in ((1, (0, 2)), (0, (2, 0))):
        world = World(np.linspace(-1.0, 0.0, 20), [PUSH, PULL])
        policy = learned()
        for number in range(12):
            for offer, found in ((0, push), (1, pull)):
                policy.learn([world.trial(Item(f"EQ{number}", offer), found, 200)], world.network)
        draws = [world.choose(policy, 1, seed)[0].push for seed in range(50)]
        assert np.mean(np.array(draws) == fruitful) > 0.8


def test_equivalent_offers_wait_when_they_are_under_way() -> None:
    world = World([0.0, 0.01, 0.02], MANY)
    chosen = world.choose(learned(explore="greedy"), 12)
    # Structures of one bonding have the same offers.
    assert len({item.push for item in chosen}) > 8


def test_dissociation_channels_are_no_finds() -> None:
    choices = []
    for channels in (0, 3):
        world = World(np.linspace(-1.0, 0.0, 8), MANY)
        policy = learned()
        for number in range(4):
            for push in range(6):
                item = Item(f"EQ{number}", push)
                policy.learn([world.trial(item, push % 2, 150, channels)], world.network)
        choices.append([world.choose(policy, 4, seed) for seed in range(10)])
    assert choices[0] == choices[1]


def test_late_offers_follow_when_the_others_of_their_structure_are_used_up() -> None:
    world = World([0.0, 0.1], [PUSH, BOTH, PULL], late=lambda offer: len(offer.forces) > 1)
    policy = learned()
    chosen = []
    while world.left.anything_left():
        items = world.choose(policy, 4)
        chosen.append({(item.eq, item.push) for item in items})
        policy.learn([world.trial(item, 0, 100) for item in items], world.network)
    assert chosen == [
        {("EQ0", 0), ("EQ0", 2), ("EQ1", 0), ("EQ1", 2)},
        {("EQ0", 1), ("EQ1", 1)},
    ]


def test_of_many_open_eqs_the_lowest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlpot.policies.policy._EQS", 3)
    world = World(np.linspace(-1.0, 0.0, 20), [PUSH, PULL])
    policy = learned()
    assert {item.eq for item in world.choose(policy, 99)} == {"EQ0", "EQ1", "EQ2"}
    for push in (0, 1):
        policy.learn([world.trial(Item("EQ1", push), 0, 200)], world.network)
    assert {item.eq for item in world.choose(policy, 99)} == {"EQ0", "EQ2", "EQ3"}


def test_choosing_one_looks_at_no_list_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(np.linspace(-1.0, 0.0, 40), [PUSH, PULL, BOTH])
    policy = learned()
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


def test_offers_of_other_methods_are_chosen_and_learned_from() -> None:
    """Of three forces, of none, and of methods that the model never saw."""
    three = forced(*TERMS, ForceTerm((1,), (2,), 1))
    nothing = Offer("sc-afir", {"forces": []})
    foreign = Offer("rattle", {"kind": "rattle", "number": 3})
    for offered in ([three, foreign, PUSH], [PUSH, nothing], [PUSH, three]):
        world = World(np.linspace(-1.0, 0.0, 20), offered)
        policy = learned()
        for number in range(12):
            for push in range(len(offered)):
                trial = world.trial(Item(f"EQ{number}", push), 2 * (push == 1), 200)
                policy.learn([trial], world.network)
        draws = [world.choose(policy, 1, seed)[0].push for seed in range(50)]
        assert np.mean(np.array(draws) == 1) > 0.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"explore": "boldly"}, "`explore` must be one of greedy, ucb"),
        ({"model": ""}, "`model` must be a file of afir learn-policy, or 'packaged', got ''"),
        ({"eq_weight": -1.0}, "`eq_weight` must be from 0 to 1000"),
        ({"low_weight": 1e4}, "`low_weight` must be from 0 to 1000"),
        ({"model": "none.npz"}, "policy model none.npz cannot be read"),
        ({"models": "x"}, "models"),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        load_policy("learned", options)
