"""Where the saddle searches start: published guesses and displaced transition states.

The Baker–Chan starting structures (10.1002/(SICI)1096-987X(199605)17:7<888::AID-JCC12>3.0.CO;2-7)
are read from the installed pysisyphus package, which ships them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from afir.hessians.modes import Matrix
from afir.molecule import Molecule, Positions
from afir.units import HARTREE

REFERENCES = Path(__file__).parent.parent / "tests" / "data" / "ts_reference.json"
TARGETS = Path(__file__).parent / "saddle_targets.json"

# Charge and multiplicity where they are not 0 and 1, from the article.
STATES = {
    "04_ch3o": (0, 2),
    "05_cyclopropyl": (0, 2),
    "08_formyloxyethyl": (0, 2),
    "16_h2po4_anion": (-1, 1),
    "20_hconh3_cation": (1, 1),
}
NOISE = 0.1
"""Å: root mean square displacement of an atom of the displaced transition states."""


@dataclass(frozen=True)
class Guess:
    """A guess and the energy of the transition state it is meant for.

    Attributes
    ----------
    name
        What the tables call it.
    molecule
        The molecule.
    positions
        (n, 3) in Å.
    energy
        eV; None when nobody knows.
    tangent
        (n, 3) direction of the path that it is a peak of; None when there is none.
    hessian
        (3n, 3n) estimate in eV/Å² that comes with it.
    """

    name: str
    molecule: Molecule
    positions: Positions
    energy: float | None
    tangent: Positions | None = None
    hessian: Matrix | None = None


def baker_chan() -> list[Guess]:
    """The 25 Baker–Chan guesses."""
    folder = files("pysisyphus").joinpath("geom_library", "baker_ts")
    targets = json.loads(TARGETS.read_text()) if TARGETS.exists() else {}
    result = []
    for path in sorted(folder.iterdir(), key=lambda item: item.name):
        name = path.name.removesuffix(".xyz")
        if path.name == name or name.endswith("_downhill"):
            continue
        lines = [line.split() for line in path.read_text().splitlines()[2:] if line.strip()]
        numbers = tuple(atomic_numbers[line[0].capitalize()] for line in lines)
        positions = np.array([[float(x) for x in line[1:4]] for line in lines])
        energy = targets.get(name)
        molecule = Molecule(numbers, *STATES.get(name, (0, 1)))
        result.append(Guess(name, molecule, positions, energy and energy * HARTREE))
    return result


def displaced(seed: int = 7) -> list[Guess]:
    """The 36 reference transition states, displaced at random."""
    result = []
    for name, case in json.loads(REFERENCES.read_text())["cases"].items():
        molecule = Molecule(tuple(case["numbers"]), case["charge"], case["multiplicity"])
        x = np.array(case["saddle"])
        shift = np.random.default_rng(seed).normal(scale=NOISE / np.sqrt(3.0), size=x.shape)
        result.append(Guess(name, molecule, x + shift, case["energy"] * HARTREE))
    return result
