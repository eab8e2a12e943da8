"""The commands for networks, through the real command line."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import networkx as nx
import pytest
from drawn_network import FORMALDEHYDE, dc, eq, ts, write_run
from rich.console import Console

import networks.exploration.run
from afir.cli.main import main
from afir.cli.terminal import LiveLine
from afir.stationary import Outcome
from networks.cli.progress import Tally, watch
from networks.cli.show import commands
from networks.exploration.events import (
    Found,
    Opened,
    RoundDone,
    RoundStarted,
    Stopped,
    StoppedBy,
    TaskDone,
    TrialDone,
)
from networks.jobfile import job_from, job_values
from networks.records.structures import Dismissed
from networks.records.trials import Trial
from networks.reporting.run import load_run
from networks.reporting.show_json import show_object
from networks.settings import Settings
from networks.storage.store import Store

HCN = "3\n\nH 0.0 0.02 -1.06\nC 0.0 0.0 0.0\nN 0.01 0.0 1.14\n"
HNC = "3\n\nN 0.0 0.0 0.0\nH 0.0 0.02 -1.0\nC 0.01 0.0 1.17\n"
REFERENCE = {"HNC": 83.8, "TS": 306.4}  # kJ/mol, GFN2


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
    assert "Nothing was done: the run had already ended here" in capsys.readouterr().out
    assert main(["resume", "hcn.db", "--max-gradients", "1"]) == 0  # both limits are reached now
    (more,) = re.findall(r"`afir resume hcn.db (.*)` continues", capsys.readouterr().out)
    assert re.fullmatch(r"--max-trials 2 --max-gradients \d+", more)
    assert main(["resume", "hcn.db", "--max-gradients", "none"]) == 0
    capsys.readouterr()
    assert main(["resume", "hcn.db", "--max-trials", "none", "--max-seconds", "0.001"]) == 0
    out = capsys.readouterr().out
    assert "the time limit was reached" in out
    assert "Nothing was done" not in out
    assert main(["resume", "hcn.db", "--max-seconds", "none"]) == 0
    assert "Nothing was done" not in capsys.readouterr().out
    shown = _shown(capsys)
    assert shown["complete"] == {"anything_left": False, "stopped_by": "nothing_left"}
    heights = {item["id"]: item["relative_kj_mol"] for item in (*shown["eq"], *shown["ts"])}
    assert heights["EQ1"] == pytest.approx(REFERENCE["HNC"], abs=0.3)
    assert heights["TS0"] == pytest.approx(REFERENCE["TS"], abs=0.3)


def test_ctrl_c_while_a_file_is_written_leaves_nothing(folder: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from afir.cli import main\n"
        "from afir.io.safe_write import writing\n"
        "def write():\n"
        "    with writing(Path('out.txt')) as (draft,):\n"
        "        draft.write_text('half'); print('writing', flush=True); time.sleep(60)\n"
        "main._leave_at_once()\n"
        "write()\n"
    )
    before = sorted(path.name for path in folder.iterdir())
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert sorted(path.name for path in folder.iterdir()) != before
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_run_that_is_being_written_is_shown_as_such(
    run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(run_file, writing=True):
        assert main(["show", "run.db"]) == 0
    out = capsys.readouterr().out
    assert f"process {os.getpid()} is still running it" in out
    assert "afir resume" not in out
    assert main(["show", "run.db"]) == 0
    assert "still running it" not in capsys.readouterr().out


def test_ctrl_c_ends_a_command_that_has_only_begun(folder: Path) -> None:
    """Also where what is imported takes the exception for its own."""
    (folder / "slow.py").write_text(
        "import pathlib, time\npathlib.Path('importing').touch()\n"
        "try:\n    time.sleep(60)\nexcept BaseException:\n    pass\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "afir", "explore", "hcn.xyz", "--surface", "ase:slow.Any"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join([str(folder), *filter(None, sys.path)])),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        give_up = time.monotonic() + 60.0
        while not (folder / "importing").exists() and time.monotonic() < give_up:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "Stopped.\n")


def test_wanted_stops_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "hcn.xyz", "--gamma", "700", "--wanted", "hnc.xyz"]) == 0
    out = capsys.readouterr().out
    assert (
        "`afir plot hcn.db --output profile.png --from EQ0 --to EQ1` draws the route to it." in out
    )
    assert _shown(capsys)["complete"]["stopped_by"] == "wanted"
    assert main(["plot", "hcn.db", "-o", "way.svg", "--from", "EQ0", "--to", "EQ1"]) == 0
    assert (folder / "way.svg").read_text().startswith("<?xml")


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
    keys |= {"executor", "executor_options"}
    settings = set(job_values(job_from({"input": "x"}))) | {
        "surface_options", "reference", "reference_options", "policy_options", "target_atoms",
        "window", "bond_depth",
        "max_trials", "max_gradients", "max_seconds", "patience", "attempts", "gamma_max",
    }  # fmt: skip
    assert flags == (keys | settings) - {"step", "round_size"}


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


def test_show(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "run.db"]) == 0
    out = capsys.readouterr().out
    for words in (
        "CH2O on gfn2; energies in kJ/mol, relative to EQ0, the lowest\n\nEquilibrium",
        "Equilibrium structures: 4",
        "Transition states: 6",
        "Dissociation channels: 2",
        "at least one transition state candidate was found",
        "Transition states: 6, 1 loop not shown; `show --loops` lists it",
        "└─ 1 loop not shown",
        "1 trial, 73 gradients",
        "the trial limit was reached",
        "`afir resume run.db --max-trials 60` continues the run.",
    ):
        assert words in out
    assert "TS5" not in out
    assert main(["show", "run.db", "--loops"]) == 0
    assert "└─ TS5  650.0  → itself" in capsys.readouterr().out
    assert main(["show", "run.db", "--limit", "1"]) == 0
    assert "4, the lowest 1" in capsys.readouterr().out


def test_export_and_plot(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "run.db", "-o", "net.graphml"]) == 0
    assert len(nx.read_graphml("net.graphml")) == 6
    assert main(["export", "run.db", "-o", "net.csv"]) == 0
    assert "net_dc.csv" in capsys.readouterr().out
    assert main(["export", "run.db", "--format", "ase-db", "-o", "structures"]) == 0
    assert main(["plot", "run.db", "-o", "net.png"]) == 0
    assert main(["plot", "run.db", "-o", "p.png", "--from", "EQ0", "--to", "EQ3"]) == 0
    assert main(["plot", "run.db", "-o", "m.png", "--from", "EQ0", "--to", "EQ3", "--mark"]) == 0
    for name in ("net.png", "p.png", "m.png"):
        assert Path(name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (["plot", "run.db", "-o", "net.png"], ["net.png"]),
        (["plot", "run.db", "-o", "net.svg", "--from", "EQ0", "--to", "EQ3"], ["net.svg"]),
        (["export", "run.db", "-o", "net.graphml"], ["net.graphml"]),
        (["export", "run.db", "-o", "net.db"], ["net.db"]),
        (["export", "run.db", "-o", "net.csv"], ["net_eq.csv", "net_ts.csv"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_files_are_replaced_by_force_alone(
    run_file: Path, capsys: pytest.CaptureFixture[str], command: list[str], names: list[str]
) -> None:
    for name in names:
        Path(name).write_text("old")
    assert main(command) == 2
    error = capsys.readouterr().err
    assert f"{names[0]} exists already; choose another --output or add --force" in error
    assert [Path(name).read_text() for name in names] == ["old"] * len(names)
    assert main([*command, "--force"]) == 0
    assert all(Path(name).read_bytes() != b"old" for name in names)


def test_an_export_never_replaces_the_run_itself(
    run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("run.db").read_bytes()
    Path("link.db").symlink_to("run.db")
    for output in ("run.db", "link.db"):
        assert main(["export", "run.db", "-o", output, "--force"]) == 2
        assert "must be another file than the run" in capsys.readouterr().err
    assert Path("run.db").read_bytes() == before


@pytest.mark.parametrize(("width", "inches"), [("17.78cm", 7.0), ("6in", 6.0), ("6.5 in", 6.5)])
def test_plots_are_as_wide_as_is_asked(run_file: Path, width: str, inches: float) -> None:
    route = ["--from", "EQ0", "--to", "EQ3"]
    for more in ([], route, [*route, "--mark"]):
        assert main(["plot", "run.db", "-o", "p.png", *more, "--width", width, "--dpi", "100"]) == 0
        assert int.from_bytes(Path("p.png").read_bytes()[16:20], "big") == pytest.approx(
            100 * inches, abs=1
        )
        Path("p.png").unlink()


WRONG = [
    (["explore"], "no structure to start from"),
    (["explore", "no.xyz"], "no such file"),
    (["explore", "empty.xyz"], "is empty"),
    (["explore", "text.xyz"], "must be the number of atoms"),
    (["explore", "atom.xyz"], "holds one atom"),
    (["explore", "element.xyz"], "must start with an element symbol"),
    (["explore", "overlap.xyz"], "so they overlap"),
    (["explore", "hcn.xyz", "--charge", "1"], "`multiplicity` must be even"),
    (["explore", "hcn.xyz", "--multiplicity", "2"], "--multiplicity must be odd"),
    (["explore", "hcn.xyz", "--surface", "gfn9"], "--surface must be one of"),
    (
        ["explore", "hcn.xyz", "--surface-option", "acuracy=1"],
        "the surface 'gfn2' has no option 'acuracy'; did you mean 'accuracy'? It has the options ",
    ),
    (["explore", "hcn.xyz", "--policy", "luck"], "--policy must be one of"),
    (["explore", "hcn.xyz", "--policy-option", "luck"], "--policy-option must look like"),
    (
        ["explore", "hcn.xyz", "--policy-option", "t=1"],
        "'productive' has no option 't'; it takes",
    ),
    (["explore", "hcn.xyz", "--gamma", "-1"], "--gamma must be"),
    (["explore", "hcn.xyz", "--gamma", "strong"], "is not a valid float"),
    (["explore", "hcn.xyz", "--gama", "5"], "no such option"),
    (["explore", "hcn.xyz", "--seed", "-1"], "--seed must be"),
    (["explore", "hcn.xyz", "--workers", "0"], "--workers must be"),
    (["explore", "hcn.xyz", "--terms", "0"], "--terms must be"),
    (["explore", "hcn.xyz", "--window", "-3"], "--window must be"),
    (["explore", "hcn.xyz", "--max-trials", "many"], "--max-trials must be a whole number"),
    (["explore", "hcn.xyz", "--target-atoms", "C1"], "--target-atoms must look like"),
    (["explore", "hcn.xyz", "--target-atoms", "0,7"], "target atoms must be from 0 to 2"),
    (["explore", "hcn.xyz", "--wanted", "no.xyz"], "no such file"),
    (["explore", "hcn.xyz", "--wanted", "water.xyz"], "--wanted must have the atoms of CHN"),
    (["explore", "hcn.xyz", "--job", "no.toml"], "no such job file"),
    (["explore", "hcn.xyz", "--job", "bad.toml"], "did you mean `gamma`?"),
    (["explore", "hcn.xyz", "--job", "text.xyz"], "is not a TOML file"),
    (["explore", "hcn.xyz", "-o", "no/folder.db"], "the folder no of --output does not exist"),
    (["explore", "hcn.xyz", "-o", "run.db"], "continue it with `afir resume run.db`"),
    (["explore", "hcn.xyz", "-o", "new.xyz"], "must be a run file such as new.db"),
    (["explore", "hcn.xyz", "-o", "empty.dat"], "empty.dat exists already"),
    (["resume", "no.db"], "the run file no.db does not exist"),
    (["resume", "text.xyz"], "must be a run"),
    (["resume", "run.db", "--max-trials", "-1"], "--max-trials must be"),
    (["resume", "run.db", "--task-seconds", "none"], "--task-seconds must be"),
    (["resume", "run.db", "--workers", "0"], "--workers must be"),
    (["resume", "run.db", "--gamma", "2000"], "no such option"),
    (["show", "no.db"], "the run file no.db does not exist"),
    (["show", "hcn.xyz"], "must be a run"),
    (["show"], "missing argument"),
    (["export", "run.db"], "missing option"),
    (["export", "run.db", "-o", "a.pdf"], "is not clear"),
    (["export", "run.db", "-o", "text.xyz"], "exists already"),
    (["export", "run.db", "-o", "a.yaml", "--format", "yaml"], "is not one of"),
    (["plot", "run.db", "-o", "a.gif"], "must be a .png, .svg or .pdf file"),
    (["plot", "run.db", "-o", "a.png", "--from", "EQ0"], "go together"),
    (["plot", "run.db", "-o", "a.png", "--mark"], "go together"),
    (
        ["plot", "run.db", "-o", "a.png", "--from", "EQ0", "--to", "EQ9"],
        "--to must be an EQ or DC",
    ),
    (["plot", "run.db", "-o", "a.png", "--width", "7"], "a length such as 17cm or 7in"),
    (["plot", "run.db", "-o", "a.png", "--width", "-7in"], "--width must be a length"),
    (["plot", "run.db", "-o", "a.png", "--width", "2.5in"], "--width must be at least"),
    (["plot", "run.db", "-o", "a.png", "--dpi", "0"], "--dpi must be"),
    (["plot", "run.db", "-o", "a.png", "--dpi", "nan"], "--dpi must be"),
    (["show", "run.db", "--json", "--loops"], "--json shows everything"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_misuse_is_one_sentence_and_exit_code_2(
    run_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    for name, text in {
        "empty.xyz": "",
        "empty.dat": "",
        "text.xyz": "Dear diary,\n",
        "atom.xyz": "1\n\nHe 0 0 0\n",
        "element.xyz": "1\n\nZz 0 0 0\n",
        "overlap.xyz": "2\n\nH 0 0 0\nH 0 0 0.1\n",
        "water.xyz": "3\n\nO 0 0 0\nH 0 0.7 0.6\nH 0 -0.7 0.6\n",
        "bad.toml": "gama = 3\n",
    }.items():
        Path(name).write_text(text)
    before = show_object(load_run(run_file))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if not line.startswith("Warning")]
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    assert words.lower() in lines[0].lower()
    assert show_object(load_run(run_file)) == before
    assert not Path("hcn.db").exists()


def test_a_bad_start_in_a_fresh_process(folder: Path) -> None:
    command = [sys.executable, "-m", "afir", "explore", "hcn.xyz", "--charge", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not (folder / "hcn.db").exists()


def test_ctrl_c_says_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = []

    def interrupted(*_: object, **__: object) -> Iterator[object]:
        try:
            yield Opened(0, 0, 0, 0)
            raise KeyboardInterrupt
        finally:
            closed.append(True)

    monkeypatch.setattr(networks.exploration.run, "explore", interrupted)
    assert main(["explore", "hcn.xyz"]) == 130
    assert (
        "Stopped. Nothing is lost: `afir resume hcn.db` continues, `afir show hcn.db` lists what "
        "was found so far.\n"
    ) in capsys.readouterr().err
    assert closed


def test_sigterm_ends_a_run_as_ctrl_c_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = []

    def terminated(*_: object, **__: object) -> Iterator[object]:
        try:
            yield Opened(0, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGTERM)
            yield Opened(0, 0, 0, 0)
        finally:
            closed.append(True)

    monkeypatch.setattr(networks.exploration.run, "explore", terminated)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["explore", "hcn.xyz"]) == 143
    assert "Stopped. Nothing is lost: `afir resume hcn.db` continues, " in capsys.readouterr().err
    assert closed
    assert signal.getsignal(signal.SIGTERM) is before


def test_verbose_tells_what_each_trial_did(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explore", "hcn.xyz", "--gamma", "700", "--max-trials", "2"]
    told = []
    for flag in ("-v", "-vv"):
        assert main([*command, "-o", f"{flag}.db", flag]) == 0
        told.append(" ".join(capsys.readouterr().err.split()))
    for text in told:
        assert "INFO round 1: 2 trials" in text
        assert re.search(r"INFO trial 1: EQ0 pushed by [+-]\S+: no first-order [^:;]+; ", text)
        assert "INFO trial 2: EQ0 pushed by" in text
        assert re.search(
            r"pushed by \S+: found EQ1 TS0; reached known EQ0; (the artificial force [^;]+; )?"
            r"\d+ gradients",
            text,
        )
    assert "DEBUG" not in told[0]
    assert re.search(r"DEBUG round 1: verifying transition states, \d+ gradients", told[1])


def test_a_record_of_a_log_in_a_file_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", "hcn.xyz", "--gamma", "700", "--max-trials", "2", "-v"]) == 0
    log = [line for line in capsys.readouterr().err.splitlines() if "trial" in line]
    told = [line for line in log if re.match(r"\d\d:\d\d:\d\d INFO +trial [12]: EQ0 pushed", line)]
    assert len(told) == 2
    assert all(re.search(r"\d+ gradients$", line) for line in told)


def test_nothing_but_long_rows_is_wider_than_100_columns_when_piped(
    run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", "hcn.xyz", "--gamma", "700", "--max-trials", "2"]) == 0
    assert main(["show", "run.db"]) == 0
    assert main(["surfaces", "gfn2"]) == 0
    assert main(["explore", "--help"]) == 0
    out, err = capsys.readouterr()
    lines = (out + err).splitlines()
    assert [line for line in lines if len(line) > 100 or line != line.rstrip()] == []
    header = next(line for line in lines if line.startswith(" TS "))
    assert header.split()[-1] == "IRC"


def test_a_run_is_told_as_it_goes() -> None:
    trial = Trial(1, 1, "EQ0", 0, (), (7,), Outcome.FOUND, True, {"push": 5}, 0.1, ("TS0",))
    events = [
        Opened(0, 0, 0, 0),
        TaskDone(0, "characterise", 20, 0.1, None, 0),
        Found(eq(0, 0.0), None),
        RoundStarted(1, 8),
        TaskDone(1, "push", 100, 0.1, None, 7),
        Found(eq(1, 216.5), 1),
        Found(eq(3, 179.6, "complex"), 1),
        Found(dc(0, 390.0, "EQ0"), 1),
        Found(ts(0, 384.8, "EQ0", "EQ1"), 1),
        TrialDone(trial),
        RoundDone(1, 3, 1, 1, 1, 130, 2.0),
        Stopped(StoppedBy.TRIALS, True),
    ]
    console = Console(record=True, width=100, force_terminal=False, quiet=False, stderr=True)
    tally = Tally(FORMALDEHYDE)
    lines = []
    for event in events[:5]:
        tally.take(event)
        lines.append(tally.line())
    assert "120 gradients" in lines[4]
    assert "round 1: pushing, 7 left" in lines[4]
    assert watch(events, LiveLine(console, "starting"), Tally(FORMALDEHYDE)) == events[-1]
    text = console.export_text()
    assert "EQ1      216.5 kJ/mol relative to EQ0  CH2–O  (trial 1)" in text
    assert "TS0      384.8 kJ/mol relative to EQ0  EQ0 – EQ1, 1000i cm⁻¹  (trial 1)" in text
    assert "DC0      390.0 kJ/mol relative to EQ0  C–O + H2  (trial 1)" in text
    assert "EQ3      179.6 kJ/mol relative to EQ0  C–O + H2 (complex)  (trial 1)" in text


def test_help_needs_no_heavy_library() -> None:
    script = (
        "import sys; from afir.cli.main import main; main(['explore', '--help']);"
        "heavy = {'ase', 'scipy', 'matplotlib', 'sqlalchemy', 'networkx', 'tblite', 'numpy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_log_says_what_a_trial_led_to(caplog: pytest.LogCaptureFixture) -> None:
    def told(trial: Trial, *again: Dismissed) -> list[str]:
        caplog.clear()
        tally = Tally(FORMALDEHYDE, eq(0, 0.0).energy)
        with caplog.at_level(logging.INFO, "networks"):
            watch([TrialDone(trial, again)], LiveLine(Console(quiet=True), "starting"), tally)
        return [record.getMessage().partition(": EQ0 pushed by : ")[2] for record in caplog.records]

    plain = Trial(7, 1, "EQ0", 0, (), (7,), Outcome.FOUND, False, {"push": 5}, 0.1, ())
    assert told(replace(plain, met=("TS2", "EQ1"))) == ["reached known TS2 EQ1; 5 gradients"]
    both = replace(plain, found=("EQ3", "TS4"), met=("TS4", "EQ3", "EQ0"), crossed=True, gamma=400)
    assert told(both) == [
        "found EQ3 TS4; reached known EQ0; the artificial force alone crossed a barrier at "
        "γ = 400 kJ/mol; 5 gradients"
    ]
    assert told(replace(plain, outcome=Outcome.NO_BARRIER)) == [
        "the push changed nothing and left no barrier to climb; 5 gradients"
    ]
    # Why what was met before came to nothing is told again.
    saddle = ts(0, 350.0, "EQ0", "EQ1")
    reason = "an end of its reaction path is no minimum"
    before = Dismissed("TS", saddle.positions, saddle.energy, Outcome.IRC_FAILED, reason, None, 3)
    first, _ = told(plain, before)
    assert first == "no candidate was verified as a transition state; 5 gradients"
    assert caplog.records[1].getMessage() == (
        "trial 7: TS candidate at 350.0 kJ/mol was rejected before, in trial 3: " + reason
    )
