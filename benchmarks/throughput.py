"""What the workers bring, and what the project itself costs beside the surface.

Explores butadiene on GFN2-xTB with a fixed number of pushes: once in this process, where the
time inside the surface is measured apart, then with 1 and with 2 worker processes.

    python benchmarks/throughput.py --markdown
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from counted import CountedSurface, Meter
from table import print_table

from afir.io.structures import read_structure
from afir.pes.driver import solve
from networks import Settings, explore, open_run
from networks.execution.context import Bench, as_result
from networks.execution.local import SerialExecutor
from networks.execution.processes import ProcessExecutor
from networks.execution.registry import Factory
from networks.execution.tasks import Task, TaskResult

START = Path(__file__).parent.parent / "examples" / "butadiene.xyz"
COLUMNS = ("where", "gradients", "wall s", "gradients / s", "CPU s", "own CPU s", "own share")


@dataclass(frozen=True)
class TimedBench:
    """A bench whose surface is timed."""

    timed: Bench
    meter: Meter

    def open(self) -> Callable[[Task], TaskResult]:
        """What `networks.execution.context.Bench.open` does, with a meter in between."""
        surface = CountedSurface(self.timed.load(), self.meter)

        def perform(task: Task) -> TaskResult:
            gradients: Counter[str] = Counter()
            start = time.process_time()
            value = solve(self.timed.search(task), surface, gradients=gradients)
            return as_result(value, gradients, time.process_time() - start)

        return perform


def run(settings: Settings, executor: Factory) -> tuple[int, float, float]:
    """Explore once; gradients, wall seconds and CPU seconds of the tasks."""
    molecule, start = read_structure(START)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.db"
        began = time.perf_counter()
        for _ in explore(molecule, start, settings, path, executor=executor):
            pass
        wall = time.perf_counter() - began
        with open_run(path) as store:
            summary = store.summary()
    return sum(summary.gradients.values()), wall, summary.cpu_seconds


def _workers(count: int) -> Factory:
    """Makes executors with so many workers."""
    return lambda bench: ProcessExecutor(bench, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=16, help="how many pushes")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    settings = Settings(seed=7, max_trials=options.trials)

    meter = Meter()
    began = time.process_time()
    gradients, wall, _ = run(settings, lambda bench: SerialExecutor(TimedBench(bench, meter)))
    total = time.process_time() - began
    own = total - meter.seconds
    rows = [
        (
            "this process",
            str(gradients),
            f"{wall:.1f}",
            f"{gradients / wall:.0f}",
            f"{total:.1f}",
            f"{own:.1f}",
            f"{own / total:.0%}",
        )
    ]
    for workers in (1, 2):
        gradients, wall, cpu = run(settings, _workers(workers))
        name = f"{workers} worker{'s' if workers > 1 else ''}"
        row = (name, str(gradients), f"{wall:.1f}", f"{gradients / wall:.0f}", f"{cpu:.1f}")
        rows.append((*row, "", ""))
    print_table(COLUMNS, rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
