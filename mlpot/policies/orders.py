"""Orders in which the trials of a replay are done: a model's, a table's, by chance, an oracle's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mlpot.policies.directions import Table, directions
from mlpot.policies.led import Led
from mlpot.policies.model import PolicyModel
from mlpot.policies.ranking import EQ_WEIGHT
from mlpot.policies.replay import Replay, World
from mlpot.policies.structure import Floats, Ints

ORDERS = ("learned", "table", "random", "oracle")
"""What orders the trials of a replay; the oracle knows what each brings."""

_AT_ONCE = 4  # trials that are chosen together, as if so many were under way; chosen
_RANDOM = 12  # random orders of a run; chosen
_TIES = 4  # orders of all others, in which chance decides between equal offers; chosen

Choose = Callable[[Ints], Sequence[int]]
"""The next trials, in order, of those (m,) that can be done."""


def replays(world: World, order: str, model: PolicyModel, table: Table) -> Iterator[Replay]:
    """Complete replays of a run in one of the `ORDERS`."""
    for number in range({"random": _RANDOM, "oracle": 1}.get(order, _TIES)):
        rng, replay = np.random.default_rng(number), world.start()
        if order == "learned":
            led = Led(replay, model, rng)
            while len(left := replay.available()):
                led.go(left, _AT_ONCE)
            yield replay
        elif order == "table":
            values = table.rates[directions(world.ways, world.described)]
            yield _played(replay, _by_values(values, rng))
        elif order == "random":
            yield _played(replay, _by_chance(rng))
        else:
            yield _played(replay, _by_knowledge(replay))


def _played(replay: Replay, choose: Choose) -> Replay:
    while len(left := replay.available()):
        for trial in choose(left):
            replay.do(trial)
    return replay


def _by_values(values: Floats, rng: np.random.Generator) -> Choose:
    """Choose the largest values of trials; chance decides between equal ones."""

    def choose(left: Ints) -> Sequence[int]:
        mixed = rng.permutation(left)
        result: list[int] = mixed[np.argsort(-values[mixed], kind="stable")][:_AT_ONCE].tolist()
        return result

    return choose


def _by_chance(rng: np.random.Generator) -> Choose:
    """Choose at random."""
    return lambda left: rng.permutation(left)[:_AT_ONCE].tolist()


def _by_knowledge(replay: Replay) -> Choose:
    """Choose the trial that brings most for its gradients now."""

    def worth(trial: int) -> float:
        tss, _, eqs, gradients = replay.brings(trial)
        return (tss + EQ_WEIGHT * eqs) / gradients

    return lambda left: [max(left.tolist(), key=worth)]
