"""`afir learn-policy`: a model from run files, and what it refuses."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from runs import H2CO, HCN, HCN_START

from afir.cli.main import main
from afir.io.structures import read_structure
from afir.molecule import Molecule
from mlpot.policies import training
from mlpot.policies.model import load_model
from networks import Settings, explore, load_run
from networks.cli.learned import beside, verdict

WATER = Molecule.from_symbols("OHH"), np.array([[0, 0, 0.1], [0.76, 0, -0.5], [-0.76, 0, -0.5]])


@pytest.fixture(scope="module")
def short_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Short runs of three molecules on GFN2-xTB."""
    folder = tmp_path_factory.mktemp("runs")
    starts = {"hcn": (HCN, HCN_START), "h2co": read_structure(H2CO), "water": WATER}
    for name, start in starts.items():
        settings = Settings(policy="stochastic", seed=1, max_trials=30, in_flight=4)
        for _ in explore(*start, settings, folder / f"{name}.db"):
            pass
    return [folder / f"{name}.db" for name in starts]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence of a command that is refused."""
    assert main(["learn-policy", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.slow
def test_a_model_is_trained_and_explores(
    short_runs: list[Path],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, least in (("LEAST_TRIALS", 50), ("LEAST_TSS", 3)):
        monkeypatch.setattr(training, name, least)
    arguments = ["learn-policy", *map(str, short_runs), "--output", "mine.npz"]
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == "mine.npz"
    runs = [load_run(file) for file in short_runs]
    assert report["training"]["trials"] == sum(sum(run.summary.trials.values()) for run in runs)
    assert report["training"]["surfaces"] == ["gfn2"]
    assert report["training"]["formulas"] == sorted(run.molecule.formula for run in runs)
    assert report["schema_version"] == 1
    assert [row["run"] for row in report["runs"]] == list(map(str, short_runs))
    assert all("learned_gradients_ratio" in row for row in report["runs"])
    assert load_model(Path("mine.npz")).about["held_out"]["runs"] == 3
    before = Path("mine.npz").read_bytes()
    assert main([*arguments, "--force"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"h2co.db +CH2O ", out, re.MULTILINE)
    assert "Written: mine.npz" in out
    assert Path("mine.npz").read_bytes() == before
    option = ["--policy", "learned", "--policy-option", "model=mine.npz"]
    assert main(["explore", "hcn.xyz", "-o", "new.db", "--max-trials", "5", *option]) == 0
    assert sum(load_run(Path("new.db")).summary.trials.values()) == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["run.db", "-o", "model.npz"],
            "at least 3 different molecular formulas .got 1., 200 ",
        ),
        (["none.db", "-o", "model.npz"], "none.db"),
        (["hcn.xyz", "-o", "model.npz"], "hcn.xyz"),
        (["run.db", "-o", "hnc.xyz"], "hnc.xyz exists already; .* --force"),
        (["run.db", "-o", "run.db", "--force"], "run.db is one of the runs to learn from"),
        (["run.db", "-o", "./run.db"], "run.db is one of the runs to learn from"),
        (["run.db", "-o", "hnc.xyz", "--force"], "hnc.xyz exists and is no model"),
        (["run.db", "-o", "no/model.npz"], "the folder no of --output does not exist"),
        (["run.db", "-o", "model.npz", "--seed", "-1"], "--seed must be 0 or more, got -1"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    arguments: list[str], sentence: str, run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(sentence, refused(capsys, *arguments))
    assert not Path("model.npz").exists()


def test_no_other_run_is_replaced(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy, link = Path("copy.db"), Path("link.db")
    shutil.copy("run.db", copy)
    link.symlink_to("run.db")
    before = Path("run.db").read_bytes()
    assert "is one of the runs" in refused(capsys, "run.db", "-o", "link.db", "--force")
    assert "is no model" in refused(capsys, "run.db", "-o", "copy.db", "--force")
    assert copy.read_bytes() == Path("run.db").read_bytes() == before


def test_a_run_given_twice_is_told(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("run.db", "copy.db")
    said = refused(capsys, "run.db", "copy.db", "run.db", "-o", "model.npz")
    assert "copy.db (the same trials as run.db)" in said
    assert "run.db (given more than once, counted once)" in said


def test_help_and_documentation_tell_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn-policy", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    least = training.LEAST_FORMULAS, training.LEAST_TRIALS, training.LEAST_TSS
    needed = "at least {} different molecular formulas, {} trials and {} transition states"
    assert needed.format(*least) in text
    page = Path(__file__).parents[3] / "docs" / "policies.md"
    documented = " ".join(page.read_text().split())
    assert "at least {} different molecular formulas, with {} trials and {} ".format(*least) in (
        documented
    )


def test_a_verdict_says_whether_the_model_is_good() -> None:
    assert "0.80 of the gradients of random order: better" in verdict(0.8)
    assert "no better than random order there. More runs of other molecules" in verdict(1.0)
    assert "not known" in verdict(math.nan)


def test_the_packaged_model_is_compared_only_where_it_was_not_trained() -> None:
    figures = {"packaged_gradients_ratio": 0.7, "learned_gradients_ratio": 0.9}
    known = {"formulas_known": ["CH2O"], "runs_compared": 0, **figures}
    assert beside(known) == (
        "Not compared with the packaged model: the packaged model was trained on CH2O of these "
        "formulas, and no other run has enough transition states."
    )
    said = beside({**known, "runs_compared": 2})
    assert "(2) the packaged model needs 0.70" in said
    assert "models of your runs 0.90 (the packaged model was trained on CH2O" in said


def test_a_missing_package_is_named(
    run_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    said = refused(capsys, "run.db", "-o", "model.npz")
    assert 'scikit-learn; install it with pip install "afir[policy]"' in said
