"""How much of a known map one exploration finds, and what it costs.

Explores HCN, C2H2 (one seed each) and H2CO (five seeds), or other maps, on GFN2-xTB with the
default settings and compares with ``maps.json``, which was made by random search and knows nothing
of artificial forces. Those maps are lower bounds: what is found beyond them is no error.

    python benchmarks/explore_maps.py --markdown
    python benchmarks/explore_maps.py --maps tuning --seeds 3
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from maps import MAPS, core, often
from table import print_table

from afir.io.structures import read_structure
from afir.molecule import Molecule, Positions
from afir.searches.settings import StepSettings
from afir.units import HARTREE, KJ_PER_MOL
from networks import Settings, explore, open_run
from networks.records.structures import EQ, TS

EXAMPLES = Path(__file__).parent.parent / "examples"
SAME = 0.3 * KJ_PER_MOL  # eV: energies closer than this are the same stationary point
FOUND_WITH_EACH = ("HCN", "C2H2")  # one seed tells all of them
COLUMNS = ("map", "seed", "gradients", "CPU s", "core EQ", "core TS", "all EQ", "all TS", "more TS")
MEANS = ("map", "set", "seeds", "gradients", "core EQ", "core TS", "core recall")


@dataclass(frozen=True)
class Known:
    """Energies in eV of the stationary points that count."""

    core_eqs: tuple[float, ...]
    core_tss: tuple[float, ...]
    eqs: tuple[float, ...]
    tss: tuple[float, ...]


@dataclass(frozen=True)
class Measured:
    """What one exploration found and cost; `more` are transition states beyond the map.

    The others are how many of those of the map were found, in the order of `Known`.
    """

    gradients: int
    seconds: float
    found: tuple[int, int, int, int]
    more: int


def known_points(mapped: dict[str, Any]) -> Known:
    """What of a map counts, and which part of it is its core."""

    def energies(points: Sequence[dict[str, Any]]) -> tuple[float, ...]:
        return tuple(point["energy"] * HARTREE for point in often(points))

    eqs, tss = core(mapped)
    return Known(energies(eqs), energies(tss), energies(mapped["eq"]), energies(mapped["ts"]))


def hits(known: Sequence[float], found: Sequence[EQ] | Sequence[TS]) -> int:
    """How many of the known energies were found."""
    return sum(any(abs(record.energy - energy) < SAME for record in found) for energy in known)


def starting_point(name: str, mapped: dict[str, Any]) -> tuple[Molecule, Positions]:
    """The structure that comes with a map; that of the examples where none does."""
    if "start" not in mapped:
        return read_structure(EXAMPLES / f"{name.lower()}.xyz")
    start = mapped["start"]
    return Molecule(tuple(start["numbers"])), np.array(start["positions"])


def measure(
    molecule: Molecule, start: Positions, settings: Settings, workers: int, known: Known
) -> Measured:
    """Explore once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.db"
        for _ in explore(molecule, start, settings, path, workers=workers):
            pass
        with open_run(path) as run:
            summary, network = run.summary(), run.load_network()
    eqs, tss = list(network.eqs.values()), list(network.tss.values())
    return Measured(
        gradients=sum(summary.gradients.values()),
        seconds=summary.cpu_seconds,
        found=(
            hits(known.core_eqs, eqs),
            hits(known.core_tss, tss),
            hits(known.eqs, eqs),
            hits(known.tss, tss),
        ),
        more=sum(all(abs(ts.energy - energy) >= SAME for energy in known.tss) for ts in tss),
    )


def row(name: str, seed: int, measured: Measured, known: Known) -> tuple[str, ...]:
    """One exploration, of all there is to find."""
    sizes = (len(known.core_eqs), len(known.core_tss), len(known.eqs), len(known.tss))
    shares = (f"{count}/{size}" for count, size in zip(measured.found, sizes, strict=True))
    numbers = str(seed), str(measured.gradients), f"{measured.seconds:.1f}"
    return name, *numbers, *shares, str(measured.more)


def mean_row(name: str, group: str, runs: Sequence[Measured], known: Known) -> tuple[str, ...]:
    """The mean of the explorations of one map."""
    eqs, tss = (np.mean([run.found[kind] for run in runs]) for kind in (0, 1))
    gradients = np.mean([run.gradients for run in runs])
    recall = (eqs + tss) / (len(known.core_eqs) + len(known.core_tss))
    shares = f"{eqs:.1f}/{len(known.core_eqs)}", f"{tss:.1f}/{len(known.core_tss)}"
    return name, group, str(len(runs)), f"{gradients:.0f}", *shares, f"{recall:.1%}"


def main() -> None:
    maps = json.loads(MAPS.read_text(encoding="utf-8"))
    del maps["about"]
    groups = {name: mapped.get("set", "first") for name, mapped in maps.items()}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--maps",
        nargs="+",
        default=["HCN", "C2H2", "H2CO"],
        choices=list(dict.fromkeys([*maps, *groups.values()])),
        help="which maps, by name or by set",
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many; one for HCN and C2H2")
    parser.add_argument("--gamma", type=float, default=1000.0, help="kJ/mol")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    rows, means = [], []
    for name in [name for asked in options.maps for name in maps if asked in (name, groups[name])]:
        known, (molecule, start) = known_points(maps[name]), starting_point(name, maps[name])
        runs = []
        for seed in range(1 if name in FOUND_WITH_EACH else options.seeds):
            settings = Settings(step=StepSettings(gamma=options.gamma), seed=seed)
            runs.append(measure(molecule, start, settings, options.workers, known))
            rows.append(row(name, seed, runs[-1], known))
        means.append(mean_row(name, groups[name], runs, known))
    print_table(COLUMNS, rows, markdown=options.markdown)
    print()
    print_table(MEANS, means, markdown=options.markdown)


if __name__ == "__main__":
    main()
