"""A made-up surface of a few dozen states on which every task is answered at once.

What a push leads to is a hash of the state and the push, so the world is the same in every
process. Its searches behave like real ones: minima that are only roughly converged, candidates
that turn out to be nothing, trials that fail, channels of fragments.

Run as a program it serves `python toyworld.py`: each line of JSON on the standard input is a
run to start in a forked child, perhaps to be killed; the answer is the child's exit status.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from offered import written

from afir.geometry.bonds import components, distances
from afir.molecule import Molecule, Positions
from afir.stationary import (
    Candidate,
    Confirmation,
    Consistency,
    Minimum,
    Outcome,
    StationaryPoint,
    TrialResult,
)
from networks import Settings, explore, resume
from networks.execution.base import Executor
from networks.execution.context import Bench
from networks.execution.local import SerialExecutor
from networks.execution.tasks import (
    Characterise,
    Confirm,
    Examine,
    Label,
    Labelled,
    Push,
    Task,
    TaskResult,
)
from networks.storage.sqlite import Database

MOLECULE = Molecule.from_symbols(["C", "N", "O", "H"])
STATES = 12
COMPLEX_STATE = 9
"""The state made of two molecules that hold together."""
SURFACE = "toyworld"
"""The name that the world goes by; no package registers it."""
SETTINGS = Settings(SURFACE, terms=1, seed=5, in_flight=5)
LATE = Settings(SURFACE, terms=1, seed=2, in_flight=5, targets=(1,), attempts=3)
"""Here an EQ is found only when a push is tried again."""


@cache
def structure(*seed: int) -> Positions:
    """A random compact structure (4, 3) in Å."""
    rng = np.random.default_rng([99, *seed, 1])
    while True:
        x = rng.uniform(-1.2, 1.2, size=(4, 3))
        r = distances(x)[np.triu_indices(4, 1)]
        if r.min() > 0.8 and len(components(MOLECULE, x)) == 1:
            break
    if seed == (COMPLEX_STATE,):
        x[3] = x[:3].mean(axis=0) + np.array([0.0, 0.0, 3.0])
    return x


def energy(state: int) -> float:
    """Energy in eV of a state."""
    return -100.0 + 0.137 * ((7 * state) % STATES)


def saddle_energy(first: int, second: int) -> float:
    """Energy in eV of the saddle between two states."""
    low, high = sorted((first, second))
    return max(energy(low), energy(high)) + 1.0 + 0.001 * (STATES * low + high)


ENERGIES = {round(energy(k), 4): k for k in range(STATES)}
SADDLES = {round(saddle_energy(a, b), 4): (a, b) for a in range(STATES) for b in range(a, STATES)}


def digest(*parts: object) -> int:
    """A number that looks random and is the same in every process."""
    return zlib.crc32(repr(parts).encode())


def minimum(state: int, noise: int) -> Minimum:
    """A state as a search would find it: displaced a little, and now and then a lot."""
    size = 0.02 if noise % 3 == 0 else 1e-5
    x = structure(state) + size * np.random.default_rng([noise, 2]).normal(size=(4, 3))
    return Minimum(Outcome.CONVERGED, x, energy(state) + 1e-6, np.zeros((4, 3)), np.eye(12), False)


def fragments_apart(code: int) -> Minimum:
    """A structure one of whose atoms has left."""
    x = structure(0).copy()
    x[code % 4] += 20.0
    return Minimum(Outcome.DISSOCIATED, x, -90.0 - code % 4, np.zeros((4, 3)), np.eye(12), True)


def point(x: Positions, energy: float, order: int) -> StationaryPoint:
    """A stationary point with made-up modes."""
    waves = np.linspace(500.0, 1500.0, 6)
    waves[:order] *= -1
    mode = np.ones((4, 3)) / np.sqrt(12)
    return StationaryPoint(x, energy, 1e-4, np.eye(12), waves, mode, order)


def answer(task: Task) -> TaskResult:
    """What the world answers."""
    value: TrialResult | Confirmation | StationaryPoint | Consistency | Labelled | None
    kind = type(task).__name__.lower()
    if isinstance(task, Push):
        state = ENERGIES[round(task.start.energy, 4)]
        code = digest(state, *written(task.offer))
        # Some pushes that lead nowhere do when they are tried again.
        lucky = code % 7 == 0 and code % 3 > 0
        value = trial(state, digest(code, task.seed) if lucky else code)
        if task.offer.data.get("kind") in ("climb", "inversion"):
            # What is found must wait for pushes, and for pushes tried again.
            value = TrialResult(Outcome.NO_SADDLE, (), (), False)
    elif isinstance(task, Confirm):
        value = proof(task)
    elif isinstance(task, Examine):
        value = Consistency(0.0, 1.0, 0.0)
    elif isinstance(task, Label):
        value = Labelled(energy(nearest(task.positions)), np.zeros((4, 3)))
    else:
        value = refined(task)
    gradients = Counter({kind: 10, "other": digest(kind, value is None) % 5})
    if value is None:
        return TaskResult(None, Outcome.SURFACE_FAILED, "the world has a hole", gradients, 0.01)
    return TaskResult(value, None, "", gradients, 0.01)


def trial(state: int, code: int) -> TrialResult | None:
    """What became of a push."""
    other = (code >> 8) % STATES
    if code % 13 == 0:
        return None
    if code % 5 == 0:
        return TrialResult(Outcome.NO_BARRIER, (), (), False)
    if code % 7 == 0:
        return TrialResult(Outcome.NO_SADDLE, (), (fragments_apart(code),), True)
    low, high = sorted((state, other))
    candidate = Candidate(
        structure(low, high) + 1e-5 * (code % 3), saddle_energy(low, high), np.eye(12), "path"
    )
    return TrialResult(Outcome.FOUND, (candidate,), (minimum(other, code),), True)


def proof(task: Confirm) -> Confirmation:
    """What became of a candidate."""
    low, high = SADDLES[round(task.candidate.energy, 4)]
    code = digest("proof", low, high)
    x = structure(low, high)
    if code % 4 == 0:
        return Confirmation(
            Outcome.WRONG_ORDER,
            point(x, task.candidate.energy, 2),
            (),
            False,
            np.empty((0, 4, 3)),
            np.empty(0),
        )
    ends = [minimum(low, code), minimum(high, code + 1)]
    if code % 9 == 0:
        ends[0] = fragments_apart(code)
    return Confirmation(
        Outcome.CONFIRMED,
        point(x, task.candidate.energy, 1),
        tuple(ends),
        True,
        np.stack([ends[0].positions, x, ends[1].positions]),
        np.array([ends[0].energy, task.candidate.energy, ends[1].energy]),
    )


def nearest(x: Positions) -> int:
    """The state whose structure is nearest."""
    gaps = [np.abs(distances(structure(k)) - distances(x)).max() for k in range(STATES)]
    return int(np.argmin(gaps))


def refined(task: Characterise) -> StationaryPoint | None:
    """What became of a rough minimum: the state whose structure is nearest."""
    state = nearest(task.positions)
    return None if state == STATES - 1 else point(structure(state), energy(state), 0)


@dataclass(frozen=True)
class ToyBench:
    """Does toy tasks, each taking some seconds."""

    pause: float = 0.0

    def open(self) -> Callable[[Task], TaskResult]:
        """See `networks.execution.context.Bench`."""

        def perform(task: Task) -> TaskResult:
            time.sleep(self.pause)
            return answer(task)

        return perform


@dataclass(frozen=True)
class Shuffled:
    """Answers in a random order, as many workers of different speed would."""

    rng: np.random.Generator
    world: Callable[[Task], TaskResult] = answer

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """See `networks.execution.base.Executor`."""
        waiting: list[int] = []
        seen = 0
        while True:
            waiting.extend(range(seen, len(tasks)))
            seen = len(tasks)
            if not waiting:
                return
            index = waiting.pop(int(self.rng.integers(len(waiting))))
            yield index, self.world(tasks[index])

    def close(self) -> None:
        """Nothing is held."""


def toy(bench: Bench) -> SerialExecutor:
    """An executor that does tasks in this world, whatever the bench."""
    return SerialExecutor(ToyBench())


def by(executor: Executor) -> Callable[[Bench], Executor]:
    """A factory that makes no executor but this one."""
    return lambda bench: executor


def finish(path: Path, executor: Executor, settings: Settings = SETTINGS) -> None:
    """Begin a run, or go on with it, to its end."""
    if path.exists():
        events = resume(path, executor=by(executor))
    else:
        events = explore(MOLECULE, structure(0), settings, path, executor=by(executor))
    for _ in events:
        pass


def killed_at(commit: int, place: str) -> None:
    """Make this process kill itself at its n-th commit: before, within, or after it."""
    count = 0
    writing = Database.writing

    @contextmanager
    def deadly(self: Database) -> Iterator[object]:
        nonlocal count
        count += 1
        if count == commit and place == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        with writing(self) as connection:
            yield connection
            if count == commit and place == "within":
                os.kill(os.getpid(), signal.SIGKILL)
        if count == commit and place == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    Database.writing = deadly  # type: ignore[assignment, method-assign]


def serve() -> None:
    """Start runs as they are asked for; each in a child that can be killed."""
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            if order["commit"]:
                killed_at(order["commit"], order["place"])
            finish(Path(order["path"]), SerialExecutor(ToyBench(order["pause"])))
            os._exit(0)
        if order["after"]:
            time.sleep(order["after"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
