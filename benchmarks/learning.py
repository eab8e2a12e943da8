"""How much is learned from how many labels, judged on trials that were held out.

First errors against the number of frames for one network, then what the spread of a committee is
worth on held-out trials and, with --far, on frames of pushes much harder than those learned from.
The frames are what `afir collect` writes.

    python benchmarks/learning.py DATA.extxyz --base gfn1 --sizes 50,100,200,400 --markdown

With --cheap the networks first learn the whole energy from frames of a cheaper surface, of trials
that are not held out.
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

from afir.pes.loading import load_surface
from afir.units import KCAL_PER_MOL, KJ_PER_MOL
from mlpot.dataset import Dataset, above, read_dataset
from mlpot.neural.architecture import CORRECTION, WHOLE, Architecture
from mlpot.neural.calibration import BAD, atom_errors, calibrate, spearman
from mlpot.neural.potential import Potential, load_potential
from mlpot.neural.recipe import Recipe, make
from mlpot.neural.training import Training
from mlpot.report import judge

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


def begun(
    cheap: Path, kept: Path | None, test: Dataset, shape: Architecture, epochs: int, seed: int
) -> Potential:
    """A network that has learned a cheaper surface from trials that are not held out."""
    if kept is not None and kept.exists():
        return load_potential(kept)
    data = read_dataset(cheap)
    unseen = set(test.groups)
    part = data.part([index for index, group in enumerate(data.groups) if group not in unseen])
    print(f"{len(part)} frames of {part.surface} to begin with", flush=True)
    recipe = Recipe(shape, Training(epochs=epochs), seed=seed, validation=0.05, test=0.0)
    potential = make(part, recipe).potential
    if kept is not None:
        potential.save(kept)
    return potential


def curve(
    learn: Dataset,
    test: Dataset,
    recipe: Recipe,
    sizes: Sequence[int],
    start: Potential | None = None,
) -> list[tuple[str, ...]]:
    """Errors on the held-out trials for each number of frames."""
    base, seed = recipe.base, recipe.seed
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(learn))
    lowest = min(learn.energies.min(), test.energies.min())
    low = np.flatnonzero(test.energies < lowest + LOW)
    if not len(low):
        raise SystemExit("no frame held out lies within 500 kJ/mol: hold out more, or another seed")
    left = above(test, load_surface(base, test.molecule)) if base else test
    rows = []
    for size in sizes:
        if size > len(learn):
            break
        began = time.process_time()
        trained = make(learn.part(order[:size]), recipe, start=start)
        (errors, *_) = judge(trained.potential, left)
        (of_low, *_) = judge(trained.potential, left.part(low))
        rows.append(
            (
                learn.surface,
                base or "none",
                str(size),
                f"{errors.energy / KCAL_PER_MOL:.2f}",
                f"{1000 * errors.gradient:.0f}",
                f"{of_low.energy / KCAL_PER_MOL:.2f}",
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
        f"{wrong.mean() / KCAL_PER_MOL:.2f}",
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--base", default="", help="the surface that is corrected")
    parser.add_argument("--sizes", default="50,100,200,400,800,1600")
    parser.add_argument("--committee", type=int, default=0, metavar="FRAMES")
    parser.add_argument("--far", type=Path, help="frames of harder pushes")
    parser.add_argument("--bag", type=float, default=1.0, help="of the trials, for each of it")
    parser.add_argument("--networks", type=int, default=1, help="averaged, for --sizes")
    parser.add_argument("--cheap", type=Path, help="frames on a cheaper surface, learned first")
    parser.add_argument("--cheap-epochs", type=int, default=18, help="times they are seen")
    parser.add_argument("--begun", type=Path, help="file to keep what was learned from them in")
    parser.add_argument("--rate", type=float, default=Training().rate, help="of learning")
    parser.add_argument("--share", type=float, default=0.2, help="of the trials, held out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = read_dataset(asked.data)
    learn, test = held_out(data, asked.share, asked.seed)
    print(f"{len(data)} frames, {len(test)} of them held out", flush=True)
    # What has learned a whole energy has the shape for it, whatever it learns then.
    shape = CORRECTION if asked.base and not asked.cheap else WHOLE
    training = Training(rate=asked.rate)
    if asked.sizes:
        sizes = [int(size) for size in asked.sizes.split(",")]
        recipe = Recipe(
            shape, training, asked.networks, asked.base, seed=asked.seed, validation=0.1, test=0.0
        )
        start = None
        if asked.cheap:
            start = begun(asked.cheap, asked.begun, test, shape, asked.cheap_epochs, asked.seed)
        print_table(CURVE, curve(learn, test, recipe, sizes, start), markdown=asked.markdown)
    if not asked.committee:
        return
    order = np.random.default_rng(asked.seed).permutation(len(learn))[: asked.committee]
    small = replace(shape, features=32)
    recipe = Recipe(
        small,
        replace(training, share=asked.bag, closing=0.0),  # it is to say where gradients err
        4,
        asked.base,
        seed=asked.seed,
        validation=0.2,
        test=0.0,
    )
    trained = make(learn.part(order), recipe)
    rows = []
    frames = [("held-out trials", test)]
    if asked.far is not None:
        frames.append(("harder pushes", read_dataset(asked.far)))
    for name, part in frames:
        left = above(part, load_surface(asked.base, part.molecule)) if asked.base else part
        rows.append(spread(trained.potential, name, f"{asked.committee}", left))
        again = calibrate(trained.potential, left)
        print(name, again, flush=True)
    print_table(SPREAD, rows, markdown=asked.markdown)


if __name__ == "__main__":
    main()
