"""Whether the ends of reaction paths are right however a molecule lies in space.

Follows the IRC from known transition states in several orientations and compares the ends with a
fine integration (`irc_ends.json`), with each other, and with exact Hessians.

    python benchmarks/irc_orientations.py --markdown
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from irc_ends import Case, End, Truth, cases, load, settled
from scipy.spatial.transform import Rotation
from table import print_table

from afir.driver import solve
from afir.geometry import bonds
from afir.searches.hessian import hessian
from afir.searches.irc import irc
from afir.stationary import Outcome
from afir.surface import load_surface
from afir.units import KJ_PER_MOL
from networks.identity import same_structure

SAME = 0.05 * KJ_PER_MOL  # eV: ends of two orientations that are equal
CONCAVE = (-30.0, -10.0)  # cm⁻¹: an end with a softer mode than that is no minimum


@dataclass(frozen=True)
class Path_:
    """One transition state in one orientation.

    Attributes
    ----------
    ends
        Both ends, turned back; empty where the path failed.
    softest
        cm⁻¹: the softest mode of each end that is a minimum.
    gradients
        Of both branches, without the Hessian.
    """

    ends: tuple[End, ...]
    softest: tuple[float, ...]
    right: bool
    monotone: bool
    crossed: bool
    gradients: int
    words: str


def crosses(root: np.ndarray, top: np.ndarray, mode: np.ndarray, points: Sequence[np.ndarray]) -> bool:
    """Whether a side of a path comes back through the dividing plane of its top."""
    from afir.geometry import superpose

    heights = [float(((superpose(top, x) - top).ravel() * root) @ mode) for x in points]
    return bool(heights) and min(heights) < 0.0


def measure(case: Case, seed: int, truth: Truth | None) -> Path_:
    """The path of one transition state, turned by a random rotation (none for seed 0)."""
    molecule = case.molecule
    surface = load_surface("gfn2", molecule)
    x = case.positions
    if seed:
        x = Rotation.random(random_state=seed).apply(x)
    point = solve(hessian(molecule, x), surface)
    spent: Counter[str] = Counter()
    sides = solve(irc(molecule, point), surface, gradients=spent)
    ends, softest, words = [], [], []
    root = np.repeat(np.sqrt(molecule.masses), 3)
    crossed = False
    for sign, side in zip((-1.0, 1.0), sides, strict=True):
        mode = sign * point.mode.ravel() * root
        crossed |= crosses(root, point.positions, mode, [item.positions for item in side.points])
        if side.end.outcome not in (Outcome.CONVERGED, Outcome.DISSOCIATED):
            words.append(side.end.outcome.name)
            continue
        if side.end.outcome is Outcome.CONVERGED:
            softest.append(float(solve(hessian(molecule, side.end.positions), surface).wavenumbers[0]))
        if side.ridges:
            words.append("ridge " + " ".join(f"{value:.0f}" for value in side.ridges))
        ends.append(settled(surface, side.end.positions))
    right = len(ends) == 2 and truth is not None and truth.right(molecule, ends)
    monotone = all(side.monotone for side in sides)
    return Path_(tuple(ends), tuple(softest), right, monotone, crossed, sum(spent.values()), ", ".join(words))


def equal(case: Case, first: Path_, second: Path_) -> bool:
    """Whether two orientations have the same ends, in either order."""

    def alike(one: End, other: End) -> bool:
        if abs(one.energy - other.energy) < SAME:
            return True
        return not one.dissociated and same_structure(
            case.molecule, (one.positions, other.energy), (other.positions, other.energy)
        )

    if len(first.ends) != 2 or len(second.ends) != 2:
        return False
    return any(
        all(alike(one, other) for one, other in zip(first.ends, ends, strict=True))
        for ends in (second.ends, second.ends[::-1])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="transition states with this in their name")
    parser.add_argument("--orientations", type=int, default=5)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    truths = load()
    chosen = [case for case in cases() if options.only in case.name]
    rows, everything, same = [], [], 0
    start = time.process_time()
    for case in chosen:
        paths = [measure(case, seed, truths.get(case.name)) for seed in range(options.orientations)]
        everything.append(paths)
        alike = all(equal(case, paths[0], other) for other in paths[1:])
        same += alike
        rows.append(
            [
                case.name,
                f"{sum(item.right for item in paths)}/{len(paths)}",
                "yes" if alike else "no",
                f"{np.mean([item.gradients for item in paths]):.0f}",
                f"{min((value for item in paths for value in item.softest), default=np.nan):.0f}",
                f"{sum(not item.monotone for item in paths)}",
                f"{sum(item.crossed for item in paths)}",
                "; ".join(sorted({item.words for item in paths if item.words})),
            ]
        )
    print_table(("transition state", "right", "equal", "gradients", "softest", "rises", "crosses", "met"), rows, markdown=options.markdown)
    each = [[paths[k] for paths in everything] for k in range(options.orientations)]
    counts = [item.gradients for paths in everything for item in paths]
    soft = [value for paths in everything for item in paths for value in item.softest]
    print()
    print("right in each orientation:", [sum(item.right for item in paths) for paths in each], "of", len(chosen))
    print("equal in all:", same)
    print(f"gradients: mean {np.mean(counts):.1f}, median {statistics.median(counts):g}")
    for limit in CONCAVE:
        print(f"ends below {limit:g} cm⁻¹: {sum(value < limit for value in soft)} of {len(soft)}")
    print(f"{time.process_time() - start:.0f} s")


if __name__ == "__main__":
    main()
