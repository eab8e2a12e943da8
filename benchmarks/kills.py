"""What kills cost a run: nothing that was told, and the same network in the end.

Runs of `afir explore` and `afir resume` on four argon atoms (Lennard-Jones) are killed at random
moments, drawn log-uniformly from a millisecond to the length of the run and counted from its start
or from when the file is made or opened, so that this is met as often as all the rest. After each
kill the file, if there is one, is read and must hold all that the program had told by then (`-vv`)
and all that was in it before; where there is none, the run is begun anew. In the end the network
must be that of an undisturbed run.

Most runs are children of this process, which spares them a second of imports; some are programs of
their own, some have two workers, some are killed a second time while they are resumed.

    python benchmarks/kills.py --kills 1000 --markdown
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from table import print_table

from afir.cli.main import main as afir
from afir.errors import AfirError
from networks import open_run
from networks.reporting.run import load_run

ARGON = """4

Ar 0.0 0.0 0.0
Ar 3.8 0.0 0.0
Ar 1.9 3.3 0.0
Ar 1.9 1.1 3.1
"""
OPTIONS = ("--surface", "lennard-jones", "--gamma", "10", "--max-trials", "20", "-vv")
SHORTEST = 1e-3
"""Seconds from the start of a run to the earliest kill."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SHARES = (0.7, 0.15, 0.15)
PROGRAMS, PAIRS, AGAIN, MAKING = 0.03, 0.04, 0.5, 0.7
"""Shares of programs of their own, of runs with two workers, of second kills, of moments that count
from when the file begins to be made or opened instead of from the start of the process."""
COLUMNS = ("kills", "kind", "no file yet", "records lost", "not resumed", "another network")


@dataclass(frozen=True)
class Kind:
    """How runs are started."""

    program: bool
    workers: int

    @property
    def name(self) -> str:
        """The kind in a table."""
        where = "program" if self.program else "child"
        return f"{where}, {self.workers} worker{'s' * (self.workers > 1)}"


@dataclass(frozen=True)
class Seen:
    """What is known to be in a run file."""

    gradients: int = 0
    trials: int = 0
    nodes: int = 0

    def lacks(self, other: Seen) -> bool:
        """Whether the other knows something that this does not."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return any(mine < theirs for mine, theirs in pairs)


def start(kind: Kind, arguments: Sequence[str], told: Path) -> int:
    """Start the command line; the id of its process."""
    arguments = [*arguments, "--workers", str(kind.workers)]
    with told.open("w") as stream:
        if kind.program:
            program = [sys.executable, "-m", "afir", *arguments]
            streams = [(os.POSIX_SPAWN_DUP2, stream.fileno(), number) for number in (1, 2)]
            return os.posix_spawn(
                sys.executable,
                program,
                os.environ,
                file_actions=streams,
                setsigdef=[signal.SIGINT, signal.SIGTERM],
            )
        child = os.fork()
        if child:
            return child
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
        code = 99
        try:
            code = afir(arguments)
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)


def ended(process: int) -> int:
    """The exit code of a process."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed(process: int, after: float, by: int, begins: Path | None) -> bool:
    """Whether a kill ended a process, so many seconds after now or after a file is there."""
    while begins is not None and not begins.exists():
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(5e-4)
    time.sleep(after)
    os.kill(process, by)
    return ended(process) in (-by, 128 + by)


def in_file(path: Path) -> Seen:
    """What a run file says."""
    with open_run(path) as store, store.snapshot():
        summary, network = store.summary(), store.load_network()
    nodes = len(network.eqs) + len(network.tss) + len(network.dcs)
    return Seen(sum(summary.gradients.values()), sum(summary.trials.values()), nodes)


def in_words(text: str) -> Seen:
    """What the program has told: each line follows the commit of what it tells."""
    answers = re.findall(r"round \d+: .+?, (\d+) gradients", text)
    trials = re.findall(r"trial (\d+): (?:EQ|DC)", text)
    nodes = re.findall(r"^(?:EQ|TS|DC)\d+ ", text.partition("kJ/mol, relative")[0], re.M)
    return Seen(sum(map(int, answers)), len(trials), len(nodes))


def digest(path: Path) -> str:
    """All of a run that must not depend on kills, to the last digit."""
    with open_run(path) as store:
        network, summary = store.load_network(), store.summary()
        content = (
            [(e.id, e.energy, e.flags, e.hessian.tobytes()) for e in network.eqs.values()],
            [(t.id, t.energy, t.ends, t.irc_positions.tobytes()) for t in network.tss.values()],
            [(d.id, d.energy, d.origin) for d in network.dcs.values()],
            [replace(trial, cpu_seconds=0.0) for trial in store.trials()],
            [(d.kind, d.energy, d.reason, d.node) for d in store.dismissed()],
            summary.gradients,
            summary.complete,
        )
    return hashlib.sha256(repr(content).encode()).hexdigest()


