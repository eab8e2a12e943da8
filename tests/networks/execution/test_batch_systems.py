"""Each batch system by its own programs: what a job is, how it is submitted and how it is ended."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runs import HCN

from afir.errors import InputError
from networks.execution import jobs
from networks.execution.context import Bench
from networks.execution.dask import dask
from networks.execution.jobs import SYSTEMS
from networks.execution.registry import executor_factory

pytest.importorskip("distributed")
from clusters import until, written_down

BENCH = Bench(HCN, "gfn2", seconds=5.0)


@dataclass(frozen=True)
class Example:
    """What the programs of a batch system are called and say, and what a script of it holds."""

    submit: str
    cancel: str
    said: str
    lines: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = (("queue", "long"), ("walltime", "01:00:00"))
    job: str = "9000001"


EXAMPLES = {
    "htcondor": Example(
        "condor_submit",
        "condor_rm",
        "1 job(s) submitted to cluster 9000001.",
        ("MY.DaskWorkerCores = 3", "MY.DaskWorkerMemory = 6000000000", "Queue"),
        (("disk", "1GB"),),
        "9000001.0",
    ),
    "lsf": Example(
        "bsub",
        "bkill",
        "Job <9000001> is submitted to queue <long>.",
        ("#BSUB -q long", "#BSUB -n 3", "#BSUB -W 01:00:00"),
    ),
    "moab": Example(
        "msub",
        "canceljob",
        "9000001",
        ("#PBS -q long", "#PBS -l select=1:ncpus=3:mem=5723MB", "#PBS -l walltime=01:00:00"),
    ),
    "oar": Example(
        "oarsub",
        "oardel",
        "OAR_JOB_ID=9000001",
        ("long", "/nodes=1/core=3,walltime=01:00:00", "mem_core>=1908"),
        (
            ("queue", "long"),
            ("walltime", "01:00:00"),
            ("memory_per_core_property_name", "mem_core"),
        ),
    ),
    "pbs": Example(
        "qsub",
        "qdel",
        "9000001.headnode",
        ("#PBS -q long", "#PBS -l select=1:ncpus=3:mem=5723MB", "#PBS -l walltime=01:00:00"),
    ),
    "sge": Example(
        "qsub",
        "qdel",
        'Your job 9000001 ("dask-worker") has been submitted',
        ("#$ -q long", "#$ -l h_rt=01:00:00"),
    ),
    "slurm": Example(
        "sbatch",
        "scancel",
        "Submitted batch job 9000001",
        ("#SBATCH -p long", "#SBATCH --cpus-per-task=3", "#SBATCH -t 01:00:00"),
    ),
}


@pytest.fixture
def system(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, dict[str, Any]]:
    """The name of a batch system whose programs write down what they are told, and options."""
    name: str = request.param
    example = EXAMPLES[name]
    written_down(tmp_path, example.submit, example.cancel, example.said)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(jobs, "_PAUSE", 0.1)
    options = {"cluster": name, "cores": 3, "memory": "6GB", "interface": "lo"}
    return name, {**options, "local_directory": str(tmp_path), **dict(example.options)}


def test_there_is_an_example_of_each() -> None:
    assert set(EXAMPLES) == set(SYSTEMS)


@pytest.mark.parametrize("system", EXAMPLES, indirect=True)
def test_a_job_starts_a_worker_and_is_ended_by_its_number(
    system: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    name, options = system
    made = dask(BENCH, **options)
    script, cancelled = tmp_path / "script", tmp_path / "cancelled"
    try:
        until(lambda: script.exists() and made._connection.jobs._waiting)
        address = made._connection.address
    finally:
        made.close()
    text = script.read_text()
    worker = f"{sys.executable} -m distributed.cli.dask_worker {address} --name "
    assert worker in text
    flags = text.split(worker)[1].split()
    assert flags[1:5] == ["--nthreads", "3", "--memory-limit", "5.59GiB"]
    assert "--nworkers" not in flags  # a job is one worker
    assert " ".join(flags).count(f"--local-directory {tmp_path}") == 1
    assert "--interface lo" in " ".join(flags)
    for line in EXAMPLES[name].lines:
        assert line in text.splitlines()
    assert cancelled.read_text().split() == [EXAMPLES[name].job]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"queu": "long"}, "the cluster '{}' has no option 'queu'; see dask-jobqueue"),
    "set by us": ({"scheduler": "tcp://a:1"}, "the cluster '{}' has no option 'scheduler'"),
    "cores": ({"cores": None}, "no cluster of '{}' can be started: .* cores"),
    "no cores": ({"cores": 0}, "`cores` must be a whole number of 1 or more, got 0"),
    "processes": ({"processes": 0}, "`processes` must be a whole number of 1 or more, got 0"),
    "set of defaults": ({"config_name": "nope"}, "no cluster of '{}' can be started: .*nope"),
    "memory": ({"memory": "much"}, "no cluster of '{}' can be started: .*much"),
    "jobs": ({"jobs": 0}, "`jobs` must be a whole number of 1 or more, got 0"),
    "address": ({"address": "tcp://a:1"}, "`address` must not go with `cluster`"),
}


@pytest.mark.parametrize("system", EXAMPLES, indirect=True)
@pytest.mark.parametrize("what", WRONG)
def test_wrong_options_are_told_before_anything_is_submitted(
    what: str, system: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    name, options = system
    changed, words = WRONG[what]
    with pytest.raises(InputError, match=f"^{words.format(name)}"):
        executor_factory("dask", 1, {**options, **changed})
    assert not (tmp_path / "script").exists()


@pytest.mark.parametrize("system", ["lsf"], indirect=True)
def test_whatever_dask_jobqueue_objects_to_is_wrong_input(
    system: tuple[str, dict[str, Any]],
) -> None:
    words = "^no cluster of 'lsf' can be started: KeyError: 'q'$"
    with pytest.raises(InputError, match=words):
        executor_factory("dask", 1, {**system[1], "lsf_units": "q"})


@pytest.mark.parametrize("system", EXAMPLES, indirect=True)
def test_options_are_checked_without_making_anything(
    system: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    executor_factory("dask", 1, {**system[1], "log_directory": str(tmp_path / "logs")})
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("system", EXAMPLES, indirect=True)
@pytest.mark.parametrize("program", ["submit", "cancel"])
def test_a_program_that_is_missing_is_named(
    program: str,
    system: tuple[str, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, options = system
    missing = getattr(EXAMPLES[name], program)
    (tmp_path / missing).unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    words = f"^`cluster` must be .* installed here, got '{name}': there is no program {missing};"
    with pytest.raises(InputError, match=words):
        executor_factory("dask", 1, options)
