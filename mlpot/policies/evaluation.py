"""How well models do on molecules that they were not trained on: replays, and orders of offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlpot.policies.directions import DIRECTIONS, Table, directions, table_of
from mlpot.policies.model import PolicyModel
from mlpot.policies.orders import ORDERS, replays
from mlpot.policies.replay import Replay, World
from mlpot.policies.rows import Rows
from mlpot.policies.structure import Floats
from mlpot.policies.training import folds, learned_from

SHARE = 0.8
"""Share of the TSs of a run after which gradients are counted."""

_FOLDS = 5  # each formula is held out once, and four fifths are trained on; chosen
_LEAST_TSS = 5  # of a run whose gradients are compared: of fewer, 80 % are a matter of chance
_BEST = 0.1  # share of the offers that should be richest in new TSs; chosen


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
            **{f"{o}_gradients_ratio": self.relative(o) for o in ORDERS if o != "random"},
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
        tell(f"training without some formulas and testing on them, part {number} of {count}")
        others = [data[k] for k in rest]
        model = learned_from([worlds[k] for k in rest], others, seed, {})
        table = table_of(others)
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


def ratio_of(worlds: Sequence[World], held: Sequence[Held], model: PolicyModel) -> float:
    """The gradients of a model relative to random order, a geometric mean; NaN without any run."""
    table = Table(*np.zeros((3, len(DIRECTIONS))))  # not used in the order of a model
    logs = []
    for world, each in zip(worlds, held, strict=True):
        played = replays(world, "learned", model, table)
        mine = float(np.mean([gradients_to(SHARE, replay) for replay in played]))
        logs.append(float(np.log(mine / each.gradients["random"])))
    return float(np.exp(_mean(logs)))


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
