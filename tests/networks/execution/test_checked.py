"""Executors of others: what they do and answer wrongly is one sentence, and nothing is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import snapshot
from toyworld import MOLECULE, SETTINGS, ToyBench, by, structure, toy

from afir.errors import AfirError, StoppedError
from afir.stationary import Confirmation, Outcome, Sameness, StationaryPoint, TrialResult
from networks import explore, open_run, resume
from networks.execution.context import Bench
from networks.execution.local import SerialExecutor
from networks.execution.tasks import Task, TaskResult
from networks.exploration.executors import Hands
from networks.storage.run_file import RunFile

Answers = Iterator[tuple[int, TaskResult]]


def _replaced(right: Answers, **fields: Any) -> Answers:
    """The right answers with something else in some fields."""
    return ((index, replace(result, **fields)) for index, result in right)


FAULTS: dict[str, tuple[Callable[[Answers], Any], str]] = {
    "none": (lambda right: None, "yield the results of its tasks, got NoneType"),
    "drops one": (
        lambda right: islice(right, 1, None),
        r"do every task, got no result for 1 of \d+",
    ),
    "ends early": (lambda right: islice(right, 2), r"do every task, got no result for \d+ of \d+"),
    "beyond": (
        lambda right: ((index + 1000, result) for index, result in right),
        r"yield indices of tasks, 0 to \d+, got 1000",
    ),
    "negative": (
        lambda right: ((index - 1, result) for index, result in right),
        r"yield indices of tasks, 0 to \d+, got -1",
    ),
    "text": (
        lambda right: ((str(index), result) for index, result in right),
        r"yield indices of tasks, 0 to \d+, got '0'",
    ),
    "twice": (
        lambda right: (answer for answer in right for _ in range(2)),
        "yield one result for each task, got another for task 0",
    ),
    "no result": (
        lambda right: ((index, None) for index, _ in right),
        "yield a `TaskResult` for task 0, got None",
    ),
    "values": (
        lambda right: ((index, result.value) for index, result in right),
        "yield a `TaskResult` for task 0, got TrialResult",
    ),
    "a text as value": (
        partial(_replaced, value="x"),
        "yield a value that is a `TrialResult` for task 0, got 'x'",
    ),
    "a value of another task": (
        partial(_replaced, value=Sameness(None, None)),
        r"yield a value that is a `TrialResult` for task 0, got Sameness\(",
    ),
    "value and outcome": (
        partial(_replaced, outcome=Outcome.TIMED_OUT),
        r"yield either a value or an outcome for task 0, got \(TrialResult\(",
    ),
    "neither": (
        partial(_replaced, value=None),
        r"yield either a value or an outcome for task 0, got \(None, None\)",
    ),
    "an outcome in words": (
        partial(_replaced, value=None, outcome="lost"),
        "yield an `Outcome` for task 0, got 'lost'",
    ),
    "no error text": (
        partial(_replaced, value=None, outcome=Outcome.TIMED_OUT, error=None),
        "yield an `error` that is a text for task 0, got None",
    ),
    **{
        f"gradients {said}": (
            partial(_replaced, gradients=gradients),
            rf"yield `gradients` .* by name for task 0, got {said}",
        )
        for gradients, said in (
            ({"a": "b"}, r"\{'a': 'b'\}"),
            ({"a": -1}, r"\{'a': -1\}"),
            ({"a": np.int64(1)}, r"\{'a': np.int64\(1\)\}"),
            ({"a": 2**63}, r"\{'a': 9"),
            ({1: 1}, r"\{1: 1\}"),
            (None, "None"),
        )
    },
    **{
        f"seconds {seconds}": (
            partial(_replaced, cpu_seconds=seconds),
            rf"yield `cpu_seconds` of 0 or more for task 0, got {seconds}",
        )
        for seconds in (None, -1.0, float("nan"), float("inf"), True)
    },
    "frames": (
        partial(_replaced, frames=()),
        r"yield `frames` that are `Frames` or None for task 0, got \(\)",
    ),
    "a number too large to be written": (
        lambda right: ((10**5000, result) for _, result in right),
        "yield indices of tasks, 0 to [0-9]+, got a very large int",
    ),
    "no pairs": (
        lambda right: (result for _, result in right),
        r"yield pairs of an index and a `TaskResult`, got TaskResult",
    ),
}


@dataclass
class Faulty:
    """An executor that does the tasks of the start right, and answers wrongly after that."""

    fault: Callable[[Answers], Any]
    right: SerialExecutor = field(default_factory=lambda: SerialExecutor(ToyBench()))
    calls: int = 0

    def run(self, tasks: Sequence[Task]) -> Any:
        """See `networks.execution.base.Executor`."""
        self.calls += 1
        answers = self.right.run(tasks)
        return answers if self.calls == 1 else self.fault(answers)

    def close(self) -> None:
        """Nothing is held."""


SHORT = replace(SETTINGS, max_trials=10, in_flight=5)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run in the made-up world comes to."""
    path = tmp_path_factory.mktemp("toy") / "run"
    list(explore(MOLECULE, structure(0), SHORT, path, executor=toy))
    return snapshot(path)