class Case:
    """One run that is killed, in a folder of its own.

    Parameters
    ----------
    folder
        The folder; it holds ``ar4.xyz``.
    rng
        For the moments and the signals.
    length
        Seconds that an undisturbed run of this kind takes.
    expected
        Its digest.
    """

    def __init__(
        self, folder: Path, kind: Kind, rng: np.random.Generator, length: float, expected: str
    ) -> None:
        self.path = folder / "run.db"
        self.told = folder / "told"
        self.kind = kind
        self.rng = rng
        self.length = length
        self.expected = expected
        self.counts = Counter[str]()
        self._begin = ["explore", str(folder / "ar4.xyz"), "-o", str(self.path), *OPTIONS]

    def run(self) -> Counter[str]:
        """Kill it once or twice, then let it end; what happened."""
        known = Seen()
        for _ in range(1 + (self.rng.random() < AGAIN)):
            if not self._killed():
                break
            self.counts["kills"] += 1
            known = self._looked_at(known)
        if self.counts["kills"] and self._let_end() and digest(self.path) != self.expected:
            self.counts["another network"] += 1
        return self.counts

    def _arguments(self) -> list[str]:
        """Begin, or go on."""
        return ["resume", str(self.path), "-vv"] if self.path.exists() else self._begin

    def _killed(self) -> bool:
        """Kill it at a random moment; False if it ended before that."""
        after = float(np.exp(self.rng.uniform(np.log(SHORTEST), np.log(self.length))))
        by = int(self.rng.choice(SIGNALS, p=SHARES))
        lock = self.path.with_name(f"{self.path.name}-lock")
        lock.unlink(missing_ok=True)  # of who was killed before
        process = start(self.kind, self._arguments(), self.told)
        return killed(process, after, by, lock if self.rng.random() < MAKING else None)

    def _looked_at(self, known: Seen) -> Seen:
        """What is in the file after a kill, next to what is known to have been in it."""
        if not self.path.exists():
            self.counts["no file yet"] += 1
            self.counts["records lost"] += known != Seen()
            return known
        try:
            found = in_file(self.path)
        except AfirError as error:
            self._complain("records lost", str(error))
            return known
        told = in_words(self.told.read_text())
        if found.lacks(known) or found.lacks(told):
            self._complain("records lost", f"{found} of {known}, {told}")
        return found

    def _let_end(self) -> bool:
        """Go on to the end; whether that works."""
        code = ended(start(self.kind, self._arguments(), self.told))
        try:
            load_run(self.path)
        except AfirError as error:
            code = code or str(error)
        if code:
            self._complain("not resumed", f"{code}: {self.told.read_text()[-300:]}")
        return not code

    def _complain(self, what: str, why: str) -> None:
        self.counts[what] += 1
        print(f"{self.path}, {what}: {why}", file=sys.stderr)


def undisturbed(folder: Path, kind: Kind) -> tuple[float, str]:
    """Seconds and digest of a run that nobody kills."""
    began = time.monotonic()
    path = folder / f"{kind.name}.db"
    arguments = ["explore", str(folder / "ar4.xyz"), "-o", str(path), *OPTIONS]
    if ended(start(kind, arguments, folder / "told")):
        raise SystemExit((folder / "told").read_text())
    return time.monotonic() - began, digest(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of moments, signals and kinds")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    os.environ["COLUMNS"] = "1000"  # what is told is not wrapped
    rng = np.random.default_rng(options.seed)
    counts: dict[Kind, Counter[str]] = {}
    began = time.monotonic()
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ar4.xyz").write_text(ARGON)
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            # What the commands import when they are called, the children have at once.
            afir(["explore", str(folder / "ar4.xyz"), "-o", str(folder / "first.db"), *OPTIONS])
            afir(["resume", str(folder / "first.db")])
        lengths: dict[Kind, tuple[float, str]] = {}
        number = 0
        while sum(count["kills"] for count in counts.values()) < options.kills:
            kind = Kind(bool(rng.random() < PROGRAMS), 1 + int(rng.random() < PAIRS))
            if kind not in lengths:
                lengths[kind] = undisturbed(folder, kind)
            number += 1
            place = folder / str(number)
            place.mkdir()
            (place / "ar4.xyz").write_text(ARGON)
            case = Case(place, kind, np.random.default_rng([options.seed, number]), *lengths[kind])
            counts.setdefault(kind, Counter()).update(case.run())
    total = sum(counts.values(), Counter[str]())
    named = [*((kind.name, counts[kind]) for kind in sorted(counts, key=str)), ("all", total)]
    rows = [
        (str(c["kills"]), kind, *(str(c[column]) for column in COLUMNS[2:])) for kind, c in named
    ]
    print_table(COLUMNS, rows, markdown=options.markdown)
    digests = len({digest for _, digest in lengths.values()})
    print(f"{number} runs, {time.monotonic() - began:.0f} s; undisturbed networks: {digests}")


if __name__ == "__main__":
    main()
