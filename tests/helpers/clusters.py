"""Clusters on this machine for tests: a scheduler and workers that are programs of their own."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from networks.execution.dask import _joined

_HERE = str(Path(__file__).parent)
_SBATCH = """#!/bin/sh
cp "$1" {folder}/script.$$
ln -sf {folder}/script.$$ {folder}/script
setsid sh {folder}/script.$$ > {folder}/job.log.$$ 2>&1 &
echo $! >> {folder}/pids
echo "Submitted batch job $!"
"""
_SQUEUE = """#!/bin/sh
for job in $(cat {folder}/pids); do kill -0 "$job" && echo "$job"; done
exit 0
"""
_SCANCEL = """#!/bin/sh
for job in "$@"; do
    grep -qx "$job" {folder}/pids || exit 1  # no job of this folder: never another process
    kill -s KILL -- "-$job"
done
"""
# They start nothing and end nothing: what they are told is written down.
_TAKES = """#!/bin/sh
for last; do :; done
if [ -z "$last" ]; then cat > {folder}/taken
elif [ -f "$last" ]; then cat "$last" > {folder}/taken
else printf '%s\\n' "$@" > {folder}/taken
fi
echo '{said}'
mv {folder}/taken {folder}/script
"""
_NOTES = """#!/bin/sh
echo "$@" >> {folder}/cancelled
"""


class Cluster:
    """A Dask scheduler on loopback; workers are added and killed by name.

    Parameters
    ----------
    folder
        For what they write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        target = folder / "scheduler.json"
        self._start(
            "scheduler",
            "dask_scheduler",
            "--host=127.0.0.1",
            "--port=0",
            f"--scheduler-file={target}",
        )
        self._file = target
        until(lambda: target.exists() and "tcp" in target.read_text())

    @property
    def address(self) -> str:
        """Where the scheduler is."""
        text = self._file.read_text()
        return next(word for word in text.split('"') if word.startswith("tcp://"))

    def add(self, name: str, *flags: str, **environment: str) -> None:
        """Start a worker with one thread; it joins a moment later."""
        self._start(
            name,
            "dask_worker",
            self.address,
            f"--name={name}",
            "--nthreads=1",
            f"--local-directory={self._folder}",
            *(flags or ("--no-nanny",)),
            **environment,
        )

    def joined(self, n: int) -> None:
        """Wait until there are so many workers."""
        with _joined(self.address).client as client:
            client.wait_for_workers(n, timeout=60)

    def kill(self, name: str) -> None:
        """Kill a worker at once."""
        program = self._programs.pop(name)
        program.kill()
        program.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for program in reversed(self._programs.values()):  # the scheduler last
            program.terminate()
            try:
                program.wait(timeout=10)
            except subprocess.TimeoutExpired:  # a worker that is told while it joins may not hear
                program.kill()
                program.wait()

    def _start(self, name: str, module: str, *flags: str, **environment: str) -> None:
        path = os.pathsep.join([_HERE, *filter(None, sys.path)])
        with (self._folder / f"{name}.log").open("wb") as log:
            self._programs[name] = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *flags],
                env={**os.environ, "PYTHONPATH": path, **environment},
                stdout=log,
                stderr=log,
            )


def batch_system(folder: Path, **programs: str) -> None:
    """Programs of Slurm in a folder that start jobs here, or do what is given instead.

    Their process groups are in ``pids``, the script of the last one is ``script``.
    """
    (folder / "pids").touch()
    texts = {"sbatch": _SBATCH, "squeue": _SQUEUE, "scancel": _SCANCEL}
    for name, text in texts.items():
        program = folder / name
        program.write_text(programs.get(name, text.format(folder=folder)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)


def written_down(folder: Path, submit: str, cancel: str, said: str) -> None:
    """Programs of a batch system that write down what they are told and do nothing.

    The script of a job, or the command, is in ``script``, what is cancelled in ``cancelled``.

    Parameters
    ----------
    folder
        For the programs and what they write.
    submit, cancel
        Their names.
    said
        What the first says when it has taken a job.
    """
    for name, text in ((submit, _TAKES), (cancel, _NOTES)):
        program = folder / name
        program.write_text(text.format(folder=folder, said=said))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)


def alive(pid: int) -> bool:
    """Whether there is a process with this number."""
    return Path(f"/proc/{pid}").exists()


def gone(pid: int, seconds: float = 20.0) -> bool:
    """Whether a process ends in time."""
    give_up = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < give_up:
        time.sleep(0.05)
    return not alive(pid)


def until(true: Callable[[], object], seconds: float = 90.0) -> None:
    """Wait until something is true."""
    give_up = time.monotonic() + seconds
    while not true() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert true()
