"""What ends a run, and what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from runs import run, snapshot, stop
from toyworld import (
    COMPLEX_STATE,
    MOLECULE,
    SETTINGS,
    energy,
    structure,
    toy,
)

from afir.geometry.bonds import bonds, bonds_changed
from afir.methods.artificial_force import ForceTerm
from afir.units import KJ_PER_MOL
from networks import explore, open_run, resume
from networks.exploration.events import (
    Found,
    Progress,
    Stopped,
    TrialDone,
)
from networks.records.runs import StoppedBy
from networks.records.structures import EQ


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
