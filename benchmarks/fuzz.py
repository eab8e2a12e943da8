"""Whether wrong input of any kind ends in a sentence: random files and arguments for every command.

Structures, options, job files, run files, models and labels are damaged at random, and a command is
given each. It fails when it prints a traceback or a control character, ends with a code that means
nothing, by a signal or after too long, says nothing of what is wrong, or changes a file that it was
given to read. Cases run in children of this process, which have 3 GB of memory each, and one of a
hundred in a process of its own.

    OMP_NUM_THREADS=1 python benchmarks/fuzz.py --cases 10000 --seed 1
    OMP_NUM_THREADS=1 python benchmarks/fuzz.py --seed 1 --case 1234
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from fuzz_cases import KINDS, Case, case_of, kind_of
from fuzz_material import Material, make_material
from table import print_table

from afir.cli.main import main as afir

CODES = (0, 1, 2, 130, 143)
MEMORY = 3 << 30  # bytes of addresses
MEMORY_USED = 3 << 29  # bytes; half a GB are there before a case begins
LARGEST_FILE = 200 << 20
SECONDS = 60.0
TRACEBACK = "Traceback (most recent call last)"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
SHOWN = 3  # cases told of each failure
COLUMNS = ("what is damaged", "cases", "accepted", "refused", "failed", "kinds of failure", "CPU s")
LOADED = (  # what commands import when they run: once here instead of in every child
    "ase.io", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "networks",
    "networks.cli.show", "networks.exploration.run", "afir.io.structures",
    "afir.surfaces.tblite", "mlpot.process", "mlpot.neural.training", "mlpot.neural.recipe",
    "mlpot.surface",
)  # fmt: skip


@dataclass(frozen=True)
class End:
    """How a command ended.

    Attributes
    ----------
    code
        The exit code; negative for a signal.
    out, err
        What it printed.
    changed
        Files that are not as they were given.
    late
        Whether it had to be stopped.
    seconds
        Of CPU.
    memory
        Bytes at most.
    """

    code: int
    out: str
    err: str
    changed: tuple[str, ...] = ()
    late: bool = False
    seconds: float = 0.0
    memory: int = 0


def fault(end: End) -> str:
    """What is wrong with how a command ended, in a few words; empty when nothing is."""
    if TRACEBACK in end.err:
        return tail(end.err)
    if end.late or end.code == -signal.SIGXCPU:
        return "took too long"
    if end.code < 0:
        return f"killed by {signal.Signals(-end.code).name}"
    if end.code not in CODES:
        return f"ended with code {end.code}"
    if end.code == 2 and "Error: " not in end.err:
        return "ended with code 2 and no sentence"
    if end.code == 1 and not (end.out + end.err).strip():
        return "ended with code 1 and said nothing"
    if end.memory > MEMORY_USED:
        return "took too much memory"
    if control := CONTROL.search(end.out + end.err):
        return f"printed the control character {control[0]!r}"
    if end.changed:
        return f"changed {', '.join(end.changed)}"
    return ""


def tail(text: str) -> str:
    """The last line of a traceback and the last place in the project that it names."""
    text = text[text.rindex(TRACEBACK) :]
    packages = r"(?:afir|networks|mlpot)/(?!benchmarks/|tests/)"  # the clone may be called afir too
    places = re.findall(rf'File "[^"]*/({packages}[^"]+)", line (\d+)', text)
    lines = [line for line in text.splitlines() if re.match(r"\w[\w.]*(:|$)", line)]
    said = lines[-1] if lines else "no reason"
    said = re.sub(r"0x[0-9a-f]+|\d+", "N", said)[:90]
    return f"{said} ({':'.join(places[-1])})" if places else said


def run_case(
    case: Case,
    folder: Path,
    *,
    seconds: float = SECONDS,
    separate: bool = False,
    program: Callable[[Sequence[str]], int] = afir,
) -> End:
    """Run a command in an empty folder with the files of its case.

    Where it is not run in a process of its own, `program` is what runs it.
    """
    for name, data in case.files.items():
        (folder / name).write_bytes(data)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if separate:
            pid = _subprocess(case, folder, out.fileno(), err.fileno())
        else:
            streams = (out.fileno(), err.fileno())
            pid = in_child(lambda: program(case.arguments), folder, streams, seconds)
        status, used, late = _wait(pid, seconds)
        out.seek(0)
        err.seek(0)
        said = [stream.read().decode("utf-8", "replace") for stream in (out, err)]
    changed = tuple(
        name
        for name, data in case.files.items()
        if name not in case.may_change and _content(folder / name) != data
    )
    return End(
        os.waitstatus_to_exitcode(status),
        *said,
        changed,
        late,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss << 10,
    )


def in_child(
    command: Callable[[], int], folder: Path, streams: tuple[int, int], seconds: float
) -> int:
    """Fork a child with limits that runs a command and ends with its code; the child's number."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else the child writes it again
    pid = os.fork()
    if pid:
        return pid
    code = 1  # of Python, after a traceback
    try:
        os.setsid()
        os.chdir(folder)
        _limit(seconds)
        os.close(0)
        for number, stream in zip((1, 2), streams, strict=True):
            os.dup2(stream, number)
        code = command()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _subprocess(case: Case, folder: Path, out: int, err: int) -> int:
    """Start the command as a user would, without limits of memory; its number."""
    names = [argument.encode("utf-8", "surrogateescape") for argument in case.arguments]
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    started = subprocess.Popen(
        [sys.executable, "-m", "afir", *names],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )
    started.returncode = 0  # it is waited for below
    return started.pid


