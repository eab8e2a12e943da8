"""What the tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import H2CO


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a structure in it."""
    (tmp_path / "in.xyz").write_text(H2CO)
    monkeypatch.chdir(tmp_path)
    return tmp_path
