"""The simulation of many workers in `benchmarks`."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
def test_more_trials_in_flight_keep_more_workers_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "scale", raising=False)
    from workers import simulated

    # With one trial in flight hardly more than one of four workers has a task; see the table of
    # benchmarks/README.md, where 32 keep four busy.
    shares = [
        float(simulated(4, 1e4, in_flight, 60)[4].removesuffix(" %")) for in_flight in (1, 4, 32)
    ]
    assert shares[0] < 40.0 < shares[1] < 80.0 < shares[2] <= 100.0
