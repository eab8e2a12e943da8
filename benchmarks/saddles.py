"""Saddle searches side by side: the same guesses, surface, limit and verification.

Every search gets GFN2-xTB through one counting wrapper and ends when no component of the
gradient exceeds 4.5e-4 hartree/bohr. Every end is then verified by an exact Hessian of its own.

    pip install -e ".[benchmarks]"
    python benchmarks/saddles.py --guesses baker --searches afir,sella,sella-internal,pysisyphus
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from counted import CountedSurface, Meter
from guesses import Guess, baker_chan, displaced
from table import print_table

from afir.driver import solve
from afir.errors import AfirError
from afir.molecule import Positions
from afir.searches.hessian import hessian
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.surface import Surface, load_surface
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


def afir(surface: Surface, guess: Positions, limit: float) -> Positions:
    """The saddle search of this project, from the guess alone."""
    found = solve(
        saddle(surface.molecule, guess, StepSettings(saddle_gradient=limit, saddle_steps=200)),
        surface,
    )
    return found.positions


def searches() -> dict[str, Callable[[], Callable[[Surface, Positions, float], Positions]]]:
    """Every search by name; peers are imported when they are asked for."""

    def peer(name: str, **options: bool) -> Callable[[], Callable[..., Positions]]:
        def load() -> Callable[..., Positions]:
            import peers

            search: Callable[..., Positions] = getattr(peers, name)(**options)
            return search

        return load

    return {
        "afir": lambda: afir,
        "sella": peer("sella", internal=False),
        "sella-internal": peer("sella", internal=True),
        "pysisyphus": peer("pysisyphus"),
    }


def measure(
    guess: Guess, name: str, search: Callable[[Surface, Positions, float], Positions]
) -> Result:
    """One search, counted, timed and verified."""
    bare = load_surface("gfn2", guess.molecule)
    meter = Meter()
    surface = CountedSurface(bare, meter)
    start = time.process_time()
    try:
        x = search(surface, guess.positions, LIMIT)
    except AfirError:
        x = guess.positions
    except Exception as error:  # a peer may stop in any way
        print(f"  {name} on {guess.name}: {type(error).__name__}: {error}")
        x = guess.positions
    seconds = time.process_time() - start
    try:
        point = solve(hessian(guess.molecule, x), bare)
    except AfirError:
        return Result(guess.name, name, meter.gradients, seconds, 0.0, False, -1, 0.0, 0.0, False)
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
    )


def main() -> None:
    """Run the searches asked for and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guesses", default="baker", choices=("baker", "displaced"))
    parser.add_argument("--seed", type=int, default=7, help="of the displacements")
    parser.add_argument("--searches", default="afir", help="names with commas between them")
    parser.add_argument("--only", default="", help="guesses with this in their name")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--save", type=Path, help="write every result to this JSON file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    guesses = baker_chan() if options.guesses == "baker" else displaced(options.seed)
    guesses = [guess for guess in guesses if options.only in guess.name]
    names = options.searches.split(",")
    found = []
    for name in names:
        search = searches()[name]()
        warm = Guess("warm", guesses[0].molecule, guesses[0].positions, None)
        measure(warm, name, search)
        found += [measure(guess, name, search) for guess in guesses]
    if options.save:
        options.save.write_text(json.dumps([asdict(item) for item in found], indent=1))
    by_guess = {(item.guess, item.search): item for item in found}
    rows = []
    for guess in guesses:
        row = [guess.name]
        for name in names:
            item = by_guess[guess.name, name]
            state = "" if item.converged and item.order == 1 else f" ({item.order})"
            other = " other" if item.intended is False and not state else ""
            row.append(f"{item.gradients}{state}{other}")
        rows.append(row)
    print_table(("guess", *names), rows, markdown=options.markdown)
    print()
    rows = []
    for name in names:
        mine = [item for item in found if item.search == name]
        saddles = [item for item in mine if item.converged and item.order == 1]
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
        markdown=options.markdown,
    )


if __name__ == "__main__":
    main()
