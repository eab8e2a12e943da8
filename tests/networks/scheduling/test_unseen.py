"""How many classes were never met, from how often each of the others was."""

from __future__ import annotations

import math

import numpy as np
import pytest

from afir.errors import InputError
from networks.scheduling.unseen import Unseen, unseen


def test_an_example_worked_out_by_hand() -> None:
    """Ten trials; 3 met once, 1 met twice, 2 more often: T = 0.9 · 3 · 2 / (2 · 2) = 1.35.

    Variance: 1.35 + 0.81 · 3 · 25 / 16 + 0.81 · 9 · 1 · 4 / 64 = 5.6025; K = e^(1.96 · 1.18427).
    """
    found = unseen([1, 1, 1, 2, 5, 9], 10)
    assert (found.observed, found.met_once, found.met_twice, found.trials) == (6, 3, 1, 10)
    assert found.estimate == pytest.approx(1.35)
    spread = math.exp(1.959964 * math.sqrt(math.log(1 + 5.6025 / 1.35**2)))
    assert found.low == pytest.approx(1.35 / spread, rel=1e-6)
    assert found.high == pytest.approx(1.35 * spread, rel=1e-6)


def test_nothing_met_twice_is_no_division_by_zero() -> None:
    """Four met once in four trials: T = 0.75 · 4 · 3 / 2, variance T + 0.5625 · 4 · 49 / 4."""
    found = unseen([1, 1, 1, 1], 4)
    assert found.estimate == pytest.approx(4.5)
    spread = math.exp(1.959964 * math.sqrt(math.log(1 + 32.0625 / 4.5**2)))
    assert found.high == pytest.approx(4.5 * spread, rel=1e-6)


def test_what_was_met_often_leaves_little_room() -> None:
    """None met once, so none are estimated; as many trials again would miss e^−3 of each."""
    found = unseen([3, 3, 3, 3], 12)
    assert (found.estimate, found.low) == (0.0, 0.0)
    assert str(found.estimate) == "0.0"  # and not −0
    missed = math.exp(-3)
    variance = 4 * missed * (1 - missed) - (3 * 4 * missed) ** 2 / 12
    centre, deviation = 4 / (1 - missed) - 4, math.sqrt(variance) / (1 - missed)
    assert found.high == pytest.approx(centre + 1.959964 * deviation, rel=1e-6)
    assert unseen([40] * 4, 90).high == pytest.approx(0.0, abs=1e-6)


def test_one_met_once_is_not_taken_for_all() -> None:
    assert unseen([1, 7, 8], 20).estimate == 0.0
    assert unseen([1, 7, 8], 20).high > 0.5


@pytest.mark.parametrize("trials", [0, 7])
def test_where_nothing_was_met_nothing_is_said(trials: int) -> None:
    assert unseen([], trials) == Unseen(0, 0, 0, trials, None, None, None)


@pytest.mark.parametrize(("counts", "trials"), [([0], 3), ([4], 3), ([1], -1)])
def test_counts_that_cannot_be_are_refused(counts: list[int], trials: int) -> None:
    with pytest.raises(InputError, match="must"):
        unseen(counts, trials)


@pytest.mark.parametrize(("classes", "spread", "trials"), [(15, 0.6, 60), (40, 0.8, 120)])
def test_the_interval_holds_the_truth(classes: int, spread: float, trials: int) -> None:
    """Of classes met with moderately unequal probabilities, a few in each trial."""
    rng = np.random.default_rng(17)
    runs = 400
    held = left = 0
    for _ in range(runs):
        chance = np.minimum(1.2 / trials * np.exp(spread * rng.normal(size=classes)), 1.0)
        counts = rng.binomial(trials, chance)
        seen = counts[counts > 0]
        missing = classes - len(seen)
        found = unseen(seen.tolist(), trials)
        assert found.low is not None
        assert found.high is not None
        # Numbers of classes are whole: low is rounded down and high up where they are told.
        held += math.floor(found.low) <= missing <= math.ceil(found.high)
        left += missing
    assert left / runs > 0.2 * classes
    assert held >= 0.8 * runs
