"""Workers that are jobs of a batch system, which takes them, refuses them, or loses them."""

from __future__ import annotations

import logging
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runs import H2CO, HCN, HCN_START, SHORT, snapshot

from afir.cli.main import main
from afir.errors import StoppedError
from afir.io.structures import read_structure
from networks import explore, open_run
from networks.execution import cluster, jobs
from networks.execution.cluster import ClusterExecutor
from networks.execution.context import Bench
from networks.execution.dask import dask
from networks.execution.tasks import Label
from networks.exploration.events import TaskDone

pytest.importorskip("distributed")
from clusters import batch_system, gone, until, written_down

Start = Callable[..., dict[str, Any]]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Makes programs of Slurm and returns the options for jobs there; all pauses are short."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "_PAUSE", 0.1)
    monkeypatch.setattr(cluster, "_LOOK", 0.1)

    def start(**programs: str) -> dict[str, Any]:
        batch_system(tmp_path, **programs)
        return {
            "cluster": "slurm",
            "jobs": 2,
            "cores": 1,
            "memory": "1GB",
            "queue": "long",
            "walltime": "01:00:00",
            "interface": "lo",
            "local_directory": str(tmp_path),
        }

    return start


def executor(options: dict[str, Any]) -> ClusterExecutor:
    return dask(Bench(HCN, "gfn2", seconds=5.0), **options)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a user would see, also of Dask and tornado."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.slow
def test_jobs_are_workers_and_a_lost_one_is_begun_anew(
    slurm: Start, tmp_path: Path, alone: dict[str, Any]
) -> None:
    options = slurm()
    molecule, start = read_structure(H2CO)
    pids = tmp_path / "pids"
    done = 0
    for event in explore(
        molecule, start, SHORT, tmp_path / "run.db", executor="dask", executor_options=options
    ):
        done += isinstance(event, TaskDone)
        if done == 4 and isinstance(event, TaskDone):  # a node dies: its job is begun anew
            os.killpg(int(pids.read_text().split()[0]), signal.SIGKILL)
            until(lambda: len(pids.read_text().split()) == 3, 60)
    assert snapshot(tmp_path / "run.db") == alone
    script = (tmp_path / "script").read_text()
    assert "#SBATCH -p long" in script
    assert "#SBATCH -t 01:00:00" in script
    assert len(pids.read_text().split()) == 3
    assert all(gone(int(pid)) for pid in pids.read_text().split())


REFUSES = "#!/bin/sh\necho 'sbatch: error: Invalid account' >&2\nexit 1\n"
# Numbers above those of all processes, so that nothing can be ended by them.
LOSES = (
    "#!/bin/sh\necho x >> {folder}/calls\n"
    "echo Submitted batch job $((9000000 + $(wc -l < {folder}/calls)))\n"
)


@pytest.mark.slow
def test_a_job_that_is_refused_at_first_is_submitted_again(
    slurm: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = slurm()
    accepts = (tmp_path / "sbatch").read_text()
    slurm(sbatch=f"#!/bin/sh\nmv {tmp_path}/accepts $0\n{REFUSES}")
    (tmp_path / "accepts").write_text(accepts)
    (tmp_path / "accepts").chmod(0o755)
    made = executor({**options, "jobs": 1})
    try:
        ((_, result),) = made.run([Label(HCN_START)])
    finally:
        made.close()
    assert result.error == ""
    words = "a job cannot be submitted: sbatch: error: Invalid account"
    assert warnings(caplog) == [f"{words}; another one is submitted in 0.1 s"]


@pytest.mark.slow
def test_a_run_none_of_whose_jobs_begins_can_be_resumed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written_down(tmp_path, "qsub", "qdel", "9000001.headnode")
    (tmp_path / "qsub").write_text("#!/bin/sh\necho 'qsub: no such queue' >&2\nexit 1\n")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "_PAUSE", 0.1)
    monkeypatch.setattr(cluster, "_LOOK", 0.1)
    options = ["cluster=pbs", "cores=2", "memory=2GB", "interface=lo"]
    named = ["--executor", "dask", *(w for o in options for w in ("--executor-option", o))]
    assert main(["explore", str(H2CO), "-o", "q.db", "--max-trials", "0", *named]) == 1
    told = capsys.readouterr().err
    assert "no job of pbs becomes a worker: a job cannot be submitted: qsub: no such queue;" in told
    assert "`afir resume q.db " in told
    assert main(["resume", "q.db", "--executor", "serial"]) == 0
    with open_run(Path("q.db")) as store:
        assert store.first_eq() is not None


ENDS = {
    "refused": (REFUSES, "a job cannot be submitted: sbatch: error: Invalid account"),
    "lost": (LOSES, "the job [0-9]+ has ended before its worker joined"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", ENDS)
def test_jobs_none_of_which_becomes_a_worker_end_the_run(
    what: str,
    slurm: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(jobs, "_LOOK", 0.2)
    sbatch, words = ENDS[what]
    made = executor(slurm(sbatch=sbatch.format(folder=tmp_path)))
    try:
        with pytest.raises(
            StoppedError, match=f"^no job of slurm becomes a worker: {words}; correct"
        ):
            list(made.run([Label(HCN_START)]))
    finally:
        made.close()
    said = warnings(caplog)
    assert len(said) >= 2 * jobs._TRIES
    assert all(re.fullmatch(f"{words}; another one is submitted in .* s", line) for line in said)


@pytest.mark.slow
@pytest.mark.parametrize("there", [True, False])
def test_a_job_that_cannot_be_ended_is_named(
    there: bool, slurm: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue = f"#!/bin/sh\n{'cat ' + str(tmp_path / 'pids') if there else 'exit 0'}\n"
    options = slurm(scancel="#!/bin/sh\necho 'no controller' >&2\nexit 1\n", squeue=queue)
    made = executor({**options, "jobs": 1})
    pids = tmp_path / "pids"
    until(lambda: pids.read_text().split() and made._connection.client.scheduler_info()["workers"])
    made.close()
    (job,) = pids.read_text().split()
    wanted = f"the job {job} could not be ended: no controller; end it yourself"
    assert warnings(caplog) == ([wanted] if there else [])
    assert gone(int(job))  # its worker has lost the scheduler
