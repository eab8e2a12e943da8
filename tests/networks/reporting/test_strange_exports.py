"""Formats of other packages: one file and an entry point are enough, and none breaks the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_network import drawn_run, write_run

from afir.cli.main import main
from afir.errors import AfirError, InputError
from networks.reporting.export import ExportFormat, export, format_names

DOT = '''\
"""Networks for Graphviz."""

from networks import ExportFormat


def write(run, files):
    """Nodes, and an edge for each transition state."""
    lines = ["graph network {"]
    for node in [*run.network.eqs.values(), *run.network.dcs.values()]:
        lines.append(f"  {node.id};")
    for ts in run.network.tss.values():
        lines.append(f"  {ts.ends[0]} -- {ts.ends[1]} [label={ts.id}];")
    files[0].write_text("\\n".join([*lines, "}"]) + "\\n", encoding="utf-8")


dot = ExportFormat(write, suffixes=(".gv", ".dot"))
'''

WRONG = """\
from networks import ExportFormat


def raises(run, files):
    files[0].write_text("half")
    {}["a key"]


def half(run, files):
    files[0].write_text("half")


def folder(run, files):
    files[0].mkdir()
    (files[0] / "one").write_text("one")


folders = ExportFormat(folder)
raising = ExportFormat(raises, suffixes=(".raises",))
silent = ExportFormat(lambda run, files: None, suffixes=(".two",))
parts = ExportFormat(half, suffixes=(".parts", ".two", ".json"), parts=("a", "b"))
function = half
"""

POINTS = """\
[afir.exports]
broken = not_installed:format
folders = wrong_formats:folders
function = wrong_formats:function
json = wrong_formats:parts
parts = wrong_formats:parts
raising = wrong_formats:raising
silent = wrong_formats:silent
"""


def package(folder: Path, name: str, source: str, points: str) -> Path:
    """Install a package of one module into a folder, as pip would."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(points)
    return folder


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(package(folder, "wrong_formats", WRONG, POINTS))
    return tmp_path


@pytest.mark.slow
def test_a_format_in_one_file_works_on_the_command_line(tmp_path: Path) -> None:
    write_run(tmp_path / "run.db")
    (tmp_path / "packages").mkdir()
    folder = package(
        tmp_path / "packages", "graphviz_export", DOT, "[afir.exports]\ndot = graphviz_export:dot\n"
    )
    paths = os.pathsep.join([str(folder), *filter(None, sys.path)])

    def afir(*arguments: str) -> str:
        command = [sys.executable, "-m", "afir", *arguments]
        environment = dict(os.environ, PYTHONPATH=paths)
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout

    assert "|dot|" in afir("export", "--help")
    assert afir("export", "run.db", "-o", "net.gv") == "Written: net.gv\n"
    afir("export", "run.db", "-o", "net.txt", "--format", "dot")
    written = (tmp_path / "net.gv").read_text()
    assert (tmp_path / "net.txt").read_text() == written
    network = drawn_run().network
    lines = written.splitlines()
    assert sum(" -- " in line for line in lines) == len(network.tss)
    assert "  EQ2 -- EQ1 [label=TS1];" in lines


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raising", "the export 'raising' failed: KeyError: 'a key'"),
        ("silent", "the export 'silent' must write .*/net.x, got no such file"),
        ("parts", "the export 'parts' must write .*/net_b.x, got no such file"),
        ("folders", "the export 'folders' must write .*/net.x, got a directory"),
        ("function", "the export 'function' must be a `networks.ExportFormat`, got <function half"),
        ("broken", "the export 'broken' cannot be loaded: ModuleNotFoundError: No module named"),
    ],
)
def test_a_format_that_fails_is_named_and_leaves_no_file(
    wrong: Path, name: str, words: str
) -> None:
    (wrong / "net.x").write_text("precious")
    with pytest.raises(AfirError, match=f"^{words}"):
        export(drawn_run(), wrong / "net.x", name, overwrite=True)
    assert (wrong / "net.x").read_text() == "precious"
    assert sorted(path.name for path in wrong.iterdir()) == ["net.x", "packages"]


def test_a_suffix_and_a_name_of_this_package_keep_their_meaning(wrong: Path) -> None:
    for name in (None, "json"):
        (written,) = export(drawn_run(), wrong / "net.json", name, overwrite=True)
        assert written == wrong / "net.json"
    with pytest.raises(InputError, match=r"not clear; give --format parts\|silent$"):
        export(drawn_run(), wrong / "net.two")
    with pytest.raises(InputError, match=r"one of the suffixes .*\.graphml .*\.raises"):
        export(drawn_run(), wrong / "net.three")


def test_a_broken_format_does_not_stop_the_commands(
    wrong: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(wrong / "run.db")
    monkeypatch.chdir(wrong)
    assert main(["export", "run.db", "-o", "net.graphml"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["export", "run.db", "-o", "net.raises"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == "Error: the export 'raising' failed: KeyError: 'a key'"
    assert not Path("net.raises").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"write": None}, "`write` must be a function, got None"),
        ({"suffixes": ".dot"}, r"`suffixes` must be a tuple of texts, got '.dot'"),
        ({"suffixes": ("dot",)}, r"`suffixes` must be like .graphml, in lower case, got 'dot'"),
        ({"suffixes": (".DOT",)}, r"`suffixes` must be like .graphml, in lower case, got '.DOT'"),
        ({"suffixes": (".tar.gz",)}, r"`suffixes` must be like .graphml, .*, got '.tar.gz'"),
        ({"suffixes": (".a/b",)}, r"`suffixes` must be like .graphml, .*, got '.a/b'"),
        ({"parts": ("a", "b", "a")}, r"`parts` must be different words, got \('a', 'b', 'a'\)"),
        ({"parts": ("a", "../b")}, r"`parts` must be different words, got \('a', '../b'\)"),
        ({"parts": ("a\0", "b")}, r"`parts` must be different words, got \('a\\x00', 'b'\)"),
        ({"parts": ("",)}, r"`parts` must be a tuple of texts, got \(''\,\)"),
    ],
)
def test_a_format_that_can_name_no_file_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=f"^{words}$"):
        ExportFormat(**{"write": print, **values})  # type: ignore[arg-type]


def test_names_are_listed_without_loading_any(wrong: Path) -> None:
    assert {"broken", "function", "graphml", "csv"} <= set(format_names())
