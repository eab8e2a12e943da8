"""Every example runs as a user would run it, and says what is known to be true."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from afir.io.structures import read_structure

EXAMPLES = Path(__file__).parent.parent / "examples"

# What each must print. Energies of formaldehyde are those of the reference stationary points;
# the copper clusters have aluminium in the ring or at a tip, and go over a square pyramid.
EXPECTED = {
    "01_explore_formaldehyde.py": ("TS0", "384.8 kJ/mol", "305.6 kJ/mol"),
    "02_one_push.py": ("TS: 384.8 kJ/mol", "one end at 216.5", "one negative eigenvalue"),
    "03_your_own_surface.py": ("the gradient is accurate", "EQ1: 8.3 kJ/mol", "17.8 kJ/mol"),
    "04_network_and_profile.py": ("written: 04.graphml", "305.6 kJ/mol", "04_profile.svg"),
    "05_models_of_others.py": ("on GFN2-xTB 0.0", "on GFN2-xTB 179.6", "on GFN2-xTB 305.6"),
    "06_towards_dft.py": ("305.6 kJ/mol", "384.8 kJ/mol", "gradients of GFN2-xTB"),
}
# What is no part of the project and of its tests.
NEEDED = {"05_models_of_others.py": "torchani"}
# Where another example gets its calculator from.
HELPERS = {"ani.py"}


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(EXPECTED) | HELPERS


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, tmp_path: Path) -> None:
    needed = NEEDED.get(name)
    if needed is not None and find_spec(needed) is None:
        pytest.skip(f"needs {needed}, see setup.cfg")
    for _ in ("once", "again"):
        _run(name, tmp_path)


def _run(name: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    for text in EXPECTED[name]:
        assert text in done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.xyz")), ids=lambda path: path.stem)
def test_structure_can_be_read(path: Path) -> None:
    molecule, positions = read_structure(path)
    assert positions.shape == (molecule.n_atoms, 3)
