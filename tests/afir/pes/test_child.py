"""Processes that compute for this one: what is left when their start is cut off."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afir.errors import AfirError
from afir.pes.child import Child, Place


@dataclass(frozen=True)
class Doubling:
    """Doubles numbers."""

    def open(self) -> Callable[[Any], Any]:
        """See `afir.pes.child.Opening`."""
        return lambda number: 2 * number


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "places"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def processes() -> set[str]:
    """The children of this process, dead ones that nobody asked for too."""
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(os.getpid())]
    told = subprocess.run(command, capture_output=True, text=True).stdout
    return {line for line in told.splitlines() if " ".join(command) not in line}


def held(places: Path) -> tuple[list[Path], set[str], set[Path]]:
    """Folders, processes and open files."""
    return list(places.iterdir()), processes(), set(Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize(
    ("program", "error", "words"),
    [
        ("/bin/sh", OSError(11, "no more processes"), "no process could be started: no more"),
        ("/bin/sh", KeyboardInterrupt("now"), "now"),
        ("python", KeyboardInterrupt("now"), "now"),
    ],
)
def test_a_start_that_is_cut_off_leaves_nothing(
    program: str,
    error: BaseException,
    words: str,
    places: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failing(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], **options: Any) -> None:
            if program in command[0]:
                raise error
            super().__init__(command, **options)

    before = held(places)
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", Failing)
        with pytest.raises((AfirError, KeyboardInterrupt), match=words):
            Child(Doubling(), Place(), quiet=True)
    assert held(places) == before


def test_no_room_for_the_folder_leaves_nothing(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "disk full")

    before = held(places)
    for method in ("mkdir", "touch"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, full)
            with pytest.raises(AfirError, match="no folder for temporary files: disk full"):
                Child(Doubling(), Place(), quiet=True)
        assert held(places) == before


@contextlib.contextmanager
def files_left(count: int) -> Iterator[None]:
    """This process can open so many files and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(opened.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in opened:
            os.close(number)


def test_too_few_open_files_for_a_process_leave_nothing(places: Path) -> None:
    before = held(places)
    refused: dict[int, str] = {}
    for count in range(16):
        try:
            with files_left(count):
                Child(Doubling(), Place(), quiet=True).kill()
        except AfirError as error:
            refused[count] = str(error)
        assert held(places) == before
    assert list(refused) == list(range(len(refused)))
    assert 3 < len(refused) < 16
    assert all("Too many open files" in words for words in refused.values())
