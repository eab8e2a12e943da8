"""The well-formed files that `fuzz.py` damages: structures, runs, models, labels, a job."""

from __future__ import annotations

import contextlib
import io
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from afir.cli.main import main
from afir.molecule import Molecule
from afir.pes.loading import load_surface
from mlpot.dataset import Dataset
from mlpot.neural.architecture import Architecture
from mlpot.process import Correction
from networks.execution.tasks import Labelled
from networks.learning.sampling import Pool, write_frames

PLACES = {  # Å
    "H2": ("HH", [[0, 0, 0], [0, 0, 0.9]]),
    "H2O": ("OHH", [[0, 0, 0.1], [0, 0.76, -0.48], [0, -0.76, -0.48]]),
    "H2CO": ("CHHO", [[0, 0, -0.53], [0, 0.94, -1.11], [0, -0.94, -1.11], [0, 0, 0.68]]),
}
FORMATS = {  # suffix or name: format of ASE
    ".xyz": "xyz",
    ".extxyz": "extxyz",
    ".pdb": "proteindatabank",
    ".gjf": "gaussian-in",
    ".cif": "cif",
    ".vasp": "vasp",
    "POSCAR": "vasp",
    "coord": "turbomole",
    ".json": "json",
    ".traj": "traj",
    ".in": "aims",
    ".gen": "gen",
    ".xsf": "xsf",
    ".mol": "",
    ".sdf": "",
    ".txt": "xyz",
}
JOB = """input = "h2.xyz"
output = "job.db"
gamma = 800.0
seed = 7
workers = 1
max_trials = 2
max_seconds = 20.0
charge = 0
multiplicity = 1
surface = "lennard-jones"
policy = "stochastic"
target_atoms = [0, 1]
terms = 2
window = 400.0
bond_depth = 3
patience = 5
effort = "quick"
attempts = 1
gamma_max = 900.0
keep_frames = false
expand_complexes = true
task_seconds = 10.0
in_flight = 4
wanted = "h2.xyz"

[surface_options]
epsilon = 0.5
sigma = 1.2

[policy_options]
temperature = 2000.0

[step]
push_steps = 20
saddle_steps = 20
surrogate = false
"""


@dataclass(frozen=True)
class Material:
    """Well-formed files by name: their bytes.

    Attributes
    ----------
    structures
        Of each molecule of `PLACES`, in each of `FORMATS` and as a path of several frames.
    runs
        Run files; where one has a ``NAME-wal``, that belongs to it.
    models
        What ``learned:``, ``delta:`` and ``gaussian:`` read.
    labels
        Labelled geometries.
    """

    structures: dict[str, bytes]
    runs: dict[str, bytes]
    models: dict[str, bytes]
    labels: dict[str, bytes]


def make_material(folder: Path) -> Material:
    """Make all of it in an empty folder; a few seconds."""
    for name in PLACES:
        write(folder / f"{name.lower()}.xyz", atoms_of(name), format="xyz")
    return Material(_structures(folder), _runs(folder), _models(folder), _labels(folder))


def atoms_of(name: str) -> Atoms:
    """A molecule of `PLACES` for ASE, in a cell, since some formats need one."""
    symbols, places = PLACES[name]
    return Atoms(list(symbols), positions=places, cell=[9.0, 9.0, 9.0])


def molfile(atoms: Atoms) -> str:
    """A table of atoms as MOL and SDF have it (V2000); ASE writes none."""
    rows = [
        f"{x:10.4f}{y:10.4f}{z:10.4f} {symbol:<3} 0  0  0  0  0  0  0  0  0  0  0  0"
        for symbol, (x, y, z) in zip(atoms.symbols, atoms.positions, strict=True)
    ]
    head = ["", "  afir", "", f"{len(atoms):3d}  0  0  0  0  0  0  0  0  0999 V2000"]
    return "\n".join([*head, *rows, "M  END", "$$$$", ""])


