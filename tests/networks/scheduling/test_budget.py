"""When a run has used up what its settings allow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toyworld import SETTINGS

from afir.stationary import Outcome
from networks.records.runs import StoppedBy
from networks.records.trials import Absorbed, Trial
from networks.scheduling.budget import Budget


def trial(number: int, *found: str) -> Trial:
    return Trial(
        number=number,
        known=1,
        eq="EQ0",
        push=number,
        method="sc-afir",
        offer={},
        seed=(0,),
        outcome=Outcome.FOUND,
        crossed=True,
        gradients={"push": 100},
        cpu_seconds=0.0,
        found=found,
        pushes_left=0,
    )


def spent(*finds: tuple[str, ...], patience: int) -> StoppedBy | None:
    """What stops a run whose trials found so much."""
    settings = replace(SETTINGS, patience=patience, max_trials=None, max_gradients=None)
    budget = Budget(settings, trials=0, gradients=0, barren=0, seconds=0.0)
    for number, found in enumerate(finds, start=1):
        budget.spend(Absorbed(number, trial=trial(number, *found)))
    return budget.used_up()


NOTHING: tuple[str, ...] = ()


def test_patience_counts_trials_in_a_row() -> None:
    assert spent(NOTHING, NOTHING, NOTHING, patience=3) is StoppedBy.PATIENCE
    assert spent(NOTHING, NOTHING, NOTHING, patience=4) is None
    assert spent(NOTHING, NOTHING, ("TS0",), NOTHING, NOTHING, patience=3) is None


def test_no_trial_begins_that_would_go_past_a_limit() -> None:
    """Those in flight count: each is expected to cost what the trials before it did."""

    def room(in_flight: int, **limits: int) -> int:
        budget = Budget(replace(SETTINGS, **limits), trials=0, gradients=0, barren=0, seconds=0.0)
        for number in range(1, 4):
            budget.spend(Absorbed(number, trial=trial(number)))
        return budget.room(in_flight)

    assert [room(k) for k in (0, 2, 5, 6)] == [5, 3, 0, 0]
    assert [room(k, max_trials=5) for k in range(3)] == [2, 1, 0]
    assert [room(k, max_gradients=600) for k in (1, 2, 3, 4)] == [2, 1, 0, 0]
    assert room(0, max_gradients=310) == 1  # the limit is not reached yet
    assert room(1, max_gradients=310) == 0
    assert room(0, max_gradients=300) == 0
    assert [room(k, patience=6) for k in (1, 2, 3)] == [2, 1, 0]


@pytest.mark.parametrize("found", [("EQ1",), ("TS0",), ("DC0",), ("TS0", "EQ1", "DC0")])
def test_any_new_node_renews_patience_a_dissociation_channel_too(found: tuple[str, ...]) -> None:
    # Whoever waits for products is told of new fragments, although no policy looks for them.
    assert spent(NOTHING, NOTHING, found, patience=2) is None
    assert spent(found, NOTHING, NOTHING, patience=2) is StoppedBy.PATIENCE
