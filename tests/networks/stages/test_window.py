"""What the trials in flight ask for, and what becomes of the answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from drawn_network import ts
from played import Played
from runs import HCN, HCN_START

from afir.molecule import Positions
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.searches.saddle import saddle
from afir.stationary import (
    Candidate,
    Confirmation,
    Minimum,
    Outcome,
    StationaryPoint,
    TrialResult,
)
from afir.verification.minima import characterise
from networks.execution.context import Bench
from networks.execution.tasks import Characterise, Confirm, Label, Labelled, Task, TaskResult
from networks.records.trials import Key
from networks.stages.comparisons import nearest
from networks.storage.codec import decode, encode

SADDLE = np.array([[0.717, 0.0, 0.107], [-0.183, 0.0, -0.628], [-0.535, 0.0, 0.522]])


def test_the_end_of_a_proven_path_is_asked_for_though_a_push_that_met_it_was_doubted() -> None:
    """HNC is doubted where a push leads there, and belongs to the network once a path does."""
    perform = Bench(HCN, "gfn2").open()
    surface = load_surface("gfn2", HCN)
    start = solve(characterise(HCN, HCN_START), surface)
    top = solve(saddle(HCN, SADDLE), surface)
    proven = perform(Confirm(Candidate(top.positions, top.energy, top.hessian, "")))
    assert isinstance(proven.value, Confirmation)

    def answer(task: Task) -> TaskResult:
        if isinstance(task, Characterise) and not task.is_end:
            return TaskResult(None, Outcome.DOUBTED, "doubted", Counter(), 0.0)
        return perform(task)

    played = Played(HCN, start, answer)
    network = played.network
    hnc = next(
        end for end in proven.value.ends if network.find_eq(end.positions, end.energy) is None
    )
    met = TrialResult(Outcome.NO_SADDLE, (), (hnc,), True)
    peak = proven.value.point
    candidate = Candidate(peak.positions, peak.energy, peak.hessian, "")
    climbed = TrialResult(Outcome.FOUND, (candidate,), (), True)
    # In flight with the push that met it first it has to wait, and is dismissed once.
    found = played.together(met, climbed)
    assert found.phases == ["characterise", "confirm"]
    assert not found.tss
    assert [record.outcome for record in found.dismissed] == [Outcome.DOUBTED]
    found = played.together(climbed)
    assert found.phases == ["confirm", "characterise"]
    assert len(found.eqs) == len(found.tss) == 1
    # Now it is known, for pushes too.
    found = played.together(met, climbed)
    assert found.asked == []
    assert not found.eqs
    assert not found.dismissed


@pytest.mark.parametrize("referenced", [True, False])
def test_channels_far_above_the_window_are_left_alone(referenced: bool) -> None:
    """With 70 kJ/mol more to spare than structures of one piece; without a reference all count."""
    surface = load_surface("gfn2", HCN)
    start = solve(characterise(HCN, HCN_START), surface)
    apart = HCN_START + np.array([[0.0, 0.0, -6.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    further = HCN_START + np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    none = np.zeros((3, 3))

    def channel(x: Positions, height: float) -> TrialResult:
        energy = start.energy + height
        minimum = Minimum(Outcome.DISSOCIATED, x, energy, none, np.eye(9), True)
        return TrialResult(Outcome.NO_SADDLE, (), (minimum,), True)

    def label(task: Task) -> TaskResult:
        assert isinstance(task, Label)
        return TaskResult(Labelled(-100.0, none), None, "", Counter(), 0.0)

    played = Played(HCN, start, label, referenced=referenced, ceiling=start.energy + 5.0)
    found = played.together(channel(apart, 5.6), channel(further, 5.8))
    assert [key for key, _ in found.asked] == ([Key("label", 0)] if referenced else [])
    assert [dc.id for dc in found.dcs] == (["DC0"] if referenced else ["DC0", "DC1"])
    assert found.dcs[0].energy == (-100.0 if referenced else start.energy + 5.6)


def test_known_points_are_asked_for_without_their_paths() -> None:
    """They may come back as the answer, which is stored; a path may be longer than all the rest."""
    highs = (600.0, 100.0, 300.0)
    tss = {f"TS{k}": ts(k, high, "EQ0", "EQ0") for k, high in enumerate(highs)}
    points = nearest(tss, tss["TS2"].energy)
    assert [point.energy for point in points] == [tss[id].energy for id in ("TS2", "TS1", "TS0")]
    for point, id in zip(points, ("TS2", "TS1", "TS0"), strict=True):
        again = decode(*encode(point))
        assert isinstance(again, StationaryPoint)
        assert np.array_equal(again.positions, tss[id].positions)
        assert again.order == 1
        assert set(vars(point)) == {field.name for field in fields(StationaryPoint)}
