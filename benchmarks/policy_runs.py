"""What the benchmarks of policies share: molecules, and runs whose offers come in any order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from afir.molecule import Molecule, Positions
from afir.policies import PastRun
from mlpot.policies.replay import World
from networks import Settings, explore
from networks.storage.run_file import RunFile

MOLECULES = Path(__file__).with_name("policy_molecules.json")
PARTS = {"training": 100, "unseen": 150}
"""Parts of the molecules, and the trials of each run."""
SURFACE = "gfn2"
# All offers on all structures are drawn alike: a run says something about offers of every kind.
_OPTIONS = {"temperature": 20000.0, "shuffled": True}


def molecules(part: str) -> dict[str, tuple[Molecule, Positions]]:
    """The molecules of a part with their geometries in Å, by name."""
    known = json.loads(MOLECULES.read_text(encoding="utf-8"))[part]
    return {
        name: (
            Molecule.from_symbols([symbol for symbol, *_ in atoms]),
            np.array([x for _, *x in atoms], dtype=float),
        )
        for name, atoms in known.items()
    }


def make_runs(part: str, folder: Path) -> list[Path]:
    """The run files of a part; those that are not there yet are made."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, (molecule, x) in molecules(part).items():
        file = folder / f"{name}.db"
        files.append(file)
        if file.exists():
            continue
        settings = Settings(
            SURFACE,
            policy="stochastic",
            policy_options=_OPTIONS,
            seed=1,
            in_flight=4,
            max_trials=PARTS[part],
        )
        draft = file.with_suffix(".part")
        draft.unlink(missing_ok=True)
        for _ in explore(molecule, x, settings, draft):
            pass
        draft.rename(file)
        print(f"made {file}", flush=True)
    return files


def past(file: Path) -> PastRun:
    """A run file as a trainer is told of it."""
    with RunFile.open(file) as store:
        return PastRun(file.stem, SURFACE, store.load_network(), list(store.trials()))


def worlds(files: list[Path]) -> list[World]:
    """Runs to be replayed."""
    return [World(past(file)) for file in files]
