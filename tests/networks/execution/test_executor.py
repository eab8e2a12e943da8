from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
from benches import OrderBench, task
from offered import pushed
from runs import HCN, HCN_START

from afir.errors import AfirError, InputError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.pes.surface import Evaluation, Surface, Traits
from afir.stationary import Outcome, StationaryPoint, TrialResult
from afir.surfaces.analytic import double_well
from networks.execution import processes
from networks.execution.base import Executor
from networks.execution.context import Bench, guarded
from networks.execution.local import BatchedExecutor, SerialExecutor
from networks.execution.processes import ProcessExecutor
from networks.execution.tasks import Characterise, Failure, Label, Labelled, Push, Task, TaskResult


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessExecutor]:
    with ProcessExecutor(OrderBench(), 2) as made:
        yield made


def answers(executor: Executor, orders: list[str]) -> dict[str, TaskResult]:
    return {
        orders[index]: result for index, result in executor.run([task(order) for order in orders])
    }


def test_processes_and_serial_give_the_same(pool: ProcessExecutor) -> None:
    orders = [f"word {k}" for k in range(20)] + ["big"]
    one, two = answers(pool, orders), answers(SerialExecutor(OrderBench()), orders)
    assert {k: r.error for k, r in one.items()} == {k: r.error for k, r in two.items()}
    assert list(two) == orders
    big = one["big"].value
    assert isinstance(big, TrialResult)
    assert big.candidates[0].hessian.sum() == 1e6


@pytest.mark.parametrize("kind", ["serial", "processes"])
def test_tasks_may_be_added_while_results_are_read(pool: ProcessExecutor, kind: str) -> None:
    executor = pool if kind == "processes" else SerialExecutor(OrderBench())
    tasks: list[Task] = [task("word 0")]
    heard = []
    for index, result in executor.run(tasks):
        assert result.error == f"word {index}"
        heard.append(index)
        while len(tasks) < min(3 * len(heard), 12):
            tasks.append(task(f"word {len(tasks)}"))
    assert sorted(heard) == list(range(12))
    assert list(executor.run([])) == []


def test_a_result_comes_as_soon_as_it_is_there(pool: ProcessExecutor) -> None:
    assert list(answers(pool, ["sleep 0.6", "quick"])) == ["quick", "sleep 0.6"]


def test_workers_use_one_thread_each(pool: ProcessExecutor) -> None:
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
    told = answers(pool, [f"environ {name}" for name in names])
    assert {result.error for result in told.values()} == {"1"}


def test_a_worker_that_dies_costs_one_task(pool: ProcessExecutor) -> None:
    orders = ["pid", "exit 4", "word 1", "segfault", "close 5", "word 2", "word 3"]
    told = answers(pool, orders)
    assert told["close 5"].error == "the worker process ended with exit code 5"
    assert told["exit 4"].outcome is Outcome.WORKER_DIED
    assert "exit code 4" in told["exit 4"].error
    assert told["segfault"].outcome is Outcome.WORKER_DIED
    assert [told[f"word {k}"].error for k in (1, 2, 3)] == ["word 1", "word 2", "word 3"]


def test_an_end_is_noticed_though_a_copy_of_the_worker_lives_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)  # as some systems do not have it
    with ProcessExecutor(OrderBench(), 1, seconds=10.0) as executor:
        told = answers(executor, ["fork 4", "word"])
    assert told["fork 4"].outcome is Outcome.WORKER_DIED
    assert "exit code 4" in told["fork 4"].error
    assert told["word"].error == "word"


def test_a_run_that_is_left_early_does_not_confuse_the_next(pool: ProcessExecutor) -> None:
    for _ in pool.run([task("quick"), task("sleep 0.3"), task("sleep 0.3")]):
        break
    assert [r.error for r in answers(pool, ["word a", "word b"]).values()] != []
    assert set(answers(pool, ["word c"])) == {"word c"}


def test_a_limit_may_be_longer_than_the_system_can_wait() -> None:
    with ProcessExecutor(OrderBench(), 1, seconds=1e12) as executor:
        assert answers(executor, ["word a"])["word a"].error == "word a"


def test_a_worker_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.1)
    with ProcessExecutor(OrderBench(), 1, seconds=0.4) as executor:
        start = time.monotonic()
        told = answers(executor, ["pid", "sleep 600", "word 1"])
    assert told["sleep 600"].outcome is Outcome.TIMED_OUT
    assert told["word 1"].error == "word 1"
    assert time.monotonic() - start < 300
    assert not alive(int(told["pid"].error))


def test_workers_that_cannot_start_are_reported() -> None:
    for broken, kind, words in (
        ("input", InputError, "better"),
        ("no such library", AfirError, "RuntimeError: no such library"),
        ("exit", AfirError, "exit code 7"),
    ):
        with ProcessExecutor(OrderBench(broken), 1) as executor, pytest.raises(kind, match=words):
            list(executor.run([task("word")]))
    with pytest.raises(InputError, match="`workers` must be from 1 to 1024, got 0"):
        ProcessExecutor(OrderBench(), 0)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_end_costs_no_task(number: signal.Signals) -> None:
    with ProcessExecutor(OrderBench(), 1) as executor:
        results = executor.run([task("pid"), task("sleep 0.3"), task("word")])
        worker = int(next(results)[1].error)
        os.kill(worker, number)
        assert [(r.outcome, r.error) for _, r in results] == [(None, "sleep 0.3"), (None, "word")]
        assert alive(worker)
    assert not alive(worker)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(number: signal.Signals) -> None:
    code = (
        "from benches import OrderBench, task\n"
        "from networks.execution.processes import ProcessExecutor\n"
        "executor = ProcessExecutor(OrderBench(), 2)\n"
        "for _, result in executor.run([task('pid'), task('sleep 600'), task('sleep 600')]):\n"
        "    print(result.error, flush=True)\n"
    )
    here = str(Path(__file__).parents[2] / "helpers")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([here, *filter(None, sys.path)]))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        assert alive(worker)
        process.send_signal(number)
        process.wait()
    give_up = time.monotonic() + 20
    while alive(worker) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not alive(worker)


