"""How well models do on molecules that they were not trained on: replays, and orders of offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mlpot.policies.directions import Table, directions, table_of
from mlpot.policies.model import PolicyModel
from mlpot.policies.ranking import EQ_WEIGHT, LOW_WEIGHT, Ranking, best
from mlpot.policies.replay import Replay, World
from mlpot.policies.structure import Floats, Ints
from mlpot.policies.training import Rows, fit, folds

SHARE = 0.8
"""Share of the TSs of a run after which gradients are counted."""

ORDERS = ("learned", "table", "random", "oracle")
"""What orders the trials of a replay; the oracle knows what each brings."""

_FOLDS = 5  # each formula is held out once, and four fifths are trained on; chosen
_AT_ONCE = 4  # trials that are chosen together, as if so many were under way; chosen
_LEAST_TSS = 5  # of a run whose gradients are compared: of fewer, 80 % are a matter of chance
_RANDOM = 12  # random orders of a run; chosen
_TIES = 4  # orders of all others, in which chance decides between equal offers; chosen
_WEIGHTS = np.array([1.0, LOW_WEIGHT, EQ_WEIGHT])
_BEST = 0.1  # share of the offers that should be richest in new TSs; chosen

Choose = Callable[[Ints], Sequence[int]]
"""The next trials, in order, of those (m,) that can be done."""


@dataclass(frozen=True)
class Held:
    """How a model did on a run that it was not trained on.

    Attributes
    ----------
    name, formula
        Of the run.
    trials, tss
        Their numbers.
    gradients
        Until `SHARE` of the TSs were found, for each of the `ORDERS`; NaN for very few TSs.
    areas
        The mean share of the TSs that was found, over all gradients, for each of the `ORDERS`.
    auc, table_auc
        How well what is expected tells the offers that bring a new TS from others: the area below
        the receiver operating characteristic, of the model without and of the table.
    enrichment
        New TSs of the best tenth of the offers, relative to those of all.
    """

    name: str
    formula: str
    trials: int
    tss: int
    gradients: Mapping[str, float]
    areas: Mapping[str, float]
    auc: float
    table_auc: float
    enrichment: float

    def relative(self, order: str) -> float:
        """The gradients of an order relative to random ones."""
        return self.gradients[order] / self.gradients["random"]

    def row(self) -> dict[str, str | float]:
        """The same as plain data."""
        return {
            "run": self.name,
            "formula": self.formula,
            "trials": self.trials,
            "tss": self.tss,
            "random_gradients": self.gradients["random"],
            **{f"{order}_gradients": self.relative(order) for order in ORDERS if order != "random"},
            **{f"{order}_area": self.areas[order] for order in ORDERS},
            "auc": self.auc,
            "table_auc": self.table_auc,
            "enrichment": self.enrichment,
        }


def held_out(
    worlds: Sequence[World], data: Sequence[Rows], seed: int, tell: Callable[[str], None]
) -> list[Held]:
    """How models do on each run that were trained on the runs of other formulas."""
    formulas = [world.formula for world in worlds]
    count = min(_FOLDS, len(set(formulas)))
    result: dict[int, Held] = {}
    for number, (rest, mine) in enumerate(folds(formulas, count), start=1):
        tell(f"testing on formulas that are held out, part {number} of {count}")
        others = [data[k] for k in rest]
        model, table = fit(others, seed, {}), table_of(others)
        for k in mine:
            result[k] = judged(worlds[k], data[k], model, table)
    return [result[k] for k in range(len(worlds))]


def judged(world: World, rows: Rows, model: PolicyModel, table: Table) -> Held:
    """How a model, and a table, do on a run."""
    played = {order: list(replays(world, order, model, table)) for order in ORDERS}
    total = len(world.tss)
    gains = model.gain.predict(rows.features)[:, 0]
    new = rows.gains[:, 0] > 0
    top = np.argsort(-gains, kind="stable")[: max(round(_BEST * len(gains)), 1)]
    mean = float(new.mean())
    return Held(
        world.name,
        world.formula,
        len(world),
        total,
        {o: float(np.mean([gradients_to(SHARE, r) for r in played[o]])) for o in ORDERS},
        {o: float(np.mean([area(r) for r in played[o]])) for o in ORDERS},
        auc(gains, new),
        auc(table.tss[directions(rows.ways, rows.features)], new),
        float(new[top].mean()) / mean if mean else np.nan,
    )


def replays(world: World, order: str, model: PolicyModel, table: Table) -> Iterator[Replay]:
    """Complete replays of a run in one of the `ORDERS`."""
    for number in range({"random": _RANDOM, "oracle": 1}.get(order, _TIES)):
        rng, replay = np.random.default_rng(number), world.start()
        if order == "learned":
            yield _learned(replay, model, rng)
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


def _learned(replay: Replay, model: PolicyModel, rng: np.random.Generator) -> Replay:
    """A replay in the order of the policy: the model with what the run so far says about it."""
    ranking, groups = Ranking(model, "greedy", _WEIGHTS), replay.world.groups
    while len(left := replay.available()):
        expected = model.foretold(replay.rows(left), _WEIGHTS)
        values = ranking.values(expected, replay.terms(left), rng)
        for place in list(islice(best(values, groups[left]), _AT_ONCE)):
            trial, one = int(left[place]), left[[place]]
            rows, terms, (tss, low, eqs, _) = (
                replay.rows(one),
                replay.terms(one),
                replay.brings(trial),
            )
            ranking.weigh(rows, terms, (tss, low, eqs))
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


def gradients_to(share: float, replay: Replay) -> float:
    """The gradients until a share of all TSs was found; NaN if there are very few."""
    curve = np.array(replay.curve)
    total = curve[-1, 1]
    if total < _LEAST_TSS:
        return np.nan
    enough = curve[:, 1] >= np.ceil(share * total - 1e-9)
    return float(curve[int(np.argmax(enough)), 0])


def area(replay: Replay) -> float:
    """The mean share of the TSs that was found, over the gradients; NaN without any."""
    curve = np.array(replay.curve)
    steps = np.diff(curve[:, 0])
    found = float(curve[-1, 1])
    return float(np.sum(steps * curve[:-1, 1])) / (found * curve[-1, 0]) if found else np.nan


def auc(scores: Floats, good: NDArray[np.bool_]) -> float:
    """How probably a good one of two scores higher; NaN if all are good or none is."""
    from scipy.stats import rankdata  # half a second to import

    number = int(good.sum())
    if number in (0, len(good)):
        return np.nan
    above = float(rankdata(scores)[good].sum()) - number * (number + 1) / 2
    return above / (number * (len(good) - number))


def summary(held: Sequence[Held]) -> dict[str, float]:
    """Means over runs; gradients relative to random order as geometric means."""
    compared = [each for each in held if np.isfinite(each.gradients["random"])]
    result: dict[str, float] = {"runs": len(held), "runs_compared": len(compared)}
    for order in ("learned", "table", "oracle"):
        logs = [np.log(each.relative(order)) for each in compared]
        result[f"{order}_gradients"] = float(np.exp(_mean(logs)))
    better = [float(each.relative("learned") < 1.0) for each in compared]
    result["better_than_random"] = _mean(better)
    for order in ORDERS:
        result[f"{order}_area"] = _mean([each.areas[order] for each in held])
    for name in ("auc", "table_auc", "enrichment"):
        result[name] = _mean([getattr(each, name) for each in held])
    return result


def _mean(values: Sequence[float]) -> float:
    """The mean of those that are numbers; NaN without any."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan
