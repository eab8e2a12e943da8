"""Whether the ends of reaction paths are right however a molecule lies in space.

Follows the IRC from known transition states in several orientations and compares the ends with a
fine integration, with each other, and with exact Hessians. The transition states are those of
`irc_ends.json`, or those of run files, whose paths are integrated then.

    python benchmarks/irc_orientations.py --markdown
    python benchmarks/irc_orientations.py --runs glycine.db butadiene.db --every 4
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from irc_ends import Case, End, Truth, cases, integrate, load, settled
from scipy.spatial.transform import Rotation
from table import print_table

from afir.geometry.superposition import superpose
from afir.hessians.modes import Vector
from afir.molecule import Positions
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.searches.hessian import hessian
from afir.searches.irc import irc
from afir.stationary import Outcome
from afir.units import KJ_PER_MOL
from networks import open_run
from networks.graph.identity import same_structure

SAME = 0.05 * KJ_PER_MOL  # eV: ends of two orientations that are equal
CONCAVE = (-30.0, -10.0)  # cm⁻¹: an end with a softer mode than that is no minimum
COLUMNS = ("transition state", "right", "equal", "gradients", "softest", "rises", "crosses", "met")


@dataclass(frozen=True)
class Followed:
    """The path of one transition state in one orientation.

    Attributes
    ----------
    ends
        As `settled` leaves them.
    softest
        cm⁻¹, of each end that is a minimum.
    right
        Whether both ends are those of the fine integration.
    crossed
        Whether a side comes back through the dividing plane of its top.
    gradients
        Of both sides, without the Hessian.
    words
        What else there is to say.
    """

    ends: tuple[End, ...]
    softest: tuple[float, ...]
    right: bool
    monotone: bool
    crossed: bool
    gradients: int
    words: str


def follow(case: Case, seed: int, truth: Truth) -> Followed:
    """The path of one transition state, turned at random; as it is for seed 0."""
    molecule, x = case.molecule, case.positions
    surface = load_surface("gfn2", molecule)
    if seed:
        x = Rotation.random(random_state=seed).apply(x)
    point = solve(hessian(molecule, x), surface)
    spent: Counter[str] = Counter()
    sides = solve(irc(molecule, point), surface, gradients=spent)
    ends, softest, words, crossed = [], [], [], False
    root = np.repeat(np.sqrt(molecule.masses), 3)
    for sign, side in zip((-1.0, 1.0), sides, strict=True):
        places = [item.positions for item in side.points]
        crossed |= crosses(places, point.positions, sign * point.mode.ravel() * root, root)
        if side.end.ridges:
            words.append("ridge " + " ".join(f"{-value:.0f}i" for value in side.end.ridges))
        if side.end.outcome not in (Outcome.CONVERGED, Outcome.DISSOCIATED):
            words.append(side.end.ending)
            continue
        if side.end.outcome is Outcome.CONVERGED:
            modes = solve(hessian(molecule, side.end.positions), surface)
            softest.append(float(modes.wavenumbers[0]))
        ends.append(settled(surface, side.end.positions))
    return Followed(
        ends=tuple(ends),
        softest=tuple(softest),
        right=len(ends) == 2 and truth.right(molecule, ends),
        monotone=all(side.monotone for side in sides),
        crossed=crossed,
        gradients=sum(spent.values()),
        words=", ".join(words),
    )


def crosses(side: Iterable[Positions], top: Positions, mode: Vector, root: Vector) -> bool:
    """Whether a side comes back through the dividing plane of its top."""
    away = [superpose(top, x) - top for x in side]
    return any(float(x.ravel() * root @ mode) < 0.0 for x in away)


def equal(case: Case, first: Followed, second: Followed) -> bool:
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


def of_runs(paths: Sequence[Path], every: int) -> list[Case]:
    """Transition states of run files."""
    found = []
    for path in paths:
        with open_run(path) as run:
            network = run.load_network()
        for ts in list(network.tss.values())[::every]:
            found.append(Case(f"{path.stem} {ts.id}", network.molecule, ts.positions))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="transition states with this in their name")
    parser.add_argument("--runs", nargs="*", type=Path, help="take those of these run files")
    parser.add_argument("--every", type=int, default=1, help="only every so many of a run")
    parser.add_argument("--orientations", type=int, default=5)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    known = {} if options.runs else load()
    everything = of_runs(options.runs, options.every) if options.runs else cases()
    rows, found, same = [], [], 0
    chosen = [case for case in everything if options.only in case.name]
    for case in chosen:
        truth = known[case.name] if case.name in known else integrate(case)
        turned = [follow(case, seed, truth) for seed in range(options.orientations)]
        found.append(turned)
        alike = all(equal(case, turned[0], other) for other in turned[1:])
        same += alike
        softest = min((value for item in turned for value in item.softest), default=np.inf)
        rows.append(
            [
                case.name,
                f"{sum(item.right for item in turned)}/{len(turned)}",
                "yes" if alike else "no",
                f"{np.mean([item.gradients for item in turned]):.0f}",
                f"{softest:.0f}",
                f"{sum(not item.monotone for item in turned)}",
                f"{sum(item.crossed for item in turned)}",
                "; ".join(sorted({item.words for item in turned if item.words})),
            ]
        )
    print_table(COLUMNS, rows, markdown=options.markdown)
    right = [sum(turned[k].right for turned in found) for k in range(options.orientations)]
    counts = [item.gradients for turned in found for item in turned]
    soft = [value for turned in found for item in turned for value in item.softest]
    concave = [f"{sum(value < limit for value in soft)} below {limit:g}" for limit in CONCAVE]
    print(f"\nRight in each orientation: {right} of {len(chosen)}; equal in all: {same}.")
    mean, median = np.mean(counts), statistics.median(counts)
    print(f"Gradients of both sides: {mean:.1f} in the mean, {median:g} in the median.")
    print(f"Of {len(soft)} minima at their ends {' and '.join(concave)} cm⁻¹.")


if __name__ == "__main__":
    main()
