"""The structures that the benchmarks push, their first pushes, and the tops of their paths."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from guesses import REFERENCES, Guess

from afir.errors import AfirError
from afir.geometry.superposition import superpose
from afir.io.structures import read_structure
from afir.methods.afir_path import push
from afir.methods.pushes import Push, pushes
from afir.molecule import Molecule
from afir.pes.driver import Level, Search, solve, stage
from afir.pes.loading import load_surface
from afir.searches.minimum import PathPoint, minimise, settle
from afir.searches.path import Peak, path_hessians, relax_path
from afir.searches.settings import StepSettings
from afir.stationary import Outcome, StationaryPoint
from afir.verification.minima import characterise

CROSSED = 0.3  # Å: when no atom ends further from its start, the push fell back
EXAMPLES = Path(__file__).parent.parent / "examples"

# Ends of reference transition states: the case and which of its two ends.
ENDS = {
    "fluoroethane": ("hf_abstraction", 0),
    "cyclobutene": ("rx_cycbut", 1),
    "hydroxyacetone": ("zimmerman_11", 1),
    "acetaldehyde": ("vinyl_alcohol", 0),
    "methanol": ("rx_meoh", 1),
    "allyl-vinyl-ether": ("claisen", 0),
}


def start(name: str) -> tuple[Molecule, StationaryPoint]:
    """A structure of the examples or of the reference data, relaxed, with its exact Hessian."""
    if name in ENDS:
        case, end = ENDS[name]
        data = json.loads(REFERENCES.read_text())["cases"][case]
        molecule = Molecule(tuple(data["numbers"]), data["charge"], data["multiplicity"])
        x = np.array(data["ends"][end])
    else:
        molecule, x = read_structure(EXAMPLES / f"{name}.xyz")
    return molecule, solve(characterise(molecule, x), load_surface("gfn2", molecule))


def first_pushes(
    molecule: Molecule, point: StationaryPoint, count: int, seed: int
) -> list[tuple[Push, np.random.Generator]]:
    """The first pushes of a structure, each with the generator that displaces its start."""
    listed = pushes(molecule, point.positions, rng=np.random.default_rng([seed, 0]))
    return [
        (terms, np.random.default_rng([seed, 1, number]))
        for number, terms in enumerate(islice(listed, count))
    ]


TOPS = (
    "hcn",
    "h2co",
    "c2h2",
    "methanol",
    "acetaldehyde",
    "butadiene",
    "cyclobutene",
    "allyl-vinyl-ether",
)
PUSHES, ENOUGH = 8, 4  # pushes of a structure at most, and guesses after which no more follow


def path_tops(seed: int = 7) -> list[Guess]:
    """Every peak of the relaxed paths that the first pushes of some structures leave.

    Nobody knows which transition state is meant; with each guess come the tangent of its path
    and the estimate of the Hessian, as an exploration has them.
    """
    result = []
    for name in TOPS:
        molecule, point = start(name)
        surface = load_surface("gfn2", molecule)
        tops: list[Guess] = []
        for number, (terms, rng) in enumerate(first_pushes(molecule, point, PUSHES, seed)):
            try:
                found = solve(
                    stage("path", _tops(molecule, point, terms, rng), Level.PATH), surface
                )
            except AfirError:
                continue
            for count, top in enumerate(found):
                label = f"{name}-{number}{'abcdefghi'[count]}"
                tops.append(Guess(label, molecule, top.positions, None, top.tangent, top.hessian))
            if len(tops) >= ENOUGH:
                break
        result += tops
    return result


def _tops(
    molecule: Molecule, point: StationaryPoint, terms: Push, rng: np.random.Generator
) -> Search[tuple[Peak, ...]]:
    """Push, minimum behind it, relaxed path: the first half of `afir.methods.sc_afir`."""
    settings = StepSettings()
    path = yield from push(
        molecule, point.positions, terms, settings, hessian=point.hessian, rng=rng
    )
    estimate = path_hessians(molecule, path.points, point.hessian)[-1]
    tail: list[PathPoint] = []
    if path.end.outcome is Outcome.DISSOCIATED:
        slow = replace(settings, max_step=0.1)
        end = yield from settle(molecule, path.end.positions, slow, hessian=estimate, trace=tail)
    else:
        end = yield from minimise(
            molecule, path.end.positions, settings, hessian=estimate, trace=tail
        )
    way = np.linalg.norm(superpose(point.positions, end.positions) - point.positions, axis=1)
    if way.max() < CROSSED:
        return ()
    tops = yield from relax_path(molecule, [*path.points, *tail], point.hessian, settings)
    return tops
