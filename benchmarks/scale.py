"""What a trial costs the explorer itself when very many structures are known.

Fills run files with made-up networks and goes on with them, every trial being answered at once
with a new equilibrium structure, a new transition state and a saddle point that is none. What is
left is the cost of knowing, choosing and writing; it must not grow with the network.

    python benchmarks/scale.py --markdown
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from table import print_table

from afir.methods.artificial_force import ForceTerm
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
from networks import Settings, resume
from networks.execution.tasks import (
    Confirm,
    Examine,
    Label,
    Labelled,
    Push,
    Task,
    TaskResult,
    Value,
)
from networks.exploration.events import Progress, Stopped
from networks.records.ids import Id
from networks.records.structures import EQ, TS, Dismissed, content
from networks.records.trials import Absorbed, Trial
from networks.storage.run_file import RunFile

MOLECULE = Molecule.from_symbols(["C", "C", "C", "N", "N", "O"])
SIZE = MOLECULE.n_atoms
WIDTH = 5.0  # eV: energies are spread evenly over this
TRIALS = 320
STAGES = {"push": 20, "path": 40, "minimum": 20, "saddle": 60, "hessian": 25, "irc": 60}
POLICIES = ("lowest-energy", "stochastic", "learned")
COLUMNS = ("EQ", "TS", "policy", "open s", "open µs / EQ", "µs / trial", "memory MiB")


class Supply:
    """New structures without end: bent chains of atoms with an energy each."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._left: list[Positions] = []
        self.energies: dict[bytes, float] = {}  # eV, by the positions of a minimum
        self._waves = np.linspace(300.0, 3000.0, 3 * SIZE - 6)
        self._hessian = np.eye(3 * SIZE)
        self._mode = np.ones((SIZE, 3)) / np.sqrt(3 * SIZE)

    def positions(self) -> Positions:
        """A structure (n, 3) in Å that is like no other."""
        while not self._left:
            steps = self._rng.normal(size=(1000, SIZE, 3))
            steps *= 1.4 / np.linalg.norm(steps, axis=2, keepdims=True)
            chains = steps.cumsum(axis=1)
            gaps = chains[:, :, None] - chains[:, None] + 9.0 * np.eye(SIZE)[:, :, None]
            self._left.extend(chains[np.linalg.norm(gaps, axis=3).min(axis=(1, 2)) > 1.2])
        return self._left.pop()

    def point(self, order: int) -> StationaryPoint:
        """A stationary point; saddle points lie above all minima."""
        energy = float(self._rng.uniform(0.0, WIDTH)) + order * WIDTH
        waves = self._waves.copy()
        waves[:order] *= -1.0
        x = self.positions()
        self.energies[x.tobytes()] = energy
        return StationaryPoint(
            x, energy, 1e-4, self._hessian.copy(), waves, self._mode.copy(), order
        )

    def minimum(self) -> Minimum:
        """The same as a search first meets it."""
        point = self.point(0)
        slope = np.zeros((SIZE, 3))
        return Minimum(Outcome.CONVERGED, point.positions, point.energy, slope, point.hessian)

    def candidate(self) -> Candidate:
        """A saddle point as a search first meets it."""
        point = self.point(1)
        return Candidate(point.positions, point.energy, point.hessian, "path")


class Instant:
    """Answers every task at once: `networks.execution.base.Executor`."""

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        # By the positions of a candidate: it comes back as a copy.
        self._pushed: dict[bytes, tuple[Push, Minimum]] = {}
        self.seconds = 0.0

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """See `networks.execution.base.Executor`; its own time is measured."""
        index = 0
        while index < len(tasks):
            start = time.process_time()
            result = TaskResult(self._answer(tasks[index]), None, "", Counter(STAGES), 0.0)
            self.seconds += time.process_time() - start
            yield index, result
            index += 1

    def close(self) -> None:
        """Nothing is held."""

    def _answer(self, task: Task) -> Value:
        supply = self._supply
        if isinstance(task, Push):
            minimum, right, wrong = supply.minimum(), supply.candidate(), supply.candidate()
            self._pushed[right.positions.tobytes()] = task, minimum
            return TrialResult(Outcome.FOUND, (right, wrong), (minimum,), True)
        if isinstance(task, Examine):
            return Consistency(deviation=0.0, ratio=1.0, drift=0.0)
        if isinstance(task, Label):  # EQ0 again
            place = task.positions.tobytes()
            return Labelled(supply.energies[place], np.zeros((SIZE, 3)))
        if not isinstance(task, Confirm):
            point = replace(supply.point(0), positions=task.positions)
            supply.energies[task.positions.tobytes()] = point.energy
            return point
        candidate = task.candidate
        point = replace(supply.point(1), positions=candidate.positions, energy=candidate.energy)
        nothing = np.empty((0, SIZE, 3)), np.empty(0)
        if candidate.positions.tobytes() not in self._pushed:
            return Confirmation(Outcome.WRONG_ORDER, point, (), False, *nothing)
        push, end = self._pushed.pop(candidate.positions.tobytes())
        start = replace(end, positions=push.start.positions, energy=push.start.energy)
        path = np.stack([start.positions, point.positions, end.positions])
        energies = np.array([start.energy, point.energy, end.energy])
        return Confirmation(Outcome.CONFIRMED, point, (start, end), True, path, energies)


