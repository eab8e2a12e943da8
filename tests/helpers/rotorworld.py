"""2-butyne on GFN2-xTB with made-up pushes: they lead to it with its methyl groups turned anyhow.

Minima are refined and compared as in a real run. Which transition states there are is made up, so
that the right route is known: 3 eV from 2-butyne straight to butadiene, in whatever position of the
methyl groups the path begins, or 4 and 5 eV by way of 1-butyne.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from offered import written

from afir.molecule import Molecule, Positions
from afir.stationary import Candidate, Confirmation, Minimum, Outcome, StationaryPoint, TrialResult
from networks import Settings
from networks.execution.context import Bench
from networks.execution.tasks import (
    Characterise,
    Compare,
    Confirm,
    Examine,
    Label,
    Push,
    Task,
    TaskResult,
)

MOLECULE = Molecule.from_symbols(["C"] * 4 + ["H"] * 6)
SURFACE = "rotorworld"
"""The name that the world goes by; no package registers it."""
SETTINGS = Settings(SURFACE, terms=1, seed=3, in_flight=4, max_trials=16)
TOPS = (3.0, 4.0, 5.0)
"""eV above 2-butyne of the transition states."""


def butyne(degrees: float) -> Positions:
    """2-butyne with one methyl group turned, (10, 3) in Å."""
    atoms = [[0.0, 0.0, z] for z in (-2.055, -0.6, 0.6, 2.055)]
    for sign, offset in ((-1, 0.0), (1, degrees)):
        for number in range(3):
            angle = np.radians(120.0 * number + offset)
            atoms.append([1.025 * np.cos(angle), 1.025 * np.sin(angle), sign * 2.43])
    return np.array(atoms)


BUTADIENE = np.array(
    [
        [-1.83, 0.11, 0.0],
        [-0.61, -0.40, 0.0],
        [0.61, 0.40, 0.0],
        [1.83, -0.11, 0.0],
        [-2.70, -0.53, 0.0],
        [-1.99, 1.18, 0.0],
        [-0.50, -1.48, 0.0],
        [0.50, 1.48, 0.0],
        [2.70, 0.53, 0.0],
        [1.99, -1.18, 0.0],
    ]
)
ONE_BUTYNE = np.array(
    [
        [-2.00, -0.55, 0.0],
        [-0.60, -1.10, 0.0],
        [0.42, -0.05, 0.0],
        [1.25, 0.81, 0.0],
        [-2.15, 0.06, 0.89],
        [-2.15, 0.06, -0.89],
        [-2.73, -1.36, 0.0],
        [-0.46, -1.73, 0.88],
        [-0.46, -1.73, -0.88],
        [1.99, 1.58, 0.0],
    ]
)


@cache
def _bench() -> Callable[[Task], TaskResult]:
    return Bench(MOLECULE, "gfn2").open()


@cache
def refined(name: str, degrees: float = 0.0) -> StationaryPoint:
    """One of the isomers: ``"2-butyne"``, ``"butadiene"`` or ``"1-butyne"``."""
    start = {"2-butyne": butyne(degrees), "butadiene": BUTADIENE, "1-butyne": ONE_BUTYNE}[name]
    value = _bench()(Characterise(start)).value
    assert isinstance(value, StationaryPoint)
    return value


def rough(name: str, degrees: float = 0.0) -> Minimum:
    """The same as a search would find it."""
    point = refined(name, degrees)
    none = np.zeros((10, 3))
    return Minimum(Outcome.CONVERGED, point.positions, point.energy, none, point.hessian, False)


def top(number: int) -> float:
    """The energy in eV of a transition state."""
    return refined("2-butyne").energy + TOPS[number]


def _crowd(number: int) -> Positions:
    """Some structure (10, 3) in Å, another for each transition state."""
    return refined("butadiene").positions * (1.05 + 0.05 * number)


def pushed(code: int) -> TrialResult:
    """What became of a push."""
    turned = rough("2-butyne", float(7 * (code % 9)))
    number = code % 4
    if number == 3:
        return TrialResult(Outcome.NO_SADDLE, (), (turned,), True)
    candidate = Candidate(_crowd(number), top(number), np.eye(30), "path")
    return TrialResult(Outcome.FOUND, (candidate,), (turned,), True)


def proof(task: Confirm) -> Confirmation:
    """The ends of a transition state: the first begins where the methyl groups are turned."""
    number = int(np.argmin([abs(task.candidate.energy - top(k)) for k in range(3)]))
    ends = (
        (rough("2-butyne", 40.0), rough("butadiene")),
        (rough("2-butyne", 0.0), rough("1-butyne")),
        (rough("1-butyne"), rough("butadiene")),
    )[number]
    x = task.candidate.positions
    waves = np.linspace(500.0, 3000.0, 24)
    waves[0] = -900.0
    mode = np.full((10, 3), 30**-0.5)
    point = StationaryPoint(x, task.candidate.energy, 1e-4, np.eye(30), waves, mode, 1)
    return Confirmation(
        Outcome.CONFIRMED,
        point,
        ends,
        True,
        np.stack([ends[0].positions, x, ends[1].positions]),
        np.array([ends[0].energy, point.energy, ends[1].energy]),
    )


def answer(task: Task) -> TaskResult:
    """What the world answers."""
    if isinstance(task, Characterise | Compare | Examine | Label):
        return _bench()(task)
    value: TrialResult | Confirmation
    if isinstance(task, Push):
        value = pushed(zlib.crc32(repr(written(task.offer)).encode()))
    else:
        assert isinstance(task, Confirm)
        value = proof(task)
    return TaskResult(value, None, "", Counter({type(task).__name__.lower(): 10}), 0.01)


@dataclass(frozen=True)
class RotorBench:
    """Does the tasks of this world; see `networks.execution.context.Bench`."""

    def open(self) -> Callable[[Task], TaskResult]:
        """What does a task."""
        return answer
