"""γ follows the window of a run, and stays what it was."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from toyworld import MOLECULE, SURFACE, structure, toy

from afir.cli.main import main
from networks import Settings, explore, open_run, resume

HCN = "3\n\nH 0.0 0.02 -1.06\nC 0.0 0.0 0.0\nN 0.01 0.0 1.14\n"


@pytest.mark.parametrize(
    ("options", "gamma"),
    [
        ((), 1000.0),
        (("--window", "300"), 750.0),
        (("--window", "500"), 1000.0),
        (("--window", "none"), 1000.0),
        (("--window", "300", "--gamma", "400"), 400.0),
    ],
)
def test_the_job_of_a_run_holds_the_gamma_that_was_used(
    options: tuple[str, ...],
    gamma: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hcn.xyz").write_text(HCN)
    assert main(["explore", "hcn.xyz", "--max-trials", "0", *options]) == 0
    told = f"with γ up to {gamma:g} kJ/mol ({2 * gamma:g} at the end)"
    assert told in capsys.readouterr().err
    assert main(["show", "hcn.db", "--job"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["gamma"] == gamma


def test_a_run_that_goes_on_with_another_window_keeps_its_gamma(tmp_path: Path) -> None:
    settings = Settings(SURFACE, terms=1, window_kj_mol=60.0, max_trials=3)
    list(explore(MOLECULE, structure(0), settings, tmp_path / "run", executor=toy))
    for window in (None, 300.0):
        list(resume(tmp_path / "run", window_kj_mol=window, executor=toy))
        with open_run(tmp_path / "run") as store:
            assert store.settings.window_kj_mol == window
            assert store.settings.step.gamma == 150.0
