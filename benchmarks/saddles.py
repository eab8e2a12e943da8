"""Saddle searches side by side: the same guesses, surface, limit and verification.

Every search gets GFN2-xTB through one counting wrapper and ends when no component of the
gradient exceeds 4.5e-4 hartree/bohr. Every end is then verified by an exact Hessian of its own.

    pip install -e ".[benchmarks]"
    python benchmarks/saddles.py --guesses baker --searches afir,sella,sella-internal,pysisyphus
    python benchmarks/saddles.py --guesses paths --searches afir,afir-bare,sella --cap 1000

From the tops of paths (`--guesses paths`) `afir` starts as in an exploration, with the tangent of
the path and its estimate of the Hessian; all others are given the positions only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from agreement import agreement, letters
from counted import CountedSurface, Meter
from guesses import Guess, baker_chan, displaced
from starts import path_tops
from table import print_table

from afir.errors import AfirError
from afir.molecule import Positions
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import Surface
from afir.searches.hessian import hessian
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.units import HARTREE, HARTREE_PER_BOHR

LIMIT = 4.5e-4 * HARTREE_PER_BOHR
SAME = 1e-4 * HARTREE
"""eV: ends closer than this to the energy of the transition state meant are that one. The
limit of the comparison leaves an end that far above or below its stationary point."""


@dataclass(frozen=True)
class Result:
    """How one search went; see `measure`."""

    guess: str
    search: str
    gradients: int
    seconds: float
    own_seconds: float
    converged: bool
    order: int
    imaginary: float
    energy: float
    intended: bool | None
    end: Positions = field(repr=False)

    @property
    def right(self) -> bool:
        """Whether it is a first-order saddle point."""
        return self.converged and self.order == 1


Search = Callable[[Surface, Guess, float], Positions]
"""``search(surface, guess, limit)``: where it ended."""


def afir(surface: Surface, guess: Guess, limit: float) -> Positions:
    """The saddle search of this project, with the direction and the Hessian that the guess has."""
    found = solve(
        saddle(
            surface.molecule,
            guess.positions,
            StepSettings(saddle_gradient=limit, saddle_steps=200),
            direction=guess.tangent,
            hessian=guess.hessian,
        ),
        surface,
    )
    return found.positions


def afir_bare(surface: Surface, guess: Guess, limit: float) -> Positions:
    """The same from the positions alone."""
    return afir(surface, replace(guess, tangent=None, hessian=None), limit)


def searches() -> dict[str, Callable[[], Search]]:
    """Every search by name; peers are imported when they are asked for."""

    def peer(name: str, **options: bool) -> Callable[[], Search]:
        def load() -> Search:
            import peers

            search: peers.Search = getattr(peers, name)(**options)
            return lambda surface, guess, limit: search(surface, guess.positions, limit)

        return load

    return {
        "afir": lambda: afir,
        "afir-bare": lambda: afir_bare,
        "sella": peer("sella", internal=False),
        "sella-internal": peer("sella", internal=True),
        "pysisyphus": peer("pysisyphus"),
    }


def measure(guess: Guess, name: str, search: Search, cap: float) -> Result:
    """One search, counted, timed and verified."""
    bare = load_surface("gfn2", guess.molecule)
    meter = Meter()
    surface = CountedSurface(bare, meter, cap)
    start = time.process_time()
    try:
        x = search(surface, guess, LIMIT)
    except AfirError:
        x = guess.positions
    except Exception as error:  # a peer may stop in any way
        print(f"  {name} on {guess.name}: {type(error).__name__}: {error}")
        x = guess.positions
    seconds = time.process_time() - start
    try:
        point = solve(hessian(guess.molecule, x), bare)
    except AfirError:
        return Result(
            guess.name, name, meter.gradients, seconds, 0.0, False, -1, 0.0, 0.0, False, x
        )
    return Result(
        guess=guess.name,
        search=name,
        gradients=meter.gradients,
        seconds=seconds,
        own_seconds=seconds - meter.seconds,
        converged=bool(point.gradient_max < 1.1 * LIMIT),
        order=point.order,
        imaginary=float(point.wavenumbers[0]),
        energy=point.energy / HARTREE,
        intended=None if guess.energy is None else abs(point.energy - guess.energy) < SAME,
        end=x,
    )


GUESSES: dict[str, Callable[[int], list[Guess]]] = {
    "baker": lambda seed: baker_chan(),
    "displaced": displaced,
    "paths": path_tops,
}


def main() -> None:
    """Run the searches asked for and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guesses", default="baker", choices=("baker", "displaced", "paths"))
    parser.add_argument("--seed", type=int, default=7, help="of displacements and pushes")
    parser.add_argument("--searches", default="afir", help="names with commas between them")
    parser.add_argument("--only", default="", help="guesses with this in their name")
    parser.add_argument("--cap", type=float, default=float("inf"), help="gradients of one search")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--save", type=Path, help="write every result to this JSON file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    guesses = GUESSES[options.guesses](options.seed)
    guesses = [guess for guess in guesses if options.only in guess.name]
    names = options.searches.split(",")
    found = []
    for name in names:
        search = searches()[name]()
        measure(replace(guesses[0], name="warm", energy=None), name, search, options.cap)
        found += [measure(guess, name, search, options.cap) for guess in guesses]
    if options.save:
        kept = [{key: v for key, v in asdict(item).items() if key != "end"} for item in found]
        options.save.write_text(json.dumps(kept, indent=1))
    by_guess = {(item.guess, item.search): item for item in found}
    mine = {guess.name: [by_guess[guess.name, name] for name in names] for guess in guesses}
    labels = {
        guess.name: letters(
            guess.molecule, [(item.end, item.energy) if item.right else None for item in row]
        )
        for guess, row in zip(guesses, mine.values(), strict=True)
    }
    rows = []
    for guess in guesses:
        row = [guess.name]
        for item, label in zip(mine[guess.name], labels[guess.name], strict=True):
            state = "" if item.right else f" ({item.order})"
            if guess.energy is None:
                state = state or f" {label}"
            elif item.right and item.intended is False:
                state = " other"
            row.append(f"{item.gradients}{state}")
        rows.append(row)
    print_table(("guess", *names), rows, markdown=options.markdown)
    print()
    print_summary(names, found, markdown=options.markdown)
    if options.guesses == "paths":
        print()
        agreement(names, mine, labels, markdown=options.markdown)


def print_summary(names: Sequence[str], found: Sequence[Result], *, markdown: bool) -> None:
    """Print a row for each search."""
    rows = []
    for name in names:
        mine = [item for item in found if item.search == name]
        saddles = [item for item in mine if item.right]
        right = [item for item in saddles if item.intended is not False]
        counts = [item.gradients for item in right]
        everything = [item.gradients for item in mine]
        rows.append(
            [
                name,
                f"{len(saddles)} / {len(mine)}",
                f"{len(right)} / {len(mine)}",
                f"{np.mean(counts):.1f}",
                f"{statistics.median(counts):g}",
                f"{np.mean(everything):.1f}",
                f"{sum(item.seconds for item in mine):.2f}",
                f"{sum(item.own_seconds for item in mine):.2f}",
            ]
        )
    print_table(
        (
            "search",
            "saddles",
            "meant",
            "gradients (right)",
            "median",
            "gradients (all)",
            "CPU s",
            "own CPU s",
        ),
        rows,
        markdown=markdown,
    )


if __name__ == "__main__":
    main()
