"""Models on formulas that were held out: they learn what is there to learn, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from past import FORMULAS, by_chance, past_run, past_runs, pulls_pay

from mlpot.policies.directions import table_of
from mlpot.policies.evaluation import Held, area, auc, gradients_to, held_out, judged, summary
from mlpot.policies.orders import ORDERS, replays
from mlpot.policies.replay import World
from mlpot.policies.rows import Rows, rows_of
from mlpot.policies.training import fit


def prepared(runs: list) -> tuple[list[World], list[Rows]]:
    """Runs as they are trained on."""
    worlds, rng = [World(run) for run in runs], np.random.default_rng(0)
    return worlds, [rows_of(world, rng) for world in worlds]


def held(runs: list) -> list[Held]:
    """How models do on the formulas that they were not trained on."""
    return held_out(*prepared(runs), 0, lambda text: None)


@pytest.mark.slow
def test_a_model_learns_which_way_alone_pays() -> None:
    each = held(past_runs(pulls_pay))
    total = summary(each)
    assert total["runs"] == total["runs_compared"] == len(FORMULAS)
    assert total["auc"] > 0.9
    assert total["learned_gradients"] < 0.7
    assert total["better_than_random"] == 1.0
    assert total["oracle_area"] >= total["learned_area"] > total["random_area"]
    # Here nothing is known better than this.
    assert total["learned_gradients"] == pytest.approx(total["oracle_gradients"], rel=0.15)
    # A third of all trials are pulls: three times as many TSs are among the best of any moment.
    assert 2.0 < total["enrichment"] < 3.5


@pytest.mark.slow
def test_a_model_learns_nothing_from_chance() -> None:
    runs = [past_run(symbols, by_chance, seed) for symbols in FORMULAS for seed in (0, 1)]
    total = summary(held(runs))
    assert abs(total["auc"] - 0.5) < 0.07
    assert total["learned_gradients"] > 0.9
    assert abs(total["learned_area"] - total["random_area"]) < 0.05


def test_what_each_trial_brings_known_before_is_best() -> None:
    """No order is better than that of the oracle, and all find the same for the same in the end."""
    worlds, data = prepared([past_run(symbols, pulls_pay) for symbols in FORMULAS[:3]])
    model, table = fit(data[:2], 0, {}), table_of(data[:2])
    world = worlds[2]
    ends = set()
    for order in ORDERS:
        for replay in replays(world, order, model, table):
            assert sorted(replay.done) == list(range(len(world)))
            ends.add((round(replay.curve[-1][0], 6), *replay.curve[-1][1:]))
    assert len(ends) == 1
    result = judged(world, data[2], model, table)
    assert min(result.gradients.values()) == result.gradients["oracle"]
    assert max(result.areas.values()) == result.areas["oracle"]


def test_gradients_and_areas_of_a_curve() -> None:
    world = World(past_run("CNOH", lambda *_: 1, repeats=1))
    replay = world.start()
    replay.curve = [(0, 0, 0), (100, 2, 0), (200, 2, 0), (300, 4, 0), (400, 5, 0)]
    assert gradients_to(0.8, replay) == 300
    assert gradients_to(0.2, replay) == 100
    # Before a trial is done it has found nothing: 0, 2, 2 and 4 of 5 TSs.
    assert area(replay) == pytest.approx((0 + 2 + 2 + 4) / 4 / 5)
    replay.curve = [(0, 0, 0), (100, 4, 0)]
    assert np.isnan(gradients_to(0.8, replay))


def test_auc_is_the_chance_to_rank_a_good_one_higher() -> None:
    rng = np.random.default_rng(1)
    scores, good = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.3
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[good] for b in scores[~good]]
    assert auc(scores, good) == pytest.approx(np.mean(pairs))
    assert np.isnan(auc(scores, np.zeros(60, dtype=bool)))


def test_runs_without_transition_states_leave_no_numbers() -> None:
    _, data = prepared([past_run(symbols, pulls_pay) for symbols in FORMULAS[:2]])
    (barren,), (rows,) = prepared([past_run("CCSO", lambda *_: 0)])
    result = judged(barren, rows, fit(data, 0, {}), table_of(data))
    assert np.isnan([result.auc, result.enrichment, *result.gradients.values()]).all()
    total = summary([result])
    assert (total["runs"], total["runs_compared"]) == (1, 0)
    assert np.isnan(total["learned_gradients"])
