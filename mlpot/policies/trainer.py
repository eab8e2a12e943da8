"""What `afir learn-policy` calls: a model from runs, and a report on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from afir.errors import InputError
from afir.policies import PastRun
from mlpot.policies.directions import table_of
from mlpot.policies.evaluation import Held, held_out, ratio_of, summary
from mlpot.policies.model import is_model, shipped_model
from mlpot.policies.replay import World
from mlpot.policies.rows import rows_of
from mlpot.policies.training import check_enough, learned_from, require


def train(
    runs: Iterable[PastRun], output: Path, *, seed: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """See `afir.policies.Trainer`."""
    require()
    check_output(output)
    worlds, left_out = different(runs)
    check_enough(worlds, left_out)
    rng = np.random.default_rng(seed)
    data = [rows_of(world, rng) for world in worlds]
    held = held_out(worlds, data, seed, tell)
    training, figures = trained_on(worlds), summary(held)
    tell("testing the packaged model on the same runs")
    packaged = beside_packaged(worlds, held)
    tell(f"training the model on all {len(worlds)} runs")
    about = {**training, "held_out": figures}
    learned_from(worlds, data, seed, about).save(output)
    return {
        "training": training,
        "left_out": [{"run": name, "why": why} for name, why in left_out.items()],
        "held_out": {_named(name): value for name, value in figures.items()},
        "packaged": packaged,
        "runs": [each.row() for each in held],
        "directions": table_of(data).rows(),
    }


def check_output(output: Path) -> None:
    """Raise InputError if a file that is no model would be replaced."""
    if output.is_file() and output.stat().st_size and not is_model(output):
        raise InputError(
            f"{output} exists and is no model written by afir learn-policy, so it is not replaced; "
            "choose another --output"
        )


def different(runs: Iterable[PastRun]) -> tuple[list[World], dict[str, str]]:
    """The runs that have trials and differ, and why each other one is left out."""
    first: dict[tuple[object, ...], World] = {}
    left_out: dict[str, str] = {}
    for run in runs:
        if "EQ0" not in run.network.eqs:
            left_out[run.name] = "no trials"
            continue
        world = World(run)
        arrays = (world.searched, world.heights, world.described)
        key = (world.formula, world.surface, *(array.tobytes() for array in arrays))
        if not len(world):
            left_out[world.name] = "no trials"
        elif key not in first:
            first[key] = world
        elif first[key].name == world.name:
            left_out[world.name] = "given more than once, counted once"
        else:
            left_out[world.name] = f"the same trials as {first[key].name}"
    return list(first.values()), left_out


def beside_packaged(worlds: Sequence[World], held: Sequence[Held]) -> dict[str, Any]:
    """How the packaged model does on those runs whose formulas it was not trained on."""
    model = shipped_model()
    known = set(model.about["formulas"])
    new = [
        (world, each)
        for world, each in zip(worlds, held, strict=True)
        if world.formula not in known and np.isfinite(each.gradients["random"])
    ]
    mine = [each for _, each in new]
    return {
        "formulas_known": sorted({world.formula for world in worlds} & known),
        "runs_compared": len(new),
        "packaged_gradients_ratio": ratio_of([world for world, _ in new], mine, model),
        "learned_gradients_ratio": summary(mine)["learned_gradients"],
    }


def _named(name: str) -> str:
    """The name of a figure in a report: gradients in a summary are ratios."""
    return f"{name}_ratio" if name.endswith("_gradients") else name


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
