"""Where the project's own CPU time goes: what is not spent inside tblite, function by function.

Explores butadiene on GFN2-xTB with a fixed number of trials in this process. The time inside
tblite's calculation is measured call by call; the rest is sampled by a timer of CPU time, which
distorts less than a profiler: each sample counts for the function that runs and, once, for each
room (folder) of the packages that is on the stack.

    OMP_NUM_THREADS=1 python benchmarks/own_cpu.py --markdown
"""

from __future__ import annotations

import argparse
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from table import print_table
from tblite import library

from afir.io.structures import read_structure
from networks import Settings, explore, open_run

ROOT = Path(__file__).parent.parent
PACKAGES = ("afir", "networks")
TICK = 2e-3  # s of CPU time between samples; the kernel may round it up


class Inside:
    """CPU seconds inside tblite's calculation, and calls."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._began: float | None = None  # the call in progress

    @property
    def others(self) -> float:
        """CPU seconds of this process outside of it until now."""
        now = time.process_time()
        return (now if self._began is None else self._began) - self.seconds

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Time every call of the calculation in this block."""
        calculation = library.get_singlepoint

        def timed(*handles: object) -> None:
            began = self._began = time.process_time()
            try:
                calculation(*handles)
            finally:
                self.seconds, self._began = self.seconds + time.process_time() - began, None
                self.calls += 1

        library.get_singlepoint = timed
        try:
            yield
        finally:
            library.get_singlepoint = calculation


class Samples:
    """CPU seconds by function and by room, from a timer; those inside tblite are left out."""

    def __init__(self, inside: Inside) -> None:
        self.functions: Counter[str] = Counter()
        self.rooms: Counter[str] = Counter()
        self._inside = inside
        self._last = 0.0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Sample in this block."""
        self._last = self._inside.others
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        now = self._inside.others
        spent, self._last = now - self._last, now
        first, rooms = "", set()
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(ROOT) and (parts := path.relative_to(ROOT).parts)[0] in PACKAGES:
                room = "/".join(parts[:-1])
                rooms.add(room)
                first = first or f"{room}/{path.stem}.{frame.f_code.co_name}"
            frame = frame.f_back
        self.functions[first or "elsewhere"] += spent
        for room in rooms:
            self.rooms[room] += spent


def main() -> None:
    """Explore and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=64, help="how many trials")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--top", type=int, default=0, help="also name so many functions")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    molecule, start = read_structure(ROOT / "examples" / "butadiene.xyz")
    settings = Settings(seed=options.seed, max_trials=options.trials)
    inside = Inside()
    samples = Samples(inside)
    with TemporaryDirectory() as folder, inside.measured():
        path = Path(folder) / "run.db"
        began = time.process_time()
        if options.top:
            with samples.taken():
                for _ in explore(molecule, start, settings, path, executor="serial"):
                    pass
        else:
            for _ in explore(molecule, start, settings, path, executor="serial"):
                pass
        total = time.process_time() - began
        with open_run(path) as store:
            gradients = sum(store.summary().gradients.values())
    own = total - inside.seconds
    print_table(
        ("gradients", "CPU s", "own CPU s", "own µs / gradient", "own share"),
        [
            (
                str(gradients),
                f"{total:.1f}",
                f"{own:.1f}",
                f"{1e6 * own / gradients:.0f}",
                f"{own / total:.1%}",
            )
        ],
        markdown=options.markdown,
    )
    for name, counted in (("function", samples.functions), ("room, with all below", samples.rooms)):
        rows = [(what, f"{spent / own:.1%}") for what, spent in counted.most_common(options.top)]
        if rows:
            print()
            print_table((name, "of own"), rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
