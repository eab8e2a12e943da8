"""A folder with structures of HCN and HNC, and a run file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from drawn_network import write_run

HCN = "3\n\nH 0.0 0.02 -1.06\nC 0.0 0.0 0.0\nN 0.01 0.0 1.14\n"


HNC = "3\n\nN 0.0 0.0 0.0\nH 0.0 0.02 -1.0\nC 0.01 0.0 1.17\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hcn.xyz").write_text(HCN)
    (tmp_path / "hnc.xyz").write_text(HNC)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def drawn_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("drawn") / "run.db")


@pytest.fixture
def run_file(folder: Path, drawn_file: Path) -> Path:
    return Path(shutil.copy(drawn_file, "run.db"))
