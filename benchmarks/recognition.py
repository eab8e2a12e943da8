"""What is saved by ending searches at structures that are known already, and what is lost.

Paired: each push and each proof of an exploration is done twice, without and with the known
structures, and the answers are compared; the exploration goes on with those without. So both see
the same tasks. Live: explorations without and with recognition, also of minima behind pushes, and
of climbs that drift.

    python benchmarks/recognition.py --markdown
    python benchmarks/recognition.py --live --markdown
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ase.build import molecule as built
from table import print_table

from afir import Confirmation, Minimum, Molecule, StationaryPoint, StepSettings, TrialResult
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import Surface
from afir.searches.known import KnownStructures, Met
from afir.verification.minima import NotAMinimum, characterise
from networks import ReactionNetwork, Settings, explore, load_run
from networks.execution.context import Bench
from networks.execution.tasks import Confirm, Push, Task, TaskResult
from networks.graph.identity import same_structure
from networks.storage.run_file import RunFile

PAIRED = ("H2CO:0", "HCOOH:0", "C2H4:0", "CH3OH:0", "CH3CHO:0")
LIVE = ("H2CO", "HCOOH", "CH3OH", "CH3CHO", "C2H4")
SEEDS = (0, 1)
PLAIN = StepSettings(recognise=False, drift_steps=StepSettings().saddle_steps)


def molecule_of(name: str) -> tuple[Molecule, object]:
    """A molecule of ASE's collection by name, and its positions in Å."""
    atoms = built(name)
    return Molecule(tuple(int(z) for z in atoms.numbers)), atoms.positions


@dataclass
class Pair:
    """A task with its answers without and with the known structures."""

    task: Push | Confirm
    plain: TaskResult
    told: TaskResult
    hits: Counter[str]


@dataclass
class Paired:
    """An executor that does each push and each proof twice."""

    bench: Bench
    pairs: list[Pair] = field(default_factory=list)

    def __post_init__(self) -> None:
        steps = self.bench.step.saddle_steps
        # Climbs that drift, and paths to known minima, are judged by the live runs alone.
        step = replace(self.bench.step, drift_steps=steps, recognise_behind=False)
        self._told = replace(self.bench, step=step).open()
        self._plain = replace(self.bench, step=replace(step, recognise=False)).open()

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """Answer with what was found without the known structures."""
        for index, task in enumerate(tasks):
            plain = self._plain(task)
            if isinstance(task, Push | Confirm):
                with counted(task) as hits:
                    told = self._told(task)
                self.pairs.append(Pair(task, plain, told, hits))
            yield index, plain

    def close(self) -> None:
        """Nothing to release."""


@contextmanager
def counted(task: Push | Confirm) -> Iterator[Counter[str]]:
    """Count how often structures are recognised in a task, by rule."""
    hits: Counter[str] = Counter()
    assert task.recognised is not None
    energies = {point.energy for point in task.recognised.saddles}
    originals = {}

    def counting(name: str, rule: str) -> None:
        original = originals[name] = getattr(KnownStructures, name)

        def method(self: KnownStructures, *given: object) -> Met | None:
            met: Met | None = original(self, *given)
            if met is not None:
                own = rule in "CD" and met.energy not in energies
                hits["G" if own else rule] += 1
            return met

        setattr(KnownStructures, name, method)

    counting("minimum_at", "B" if isinstance(task, Confirm) else "A")
    counting("saddle_at", "C")
    counting("saddle_below", "D")
    try:
        yield hits
    finally:
        for name, original in originals.items():
            setattr(KnownStructures, name, original)


def place(network: ReactionNetwork, end: Minimum) -> str | None:
    """What an end is: a node, or why not; None for a minimum that is no node yet."""
    if end.dissociated:
        return network.find_dc(end.positions)
    if end.outcome.name != "CONVERGED":
        return end.outcome.name
    return network.find_eq(end.positions, end.energy)


def optimised(network: ReactionNetwork, surface: Surface, end: Minimum) -> str | None:
    """The node that an end becomes, as in an exploration: optimised if it is no node yet."""
    name = place(network, end)
    if name is not None or end.dissociated:
        return name
    try:
        point = solve(characterise(network.molecule, end.positions), surface)
    except NotAMinimum:
        return None
    return network.find_eq(point.positions, point.energy)


def others(
    network: ReactionNetwork, surface: Surface, plain: Sequence[Minimum], told: Sequence[Minimum]
) -> int:
    """The number of ends that are other structures."""
    differing = abs(len(plain) - len(told))
    for one, two in zip(plain, told, strict=False):
        names = place(network, one), place(network, two)
        if names == (None, None):
            pairs = (one.positions, one.energy), (two.positions, two.energy)
            differing += not same_structure(network.molecule, *pairs)
        elif names[0] != names[1]:
            differing += optimised(network, surface, one) != optimised(network, surface, two)
    return differing


def transition_states(network: ReactionNetwork, result: TaskResult) -> set[str]:
    """The transition states that the candidates of a push are."""
    found = result.value.candidates if isinstance(result.value, TrialResult) else ()
    ids = (network.find_ts(each.positions, each.energy) for each in found)
    return {id for id in ids if id is not None}


def told_of(task: Push) -> Sequence[StationaryPoint]:
    """The transition states that a push is told of."""
    return () if task.recognised is None else task.recognised.saddles


