"""Searches that end where a learned surface is not to be trusted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pairs import PAIR, Failing, Shifted, asking, pair

from afir.errors import SurfaceError
from afir.multilevel.trust import DoubtError, doubting, trusting
from afir.pes.driver import (
    Search,
    reference_gradients,
    referred,
    solve,
    stage,
)
from afir.pes.surface import Checked
from afir.surfaces.analytic import double_well


def test_a_search_is_trusted_below_the_limit() -> None:
    surface = Checked(Shifted(slope=9.0, spread=0.9), Shifted())
    gradients: Counter[str] = Counter()
    solve(trusting(asking(1.0, 1.1)), surface, gradients=gradients)
    assert reference_gradients(gradients) == 0


def test_a_false_alarm_is_heard_once() -> None:
    surface = Checked(Shifted(slope=0.1, spread=1.1), Shifted())
    gradients: Counter[str] = Counter()
    solve(trusting(asking(1.0, 1.1, 1.2)), surface, gradients=gradients)
    assert gradients["reference label"] == 1


def test_a_surface_that_errs_as_feared_ends_the_search() -> None:
    surface = Checked(Shifted(slope=1.0, spread=1.1), Shifted())
    with pytest.raises(DoubtError, match=r"errs by 1\.7 eV/Å on an atom"):
        solve(trusting(asking(1.0, 1.1)), surface)


def test_an_error_that_does_not_matter_is_tolerated() -> None:
    surface = Checked(Shifted(slope=1.0, spread=1.1), Shifted())
    gradients: Counter[str] = Counter()
    solve(trusting(asking(1.0, 1.1), tolerated=2.0), surface, gradients=gradients)
    assert reference_gradients(gradients) == 0
    with pytest.raises(DoubtError, match=r"where 1\.1 eV/Å are tolerated"):
        solve(trusting(asking(1.0, 1.1), tolerated=1.08), surface)


def test_failures_pass_through_to_a_trusting_search() -> None:
    def search() -> Search[str]:
        try:
            yield pair(0.0)[None]
        except SurfaceError as error:
            return str(error)
        return "no failure"

    assert solve(trusting(search()), Failing(at=1)) == "no SCF"


def test_no_search_stays_on_a_steep_slope_of_the_reference() -> None:
    """It must get off it; what is not refined, and what the searched surface says, does not count.

    The double well is steep at 0.8 Å, less so at 1.0 Å, and flatter at 1.4 Å.
    """
    surface = double_well(PAIR)
    x = np.array([pair(r) for r in (0.8, 1.0, 1.4)])
    slopes = np.abs(surface.evaluate(x).gradients).max(axis=(1, 2))
    assert 0.7 * slopes[0] > slopes[1] > slopes[2]
    limit = 0.9 * float(slopes[1])

    def search(*lengths: float) -> Search[int]:
        yield from stage("own", asking(0.8, 0.8))
        yield from referred(stage("irc", asking(0.8, 0.8)))
        yield from referred(stage("refine", asking(*lengths)))
        return 3

    for lengths in ((1.4, 1.4), (1.4, 1.4, 1.4)):
        assert solve(doubting(search(*lengths), limit), surface) == 3
    with pytest.raises(DoubtError, match=r"the reference has a gradient of \d+\.\d eV/Å"):
        solve(doubting(search(0.8, 0.8, 1.4), limit), surface)
    # What goes too far in its first step is not on a slope itself.
    assert solve(doubting(search(1.4, 0.8, 1.4), limit), surface) == 3
    # Down in two steps; a saddle point is not found that way.
    assert solve(doubting(search(0.8, 1.0, 1.4), limit), surface) == 3
    with pytest.raises(DoubtError):
        solve(doubting(search(0.8, 1.0, 1.4), limit, at_once=True), surface)
    assert solve(doubting(search(1.4, 0.8, 1.4), limit, at_once=True), surface) == 3
