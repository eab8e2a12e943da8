"""What all commands share: tables, consoles, values of options."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest
from rich.console import Console
from rich.file_proxy import FileProxy

from afir.errors import InputError
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
