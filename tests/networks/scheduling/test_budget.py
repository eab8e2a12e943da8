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
        round=1,
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
    )


def spent(*rounds: tuple[tuple[str, ...], ...], patience: int) -> StoppedBy | None:
    """What stops a run whose rounds are made of trials that found so much."""
    settings = replace(SETTINGS, patience=patience, max_trials=None, max_gradients=None)
    budget = Budget(settings, trials=0, gradients=0, barren=0, seconds=0.0)
    count = 0
    for finds in rounds:
        trials = tuple(trial(count + k + 1, *found) for k, found in enumerate(finds))
        count += len(trials)
        budget.spend(Absorbed(1, (), (), (), trials, (), {}, 0.0))
    return budget.used_up()


NOTHING: tuple[str, ...] = ()


def test_patience_counts_trials_in_a_row_across_rounds() -> None:
    assert spent((NOTHING, NOTHING), (NOTHING,), patience=3) is StoppedBy.PATIENCE
    assert spent((NOTHING, NOTHING), (NOTHING,), patience=4) is None
    assert spent((NOTHING, NOTHING), (("TS0",), NOTHING, NOTHING), patience=3) is None


@pytest.mark.parametrize("found", [("EQ1",), ("TS0",), ("DC0",), ("TS0", "EQ1", "DC0")])
def test_any_new_node_renews_patience_a_dissociation_channel_too(found: tuple[str, ...]) -> None:
    # Whoever waits for products is told of new fragments, although no policy looks for them.
    assert spent((NOTHING, NOTHING, found), patience=2) is None
    assert spent((found, NOTHING, NOTHING), patience=2) is StoppedBy.PATIENCE
