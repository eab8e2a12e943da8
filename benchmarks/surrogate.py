"""Paths with and without a Gaussian process: gradients stage by stage, and where they lead.

A push is made twice on the same surface, from the same displaced start: once its path is relaxed
by the gradients of its images, once on a Gaussian process. The transition states are verified by
an exact Hessian, which is not counted, and compared.

    python benchmarks/surrogate.py --surface dft --pushes hcn:0,h2co:0 --markdown
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from starts import first_pushes, start
from table import print_table

from afir.geometry.superposition import rmsd
from afir.methods.sc_afir import try_push
from afir.molecule import Positions
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.searches.hessian import hessian
from afir.searches.settings import StepSettings
from afir.units import KJ_PER_MOL
from afir.verification.minima import characterise

LIMIT = 2e-4  # eV: transition states closer in energy than this are compared


@dataclass(frozen=True)
class Way:
    """One trial: gradients by stage, wall time, and the verified transition states."""

    gradients: Counter[str]
    seconds: float
    ends: tuple[tuple[Positions, float], ...]


def ways(name: str, number: int, surface_name: str, seed: int) -> tuple[float, Way, Way]:
    """The energy of the start in eV, and a push of it without and with a Gaussian process."""
    molecule, cheap = start(name)
    surface = load_surface(surface_name, molecule)
    terms, _ = first_pushes(molecule, cheap, number + 1, seed)[number]
    point = solve(characterise(molecule, cheap.positions, hessian=cheap.hessian), surface)
    made = []
    for surrogate in (False, True):
        gradients: Counter[str] = Counter()
        settings = StepSettings(surrogate=surrogate)
        rng = np.random.default_rng([seed, 1, number])
        before = time.monotonic()
        trial = try_push(molecule, point, terms, settings, rng=rng)
        found = solve(trial, surface, gradients=gradients)
        seconds = time.monotonic() - before
        ends = []
        for candidate in found.candidates:
            proof = solve(hessian(molecule, candidate.positions), surface)
            if proof.order == 1 and -proof.wavenumbers[0] > settings.softest_imaginary:
                ends.append((candidate.positions, candidate.energy))
        made.append(Way(gradients, seconds, tuple(ends)))
    return point.energy, made[0], made[1]


def rows(label: str, zero: float, plain: Way, learnt: Way) -> list[tuple[str, ...]]:
    """One row without and one with the Gaussian process."""

    def row(way: Way, kind: str, compared: str) -> tuple[str, ...]:
        counts = [way.gradients[stage] for stage in ("push", "minimum", "path", "saddle")]
        heights = [f"{(energy - zero) / KJ_PER_MOL:.2f}" for _, energy in way.ends]
        cells = (*map(str, counts), f"{way.seconds:.1f}")
        return (label, kind, *cells, " ".join(heights), compared)

    return [row(plain, "images", ""), row(learnt, "process", _compared(plain, learnt))]


def _compared(plain: Way, learnt: Way) -> str:
    """Differences in energy (eV) and geometry (Å) of the transition states found both ways."""
    same = []
    for x, energy in learnt.ends:
        for other, other_energy in plain.ends:
            if abs(energy - other_energy) < LIMIT:
                mirrored = other * np.array([1.0, 1.0, -1.0])
                away = min(rmsd(x, other), rmsd(x, mirrored))
                same.append(f"{abs(energy - other_energy):.0e} eV, {away:.4f} Å")
                break
    return "; ".join(same) or "none"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--surface", default="gfn2")
    parser.add_argument(
        "--pushes", default="hcn:0,h2co:0,acetaldehyde:0", help="start:number, commas between them"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    table: list[tuple[str, ...]] = []
    for item in options.pushes.split(","):
        name, _, number = item.partition(":")
        table += rows(item, *ways(name, int(number), options.surface, options.seed))
    print_table(
        (
            "push",
            "path by",
            "push",
            "minimum",
            "path",
            "saddle",
            "seconds",
            "TS, kJ/mol",
            "the same TS",
        ),
        table,
        markdown=options.markdown,
    )


if __name__ == "__main__":
    main()
