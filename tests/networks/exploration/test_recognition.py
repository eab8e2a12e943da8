"""Runs whose searches end at known structures: the same network, whoever does the tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from runs import H2CO, HCN, HCN_START, SHORT, commits, snapshot

from afir.errors import InputError
from afir.io.structures import read_structure
from afir.searches.settings import StepSettings
from networks import Settings, explore, open_run, resume
from networks.execution.context import Bench
from networks.execution.local import BatchedExecutor
from networks.execution.tasks import Characterise, Confirm, Push, Task, TaskResult

SETTINGS = replace(SHORT, max_trials=30, in_flight=4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of formaldehyde that was not disturbed."""
    path = tmp_path_factory.mktemp("recognition") / "run"
    for _ in explore(*read_structure(H2CO), SETTINGS, path):
        pass
    return path


@dataclass
class Listening:
    """An executor that keeps what it was asked for."""

    bench: Bench
    asked: list[Task] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._executor = BatchedExecutor(self.bench)

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """See `networks.execution.base.Executor.run`."""
        for index, result in self._executor.run(tasks):
            self.asked.append(tasks[index])
            yield index, result

    def close(self) -> None:
        """Nothing to release."""


def heard(path: Path, settings: Settings) -> list[Task]:
    """The tasks of a run of HCN."""
    made: list[Listening] = []

    def make(bench: Bench) -> Listening:
        made.append(Listening(bench))
        return made[-1]

    for _ in explore(HCN, HCN_START, settings, path, executor=make):
        pass
    return [task for each in made for task in each.asked]


@pytest.mark.slow
def test_two_workers_find_the_same(whole: Path, tmp_path: Path) -> None:
    for _ in explore(*read_structure(H2CO), SETTINGS, tmp_path / "run", workers=2):
        pass
    assert snapshot(tmp_path / "run") == snapshot(whole)


@pytest.mark.slow
def test_a_run_that_is_interrupted_again_and_again_finds_the_same(
    whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    events = explore(*read_structure(H2CO), SETTINGS, path)
    done = []
    for _ in range(11):
        for _, _ in zip(range(4), commits(events), strict=False):
            pass
        events.close()
        with open_run(path) as store:
            done.append(len(list(store.trials())))
        events = resume(path)
    for _ in events:
        pass
    assert sum(0 < count < SETTINGS.max_trials for count in set(done)) >= 3
    assert snapshot(path) == snapshot(whole)


@pytest.mark.slow
def test_the_same_transition_states_are_found_without_recognition(tmp_path: Path) -> None:
    # A policy that learns from gradients would choose other trials.
    settings = replace(SETTINGS, policy="exhaustive")
    found = []
    for told in (True, False):
        path, step = tmp_path / str(told), replace(settings.step, recognise=told)
        for _ in explore(*read_structure(H2CO), replace(settings, step=step), path):
            pass
        with open_run(path) as store:
            energies = [ts.energy for ts in store.load_network().tss.values()]
            met = [trial.met for trial in store.trials()]
            found.append((energies, met, store.gradients()))
    (told_energies, told_met, few), (energies, met, many) = found
    assert len(energies) >= 3
    assert told_energies == pytest.approx(energies, abs=1e-4)
    assert told_met == met
    assert few < many


def test_tasks_are_told_of_what_was_known_when_their_trial_was_planned(tmp_path: Path) -> None:
    settings = Settings(max_trials=10, in_flight=2)
    tasks = heard(tmp_path / "run", settings)
    with open_run(tmp_path / "run") as store:
        network, trials = store.load_network(), list(store.trials())
    new: Counter[str] = Counter()
    for trial in trials:
        new.update({(trial.number, id.kind): 1 for id in trial.found})
    started = len(network.eqs) - sum(n for (_, kind), n in new.items() if kind == "EQ")
    pushes = sorted(
        (task for task in tasks if isinstance(task, Push)), key=lambda task: task.seed[-2:]
    )
    by_seed = {task.seed: task for task in pushes}
    grown = 0
    for trial in trials:
        known = by_seed[trial.seed].recognised
        assert known is not None
        for points, kind, first in ((known.minima, "EQ", started), (known.saddles, "TS", 0)):
            before = [n for (number, what), n in new.items() if what == kind]
            count = first + sum(
                n for (number, what), n in new.items() if what == kind and number <= trial.known
            )
            nodes = list((network.eqs if kind == "EQ" else network.tss).values())
            assert [point.energy for point in points] == [node.energy for node in nodes[:count]]
            grown += count > first and bool(before)
    assert grown
    confirmed = [task for task in tasks if isinstance(task, Confirm)]
    assert confirmed
    assert all(task.recognised is not None for task in confirmed)
    assert all(not task.recognised.saddles for task in confirmed if task.recognised)


@pytest.mark.parametrize("off", ["recognise", "reference"])
def test_tasks_are_told_nothing_without_recognition_or_with_a_reference(
    tmp_path: Path, off: str
) -> None:
    settings = Settings(max_trials=2, in_flight=2)
    if off == "recognise":
        settings = replace(settings, step=StepSettings(recognise=False))
    else:
        settings = replace(settings, reference="gfn1")
    tasks = heard(tmp_path / "run", settings)
    assert any(isinstance(task, Push) for task in tasks)
    assert any(isinstance(task, Characterise) for task in tasks)
    for task in tasks:
        if isinstance(task, Push | Confirm):
            assert task.recognised is None


def test_a_run_of_before_has_the_defaults() -> None:
    """Its file has no word of what came later."""
    stored = Settings().to_dict()
    for name in ("recognise", "recognise_behind", "drift_steps"):
        del stored["step"][name]
    assert Settings.from_dict(stored) == Settings()
    for name in ("recognise", "recognise_behind"):
        with pytest.raises(InputError, match=f"`{name}` must be true or false, got 1"):
            StepSettings(**{name: 1})
