from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from minima import made_eq
from offered import PUSH, pushed
from toyworld import MOLECULE, structure

from afir.errors import InputError
from afir.methods.base import Offer
from afir.options import entries
from afir.policies import Policy
from afir.units import BOLTZMANN
from networks.graph.network import ReactionNetwork
from networks.policies.base import ENTRY_POINT_GROUP, load_policy
from networks.records.ids import Id
from networks.records.structures import EQ
from networks.records.trials import Item
from networks.scheduling.queue import Frontier

NETWORK = ReactionNetwork(MOLECULE)
PUSHES: dict[str, list[Offer]] = {
    id: [pushed(0, k) for k in (1, 2, 3)][:count]
    for id, count in (("EQ0", 3), ("EQ1", 2), ("EQ2", 3), ("EQ3", 0))
}
ENERGIES = {"EQ0": -1.0, "EQ1": -3.0, "EQ2": -2.0, "EQ3": -4.0}


def eq(id: str, energy: float) -> EQ:
    return made_eq(Id(id).number, structure(0), energy)


for _id, _energy in ENERGIES.items():
    NETWORK.insert(eq(_id, _energy))


def frontier() -> Frontier:
    result = Frontier(lambda record: dict(enumerate(PUSHES[record.id])))
    for id, energy in ENERGIES.items():
        result.add(eq(id, energy))
    return result


def choose(policy: Policy, left: Frontier, n: int, seed: int = 0) -> list[Item]:
    return [Item(*item) for item in policy.choose(left, NETWORK, n, np.random.default_rng(seed))]


def test_lowest_energy_goes_up() -> None:
    chosen = choose(load_policy("lowest-energy"), frontier(), 4)
    assert chosen == [Item("EQ1", 0), Item("EQ1", 1), Item("EQ2", 0), Item("EQ2", 1)]


def test_exhaustive_goes_by_discovery() -> None:
    chosen = choose(load_policy("exhaustive"), frontier(), 4)
    assert chosen == [Item("EQ0", 0), Item("EQ0", 1), Item("EQ0", 2), Item("EQ1", 0)]


def test_exhaustive_draws_some_offers_on_each_eq_in_turn() -> None:
    left = Frontier(lambda record: dict.fromkeys(range(5), PUSH))
    for number in range(3):
        left.add(eq(f"EQ{number}", -float(number)))
    draws: Counter[int] = Counter()
    for seed in range(1000):
        chosen = choose(load_policy("exhaustive", {"per_eq": 2}), left, 8, seed)
        assert [item.eq for item in chosen] == [f"EQ{k}" for k in (0, 0, 1, 1, 2, 2, 0, 0)]
        assert len(set(chosen)) == 8
        draws.update(item.push for item in chosen[:2])
    assert max(abs(draws[k] - 400) for k in range(5)) < 4 * np.sqrt(240)


def test_exhaustive_counts_what_was_tried_and_what_is_under_way() -> None:
    """So a resumed run does the same."""
    policy = load_policy("exhaustive", {"per_eq": 2})
    left = Frontier(lambda record: dict.fromkeys(range(3), PUSH))
    for number in range(2):
        left.add(eq(f"EQ{number}", 0.0))
    order: list[str] = []
    for seed in range(6):
        (item,) = choose(policy, left, 1, seed)
        left.take(item)
        order.append(item.eq)
        if seed % 2:
            policy.learn([SimpleNamespace(eq=item.eq)], NETWORK)
        else:
            left.under_way = {**left.under_way, item: PUSH}
    assert order == ["EQ0", "EQ0", "EQ1", "EQ1", "EQ0", "EQ1"]


@pytest.mark.parametrize("per_eq", [0, -1, 1.5, True])
def test_exhaustive_refuses_wrong_numbers(per_eq: object) -> None:
    with pytest.raises(InputError, match="per_eq"):
        load_policy("exhaustive", {"per_eq": per_eq})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *[(name, {}) for name in ("lowest-energy", "exhaustive", "stochastic")],
        ("exhaustive", {"per_eq": 2}),
    ],
)
def test_every_policy_uses_up_every_push_once(name: str, options: dict[str, object]) -> None:
    policy, left = load_policy(name, options), frontier()
    used: list[Item] = []
    while left.anything_left():
        chosen = choose(policy, left, 3, seed=len(used))
        assert len(chosen) == min(3, 8 - len(used))
        for item in chosen:
            left.take(item)
        used += chosen
    assert sorted(used) == sorted(Item(id, k) for id in PUSHES for k in range(len(PUSHES[id])))
    assert choose(policy, left, 3) == []


