"""What `afir learn-policy` calls: a model from runs, and a report on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from afir.policies import PastRun
from mlpot.policies.directions import table_of
from mlpot.policies.evaluation import held_out, summary
from mlpot.policies.replay import World
from mlpot.policies.rows import rows_of
from mlpot.policies.training import check_enough, learned_from, require


def train(
    runs: Iterable[PastRun], output: Path, *, seed: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """See `afir.policies.Trainer`."""
    require()
    worlds = []
    for run in runs:
        tell(f"reading {run.name}")
        world = World(run)
        if len(world):
            worlds.append(world)
    check_enough(worlds)
    rng = np.random.default_rng(seed)
    data = [rows_of(world, rng) for world in worlds]
    held = held_out(worlds, data, seed, tell)
    training, figures = trained_on(worlds), summary(held)
    tell(f"fitting the model to {len(worlds)} runs")
    about = {**training, "held_out": figures}
    learned_from(worlds, data, seed, about).save(output)
    return {
        "training": training,
        "held_out": figures,
        "runs": [each.row() for each in held],
        "directions": table_of(data).rows(),
    }


def trained_on(worlds: Sequence[World]) -> dict[str, Any]:
    """What a model that was trained on these runs says of itself."""
    return {
        "afir": version("afir"),
        "runs": len(worlds),
        "formulas": sorted({world.formula for world in worlds}),
        "surfaces": sorted({world.surface for world in worlds}),
        "trials": sum(map(len, worlds)),
        "tss": sum(len(world.tss) for world in worlds),
    }
