"""Text from outside: whatever it holds, a terminal shows it and obeys none of it."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from commands import H2CO

from afir.cli.main import main
from afir.io.structures import read_structure
from afir.molecule import Molecule, Positions


def test_a_terminal_that_knows_few_letters_is_no_trouble(folder: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from afir.cli.main import main; main()",
            "push",
            "in.xyz",
            "--push",
            "0|1",
        ],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "eV/?" in done.stderr
    assert "? reached" in done.stdout


def test_arguments_that_are_no_utf_8_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relax", os.fsdecode(b"caf\xe9.xyz")]) == 2
    assert capsys.readouterr().err == (
        "Error: arguments must be UTF-8, got 'caf\N{REPLACEMENT CHARACTER}.xyz'; rename the file\n"
    )


def test_an_endless_argument_does_not_make_an_endless_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["relax", "in.xyz", "--charge", "9" * 5000]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: Invalid value for '--charge'")
    assert len(line) < 1100


def _hostile(folder: Path, suffix: str = "") -> tuple[str, str]:
    """A name of a file that drives a terminal, and how it is to be shown."""
    name, shown = "n\x1b[31m\x9b\n" + suffix, r"n\x1b[31m\x9b\n" + suffix
    if suffix:
        (folder / name).write_text(H2CO)
    return name, shown


@pytest.mark.parametrize(
    "arguments",
    [["relax", "{}"], ["{}"], ["relax", "in.xyz", "--charge", "{}"], ["relax", "--{}"],
     ["relax", "in.xyz", "--surface", "{}"], ["relax", "in.xyz", "--surface-option", "{}=1"],
     ["relax", "in.xyz", "--surface", "ase:{}"], ["push", "in.xyz", "--push", "{}"],
     ["show", "{}"], ["-vv", "relax", "{}"]],
)  # fmt: skip
def test_errors_show_what_cannot_be_seen(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    name, _ = _hostile(folder)
    assert main([argument.replace("{}", name) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.replace("\n", "").isprintable()
    assert r"\x1b[31m\x9b" in err
    if arguments[0] != "-vv":
        assert len(err.splitlines()) == 1


def test_names_of_files_show_what_cannot_be_seen(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, shown = _hostile(folder, ".xyz")
    (folder / name).write_text(2 * H2CO)  # of two structures one is used, with a warning
    target, target_shown = _hostile(folder)
    assert main(["relax", name, "-o", f"{target}2.xyz", "-v"]) == 0
    out, err = capsys.readouterr()
    assert f"{shown} holds 2 structures" in err
    assert f"written to {target_shown}2.xyz" in out
    for text in (out, err):
        assert text.replace("\n", "").isprintable()


def test_what_libraries_and_calculators_say_is_one_line_that_can_be_seen(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "loud.py").write_text(
        "from ase.calculators.lj import LennardJones\n"
        "class Loud(LennardJones):\n"
        "    def calculate(self, *args, **kwargs):\n"
        "        raise RuntimeError('no \\x1b[31m\\nlicence')\n"
    )
    monkeypatch.syspath_prepend(folder)

    def warning(*_: object, **__: object) -> tuple[Molecule, Positions]:
        warnings.warn("beware of \x1b[31m\nme", stacklevel=1)
        return read_structure("in.xyz")

    monkeypatch.setattr("afir.io.structures.read_structure", warning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["relax", "in.xyz", "--surface", "ase:loud.Loud", "-v"]) == 2
    err = capsys.readouterr().err
    assert err.replace("\n", "").isprintable()
    assert "Warning: beware of \\x1b[31m me\n" in err
    assert "Error: RuntimeError: no \\x1b[31m licence\n" in err