def test_stochastic_is_boltzmann_and_seeded() -> None:
    temperature = 2000.0
    energies = [0.0, 0.1, 0.3]
    left = Frontier(lambda record: {0: PUSH})
    for number, energy in enumerate(energies):
        left.add(eq(f"EQ{number}", -100.0 + energy))
    policy = load_policy("stochastic", {"temperature": temperature})
    draws = Counter(choose(policy, left, 1, seed)[0].eq for seed in range(4000))
    expected = np.exp(-np.array(energies) / (BOLTZMANN * temperature))
    expected /= expected.sum()
    observed = np.array([draws[f"EQ{k}"] for k in range(3)]) / 4000
    assert np.abs(observed - expected).max() < 4 * np.sqrt(0.25 / 4000)
    assert choose(policy, left, 3, seed=8) == choose(policy, left, 3, seed=8)


def test_shuffled_offers_of_an_eq_are_drawn_alike() -> None:
    left = Frontier(lambda record: dict.fromkeys(range(4), PUSH))
    left.add(eq("EQ0", 0.0))
    policy = load_policy("stochastic", {"shuffled": True})
    draws = Counter(choose(policy, left, 1, seed)[0].push for seed in range(4000))
    assert np.abs(np.array([draws[k] for k in range(4)]) - 1000).max() < 4 * np.sqrt(750)
    assert {item.push for item in choose(policy, left, 4)} == {0, 1, 2, 3}
    assert choose(load_policy("stochastic"), left, 2) == [Item("EQ0", 0), Item("EQ0", 1)]


def test_stochastic_reaches_even_what_is_hopelessly_high() -> None:
    left = Frontier(lambda record: {0: PUSH})
    for number, energy in enumerate((-1e4, 0.0, 1e4)):
        left.add(eq(f"EQ{number}", energy))
    assert len(choose(load_policy("stochastic"), left, 5)) == 3


def test_pushes_are_worked_out_only_when_they_are_looked_at() -> None:
    asked: list[str] = []

    def pushes(record: EQ) -> dict[int, Offer]:
        asked.append(record.id)
        return dict.fromkeys(range(5), PUSH)

    left = Frontier(pushes)
    for number in range(1000):
        left.add(eq(f"EQ{number}", -float(number)))
    policy = load_policy("lowest-energy")
    for _ in range(3):
        for item in choose(policy, left, 4):
            left.take(item)
    assert asked == ["EQ999", "EQ998", "EQ997"]
    assert len(left.eqs) == 998


def test_a_frontier_remembers_what_was_used() -> None:
    left = Frontier(lambda record: dict(enumerate(PUSHES[record.id])))
    left.add(eq("EQ0", 0.0), used=[0, 2])
    assert list(left.left("EQ0")) == [1]
    assert left.take(Item("EQ0", 1)) == PUSHES["EQ0"][1]
    assert not left.eqs
    assert list(left.left("EQ0")) == []
    with pytest.raises(InputError, match="EQ0 1"):
        left.take(Item("EQ0", 1))
    left.add(eq("EQ3", 0.0))
    with pytest.raises(InputError, match="again"):
        left.add(eq("EQ3", 0.0))
    assert not left.anything_left()


def test_a_frontier_forgets_pushes_it_can_work_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("networks.scheduling.queue._REMEMBERED", 1)
    left = frontier()
    assert left.take(Item("EQ0", 1)) == PUSHES["EQ0"][1]
    assert list(left.left("EQ1")) == [0, 1]
    assert list(left.left("EQ0")) == [0, 2]
    assert left.is_left(Item("EQ0", 0))
    assert not left.is_left(Item("EQ0", 1))
    assert not left.is_left(Item("EQ7", 0))


def test_policies_are_found_by_name() -> None:
    assert {"exhaustive", "learned", "lowest-energy", "stochastic"} <= set(
        entries(ENTRY_POINT_GROUP)
    )
    with pytest.raises(InputError, match=r"`policy` must be one of .*got 'greedy'"):
        load_policy("greedy")
    with pytest.raises(InputError, match="has no option 'temperature'; it takes no options"):
        load_policy("lowest-energy", {"temperature": 1.0})
    for temperature in (0.0, -1.0, "hot"):
        with pytest.raises(InputError, match="`temperature` must be"):
            load_policy("stochastic", {"temperature": temperature})
