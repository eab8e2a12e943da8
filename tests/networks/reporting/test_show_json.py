"""The object of `afir show --json`: keys, types and numbers, as documented."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drawn_network import drawn_run

from afir.units import HARTREE
from networks.reporting.show_json import show_object
from networks.scheduling.remains import Remains
from networks.scheduling.unseen import unseen
from networks.settings import Settings

NUMBER = (int, float)


STRUCTURE = {
    "id": str,
    "energy_hartree": float,
    "relative_kj_mol": float,
    "flags": list,
    "xyz": list,
}


NODE = {**STRUCTURE, "name": str}


OBJECT = {
    "schema_version": int,
    "molecule": {"formula": str, "charge": int, "multiplicity": int},
    "surface": str,
    "searched_on": str,
    "learned": bool,
    "seed": int,
    "eq": [NODE],
    "dc": [{**NODE, "origin": str}],
    "ts": [{**STRUCTURE, "imaginary_cm1": float, "ends": list, "verified": bool, "proof": Mapping}],
    "barrierless": [{"ends": list, "energy_hartree": float, "relative_kj_mol": float}],
    "trials": Mapping,
    "gradients": {"total": int, "counted": int, "stages": Mapping},
    "seconds": float,
    "complete": {"anything_left": bool, "stopped_by": str},
    "unseen": {
        "observed": int,
        "met_once": int,
        "met_twice": int,
        "trials": int,
        "estimate": float,
        "low": float,
        "high": float,
    },
    "pushes": {"listed": int, "left": int},
    "window": {"kj_mol": float, "trials_above": int, "eqs_above": int},
    "doubts": [str],
}


def _check(value: Any, wanted: Any, where: str) -> None:
    if isinstance(wanted, dict):
        assert isinstance(value, dict), where
        assert set(value) == set(wanted), where
        for key, inner in wanted.items():
            _check(value[key], inner, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert value, where
        for item in value:
            _check(item, wanted[0], f"{where}[]")
    else:
        assert isinstance(value, wanted), where


def test_keys_and_types_are_those_that_are_documented() -> None:
    remains = Remains(unseen([1, 1, 2, 5], 30), 1, 40, 10)
    limited = Settings(window_kj_mol=300.0)
    doubts = ("the surface mine: its gradient is 1.05 times the slope of its energy",)
    run = replace(drawn_run(), remains=remains, settings=limited, doubts=doubts)
    shown = json.loads(json.dumps(show_object(run)))
    _check(shown, OBJECT, "show")
    assert shown["schema_version"] == 1
    for structure in (*shown["eq"], *shown["ts"], *shown["dc"]):
        for symbol, *xyz in structure["xyz"]:
            assert isinstance(symbol, str)
            assert [type(x) for x in xyz] == [float] * 3
    for item in shown["ts"]:
        assert len(item["ends"]) == 2
        proof = set(item["proof"])
        assert {"negative_eigenvalues", "imaginary_cm1", "gradient_max", "irc"} <= proof


def test_every_key_is_in_the_page_about_it() -> None:
    page = (Path(__file__).parents[3] / "docs" / "show-json.md").read_text(encoding="utf-8")

    def keys(wanted: Any) -> set[str]:
        if isinstance(wanted, list):
            return keys(wanted[0])
        if isinstance(wanted, dict):
            return set(wanted).union(*(keys(value) for value in wanted.values()))
        return set()

    assert {key for key in keys(OBJECT) if f"`{key}`" not in page} == set()


def test_numbers() -> None:
    run = drawn_run()
    shown = show_object(run)
    assert [node["relative_kj_mol"] for node in shown["eq"]] == pytest.approx(
        [0, 216.5, 208.6, 179.6]
    )
    assert shown["eq"][0]["energy_hartree"] == pytest.approx(-7.175648095)
    assert shown["ts"][0]["energy_hartree"] * HARTREE == pytest.approx(
        run.network.tss["TS0"].energy
    )
    assert shown["ts"][1]["ends"] == ["EQ2", "EQ1"]
    assert shown["eq"][3]["flags"] == ["complex"]
    assert [node["flags"] for node in shown["dc"]] == [[], ["no_ts_known"]]
    assert [item["flags"] for item in shown["ts"]] == [[], [], [], [], [], ["loop"]]
    assert [edge["ends"] for edge in shown["barrierless"]] == [["EQ3", "DC0"], ["EQ3", "DC1"]]
    assert [edge["relative_kj_mol"] for edge in shown["barrierless"]] == pytest.approx([181, 390])
    assert shown["gradients"]["total"] == 2000 == sum(shown["gradients"]["stages"].values())
    assert shown["trials"] == {"found": 9, "no_barrier": 21}
    assert shown["complete"] == {"anything_left": True, "stopped_by": "trials"}
