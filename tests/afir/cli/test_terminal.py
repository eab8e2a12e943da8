"""What all commands share: tables, consoles, values of options."""

from __future__ import annotations

import io
import json
import logging
import re
import shlex
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.file_proxy import FileProxy

from afir.cli.terminal import (
    LiveLine,
    echo,
    log_handler,
    messages,
    option_values,
    print_json,
    print_table,
    remark,
    results,
)
from afir.errors import InputError
from afir.io.printable import printable, printable_json
from afir.io.shell import shell_command

HOSTILE = "a\x1b]0;owned\x07\x9b2J\u202e\r\n\udcffb"
SHOWN = r"a\x1b]0;owned\x07\x9b2J\u202e\r\n\udcffb"


def test_a_row_of_a_piped_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    cells = ["EQ0", " ".join(f"EQ{i}" for i in range(400)), "a[b]"]
    print_table(results(), "Title", ["<id", "<leads to", "name"], [cells])
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "EQ0" in line]
    assert re.split(r"  +", row.strip()) == cells


def test_a_narrow_terminal_loses_no_digit() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=12, highlight=False)
    print_table(console, "Title", ["<id", "energy"], [["A", "-1234.56789"]])
    assert "".join(re.findall(r"[-.\d]", stream.getvalue())) == "-1234.56789"


def test_the_log_is_printed_above_the_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    console = messages()
    # While a live line is drawn, stderr is a proxy; a second console would write past it.
    monkeypatch.setattr(sys, "stderr", FileProxy(console, sys.stderr))
    assert messages() is console
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert messages() is not console


def test_option_values() -> None:
    values = option_values(["accuracy=0.1", "spin-polarization=true", "solvent=water", "x=none"])
    assert values == {
        "accuracy": 0.1,
        "spin_polarization": True,
        "solvent": "water",
        "x": None,
    }
    for wrong in ("accuracy", "=1", "1a=2", ""):
        with pytest.raises(InputError, match="KEY=VALUE"):
            option_values([wrong])


def test_what_is_not_finite_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("inf"), "b": [1.5, (float("nan"), 2)], "c": None, "d": True})
    assert json.loads(capsys.readouterr().out) == {
        "a": None,
        "b": [1.5, [None, 2]],
        "c": None,
        "d": True,
    }


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["a=" + "9" * 5000], "must hold values of reasonable size, got 'a=999"),
        (["a=" + "[" * 100000], "must hold values of reasonable size, got 'a=[[["),
        (["a=1", "a=2"], "must give each option once, got a twice"),
    ],
)
def test_option_values_that_cannot_be_meant(pairs: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        option_values(pairs)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["run.db", "my run.db", "it's.db", "$(rm).db"])
def test_suggested_commands_name_the_file_whatever_its_name(name: str) -> None:
    suggested = shell_command("afir", "show", name)
    assert suggested[0] == suggested[-1] == "`"
    assert shlex.split(suggested[1:-1]) == ["afir", "show", name]


@given(st.text())
def test_what_cannot_be_seen_is_written_as_an_escape(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text
    quoted = json.dumps([text], ensure_ascii=False)
    assert json.loads(printable_json(quoted)) == [text]
    assert printable_json(quoted).isprintable()


class _Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_no_orders_of_others_reach_the_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said of a hostile name is what is said of its escapes, colours and all."""

    def told(name: str) -> str:
        stream = _Terminal() if terminal else io.StringIO()
        for each in ("stdout", "stderr"):
            monkeypatch.setattr(sys, each, stream)
        monkeypatch.setenv("COLUMNS", "200")
        print_table(results(), f"Title {name}", [f"<{name}", "n"], [(f"cell {name}", 1)])
        print_table(results(), "Prose", ["<what"], [((name, f"{name} 2"),)], prose=True)
        echo(f"echo {name}", f"line {name}", err=True)
        remark(f"remark {name}")
        with LiveLine(messages(), f"live {name}") as line:
            line.say(f"said {name}")
        record = logging.LogRecord("afir", logging.INFO, "", 0, "log %s", (name,), None)
        log_handler(times=False).emit(record)
        return stream.getvalue()

    assert told(HOSTILE) == told(SHOWN)
    if not terminal:  # a record is one line, however long
        assert f"INFO     log {'word ' * 60}end\n" in told(f"{'word ' * 60}end")
    assert told(SHOWN).count(SHOWN) >= 10


def test_json_escapes_what_cannot_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({HOSTILE: [HOSTILE]})
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert json.loads(out) == {HOSTILE: [HOSTILE]}


def test_no_line_of_piped_output_ends_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("EQ0", "1.0", "x" * 300), ("EQ1", "-12.5", ""), ("", "", ("two", "lines"))]
    print_table(results(), "Title", ["<id", "kJ/mol", "<long"], rows)
    print_table(results(), "Title", ["<id", "kJ/mol", "<long"], [(*row[:2], "") for row in rows])
    print_table(results(), "Prose", ["<what", "<why"], [("a " * 90, "b"), ("c", "")], prose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    wide, prose = lines.index("Title"), lines.index("Prose")
    assert lines[wide + 2 : wide + 6] == [
        " id    kJ/mol   long",
        " " + "─" * (3 + 3 + 6 + 3 + 300),
        " EQ0      1.0   " + "x" * 300,
        " EQ1    -12.5",
    ]
    assert lines[wide + 7] == " " * 16 + "lines"
    narrow = lines.index("Title", wide + 1)
    assert max(map(len, lines[narrow:prose])) < 30
    assert 50 < max(map(len, lines[prose:])) <= 100
