from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from runs import HCN, HCN_START, snapshot
from toyworld import (
    COMPLEX_STATE,
    ENERGIES,
    LATE,
    MOLECULE,
    SETTINGS,
    Shuffled,
    ToyBench,
    answer,
    by,
    energy,
    structure,
    toy,
)

from afir.errors import AfirError, InputError
from afir.geometry.bonds import bonds, bonds_changed
from afir.methods.artificial_force import ForceTerm
from afir.methods.base import Offer
from afir.searches.settings import StepSettings
from afir.stationary import Outcome
from afir.units import HARTREE, KJ_PER_MOL
from networks import Settings, explore, open_run, resume
from networks.execution.processes import ProcessExecutor
from networks.execution.tasks import Characterise, Label, Labelled, Push, Task, TaskResult
from networks.exploration.events import (
    Event,
    Found,
    Opened,
    Progress,
    Stopped,
    TaskDone,
    TrialDone,
)
from networks.records.runs import Complete, StoppedBy
from networks.records.structures import EQ
from networks.records.trials import Trial
from networks.scheduling.offers import KICKS, Mixture


def run(path: Path, settings: Settings = SETTINGS) -> list[Event]:
    return list(explore(MOLECULE, structure(0), settings, path, executor=toy))


def stop(events: list[Event]) -> Stopped:
    last = events[-1]
    assert isinstance(last, Stopped)
    return last


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy world explored to its end."""
    path = tmp_path_factory.mktemp("whole") / "run"
    assert stop(run(path)) == Stopped(StoppedBy.NOTHING_LEFT, False)
    return path


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


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_answers_changes_nothing(whole: Path, tmp_path: Path, seed: int) -> None:
    executor = Shuffled(np.random.default_rng(seed))
    list(explore(MOLECULE, structure(0), SETTINGS, tmp_path / "run", executor=by(executor)))
    assert snapshot(tmp_path / "run") == snapshot(whole)


def test_two_workers_find_what_one_finds(whole: Path, tmp_path: Path) -> None:
    with ProcessExecutor(ToyBench(), 2) as executor:
        list(explore(MOLECULE, structure(0), SETTINGS, tmp_path / "run", executor=by(executor)))
    assert snapshot(tmp_path / "run") == snapshot(whole)


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
    run(tmp_path / "run", LATE)
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


def test_one_attempt_is_enough_when_it_is_asked_for(whole: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", replace(SETTINGS, attempts=1, gamma_max=SETTINGS.step.gamma))
    with open_run(tmp_path / "run") as store, open_run(whole) as other:
        once, thrice = list(store.trials()), list(other.trials())
    assert len({(trial.eq, trial.offered.text) for trial in once}) == len(once) < len(thrice)


def test_another_seed_tries_other_things(whole: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", replace(SETTINGS, seed=6, policy="stochastic"))
    assert snapshot(tmp_path / "run")["trials"] != snapshot(whole)["trials"]


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


# -- limits --------------------------------------------------------------------------------------


def test_the_trial_limit_is_kept_exactly(tmp_path: Path) -> None:
    path = tmp_path / "run"
    events = run(path, replace(SETTINGS, max_trials=7))
    assert stop(events) == Stopped(StoppedBy.TRIALS, True)
    assert sum(isinstance(event, TrialDone) for event in events) == 7
    with open_run(path) as store:
        complete = store.summary().complete
        assert complete.anything_left
        assert complete.stopped_by is StoppedBy.TRIALS


def test_a_limit_of_none_at_all_still_gives_the_start(tmp_path: Path) -> None:
    events = run(tmp_path / "run", replace(SETTINGS, max_trials=0))
    assert [type(event).__name__ for event in events[-2:]] == ["Progress", "Stopped"]
    assert snapshot(tmp_path / "run")["eqs"][0][0] == "EQ0"


def test_the_gradient_limit_is_hardly_passed(tmp_path: Path) -> None:
    events = run(tmp_path / "run", replace(SETTINGS, max_gradients=500))
    assert stop(events).reason is StoppedBy.GRADIENTS
    spent = [event.gradients for event in events if isinstance(event, Progress)][-1]
    each = max(sum(e.trial.gradients.values()) for e in events if isinstance(e, TrialDone))
    assert 500 <= spent < 500 + 2 * each


def test_the_time_limit_stops(tmp_path: Path) -> None:
    events = run(tmp_path / "run", replace(SETTINGS, max_seconds=1e-6))
    assert stop(events) == Stopped(StoppedBy.SECONDS, True)


def test_patience_runs_out(tmp_path: Path) -> None:
    events = run(tmp_path / "run", replace(SETTINGS, patience=1))
    assert stop(events).reason is StoppedBy.PATIENCE
    last = [event.trial for event in events if isinstance(event, TrialDone)][-1]
    assert not last.found


def test_the_wanted_product_stops(tmp_path: Path) -> None:
    wanted = tuple(tuple(float(x) for x in row) for row in -structure(5))
    events = run(tmp_path / "run", replace(SETTINGS, wanted=wanted))
    assert stop(events) == Stopped(StoppedBy.WANTED, True)
    found = [event.record for event in events if isinstance(event, Found)]
    assert any(isinstance(r, EQ) and abs(r.energy - energy(5)) < 1e-6 for r in found)
    # The run file remembers: resumed, it stops at once.
    again = list(resume(tmp_path / "run", executor=toy))
    assert stop(again).reason is StoppedBy.WANTED
    assert not any(isinstance(event, TrialDone) for event in again)


def test_only_eqs_below_the_window_are_expanded(tmp_path: Path) -> None:
    window = 60.0
    run(tmp_path / "run", replace(SETTINGS, window_kj_mol=window))
    with open_run(tmp_path / "run") as store:
        eqs = store.load_network().eqs
        ceiling = eqs["EQ0"].energy + window * KJ_PER_MOL
        pushed = {trial.eq for trial in store.trials()}
        low = {id for id, eq in eqs.items() if eq.energy <= ceiling and not eq.flags}
        assert pushed == low
        assert pushed != set(eqs)
    # A wider window opens what was closed.
    events = list(resume(tmp_path / "run", window_kj_mol=None, executor=toy))
    assert any(isinstance(event, TrialDone) for event in events)
    assert stop(events) == Stopped(StoppedBy.NOTHING_LEFT, False)


def test_only_eqs_within_the_bond_depth_are_expanded(tmp_path: Path) -> None:
    run(tmp_path / "run", replace(SETTINGS, bond_depth=2))
    with open_run(tmp_path / "run") as store:
        eqs = store.load_network().eqs
        start = bonds(MOLECULE, eqs["EQ0"].positions)
        near = {
            id
            for id, eq in eqs.items()
            if bonds_changed(start, bonds(MOLECULE, eq.positions)) <= 2 and not eq.flags
        }
        assert {trial.eq for trial in store.trials()} == near
        assert near != set(eqs)


def test_complexes_are_expanded_when_asked_or_given(tmp_path: Path) -> None:
    run(tmp_path / "asked", replace(SETTINGS, expand_complexes=True))
    with open_run(tmp_path / "asked") as store:
        assert {trial.eq for trial in store.trials()} == set(store.load_network().eqs)
    start, limits = structure(COMPLEX_STATE), replace(SETTINGS, max_trials=3)
    list(explore(MOLECULE, start, limits, tmp_path / "given", executor=toy))
    with open_run(tmp_path / "given") as store:
        assert store.load_network().eqs["EQ0"].flags == ("complex",)
        assert "EQ0" in {trial.eq for trial in store.trials()}


def test_pushes_name_target_atoms(tmp_path: Path) -> None:
    run(tmp_path / "run", replace(SETTINGS, targets=(3,), max_trials=40))
    with open_run(tmp_path / "run") as store:
        plain = [force for trial in store.trials() for force in trial.offered.forces]
    forces = [*map(ForceTerm.from_plain, plain)]
    assert len(forces) > 10
    assert all(3 in term.a + term.b for term in forces)


def test_single_forces_between_named_atoms_of_the_start_come_first(tmp_path: Path) -> None:
    run(tmp_path / "run", replace(SETTINGS, terms=2, targets=(0, 1, 2), max_trials=20))
    with open_run(tmp_path / "run") as store:
        tried = [(trial.eq, len(trial.offered.forces)) for trial in store.trials()]
    named = 3
    assert tried[:named] == [("EQ0", 1)] * named
    assert ("EQ0", 1) not in tried[named:]
    assert len(tried) == 20


def test_pairs_of_forces_wait_where_several_atoms_are_named(tmp_path: Path) -> None:
    run(tmp_path / "run", replace(SETTINGS, terms=2, targets=(0, 1, 2)))
    with open_run(tmp_path / "run") as store:
        first = {(trial.eq, trial.offered.text): trial.offered for trial in store.trials()}
    paired: set[str] = set()
    for (eq, _), offer in first.items():
        if len(offer.forces) > 1:
            paired.add(eq)
        else:
            assert eq not in paired
    assert len(paired) > 3


def test_who_names_all_atoms_names_none(tmp_path: Path) -> None:
    few = replace(SETTINGS, max_trials=20)
    run(tmp_path / "all", replace(few, targets=(0, 1, 2, 3)))
    run(tmp_path / "none", few)
    assert snapshot(tmp_path / "all") == snapshot(tmp_path / "none")


# -- misuse and failure --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"policy": "greedy"}, "`policy` must be"),
        ({"targets": (9,)}, "target atoms must"),
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


# -- a real surface ------------------------------------------------------------------------------


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
