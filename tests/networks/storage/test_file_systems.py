"""Run files on other file systems, under odd names, and on full disks."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

import pytest
from drawn_network import write_run
from runs import snapshot, toy_run
from toyworld import MOLECULE, SETTINGS, structure, toy

from afir.cli.main import main
from afir.errors import InputError
from networks import RunFile, open_run, resume
from networks.exploration.events import Progress, TaskDone
from networks.storage.mounts import is_shared
from networks.storage.sqlite import Database

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /home rw - nfs4 server:/home rw
31 30 254:1 / /home/me/local rw - xfs /dev/vdb rw
32 22 0:40 / /mnt/with\\040space rw shared:7 - fuse.sshfs me@host: rw
33 22 8:17 / /mnt/stick rw - fuseblk /dev/sdb1 rw
34 22 0:41 / /mnt/first rw - cifs //server/first rw
35 22 254:2 / /mnt/first rw - ext4 /dev/vdc rw
36 22 0:42 / /mnt/vm rw - vboxsf shared rw
37 22 0:43 / /mnt/panasas rw - panfs panfs://server/home rw
38 22 0:44 / /mnt/weka rw - wekafs server/home rw
39 22 0:45 / /mnt/cray rw - dvs /home rw
"""


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        ("/tmp/run.db", False),
        ("/home/me/run.db", True),
        ("/homestead/run.db", False),
        ("/home/me/local/run.db", False),
        ("/mnt/with space/run.db", True),
        ("/mnt/stick/run.db", False),
        ("/mnt/first/run.db", False),
        ("/mnt/vm/a/run.db", True),
        ("/mnt/panasas/run.db", True),
        ("/mnt/weka/run.db", True),
        ("/mnt/cray/run.db", True),
    ],
)
def test_which_file_systems_machines_share(tmp_path: Path, path: str, shared: bool) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    assert is_shared(Path(path), tmp_path / "mounts") is shared
    assert not is_shared(Path(path), tmp_path / "nothing")


def test_on_a_shared_file_system_nothing_needs_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    # It came from elsewhere, with what was not yet in the file in its log.
    before = toy_run(path)
    for event in before:
        if isinstance(event, Progress) and event.trials == 5:
            break
    next(before)
    next(before)
    here = tmp_path / "here"
    here.mkdir()
    for name in ("run", "run-wal"):
        shutil.copy(tmp_path / name, here)
    before.close()  # type: ignore[attr-defined]
    list(resume(path, max_trials=20, executor=toy))
    expected, path = snapshot(path), here / "run"
    for module in ("sqlite", "lock"):
        monkeypatch.setattr(f"networks.storage.{module}.is_shared", lambda path: True)
    beside = set()
    early = open_run(path)  # held all the time, in the midst of reading
    midst = early.snapshot()
    midst.__enter__()
    state = early.stages
    for _ in resume(path, max_trials=20, executor=toy):
        beside |= {file.name for file in here.iterdir()}
        if len(beside) < 3:
            with open_run(path) as reader:
                assert reader.stages >= 6
    assert beside <= {"run", "run-lock", "run-journal"}
    assert early.stages == state
    midst.__exit__(None, None, None)
    assert snapshot(path) == expected


@pytest.mark.parametrize(
    "name", [":memory:", "file:run?mode=memory", "run.db-wal", "run.db-journal"]
)
def test_names_that_mean_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.74\n")
    assert main(["explore", "in.xyz", "-o", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: the run file must")
    assert [file.name for file in tmp_path.iterdir()] == ["in.xyz"]


@pytest.mark.parametrize(
    "name", ["n" * 250, "n" * 300, "ü" * 130, "m" * 300 + "/run", "/m" * 3000, "a\0b", "a\0b/run"]
)
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    path = tmp_path / name.lstrip("/")
    for work in (
        lambda: RunFile.create(path, MOLECULE, structure(0), SETTINGS),
        lambda: RunFile.open(path),
        lambda: RunFile.open(path, writing=True),
    ):
        with pytest.raises(InputError, match=r"^the run file must (be a file|have a shorter name)"):
            work()
    assert not list(tmp_path.iterdir())


def test_the_longest_name_that_a_run_can_have(tmp_path: Path) -> None:
    RunFile.create(tmp_path / ("n" * 243), MOLECULE, structure(0), SETTINGS).close()
    RunFile.open(tmp_path / ("n" * 243), writing=True).close()


@pytest.mark.parametrize("name", ["run?mode=memory", "run%41", "a#b", " run", "run'"])
def test_names_that_mean_nothing_else(tmp_path: Path, name: str) -> None:
    RunFile.create(tmp_path / name, MOLECULE, structure(0), SETTINGS).close()
    assert [file.name for file in tmp_path.iterdir()] == [name]
    open_run(tmp_path / name).close()


@pytest.mark.slow
def test_a_disk_that_is_full_when_a_trial_ends_costs_nothing(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The round is in the log; that it cannot be brought into the file now stops nothing."""
    settle = Database.settle

    def limited(self: Database) -> None:
        with self._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            settle(self)
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")

    monkeypatch.setattr(Database, "settle", limited)
    list(toy_run(tmp_path / "run"))
    assert snapshot(tmp_path / "run") == snapshot(whole)


def test_what_is_done_of_trials_in_flight_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.db"
    events = toy_run(path)
    pushed = 0
    for event in events:
        pushed += isinstance(event, TaskDone) and event.kind == "push"
        if pushed == 3:
            break
    assert main(["show", str(path)]) == 0
    out = capsys.readouterr().out
    done, flying = (
        int(number) for number in re.findall(r"(\d) trials? and (\d) in flight, ", out)[0]
    )
    assert done + flying == 3
    assert f"process {os.getpid()} on {socket.gethostname()} is still running it." in out
    events.close()  # type: ignore[attr-defined]
    assert main(["show", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"{done} trial{'s' * (done != '1')} and {flying} in flight, " in out
    assert "s; the run was interrupted." in out
    shutil.copy(write_run(tmp_path / "other.db"), path)
    assert main(["show", str(path)]) == 0
    assert "1 trial, " in capsys.readouterr().out
