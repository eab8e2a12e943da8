from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from runs import planned, snapshot
from toyworld import (
    MOLECULE,
    SADDLES,
    SETTINGS,
    answer,
    point,
    proof,
    saddle_energy,
    structure,
    toy,
    trial,
)

from afir.errors import InputError
from afir.stationary import Candidate, Outcome
from networks import RunFile, explore, open_run, resume
from networks.execution.tasks import Characterise, Confirm, Examine, Label, TaskResult
from networks.exploration.events import Event, Found, Rejected, TrialDone
from networks.records.runs import Complete, StoppedBy
from networks.records.structures import Dismissed
from networks.records.trials import Absorbed, Item, Key
from networks.scheduling.history import History
from networks.storage.codec import Result, decode, encode, pack, unpack
from networks.storage.sqlite import Database, StoreError

JOB = "[job]\nname = 'x'\n"


def results() -> list[Result]:
    """Results of every kind."""
    trials = [value for code in range(1, 12) if (value := trial(3, code * 1003)) is not None]
    proofs = [
        proof(Confirm(Candidate(structure(a, b), saddle_energy(a, b), np.eye(12), "raw")))
        for a, b in list(SADDLES.values())[:20]
    ]
    assert {p.outcome for p in proofs} == {Outcome.CONFIRMED, Outcome.WRONG_ORDER}
    assert {t.outcome for t in trials} >= {Outcome.FOUND, Outcome.NO_BARRIER}
    return [*trials, *proofs, point(structure(2), -1.25, 1)]


def test_results_are_stored_without_loss() -> None:
    for value in results():
        text, arrays = encode(value)
        again = decode(text, arrays)
        assert type(again) is type(value)
        assert encode(again) == (text, arrays)
        json.loads(text)


def test_arrays_are_plain_npy_bytes(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(3, 2, 4))
    (tmp_path / "a.npy").write_bytes(pack(array))
    assert np.array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), array)
    assert b"'<f8'" in pack(array.astype(">f8"))
    assert np.array_equal(unpack(pack(array[:, ::-1])), array[:, ::-1])


def test_arrays_that_nobody_wrote_are_refused() -> None:
    blob = pack(np.ones((2, 3)))
    for damaged in (b"", blob[:5], blob[:70], blob[:-1], b"x" + blob[1:], blob[:8]):
        with pytest.raises(ValueError, match=r"must|smaller"):
            unpack(damaged)
    for other in (np.ones(3, dtype=">f8"), np.ones((2, 2), order="F"), np.ones(2, dtype=np.int8)):
        stream = BytesIO()
        np.save(stream, other)
        with pytest.raises(ValueError, match="must hold float64 row by row"):
            unpack(stream.getvalue())
    for shape in ((1,), (0, 6, 3), (2, 1, 4)):
        array = np.random.default_rng(0).normal(size=shape)
        assert unpack(pack(array)).shape == shape


def test_a_new_run_knows_what_it_was_given(tmp_path: Path) -> None:
    RunFile.create(tmp_path / "run", MOLECULE, structure(0), SETTINGS, JOB).close()
    with open_run(tmp_path / "run") as store:
        assert store.molecule == MOLECULE
        assert np.array_equal(store.start, structure(0))
        assert store.settings == SETTINGS
        assert store.job == JOB
        assert store.stages == 0
        assert store.planned() == []
        assert store.summary().complete == Complete(True, StoppedBy.INTERRUPTED)


def test_trials_in_flight_are_kept(tmp_path: Path) -> None:
    plans = [planned(4), replace(planned(5), ceiling=None, gamma=250.0)]
    lost = TaskResult(None, Outcome.TIMED_OUT, "killed", Counter(), 0.0)
    with RunFile.create(tmp_path / "run", MOLECULE, structure(0), SETTINGS) as store:
        store.plan(plans)
        for index, value in enumerate(results()):
            done = TaskResult(value, None, "", Counter({"push": 3, "path": index}), 0.5)
            store.add_result(4, Key("push", index), done, 7.5)
        store.add_result(4, Key("confirm", 0), lost, 8.5)
    with open_run(tmp_path / "run") as store:
        assert store.planned() == plans
        assert store.seconds == 8.5
        assert set(store.results()) == {4}
        kept = store.results()[4].answers
        assert len(kept) == len(results()) + 1
        for index, value in enumerate(results()):
            again = kept[Key("push", index)]
            assert again.value is not None
            assert encode(again.value) == encode(value)
            assert again.gradients == Counter({"push": 3, "path": index})
        assert kept[Key("confirm", 0)].outcome is Outcome.TIMED_OUT
        # Work that is done counts even before its trial is judged.
        assert store.summary().gradients["push"] == 3 * len(results())


