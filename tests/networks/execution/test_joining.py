"""Which workers of a cluster are used: those that have what the run needs, in the same versions."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from runs import HCN, HCN_START
from strangers import register

from afir.errors import AfirError, InputError
from networks import Settings
from networks.execution import cluster
from networks.execution.context import Bench
from networks.execution.dask import dask
from networks.execution.processes import ProcessExecutor
from networks.execution.tasks import Label, Labelled
from networks.exploration.executors import bench_of

pytest.importorskip("distributed")
from clusters import Cluster, until

HELPERS = str(Path(__file__).parents[2] / "helpers")
BENCH = bench_of(HCN, Settings(methods=("odd",), method_options={"odd": {"how": "right"}}))
MISSING = "`method` must be one of inversion, kick, mode-following, sc-afir, got 'odd'"
OTHER = (
    "its packages have other versions, strangers 2 (here 1), so that it may find another network"
)


class Machines(Cluster):
    """A cluster whose workers have the package ``strangers``, another version of it, or not."""

    bare: str

    def add_without(self, name: str, *more: Path) -> None:
        """Start a worker without the package, or with what is in other folders."""
        self.add(name, PYTHONPATH=os.pathsep.join([*map(str, more), self.bare]))


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """A scheduler, where this process and its workers have the method ``odd``."""
    monkeypatch.setattr(cluster, "_LOOK", 0.2)
    bare = os.pathsep.join([HELPERS, *filter(None, sys.path)])
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        register(tmp_path / version)
    metadata = tmp_path / "2" / "strangers-1.dist-info" / "METADATA"
    metadata.write_text("Name: strangers\nVersion: 2\n")
    monkeypatch.syspath_prepend(tmp_path / "1")
    with Machines(tmp_path) as made:
        made.bare = bare
        yield made


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def labelled(address: str, rounding: str = "refuse") -> None:
    """Have four tasks done."""
    executor = dask(BENCH, address=address, rounding=rounding)
    try:
        done = dict(executor.run([Label(HCN_START)] * 4))
    finally:
        executor.close()
    assert all(isinstance(done[index].value, Labelled) for index in range(4))


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["refuse", "warn"])
def test_a_worker_without_the_method_or_with_another_version_is_named(
    rounding: str, machines: Machines, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machines.add("right")
    machines.add_without("without")
    machines.add_without("other", tmp_path / "2")
    machines.joined(3)
    labelled(machines.address, rounding)
    said = sorted(line.partition(" on 127.0.0.1 ")[2] for line in warnings(caplog))
    if rounding == "warn":
        assert said == [f"is given no tasks: {MISSING}", f"is used although {OTHER}"]
    else:
        remedy = "install the same ones, or accept it with the option rounding=warn"
        assert said == [f"is given no tasks: {MISSING}", f"is given no tasks: {OTHER}; {remedy}"]


@pytest.mark.slow
def test_a_worker_that_cannot_be_used_is_no_end_if_another_comes(
    machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    machines.add_without("without")
    machines.joined(1)

    def add() -> None:
        until(lambda: warnings(caplog))
        machines.add("right")

    adding = Thread(target=add)
    adding.start()
    labelled(machines.address)
    adding.join()
    assert len(warnings(caplog)) == 1


@pytest.mark.slow
def test_the_error_of_workers_none_of_which_can_be_used_names_one(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_GRACE", 0.5)
    machines.add_without("without")
    machines.joined(1)
    words = "^the cluster has no worker that can be used; the worker tcp.* on 127.0.0.1 says: `met"
    with pytest.raises(InputError, match=words):
        labelled(machines.address)


def test_what_workers_of_this_machine_all_lack_ends_the_run_at_once() -> None:
    executor = dask(Bench(HCN, "nowhere"), workers=2)
    with pytest.raises(InputError, match="got 'nowhere'"):
        list(executor.run([Label(HCN_START)]))
    executor.close()


def test_a_process_without_the_method_does_no_tasks() -> None:
    with (
        ProcessExecutor(Bench(HCN, "gfn2", methods={"odd": {}}), 1) as executor,
        pytest.raises(AfirError, match=r"^`method` must be one of .*, got 'odd'"),
    ):
        list(executor.run([Label(HCN_START)]))


@pytest.mark.slow
def test_where_no_worker_is_it_is_said_how_to_start_one(
    machines: Machines, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_ALONE", 0.5)
    executor = dask(BENCH, address=machines.address)
    found: list[object] = []
    waiting = Thread(target=lambda: found.extend(executor.run([Label(HCN_START)])))
    waiting.start()
    until(lambda: caplog.messages)
    assert caplog.messages == [
        "the cluster has no worker that can be used; waiting for one: dask worker "
        + machines.address
    ]
    machines.add("late")
    waiting.join(60.0)
    executor.close()
    assert len(found) == 1
