"""Options of the executor of Dask."""

from __future__ import annotations

import gc
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from runs import HCN

from afir.errors import InputError, MissingPackageError
from networks.execution.context import Bench
from networks.execution.dask import dask
from networks.execution.registry import executor_factory

pytest.importorskip("distributed")
from clusters import batch_system

BENCH = Bench(HCN, "gfn2", seconds=5.0)

SOON = {"distributed.comm.timeouts.connect": "0.5s"}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "rounding": ({"rounding": "ignore"}, "`rounding` must be refuse or warn, got 'ignore'"),
    "both": ({"address": "tcp://a:1", "cluster": "slurm"}, "`address` must not go with `cluster`"),
    "workers": ({"address": "tcp://a:1", "workers": 2}, "`workers` must be 1 with `address` or"),
    "option": ({"queu": "long"}, "the executor 'dask' has no option 'queu' without `cluster`"),
    "system": ({"cluster": "slrum"}, "`cluster` must be one of htcondor, lsf, moab, oar, pbs"),
    "ours": ({"cluster": "slurm", "job_cls": "x"}, "the cluster 'slurm' has no option 'job_cls'"),
    "jobs": ({"cluster": "slurm", "jobs": 0}, "`jobs` must be a whole number of 1 or more, got 0"),
    "queue": ({"cluster": "slurm", "queu": "long"}, "the cluster 'slurm' has no option 'queu'"),
    "cores": ({"cluster": "slurm"}, "no cluster of 'slurm' can be started: .* cores"),
    "address": ({"address": "tcp://127.0.0.1:1"}, "no Dask scheduler answers at tcp://127.0.0.1:1"),
    "words": ({"address": "nowhere"}, "`address` must be like tcp://10.0.0.1:8786, got 'nowhere'"),
    "port": ({"address": "tcp://a"}, "`address` must be like tcp://10.0.0.1:8786, got 'tcp://a'"),
    "alone": ({"jobs": 1}, "the executor 'dask' has no option 'jobs' without `cluster`"),
    "program": ({"cluster": "pbs", "cores": 1}, "`cluster` must be .* got 'pbs': there is no"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_makes_no_sense_is_one_sentence(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask as library

    batch_system(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    options, words = WRONG[what]
    if what != "address":  # the others are told before an executor is made
        given = dict(options)
        with pytest.raises(InputError, match=f"^{words}"):
            executor_factory("dask", given.pop("workers", 1), given)
    with (
        library.config.set(SOON),
        pytest.raises(InputError, match=f"^{words}"),
    ):
        dask(BENCH, **options)


def test_what_takes_a_connection_and_says_nothing_is_no_scheduler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scheduler that was stopped, or another program at that port."""
    monkeypatch.setattr("networks.execution.dask._JOIN", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        words = f"^no Dask scheduler answers at {address}: nothing is heard from there; start one"
        with pytest.raises(InputError, match=words):
            dask(BENCH, address=address)


def test_a_client_that_cannot_connect_is_closed_and_not_left_to_the_garbage_collector() -> None:
    """Collected while the next client starts, it would wait for a lock that its thread holds."""
    import dask as library
    from distributed import Client

    def open_ones() -> list[Client]:
        return [x for x in gc.get_objects() if type(x) is Client and x.status != "closed"]

    gc.collect()
    before = len(open_ones())
    with library.config.set(SOON), pytest.raises(InputError):
        dask(BENCH, address="tcp://127.0.0.1:1")
    assert len(open_ones()) == before


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingPackageError, match=r'pip install "afir\[cluster\]"'):
        dask(BENCH)
