"""What tests of several rooms compare with."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import run, stop

from networks.exploration.events import Stopped
from networks.records.runs import StoppedBy


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy world explored to its end, undisturbed."""
    path = tmp_path_factory.mktemp("whole") / "run"
    assert stop(run(path)) == Stopped(StoppedBy.NOTHING_LEFT, False)
    return path
