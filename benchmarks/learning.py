"""How much is learned from how many labels, judged on trials that were held out.

First errors against the number of frames for one network, then what the spread of a committee is
worth on held-out trials and, with --far, on frames of pushes much harder than those learned from.
The frames are what `afir collect` writes.

    python benchmarks/learning.py DATA.extxyz --base gfn1 --sizes 50,100,200,400 --markdown
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from table import print_table

from afir.surface import load_surface
from afir.units import KJ_PER_MOL
from mlpot.architecture import CORRECTION, WHOLE
from mlpot.committee import BAD, atom_errors, calibrate, spearman
from mlpot.dataset import Dataset, above, read_dataset
from mlpot.potential import Potential
from mlpot.recipe import Recipe, make
from mlpot.report import EV_PER_KCAL_MOL, judge
from mlpot.training import Training

LOW = 500.0 * KJ_PER_MOL
"""Above the lowest frame: where reactions are that a chemist asks for."""

CURVE = (
    "target",
    "base",
    "frames",
    "energy kcal/mol",
    "gradient meV/Å",
    "below 500 kJ/mol: energy",
    "gradient",
    "CPU s",
)
SPREAD = (
    "frames",
    "of",
    "count",
    "bad",
    "Spearman",
    "bad ones caught",
    "good ones let through",
    "energy kcal/mol",
)


def held_out(data: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Frames to learn from, and those of the trials that are held out."""
    rng = np.random.default_rng(seed)
    groups = sorted(set(data.groups))
    rng.shuffle(groups)
    chosen = set(groups[: max(1, round(share * len(groups)))])
    inside = np.array([group in chosen for group in data.groups])
    return data.part(np.flatnonzero(~inside)), data.part(np.flatnonzero(inside))


def curve(
    learn: Dataset, test: Dataset, base: str, sizes: Sequence[int], seed: int
) -> list[tuple[str, ...]]:
    """Errors of one network on the held-out trials for each number of frames."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(learn))
    lowest = min(learn.energies.min(), test.energies.min())
    low = np.flatnonzero(test.energies < lowest + LOW)
    if not len(low):
        raise SystemExit("no frame held out lies within 500 kJ/mol: hold out more, or another seed")
    left = above(test, load_surface(base, test.molecule)) if base else test
    shape = CORRECTION if base else WHOLE
    rows = []
    for size in sizes:
        if size > len(learn):
            break
        began = time.process_time()
        recipe = Recipe(shape, Training(), base=base, seed=seed, validation=0.1, test=0.0)
        trained = make(learn.part(order[:size]), recipe)
        (errors, *_) = judge(trained.potential, left)
        (of_low, *_) = judge(trained.potential, left.part(low))
        rows.append(
            (
                learn.surface,
                base or "none",
                str(size),
                f"{errors.energy / EV_PER_KCAL_MOL:.2f}",
                f"{1000 * errors.gradient:.0f}",
                f"{of_low.energy / EV_PER_KCAL_MOL:.2f}",
                f"{1000 * of_low.gradient:.0f}",
                f"{time.process_time() - began:.0f}",
            )
        )
        print(" ".join(rows[-1]), flush=True)
    return rows


def spread(potential: Potential, name: str, of: str, data: Dataset) -> tuple[str, ...]:
    """What the spread says of frames without what the base says."""
    said = potential.predict(data.molecule, data.positions)
    largest = potential.description.calibration * said.gradient_spread.max(axis=1)
    wrong = np.abs(said.energies - data.energies)
    bad = wrong > BAD
    doubted = largest > potential.description.limit
    caught = f"{100 * doubted[bad].mean():.0f} %" if bad.any() else "–"
    return (
        name,
        of,
        str(len(data)),
        str(int(bad.sum())),
        f"{spearman(largest, atom_errors(said, data).max(axis=1)):.2f}",
        caught,
        f"{100 * (~doubted[~bad]).mean():.0f} %" if (~bad).any() else "–",
        f"{wrong.mean() / EV_PER_KCAL_MOL:.2f}",
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--base", default="", help="the surface that is corrected")
    parser.add_argument("--sizes", default="50,100,200,400,800,1600")
    parser.add_argument("--committee", type=int, default=0, metavar="FRAMES")
    parser.add_argument("--far", type=Path, help="frames of harder pushes")
    parser.add_argument("--share", type=float, default=0.2, help="of the trials, held out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = read_dataset(asked.data)
    learn, test = held_out(data, asked.share, asked.seed)
    print(f"{len(data)} frames, {len(test)} of them held out", flush=True)
    if asked.sizes:
        sizes = [int(size) for size in asked.sizes.split(",")]
        rows = curve(learn, test, asked.base, sizes, asked.seed)
        print_table(CURVE, rows, markdown=asked.markdown)
    if not asked.committee:
        return
    order = np.random.default_rng(asked.seed).permutation(len(learn))[: asked.committee]
    small = replace(CORRECTION if asked.base else WHOLE, features=32)
    recipe = Recipe(small, Training(), 4, asked.base, seed=asked.seed, validation=0.2, test=0.0)
    trained = make(learn.part(order), recipe)
    rows = []
    frames = [("held-out trials", test)]
    if asked.far is not None:
        frames.append(("harder pushes", read_dataset(asked.far)))
    for name, part in frames:
        left = above(part, load_surface(asked.base, part.molecule)) if asked.base else part
        rows.append(spread(trained.potential, name, f"{asked.committee}", left))
        again = calibrate(trained.potential, left)
        print(name, replace(again), flush=True)
    print_table(SPREAD, rows, markdown=asked.markdown)


if __name__ == "__main__":
    main()
