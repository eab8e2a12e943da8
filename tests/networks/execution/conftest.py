"""What tests of executors compare with."""

from __future__ import annotations

from typing import Any

import pytest
from runs import H2CO, SHORT, snapshot

from afir.io.structures import read_structure
from networks import explore


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A short exploration of formaldehyde in this process."""
    path = tmp_path_factory.mktemp("alone") / "run.db"
    list(explore(*read_structure(H2CO), SHORT, path))
    return snapshot(path)
