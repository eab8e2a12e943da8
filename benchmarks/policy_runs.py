"""What the benchmarks of policies share: molecules, and runs whose offers come in any order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from afir.molecule import Molecule, Positions
from afir.policies import PastRun
from mlpot.policies.replay import World
from networks import Settings, explore
from networks.storage.run_file import RunFile

MOLECULES = Path(__file__).with_name("policy_molecules.json")
SURFACE = "gfn2"


@dataclass(frozen=True)
class Runs:
    """How runs of a part of the molecules are made.

    Attributes
    ----------
    ending
        Of the name of a run, after that of its molecule.
    trials, seed
        Of each run.
    policy, options
        The order of the offers.
    """

    ending: str
    trials: int
    seed: int
    policy: str
    options: Mapping[str, Any]


# All offers on all structures are drawn alike: a run says something about offers of every kind.
_ANYWHERE = ("stochastic", {"temperature": 20000.0, "shuffled": True})
# Many offers on few structures: a run says what else an offer finds when others were tried.
_IN_TURN = ("exhaustive", {"per_eq": 16})
PARTS = {
    "training": (Runs("", 100, 1, *_ANYWHERE), Runs("-in-turn", 100, 2, *_IN_TURN)),
    "unseen": (Runs("", 150, 1, *_ANYWHERE),),
}
"""Parts of the molecules, and the runs that are made of each molecule."""


def molecules(part: str) -> dict[str, tuple[Molecule, Positions]]:
    """The molecules of a part with their geometries in Å, by name."""
    known = json.loads(MOLECULES.read_text(encoding="utf-8"))
    states = known["states"]  # charge and multiplicity
    return {
        name: (
            Molecule.from_symbols([symbol for symbol, *_ in atoms], *states.get(name, (0, 1))),
            np.array([x for _, *x in atoms], dtype=float),
        )
        for name, atoms in known[part].items()
    }


def make_runs(part: str, folder: Path) -> list[Path]:
    """The run files of a part; those that are not there yet are made."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, (molecule, x) in molecules(part).items():
        for runs in PARTS[part]:
            file = folder / f"{name}{runs.ending}.db"
            files.append(file)
            if file.exists():
                continue
            settings = Settings(
                SURFACE,
                policy=runs.policy,
                policy_options=runs.options,
                seed=runs.seed,
                in_flight=4,
                max_trials=runs.trials,
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
