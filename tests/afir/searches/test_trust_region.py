"""The trust region: how the length of the next step follows from the last."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from afir import StepSettings
from afir.errors import InputError, SurfaceError
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.searches.minimum import minimise
from afir.searches.settings import IRC, MINIMUM, SADDLE, TrustRegions
from afir.searches.trust_region import TrustRegion
from afir.surfaces.analytic import mueller_brown

ATOM = Molecule((2,))


@pytest.mark.parametrize("numbers", [MINIMUM, SADDLE])
def test_a_long_step_that_was_foretold_lengthens_the_next_up_to_the_limit(numbers):
    region = TrustRegion(numbers, most=4.0 * numbers.first)
    region.judge(0.5 * region.radius, 1.0)
    assert region.radius == numbers.first  # a short step says nothing about longer ones
    region.judge(region.radius, 1.0, sure=False)
    assert region.radius == numbers.first
    for _ in range(9):
        region.judge(region.radius, 1.0)
    assert region.radius == 4.0 * numbers.first


@pytest.mark.parametrize(("numbers", "quality"), [(MINIMUM, 0.1), (SADDLE, 3.0), (IRC, 0.3)])
def test_a_step_that_was_foretold_badly_shortens_the_next_down_to_the_limit(numbers, quality):
    region = TrustRegion(numbers)
    assert not region.tolerates(quality)
    region.judge(region.radius, quality)
    assert region.radius == pytest.approx(max(numbers.shorter * numbers.first, numbers.least))
    for _ in range(99):
        region.judge(region.radius, quality)
    assert region.radius == numbers.least


def test_refusals_count_in_a_row():
    region = TrustRegion(SADDLE)
    for _ in range(3):
        assert not any(region.refused() for _ in range(SADDLE.patience - 1))
        region.answered()
    assert [region.refused() for _ in range(SADDLE.patience)][-1]


def test_a_region_is_spent_where_no_shorter_step_is_left():
    region = TrustRegion(MINIMUM)
    assert not region.reject(0.1)
    assert region.radius == pytest.approx(0.1 * MINIMUM.rejected)
    assert region.reject(MINIMUM.least)


class Wall:
    """A surface that answers the first geometry and refuses all others."""

    def __init__(self):
        self.inner = mueller_brown(ATOM)
        self.molecule = ATOM
        self.asked = []

    def evaluate(self, positions, owners=None):
        self.asked.extend(positions)
        if len(self.asked) > 1:
            raise SurfaceError("a wall")
        return self.inner.evaluate(positions, owners)

    def for_paths(self):
        return self


def test_the_numbers_of_the_settings_are_those_of_the_search():
    """Where every step is refused, one can read patience and factor off the geometries asked."""
    trust = TrustRegions(minimum=replace(MINIMUM, patience=6, refused=0.5))
    surface = Wall()
    solve(minimise(ATOM, np.array([[0.3, 0.3, 0.0]]), StepSettings(trust=trust)), surface)
    steps = np.linalg.norm(np.array(surface.asked[1:]) - surface.asked[0], axis=(1, 2))
    assert len(steps) == 6
    np.testing.assert_allclose(steps[1:] / steps[:-1], 0.5, rtol=0.1)


@pytest.mark.parametrize(
    ("trust", "said"),
    [
        ({"path": {}}, "`trust` must hold minimum, end, saddle, irc, got 'path'"),
        ({"irc": 3}, "`irc` of `trust` must be a table of numbers, got 3"),
        ({"irc": {"longest": 1.0}}, "`irc` of `trust` must hold first, least, most"),
        ({"irc": {"most": -1.0}}, "`most` must be positive"),
        ({"irc": {"patience": 1.5}}, "`patience` must be a whole number"),
        ({"irc": {"most": 0.1, "first": 0.2}}, "`first` must not exceed `most`, got 0.2 and 0.1"),
        ({"saddle": {"good_above": 2.0}}, "`good_above` must not exceed `good_below`"),
        ({"saddle": {"shorter": 5.0}}, "`shorter` must be below 1, got 5"),
        ({"saddle": {"longer": 0.9}}, "`longer` must be 1 or more, got 0.9"),
        ({"minimum": {"most": 0.3}}, "`most` of `minimum` has no effect; set `max_step`"),
        ({"irc": {"largest_rise": 0.1}}, "`largest_rise` of `irc` has no effect; leave it out"),
        (7, "`trust` must be TrustRegions, got 7"),
    ],
)
def test_odd_numbers_of_a_trust_region_are_refused(trust, said):
    with pytest.raises(InputError) as caught:
        StepSettings(trust=trust)
    assert said in str(caught.value)
