"""Damaged run files: what changed is noticed, and told in one sentence."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from runs import in_a_child, snapshot, toy_run

from afir.errors import AfirError
from networks import open_run
from networks.exploration.events import Progress
from networks.reporting.run import load_run
from networks.storage.codec import pack, unpack
from networks.storage.sqlite import StoreError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    path = tmp_path_factory.mktemp("whole") / "run"
    list(toy_run(path))
    return path


def _tables(path: Path) -> dict[str, list[str]]:
    """The columns of each table that has rows."""
    with sqlite3.connect(path) as connection:
        names = [
            r[0] for r in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        tables = {
            name: [r[1] for r in connection.execute(f"PRAGMA table_info({name})")]
            for name in names
            if connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        }
    connection.close()
    return tables


def _read_all(path: Path) -> None:
    """Read everything there is."""
    load_run(path)
    with open_run(path) as store:
        store.results()
        store.planned()
        list(store.labels())
        store.models()


def _said_of(path: Path) -> str | None:
    """What is said of a damaged file; None if it is read."""
    try:
        _read_all(path)
    except AfirError as error:
        return str(error)
    return None


def _altered(path: Path, copy: Path, *statements: str) -> None:
    shutil.copy(path, copy)
    connection = sqlite3.connect(copy)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with trials in flight."""
    path = tmp_path_factory.mktemp("halfway") / "run"
    events = toy_run(path)
    for event in events:
        if isinstance(event, Progress) and event.trials == 60:
            break
    for _ in range(8):
        next(events)
    events.close()  # type: ignore[attr-defined]
    return path


@pytest.mark.slow
def test_a_value_that_changed_is_noticed_in_every_column(halfway: Path, tmp_path: Path) -> None:
    tables = _tables(halfway)
    parts = {"run", "eqs", "tss", "dcs", "trials", "stages", "planned", "dismissed", "results"}
    assert set(tables) >= parts
    copy = tmp_path / "copy"
    for table, columns in tables.items():
        for column in columns:
            if column == "schema_version":
                continue
            other = 1 if column in ("crossed", "anything_left") else 1001
            value = f"""CASE typeof("{column}")
                WHEN 'integer' THEN {other} - "{column}"
                WHEN 'real' THEN "{column}" * 1.00000001 + 1e-9
                WHEN 'blob' THEN zeroblob(length("{column}") + 1)
                WHEN 'text' THEN "{column}" || ' ' ELSE 'x' END"""
            last = f"rowid = (SELECT max(rowid) FROM {table})"
            _altered(halfway, copy, f'UPDATE {table} SET "{column}" = {value} WHERE {last}')
            with pytest.raises(StoreError, match="copy is damaged"):
                _read_all(copy)
            # SQLite keeps them whole.
            if column == "number" or (table, column) == ("planned", "stage"):
                continue
            _altered(halfway, copy, f"UPDATE {table} SET \"{column}\" = x'80ff' WHERE {last}")
            if column not in ("crossed", "anything_left"):  # where it is as good as yes
                with pytest.raises(StoreError, match="copy is damaged"):
                    _read_all(copy)
            text = f"UPDATE {table} SET \"{column}\" = CAST(x'80ff' AS TEXT) WHERE {last}"
            _altered(halfway, copy, text)
            with pytest.raises(AfirError, match=r"copy .*go back to a copy of it"):
                _read_all(copy)


def test_a_name_of_a_table_that_is_no_text_is_told(halfway: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    content = halfway.read_bytes()
    assert content.count(b"CREATE TABLE eqs (") == 1
    path.write_bytes(content.replace(b"CREATE TABLE eqs (", b"CREATE TABL\xe2 eqs ("))
    said = _said_of(path)
    assert said is not None
    assert "a text in it is not UTF-8" in said


def test_a_row_that_vanished_is_noticed(halfway: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for table in _tables(halfway):
        _altered(
            halfway, copy, f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})"
        )
        with pytest.raises(AfirError, match=r"copy (is damaged|must be a run)"):
            _read_all(copy)


@pytest.mark.slow
def test_damage_anywhere_is_noticed_or_does_no_harm(halfway: Path, tmp_path: Path) -> None:
    content, copy = halfway.read_bytes(), tmp_path / "copy"
    expected = snapshot(halfway)
    rng = np.random.default_rng(6)
    noticed = 0
    for case in range(150):
        damaged = bytearray(content)
        at = int(rng.integers(len(content)))
        if case % 3 == 0:
            damaged[at] ^= 1 << int(rng.integers(8))
        elif case % 3 == 1:
            # Where there is most to go wrong: the heads of pages.
            at = 4096 * int(rng.integers(len(content) // 4096)) + int(rng.integers(40))
            damaged[at] ^= 1 << int(rng.integers(8))
        elif case % 2:
            del damaged[at:]
        else:
            damaged[at : at + 200] = rng.bytes(len(damaged[at : at + 200]))
        copy.write_bytes(damaged)
        said = _said_of(copy)
        if said is None:
            assert snapshot(copy) == expected
        else:
            assert "copy" in said
            assert said.isprintable()
            noticed += 1
        for left in tmp_path.glob("copy-*"):
            left.unlink()
    assert noticed > 50


@pytest.mark.slow
def test_a_copy_over_what_was_killed_is_noticed(halfway: Path, tmp_path: Path, whole: Path) -> None:
    """What the killed run had not yet in its file would be laid over the copy."""
    path = tmp_path / "run"

    def begin() -> None:
        events = toy_run(path)
        for event in events:
            if isinstance(event, Progress) and event.trials == 1:
                break
        next(events)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(begin) == -signal.SIGKILL
    shutil.copy(whole, path)
    assert (tmp_path / "run-wal").stat().st_size
    with pytest.raises(AfirError, match=r"run (is damaged|must be).*without the run-wal"):
        _read_all(path)


@pytest.mark.parametrize("shape", ["(1000000000000, 3)", "(3, -3)", "(99999999999999999999,)"])
def test_no_memory_is_asked_for_what_a_header_says(shape: str) -> None:
    blob = pack(np.ones((2, 3)))
    head = blob[:-48].rstrip(b" \n").replace(b"(2, 3)", shape.encode())
    forged = head.ljust(len(blob) - 49)[: len(blob) - 49] + b"\n" + blob[-48:]
    with pytest.raises(ValueError, match="stored array must hold"):
        unpack(forged)
