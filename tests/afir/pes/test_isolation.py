"""Surfaces that run code from outside, in processes of their own."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes

from afir.cli.main import main
from afir.errors import BrokenSurfaceError, InputError, LostSurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.contract import check_surface
from afir.pes.driver import Search, solve, stage
from afir.pes.isolation import IsolatedSurface
from afir.pes.loading import load_surface
from afir.pes.registry import is_foreign
from afir.pes.surface import Evaluation, Surface, limit

PAIR = Molecule((1, 1))
FAR = 3.0
"""Å: where `Faulty` misbehaves."""


def pair(length: float) -> Positions:
    return np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, length]]])


class StrangeError(InputError):
    """One that cannot be made from its message alone."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Faulty(Calculator):
    """A spring of 1 eV/Å² and 1.5 Å; where it is long it does what it was told to."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, how: str = "", directory: str = ".") -> None:
        super().__init__(directory=directory)
        self.how = how
        if how == "exits at once":
            sys.exit(0)
        if how == "dies at once":
            os._exit(3)

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, changes)
        bond = atoms.positions[1] - atoms.positions[0]
        length = float(np.linalg.norm(bond))
        if length > FAR:
            self._misbehave()
        force = (length - 1.5) * bond / length
        self.results = {"energy": 0.5 * (length - 1.5) ** 2, "forces": np.array([force, -force])}

    def _misbehave(self) -> None:
        if self.how == "dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.how == "exits":
            sys.exit(0)
        if self.how == "ends":
            print("disk full, giving up", flush=True)
            os._exit(0)
        if self.how == "tells its path":
            raise RuntimeError(f"PYTHONPATH is {os.environ.get('PYTHONPATH')}")
        if self.how.startswith("closes its files"):
            os.closerange(3, 100)
            time.sleep(20.0 if self.how.endswith("and goes on") else 0.4)
            os._exit(4)
        if self.how.startswith("leaves a daemon"):
            subprocess.Popen(["sleep", f"600.{os.getppid()}"], start_new_session=True)
            if self.how.endswith("and dies"):
                os._exit(3)
        if self.how == "leaves a copy":
            if os.fork() == 0:
                time.sleep(20)
            os._exit(3)
        if self.how == "leaves a child":
            subprocess.Popen(["sleep", f"600.{os.getppid()}"], close_fds=False)
            os._exit(3)
        if self.how == "holds the interpreter":
            re.match("(a+)+$", 40 * "a" + "b")
        if self.how == "stops a program":
            with subprocess.Popen(["sleep", "600"]) as program:
                program.terminate()
        if self.how == "fails strangely":
            raise StrangeError("no", "licence")
        if self.how == "ignores all":
            command = f"trap '' HUP INT TERM; exec sleep 600.{os.getppid()}"
            subprocess.run(["/bin/sh", "-c", command], check=True)
        if self.how == "hangs":
            subprocess.run(["sleep", f"600.{os.getppid()}"], check=True)


class Writing(Faulty):
    """One that works through a file in its working directory, as many programs do."""

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), changes: Any = all_changes
    ) -> None:
        Path("geometry").write_text(" ".join(map(str, atoms.positions.ravel())))
        time.sleep(0.01)
        numbers = [float(text) for text in Path("geometry").read_text().split()]
        atoms = atoms.copy()
        atoms.positions = np.reshape(numbers, (-1, 3))
        super().calculate(atoms, properties, changes)
        print("a line of output")


def faulty(how: str) -> Surface:
    return load_surface(f"ase:{__name__}.Faulty", PAIR, options={"how": how})


def programs(owner: int) -> str:
    """The processes that calculators have started for surfaces of a process."""
    ours = f"^sleep 600.{owner}$"
    return subprocess.run(["pgrep", "-f", ours], capture_output=True, text=True).stdout


def processes() -> set[int]:
    """The processes that this one has started and that still run."""
    told = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(os.getpid())],
        capture_output=True,
        text=True,
    ).stdout
    return {int(line.split()[0]) for line in told.splitlines() if "afir.pes.worker" in line}


def test_code_from_outside_is_told_from_ours() -> None:
    assert is_foreign("ase:ase.calculators.emt.EMT")
    assert not any(is_foreign(name) for name in ("gfn2", "delta:a.model", "double-well", "dft"))
    assert not is_foreign("gfn3")


def test_an_isolated_surface_keeps_the_contract() -> None:
    surface = faulty("")
    assert isinstance(surface, IsolatedSurface)
    check_surface(surface, pair(1.7)[0], rng=np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("dies", "the process of the surface ended with signal SIGSEGV"),
        ("ends", "ended with exit code 0; it printed last: disk full, giving up"),
        ("closes its files", "the process of the surface ended with exit code 4"),
        ("closes its files and goes on", "the process of the surface closed its connection"),
        ("exits", "the surface failed with SystemExit: 0"),
        ("leaves a child", "ended with exit code 3"),
    ],
)
def test_a_calculator_that_ends_its_process_costs_one_evaluation(how: str, words: str) -> None:
    surface = faulty(how)
    with pytest.raises(BrokenSurfaceError, match=words):
        surface.evaluate(pair(3.5))
    assert surface.evaluate(pair(2.5)).energies == pytest.approx([0.5])


@pytest.mark.slow
def test_a_calculator_that_hangs_is_given_up_with_all_that_it_started() -> None:
    others = processes()
    surface = faulty("hangs")
    limit(surface, 2.0)
    before = processes() - others
    with pytest.raises(LostSurfaceError, match=r"the surface was not done after 2 s") as caught:
        surface.evaluate(pair(3.5))
    assert caught.value.timed_out
    assert not before & processes()
    limit(surface, 3e6)  # more than the system can wait at once
    assert surface.evaluate(pair(2.5)).energies == pytest.approx([0.5])
    assert programs(os.getpid()) == ""


@pytest.mark.parametrize("how", ["leaves a daemon", "leaves a daemon and dies"])
def test_programs_of_a_calculator_end_with_it_wherever_they_have_gone(how: str) -> None:
    surface = faulty(how)
    with contextlib.suppress(LostSurfaceError):
        surface.evaluate(pair(3.5))
    del surface
    gc.collect()
    assert programs(os.getpid()) == ""


def test_an_end_is_noticed_though_a_copy_of_the_process_lives_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)  # as some systems do not have it
    surface = faulty("leaves a copy")
    limit(surface, 10.0)
    with pytest.raises(LostSurfaceError, match="ended with exit code 3"):
        surface.evaluate(pair(3.5))


def test_programs_of_a_calculator_find_the_environment_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for given, told in (("/some/where", "/some/where"), (None, "None")):
        monkeypatch.delenv("PYTHONPATH", raising=False)
        if given is not None:
            monkeypatch.setenv("PYTHONPATH", given)
        said = faulty("tells its path").evaluate(pair(3.5))
        assert str(said.failures[0]).endswith(f"PYTHONPATH is {told}")


@pytest.mark.parametrize(
    ("how", "words"),
    [("exits at once", "SystemExit: 0"), ("dies at once", "ended with exit code 3")],
)
def test_a_calculator_that_ends_its_process_at_once_is_refused(how: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        faulty(how)


def test_each_surface_computes_in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    places, here = tmp_path / "places", tmp_path / "here"
    places.mkdir()
    here.mkdir()
    monkeypatch.setenv("TMPDIR", str(places))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(here)
    name = f"ase:{__name__}.Writing"
    gc.collect()
    others = processes()
    surfaces = [load_surface(name, PAIR) for _ in range(2)]
    for surface in surfaces:
        assert surface.evaluate(pair(2.5)).energies == pytest.approx([0.5])
    assert len(list(places.glob("*/work/geometry"))) == 2
    assert list(here.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    started = processes() - others
    assert len(started) == 2
    del surface, surfaces
    gc.collect()
    assert list(places.iterdir()) == []
    assert not started & processes()


def test_a_folder_for_all_is_refused() -> None:
    name = f"ase:{__name__}.Writing"
    with pytest.raises(InputError, match="`options` must leave the working directory to afir"):
        load_surface(name, PAIR, options={"directory": "/tmp"})


class Counting:
    """A surface whose energy in eV is how many owners it remembers."""

    def __init__(self, molecule: Molecule) -> None:
        self.molecule = molecule
        self.known: WeakSet[object] = WeakSet()

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        for owner in filter(None, owners or ()):
            self.known.add(owner)
        energies = np.full(len(positions), float(len(self.known)))
        return Evaluation(energies, np.zeros(positions.shape))

    def for_paths(self) -> Counting:
        return self


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package that brings surfaces."""
    folder = tmp_path / "counting-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: counting\nVersion: 1\n")
    entries = f"[afir.surfaces]\ncounting = {__name__}:Counting\n"
    (folder / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("package")
def test_what_is_remembered_of_a_search_is_forgotten_with_it() -> None:
    surface = load_surface("counting", PAIR)
    assert isinstance(surface, IsolatedSurface)

    def asking() -> Search[list[float]]:
        before = yield pair(0.8)
        after = yield pair(0.9)
        return [*before.energies, *after.energies]

    first, second = asking(), asking()
    assert solve(stage("one", first), surface) == [1.0, 1.0]
    assert solve(stage("two", second), surface) == [2.0, 2.0]
    del first
    gc.collect()
    assert solve(stage("two", asking()), surface) == [2.0, 2.0]
    del second
    gc.collect()
    assert surface.evaluate(pair(1.0)).energies == [0.0]


@pytest.mark.parametrize("command", ["relax", "ts"])
def test_a_command_on_a_calculator_that_exits_says_so(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.9\n")
    arguments = [command, "in.xyz", "--surface", f"ase:{__name__}.Faulty"]
    assert main([*arguments, "--surface-option", 'options={"how": "exits at once"}']) == 2
    assert "SystemExit: 0" in capsys.readouterr().err


def test_programs_of_a_calculator_can_be_stopped() -> None:
    assert faulty("stops a program").evaluate(pair(3.5)).energies == pytest.approx([2.0])


def test_what_a_calculator_raises_comes_back_as_ours() -> None:
    said = faulty("fails strangely").evaluate(pair(3.5))
    assert "StrangeError: no licence" in str(said.failures[0])


def test_modules_of_the_working_directory_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.chdir(tmp_path)
    Path("tempfile.py").write_text("open('run', 'w').close()\n")
    assert faulty("").evaluate(pair(2.5)).energies == pytest.approx([0.5])
    assert not Path("run").exists()


@contextlib.contextmanager
def evaluating(how: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a surface that misbehaves, and with `folder` for temporary files."""
    code = (
        "from test_isolation import PAIR, pair\n"
        "from afir.pes.loading import load_surface\n"
        f"surface = load_surface('ase:test_isolation.Faulty', PAIR, options={{'how': '{how}'}})\n"
        "surface.evaluate(pair(2.5))\n"
        "print('ready', flush=True)\n"
        "surface.evaluate(pair(3.5))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = dict(os.environ, PYTHONPATH=path, TMPDIR=str(folder))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert len(list(folder.iterdir())) == 1
        yield process
        process.kill()


def assert_nothing_is_left(process: subprocess.Popen[bytes], folder: Path) -> None:
    give_up = time.monotonic() + 20.0
    while any(folder.iterdir()) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert list(folder.iterdir()) == []
    assert programs(process.pid) == ""


@pytest.mark.parametrize("how", ["hangs", "holds the interpreter"])
def test_nothing_is_left_of_a_surface_whose_process_was_killed(how: str, tmp_path: Path) -> None:
    with evaluating(how, tmp_path) as process:
        process.kill()
    assert_nothing_is_left(process, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_all_processes_of_a_run_are_told_to_end(
    number: signal.Signals, tmp_path: Path
) -> None:
    with evaluating("ignores all", tmp_path) as process:
        give_up = time.monotonic() + 20.0
        while not programs(process.pid) and time.monotonic() < give_up:
            time.sleep(0.02)
        command = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for child in told.split():
            os.kill(int(child), number)
        time.sleep(0.2)
        process.kill()
    assert_nothing_is_left(process, tmp_path)
