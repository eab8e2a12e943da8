"""How much the numbers of the searches matter: each one halved and doubled.

Saddle searches from the displaced reference transition states, IRCs with their ends, and
minimisations from the displaced ends of the references, all on GFN2-xTB. A number that hardly
changes gradients and results was chosen, not fitted; one that does stands where it must.

    python benchmarks/sensitivity.py --searches saddle,irc,minimum --markdown
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from importlib import import_module

import ircs
import numpy as np
import saddles
from counted import CountedSurface, Meter
from guesses import displaced
from irc_ends import cases
from irc_ends import load as known_ends
from table import print_table

from afir.errors import AfirError, InputError
from afir.molecule import Molecule, Positions
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.searches import settings
from afir.searches.irc import irc
from afir.searches.minimum import minimise
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings, TrustSettings
from afir.surfaces.tblite import gfn2

Score = tuple[float, int]
"""Mean gradients of a search, and how many were right."""

SEEDS = (7,)  # of the displacements
EVERY = 6  # of the reaction paths one in so many is followed
NUMBERS = {
    "saddle": {
        "afir.searches.saddle": ("_PROBES", "_RENEWALS", "_ROUGH", "_WELL", "_STEEP"),
        "afir.searches.saddle_hessian": (
            "_PROBE",
            "_FEWEST_PROBES",
            "_KNOWN",
            "_FLOOR",
            "_STIFF",
            "_STRAIN",
            "_RELIEF_STEPS",
            "_LONGEST_RELIEF",
        ),
        "afir.hessians.model": ("_LOOSE", "_SINGULAR", "_MORSE", "_STRONGEST"),
        "afir.hessians.steps": ("_SOFTEST",),
        "afir.geometry.superposition": ("_UNTURNED",),
    },
    "irc": {
        "afir.searches.irc": (
            "_FALL",
            "_SHORTEST_FIRST",
            "_LONGEST_FIRST",
            "_FIRST_ATOM",
            "_LONGEST_ATOM",
            "_RISE",
            "_FOOT",
            "_CONVEX",
            "_CLOSE",
            "_CONCAVE",
            "_SOFTEST",
            "_FORETOLD",
            "_MORE",
            "_CLOSER",
            "_WAIT",
        ),
        "afir.searches.irc_end": ("_TIGHTER", "_FAR", "_GAIN", "_ASIDE", "_ASIDE_ATOM"),
    },
    "minimum": {"afir.searches.minimum": ("STIFFEST", "_NOISY")},
}


def saddle_searches(limits: StepSettings) -> Score:
    """Of the displaced transition states: those that lead back to the one meant."""
    limits = replace(limits, saddle_gradient=saddles.LIMIT, saddle_steps=200)
    spent, right = [], 0
    for guess in (guess for seed in SEEDS for guess in displaced(seed)):
        meter = Meter()
        surface = CountedSurface(load_surface("gfn2", guess.molecule), meter)
        try:
            found = solve(saddle(guess.molecule, guess.positions, limits), surface)
        except AfirError:
            continue
        finally:
            spent.append(meter.gradients)
        assert guess.energy is not None
        right += abs(found.energy - guess.energy) < saddles.SAME
    return float(np.mean(spent)), right


def paths(limits: StepSettings) -> Score:
    """Of the reaction paths: those with both ends right."""
    truths = known_ends()
    limits = replace(limits, minimum_gradient=ircs.LIMIT)

    def follow(surface: ircs.Surface, top: Positions, limit: float) -> ircs.Sides:
        point = solve(ircs.hessian(surface.molecule, top), gfn2(surface.molecule))
        branches = solve(irc(surface.molecule, point, limits), surface)
        return ircs.Sides(
            *(
                ircs.Side([item.energy for item in side.points], side.end.positions, side.monotone)
                for side in branches
            ),
            0,
        )

    found = [ircs.measure(case, "afir", follow, truths.get(case.name)) for case in cases()[::EVERY]]
    return float(np.mean([item.gradients for item in found])), sum(item.right for item in found)


def minima(limits: StepSettings) -> Score:
    """Of minimisations from displaced transition states: those that converge."""
    spent, right = [], 0
    for guess in (guess for seed in SEEDS for guess in displaced(seed)):
        meter = Meter()
        molecule: Molecule = guess.molecule
        surface = CountedSurface(load_surface("gfn2", molecule), meter)
        found = solve(minimise(molecule, guess.positions, limits), surface)
        right += found.ending == "converged" or found.dissociated
        spent.append(meter.gradients)
    return float(np.mean(spent)), right


SEARCHES: dict[str, Callable[[StepSettings], Score]] = {
    "saddle": saddle_searches,
    "irc": paths,
    "minimum": minima,
}


@contextmanager
def changed(module: str, name: str, factor: float) -> Iterator[None]:
    """A number of a module, multiplied in this block; a whole one stays whole and positive."""
    owner = import_module(module)
    number = getattr(owner, name)
    new = factor * number
    setattr(owner, name, max(round(new), 1) if isinstance(number, int) else new)
    try:
        yield
    finally:
        setattr(owner, name, number)


def trusted(search: str, number: str, factor: float) -> StepSettings:
    """Settings with one number of the trust region of a search multiplied."""
    usual = StepSettings()
    if search == "minimum" and number == "most":
        return replace(usual, max_step=factor * usual.max_step)
    numbers: TrustSettings = getattr(usual.trust, search)
    value = factor * getattr(numbers, number)
    numbers = replace(numbers, **{number: round(value) if number == "patience" else value})
    return replace(usual, trust=replace(usual.trust, **{search: numbers}))


def told(score: Score) -> str:
    """A score as text."""
    return f"{score[0]:.1f} ({score[1]})"


def main() -> None:
    """Vary the numbers of the searches asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--searches", default="saddle,irc,minimum")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for search in options.searches.split(","):
        run = SEARCHES[search]
        rows.append((search, "as it is", told(run(StepSettings())), ""))
        for module, names in NUMBERS[search].items():
            for name in names:
                scores = []
                for factor in (0.5, 2.0):
                    with changed(module, name, factor):
                        scores.append(told(run(StepSettings())))
                rows.append((search, f"{module.partition('.')[2]}.{name}", *scores))
                print(*rows[-1], flush=True)
        fixed = getattr(settings, search.upper())
        for field in fields(TrustSettings):
            value = getattr(fixed, field.name)
            if value in (0.0, -1.0) or abs(value) >= 1e9 or field.name == "patience":
                continue
            scores = []
            for factor in (0.5, 2.0):
                try:
                    scores.append(told(run(trusted(search, field.name, factor))))
                except InputError:  # out of bounds, such as a first radius above the largest
                    scores.append("")
            rows.append((search, f"trust: {field.name}", *scores))
            print(*rows[-1], flush=True)
    print_table(("search", "number", "halved", "doubled"), rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
