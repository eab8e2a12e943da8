"""What one round makes of the answers to its questions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from offered import PUSH
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
    TrialResult,
)
from afir.verification.minima import characterise
from networks.execution.context import Bench
from networks.execution.tasks import Characterise, Confirm, Labelled, Push, TaskResult
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.trials import Absorbed, Item, Key, Plan
from networks.rounds.pushes import Round

SADDLE = np.array([[0.717, 0.0, 0.107], [-0.183, 0.0, -0.628], [-0.535, 0.0, 0.522]])


def test_the_end_of_a_proven_path_is_asked_for_though_a_push_that_met_it_was_doubted() -> None:
    """HNC is doubted where a push leads there, and belongs to the network once a path does."""
    perform = Bench(HCN, "gfn2").open()
    surface = load_surface("gfn2", HCN)
    start = solve(characterise(HCN, HCN_START), surface)
    top = solve(saddle(HCN, SADDLE), surface)
    proven = perform(Confirm(Candidate(top.positions, top.energy, top.hessian, "")))
    assert isinstance(proven.value, Confirmation)
    network, dismissals = ReactionNetwork(HCN), Dismissals(HCN)
    network.add_eq(start)
    hnc = next(
        end for end in proven.value.ends if network.find_eq(end.positions, end.energy) is None
    )
    met = TrialResult(Outcome.NO_SADDLE, (), (hnc,), True)
    peak = proven.value.point
    candidate = Candidate(peak.positions, peak.energy, peak.hessian, "")
    climbed = TrialResult(Outcome.FOUND, (candidate,), (), True)

    def played(number: int, *pushed: TrialResult) -> tuple[list[str], Absorbed]:
        items = tuple(Item("EQ0", index) for index in range(len(pushed)))
        tasks = [Push(start, PUSH, None, (index,)) for index in range(len(pushed))]
        stage = Round(Plan(number, None, items), tasks, [0] * len(pushed), network, dismissals)
        asked = []
        questions = []
        for index, value in enumerate(pushed):
            result = TaskResult(value, None, "", Counter(push=1), 0.0)
            questions += stage.take(Key("push", index), result)
        while questions:
            key, task = questions.pop(0)
            asked.append(key.phase)
            answer = perform(task)
            if isinstance(task, Characterise) and not task.is_end:
                answer = TaskResult(None, Outcome.DOUBTED, "doubted", Counter(), 0.0)
            questions += stage.take(key, answer)
        return asked, stage.absorb(network, dismissals, 10 * number)

    # In one round with the push that met it first it has to wait, and is dismissed once.
    asked, found = played(1, met, climbed)
    assert asked == ["characterise", "confirm"]
    assert not found.tss
    assert [record.outcome for record in found.dismissed] == [Outcome.DOUBTED]
    asked, found = played(2, climbed)
    assert asked == ["confirm", "characterise"]
    assert len(found.eqs) == len(found.tss) == 1
    # Now it is known, for pushes too.
    asked, found = played(3, met, climbed)
    assert asked == []
    assert not found.eqs
    assert not found.dismissed


@pytest.mark.parametrize("referenced", [True, False])
def test_channels_far_above_the_window_are_left_alone(referenced: bool) -> None:
    """With 70 kJ/mol more to spare than structures of one piece; without a reference all count."""
    network = ReactionNetwork(HCN)
    surface = load_surface("gfn2", HCN)
    start = solve(characterise(HCN, HCN_START), surface)
    network.add_eq(start)
    apart = HCN_START + np.array([[0.0, 0.0, -6.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    further = HCN_START + np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    none = np.zeros((3, 3))

    def channel(x: Positions, height: float) -> Minimum:
        energy = start.energy + height
        return Minimum(Outcome.DISSOCIATED, x, energy, none, np.eye(9), True)

    plan = Plan(1, start.energy + 5.0, (Item("EQ0", 0), Item("EQ0", 1)))
    tasks = [Push(start, PUSH, plan.ceiling, (0,)), Push(start, PUSH, plan.ceiling, (1,))]
    dismissals = Dismissals(HCN)
    stage = Round(plan, tasks, [1, 0], network, dismissals, referenced=referenced)
    asked = []
    for index, minimum in enumerate((channel(apart, 5.6), channel(further, 5.8))):
        result = TrialResult(Outcome.NO_SADDLE, (), (minimum,), True)
        answer = TaskResult(result, None, "", Counter(push=1), 0.0)
        asked += stage.take(Key("push", index), answer)
    assert [key for key, _ in asked] == ([Key("label", 0)] if referenced else [])
    for key, _ in asked:
        stage.take(key, TaskResult(Labelled(-100.0, none), None, "", Counter(), 0.0))
    absorbed = stage.absorb(network, dismissals, 0)
    assert [dc.id for dc in absorbed.dcs] == (["DC0"] if referenced else ["DC0", "DC1"])
