"""Options of the network commands that make no sense: one sentence, exit code 2."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_network import write_run

from afir.cli.main import main
from networks.reporting.advice import advice
from networks.reporting.run import load_run
from networks.reporting.show_json import show_object

WRONG = [
    (["explore"], "no structure to start from"),
    (["explore", "no.xyz"], "no such file"),
    (["explore", "empty.xyz"], "is empty"),
    (["explore", "text.xyz"], "must be the number of atoms"),
    (["explore", "atom.xyz"], "holds one atom"),
    (["explore", "element.xyz"], "must start with an element symbol"),
    (["explore", "overlap.xyz"], "so they overlap"),
    (["explore", "hcn.xyz", "--charge", "1"], "hcn.xyz: --multiplicity must be"),
    (["explore", "hcn.xyz", "-o", "run.db", "--learn"], "--learn must go with a --reference to"),
    (
        ["explore", "hcn.xyz", "-o", "run.db", "--reference-option", "basis=x"],
        "--reference-option must go with a --reference",
    ),
    (
        ["explore", "hcn.xyz", "--reference", "gfn1", "--reference-option", "solvent=tea"],
        "--reference-option solvent must be",
    ),
    (
        [
            "explore",
            "hcn.xyz",
            "--surface-option",
            "accuracy=-1",
            "--reference",
            "gfn1",
            "--reference-option",
            "accuracy=1",
        ],
        "Error: --surface-option accuracy must be more than 0",
    ),
    (
        [
            "explore",
            "hcn.xyz",
            "--surface-option",
            "accuracy=1",
            "--reference",
            "gfn1",
            "--reference-option",
            "accuracy=-1",
        ],
        "Error: --reference-option accuracy must be more than 0",
    ),
    (
        [
            "explore",
            "hcn.xyz",
            "--surface-option",
            "temperature=300",
            "--policy",
            "stochastic",
            "--policy-option",
            "temperature=-1",
        ],
        "Error: --policy-option temperature must be",
    ),
    (
        ["resume", "run.db", "--surface-option", "accuracy=1"],
        "--surface-option must go with --surface, also where run.db names the surface",
    ),
    (
        ["resume", "run.db", "--executor-option", "cores=1"],
        "--executor-option must go with --executor, also where run.db names the executor",
    ),
    (["explore", "hcn.xyz", "--reference", "gfn2"], "--reference must be another surface than --s"),
    (["explore", "--job", "hcn.toml", "--job", "bad.toml"], "--job must be one file, got 2"),
    (
        ["explore", "--job", "hcn.toml", "--window", "300"],
        "Error: hcn.toml: `patience` must be a whole number",
    ),
    (["explore", "--job", "step.toml"], "Error: step.toml: [step] has the unknown key `push_step`"),
    (
        ["explore", "--job", "step.toml", "--window", "-3"],
        "Error: step.toml: [step] has the unknown key `push_step`",
    ),
    (
        ["explore", "--job", "sour.toml"],
        "Error: sour.toml: `surface_options.accuracy` must be more than 0",
    ),
    (
        ["explore", "--job", "sour.toml", "--surface-option", "temperature=300"],
        "Error: sour.toml: `surface_options.accuracy` must be more than 0",
    ),
    (
        ["explore", "--job", "sour.toml", "--surface-option", "accuracy=-2"],
        "Error: --surface-option accuracy must be more than 0",
    ),
    (
        ["explore", "--job", "sour.toml", "--surface-option", "accuracy=1", "--charge", "1"],
        "change --charge or --multiplicity",
    ),
    (["explore", "--job", "out.toml"], "Error: out.toml: `output` must be a run file such as"),
    (
        ["explore", "--job", "tea.toml"],
        "Error: tea.toml: the surface 'gfn2' has no option 'tea'",
    ),
    (
        ["explore", "--job", "tea.toml", "--charge", "1", "--multiplicity", "2", "--window", "a"],
        "Error: --window must be",
    ),
    (["explore", "--job", "hcn.toml", "--patience", "-2"], "--patience must be a whole number"),
    (["resume", "run.db", "--window", "-3"], "--window must be a positive number"),
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
        "'learned' has no option 't'; it has the options model, ",
    ),
    (["explore", "hcn.xyz", "--gamma", "-1"], "--gamma must be"),
    (["explore", "hcn.xyz", "--gamma", "strong"], "is not a valid float"),
    (["explore", "hcn.xyz", "--gama", "5"], "no such option"),
    (["explore", "hcn.xyz", "--seed", "-1"], "--seed must be"),
    (["explore", "hcn.xyz", "--workers", "0"], "--workers must be"),
    (["explore", "hcn.xyz", "--terms", "0"], "--terms must be"),
    (["explore", "hcn.xyz", "--window", "-3"], "--window must be"),
    (["explore", "hcn.xyz", "--max-trials", "many"], "--max-trials must be a whole number or none"),
    (["explore", "hcn.xyz", "--attempts", "0"], "--attempts must be a whole number of 1 or more"),
    (["explore", "hcn.xyz", "--gamma-max", "high"], "--gamma-max must be a number or none, got"),
    (["explore", "hcn.xyz", "--seed", "none"], "--seed must be a whole number, got 'none'"),
    (["explore", "hcn.xyz", "--target-atoms", "C1"], "--target-atoms must look like"),
    (["explore", "hcn.xyz", "--target-atoms", "0,7"], "--target-atoms must be from 0 to 2"),
    (["explore", "hcn.xyz", "--wanted", "no.xyz"], "no such file"),
    (["explore", "hcn.xyz", "--wanted", "water.xyz"], "--wanted must have the atoms of CHN"),
    (["explore", "hcn.xyz", "--job", "no.toml"], "no such job file"),
    (["explore", "hcn.xyz", "--job", "bad.toml"], "did you mean `gamma`?"),
    (["explore", "hcn.xyz", "--job", "text.xyz"], "is not a TOML file"),
    (["explore", "hcn.xyz", "-o", "no/folder.db"], "the folder no of --output does not exist"),
    (["explore", "hcn.xyz", "-o", "run.db"], "continue it with `afir resume run.db`"),
    (
        ["explore", "hcn.xyz", "-o", "run.db", "--charge", "1"],
        "hcn.xyz: --multiplicity must be even",
    ),
    (["explore", "hcn.xyz", "-o", "run.db", "--policy", "luck"], "--policy must be one of"),
    (["explore", "hcn.xyz", "-o", "run.db", "--target-atoms", "0,7"], "from 0 to 2 for CHN"),
    (["explore", "hcn.xyz", "-o", "run.db", "--surface", "gfn9"], "--surface must be one of"),
    (["explore", "hcn.xyz", "-o", "new.xyz"], "--output must be a run file such as new.db"),
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
    (
        ["export", "run.db", "-o", "a.yaml", "--format", "yaml"],
        "--format must be one of ase-db, csv",
    ),
    (["plot", "run.db", "-o", "a.gif"], "must be a .png, .svg or .pdf file"),
    (["plot", "run.db", "-o", "a.png", "--from", "EQ0"], "go together"),
    (["plot", "run.db", "-o", "a.png", "--mark"], "go together"),
    (
        ["plot", "run.db", "-o", "a.png", "--from", "EQ0", "--to", "EQ9"],
        "--to must be an EQ or DC",
    ),
    (
        ["plot", "run.db", "-o", "old.png", "--from", "EQ0", "--to", "EQ9"],
        "--to must be an EQ or DC",
    ),
    (["plot", "run.db", "-o", "old.png", "--dpi", "0"], "--dpi must be"),
    (["plot", "run.db", "-o", "old.png"], "old.png exists already; choose another --output or add"),
    (["collect", "run.db", "-o", "text.xyz"], "run.db must hold frames"),
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
        "old.png": "",
        "text.xyz": "Dear diary,\n",
        "atom.xyz": "1\n\nHe 0 0 0\n",
        "element.xyz": "1\n\nZz 0 0 0\n",
        "overlap.xyz": "2\n\nH 0 0 0\nH 0 0 0.1\n",
        "water.xyz": "3\n\nO 0 0 0\nH 0 0.7 0.6\nH 0 -0.7 0.6\n",
        "bad.toml": "gama = 3\n",
        "hcn.toml": 'input = "hcn.xyz"\npatience = -1\n',
        "step.toml": 'input = "hcn.xyz"\n[step]\npush_step = 3\n',
        "out.toml": 'input = "hcn.xyz"\noutput = "new.xyz"\n',
        "sour.toml": 'input = "hcn.xyz"\n[surface_options]\naccuracy = -1\n',
        "tea.toml": 'input = "hcn.xyz"\n[surface_options]\ntea = 1\n',
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


@pytest.mark.parametrize("other", [["--job"], ["--limit", "2"], ["--loops"]])
def test_show_has_one_form_at_a_time(
    folder: Path, capsys: pytest.CaptureFixture[str], other: list[str]
) -> None:
    run_file = write_run(folder / "run.db")
    assert main(["show", str(run_file), "--json", *other]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Error: --json shows everything: it cannot go with --job, --limit or --loops\n"


@pytest.mark.parametrize("text", ["3-1", "a", "1,,2", "-", "²", "٣", "1_0"])
def test_target_atoms_that_name_none_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert main(["explore", "hcn.xyz", "--target-atoms", text]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"Error: --target-atoms must look like 0,2,5-8, got {text!r}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0-99999999", "--target-atoms must name atoms of the molecule, got 0-99999999"),
        ("9" * 5000, "--target-atoms must name atoms of the molecule"),
        ("0,0", "--target-atoms must name each atom once, got 0 twice"),
        ("0,2,0", "--target-atoms must name each atom once, got 0 twice"),
        ("0-2,1", "--target-atoms must name each atom once, got 1 twice"),
        ("0-99999", "--target-atoms must be from 0 to 2 for CHN, got 3"),
    ],
)
def test_target_atoms_that_are_none_or_named_twice(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    assert main(["explore", "hcn.xyz", "--target-atoms", text]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert words in last
    assert len(last) < 1100
    assert not Path("hcn.db").exists()


def test_suggested_commands_can_be_copied_whatever_the_file_is_called(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file = write_run(folder / "my run's.db")
    assert main(["explore", "hcn.xyz", "--output", run_file.name]) == 2
    (suggested,) = re.findall(r"`(.*)`", capsys.readouterr().err)
    assert shlex.split(suggested) == ["afir", "resume", "my run's.db"]
    done = load_run(run_file)
    for sentence in advice(done, Path(run_file.name)):
        for copied in re.findall(r"`(.*)`", sentence):
            assert run_file.name in shlex.split(copied)


def test_a_start_in_pieces_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("far.xyz").write_text("2\n\nH 0 0 0\nH 0 0 50\n")
    assert main(["explore", "far.xyz"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "Error: the fragments of the start must be within 4 Å of each other, got 50.0 Å; "
        "bring them together"
    )
    assert not Path("far.db").exists()
