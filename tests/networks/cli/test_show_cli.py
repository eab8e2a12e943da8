"""The commands that read a run, through the real command line: show, export, plot."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import networkx as nx
import pytest

from afir.cli.main import main
from networks.storage.run_file import RunFile


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


def test_a_run_that_is_being_written_is_shown_as_such(
    run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunFile.open(run_file, writing=True):
        assert main(["show", "run.db"]) == 0
    out = capsys.readouterr().out
    assert f"process {os.getpid()} on {socket.gethostname()} is still running it" in out
    assert "afir resume" not in out
    assert main(["show", "run.db"]) == 0
    assert "still running it" not in capsys.readouterr().out


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
    route = ["--from", "EQ0", "--to", "EQ3"]
    for name, flags in (("few.svg", []), ("all.svg", ["--loops"])):
        assert main(["plot", "run.db", "-o", name, *flags]) == 0
        assert ("TS5 650" in Path(name).read_text()) == bool(flags)
    assert main(["plot", "run.db", "-o", "a.svg", "--loops", "--mark", *route]) == 0
    assert "TS5 650" in Path("a.svg").read_text()
    capsys.readouterr()
    assert main(["plot", "run.db", "-o", "b.svg", "--loops", *route]) == 2
    assert "--loops goes with --from and --to only together with --mark" in capsys.readouterr().err


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