def test_a_worker_whose_run_ended_at_once_says_nothing(tmp_path: Path) -> None:
    ours, other = Pipe()
    code = "from afir.pes.worker import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(other.fileno()), str(tmp_path)],
        pass_fds=[other.fileno()],
        stderr=subprocess.PIPE,
    ) as process:
        other.close()
        ours.close()
        assert process.communicate()[1] == b""
    assert process.returncode == 0


# -- many tasks at once ------------------------------------------------------------------------

PAIR = Molecule((1, 1))


@dataclass(frozen=True)
class Plain:
    """A double well that notes how many geometries it is asked for at once."""

    molecule: Molecule = PAIR
    sizes: list[int] = field(default_factory=list)

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        self.sizes.append(len(positions))
        return double_well(PAIR).evaluate(positions)

    def for_paths(self) -> Surface:
        return self


@dataclass(frozen=True)
class Eager(Plain):
    """One that says how many it wants."""

    traits: Traits = Traits(batch=5)  # noqa: RUF009 - a frozen value


@pytest.mark.parametrize(
    ("surface", "width", "sizes"),
    [
        (Plain(), None, [1] * 12),
        (Plain(), 4, [4, 4, 4]),
        (Eager(), None, [5, 5, 2]),
        (Eager(), 12, [12]),
        (Eager(), 1, [1] * 12),
    ],
)
def test_the_surface_says_how_many_tasks_go_side_by_side(
    monkeypatch: pytest.MonkeyPatch, surface: Plain, width: int | None, sizes: list[int]
) -> None:
    monkeypatch.setattr(Bench, "load", lambda self: surface)
    lengths = np.linspace(1.0, 3.0, 12)
    tasks = [Label(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, r]])) for r in lengths]
    told = dict(BatchedExecutor(Bench(PAIR, "double-well"), width).run(tasks))
    assert surface.sizes == sizes
    for index, asked in enumerate(tasks):
        value = told[index].value
        assert isinstance(value, Labelled)
        assert value.energy == double_well(PAIR).evaluate(asked.positions[None]).energies[0]
    with pytest.raises(InputError, match="`width` must be 1 or more, got 0"):
        BatchedExecutor(Bench(PAIR, "double-well"), 0)


# -- real tasks --------------------------------------------------------------------------------


def endless() -> Search[None]:
    while True:
        yield np.zeros((1, 1, 3))


def test_a_search_that_takes_too_long_is_given_up_in_this_process_too() -> None:
    search = guarded(endless(), 0.05)
    next(search)
    time.sleep(0.1)
    with pytest.raises(StopIteration) as stop:
        search.send(Evaluation(np.zeros(1), np.zeros((1, 1, 3))))
    assert isinstance(stop.value.value, Failure)
    assert stop.value.value.outcome is Outcome.TIMED_OUT


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (SurfaceError("no SCF"), Outcome.SURFACE_FAILED),
        (ZeroDivisionError(), Outcome.SEARCH_FAILED),
    ],
)
def test_whatever_goes_wrong_in_a_search_is_a_result(error: Exception, outcome: Outcome) -> None:
    def failing() -> Search[None]:
        yield np.zeros((1, 1, 3))
        raise error

    search = guarded(failing(), 10.0)
    next(search)
    with pytest.raises(StopIteration) as stop:
        search.send(Evaluation(np.zeros(1), np.zeros((1, 1, 3))))
    assert isinstance(stop.value.value, Failure)
    assert stop.value.value.outcome is outcome


def test_a_real_task_counts_its_gradients_by_stage() -> None:
    bench = Bench(HCN, "gfn2")
    done = bench.open()(Characterise(HCN_START))
    assert isinstance(done.value, StationaryPoint)
    assert done.value.order == 0
    assert done.error == ""
    assert set(done.gradients) == {"minimum", "hessian"}
    clash = bench.open()(Characterise(0.01 * HCN_START))
    assert clash.value is None
    assert clash.outcome is Outcome.SURFACE_FAILED
    assert clash.error


@pytest.mark.parametrize("kind", [SerialExecutor, BatchedExecutor])
def test_paths_on_a_surface_that_says_it_is_expensive_ask_for_fewer_gradients(
    kind: type[SerialExecutor] | type[BatchedExecutor],
) -> None:
    calculator = {"method": "GFN2-xTB", "accuracy": 0.1, "verbosity": 0}
    spent, energies = [], []
    for expensive in (False, True):
        options = {"options": calculator, "expensive": expensive}
        bench = Bench(HCN, "ase:tblite.ase.TBLite", options)
        executor = kind(bench)
        ((_, found),) = executor.run([Characterise(HCN_START)])
        assert isinstance(found.value, StationaryPoint)
        push = Push(found.value, pushed(0, 2), None, (1,))
        ((_, trial),) = executor.run([push])
        assert isinstance(trial.value, TrialResult)
        spent.append(trial.gradients)
        energies.append(trial.value.candidates[0].energy)
    plain, learnt = spent
    assert learnt["push"] == plain["push"]
    assert learnt["path"] < plain["path"]
    assert energies[1] == pytest.approx(energies[0], abs=1e-4)
