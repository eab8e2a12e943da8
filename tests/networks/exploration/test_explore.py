from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from runs import HCN, HCN_START, run, snapshot, stop
from toyworld import (
    ENERGIES,
    LATE,
    MOLECULE,
    SETTINGS,
    Shuffled,
    ToyBench,
    answer,
    by,
    structure,
)

from afir.searches.settings import StepSettings
from afir.stationary import Outcome
from afir.units import HARTREE, KJ_PER_MOL
from networks import Settings, explore, open_run
from networks.execution.processes import ProcessExecutor
from networks.execution.tasks import Push, Task, TaskResult
from networks.exploration.events import (
    Found,
    Opened,
    Progress,
    TaskDone,
    TrialDone,
)
from networks.records.runs import StoppedBy
from networks.records.trials import Trial
from networks.scheduling.offers import KICKS


@pytest.mark.slow
def test_everything_is_found_and_tried(whole: Path) -> None:
    with open_run(whole) as store:
        network = store.load_network()
        # The last state is one that can never be refined.
        assert len(network.eqs) == len(ENERGIES) - 1
        plain = {id for id, eq in network.eqs.items() if not eq.flags}
        assert len(plain) == len(network.eqs) - 1
        assert {trial.eq for trial in store.trials()} == plain
        for dc in network.dcs.values():
            leading = [ts for ts in network.tss.values() if dc.id in ts.ends]
            assert dc.no_ts_known is not bool(leading)
        for ts in network.tss.values():
            assert ts.proof["negative_eigenvalues"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_answers_changes_nothing(whole: Path, tmp_path: Path, seed: int) -> None:
    executor = Shuffled(np.random.default_rng(seed))
    list(explore(MOLECULE, structure(0), SETTINGS, tmp_path / "run", executor=by(executor)))
    assert snapshot(tmp_path / "run") == snapshot(whole)


@pytest.mark.slow
def test_two_workers_find_what_one_finds(whole: Path, tmp_path: Path) -> None:
    with ProcessExecutor(ToyBench(), 2) as executor:
        list(explore(MOLECULE, structure(0), SETTINGS, tmp_path / "run", executor=by(executor)))
    assert snapshot(tmp_path / "run") == snapshot(whole)


@pytest.mark.slow
def test_nothing_is_examined_twice(whole: Path, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Recorder:
        pushed: list[tuple[float, str]]

        def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
            for index, task in enumerate(tasks):
                if isinstance(task, Push):
                    self.pushed.append((task.start.energy, task.offer.text))
                yield index, answer(task)

        def close(self) -> None:
            """Nothing is held."""

    recorder = Recorder([])
    list(explore(MOLECULE, structure(0), SETTINGS, tmp_path / "run", executor=by(recorder)))
    with open_run(whole) as store:
        trials = list(store.trials())
    assert len(recorder.pushed) == len(trials)
    # Only what crossed a barrier and led to no saddle point is pushed again.
    firsts = {(trial.eq, trial.offered.text) for trial in trials}
    assert len(set(recorder.pushed)) == len(firsts)
    # Each saddle point is confirmed once, whether it was a transition state or not.
    confirmed = sum(trial.gradients.get("confirm", 0) for trial in trials) // 10
    with open_run(whole) as store:
        rejected = [d for d in store.dismissed() if d.kind == "TS" and d.node is None]
        assert confirmed == len(store.load_network().tss) + len(rejected)


def test_what_crosses_without_a_saddle_point_is_tried_again_when_nothing_new_is_left(
    whole: Path,
) -> None:
    with open_run(whole) as store:
        network, trials = store.load_network(), list(store.trials())
    attempts: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        if trial.push < KICKS:
            attempts.setdefault((trial.eq, trial.offered.text), []).append(trial)
    counts = {
        eq.id: len([key for key in attempts if key[0] == eq.id]) for eq in network.eqs.values()
    }
    effort = SETTINGS.tried
    for (eq, _), row in attempts.items():
        for number, trial in enumerate(row, start=1):
            missed = trial.crossed and trial.outcome is Outcome.NO_SADDLE
            # What crosses nothing is pushed again, too, twice as hard; not what failed.
            ended = not trial.crossed and not trial.error
            harder = ended and 2.0 ** (number - 1) < effort.gamma_factor
            due = harder or (missed and number < effort.attempts)
            assert (number < len(row)) == (due and bool(row[0].offered.forces))
        numbers = [row[0].push + k * counts[eq] for k in range(len(row))]
        assert [trial.push for trial in row] == numbers
        assert len({trial.seed for trial in row}) == len(row)
    assert {len(row) for row in attempts.values()} >= {1, 2}


def test_what_is_found_late_is_pushed_first(tmp_path: Path) -> None:
    # A policy without a model: which push is tried again must not hang on the shipped one.
    run(tmp_path / "run", replace(LATE, policy="lowest-energy"))
    with open_run(tmp_path / "run") as store:
        trials = list(store.trials())
    seen: set[tuple[str, str]] = set()
    again = []
    for trial in trials:
        if (trial.eq, trial.offered.text) in seen:
            again.append(trial)
        seen.add((trial.eq, trial.offered.text))
    (lucky,) = [t for t in again if any(id.startswith("EQ") for id in t.found)]
    (late,) = [id for id in lucky.found if id.startswith("EQ")]
    following = [trial for trial in trials if trial.known >= lucky.number]
    count = len([trial for trial in following if trial.eq == late])
    assert count > 1
    assert {trial.eq for trial in following[:count]} == {late}


@pytest.mark.slow
def test_one_attempt_is_enough_when_it_is_asked_for(whole: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", replace(SETTINGS, attempts=1, gamma_max=SETTINGS.step.gamma))
    with open_run(tmp_path / "run") as store, open_run(whole) as other:
        once, thrice = list(store.trials()), list(other.trials())
    assert len({(trial.eq, trial.offered.text) for trial in once}) == len(once) < len(thrice)


@pytest.mark.slow
def test_another_seed_tries_other_things(whole: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", replace(SETTINGS, seed=6, policy="stochastic"))
    assert snapshot(tmp_path / "run")["trials"] != snapshot(whole)["trials"]


@pytest.mark.slow
def test_events_tell_the_whole_story(tmp_path: Path) -> None:
    events = run(tmp_path / "run")
    assert isinstance(events[0], Opened)
    assert replace(events[0], seconds=0.0) == Opened(0, 0, 0, 0)
    trials = [event.trial for event in events if isinstance(event, TrialDone)]
    assert [trial.number for trial in trials] == list(range(1, len(trials) + 1))
    found = {event.record.id: event.trial for event in events if isinstance(event, Found)}
    assert found.pop("EQ0") is None
    assert found == {id: trial.number for trial in trials for id in trial.found}
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert last.trials == len(trials)
    tasks = [event for event in events if isinstance(event, TaskDone)]
    assert last.gradients == sum(event.gradients for event in tasks)
    assert tasks[-1].open == 0


# -- a real surface ------------------------------------------------------------------------------


@pytest.mark.slow
def test_hcn_isomerises_on_gfn2(tmp_path: Path) -> None:
    settings = Settings(step=StepSettings(gamma=600.0), seed=1)
    one, two = tmp_path / "one", tmp_path / "two"
    assert stop(list(explore(HCN, HCN_START, settings, one))).reason is StoppedBy.NOTHING_LEFT
    list(explore(HCN, HCN_START, settings, two, workers=2))
    assert snapshot(one) == snapshot(two)
    side_by_side = {"executor": "batched", "executor_options": {"width": 3}}
    list(explore(HCN, HCN_START, settings, tmp_path / "three", **side_by_side))
    assert snapshot(one) == snapshot(tmp_path / "three")
    with open_run(one) as store:
        network = store.load_network()
        assert all(trial.cpu_seconds > 0 for trial in store.trials())
    # Brute force on the same surface found HNC at 83.8 and the barrier at 306.4 kJ/mol.
    zero = network.eqs["EQ0"].energy
    minima = [(eq.energy - zero) / KJ_PER_MOL for eq in network.eqs.values()]
    saddles = [(ts.energy - zero) / KJ_PER_MOL for ts in network.tss.values()]
    assert minima == pytest.approx([0.0, 83.8], abs=0.1)
    assert saddles == pytest.approx([306.4], abs=0.1)
    assert set(network.tss["TS0"].ends) == {"EQ0", "EQ1"}
    assert zero < -5.0 * HARTREE
