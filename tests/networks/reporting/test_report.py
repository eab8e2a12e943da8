"""A run as it is read for reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drawn_network import drawn_run, write_run
from toyworld import MOLECULE, SETTINGS, toy
from toyworld import structure as toy_structure

from afir.errors import InputError
from networks import explore, open_run
from networks.exploration.events import Progress
from networks.records.runs import StoppedBy
from networks.records.structures import EQ
from networks.records.trials import Absorbed
from networks.reporting.run import load_run
from networks.reporting.show_json import show_object
from networks.reporting.tables import graph_lines, sections
from networks.storage import rows
from networks.storage.run_file import RunFile


def test_a_run_file_gives_the_same(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run.db", job="gamma = 1.0\n"))
    assert run.job == "gamma = 1.0\n"
    shown, drawn = show_object(run), show_object(drawn_run())
    for key in ("molecule", "eq", "ts", "dc", "barrierless", "surface", "seed", "complete"):
        assert shown[key] == drawn[key]
    assert shown["gradients"] == {
        "total": 73,
        "counted": 73,
        "stages": {"hessian": 13, "push": 40, "saddle": 20},
    }


def test_a_run_without_anything_is_reported_too() -> None:
    run = drawn_run(StoppedBy.INTERRUPTED, [])
    assert show_object(run)["eq"] == []
    assert graph_lines(run) == []
    assert sections(run)


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load_run(tmp_path / "no.db")
    (tmp_path / "no.db").write_text("text")
    with pytest.raises(InputError):
        load_run(tmp_path / "no.db")


def test_patience_and_the_wanted_product_are_read(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.db")
    run = load_run(path)
    assert (run.barren, run.wanted) == (0, None)
    eq2 = run.network.eqs["EQ2"]
    with RunFile.open(path, writing=True) as store:
        (trial,) = store.trials()
        barren = replace(trial, number=2, known=1, push=1, found=())
        wanted = eq2.positions, eq2.energy
        store.absorb(Absorbed(1, trial=barren, wanted=wanted), 2.5, checked=0, seen_from=2)
    run = load_run(path)
    assert (run.barren, run.wanted) == (1, "EQ2")


@pytest.mark.slow
def test_a_run_that_goes_on_while_it_is_read_is_read_as_of_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The EQs of one commit and the TSs of the next would not fit each other."""
    path = tmp_path / "run.db"
    events = explore(MOLECULE, toy_structure(0), SETTINGS, path, executor=toy)
    commits = (event for event in events if isinstance(event, Progress))
    next(commits)
    with open_run(path) as store:
        before = len(store.load_network().eqs)
    read, left = rows.eq_record, before

    def eq_record(row: Any) -> EQ:
        nonlocal left
        left -= 1
        if left == 0:
            next(commits)
            next(commits)
        return read(row)

    monkeypatch.setattr(rows, "eq_record", eq_record)
    run = load_run(path)
    assert left <= 0
    assert len(run.network.eqs) == before
    monkeypatch.undo()
    list(events)
    assert len(load_run(path).network.eqs) > before
