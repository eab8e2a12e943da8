"""Runs on calculators from outside: what one does wrong costs a trial, whatever it is."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes

from afir.cli.main import main
from afir.molecule import Molecule
from afir.stationary import Outcome
from afir.surfaces.analytic import lennard_jones
from networks import open_run
from networks.reporting.run import Run, load_run

ARGON = Molecule((18,) * 4)
SIGMA = 1.7  # Å: so that neighbours are bonded, at 1.9 Å
EXACT = lennard_jones(ARGON, sigma=SIGMA)
START = "4\n\nAr 0 0 0\nAr 1.9 0 0\nAr 0.95 1.65 0\nAr 0.95 0.55 1.55\n"
PATIENCE = 60  # evaluations; the start takes 40


class Cluster(Calculator):
    """Four argon atoms; once in a run it does what it was told to."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, how: str = "", done: str = "") -> None:
        super().__init__()
        self.how = how
        self.done = Path(done)
        self.calls = 0

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, changes)
        self.calls += 1
        if self.calls == PATIENCE and not self.done.exists():
            self.done.touch()
            self._misbehave()
        said = EXACT.evaluate(atoms.positions[None])
        self.results = {"energy": float(said.energies[0]), "forces": -said.gradients[0]}

    def _misbehave(self) -> None:
        if self.how == "dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.how == "exits":
            sys.exit(0)
        if self.how == "ends":
            os._exit(0)
        if self.how == "hangs":
            time.sleep(600)
        if self.how == "raises":
            raise RuntimeError("no convergence")
        if self.how == "prints":
            print("far too much\x1b[31m")
            print("and here too", file=sys.stderr)


class Files(Cluster):
    """The same through a file in the working directory, as many programs compute."""

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), changes: Any = all_changes
    ) -> None:
        np.save("geometry.npy", atoms.positions)
        time.sleep(0.002)  # the program runs
        atoms = atoms.copy()
        atoms.positions = np.load("geometry.npy")
        super().calculate(atoms, properties, changes)


def explored(calculator: str, folder: Path, workers: int, *more: str) -> Run:
    """A short run on a calculator of this file."""
    source, output = folder / "ar4.xyz", folder / "ar4.db"
    source.write_text(START)
    arguments = ["--surface", f"ase:{__name__}.{calculator}", "--workers", str(workers), *more]
    limits = ["--max-trials", "8", "--gamma", "400", "--seed", "1"]
    assert main(["explore", str(source), "-o", str(output), *limits, *arguments]) == 0
    return load_run(output)


def assert_right(run: Run, tss: int = 1) -> None:
    """Every structure of a run has the energy that belongs to it; so many TSs are among them."""
    network = run.network
    points = [*network.eqs.values(), *network.tss.values()]
    assert len(network.eqs) >= 1
    assert len(network.tss) >= tss
    for point in points:
        said = EXACT.evaluate(point.positions[None])
        assert point.energy == pytest.approx(said.energies[0], abs=1e-8)
        assert np.abs(said.gradients).max() < 2e-3


@pytest.mark.slow
def test_each_worker_computes_in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, here = tmp_path / "places", tmp_path / "here"
    places.mkdir()
    here.mkdir()
    monkeypatch.setenv("TMPDIR", str(places))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(here)
    run = explored("Files", tmp_path, 2)
    assert_right(run)
    assert list(here.iterdir()) == []
    assert list(places.iterdir()) == []


ENDINGS = {
    "dies": ([Outcome.WORKER_DIED],),
    "ends": ([Outcome.WORKER_DIED],),
    "hangs": ([Outcome.TIMED_OUT],),
    "exits": ([Outcome.SURFACE_FAILED],),
    # A search steps back from that, unless it has just begun.
    "raises": ([], [Outcome.SURFACE_FAILED]),
    "prints": ([],),
}
LOSSES = (Outcome.WORKER_DIED, Outcome.TIMED_OUT, Outcome.SURFACE_FAILED, Outcome.SEARCH_FAILED)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", ENDINGS)
def test_what_a_calculator_does_wrong_costs_a_trial(
    how: str, workers: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"how": how, "done": str(tmp_path / "done")}
    given = ["--surface-option", f"options={json.dumps(options)}"]
    run = explored("Cluster", tmp_path, workers, *given, "--task-seconds", "12")
    with open_run(tmp_path / "ar4.db") as store:
        trials, dismissed = list(store.trials()), list(store.dismissed())
    # It is a push or the verification of what another one found, which is then lost.
    unverified = [record.outcome for record in dismissed if record.outcome in LOSSES]
    assert_right(run, tss=0 if unverified else 1)
    assert (tmp_path / "done").exists()
    lost = unverified + [trial.outcome for trial in trials if trial.outcome in LOSSES]
    assert lost in ENDINGS[how]
    assert len(trials) == 8
    printed = capfd.readouterr()
    assert "too much" not in printed.out + printed.err
    assert "Traceback" not in printed.err
