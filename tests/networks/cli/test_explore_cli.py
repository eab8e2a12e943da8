"""The commands `afir explore` and `afir resume`, through the real command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from afir.cli.main import main
from networks.cli.show import commands
from networks.jobfile import job_from, job_values
from networks.reporting.run import load_run
from networks.settings import Settings

REFERENCE = {"HNC": 83.8, "TS": 306.4}  # kJ/mol, GFN2


# Hydroxide beside chloromethane: no barrier keeps them apart on GFN2.
SN2 = """7
charge=-1
C 0.00 0.000 0.000
Cl 1.80 0.000 0.000
H -0.35 1.030 0.000
H -0.35 -0.515 0.892
H -0.35 -0.515 -0.892
O -2.40 0.000 0.000
H -2.90 0.800 0.000
"""


def _shown(capsys: pytest.CaptureFixture[str], run: str = "hcn.db") -> dict[str, object]:
    capsys.readouterr()
    assert main(["show", run, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def test_explore_and_resume(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["explore", "hcn.xyz", "--gamma", "700", "--seed", "7", "--max-trials", "1"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "Exploring CHN on gfn2 with γ up to 700 kJ/mol (1400 at the end), run file hcn.db" in err
    assert "EQ0        0.0 kJ/mol relative to EQ0  CH–N  (the start)" in err
    assert "Equilibrium structures: " in out
    assert "`afir resume hcn.db --max-trials 2` continues the run." in out
    assert _shown(capsys)["complete"] == {"anything_left": True, "stopped_by": "trials"}

    assert main(["explore", "hcn.xyz"]) == 2
    assert "continue it with `afir resume hcn.db`" in capsys.readouterr().err

    assert main(["resume", "hcn.db"]) == 0
    assert (
        "Nothing was done: --max-trials is 1, and the run has 1 trial already; give a higher "
        "--max-trials." in capsys.readouterr().out
    )
    assert main(["resume", "hcn.db", "--max-gradients", "1"]) == 0  # both limits are reached now
    (more,) = re.findall(r"`afir resume hcn.db (.*)` continues", capsys.readouterr().out)
    assert re.fullmatch(r"--max-trials 2 --max-gradients \d+", more)
    # Nor does it do anything at another limit than before.
    assert main(["resume", "hcn.db", "--max-trials", "none"]) == 0
    assert "Nothing was done: --max-gradients is 1, and " in capsys.readouterr().out
    more = ["--max-gradients", "none", "--max-seconds", "0.001"]
    assert main(["resume", "hcn.db", *more]) == 0
    out = capsys.readouterr().out
    assert "the time limit was reached" in out
    assert "Nothing was done: --max-seconds is 0.001, and the run has " in out
    assert main(["resume", "hcn.db", "--max-seconds", "none"]) == 0
    assert "Nothing was done" not in capsys.readouterr().out
    shown = _shown(capsys)
    assert shown["complete"] == {"anything_left": False, "stopped_by": "nothing_left"}
    heights = {item["id"]: item["relative_kj_mol"] for item in (*shown["eq"], *shown["ts"])}
    assert heights["EQ1"] == pytest.approx(REFERENCE["HNC"], abs=0.3)
    assert heights["TS0"] == pytest.approx(REFERENCE["TS"], abs=0.3)


def test_wanted_stops_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "hcn.xyz", "--gamma", "700", "--wanted", "hnc.xyz"]) == 0
    out = capsys.readouterr().out
    assert (
        "`afir plot hcn.db --output profile.png --from EQ0 --to EQ1` draws the route to it." in out
    )
    assert _shown(capsys)["complete"]["stopped_by"] == "wanted"
    assert main(["plot", "hcn.db", "-o", "way.svg", "--from", "EQ0", "--to", "EQ1"]) == 0
    assert (folder / "way.svg").read_text().startswith("<?xml")


def test_a_start_that_reacts_at_once_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sn2.xyz").write_text(SN2)
    assert main(["explore", "sn2.xyz", "--max-trials", "0"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(
        "CH4ClO (charge -1, multiplicity 1) on gfn2; energies in kJ/mol, relative to EQ0"
    )
    err = " ".join(err.split())
    assert "Warning: the start is not the molecule that was given: bonds changed" in err
    assert re.search(r"C0–Cl1 broken \(1\.80 → 3\.\d\d Å\), C0–O5 made \(2\.40 → 1\.\d\d Å\)", err)
    assert err.count("made") == err.count("broken") == 1
    assert "Exploring CH4ClO (charge -1, multiplicity 1) on gfn2" in err
    assert "CH3–OH + Cl (complex) (the start)" in err


def test_a_wanted_product_that_reacts_is_told_and_others_are_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "hnc.xyz").write_text("3\n\nN 0 0 0\nH 0 0.02 -1.5\nC 0.01 0 1.17\n")
    assert main(["explore", "hcn.xyz", "--max-trials", "0", "--wanted", "hnc.xyz"]) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert "the start is not" not in err
    assert "Warning: the wanted product is not the molecule that was given" in err
    assert "H0–N2 made (1.50 → 1.00 Å)" in err


def test_a_job_file_and_flags_that_win(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "jobs").mkdir()
    (folder / "jobs" / "job.toml").write_text(
        'input = "../hcn.xyz"\noutput = "../a.db"\ngamma = 700\nseed = 3\nmax_trials = 50\n'
        "[surface_options]\naccuracy = 0.02\ntemperature = 310.0\n[step]\npush_steps = 120\n"
    )
    assert main(
        ["explore", "--job", "jobs/job.toml", "--seed", "4", "--max-trials", "0",
         "--surface-option", "accuracy=0.05"]
    ) == 0  # fmt: skip
    capsys.readouterr()
    assert main(["show", "a.db", "--job"]) == 0
    values = tomllib.loads(capsys.readouterr().out)
    assert values["seed"] == 4
    assert values["gamma"] == 700
    assert values["max_trials"] == 0
    assert values["step"]["push_steps"] == 120
    assert values["surface_options"] == {"accuracy": 0.05, "temperature": 310.0}
    assert Path(values["input"]).samefile(folder / "hcn.xyz")
    assert "output" not in values
    # What is printed is a job again, and gives the same settings.
    assert job_from(values).settings == load_run(Path("a.db")).settings

    assert main(["resume", "a.db", "--patience", "3"]) == 0
    capsys.readouterr()
    assert main(["show", "a.db", "--job"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["patience"] == 3


def test_flags_and_job_keys_are_the_same(folder: Path) -> None:
    (explore,) = (command for command in commands() if command.name == "explore")
    flags = {parameter.name for parameter in explore.params} - {"job"}
    keys = {"input", "output", "wanted", "charge", "multiplicity", "workers", "gamma"}
    settings = set(job_values(job_from({"input": "x"}))) | {
        "surface_options", "reference", "reference_options", "method_options", "policy_options",
        "executor", "executor_options", "target_atoms", "window", "bond_depth",
        "max_trials", "max_gradients", "max_seconds", "patience", "attempts", "gamma_max",
    }  # fmt: skip
    assert flags == (keys | settings) - {"step"}


def test_job_keys_are_the_flags_with_underscores_but_for_lists_and_tables() -> None:
    (explore,) = (command for command in commands() if command.name == "explore")
    differ = {
        flag: parameter.name
        for parameter in explore.params
        for flag in [max(parameter.opts, key=len)]
        if flag.lstrip("-").replace("-", "_") != parameter.name
    }
    kinds = ("surface", "reference", "executor", "method", "policy")
    tables = {f"--{kind}-option": f"{kind}_options" for kind in kinds}
    assert differ == {"--method": "methods", **tables}  # as the README says


def test_the_help_tells_the_true_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    settings = Settings()
    defaults = {
        "surface": settings.surface,
        "gamma": "2.5 times --window, at most 1000",
        "seed": settings.seed,
        "policy": settings.policy,
        "terms": settings.terms,
        "task-seconds": f"{settings.task_seconds:g}",
    }
    for flag, default in defaults.items():
        assert re.search(rf"--{flag} [^\[]*(\[default: [^\]]*\])", text), flag
        (shown,) = re.findall(rf"--{flag} [^\[]*\[default: ([^\]]*)\]", text)[:1]
        assert shown == str(default)


def test_help_needs_no_heavy_library() -> None:
    script = (
        "import sys; from afir.cli.main import main; main(['explore', '--help']);"
        "heavy = {'ase', 'scipy', 'matplotlib', 'sqlalchemy', 'networkx', 'tblite', 'numpy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
