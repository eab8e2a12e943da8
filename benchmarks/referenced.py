"""What runs with a reference cost, and whether what they report is true.

Reads run files that `afir explore --reference` made, or direct ones to compare with. With --prove
each transition state is proven anew on its surface, by an exact Hessian and the whole IRC, and each
minimum by an exact Hessian.

    python benchmarks/referenced.py RUN.db DIRECT.db --ts 30 --prove
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from table import print_table

from afir.errors import AfirError
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import Surface
from afir.searches.hessian import hessian
from afir.stationary import Candidate, Minimum, Outcome
from afir.verification.minima import characterise
from afir.verification.transition_states import confirm
from networks import open_run
from networks.records.structures import EQ, TS
from networks.storage.run_file import RunFile

COLUMNS = ("run", "surface", "EQ", "TS", "gradients", "for the first TSs", "for each")
PROOFS = ("run", "TS", "proven", "same ends", "largest error eV", "EQ", "order 0")


def costs(store: RunFile, count: int) -> tuple[str, ...]:
    """Gradients that count: of the whole run, and until so many transition states were found."""
    settings, network = store.settings, store.load_network()
    counts = store.summary().gradients
    trials = list(store.trials())
    spent = settings.counted(counts) - sum(settings.counted(t.gradients) for t in trials)
    found, first = 0, None
    for trial in trials:
        spent += settings.counted(trial.gradients)
        found += sum(id.startswith("TS") for id in trial.found)
        if found >= count and first is None:
            first = spent
    return (
        store.path.stem,
        settings.reported[0],
        str(len(network.eqs)),
        str(len(network.tss)),
        str(settings.counted(counts)),
        "–" if first is None else str(first),
        "–" if first is None else f"{first / count:.1f}",
    )


def proof(store: RunFile) -> tuple[str, ...]:
    """How many of the transition states and minima of a run are proven directly."""
    network, molecule = store.load_network(), store.molecule
    name, options = store.settings.reported
    surface = load_surface(name, molecule, **options)
    proven = same = 0
    errors = [0.0]
    for ts in network.tss.values():
        candidate = Candidate(ts.positions, ts.energy, ts.hessian, "run")
        found = solve(confirm(molecule, candidate), surface)
        if found.outcome is not Outcome.CONFIRMED:
            continue
        proven += 1
        errors.append(abs(found.point.energy - ts.energy))
        ends = sorted(ending(molecule, end, surface) for end in found.ends)
        known = sorted(known_ending(network.node(id)) for id in ts.ends)
        same += all(abs(one - other) < 2e-3 for one, other in zip(ends, known, strict=True))
    minima = [solve(hessian(molecule, eq.positions), surface) for eq in network.eqs.values()]
    return (
        store.path.stem,
        str(len(network.tss)),
        str(proven),
        str(same),
        f"{max(errors):.0e}",
        str(len(minima)),
        str(sum(point.order == 0 for point in minima)),
    )


def ending(molecule: Molecule, end: Minimum, surface: Surface) -> float:
    """The energy of an end in eV, infinite if it has come apart."""
    if end.dissociated:
        return np.inf
    try:
        return solve(characterise(molecule, end.positions, hessian=end.hessian), surface).energy
    except AfirError:
        return np.nan


def known_ending(node: object) -> float:
    """The same of a node of a network."""
    return node.energy if isinstance(node, EQ | TS) else np.inf


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--ts", type=int, default=30, help="how many transition states")
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    asked = parser.parse_args()
    stores = [open_run(path) for path in asked.runs]
    rows = [costs(store, asked.ts) for store in stores]
    print_table(COLUMNS, rows, markdown=asked.markdown)
    if asked.prove:
        print()
        print_table(PROOFS, [proof(store) for store in stores], markdown=asked.markdown)


if __name__ == "__main__":
    main()
