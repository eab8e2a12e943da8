"""IRCs side by side: the same transition states, surface, limit and truth.

Every program gets GFN2-xTB through one counting wrapper, follows the IRC both ways from 37 known
transition states and minimises both ends until no component of the gradient exceeds 5e-5
hartree/bohr. Where it should arrive is known from a fine integration (irc_ends.py).

    pip install -e ".[benchmarks]"
    python benchmarks/ircs.py --searches afir,sella,sella-internal,sella-bfgs,pysisyphus
    python benchmarks/ircs.py --make-reference
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from counted import CountedSurface, Meter
from irc_ends import Case, Truth, cases, integrate, load, settled, store
from peers_irc import Follow, Side, Sides
from table import print_table

from afir.errors import AfirError
from afir.molecule import Positions
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import Surface
from afir.searches.hessian import hessian
from afir.searches.irc import irc
from afir.searches.settings import StepSettings
from afir.units import HARTREE_PER_BOHR, KJ_PER_MOL

LIMIT = 5e-5 * HARTREE_PER_BOHR
RISE = 1e-5  # eV: more than noise
EXAMPLES = ("hcoh", "h2co", "claisen")


@dataclass(frozen=True)
class Result:
    """How one path went; see `measure`."""

    case: str
    search: str
    gradients: int
    hessian: int
    seconds: float
    own_seconds: float
    right: bool
    converged: bool
    monotone: bool
    ends: tuple[float, ...]


def afir(surface: Surface, saddle: Positions, limit: float) -> Sides:
    """The IRC of this project, with the exact Hessian that proves a transition state."""
    meter = Meter()
    molecule = surface.molecule
    point = solve(hessian(molecule, saddle), CountedSurface(surface, meter))
    branches = solve(irc(molecule, point, StepSettings(minimum_gradient=limit)), surface)
    sides = [
        Side([item.energy for item in branch.points], branch.end.positions, branch.monotone)
        for branch in branches
    ]
    return Sides(*sides, meter.gradients)


def searches() -> dict[str, Callable[[], Follow]]:
    """Every program by name; peers are imported when they are asked for."""

    def peer(name: str, **options: str) -> Callable[[], Follow]:
        def load_peer() -> Follow:
            import peers_irc

            follow: Follow = getattr(peers_irc, name)(**options)
            return follow

        return load_peer

    return {
        "afir": lambda: afir,
        "sella": peer("sella", ends="cartesian"),
        "sella-internal": peer("sella", ends="internal"),
        "sella-bfgs": peer("sella", ends="bfgs"),
        "pysisyphus": peer("pysisyphus"),
    }


def measure(case: Case, name: str, follow: Follow, truth: Truth | None) -> Result:
    """One path, counted, timed and compared."""
    bare = load_surface("gfn2", case.molecule)
    top = float(bare.evaluate(case.positions[None]).energies[0])
    meter = Meter()
    surface = CountedSurface(bare, meter)
    start = time.process_time()
    sides = Sides()
    try:
        sides = follow(surface, case.positions, LIMIT)
    except AfirError as error:
        print(f"  {name} on {case.name}: {error}")
    except Exception as error:  # a peer may stop in any way
        print(f"  {name} on {case.name}: {type(error).__name__}: {error}")
    seconds = time.process_time() - start
    ends, steepest, monotone = [], 0.0, True
    for side in (sides.first, sides.second):
        if side.positions is None:
            continue
        answer = bare.evaluate(side.positions[None])
        energy = float(answer.energies[0])
        ends.append(settled(bare, side.positions))
        if not ends[-1].dissociated:
            steepest = max(steepest, float(np.abs(answer.gradients).max()))
        heights = [top, *side.energies, energy]
        falls = all(after < before + RISE for before, after in pairwise(heights))
        monotone = monotone and side.complete and falls
    both = len(ends) == 2
    return Result(
        case=case.name,
        search=name,
        gradients=meter.gradients,
        hessian=sides.hessian,
        seconds=seconds,
        own_seconds=seconds - meter.seconds,
        right=both and truth is not None and truth.right(case.molecule, ends),
        converged=both and steepest < 1.1 * LIMIT,
        monotone=both and monotone,
        ends=tuple((end.energy - top) / KJ_PER_MOL for end in ends),
    )


def make_reference(chosen: Sequence[Case]) -> None:
    """Integrate the cases finely and store where they end."""
    try:
        truths = load()
    except FileNotFoundError:
        truths = {}
    for case in chosen:
        truths[case.name] = integrate(case)
        store({item.name: truths[item.name] for item in cases() if item.name in truths})


def print_cases(
    found: dict[tuple[str, str], Result], names: Sequence[str], *, markdown: bool
) -> None:
    """Gradients of every case, Hessian included."""
    rows = []
    for case in dict.fromkeys(case for case, _ in found):
        row = [case]
        for name in names:
            item = found[case, name]
            words = [
                "" if item.right else "other",
                "" if item.converged else "not converged",
                "" if item.monotone else "rises",
            ]
            row.append(" ".join([str(item.gradients), *filter(None, words)]))
        rows.append(row)
    print_table(("transition state", *names), rows, markdown=markdown)


def print_summary(
    found: dict[tuple[str, str], Result], names: Sequence[str], *, markdown: bool
) -> None:
    """One row a program."""
    together = [
        case
        for case in dict.fromkeys(case for case, _ in found)
        if all(found[case, name].right for name in names)
    ]
    rows = []
    for name in names:
        mine = [item for (_, search), item in found.items() if search == name]
        counts = [item.gradients for item in mine]
        bare = [item.gradients - item.hessian for item in mine]
        shared = [found[case, name] for case in together]
        rows.append(
            [
                name,
                f"{sum(item.right for item in mine)} / {len(mine)}",
                f"{sum(item.converged for item in mine)}",
                f"{sum(item.monotone for item in mine)}",
                f"{np.mean(counts):.1f}",
                f"{statistics.median(counts):g}",
                f"{np.mean(bare):.1f}",
                f"{statistics.median(bare):g}",
                f"{np.mean([item.gradients for item in shared]):.1f}" if shared else "",
                f"{np.mean([item.gradients - item.hessian for item in shared]):.1f}"
                if shared
                else "",
                f"{sum(item.seconds for item in mine):.1f}",
                f"{sum(item.own_seconds for item in mine):.1f}",
            ]
        )
    columns = (
        "search",
        "both ends right",
        "converged",
        "monotone",
        "gradients",
        "median",
        "without Hessian",
        "median",
        f"gradients, {len(together)} all right",
        "without Hessian",
        "CPU s",
        "own CPU s",
    )
    print_table(columns, rows, markdown=markdown)


def main() -> None:
    """Run the searches asked for and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--searches", default="afir", help="names with commas between them")
    parser.add_argument("--only", default="", help="transition states with this in their name")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--save", type=Path, help="write every result to this JSON file")
    parser.add_argument("--make-reference", action="store_true", help="integrate irc_ends.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen = [case for case in cases() if options.only in case.name]
    if options.make_reference:
        make_reference(chosen)
        return
    truths = load()
    names = options.searches.split(",")
    results: list[Result] = []
    for name in names:
        follow = searches()[name]()
        measure(chosen[0], name, follow, None)  # warm
        results += [measure(case, name, follow, truths.get(case.name)) for case in chosen]
        if options.save:
            options.save.write_text(json.dumps([asdict(item) for item in results], indent=1))
    found = {(item.case, item.search): item for item in results}
    print_cases(found, names, markdown=options.markdown)
    print()
    print_summary(found, names, markdown=options.markdown)


if __name__ == "__main__":
    main()
