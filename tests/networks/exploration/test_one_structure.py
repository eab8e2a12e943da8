"""Structures that a turn without a barrier connects are one node."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from played import Played
from rotorworld import MOLECULE, SETTINGS, TOPS, RotorBench, answer, butyne, refined, rough
from rotorworld import answer as answered
from runs import snapshot
from toyworld import Shuffled, by

from afir.geometry.naming import names
from afir.stationary import (
    Candidate,
    Confirmation,
    Minimum,
    Outcome,
    Sameness,
    StationaryPoint,
    TrialResult,
)
from afir.units import KJ_PER_MOL
from networks import explore, resume
from networks.execution.base import Executor
from networks.execution.context import Bench
from networks.execution.local import SerialExecutor
from networks.execution.tasks import Compare, Confirm, Task, TaskResult
from networks.exploration.events import Event, Stopped, TaskDone
from networks.graph.routes import lowest_route
from networks.records.runs import StoppedBy
from networks.reporting.run import load_run
from networks.storage.codec import decode, encode


def played_from(start: StationaryPoint) -> Played:
    """Trials of made-up pushes of a structure."""
    return Played(MOLECULE, start, answered)


def met(*minima: Minimum) -> TrialResult:
    """A push that led to these."""
    return TrialResult(Outcome.NO_SADDLE, (), minima, True)


def test_turned_methyl_groups_are_one_node_and_proven_once() -> None:
    played = played_from(refined("2-butyne", 0.0))
    turned = [met(rough("2-butyne", degrees)) for degrees in (20.0, 40.0, 60.0)]
    found = played.together(*turned)
    assert sorted(found.phases) == ["characterise"] * 3 + ["compare"] * 3
    assert not found.eqs
    assert list(played.network.eqs) == ["EQ0"]
    assert {(d.outcome, d.reason, d.node) for d in found.dismissed} == {
        (Outcome.CONVERGED, "it is EQ0", "EQ0")
    }
    assert [trial.gradients["same structure"] for trial in found.trials] == [3, 3, 3]
    # They are known now.
    found = played.together(*turned)
    assert found.asked == []
    assert not found.dismissed


def test_two_that_are_new_in_flight_together_are_one_node_whatever_comes_first() -> None:
    dismissed = []
    for backwards in (False, True):
        played = played_from(refined("butadiene"))
        turned = [met(rough("2-butyne", degrees)) for degrees in (0.0, 20.0, 40.0)]
        found = played.together(*turned, backwards=backwards)
        assert sorted(found.phases) == ["characterise"] * 3 + ["compare"] * 2
        assert [eq.id for eq in found.eqs] == ["EQ1"]
        assert [trial.found for trial in found.trials] == [("EQ1",), (), ()]
        dismissed.append([(d.energy, d.node, d.trial) for d in found.dismissed])
    assert dismissed[0] == dismissed[1]


def test_what_is_stiff_or_differs_in_energy_is_not_compared() -> None:
    played = played_from(refined("2-butyne", 0.0))
    found = played.together(met(rough("butadiene")), met(rough("1-butyne")))
    assert found.phases == ["characterise"] * 2
    assert len(found.eqs) == 2
    stiff = played_from(replace(refined("2-butyne", 0.0), wavenumbers=np.linspace(90, 3000, 24)))
    point = rough("2-butyne", 40.0)
    # One of both is soft.
    assert stiff.together(met(point)).phases == ["characterise", "compare"]
    higher = replace(refined("2-butyne", 0.0), energy=point.energy + 0.4 * KJ_PER_MOL)
    assert played_from(higher).together(met(point)).phases == ["characterise"]


def test_what_is_not_proven_stays_a_node() -> None:
    def answer(task: Task) -> TaskResult:
        if isinstance(task, Compare):
            return TaskResult(None, Outcome.SURFACE_FAILED, "no", Counter(), 0.0)
        return answered(task)

    played = Played(MOLECULE, refined("2-butyne", 0.0), answer)
    found = played.together(met(rough("2-butyne", 40.0)))
    assert found.phases == ["characterise", "compare", "again"]  # is the surface dead?
    assert [eq.id for eq in found.eqs] == ["EQ1"]


@pytest.mark.parametrize(("height", "kept"), [(0.1, 0), (0.5, 1)])
def test_a_saddle_point_on_a_flat_turn_is_no_transition_state(height: float, kept: int) -> None:
    """Both ends are EQ0, and it is hardly higher."""
    start = rough("2-butyne", 0.0)

    def answer(task: Task) -> TaskResult:
        assert isinstance(task, Confirm)
        value = answered(task).value
        assert isinstance(value, Confirmation)
        return TaskResult(replace(value, ends=(start, start)), None, "", Counter(), 0.0)

    played = Played(MOLECULE, refined("2-butyne", 0.0), answer)
    candidate = _saddle(played.start, height)
    found = played.together(TrialResult(Outcome.FOUND, (candidate,), (), True))
    assert found.phases == ["confirm"]
    assert len(found.tss) == kept
    if not kept:
        assert [d.reason for d in found.dismissed] == ["it lies on a flat turn of EQ0"]
        assert found.dismissed[0].node == "EQ0"


def _saddle(start: StationaryPoint, height: float) -> Candidate:
    """A candidate so many kJ/mol above the start."""
    x = refined("2-butyne", 30.0).positions * (1.0 + 0.1 * height)
    return Candidate(x, start.energy + height * KJ_PER_MOL, np.eye(30), "path")


def test_the_answer_to_a_comparison_can_be_kept() -> None:
    task = Compare(refined("2-butyne", 40.0), (refined("butadiene"), refined("2-butyne", 0.0)))
    value = answered(task).value
    assert value is not None
    assert decode(*encode(value)) == value
    assert value.number == 1  # type: ignore[union-attr]


def test_with_a_reference_it_is_asked_at_three_points() -> None:
    perform = Bench(MOLECULE, "gfn1", reference="gfn2").open()
    result = perform(Compare(refined("2-butyne", 40.0), (refined("2-butyne", 0.0),)))
    assert isinstance(result.value, Sameness)
    assert result.value.number == 0
    assert result.gradients == {"same structure": 5, "reference same structure": 3}
    assert result.frames is not None  # labels, for those who learn


def run(path: Path, executor: Executor, **changes: object) -> list[Event]:
    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    return list(explore(MOLECULE, butyne(0.0), settings, path, executor=by(executor)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rotor") / "run.db"
    run(path, SerialExecutor(RotorBench()))
    return path


def test_one_node_and_the_right_barrier(whole: Path) -> None:
    loaded = load_run(whole)
    network = loaded.network
    called = [names(MOLECULE, eq.positions) for eq in network.eqs.values()]
    assert len(called) == len(set(called)) == 3
    butadiene = next(
        id
        for id, eq in network.eqs.items()
        if abs(eq.energy - refined("butadiene").energy) < 1e-3 * KJ_PER_MOL
    )
    route = lowest_route(network, "EQ0", butadiene)
    assert route.nodes == ("EQ0", butadiene)
    assert route.top - network.eqs["EQ0"].energy == pytest.approx(TOPS[0], abs=1e-3)
    assert loaded.summary.gradients["same structure"] % 3 == 0


@pytest.mark.slow
def test_in_any_order_and_cut_anywhere_it_is_the_same(whole: Path, tmp_path: Path) -> None:
    expected = snapshot(whole)
    for seed in (1, 2):
        path = tmp_path / f"shuffled{seed}"
        run(path, Shuffled(np.random.default_rng(seed), answer))
        assert snapshot(path) == expected
    parts = tmp_path / "parts"
    executor = SerialExecutor(RotorBench())
    events = explore(MOLECULE, butyne(0.0), SETTINGS, parts, executor=by(executor))
    for answers in (4, 5, 1, 3, 2, 6):
        done = (event for event in events if isinstance(event, TaskDone))
        for _ in zip(range(answers), done, strict=False):
            pass
        events.close()  # type: ignore[attr-defined]
        events = resume(parts, executor=by(SerialExecutor(RotorBench())))
    for _ in events:
        pass
    assert snapshot(parts) == expected


def test_a_wanted_product_is_found_in_any_position(tmp_path: Path) -> None:
    """Another position of the methyl groups than that in the file is the wanted one, too."""
    path = tmp_path / "run.db"
    wanted = tuple(tuple(float(x) for x in row) for row in butyne(31.0))
    settings = replace(SETTINGS, wanted=wanted, max_trials=None)
    start = refined("butadiene").positions
    events = explore(MOLECULE, start, settings, path, executor=by(SerialExecutor(RotorBench())))
    *_, last = events
    assert isinstance(last, Stopped)
    assert last.reason is StoppedBy.WANTED
    found = load_run(path)
    assert found.wanted is not None
    assert names(MOLECULE, found.network.eqs[found.wanted].positions) == ("CH3–C–C–CH3",)