def _structures(folder: Path) -> dict[str, bytes]:
    result = {}
    for name in PLACES:
        atoms = atoms_of(name)
        for suffix, kind in FORMATS.items():
            path = folder / (f"one{suffix}" if suffix.startswith(".") else suffix)
            if kind:
                write(path, atoms, format=kind)
            else:
                path.write_text(molfile(atoms))
            named = path.name if path.name == suffix else f"{name.lower()}{suffix}"
            result[named] = path.read_bytes()
        several = folder / "several.extxyz"
        atoms.info.update(charge=0, multiplicity=1, energy=-1.5)
        write(several, [atoms, atoms], format="extxyz")
        result[f"{name.lower()}s.xyz"] = several.read_bytes()
    return result


def quietly(arguments: Sequence[str]) -> None:
    """Run a command and say nothing, unless it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(list(arguments))
    if code:
        raise RuntimeError(f"`afir {' '.join(arguments)}` ended with {code}: {said.getvalue()}")


def _runs(folder: Path) -> dict[str, bytes]:
    few = ["--max-trials", "4", "--effort", "quick", "--keep-frames", "--seed", "7"]
    water, pair = folder / "water.db", folder / "pair.db"
    quietly(["explore", str(folder / "h2o.xyz"), "-o", str(water), *few])
    cheap = ["--surface", "lennard-jones"]
    quietly(["explore", str(folder / "h2.xyz"), "-o", str(pair), *few, *cheap])
    other = sqlite3.connect(folder / "other.db")
    with other:
        other.execute("CREATE TABLE run (id INTEGER PRIMARY KEY, settings TEXT)")
        other.execute("INSERT INTO run VALUES (1, 'nothing')")
    other.close()
    result = {path.name: path.read_bytes() for path in (water, pair, folder / "other.db")}
    killed = folder / "killed.db"  # as a run leaves it that was killed: the last commits beside it
    shutil.copy(water, killed)
    writer = sqlite3.connect(killed)
    writer.execute("PRAGMA journal_mode=WAL")
    tables = [
        name for (name,) in writer.execute("SELECT name FROM sqlite_master WHERE type='table'")
    ]
    with writer:
        for table in tables:
            column = next(iter(writer.execute(f"PRAGMA table_info('{table}')")))[1]
            writer.execute(f'UPDATE "{table}" SET "{column}" = "{column}"')
    for name in ("killed.db", "killed.db-wal"):
        result[name] = (folder / name).read_bytes()
    writer.close()
    return result


def _dataset() -> Dataset:
    """Displaced hydrogen molecules with labels of a surface in closed form."""
    symbols, places = PLACES["H2"]
    molecule = Molecule.from_symbols(list(symbols))
    x = np.array(places) + 0.05 * np.random.default_rng(0).normal(size=(8, 2, 3))
    said = load_surface("lennard-jones", molecule, epsilon=0.3, sigma=0.7).evaluate(x)
    groups = tuple(f"t{index // 2}" for index in range(len(x)))
    nothing = ("push",) * len(x)
    return Dataset(molecule, x, said.energies, said.gradients, groups, nothing, "double-well")


def _models(folder: Path) -> dict[str, bytes]:
    gaussian = folder / "gaussian.model"
    Correction("lennard-jones", {}, _dataset()).save(gaussian)
    result = {"gaussian.model": gaussian.read_bytes()}
    if find_spec("torch") is None or find_spec("schnetpack") is None:
        return result
    import torch

    from mlpot.neural.model import Network
    from mlpot.neural.potential import Description, Potential

    for name, base in (("learned", ""), ("delta", "lennard-jones")):
        about = Description(
            Architecture("schnet", features=4, interactions=1, radial=4), {1: -10.0}, base=base
        )
        torch.manual_seed(0)
        states = [Network(about.architecture).state_dict() for _ in range(2)]
        path = folder / f"{name}.model"
        Potential(about, states).save(path)
        result[path.name] = path.read_bytes()
    return result


def _labels(folder: Path) -> dict[str, bytes]:
    data = _dataset()
    pool = Pool(data.molecule, data.positions, data.energies, data.groups, data.stages)
    labels = {
        index: Labelled(float(data.energies[index]), data.gradients[index])
        for index in range(len(data))
    }
    path = folder / "labels.extxyz"
    write_frames(path, pool, labels, data.surface, {"barrier": 1.0})
    return {path.name: path.read_bytes()}
