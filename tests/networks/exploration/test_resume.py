from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from runs import HCN, HCN_START, snapshot
from toyworld import LATE, MOLECULE, SETTINGS, SURFACE, answer, by, structure, toy

from afir.options import entries
from afir.searches.settings import StepSettings
from networks import Settings, explore, open_run, resume
from networks.execution.tasks import Task, TaskResult
from networks.exploration.events import Event, Progress, TaskDone
from networks.policies.base import ENTRY_POINT_GROUP
from networks.records.runs import StoppedBy
from networks.settings import Changes

HERE = Path(__file__).parents[2] / "helpers"


def environment() -> dict[str, str]:
    path = [str(HERE), *filter(None, sys.path)]
    return dict(
        os.environ,
        PYTHONPATH=os.pathsep.join(path),
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
    )


class Runs:
    """Starts toy runs in processes that can be killed; see `toyworld.serve`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "toyworld.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(
        self,
        path: Path,
        *,
        pause: float = 0.0,
        after: float = 0.0,
        commit: int = 0,
        place: str = "",
    ) -> int:
        """Run until the end or the kill; the exit code."""
        order = {
            "path": str(path),
            "pause": pause,
            "after": after,
            "commit": commit,
            "place": place,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self._line())


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    made = Runs()
    yield made
    made.process.communicate()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    for _ in explore(MOLECULE, structure(0), SETTINGS, path, executor=toy):
        pass
    return snapshot(path)


@pytest.mark.slow
@pytest.mark.parametrize("policy", entries(ENTRY_POINT_GROUP))
def test_with_any_policy_an_interrupted_run_finds_the_same(policy: str, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, policy=policy)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for _ in explore(MOLECULE, structure(0), settings, whole, executor=toy):
        pass
    events = explore(MOLECULE, structure(0), settings, parts, executor=toy)
    for patience in (4, 3, 6, 5, 2, 7, 3, 9, 4):
        # Left in the middle: after so many answers have come in.
        answers = (event for event in events if isinstance(event, TaskDone))
        for _ in zip(range(4 * patience), answers, strict=False):
            pass
        events.close()  # type: ignore[attr-defined]
        events = resume(parts, executor=toy)
    for _ in events:
        pass
    assert snapshot(parts) == snapshot(whole)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["learned", "stochastic"])
def test_cut_anywhere_while_pushes_are_tried_again_it_finds_the_same(
    policy: str, tmp_path: Path
) -> None:
    settings = dataclasses.replace(LATE, policy=policy)
    whole = tmp_path / "whole"
    tasks = 0
    for event in explore(MOLECULE, structure(0), settings, whole, executor=toy):
        tasks += isinstance(event, TaskDone)
    expected = snapshot(whole)
    for cut in range(tasks // 2, tasks, 2):
        parts = tmp_path / f"cut{cut}"
        events = explore(MOLECULE, structure(0), settings, parts, executor=toy)
        answers = (event for event in events if isinstance(event, TaskDone))
        for _ in zip(range(cut), answers, strict=False):
            pass
        events.close()  # type: ignore[attr-defined]
        for _ in resume(parts, executor=toy):
            pass
        assert snapshot(parts) == expected, cut


@pytest.mark.slow
def test_a_run_that_learns_by_a_process_is_the_same_however_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another number of workers, and cut before its first model and on the last."""
    monkeypatch.setattr(
        "networks.learning.models._FEWEST_TASKS", 2
    )  # so small a network has no more
    settings = Settings(
        surface="gfn1", reference="gfn2", learn=True, learner="gaussian", seed=1, in_flight=4
    )
    whole = tmp_path / "whole.db"
    list(explore(HCN, HCN_START, settings, whole))
    with open_run(whole) as store:
        models, stages = [model.stage for model in store.models()], store.stages
    assert models
    assert models[-1] < stages
    two = tmp_path / "two.db"
    list(explore(HCN, HCN_START, settings, two, workers=2))
    assert snapshot(two) == snapshot(whole)
    for cut in (models[0] - 1, models[-1]):
        path = tmp_path / f"cut{cut}.db"
        events = explore(HCN, HCN_START, settings, path)
        commits = (event for event in events if isinstance(event, Progress))
        for _ in zip(range(cut), commits, strict=False):
            pass
        next(events, None)  # something of the next stage, which goes on
        events.close()  # type: ignore[attr-defined]
        list(resume(path))
        assert snapshot(path) == snapshot(whole)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["before", "within", "after"])
def test_killed_at_its_commits_a_run_loses_nothing(
    runs: Runs, undisturbed: dict[str, object], tmp_path: Path, place: str
) -> None:
    rng = np.random.default_rng(len(place))
    path, kills = tmp_path / "run", 0
    # Killed at every commit for a while: the beginning of a run has the most kinds of them.
    for commit in (1, 2, 3, 4, 5, 6, *rng.integers(3, 60, size=12)):
        code = runs.start(path, commit=int(commit), place=place)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    else:
        assert runs.start(path) == 0
    assert kills >= 7
    assert snapshot(path) == undisturbed