@pytest.mark.parametrize("how", FAULTS)
def test_what_an_executor_answers_wrongly_is_one_sentence_and_nothing_is_lost(
    how: str, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    fault, words = FAULTS[how]
    path = tmp_path / "run"
    with pytest.raises(AfirError, match=f"^the executor Faulty must {words}.*; correct it$"):
        list(explore(MOLECULE, structure(0), SHORT, path, executor=by(Faulty(fault))))
    list(resume(path, executor=toy))
    assert snapshot(path) == undisturbed


def test_an_executor_may_count_with_numbers_of_numpy(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    counted = Faulty(lambda right: ((np.int64(index), result) for index, result in right))
    list(explore(MOLECULE, structure(0), SHORT, tmp_path / "run", executor=by(counted)))
    assert snapshot(tmp_path / "run") == undisturbed


def test_gradients_may_be_any_table(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    tables = Faulty(lambda right: ((i, replace(r, gradients=dict(r.gradients))) for i, r in right))
    list(explore(MOLECULE, structure(0), SHORT, tmp_path / "run", executor=by(tables)))
    assert snapshot(tmp_path / "run") == undisturbed


def _failing(right: Answers, error: Exception) -> Answers:
    """The first answers, and then an exception."""
    yield from islice(right, 2)
    raise error


def _raising(right: Answers, error: Exception) -> Answers:
    raise error


@pytest.mark.parametrize(
    "error",
    [RuntimeError("node gone"), OSError("node gone"), TimeoutError("node gone"), KeyError("gone")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("fault", [_failing, _raising])
def test_an_executor_that_raises_is_named_and_nothing_is_lost(
    fault: Callable[..., Any], error: Exception, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    path = tmp_path / "run"
    words = f"^the executor Faulty failed while doing tasks: {type(error).__name__}: .*gone"
    faulty = Faulty(partial(fault, error=error))
    with pytest.raises(StoppedError, match=words):
        list(explore(MOLECULE, structure(0), SHORT, path, executor=by(faulty)))
    list(resume(path, executor=toy))
    assert snapshot(path) == undisturbed


def test_a_run_that_loses_its_executor_at_once_can_be_resumed(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    path = tmp_path / "run"
    gone = Faulty(partial(_raising, error=OSError("node gone")), calls=1)
    with pytest.raises(StoppedError, match="node gone"):
        list(explore(MOLECULE, structure(0), SHORT, path, executor=by(gone)))
    list(resume(path, executor=toy))
    assert snapshot(path) == undisturbed


def test_what_is_no_fault_of_the_executor_is_not_called_one(tmp_path: Path) -> None:
    for error in (AfirError("no worker can be reached"), KeyboardInterrupt()):
        faulty = Faulty(partial(_raising, error=error))
        path = tmp_path / type(error).__name__
        with pytest.raises(type(error), match=f"^{error}$"):
            list(explore(MOLECULE, structure(0), SHORT, path, executor=by(faulty)))


def _spoiled(right: Answers, kind: type, spoil: Callable[[Any], Any]) -> Answers:
    """The right answers, but something else in the first value of a class that has it."""
    done = False
    for index, result in right:
        if not done and isinstance(result.value, kind):
            with suppress(IndexError):
                result = replace(result, value=spoil(result.value))
                done = True
        yield index, result


SPOILED: dict[str, tuple[type, Callable[[Any], Any], str]] = {
    "energy": (
        TrialResult,
        lambda value: replace(
            value, candidates=(replace(value.candidates[0], energy=float("nan")),)
        ),
        "Push wrongly: `candidates[0].energy` must be a finite number, got nan",
    ),
    "atoms": (
        TrialResult,
        lambda value: replace(
            value, minima=(replace(value.minima[0], positions=structure(0)[:3]),)
        ),
        "Push wrongly: `minima[0].positions` must have the shape (4, 3), got (3, 3)",
    ),
    "positions": (
        StationaryPoint,
        lambda value: replace(value, positions=value.positions * np.inf),
        "Characterise wrongly: `positions` must be finite, got NaN or infinite numbers",
    ),
    "saddle": (
        StationaryPoint,
        lambda value: replace(value, order=1),
        "Characterise wrongly: `order` must be 0, got 1",
    ),
    "end": (
        Confirmation,
        lambda value: replace(value, ends=(value.ends[0],)),
        "Confirm wrongly: `ends` must be two or none, got 1",
    ),
    "proof": (
        Confirmation,
        lambda value: replace(value, outcome=Outcome.CONVERGED),
        "Confirm wrongly: `point` must be one of the known transition states, got another",
    ),
}


@pytest.mark.parametrize("what", SPOILED)
def test_numbers_that_cannot_be_an_answer_cost_one_trial(what: str, tmp_path: Path) -> None:
    kind, spoil, words = SPOILED[what]
    path = tmp_path / "run"
    faulty = Faulty(partial(_spoiled, kind=kind, spoil=spoil))
    list(explore(MOLECULE, structure(0), replace(SHORT, max_trials=30), path, executor=by(faulty)))
    with open_run(path) as store:
        trials, dismissed = list(store.trials()), list(store.dismissed())
        network = store.load_network()
    said = [trial.error for trial in trials if trial.outcome is Outcome.SEARCH_FAILED]
    said += [record.reason for record in dismissed if record.outcome is Outcome.SEARCH_FAILED]
    assert said == [f"the executor Faulty answered the task {words}"]
    assert len(trials) == 30
    for point in (*network.eqs.values(), *network.tss.values()):
        assert np.isfinite(point.energy)
        assert point.positions.shape == (4, 3)
        assert np.isfinite(point.positions).all()


@dataclass
class Stuck(Faulty):
    """An executor that cannot be closed, nor moved to another surface."""

    fault: Callable[[Answers], Any] = lambda right: right
    moves: Callable[[], Any] = list

    def close(self) -> None:
        """See `networks.execution.base.Executor`."""
        raise RuntimeError("no way back")

    def moved(self, bench: Bench) -> Any:
        """See `networks.execution.base.Movable`."""
        return self.moves()


def test_an_executor_that_cannot_be_closed_is_named_and_the_run_is_whole(
    tmp_path: Path, undisturbed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    words = "the executor Stuck failed while closing: RuntimeError: no way back"
    with caplog.at_level(logging.WARNING):
        list(explore(MOLECULE, structure(0), SHORT, tmp_path / "run", executor=by(Stuck())))
        assert snapshot(tmp_path / "run") == undisturbed
        stuck = Stuck(lambda right: iter([3]))
        with pytest.raises(AfirError, match="got 3"):
            list(explore(MOLECULE, structure(0), SHORT, tmp_path / "two", executor=by(stuck)))
    assert caplog.messages == [words, words]


def test_an_executor_that_cannot_move_is_named(tmp_path: Path) -> None:
    def broken() -> None:
        raise OSError("no way")

    store = RunFile.create(tmp_path / "run", MOLECULE, structure(0), SHORT)
    for moves, words in (
        (broken, "failed while moving to another surface: OSError: no way$"),
        (list, "must be `moved` to one with `run` and `close`, got list; correct it$"),
    ):
        hands = Hands(store, by(Stuck(moves=moves)))
        hands.on("gfn2", {}, sampling=False)
        with pytest.raises(AfirError, match=f"^the executor Stuck {words}"):
            hands.on("gaussian:1.model", {}, sampling=False)
    store.close()
