"""Options of the network commands that make no sense: one sentence, exit code 2."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from drawn_network import write_run

from afir.cli.main import main
from networks.reporting.advice import advice
from networks.reporting.run import load_run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hcn.xyz").write_text("3\n\nH 0.0 0.02 -1.06\nC 0.0 0.0 0.0\nN 0.01 0.0 1.14\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
        ("0-99999", "target atoms must be from 0 to 2 for CHN, got 3"),
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
