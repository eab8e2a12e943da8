"""What all commands share: tables, consoles, values of options."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys

import pytest
from rich.console import Console
from rich.file_proxy import FileProxy

from afir.errors import InputError
from afir.shell import shell_command
from afir.terminal import messages, option_values, print_json, print_table, results


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
