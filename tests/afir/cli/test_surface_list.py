"""The command surfaces: what there is to choose from."""

from __future__ import annotations

import json
import re
from importlib.metadata import EntryPoint

import pytest

from afir.cli.main import main
from afir.pes.catalogue import surface_catalogue


def test_surfaces_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["surfaces"]) == 0
    assert "GFN2-xTB" in capsys.readouterr().out
    assert main(["surfaces", "gfn2"]) == 0
    out = capsys.readouterr().out
    assert "temperature" in out
    assert "Electronic temperature in K" in out
    assert re.search(r"^ solvent +none +Name of", out, re.M)
    assert main(["surfaces", "--json"]) == 0
    names = [entry["name"] for entry in json.loads(capsys.readouterr().out)]
    assert names == sorted(names)


def test_what_goes_behind_the_colon_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["surfaces", "ase"]) == 0
    out = capsys.readouterr().out
    argument, options = out.split("--surface-option KEY=VALUE")
    assert "--surface ase:ARGUMENT" in argument
    assert "ase.calculators.emt.EMT" in argument
    assert not re.search(r"^ *argument", options, re.M)
    assert main(["surfaces", "gfn2"]) == 0
    assert "ARGUMENT" not in capsys.readouterr().out


def test_a_surface_that_cannot_be_loaded_is_still_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = EntryPoint("broken", "afir.no_such_module:factory", "afir.surfaces")
    monkeypatch.setattr("afir.options.entry_points", lambda group: [broken])
    (entry,) = surface_catalogue()
    assert entry.missing.startswith("no: ")
