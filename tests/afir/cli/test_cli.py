"""The command line: what comes out, and one sentence with exit code 2 for what is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import EntryPoint, version
from pathlib import Path

import click
import pytest
from commands import H2CO

import afir.cli.main
from afir.cli.main import main
from afir.errors import InputError

WRONG = [
    (["relax", "nothing.xyz"], "no such file"),
    (["relax", "empty.xyz"], "is empty"),
    (["relax", "text.xyz"], "must be the number of atoms"),
    (["relax", "."], "is a directory"),
    (["relax", "in.xyz", "--charge", "1"], "in.xyz: --multiplicity must be even for CH2O"),
    (["relax", "in.xyz", "--charge", "1"], "change --charge or --multiplicity"),
    (["relax", "radical.xyz"], "radical.xyz: --multiplicity must be even for CH2O"),
    (["relax", "uranium.xyz"], "the elements must be up to radon for GFN2-xTB, got U for atom 0"),
    (["relax", "in.xyz", "--multiplicity", "2"], "--multiplicity must be odd"),
    (["relax", "in.xyz", "--charge", "one"], "not a valid integer"),
    (["relax", "element.xyz"], "must start with an element symbol, got 'Zz'"),
    (["relax", "overlap.xyz"], "atoms 0 (H) and 1 (H) are 0.100 Å apart"),
    (["relax", "in.xyz", "--surface", "gfn9"], "--surface must be one of"),
    (["relax", "in.xyz", "--surface-option", "accuracy"], "KEY=VALUE"),
    (
        ["relax", "in.xyz", "--surface-option", "acuracy=1"],
        "the surface 'gfn2' has no option 'acuracy'; did you mean 'accuracy'? It has the options ",
    ),
    (["relax", "in.xyz", "--surface-option", "accuracy=-1"], "--surface-option accuracy must be"),
    (["relax", "in.xyz", "--surface-option", "molecule=1"], "has no option 'molecule'"),
    (["relax", "in.xyz", "--surface-option", "name=1"], "has no option 'name'"),
    (["relax", "in.xyz", "--surface-option", "kT=1"], "it has the options temperature, accuracy"),
    (["relax", "in.xyz", "--surface", "double-well:x"], "takes nothing behind a colon"),
    (["relax", "in.xyz", "--surface", "double-well", "--surface-option", "a=1"], "no option 'a'"),
    (
        ["relax", "in.xyz", "--surface", "ase", "--surface-option", "argument=1"],
        "the surface 'ase' has no option 'argument'; write it behind a colon, ase:1",
    ),
    (
        ["relax", "in.xyz", "--surface", "ase:a.B", "--surface-option", "x=1"],
        "the surface 'ase' has no option 'x'; it has the options options",
    ),
    (["relax", "in.xyz", "--frequency"], "no such option"),
    (["relax", "in.xyz", "-o", "precious.xyz"], "precious.xyz exists already"),
    (["relax", "in.xyz", "-o", "no/such/folder.xyz"], "does not exist"),
    (["relax", "in.xyz", "-o", "."], "must be a file"),
    (["relax", "in.xyz", "-o", "a.pdb"], "--output must end in .xyz or .extxyz"),
    (["push", "in.xyz", "--push", "0|1", "--peak", "a.mol"], "--peak must end in .xyz"),
    (["relax"], "missing argument"),
    (["push", "in.xyz"], "--push or --pull"),
    (["push", "in.xyz", "--push", "0-1"], '--push must look like "0,1|4", got'),
    (["push", "in.xyz", "--push", "0|1", "--pull", "1|0"], "each pair of fragments once"),
    (["push", "in.xyz", "--push", "0|9"], "must name atoms from 0 to 3"),
    (["push", "in.xyz", "--push", "0|0"], "must not share atoms"),
    (["push", "in.xyz", "--push", "0|1", "--gamma", "-5"], "--gamma must be"),
    (["push", "in.xyz", "--push", "0|1", "--gamma", "nan"], "--gamma must be"),
    (["push", "in.xyz", "--push", "0|1", "--seed", "-1"], "--seed"),
    (["push", "in.xyz", "--push", "0|1", "--peak", "precious.xyz"], "choose another --peak"),
    (["push", "in.xyz", "--push", "0|1", "--peak", "a.xyz", "-o", "a.xyz"], "another file than"),
    (["push", "in.xyz", "--push", "0|1", "--which", "1"], "--which needs --peak"),
    (
        ["push", "in.xyz", "--push", "0|1", "--peak", "a.xyz", "--which", "0"],
        "the number of a peak",
    ),
    (["ts", "overlap.xyz"], "overlap"),
    (["irc", "in.xyz"], "is not a stationary point"),
    (["surfaces", "gfn9"], "NAME must be one of"),
    (["no-such-command"], "no such command"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_misuse_is_one_sentence_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (folder / "empty.xyz").touch()
    (folder / "text.xyz").write_text("Dear diary,\n")
    (folder / "element.xyz").write_text("1\n\nZz 0 0 0\n")
    (folder / "overlap.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.1\n")
    (folder / "precious.xyz").write_text("precious")
    (folder / "radical.xyz").write_text(H2CO.replace("\n\n", "\ncharge=1\n"))
    (folder / "uranium.xyz").write_text("2\n\nU 0 0 0\nO 0 0 1.8\n")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if not line.startswith("Warning")]
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    assert words.lower() in lines[0].lower()
    assert (folder / "precious.xyz").read_text() == "precious"


def test_the_installed_command_gives_no_traceback(folder: Path) -> None:
    command = [sys.executable, "-m", "afir", "relax", "nothing.xyz"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: nothing.xyz: there is no such file; check the name\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_twice_verbose_shows_the_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["-vv", "relax", "no.xyz"], ["relax", "no.xyz", "-vv"]):
        assert main(arguments) == 2
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert "Error: no.xyz" in err


def test_verbose_tells_the_steps_and_twice_the_gradients(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["relax", "in.xyz", "-v"]) == 0
    once = capsys.readouterr().err
    assert re.search(r"INFO +relaxing took \d+ gradients", once)
    assert "DEBUG" not in once
    assert main(["relax", "in.xyz", "-vv", "--force"]) == 0
    twice = capsys.readouterr().err
    took = re.search(r"relaxing took (\d+) gradients", twice)
    assert took is not None
    assert twice.count("largest gradient") == int(took[1])


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert version("afir") in capsys.readouterr().out
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        assert "relax" in capsys.readouterr().out
    assert main(["push", "--help"]) == 0
    assert "Example: afir push" in capsys.readouterr().out


def test_help_needs_no_heavy_library() -> None:
    script = (
        "import sys; from afir.cli.main import main; main(['--help']);"
        "heavy = {'ase', 'scipy', 'matplotlib', 'sqlalchemy', 'networkx', 'tblite', 'numpy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_broken_package_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = EntryPoint("paths", "afir.cli.commands:commands", "afir.commands")
    bad = EntryPoint("extra", "afir.no_such_module:commands", "afir.commands")
    monkeypatch.setattr(afir.cli.main, "entry_points", lambda group: [bad, good])
    assert main(["--help"]) == 0
    captured = capsys.readouterr()
    assert "relax" in captured.out
    assert "Warning: no commands from afir.no_such_module:commands" in captured.err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "Stopped"),
        (PermissionError(13, "Permission denied", "run.db"), 2, "run.db: Permission denied"),
        (
            OSError(12, "Cannot allocate memory"),
            2,
            "Error: the operating system refused something: Cannot allocate memory; add -vv",
        ),
        (BrokenPipeError(32, "Broken pipe"), 2, "Error: another program that was used ended"),
        (InputError("`x` must be y,\ngot z"), 2, "Error: `x` must be y, got z"),
    ],
)
def test_how_commands_end(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    @click.command()
    def fails() -> None:
        raise error

    group = afir.cli.main.build()
    group.add_command(fails)
    monkeypatch.setattr(afir.cli.main, "build", lambda: group)
    assert main(["fails"]) == code
    assert words in capsys.readouterr().err