@dataclass
class Sums:
    """The sums over the pairs of a run."""

    gradients: list[int] = field(default_factory=lambda: [0, 0])
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    saved: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    tss: int = 0
    lost: int = 0
    exchanged: int = 0
    gained: int = 0
    ends: int = 0
    other: int = 0
    behind: int = 0

    def add(self, network: ReactionNetwork, surface: Surface, pair: Pair) -> None:
        """Add one pair."""
        for number, result in enumerate((pair.plain, pair.told)):
            self.gradients[number] += sum(result.gradients.values())
            self.seconds[number] += result.cpu_seconds
        self.saved.update(pair.plain.gradients)
        self.saved.subtract(pair.told.gradients)
        self.hits.update(pair.hits)
        plain, told = pair.plain.value, pair.told.value
        if isinstance(pair.task, Push):
            was, now = (transition_states(network, each) for each in (pair.plain, pair.told))
            self.tss += len(was)
            # One that the task was told of is in the network anyway.
            known = {network.find_ts(p.positions, p.energy) for p in told_of(pair.task)}
            self.lost += len(was - now - known)
            self.exchanged += len((was - now) & known)
            self.gained += len(now - was)
            if isinstance(plain, TrialResult) and isinstance(told, TrialResult):
                self.behind += others(network, surface, plain.minima, told.minima)
        elif isinstance(plain, Confirmation) and isinstance(told, Confirmation):
            self.ends += len(plain.ends)
            self.other += others(network, surface, plain.ends, told.ends)
            self.lost += plain.outcome is not told.outcome


def paired(name: str, seed: int, trials: int, folder: Path) -> Sums:
    """The sums for one exploration."""
    made: list[Paired] = []

    def make(bench: Bench) -> Paired:
        made.append(Paired(bench))
        return made[-1]

    molecule, x = molecule_of(name)
    path = folder / f"{name}-{seed}.run"
    for _ in explore(molecule, x, Settings(max_trials=trials, seed=seed), path, executor=make):
        pass
    network, sums = load_run(path).network, Sums()
    surface = load_surface("gfn2", molecule)
    for pair in (pair for each in made for pair in each.pairs):
        sums.add(network, surface, pair)
    return sums


def paired_row(name: str, sums: Sums) -> list[str]:
    """A row of the table of pairs."""
    plain, told = sums.gradients
    saved = sums.saved
    return [
        name,
        str(plain),
        f"{100.0 * (plain - told) / plain:.1f} %",
        *(str(saved[stage]) for stage in ("saddle", "irc ends", "minimum", "path")),
        *(str(sums.hits[rule]) for rule in "ABCDG"),
        f"{sums.lost} of {sums.tss}",
        str(sums.exchanged),
        str(sums.gained),
        f"{sums.other} of {sums.ends}",
        str(sums.behind),
        f"{100.0 * (sums.seconds[1] / sums.seconds[0] - 1.0):+.1f} %",
    ]


PAIRED_COLUMNS = (
    *("run", "gradients", "fewer", "saddle", "irc ends", "minimum", "path"),
    *(
        "A",
        "B",
        "C",
        "D",
        "G",
        "TSs lost",
        "exchanged",
        "gained",
        "other ends",
        "behind pushes",
        "CPU",
    ),
)


def live(name: str, seed: int, trials: int, step: StepSettings, folder: Path) -> list[float]:
    """Gradients, transition states and CPU seconds of one exploration."""
    molecule, x = molecule_of(name)
    path = folder / f"{name}-{seed}-{step.recognise}.run"
    settings = Settings(step=step, max_trials=trials, seed=seed)
    before = time.process_time()
    for _ in explore(molecule, x, settings, path):
        pass
    seconds = time.process_time() - before
    with RunFile.open(path) as store:
        gradients, tss = store.gradients(), len(store.load_network().tss)
    return [gradients, tss, seconds]


def live_row(name: str, plain: Sequence[float], told: Sequence[float]) -> list[str]:
    """A row of the table of explorations."""
    per_ts = [run[0] / max(run[1], 1) for run in (plain, told)]
    return [
        name,
        *(f"{run[0]:.0f}" for run in (plain, told)),
        f"{100.0 * (1.0 - told[0] / plain[0]):.1f} %",
        *(f"{run[1]:.0f}" for run in (plain, told)),
        f"{100.0 * (1.0 - per_ts[1] / per_ts[0]):.1f} %",
        f"{100.0 * (told[2] / plain[2] - 1.0):+.1f} %",
    ]


LIVE_COLUMNS = (
    *("run", "gradients without", "with", "fewer", "TSs without", "with"),
    *("fewer a TS", "CPU"),
)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", help="NAME:SEED of ASE's molecules")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--trials", type=int, default=0, help="150 paired, 200 live")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.live:
            totals = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
            for run in given.runs or [f"{each}:{seed}" for each in LIVE for seed in SEEDS]:
                what, seed = run.split(":")
                both = [
                    live(what, int(seed), given.trials or 200, step, folder)
                    for step in (PLAIN, StepSettings())
                ]
                totals = [
                    [a + b for a, b in zip(*t, strict=True)] for t in zip(totals, both, strict=True)
                ]
                rows.append(live_row(run, *both))
                print(*rows[-1], sep="  ", flush=True)
            rows.append(live_row("all", *totals))
            print_table(LIVE_COLUMNS, rows, markdown=given.markdown)
            return
        for run in given.runs or PAIRED:
            what, seed = run.split(":")
            rows.append(paired_row(run, paired(what, int(seed), given.trials or 150, folder)))
            print(*rows[-1], sep="  ", flush=True)
        print_table(PAIRED_COLUMNS, rows, markdown=given.markdown)


if __name__ == "__main__":
    main()