def filled(path: Path, count: int, supply: Supply) -> None:
    """Make a run file with this many EQs in a row and a TS between neighbours."""
    start = supply.point(0)
    with RunFile.create(path, MOLECULE, start.positions, Settings()) as store:
        last = _eq(0, start)
        store.absorb(Absorbed(0, eqs=(last,), gradients=STAGES), 0.0, checked=0, seen_from=1)
        for number in range(1, count):
            eq = _eq(number, supply.point(0))
            ts = _ts(number - 1, supply.point(1), last, eq)
            wrong = supply.point(1)
            trial = _trial(number, last, (eq.id, ts.id))
            reason = Outcome.WRONG_ORDER
            dismissed = Dismissed("TS", wrong.positions, wrong.energy, reason, "", None, number)
            found = Absorbed(number, (eq,), (ts,), trial=trial, dismissed=(dismissed,))
            store.absorb(found, 0.0, checked=0, seen_from=number + 1)
            last = eq


def _eq(number: int, point: StationaryPoint) -> EQ:
    return EQ(**content(point), id=Id.of("EQ", number))


def _ts(number: int, point: StationaryPoint, first: EQ, second: EQ) -> TS:
    return TS(
        **content(point),
        id=Id.of("TS", number),
        ends=(first.id, second.id),
        proof={"negative_eigenvalues": 1},
        irc_positions=np.stack([first.positions, point.positions, second.positions]),
        irc_energies=np.array([first.energy, point.energy, second.energy]),
    )


def _trial(number: int, eq: EQ, found: tuple[str, ...]) -> Trial:
    return Trial(
        number=number,
        known=number - 1,
        eq=eq.id,
        push=0,
        method="sc-afir",
        offer={"forces": [ForceTerm((0,), (3,), 1).plain()]},
        seed=(0,),
        outcome=Outcome.FOUND,
        crossed=True,
        gradients=STAGES,
        cpu_seconds=1.0,
        found=found,
        pushes_left=20,
    )


@dataclass(frozen=True)
class Figures:
    """CPU seconds to open a run and to do one trial, and memory in MiB at the end."""

    opening: float
    trial: float
    memory: float


def measured(path: Path, policy: str, supply: Supply) -> Figures:
    """Go on with a run for some trials, as it is chosen by a policy."""
    with RunFile.open(path, writing=True) as store:
        store.change_settings(replace(store.settings, policy=policy))
        done = sum(store.summary().trials.values())
        executor = Instant(supply)
    opened = began = time.process_time()
    memory = 0.0
    for event in resume(path, max_trials=done + TRIALS, executor=lambda _: executor):
        if isinstance(event, Progress) and began == opened:
            began = time.process_time()
        if isinstance(event, Stopped):
            memory = resident()
    trial = (time.process_time() - began - executor.seconds) / TRIALS
    return Figures(began - opened, trial, memory)


def resident() -> float:
    """Memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--largest", type=int, default=100_000, help="structures at the end")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    rows = []
    count = 100
    while count <= options.largest:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "run"
            supply = Supply(count)
            filled(path, count, supply)
            for policy in POLICIES:
                figures = measured(path, policy, supply)
                rows.append(
                    (
                        str(count),
                        str(count - 1),
                        policy,
                        f"{figures.opening:.2f}",
                        f"{1e6 * figures.opening / count:.0f}",
                        f"{1e6 * figures.trial:.0f}",
                        f"{figures.memory:.0f}",
                    )
                )
        count *= 10
    print_table(COLUMNS, rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
