"""How much of a known map one exploration finds, and what it costs.

Explores HCN, C2H2 (one seed each) and H2CO (five seeds) on GFN2-xTB with the default settings
and compares with ``maps.json``, which was made by random search and knows nothing of artificial
forces. Those maps are lower bounds: what is found beyond them is no error.

    python benchmarks/explore_maps.py --markdown
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from table import print_table

from afir.searches.settings import StepSettings
from afir.structures import read_structure
from afir.units import HARTREE, KJ_PER_MOL
from networks import Settings, explore, open_run
from networks.records import EQ, TS

HERE = Path(__file__).parent
SAME = 0.3 * KJ_PER_MOL  # eV: energies closer than this are the same stationary point
OFTEN = 3  # a reference point counts when the random search met it this many times
CORE = 500.0 * KJ_PER_MOL  # eV: points of one molecule below this are the core of a map
COLUMNS = ("map", "seed", "gradients", "CPU s", "core EQ", "core TS", "all EQ", "all TS", "more TS")


@dataclass(frozen=True)
class Known:
    """Energies in eV of the stationary points that count."""

    core_eqs: tuple[float, ...]
    core_tss: tuple[float, ...]
    eqs: tuple[float, ...]
    tss: tuple[float, ...]


def known_points(reference: dict[str, Any]) -> Known:
    """What of a map counts, and which part of it is its core.

    The core are the structures of a single molecule below 500 kJ/mol and the transition states
    between two of them.
    """
    zero = min(eq["energy"] for eq in reference["eq"]) * HARTREE

    def often(points: Sequence[dict[str, Any]]) -> list[tuple[float, dict[str, Any]]]:
        return [(point["energy"] * HARTREE, point) for point in points if point["hits"] >= OFTEN]

    def whole(index: int | None) -> bool:
        return index is not None and "+" not in reference["eq"][index]["molecules"]

    eqs, tss = often(reference["eq"]), often(reference["ts"])
    return Known(
        core_eqs=tuple(e for e, eq in eqs if "+" not in eq["molecules"] and e <= zero + CORE),
        core_tss=tuple(e for e, ts in tss if all(map(whole, ts["ends"])) and e <= zero + CORE),
        eqs=tuple(e for e, _ in eqs),
        tss=tuple(e for e, _ in tss),
    )


def share(known: Sequence[float], found: Sequence[EQ] | Sequence[TS]) -> str:
    """How many of the known energies were found, as ``3/4``."""
    hits = sum(any(abs(record.energy - energy) < SAME for record in found) for energy in known)
    return f"{hits}/{len(known)}"


def measure(name: str, seed: int, gamma: float, workers: int, known: Known) -> tuple[str, ...]:
    """Explore once; a row of the table."""
    molecule, start = read_structure(HERE.parent / "examples" / f"{name.lower()}.xyz")
    settings = Settings(step=StepSettings(gamma=gamma), seed=seed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.db"
        for _ in explore(molecule, start, settings, path, workers=workers):
            pass
        with open_run(path) as run:
            summary, network = run.summary(), run.load_network()
    eqs, tss = list(network.eqs.values()), list(network.tss.values())
    more = sum(all(abs(ts.energy - energy) >= SAME for energy in known.tss) for ts in tss)
    return (
        name,
        str(seed),
        str(sum(summary.gradients.values())),
        f"{summary.cpu_seconds:.1f}",
        share(known.core_eqs, eqs),
        share(known.core_tss, tss),
        share(known.eqs, eqs),
        share(known.tss, tss),
        str(more),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--maps", nargs="+", default=["HCN", "C2H2", "H2CO"], help="which maps")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds for H2CO")
    parser.add_argument("--gamma", type=float, default=1000.0, help="kJ/mol")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    maps = json.loads((HERE / "maps.json").read_text(encoding="utf-8"))
    rows = []
    for name in options.maps:
        known = known_points(maps[name])
        for seed in range(options.seeds if name == "H2CO" else 1):
            rows.append(measure(name, seed, options.gamma, options.workers, known))
    print_table(COLUMNS, rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
