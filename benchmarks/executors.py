"""The same network wherever the searches are done, whatever dies on the way.

A molecule is explored in one process, in 2 and 4 worker processes, on a Dask cluster of 2 workers
in this process, and on one of programs of their own, where now and then a worker is killed and
another joins. Then the run itself is killed (SIGKILL) at random moments and resumed each time, in
processes and on the cluster. All must hold the same in the end, to the last digit but for times.

    python benchmarks/executors.py h2co hcooh butadiene --kills 20 --markdown
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from kills import digest
from table import print_table

EXAMPLES = Path(__file__).parent.parent / "examples"
HCOOH = """5

C -0.0000  0.4208 0.0
O -1.0264 -0.4370 0.0
O  1.1606  0.1085 0.0
H -0.3777  1.4468 0.0
H -0.6473 -1.3305 0.0
"""
CASES = {
    "h2co": ("h2co.xyz", "--window", "500"),
    "hcooh": ("hcooh.xyz", "--max-trials", "60"),
    "butadiene": ("butadiene.xyz", "--max-trials", "60"),
}
COLUMNS = ("molecule", "executor", "kills", "seconds", "same network")
STEADY = 6.0
"""Seconds between the deaths of workers."""


class Cluster:
    """A Dask scheduler on loopback with two workers, which can be replaced.

    Parameters
    ----------
    folder
        For what they write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = count()
        file = folder / "scheduler.json"
        self._scheduler = self._start("scheduler", "--host=127.0.0.1", f"--scheduler-file={file}")
        while not (file.exists() and "tcp://" in file.read_text()):
            time.sleep(0.1)
        self.address = next(part for part in file.read_text().split('"') if "tcp://" in part)
        self._workers = [self._worker() for _ in range(2)]

    def replace(self) -> None:
        """Kill the oldest worker at once, and start another."""
        oldest = self._workers.pop(0)
        oldest.kill()
        oldest.wait()
        self._workers.append(self._worker())

    def close(self) -> None:
        """End all."""
        for program in (*self._workers, self._scheduler):
            program.kill()
            program.wait()

    def _worker(self) -> subprocess.Popen[bytes]:
        folder = f"--local-directory={self._folder}"
        name = f"--name={next(self._names)}"
        return self._start("worker", self.address, "--nthreads=1", "--no-nanny", folder, name)

    def _start(self, what: str, *flags: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *flags]
        with (self._folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster, for a `with`."""
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.close()


@dataclass
class Run:
    """One run of the command line.

    Attributes
    ----------
    path
        The run file.
    begin
        What `afir explore` is given.
    where
        The flags that say where searches are done.
    cluster
        A cluster one of whose workers dies now and then.
    """

    path: Path
    begin: Sequence[str]
    where: Sequence[str]
    cluster: Cluster | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Begin, or go on."""
        if self.path.exists():
            command = ["resume", str(self.path), *self.where]
        else:
            command = ["explore", *self.begin, "-o", str(self.path), *self.where]
        with self.path.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "afir", *command], stdout=log, stderr=log
            )

    def finish(self) -> None:
        """Let it end."""
        program = self.start()
        while program.poll() is None:
            try:
                program.wait(STEADY)
            except subprocess.TimeoutExpired:
                if self.cluster is not None:
                    self.cluster.replace()
        if program.returncode:
            raise SystemExit(self.path.with_suffix(".log").read_text())

    def interrupted(self, after: float) -> bool:
        """Whether it was killed after so many seconds; else it has ended."""
        program = self.start()
        try:
            program.wait(after)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
            return True
        return False


def compared(
    name: str, kills: int, more: Sequence[str], rng: np.random.Generator, folder: Path
) -> Iterator[tuple[str, ...]]:
    """The rows of a molecule."""
    start, *flags = CASES[name]
    (folder / "hcooh.xyz").write_text(HCOOH)
    place = EXAMPLES if (EXAMPLES / start).exists() else folder
    begin = [str(place / start), "--seed", "0", *flags, *more]
    expected, length = "", 0.0
    with cluster(folder) as dask:
        there = ("--executor", "dask", "--executor-option", f"address={dask.address}")
        places: list[tuple[str, Sequence[str], Cluster | None]] = [
            ("one process", (), None),
            ("2 processes", ("--workers", "2"), None),
            ("4 processes", ("--workers", "4"), None),
            ("Dask here, 2 workers", ("--executor", "dask", "--workers", "2"), None),
            ("Dask over TCP, workers die and join", there, dask),
        ]
        for number, (what, where, dying) in enumerate(places):
            run = Run(folder / f"{number}.db", begin, where, dying)
            began = time.monotonic()
            run.finish()
            seconds = time.monotonic() - began
            found = digest(run.path)
            expected, length = (expected, length) if number else (found, seconds)
            yield name, what, "", f"{seconds:.0f}", "yes" if found == expected else "NO"
        for number, (what, where, _) in enumerate((places[1], places[-1]), start=len(places)):
            if not kills:
                return
            run = Run(folder / f"{number}.db", begin, where)
            began, done = time.monotonic(), 0
            while done < kills and run.interrupted(rng.uniform(1.0, 2.0 + length / kills)):
                done += 1
            run.finish()
            seconds = time.monotonic() - began
            same = "yes" if digest(run.path) == expected else "NO"
            yield name, f"{what.partition(',')[0]}, resumed", str(done), f"{seconds:.0f}", same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("molecules", nargs="+", choices=CASES, help="which")
    parser.add_argument("--kills", type=int, default=20, help="of the run itself")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--flag", action="append", default=[], help="for afir explore; repeatable")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    rows = []
    for name in options.molecules:
        with TemporaryDirectory() as folder:
            for row in compared(name, options.kills, options.flag, rng, Path(folder)):
                print(*row, sep=", ", file=sys.stderr)
                rows.append(row)
    print_table(COLUMNS, rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
