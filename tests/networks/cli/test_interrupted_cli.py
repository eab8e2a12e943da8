"""Ctrl-C and SIGTERM: nothing is lost, and the way on is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import networks.exploration.run
from afir.cli.main import main
from afir.errors import StoppedError
from networks.execution.local import BatchedExecutor
from networks.exploration.events import Opened


def test_ctrl_c_while_a_file_is_written_leaves_nothing(folder: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from afir.cli import main\n"
        "from afir.io.safe_write import writing\n"
        "def write():\n"
        "    with writing(Path('out.txt')) as (draft,):\n"
        "        draft.write_text('half'); print('writing', flush=True); time.sleep(60)\n"
        "main._leave_at_once()\n"
        "write()\n"
    )
    before = sorted(path.name for path in folder.iterdir())
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert sorted(path.name for path in folder.iterdir()) != before
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_ctrl_c_ends_a_command_that_has_only_begun(folder: Path) -> None:
    """Also where what is imported takes the exception for its own."""
    (folder / "slow.py").write_text(
        "import pathlib, time\npathlib.Path('importing').touch()\n"
        "try:\n    time.sleep(60)\nexcept BaseException:\n    pass\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "afir", "explore", "hcn.xyz", "--surface", "ase:slow.Any"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join([str(folder), *filter(None, sys.path)])),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        give_up = time.monotonic() + 60.0
        while not (folder / "importing").exists() and time.monotonic() < give_up:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "Stopped.\n")


def test_ctrl_c_says_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = []

    def interrupted(*_: object, **__: object) -> Iterator[object]:
        try:
            yield Opened(0, 0, 0, 0)
            raise KeyboardInterrupt
        finally:
            closed.append(True)

    monkeypatch.setattr(networks.exploration.run, "begin", interrupted)
    assert main(["explore", "hcn.xyz"]) == 130
    assert (
        "Stopped. Nothing is lost: `afir resume hcn.db` continues, `afir show hcn.db` lists what "
        "was found so far.\n"
    ) in capsys.readouterr().err
    assert closed


def test_sigterm_ends_a_run_as_ctrl_c_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = []

    def terminated(*_: object, **__: object) -> Iterator[object]:
        try:
            yield Opened(0, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGTERM)
            yield Opened(0, 0, 0, 0)
        finally:
            closed.append(True)

    monkeypatch.setattr(networks.exploration.run, "begin", terminated)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["explore", "hcn.xyz"]) == 143
    assert "Stopped. Nothing is lost: `afir resume hcn.db` continues, " in capsys.readouterr().err
    assert closed
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_executor_that_fails_when_all_is_done_costs_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def close(_: object) -> None:
        raise OSError("the connection is closed")

    monkeypatch.setattr(BatchedExecutor, "close", close)
    assert main(["explore", "hcn.xyz", "--max-trials", "0"]) == 0
    printed = capsys.readouterr()
    assert "EQ0" in printed.out
    assert "the executor BatchedExecutor failed while closing: OSError: the connec" in printed.err
    assert "Stopped" not in printed.err


def test_a_lost_executor_is_no_wrong_input_and_the_way_on_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(*_: object, **__: object) -> Iterator[object]:
        yield Opened(0, 0, 0, 0)
        raise StoppedError("the scheduler does not answer any more; start one")

    monkeypatch.setattr(networks.exploration.run, "begin", lost)
    assert main(["explore", "hcn.xyz"]) == 1
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "Error: the scheduler does not answer any more; start one",
        "Stopped. Nothing is lost: `afir resume hcn.db` continues, `afir show hcn.db` lists what "
        "was found so far.",
    ]
