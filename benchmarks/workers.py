"""How busy many workers are kept: the explorer itself, on a simulated clock.

The loop that explores decides and writes as always. Its tasks are done by pretended workers, each
task after a time drawn from a log-normal distribution. How long tasks take, how unequally, and how
many each trial brings is as in 400 trials of butadiene on GFN2-xTB (seed 0). The time that the
explorer takes between two tasks is measured and added to the clock, so that it can be the
bottleneck.

    python benchmarks/workers.py --markdown
"""

from __future__ import annotations

import argparse
import heapq
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scale import MOLECULE, STAGES, Instant, Supply
from table import print_table

from afir.stationary import Outcome, TrialResult
from networks import Settings, explore
from networks.execution.tasks import Characterise, Confirm, Push, Task, TaskResult, Value

# Mean seconds of a task by those of a push, and σ of the logarithm of its seconds.
TIMES = {Push: (1.0, 0.81), Confirm: (0.75, 0.59), Characterise: (0.26, 0.71)}
CANDIDATES = (0.575, 0.347, 0.065, 0.013)  # share of the trials with 0, 1, 2, 3 new candidates
NEW = 0.44  # share of the candidates that lead to a new minimum
COLUMNS = ("push s", "workers", "in flight", "trials", "busy", "tasks / s", "explorer ms / task")


class Simulated(Instant):
    """Workers on a clock of their own: `networks.execution.base.Executor`.

    Parameters
    ----------
    supply
        What is found.
    workers
        How many.
    mean
        Mean seconds of a push.
    """

    def __init__(self, supply: Supply, workers: int, mean: float) -> None:
        super().__init__(supply)
        self._rng = np.random.default_rng(1)
        self._workers = workers
        self._mean = mean
        self.clock = self.busy = self.deciding = 0.0
        self.tasks = 0

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """See `networks.execution.base.Executor`."""
        running: list[tuple[float, int, TaskResult]] = []
        following = 0
        while True:
            while following < len(tasks) and len(running) < self._workers:
                seconds = self._seconds(tasks[following])
                self.busy += seconds
                result = TaskResult(self._answer(tasks[following]), None, "", Counter(STAGES), 0.0)
                heapq.heappush(running, (self.clock + seconds, following, result))
                following += 1
            if not running:
                return
            ready, index, result = heapq.heappop(running)
            self.clock = max(self.clock, ready)
            self.tasks += 1
            start = time.process_time()
            yield index, result
            passed = time.process_time() - start
            self.deciding += passed
            self.clock += passed

    @property
    def share(self) -> float:
        """Share of the time of all workers in which they had a task."""
        return self.busy / (self.clock * self._workers)

    def _seconds(self, task: Task) -> float:
        if type(task) not in TIMES:
            return 0.0
        share, spread = TIMES[type(task)]
        return float(self._rng.lognormal(math.log(share * self._mean) - spread**2 / 2, spread))

    def _answer(self, task: Task) -> Value:
        if not isinstance(task, Push):
            return super()._answer(task)
        count = int(self._rng.choice(len(CANDIDATES), p=CANDIDATES))
        found = [self._supply.candidate() for _ in range(count)]
        for candidate in found:
            if self._rng.random() < NEW:
                self._pushed[candidate.positions.tobytes()] = task, self._supply.minimum()
        outcome = Outcome.FOUND if found else Outcome.NO_SADDLE
        return TrialResult(outcome, tuple(found), (), True)


def simulated(workers: int, mean: float, in_flight: int, trials: int) -> tuple[str, ...]:
    """A row of the table."""
    settings = Settings(policy="lowest-energy", in_flight=in_flight, max_trials=trials)
    supply = Supply(1)
    executor = Simulated(supply, workers, mean)
    with TemporaryDirectory() as folder:
        start = supply.point(0).positions
        for _ in explore(
            MOLECULE, start, settings, Path(folder) / "run", executor=lambda _: executor
        ):
            pass
    return (
        f"{mean:g}",
        str(workers),
        str(in_flight),
        str(trials),
        f"{100 * executor.share:.0f} %",
        f"{executor.tasks / executor.clock:.1f}",
        f"{1000 * executor.deciding / executor.tasks:.2f}",
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--push-seconds", type=float, nargs="+", default=[1.0, 60.0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 64, 256, 1000])
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    rows = [
        simulated(workers, mean, in_flight, options.trials)
        for mean in options.push_seconds
        for workers in options.workers
        for in_flight in dict.fromkeys((32, max(32, 4 * workers)))
    ]
    print_table(COLUMNS, rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
