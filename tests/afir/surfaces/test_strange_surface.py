"""A surface that somebody else wrote: one short file in a folder of theirs, with an entry point."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afir.molecule import Molecule
from afir.pes.contract import check_surface
from afir.pes.loading import load_surface

CAGED = Path(__file__).parents[2] / "data" / "caged.py"
WATERS = (
    "6\n\nO 0 0 0\nH 0.76 0 0.59\nH -0.76 0 0.59\nO 0 0 -2.9\nH 0.76 0.02 -3.49\nH -0.76 0 -3.49\n"
)
MINIMUM = -7.175648095  # hartree, formaldehyde on GFN2-xTB


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The folder of a package as pip leaves it, with what to compute."""
    shutil.copy(CAGED, tmp_path)
    about = tmp_path / "caged-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: caged\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[afir.surfaces]\ncaged = caged:caged\n")
    shutil.copy(CAGED.parents[2] / "examples" / "h2co.xyz", tmp_path)
    (tmp_path / "waters.xyz").write_text(WATERS)
    return tmp_path


def afir(folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """What the command says, as for who has the folder on the path."""
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "afir", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, " ".join(done.stderr.split())


def test_a_surface_takes_one_short_file() -> None:
    assert len(CAGED.read_text().splitlines()) < 60


def test_a_surface_of_others_keeps_the_contract(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(theirs)
    surface = load_surface("caged", Molecule((8, 1, 1, 8, 1, 1)), radius=1.0)
    x = np.loadtxt(theirs / "waters.xyz", skiprows=2, usecols=(1, 2, 3))
    check_surface(surface, x, rng=np.random.default_rng(0))


@pytest.mark.slow
def test_a_surface_of_others_works_on_the_command_line(theirs: Path) -> None:
    listed, _ = afir(theirs, "surfaces", "caged")
    assert "GFN2-xTB in a soft cage" in listed
    assert "Force constant of its wall in eV/Å²." in listed
    option = ["--surface", "caged", "--surface-option"]
    told, warned = afir(theirs, "relax", "h2co.xyz", *option, "radius=4", "--json")
    found = json.loads(told)
    assert found["energy_hartree"] == pytest.approx(MINIMUM, abs=1e-6)
    assert "Warning: beyond 4 Å from the centre its energies are those of a cage" in warned
    # Two waters that face each other like this repel each other and go apart, unless held.
    afir(theirs, "relax", "waters.xyz", *option, "radius=1.5")
    _, said = afir(theirs, "relax", "waters.xyz", "-o", "free.xyz", code=1)
    assert said == "No minimum was found: the fragments went apart."


@pytest.mark.slow
def test_a_run_on_a_surface_of_others_finds_what_there_is(theirs: Path) -> None:
    limits = ["--max-trials", "6", "--seed", "1"]
    afir(theirs, "explore", "h2co.xyz", "-o", "c.db", "--surface", "caged", *limits)
    afir(theirs, "explore", "h2co.xyz", "-o", "g.db", "--surface", "gfn2", *limits)
    caged, free = (json.loads(afir(theirs, "show", f"{run}.db", "--json")[0]) for run in "cg")
    assert caged["surface"] == "caged"
    assert caged["eq"][0]["energy_hartree"] == pytest.approx(MINIMUM, abs=1e-6)
    # Where the wall is far away, the same transition states are found.
    assert len(free["ts"]) > 0
    known = [each["energy_hartree"] for each in caged["ts"]]
    assert known == pytest.approx([each["energy_hartree"] for each in free["ts"]], abs=1e-6)
