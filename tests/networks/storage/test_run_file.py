"""The run file between what may befall a file: kills, moves, links, other disks, damage."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from runs import commits, in_a_child, planned, snapshot, toy_run
from toyworld import MOLECULE, SETTINGS, Shuffled, by, structure, toy

from afir.errors import AfirError, InputError
from afir.stationary import Outcome
from networks import RunFile, explore, open_run, resume
from networks.execution.tasks import TaskResult
from networks.exploration.events import TaskDone
from networks.records.trials import Key
from networks.reporting.run import load_run
from networks.storage.lock import Lock, writer
from networks.storage.sqlite import StoreError


def _resumed(path: Path) -> dict[str, Any]:
    """What a run comes to in the end."""
    for _ in resume(path, executor=toy):
        pass
    return snapshot(path)


def _refused(path: Path) -> bool:
    """Whether another process may not write a run file."""

    def work() -> None:
        with pytest.raises(InputError, match=rf"by process {os.getppid()}"):
            RunFile.open(path, writing=True)

    return in_a_child(work) == 0


# -- made at once ----------------------------------------------------------------------------


def _killed_at_line(number: int, work: Callable[[], object]) -> bool:
    """Kill a child at its n-th line in what makes and opens files; False if it ended before."""
    ours = ("sqlite.py", "lock.py", "seal.py", "store.py")

    def work_traced() -> None:
        left = number

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            if Path(frame.f_code.co_filename).name not in ours:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        work()
        sys.settrace(None)

    return in_a_child(work_traced) == -signal.SIGKILL


@pytest.mark.slow
def test_killed_anywhere_while_it_is_made_a_run_is_there_or_not(tmp_path: Path) -> None:
    path, there, linked, line = tmp_path / "run", 0, 0, 0
    while True:
        line += 2
        for file in tmp_path.iterdir():
            file.unlink()

        def make() -> None:
            RunFile.create(path, MOLECULE, structure(0), SETTINGS)

        if not _killed_at_line(line, make):
            break
        linked += (tmp_path / ".run.unfinished").exists() and path.exists()
        if path.exists():
            there += 1
            assert load_run(path).molecule == MOLECULE
            RunFile.open(path, writing=True).close()
        else:
            RunFile.create(path, MOLECULE, structure(0), SETTINGS).close()
        # Nothing of the one that was killed is left, and nothing hinders.
        assert [file.name for file in tmp_path.iterdir()] == ["run"]
    assert linked  # when it had both names
    assert 5 < there < line / 2 - 5


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    RunFile.create(tmp_path / "run", MOLECULE, structure(0), SETTINGS).close()
    assert [file.name for file in tmp_path.iterdir()] == ["run"]
    open_run(tmp_path / "run").close()


@pytest.mark.slow
def test_what_another_run_left_is_not_mixed_in(tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "run"
    events = commits(toy_run(path))
    next(events)
    log = (tmp_path / "run-wal").read_bytes()
    events.close()  # type: ignore[attr-defined]
    path.unlink()
    (tmp_path / "run-wal").write_bytes(log)
    with pytest.raises(InputError, match=r"run-wal must not be there.*or remove it"):
        toy_run(path)
    assert not path.exists()
    (tmp_path / "run-wal").unlink()
    list(toy_run(path))
    assert snapshot(path) == snapshot(whole)


# -- alone -----------------------------------------------------------------------------------


def test_files_of_others_beside_a_run_stay(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "run-new"
    copy.write_text("notes")
    RunFile.create(run, MOLECULE, structure(0), SETTINGS).close()
    RunFile.open(run, writing=True).close()
    assert copy.read_text() == "notes"


def test_a_text_that_is_no_utf_8_is_kept_as_escapes(tmp_path: Path) -> None:
    result = TaskResult(None, Outcome.SURFACE_FAILED, "said \udcff", Counter(), 0.0)
    with RunFile.create(tmp_path / "run", MOLECULE, structure(0), SETTINGS) as store:
        store.add_result(0, Key("characterise", 0), result, 1.0)
    with RunFile.open(tmp_path / "run") as store:
        (kept,) = store.results()[0].answers.values()
    assert kept.error == r"said \udcff"


@pytest.mark.slow
def test_after_every_trial_the_file_alone_is_the_run(tmp_path: Path) -> None:
    path, copy = tmp_path / "run", tmp_path / "copy"
    events = toy_run(path)
    shutil.copy(path, copy)  # before anything is done
    with open_run(copy) as store:
        assert store.stages == 0
    with open_run(path) as reader:  # as in a notebook
        for event in commits(events):
            shutil.copy(path, copy)
            with open_run(copy) as store:
                assert len(list(store.trials())) == event.trials
                assert len(store.load_network().eqs) == event.eqs
        assert reader.summary().complete.stopped_by.name == "NOTHING_LEFT"
        shutil.copy(path, copy)
    assert load_run(copy).summary.complete.stopped_by.name == "NOTHING_LEFT"


def test_a_file_without_its_log_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for size in (0, 4096):
        connection = sqlite3.connect(path)
        if size:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        assert path.stat().st_size == size
        for writing in (False, True):
            with pytest.raises(InputError, match=r"it holds no run.*without run-wal"):
                RunFile.open(path, writing=writing)
        path.unlink()


def test_a_copy_where_nothing_can_be_written_is_read(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        events = commits(toy_run(tmp_path / "run"))
        next(events)
        copy = Path(shutil.copy(tmp_path / "run", name))
        Path(name).chmod(0o555)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        try:
            with open_run(copy) as store:
                assert store.stages == 1
        finally:
            os.seteuid(was)
            Path(name).chmod(0o755)


# -- where it was ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("fate", ["moved", "deleted", "folder", "replaced"])
def test_a_file_that_is_lost_while_the_run_goes_on_stops_it(
    tmp_path: Path, whole: Path, fate: str
) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    path = folder / "run"
    events = toy_run(path)
    done = 0
    for event in events:
        done += isinstance(event, TaskDone)
        if done == 10:
            break
    if fate == "deleted":
        path.unlink()
    elif fate == "folder":
        shutil.rmtree(folder)
    else:
        path.rename(elsewhere)
    if fate == "replaced":
        shutil.copy(whole, path)
    what = "was replaced by another file" if fate == "replaced" else "was moved or deleted"
    with pytest.raises(StoreError, match=f"run file .*run {what} during the run"):
        next(events)
    if fate == "replaced":
        assert snapshot(path) == snapshot(whole)
    if elsewhere.exists():
        with open_run(elsewhere) as store:
            assert store.results()
            assert sum(store.summary().gradients.values()) > 100
        assert _resumed(elsewhere) == snapshot(whole)
    assert not list(tmp_path.rglob("run-*"))


@pytest.mark.parametrize("fate", ["moved", "deleted"])
def test_a_run_whose_folder_is_gone_leaves_a_new_one_in_its_place_alone(
    tmp_path: Path, fate: str
) -> None:
    folder, plan = tmp_path / "folder", planned(5)
    folder.mkdir()
    path = folder / "run"
    first = RunFile.create(path, MOLECULE, structure(0), SETTINGS)
    first.plan([planned(1)])
    if fate == "moved":
        folder.rename(tmp_path / "elsewhere")
    else:
        shutil.rmtree(folder)
    folder.mkdir()

    def new_run_that_is_killed() -> None:
        second = RunFile.create(path, MOLECULE, structure(0), SETTINGS)
        second.plan([plan])
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(new_run_that_is_killed) == -signal.SIGKILL
    first.close()
    with open_run(path) as store:
        assert store.planned() == [plan]
    if fate == "moved":
        with RunFile.open(tmp_path / "elsewhere" / "run", writing=True) as moved:
            assert moved.planned() == [planned(1)]
        assert [file.name for file in (tmp_path / "elsewhere").iterdir()] == ["run"]


def test_a_run_whose_folder_is_gone_does_not_unlock_a_new_one_in_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    first = RunFile.create(folder / "run", MOLECULE, structure(0), SETTINGS)
    folder.rename(tmp_path / "elsewhere")
    folder.mkdir()
    with RunFile.create(folder / "run", MOLECULE, structure(0), SETTINGS):
        first.close()
        assert writer(folder / "run") == f"{os.getpid()} on {socket.gethostname()}"
    assert writer(folder / "run") is None


def test_a_run_that_cannot_start_is_deleted_where_its_link_leads(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, file = tmp_path / "run", tmp_path / "disk" / "run"
    link.symlink_to(file)
    leads = link.readlink()
    RunFile.create(link, MOLECULE, structure(0), SETTINGS).discard()
    assert not [*(tmp_path / "disk").iterdir()]
    assert link.readlink() == leads  # so that the next attempt goes there too


def test_a_run_that_cannot_start_is_deleted_before_others_may_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, there = tmp_path / "run", []
    release = Lock.release

    def noted(self: Lock) -> None:
        there.append(path.exists())
        release(self)

    monkeypatch.setattr(Lock, "release", noted)
    failed = TaskResult(None, Outcome.SURFACE_FAILED, "no licence", Counter(), 0.0)
    broken = Shuffled(np.random.default_rng(0), lambda _: failed)
    with pytest.raises(AfirError, match="no licence"):
        list(explore(MOLECULE, structure(0), SETTINGS, path, executor=by(broken)))
    assert there == [False]


def test_a_run_that_cannot_start_deletes_no_other_file(tmp_path: Path) -> None:
    store = RunFile.create(tmp_path / "run", MOLECULE, structure(0), SETTINGS)
    (tmp_path / "run").unlink()
    (tmp_path / "run").write_text("precious")
    store.discard()
    assert (tmp_path / "run").read_text() == "precious"


# -- one writer ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["symlink", "folder", "hard link", "moved"])
def test_one_writer_whatever_the_file_is_called(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path, other = folder / "run", tmp_path / "other"
    with RunFile.create(path, MOLECULE, structure(0), SETTINGS) as store:
        if way == "symlink":
            other.symlink_to(path)
        elif way == "folder":
            (tmp_path / "link").symlink_to(folder)
            other = tmp_path / "link" / "run"
        elif way == "hard link":
            os.link(path, other)
        else:
            path.rename(other)
        assert _refused(other)
        with open_run(other) as reader:
            assert reader.molecule == MOLECULE
        if way in ("symlink", "folder"):  # SQLite's own files are where it expects them
            store.plan([planned(1)])
            with open_run(other) as reader:
                assert reader.planned() == [planned(1)]
    if way == "hard link":
        with pytest.raises(InputError, match=r"only name.*2.*copy"):
            RunFile.open(other, writing=True)
        path.unlink()
    RunFile.open(other, writing=True).close()
    assert not [*tmp_path.rglob("*-lock"), *tmp_path.rglob("*-wal")]


def test_a_run_goes_through_a_link_to_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "folder" / "run")
    RunFile.create(link, MOLECULE, structure(0), SETTINGS).close()
    assert link.is_symlink()
    assert [file.name for file in (tmp_path / "folder").iterdir()] == ["run"]