def test_a_new_window_forgets_what_lay_outside_and_trials_in_flight_know_it(tmp_path: Path) -> None:
    x, kinds = structure(0), (Outcome.OUTSIDE_WINDOW, Outcome.WRONG_ORDER) * 2
    records = tuple(Dismissed("TS", x, float(k), kind, "", None, 1) for k, kind in enumerate(kinds))
    flying = [
        replace(planned(number), known=planned(number).known._replace(dismissed=known))
        for number, known in ((2, 0), (3, 3), (4, 4))
    ]
    with RunFile.create(tmp_path / "run", MOLECULE, x, SETTINGS) as store:
        store.absorb(Absorbed(0, dismissed=records), 1.0, checked=0, seen_from=1)
        store.plan(flying)
        store.change_settings(replace(SETTINGS, window_kj_mol=300.0))
        assert [d.energy for d in store.dismissed()] == [1.0, 3.0]
        assert [each.known.dismissed for each in store.planned()] == [0, 1, 2]


@pytest.mark.slow
def test_what_was_found_is_read_back(tmp_path: Path) -> None:
    told = list(explore(MOLECULE, structure(0), SETTINGS, tmp_path / "run", executor=toy))
    with open_run(tmp_path / "run") as store:
        network = store.load_network()
        records = {**network.eqs, **network.tss, **network.dcs}
        found = [event.record for event in told if isinstance(event, Found)]
        assert sorted(records) == sorted(record.id for record in found)
        for record in found:
            for field in fields(record):
                value, again = getattr(record, field.name), getattr(records[record.id], field.name)
                if isinstance(value, np.ndarray):
                    assert np.array_equal(value, again)
                    assert value.shape == again.shape
                elif field.name != "no_ts_known":  # a later TS may have changed it
                    assert value == again
        trials = list(store.trials())
        assert trials == [event.trial for event in told if isinstance(event, TrialDone)]
        assert {t.method for t in trials} == set(SETTINGS.methods)
        rejected = [event.dismissed.reason for event in told if isinstance(event, Rejected)]
        assert [d.reason for d in store.dismissed() if d.node is None] == rejected
        history = History(trials)
        used = list(history.used())
        assert [(item, left) for item, left, _ in used] == [
            (Item(t.eq, t.push), t.pushes_left) for t in trials
        ]
        forced = [t for t in trials if t.offered.forces]
        assert [item for item, _, result in used if result.name == "MISSED"] == [
            Item(t.eq, t.push) for t in forced if t.crossed and t.outcome is Outcome.NO_SADDLE
        ]
        # Every push of an EQ is used once, and the last of them leaves none.
        for id in {item.eq for item, _, _ in used}:
            left = [count for item, count, _ in used if item.eq == id]
            # What follows are further attempts.
            firsts = 1 + left[0]
            assert left[:firsts] == list(range(firsts))[::-1]
            assert not any(left[firsts:])
        summary = store.summary()
        assert summary.trials == Counter(t.outcome for t in trials)
        assert sum(summary.rejected.values()) == len(rejected)
        own = Counter[str]()
        for t in trials:
            own.update(t.gradients)
        other = answer(Characterise(structure(0))).gradients
        other += answer(Examine(structure(0), (0,))).gradients
        failed = {t.number for t in trials if t.error}
        failed |= {d.trial for d in store.dismissed() if d.outcome is Outcome.SURFACE_FAILED}
        # EQ0 once more when the surface failed, with every 16th trial, and at the end.
        for _ in range(len(failed) + -(-len(trials) // 16)):
            other += answer(Label(structure(0))).gradients
        assert Counter(summary.gradients) - own == other
        assert store.gradients() == sum(summary.gradients.values())
        last = max(t.number for t in trials if t.found)
        assert history.barren() == len(trials) - last
        assert summary.complete == Complete(False, StoppedBy.NOTHING_LEFT)


def test_nothing_in_a_run_file_is_pickled(tmp_path: Path) -> None:
    with RunFile.create(tmp_path / "run", MOLECULE, structure(0), SETTINGS) as store:
        for index, value in enumerate(results()):
            done = TaskResult(value, None, "", Counter(), 0.5)
            store.add_result(1, Key("push", index), done, 7.5)
    with sqlite3.connect(tmp_path / "run") as connection:
        blobs = [row[0] for row in connection.execute("SELECT arrays FROM results")]
        blobs += [row[0] for row in connection.execute("SELECT start FROM run")]
    connection.close()
    assert all(blob == b"" or blob.startswith(b"\x93NUMPY") for blob in blobs)


def test_a_closed_run_is_one_plain_file(tmp_path: Path) -> None:
    with RunFile.create(tmp_path / "run", MOLECULE, structure(0), SETTINGS):
        assert (tmp_path / "run-lock").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    shutil.copy(tmp_path / "run", tmp_path / "copy")
    open_run(tmp_path / "copy").close()


@pytest.mark.parametrize("begin", ["explore", "resume", "open"])
def test_what_is_dropped_is_given_back(tmp_path: Path, begin: str) -> None:
    path = tmp_path / "run"
    if begin == "explore":
        held: object = explore(MOLECULE, structure(0), SETTINGS, path)
    else:
        RunFile.create(path, MOLECULE, structure(0), SETTINGS).close()
        held = resume(path) if begin == "resume" else RunFile.open(path, writing=True)
    assert (tmp_path / "run-lock").exists()
    # Never iterated and never closed, only forgotten.
    del held
    assert [file.name for file in tmp_path.iterdir()] == ["run"]
    RunFile.open(path, writing=True).close()


def test_what_is_held_at_the_end_of_the_process_is_given_back(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from runs import HCN, HCN_START; from networks import Settings, explore\n"
        "events = explore(HCN, HCN_START, Settings(), Path(sys.argv[1]))\n"
        "if os.fork() == 0: sys.exit()  # a child gives nothing back\n"
        "assert os.wait()[1] == 0\n"
        "assert Path(sys.argv[1] + '-lock').exists()\n"
    )
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "run")],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("3\nwater\n" * 1000)
    (tmp_path / "empty").touch()
    connection = sqlite3.connect(tmp_path / "other")
    connection.execute("CREATE TABLE run (numbers TEXT)")
    connection.close()
    for name in ("text", "empty", "other", "missing", "."):
        for writing in (False, True):
            with pytest.raises(InputError, match=r"must be|does not exist|is not a file"):
                RunFile.open(tmp_path / name, writing=writing)
    assert (tmp_path / "text").read_text().startswith("3\nwater")
    assert not (tmp_path / "missing").exists()
    assert not list(tmp_path.glob("*-lock"))