@pytest.mark.slow
def test_killed_at_twenty_random_moments_a_run_loses_nothing(
    runs: Runs, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    path, kills = tmp_path / "run", 0
    for _ in range(20):
        code = runs.start(path, pause=0.004, after=float(rng.uniform(0.03, 0.1)))
        kills += code == -signal.SIGKILL
    assert runs.start(path) == 0
    assert kills >= 15  # on a fast machine it may be over sooner
    assert snapshot(path) == undisturbed


PROGRAM = """
import sys
from pathlib import Path
from runs import HCN, HCN_START
from afir.options import entries
from afir.searches.settings import StepSettings
from networks import Settings, explore, resume
path, workers = Path(sys.argv[1]), int(sys.argv[2])
settings = Settings(step=StepSettings(gamma=600.0), seed=1)
if path.exists():
    events = resume(path, workers=workers)
else:
    events = explore(HCN, HCN_START, settings, path, workers=workers)
for event in events:
    print(type(event).__name__, flush=True)
"""


def program(path: Path, workers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # A shell's background job ignores interrupts, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def gone(pids: list[int]) -> bool:
    """Whether all of these processes end within a while."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        states = []
        for pid in pids:
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            states.append(stat.rsplit(")", 1)[1].split()[0])
        if all(state == "Z" for state in states):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
def test_an_interrupt_leaves_a_run_in_order(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with program(path, 2) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("TaskDone") and path.exists():
                break
        workers = children(process.pid)
        assert len(workers) == 4  # two workers, and what watches over each
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in error
    assert error.count("Traceback") == 1  # the workers said nothing
    assert gone(workers)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run"]
    with open_run(path) as store:
        assert store.summary().complete.stopped_by is StoppedBy.INTERRUPTED
        assert store.summary().complete.anything_left


@pytest.mark.slow
def test_hcn_killed_at_random_with_one_and_two_workers(tmp_path: Path) -> None:
    settings = Settings(step=StepSettings(gamma=600.0), seed=1)
    for _ in explore(HCN, HCN_START, settings, tmp_path / "whole"):
        pass
    rng = np.random.default_rng(3)
    path = tmp_path / "run"
    for kill in range(6):
        with program(path, 1 + kill % 2) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(float(rng.uniform(0.0, 0.8)))
            workers = children(process.pid) if process.poll() is None else []
            process.kill()
        assert gone(workers)
    with program(path, 2) as process:
        _, error = process.communicate()
    assert process.returncode == 0, error
    assert snapshot(path) == snapshot(tmp_path / "whole")


@pytest.mark.slow
def test_a_window_that_changes_nothing_is_not_kept_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Else the summary would say what lies above a window that the run never had.
    settings = dataclasses.replace(SETTINGS, window_kj_mol=80.0)
    list(explore(MOLECULE, structure(0), settings, tmp_path / "run", executor=by(Answering())))
    before = snapshot(tmp_path / "run")
    changes: list[tuple[Changes, str]] = [
        (
            {"window_kj_mol": 60.0},
            "the window stays 80 kJ/mol: nothing is left to try in this run ",
        ),
        (
            {"window_kj_mol": 60.0, "bond_depth": 9},
            "the window stays 80 kJ/mol and the bond depth stays without a limit: nothing ",
        ),
    ]
    for changed, words in changes:
        caplog.clear()
        list(resume(tmp_path / "run", **changed, executor=by(Answering())))
        with open_run(tmp_path / "run") as store:
            assert store.settings.window_kj_mol == 80.0
            assert store.settings.bond_depth is None
        assert snapshot(tmp_path / "run") == before
        (told,) = caplog.messages
        assert told.startswith(words)
        assert told.endswith("; begin a new run with it, which may find more")
    caplog.clear()
    list(resume(tmp_path / "run", window_kj_mol=None, executor=by(Answering())))
    assert caplog.messages == []
    with open_run(tmp_path / "run") as store:
        assert store.settings.window_kj_mol is None
    assert snapshot(tmp_path / "run") != before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("effort", "targets"), [("normal", None), ("thorough", None), ("normal", (0, 1, 2))]
)
@pytest.mark.parametrize("seed", [1, 5])
def test_resumed_after_every_few_trials_a_run_is_the_same(
    tmp_path: Path, seed: int, effort: str, targets: tuple[int, ...] | None
) -> None:
    # What comes next must follow from what is written: forces between named atoms of the start,
    # random displacements, then further attempts in the midst of which a find makes displacements
    # due again.
    terms = 1 if targets is None else 2
    settings = Settings(
        SURFACE, terms=terms, seed=seed, in_flight=5, effort=effort, targets=targets
    )
    start = structure(0)
    list(explore(MOLECULE, start, settings, tmp_path / "whole", executor=by(Answering())))
    events = explore(MOLECULE, start, settings, tmp_path / "cut", executor=by(Answering()))
    while _cut_after_a_few(events):
        events = resume(tmp_path / "cut", executor=by(Answering()))
    whole, cut = snapshot(tmp_path / "whole"), snapshot(tmp_path / "cut")
    assert len(whole["eqs"]) >= 9
    assert whole == cut


class Answering:
    """Does tasks in this process, one after the other."""

    def run(self, tasks: list[Task]) -> Iterator[tuple[int, TaskResult]]:
        """The tasks may grow as answers come in."""
        index = 0
        while index < len(tasks):
            yield index, answer(tasks[index])
            index += 1

    def close(self) -> None:
        """Nothing to close."""


def _cut_after_a_few(events: Iterator[Event]) -> bool:
    """Stop listening after a few trials; False if the run ended before."""
    commits = 0
    for event in events:
        commits += isinstance(event, Progress)
        if commits > 12:
            events.close()  # type: ignore[attr-defined]
            return True
    return False
