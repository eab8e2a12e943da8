"""Misuse, surfaces that fail or change, runs that go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from runs import HCN, HCN_START, run, snapshot, stop
from toyworld import (
    MOLECULE,
    SETTINGS,
    Shuffled,
    answer,
    by,
    structure,
    toy,
)

from afir.errors import AfirError, InputError
from afir.methods.base import Offer
from afir.stationary import Outcome, TrialResult
from networks import Settings, explore, open_run, resume
from networks.execution.tasks import Characterise, Label, Labelled, Push, Task, TaskResult
from networks.exploration.events import (
    Opened,
    Stopped,
)
from networks.records.runs import Complete, StoppedBy
from networks.records.structures import EQ
from networks.scheduling.offers import Mixture


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"policy": "greedy"}, "`policy` must be"),
        ({"targets": (9,)}, "`targets` must be from"),
        ({"wanted": ((0.0, 0.0, 0.0),)}, "`wanted` must"),
    ],
)
def test_misuse_is_reported_before_anything_is_written(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    settings = Settings.from_dict({**SETTINGS.to_dict(), **change})
    with pytest.raises(InputError, match=words):
        explore(MOLECULE, structure(0), settings, tmp_path / "run")
    with pytest.raises(InputError, match="`workers` must"):
        explore(MOLECULE, structure(0), SETTINGS, tmp_path / "run", workers=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_surface_that_does_not_exist_leaves_no_file(tmp_path: Path, workers: int) -> None:
    settings = replace(SETTINGS, surface="gfn17")
    events = explore(MOLECULE, structure(0), settings, tmp_path / "run", workers=workers)
    with pytest.raises(InputError, match="`surface` must be one of"):
        list(events)
    assert not list(tmp_path.iterdir())


def test_a_start_that_is_no_minimum_is_explained(tmp_path: Path) -> None:
    with pytest.raises(AfirError, match=r"the start could not be refined.*hole"):
        list(explore(MOLECULE, structure(11), SETTINGS, tmp_path / "run", executor=toy))
    assert not list(tmp_path.iterdir())


def test_too_short_a_time_for_the_start_is_told_with_the_remedy(tmp_path: Path) -> None:
    settings = replace(SETTINGS, surface="gfn2", task_seconds=1e-6)
    words = (
        r"^`task_seconds` must be enough to refine the start, which was aborted after 1e-06 s; "
        "give more$"
    )
    with pytest.raises(InputError, match=words):
        list(explore(HCN, HCN_START, settings, tmp_path / "run"))
    assert not list(tmp_path.iterdir())


@dataclass
class Failing:
    """The toy world, whose surface fails at once when `fails` says so of the number of a push.

    `everywhere`, in all that follows that push too, or for pushes alone.
    """

    fails: Callable[[int], bool]
    everywhere: bool = True
    pushes: int = 0

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """See `networks.execution.base.Executor`."""
        for index, task in enumerate(tasks):
            self.pushes += isinstance(task, Push)
            if (isinstance(task, Push) or self.everywhere) and self.fails(self.pushes):
                spent = Counter({"push": 1})
                yield index, TaskResult(None, Outcome.SURFACE_FAILED, "no licence", spent, 0.0)
            else:
                yield index, answer(task)

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.slow
def test_a_surface_that_has_stopped_working_uses_nothing_up(whole: Path, tmp_path: Path) -> None:
    path, dead = tmp_path / "run", Failing(lambda number: number >= 20)
    events = explore(MOLECULE, structure(0), SETTINGS, path, executor=by(dead))
    words = (
        r"^the surface failed for EQ0 in trial \d+ \(no licence\); nothing of the trials in flight "
        "was kept: fix the surface, then resume the run$"
    )
    with pytest.raises(AfirError, match=words):
        list(events)
    for _ in range(2):
        before = snapshot(path)
        assert before["complete"] == Complete(True, StoppedBy.INTERRUPTED)
        assert 0 < len(before["trials"]) < 20
        assert "no licence" not in {trial.error for trial in before["trials"]}
        with pytest.raises(AfirError, match=words):
            list(resume(path, executor=by(dead)))
        assert snapshot(path) == before
    list(resume(path, executor=toy))
    assert snapshot(path) == snapshot(whole)


@pytest.mark.slow
def test_pushes_that_all_fail_on_a_surface_that_works_are_used_up(tmp_path: Path) -> None:
    hard = Failing(lambda number: 16 <= number < 20, everywhere=False)
    list(explore(MOLECULE, structure(0), SETTINGS, tmp_path / "run", executor=by(hard)))
    after = snapshot(tmp_path / "run")
    assert not after["complete"].anything_left
    failed = [trial for trial in after["trials"] if trial.error == "no licence"]
    assert [trial.number for trial in failed] == [16, 17, 18, 19]
    assert {trial.outcome for trial in failed} == {Outcome.SURFACE_FAILED}
    assert all(trial.gradients == {"push": 1} for trial in failed)
    # EQ0 was asked again when the surface failed, every 16 trials, and at the end.
    with open_run(tmp_path / "run") as store:
        rejected = {d.trial for d in store.dismissed() if d.outcome is Outcome.SURFACE_FAILED}
        failing = {t.number for t in after["trials"] if t.outcome is Outcome.SURFACE_FAILED}
        checks = len(failing | rejected) + -(-len(after["trials"]) // 16)
        each = answer(Label(structure(0))).gradients
        assert store.summary().gradients["label"] == checks * each["label"]


@dataclass
class Changing:
    """The toy world, in which EQ0 has another energy from the n-th time on that it is rechecked."""

    right: int
    asked: int = 0

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """See `networks.execution.base.Executor`."""
        for index, task in enumerate(tasks):
            result = answer(task)
            if isinstance(task, Label) and task.stage == "again":
                self.asked += 1
                if self.asked > self.right and isinstance(result.value, Labelled):
                    other = replace(result.value, energy=result.value.energy + 0.3)
                    result = replace(result, value=other)
            elif isinstance(task, Characterise) and self.asked > self.right:
                result = TaskResult(None, Outcome.SURFACE_FAILED, "other", Counter(), 0.0)
            yield index, result

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.slow
@pytest.mark.parametrize("right", [0, 1, 3])
def test_trials_on_a_surface_that_was_changed_are_dropped_and_repeated(
    whole: Path, tmp_path: Path, right: int
) -> None:
    path = tmp_path / "run"
    events = explore(MOLECULE, structure(0), SETTINGS, path, executor=by(Changing(right)))
    words = (
        r"another energy for EQ0 in trial \d+ than .*\+28\.95 kJ/mol off; nothing since the last"
    )
    with pytest.raises(AfirError, match=words):
        list(events)
    with open_run(path) as store:
        kept, last = list(store.trials()), store.checked
        assert len(kept) == last
        assert all(record.trial <= last for record in store.dismissed())
        found = {id for trial in kept for id in trial.found} | {"EQ0"}
        network = store.load_network()
        assert found == {*network.eqs, *network.tss, *network.dcs}
    list(resume(path, executor=toy))
    assert snapshot(path) == snapshot(whole)


@pytest.mark.slow
@pytest.mark.parametrize("right", [30, 47, 60])
@pytest.mark.parametrize("seed", range(3))
def test_no_trial_of_the_changed_surface_is_kept_whatever_order_answers_come_in(
    whole: Path, tmp_path: Path, seed: int, right: int
) -> None:
    """A recheck may be answered long before the trials that were planned with it."""
    path, count = tmp_path / "run", 0

    def world(task: Task) -> TaskResult:
        nonlocal count
        count += 1
        result = answer(task)
        if count <= right:
            return result
        if isinstance(task, Push):
            return replace(
                result, value=TrialResult(Outcome.NO_BARRIER, (), (), False), outcome=None
            )
        if isinstance(task, Label) and isinstance(result.value, Labelled):
            return replace(result, value=replace(result.value, energy=result.value.energy + 0.3))
        return TaskResult(None, Outcome.SURFACE_FAILED, "other", Counter(), 0.0)

    shuffled = Shuffled(np.random.default_rng(seed), world)
    with pytest.raises(AfirError, match="another energy for EQ0"):
        list(explore(MOLECULE, structure(0), SETTINGS, path, executor=by(shuffled)))
    list(resume(path, executor=toy))
    assert snapshot(path) == snapshot(whole)


@pytest.mark.slow
def test_a_surface_that_fails_now_and_then_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run"
    now_and_then = Failing(lambda number: number % 5 > 0, everywhere=False)
    events = explore(MOLECULE, structure(0), SETTINGS, path, executor=by(now_and_then))
    assert stop(list(events)) == Stopped(StoppedBy.NOTHING_LEFT, False)
    with open_run(path) as store:
        assert "no licence" in {trial.error for trial in store.trials()}


def test_a_finished_run_stays_finished(whole: Path) -> None:
    before = snapshot(whole)
    events = list(resume(whole, executor=toy))
    assert stop(events) == Stopped(StoppedBy.NOTHING_LEFT, False)
    assert isinstance(events[0], Opened)
    assert events[0].trials == len(before["trials"])
    assert snapshot(whole) == before


def test_a_resumed_run_works_out_the_pushes_of_no_eq_but_those_it_pushes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "run", replace(SETTINGS, policy="lowest-energy", max_trials=100))
    with open_run(tmp_path / "run") as store:
        assert len({trial.eq for trial in store.trials()}) >= 5
        done = len(list(store.trials()))
    worked_out: list[str] = []

    offers = Mixture.offers

    def listed(mixture: Mixture, eq: EQ) -> list[Offer]:
        worked_out.append(eq.id)
        return offers(mixture, eq)

    monkeypatch.setattr(Mixture, "offers", listed)
    list(resume(tmp_path / "run", executor=toy))
    # One, to see whether anything is left; what γ an item has is looked up for that one again.
    assert len(worked_out) == 1
    list(resume(tmp_path / "run", max_trials=done + 1, executor=toy))
    assert len(worked_out) <= 3


@pytest.mark.slow
def test_whoever_stops_listening_can_go_on_later(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    events = explore(MOLECULE, structure(0), SETTINGS, path, executor=toy)
    for _ in range(13):
        next(events)
    del events
    for _ in range(2):
        events = resume(path, executor=toy)
        for _ in range(30):
            next(events)
        with pytest.raises(InputError, match="is being written by process"):
            resume(path, executor=toy)
        del events
    list(resume(path, executor=toy))
    assert snapshot(path) == snapshot(whole)


@pytest.mark.slow
def test_limits_can_be_lifted_one_after_the_other(tmp_path: Path) -> None:
    """With one trial in flight at a time nothing depends on where a run was stopped."""
    path, whole = tmp_path / "run", tmp_path / "whole"
    run(whole, replace(SETTINGS, in_flight=1))
    run(path, replace(SETTINGS, in_flight=1, max_trials=5))
    list(resume(path, max_trials=20, executor=toy))
    with open_run(path) as store:
        assert store.settings.max_trials == 20
    list(resume(path, max_trials=None, executor=toy))
    parts, alone = snapshot(path), snapshot(whole)
    # EQ0 is computed once more at the end of each part.
    assert parts.pop("gradients")["label"] > alone.pop("gradients")["label"]
    assert parts == alone
