"""Tasks on a Dask cluster: the same answers, whatever becomes of its workers."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benches import GroupExecutor, OrderExecutor, task
from runs import H2CO, HCN, HCN_START, SHORT, snapshot

from afir.cli.main import main
from afir.errors import AfirError, StoppedError
from afir.io.structures import read_structure
from afir.stationary import Outcome, StationaryPoint
from networks import Settings, explore, open_run
from networks.execution import cluster, connection, crews, waiting
from networks.execution.cluster import ClusterExecutor
from networks.execution.context import Bench
from networks.execution.dask import dask
from networks.execution.local import BatchedExecutor
from networks.execution.rounding import comparison, fingerprint
from networks.execution.tasks import Characterise, Label, Labelled, Task, TaskResult
from networks.exploration.events import TaskDone

distributed = pytest.importorskip("distributed")
from clusters import Cluster, alive, gone, until  # noqa: E402 - it needs the package

BENCH = Bench(HCN, "gfn2", seconds=5.0)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler with two workers."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as made:
        made.add("first")
        made.add("second")
        made.joined(2)
        yield made


@pytest.fixture
def ordered() -> Iterator[ClusterExecutor]:
    """Two workers in this process that do as they are told."""
    made = on_this_machine(OrderExecutor)
    yield made
    made.close()


def on_this_machine(make: type[OrderExecutor], workers: int = 2) -> ClusterExecutor:
    with_bench = dask(BENCH, workers=workers)
    return ClusterExecutor(BENCH, with_bench._connection, make=make)


def answers(executor: ClusterExecutor, orders: list[str]) -> dict[str, TaskResult]:
    """What became of orders; the geometry that workers are compared by comes first."""
    tasks = [Label(HCN_START), *map(task, orders)]
    done = dict(executor.run(tasks))
    assert sorted(done) == list(range(len(tasks)))
    assert isinstance(done.pop(0).value, Labelled)
    return {orders[index - 1]: result for index, result in done.items()}


# -- tasks -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_task_that_kills_its_process_or_hangs_costs_itself(ordered: ClusterExecutor) -> None:
    orders = ["exit 4", "word 1", "segfault", "sleep 600", "word 2", "word 3"]
    told = answers(ordered, orders)
    assert told["exit 4"].outcome is Outcome.WORKER_DIED
    assert told["exit 4"].error == "the worker process ended with exit code 4"
    assert told["segfault"].outcome is Outcome.WORKER_DIED
    assert told["sleep 600"].outcome is Outcome.TIMED_OUT
    assert told["sleep 600"].error == "killed after 5 s"
    assert [told[f"word {k}"].error for k in (1, 2, 3)] == ["word 1", "word 2", "word 3"]


def test_tasks_may_be_added_while_results_are_read(ordered: ClusterExecutor) -> None:
    tasks: list[Task] = [Label(HCN_START)]
    heard = []
    for index, result in ordered.run(tasks):
        assert index == 0 or result.error == f"word {index}"
        heard.append(index)
        while len(tasks) < min(3 * len(heard), 12):
            tasks.append(task(f"word {len(tasks)}"))
    assert sorted(heard) == list(range(12))
    assert list(ordered.run([])) == []


def test_a_run_that_is_left_early_does_not_confuse_the_next(ordered: ClusterExecutor) -> None:
    for _ in ordered.run([Label(HCN_START), task("sleep 0.5"), task("sleep 0.5")]):
        break
    assert set(answers(ordered, ["word c"])) == {"word c"}


def test_processes_of_workers_have_one_thread_and_end_with_the_executor() -> None:
    executor = on_this_machine(OrderExecutor)
    told = answers(executor, ["pid", "environ OMP_NUM_THREADS"])
    assert told["environ OMP_NUM_THREADS"].error == "1"
    pid = int(told["pid"].error)
    assert alive(pid)
    executor.close()
    assert gone(pid)


def test_a_surface_that_wants_batches_gets_several_tasks_at_once() -> None:
    executor = on_this_machine(GroupExecutor, workers=1)
    try:
        told = answers(executor, ["word 1"])
        together = [result.error for _, result in executor.run([task("together")] * 9)]
        assert together == ["4"] * 8 + ["1"]
        # Of several that share a process the innocent are tried again.
        told = answers(executor, ["word 1", "exit 4", "word 2", "word 3"])
        assert told["exit 4"].outcome is Outcome.WORKER_DIED
        assert [told[f"word {k}"].error for k in (1, 2, 3)] == ["word 1", "word 2", "word 3"]
    finally:
        executor.close()


def test_a_batch_is_shared_among_the_workers_that_are_free() -> None:
    executor = on_this_machine(GroupExecutor)
    try:
        answers(executor, ["word 1"])
        together = [result.error for _, result in executor.run([task("together")] * 4)]
        assert together == ["2"] * 4
    finally:
        executor.close()


def test_a_batch_of_real_searches_ends_as_each_alone(tmp_path: Path) -> None:
    class Wide(BatchedExecutor):
        batch = 3

    tasks = [Characterise(HCN_START + shift) for shift in (0.0, 0.01, 0.02)]
    alone = dict(BatchedExecutor(BENCH).run(tasks))
    setup = crews.Setup(BENCH, Wide, 60.0)
    group = setup.open()(tuple(tasks))
    assert group.batch == 3
    for index, result in enumerate(group.results):
        one, other = result.value, alone[index].value
        assert isinstance(one, StationaryPoint)
        assert isinstance(other, StationaryPoint)
        assert one.energy == other.energy
        assert one.hessian.tobytes() == other.hessian.tobytes()


@pytest.mark.slow
def test_processes_of_a_run_that_is_not_heard_of_any_more_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crews, "LEASE", 2.0)
    setup = pickle.dumps(crews.Setup(BENCH, OrderExecutor, 60.0))
    group = pickle.loads(crews.perform("a run", setup, pickle.dumps((task("pid"),))))
    pid = int(group.results[0].error)
    for _ in range(3):
        time.sleep(1.0)
        crews.renew("a run")
        assert alive(pid)
    assert gone(pid)
    with pytest.raises(AfirError, match="the run of this worker process has ended"):
        crews.perform("a run", setup, pickle.dumps((task("sleep 600"),)))


@pytest.mark.slow
def test_a_task_may_take_longer_than_a_run_that_is_gone_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crews, "LEASE", 2.0)
    monkeypatch.setattr(cluster, "_RENEW", 0.3)
    executor = on_this_machine(OrderExecutor)
    told = answers(executor, ["sleep 4.5"])
    executor.close()
    assert (told["sleep 4.5"].outcome, told["sleep 4.5"].error) == (None, "sleep 4.5")


# -- workers that come and go --------------------------------------------------------------------


def test_tasks_of_a_lost_worker_go_to_others_until_they_are_suspicious() -> None:
    tasks = [task("a"), task("b")]
    work = waiting.Waiting(tasks)
    work.grow()
    assert work.share(1) == (0,)
    for _ in range(waiting.LOSSES - 1):
        work.lose((0,))
        assert work.share(4) == (0,)  # alone, so that it can be blamed
    work.lose((0,))
    ((index, result),) = work.done
    assert (index, result.outcome) == (0, Outcome.WORKER_DIED)
    assert result.error == "5 workers of the cluster were lost with it"
    assert work.share(4) == (1,)
    assert work.open == 1


@pytest.mark.slow
def test_a_task_that_takes_workers_with_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOSSES", 2)
    with Cluster(tmp_path) as made:
        for name in ("a", "b", "c"):
            made.add(name)
        made.joined(3)
        joined = dask(BENCH, address=made.address)._connection
        executor = ClusterExecutor(BENCH, joined, make=OrderExecutor)
        told = answers(executor, ["parent", *(f"word {k}" for k in range(5))])
        executor.close()
    assert told["parent"].outcome is Outcome.WORKER_DIED
    assert told["parent"].error == "2 workers of the cluster were lost with it"
    assert [told[f"word {k}"].error for k in range(5)] == [f"word {k}" for k in range(5)]


@pytest.mark.slow
def test_a_cluster_on_this_machine_finds_the_same(tmp_path: Path, alone: dict[str, Any]) -> None:
    path = tmp_path / "run.db"
    list(explore(*read_structure(H2CO), SHORT, path, workers=2, executor="dask"))
    assert snapshot(path) == alone


@pytest.mark.slow
def test_workers_that_die_and_join_change_nothing(tmp_path: Path, alone: dict[str, Any]) -> None:
    path = tmp_path / "run.db"
    with Cluster(tmp_path) as made:
        made.add("first")
        made.add("second")
        made.joined(2)
        options = {"address": made.address}
        molecule, start = read_structure(H2CO)
        done = 0
        for event in explore(
            molecule, start, SHORT, path, executor="dask", executor_options=options
        ):
            done += isinstance(event, TaskDone)
            if done == 4 and isinstance(event, TaskDone):
                made.kill("first")
                made.add("third")
        made.joined(2)  # what was given stays
    assert snapshot(path) == alone


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_a_cluster(
    running: Cluster, tmp_path: Path, alone: dict[str, Any]
) -> None:
    path = tmp_path / "run.db"
    flags = ["--seed", "0", "--max-trials", "12", "--window", "500", "-vv"]
    there = ["--executor", "dask", "--executor-option", f"address={running.address}"]
    command = [sys.executable, "-m", "afir", "explore", str(H2CO), "-o", str(path), *flags, *there]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        for line in program.stderr:
            if "push" in line:
                break
        program.kill()
    assert main(["resume", str(path), *there]) == 0
    assert snapshot(path) == alone


@pytest.mark.slow
def test_a_learning_run_takes_its_surfaces_to_the_cluster(tmp_path: Path) -> None:
    settings = Settings(
        surface="gfn1", reference="gfn2", learn=True, learner="gaussian", seed=1, in_flight=4
    )
    for name, options in (("serial", {}), ("dask", {"workers": 2})):
        list(explore(HCN, HCN_START, settings, tmp_path / name, executor=name, **options))  # type: ignore[arg-type]
    with open_run(tmp_path / "dask") as store:
        assert store.models()
    assert snapshot(tmp_path / "dask") == snapshot(tmp_path / "serial")


# -- rounding --------------------------------------------------------------------------------------

OTHERS = {"x86_64": "Nehalem", "aarch64": "ARMV8"}
KERNEL = OTHERS.get(platform.machine(), "")


def digest(kernel: str) -> str:
    """The comparison on a kernel of OpenBLAS, "" for that of this processor."""
    code = (
        "from runs import HCN, HCN_START\n"
        "from networks.execution.context import Bench\n"
        "from networks.execution.rounding import comparison, fingerprint\n"
        "from networks.execution.tasks import Label\n"
        "print(fingerprint(Bench(HCN, 'gfn2').open()(comparison(HCN, Label(HCN_START)))))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2] / "helpers"), *filter(None, sys.path)])
    given = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    if kernel:
        given["OPENBLAS_CORETYPE"] = kernel
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_comparison_comes_out_the_same_unless_it_rounds_otherwise() -> None:
    assert digest("") == digest("")
    bench = Bench(HCN, "gfn2")
    asked = comparison(HCN, Label(HCN_START))
    assert fingerprint(bench.open()(asked)) == fingerprint(bench.open()(asked))
    moved = comparison(HCN, Label(HCN_START + 1e-13))
    assert fingerprint(bench.open()(asked)) != fingerprint(bench.open()(moved))


@pytest.mark.slow
@pytest.mark.skipif(
    not KERNEL or digest("") == digest(KERNEL), reason="all kernels round alike here"
)
@pytest.mark.parametrize("rounding", ["refuse", "warn"])
def test_a_worker_that_rounds_otherwise_is_refused_or_told_of(
    rounding: str,
    running: Cluster,
    tmp_path: Path,
    alone: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "run.db"
    running.add("odd", OPENBLAS_CORETYPE=KERNEL)
    running.joined(3)
    options = {"address": running.address, "rounding": rounding}
    try:
        list(explore(*read_structure(H2CO), SHORT, path, executor="dask", executor_options=options))
    finally:
        running.kill("odd")
    said = [r.getMessage() for r in caplog.records if "rounds otherwise" in r.getMessage()]
    assert len(said) == 1
    if rounding == "refuse":
        assert " is given no tasks: " in said[0]
        assert said[0].endswith("or accept it with the option rounding=warn")
        assert snapshot(path) == alone
    else:
        assert " is used although " in said[0]


# -- what is asked for -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_scheduler_that_is_gone_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import dask as library

    with Cluster(tmp_path) as made, library.config.set({"distributed.comm.timeouts.connect": "2s"}):
        made.add("only")
        made.joined(1)
        joined = dask(BENCH, address=made.address)._connection
        executor = ClusterExecutor(replace(BENCH, seconds=60.0), joined, make=OrderExecutor)
        results = executor.run([Label(HCN_START), task("sleep 60")])
        assert next(results)[0] == 0
        client = joined.client  # it asks for the number of workers now and then
        until(lambda: not client._scheduler_identity["workers"])
        made.kill("scheduler")
        with pytest.raises(StoppedError, match=r"does not answer any more; start one, then resume"):
            list(results)
        executor.close()
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.slow
@pytest.mark.parametrize("back", [True, False])
def test_a_scheduler_that_is_silent_is_told_of_and_given_up_in_the_end(
    back: bool,
    ordered: ClusterExecutor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As when it was stopped: the connection stands, and nobody answers."""
    answers(ordered, ["word 1"])
    for limit, seconds in (("_ALONE", 0.1), ("_LOOK", 0.1), ("_SILENT", 60.0 if back else 0.5)):
        monkeypatch.setattr(cluster, limit, seconds)
    right = ordered._client.scheduler.identity
    silence: list[bool] = [True]

    async def identity(**what: Any) -> Any:
        while silence:
            await asyncio.sleep(0.05)
        return await right(**what)

    monkeypatch.setattr(ordered._client.scheduler, "identity", identity)
    threading.Timer(0.4, silence.clear if back else lambda: None).start()
    if back:
        assert [result.error for _, result in ordered.run([task("sleep 1")])] == ["sleep 1"]
    else:
        with pytest.raises(StoppedError, match=r"does not answer any more; start one, then resume"):
            list(ordered.run([task("sleep 60")]))
    where = ordered._connection.address
    assert caplog.messages == [f"the Dask scheduler at {where} does not answer; waiting for it"]


def test_a_cluster_that_hangs_does_not_hang_the_end_of_a_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for limit in ("_LEAVE", "_END"):
        monkeypatch.setattr(connection, limit, 0.1)
    asked, ended, back = [], [], threading.Event()

    def close(name: str, timeout: float) -> None:
        asked.append(name)
        back.wait(60)
        ended.append(name)

    parts = [SimpleNamespace(close=partial(close, name)) for name in ("client", "cluster")]
    connection.Connection(*parts).close()
    # The cluster is asked to end though its client hangs.
    until(lambda: sorted(asked) == ["client", "cluster"])
    assert ended == []
    back.set()
    assert caplog.messages == [
        "the scheduler of the cluster does not answer; it is left as it is",
        "the cluster could not be ended in time",
    ]