def test_a_damaged_run_is_not_taken_for_another_file(tmp_path: Path) -> None:
    RunFile.create(tmp_path / "run", MOLECULE, structure(0), SETTINGS).close()
    connection = sqlite3.connect(tmp_path / "run")
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE (' WHERE name = 'run'")
    connection.commit()
    connection.close()
    with pytest.raises(InputError, match=r"run file of .afir explore.: malformed database schema"):
        open_run(tmp_path / "run")
    with sqlite3.connect(tmp_path / "other") as connection:
        connection.execute("CREATE TABLE eqs (number INTEGER)")
    connection.close()
    with pytest.raises(InputError, match=r"run file of .afir explore.: it holds no run$"):
        open_run(tmp_path / "other")


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    RunFile.create(tmp_path / "run", MOLECULE, structure(0), SETTINGS).close()
    connection = sqlite3.connect(tmp_path / "run")
    connection.execute("UPDATE run SET schema_version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(InputError, match="schema version 8, got 99"):
        open_run(tmp_path / "run")


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("precious")
    with pytest.raises(InputError, match="new file"):
        RunFile.create(tmp_path / "run", MOLECULE, structure(0), SETTINGS)
    assert (tmp_path / "run").read_text() == "precious"
    with pytest.raises(InputError, match="directory that exists"):
        RunFile.create(tmp_path / "no" / "run", MOLECULE, structure(0), SETTINGS)


def test_a_run_has_one_writer_and_any_number_of_readers(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunFile.create(path, MOLECULE, structure(0), SETTINGS) as store:
        with pytest.raises(InputError, match="process"):
            RunFile.open(path, writing=True)
        code = (
            "import sys; from pathlib import Path; from networks.storage.run_file import RunFile\n"
            "RunFile.open(Path(sys.argv[1])).close()\n"
            "RunFile.open(Path(sys.argv[1]), writing=True)"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
        )
        assert "InputError" in other.stderr
        # Of which machine, too: on a shared file system it may be another one.
        holder = f"{os.getpid()} on {socket.gethostname()}"
        assert f"is being written by process {holder}; wait for it" in other.stderr
        store.plan([planned(1)])
        reader = open_run(path)
        assert reader.planned() == [planned(1)]
    assert reader.planned() == [planned(1)]
    RunFile.open(path, writing=True).close()
    reader.close()


@pytest.mark.slow
def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed, path = tmp_path / "whole", tmp_path / "run"
    for _ in explore(MOLECULE, structure(0), SETTINGS, undisturbed, executor=toy):
        pass
    prepare = Database.prepare
    pages = 60

    def on_a_small_disk(self: Database) -> None:
        prepare(self)
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    monkeypatch.setattr(Database, "prepare", on_a_small_disk)
    events = explore(MOLECULE, structure(0), SETTINGS, path, executor=toy)
    told: list[Event] = []
    with pytest.raises(StoreError, match=r"full.*resume"):
        told.extend(events)
    with open_run(path) as store:
        found = {event.record.id for event in told if isinstance(event, Found)}
        network = store.load_network()
        assert found == {*network.eqs, *network.tss, *network.dcs}
        assert len(found) > 2
    while pages < 10_000:
        pages *= 2
        try:
            for _ in resume(path, executor=toy):
                pass
            break
        except StoreError:
            continue
    assert snapshot(path) == snapshot(undisturbed)


def test_a_run_that_cannot_start_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shape"):
        explore(MOLECULE, structure(0)[:3], SETTINGS, tmp_path / "run")
    assert not list(tmp_path.iterdir())
