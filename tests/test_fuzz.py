"""Wrong input of all kinds ends in a sentence; and what looks for that sees when it does not."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"

MISBEHAVIOUR = """
import os, signal, sys, tempfile, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fuzz import fault, run_case
from fuzz_cases import Case

def right(arguments): print("all is well"); return 0
def refuses(arguments): print("Error: no", file=sys.stderr); return 2
def fails(arguments): print("none found", file=sys.stderr); return 1
def raises(arguments): raise ValueError("no 7")
def leaves(arguments): return 7
def dies(arguments): os.kill(os.getpid(), signal.SIGSEGV)
def sleeps(arguments): time.sleep(60)
def spins(arguments):
    while True: pass
def silent(arguments): return 2
def mute(arguments): return 1
def bells(arguments): print("\\x1b[31mred"); return 0
def eats(arguments): bytearray(1700 << 20); return 0
def eats_more(arguments): bytearray(8 << 30); return 0
def writes(arguments): Path("in.xyz").write_text("H"); return 0
def removes(arguments): Path("in.xyz").unlink(); return 0

for program in (right, refuses, fails, raises, leaves, dies, sleeps, spins, silent, mute, bells,
                eats, eats_more, writes, removes):
    seconds = 1.5 if program in (sleeps, spins) else 60.0
    with tempfile.TemporaryDirectory() as folder:
        case = Case((), {"in.xyz": b"He"})
        end = run_case(case, Path(folder), seconds=seconds, program=program)
        print(program.__name__, "|", fault(end))
"""
FAULTS = {
    "right": "",
    "refuses": "",
    "fails": "",
    "raises": "ValueError: no N",
    "leaves": "ended with code 7",
    "dies": "killed by SIGSEGV",
    "sleeps": "took too long",
    "spins": "took too long",
    "silent": "ended with code 2 and no sentence",
    "mute": "ended with code 1 and said nothing",
    "bells": "printed the control character '\\x1b'",
    "eats": "took too much memory",
    "eats_more": "MemoryError",
    "writes": "changed in.xyz",
    "removes": "changed in.xyz",
}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.mark.slow
def test_every_misbehaviour_is_seen() -> None:
    done = run("-c", MISBEHAVIOUR, BENCHMARKS)
    assert done.returncode == 0, done.stderr
    seen = dict(line.split(" | ") for line in done.stdout.splitlines())
    assert seen == FAULTS


@pytest.mark.slow
def test_wrong_input_ends_in_a_sentence() -> None:
    done = run(BENCHMARKS / "fuzz.py", "--cases", "180", "--seed", "0")
    assert done.returncode == 0, done.stdout
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("|")][2:]
    counts = {row[1].strip(): [int(cell) for cell in row[2:6]] for row in rows}
    for kind, (cases, accepted, refused, failed) in counts.items():
        assert (cases, failed) == (30, 0), kind
        # Some damage does no harm, most does: else the cases are no good.
        if kind not in ("model", "label") or find_spec("torch") is not None:
            assert accepted > 0, kind
        assert refused > 10, kind
    assert len(counts) == 6
