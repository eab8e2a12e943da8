"""What the tests of this folder share: small structures, and a run boiled down to compare it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from offered import PUSH
from toyworld import MOLECULE, SETTINGS, structure, toy

from afir.molecule import Molecule
from networks import Settings, explore
from networks.exploration.events import Event, Progress, Stopped
from networks.records.ids import Id
from networks.records.trials import Item, Known, Planned
from networks.storage.run_file import RunFile

HCN = Molecule.from_symbols("HCN")
HCN_START = np.array([[0.0, 0.0, -1.06], [0.0, 0.0, 0.0], [0.0, 0.0, 1.15]])
H2CO = Path(__file__).parents[2] / "examples" / "h2co.xyz"
SHORT = Settings(seed=0, max_trials=12, window_kj_mol=500.0)
"""A short run of formaldehyde."""


def snapshot(path: Path) -> dict[str, Any]:
    """Everything that must not depend on workers and interruptions, to the last digit."""
    with RunFile.open(path) as store:
        network = store.load_network()
        summary = store.summary()
        return {
            "eqs": [
                (e.id, e.energy, e.flags, e.positions.tobytes(), e.hessian.tobytes())
                for e in network.eqs.values()
            ],
            "tss": [
                (t.id, t.energy, t.ends, t.positions.tobytes(), t.irc_energies.tobytes())
                for t in network.tss.values()
            ],
            "dcs": [
                (d.id, d.energy, d.fragments, d.no_ts_known, d.origin, d.positions.tobytes())
                for d in network.dcs.values()
            ],
            "trials": [dataclasses.replace(trial, cpu_seconds=0.0) for trial in store.trials()],
            "dismissed": [
                (d.kind, d.energy, d.outcome, d.reason, d.node, d.trial) for d in store.dismissed()
            ],
            "gradients": dict(summary.gradients),
            "complete": summary.complete,
        }


def planned(trial: int) -> Planned:
    """A trial on EQ0 that is in flight, chosen when little was known."""
    item, known = Item(Id.of("EQ", 0), trial), Known(0, 1, 0, 0, 0)
    return Planned(trial, trial, item, PUSH, 3, -99.25, None, 0, known)


def toy_run(path: Path, settings: Settings = SETTINGS) -> Iterator[Event]:
    """A run in the made-up world of `toyworld`."""
    return explore(MOLECULE, structure(0), settings, path, executor=toy)


def run(path: Path, settings: Settings = SETTINGS) -> list[Event]:
    """The events of such a run, done to its end."""
    return list(toy_run(path, settings))


def stop(events: list[Event]) -> Stopped:
    """How a run ended."""
    last = events[-1]
    assert isinstance(last, Stopped)
    return last


def commits(events: Iterator[Event]) -> Iterator[Progress]:
    """The events that follow each commit of a stage."""
    return (event for event in events if isinstance(event, Progress))


def in_a_child(work: Callable[[], object]) -> int:
    """Do something in another process; its exit code, 1 after any error."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