def _limit(seconds: float) -> None:
    limits = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CPU: int(seconds) + 1,
        resource.RLIMIT_FSIZE: LARGEST_FILE,
        resource.RLIMIT_CORE: 0,
    }
    for what, value in limits.items():
        resource.setrlimit(what, (value, value))


def _wait(pid: int, seconds: float) -> tuple[int, resource.struct_rusage, bool]:
    """The status of a child, what it used, and whether it was too late and has been killed."""
    end, pause = time.monotonic() + seconds, 0.002
    while time.monotonic() < end:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            return status, used, False
        time.sleep(pause)
        pause = min(1.5 * pause, 0.1)
    os.killpg(pid, signal.SIGKILL)
    return *os.wait4(pid, 0)[1:], True


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def try_case(number: int, seed: int, material: Material, seconds: float) -> tuple[str, Case, End]:
    """The kind of a case, the case, and how it ended."""
    kind, case = case_of(number, seed, material)
    with tempfile.TemporaryDirectory() as folder:
        separate = number % 100 == 99
        return kind, case, run_case(case, Path(folder), separate=separate, seconds=seconds)


def load() -> None:
    """Import what the commands will need, so that children have it already."""
    for name in LOADED:
        package = (
            "torch" if name.startswith(("mlpot.neural.training", "mlpot.neural.recipe")) else "afir"
        )
        if find_spec(package) is not None:
            import_module(name)
    gc.freeze()  # what is there is shared with the children and never looked at again


def tell_one(number: int, seed: int, material: Material, seconds: float) -> bool:
    """Run one case and print all that there is to see; whether it failed."""
    kind, case, end = try_case(number, seed, material, seconds)
    print(f"{kind}: afir {' '.join(map(repr, case.arguments))}")
    for name, data in case.files.items():
        print(f"{name}, {len(data)} bytes: {data[:2000]!r}")
    print(f"code {end.code}, {end.seconds:.1f} s of CPU, {end.memory >> 20} MB")
    print(f"--- stdout\n{end.out!r}\n--- stderr\n{end.err}")
    print(f"fault: {fault(end) or 'none'}")
    return bool(fault(end))


def tell_all(numbers: Sequence[int], seed: int, material: Material, seconds: float) -> bool:
    """Run cases and print tables of what happened; whether one failed."""
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    spent: dict[str, float] = defaultdict(float)
    failures: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number in numbers:
        kind, _, end = try_case(number, seed, material, seconds)
        spent[kind] += end.seconds
        what = fault(end)
        ends[kind]["failed" if what else "accepted" if end.code == 0 else "refused"] += 1
        if what:
            if not failures[kind, what]:
                print(f"case {number}, {kind}: {what}", file=sys.stderr, flush=True)
            failures[kind, what].append(number)
    rows = []
    for kind in ends:
        counts = ends[kind]
        met = sum(1 for other, _ in failures if other == kind)
        shares = (counts[what] for what in ("accepted", "refused", "failed"))
        cells = (counts.total(), *shares, met, f"{spent[kind]:.0f}")
        rows.append([kind, *map(str, cells)])
    print_table(COLUMNS, rows, markdown=True)
    for (kind, what), cases in sorted(failures.items(), key=lambda item: -len(item[1])):
        few = ", ".join(map(str, cases[:SHOWN]))
        print(f"\n{kind}: {what}: {len(cases)} cases, --case {few}")
    return bool(failures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="another seed has other cases")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), help="only what damages these")
    parser.add_argument("--case", type=int, help="only this one, with all that it prints")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="a case may take")
    asked = parser.parse_args()
    load()
    with tempfile.TemporaryDirectory() as folder:
        material = make_material(Path(folder))
    if asked.case is not None:
        return tell_one(asked.case, asked.seed, material, asked.seconds)
    numbers = [n for n in range(asked.cases) if kind_of(n) in (asked.kinds or KINDS)]
    return tell_all(numbers, asked.seed, material, asked.seconds)


if __name__ == "__main__":
    sys.exit(main())
