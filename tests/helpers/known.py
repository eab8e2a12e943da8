"""What is known beforehand: points on GFN2-xTB, small molecules, treacherous surfaces."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afir.errors import SurfaceError
from afir.geometry.bonds import bonds
from afir.molecule import Molecule, Positions
from afir.pes.loading import load_surface
from afir.pes.surface import Evaluation, Surface
from afir.surfaces.analytic import AnalyticSurface
from afir.units import HARTREE

DATA = Path(__file__).parents[1] / "data"
MAPS = json.loads((DATA / "gfn2_stationary_points.json").read_text())
BENT = Molecule((1, 6, 7))  # for the Müller–Brown surface in two bond lengths
PAIR = Molecule((1, 1))
ATOM = Molecule((1,), multiplicity=2)
WATER = Molecule((8, 1, 1))


@dataclass(frozen=True)
class Reference:
    """A transition state of `tests/data/ts_reference.json`; energies in eV."""

    molecule: Molecule
    saddle: Positions
    energy: float
    imaginary: float
    ends: tuple[Positions, Positions]
    end_energies: tuple[float, float]


def _read() -> dict[str, Reference]:
    cases = json.loads((DATA / "ts_reference.json").read_text())["cases"]
    return {
        name: Reference(
            Molecule(tuple(case["numbers"]), case["charge"], case["multiplicity"]),
            np.array(case["saddle"]),
            case["energy"] * HARTREE,
            case["imaginary"],
            (np.array(case["ends"][0]), np.array(case["ends"][1])),
            (case["end_energies"][0] * HARTREE, case["end_energies"][1] * HARTREE),
        )
        for name, case in cases.items()
    }


REFERENCES = _read()


def _read_soft() -> dict[str, tuple[Molecule, Positions, float]]:
    cases = json.loads((DATA / "soft_ts.json").read_text())["cases"]
    return {
        name: (Molecule(tuple(case["numbers"])), np.array(case["saddle"]), case["energy"] * HARTREE)
        for name, case in cases.items()
    }


SOFT = _read_soft()
"""Soft transition states of internal rotations: molecule, positions, energy in eV."""


@cache
def gfn2(molecule: Molecule) -> Surface:
    return load_surface("gfn2", molecule)


def mapped(formula: str, kind: str, relative_kj_mol: float) -> tuple[Molecule, Positions, float]:
    """Molecule, positions and energy in eV of the point of a map with this relative energy."""
    points = MAPS[formula][kind]
    lowest = min(point["energy_hartree"] for point in MAPS[formula]["EQ"])
    wanted = lowest + relative_kj_mol / 2625.4996394799
    point = min(points, key=lambda item: abs(item["energy_hartree"] - wanted))
    assert abs(point["energy_hartree"] - wanted) < 0.2 / 2625.5
    molecule = Molecule(tuple(MAPS[formula]["numbers"]))
    return molecule, np.array(point["positions"]), point["energy_hartree"] * HARTREE


def noise(shape: Sequence[int], seed: int, rms: float = 0.1) -> Positions:
    """Displacements with a root mean square of `rms` Å an atom."""
    return np.random.default_rng(seed).normal(scale=rms / np.sqrt(3.0), size=tuple(shape))


@dataclass(frozen=True)
class Unreliable:
    """A surface without an energy for some of the geometries, counted from 0."""

    inner: Surface
    fails: Sequence[int] | range
    calls: Iterator[int] = field(default_factory=count)

    @property
    def molecule(self) -> Molecule:
        return self.inner.molecule

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        answer = self.inner.evaluate(positions, owners)
        failures = {
            index: SurfaceError("the SCF did not converge")
            for index in range(len(positions))
            if next(self.calls) in self.fails
        }
        return Evaluation(answer.energies, answer.gradients, failures)

    def for_paths(self) -> Unreliable:
        return self


def valley(molecule: Molecule, centre: Positions, hessian: NDArray[np.float64]) -> AnalyticSurface:
    """A quadratic surface around a geometry; not invariant to rotation."""

    def function(positions: Positions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        away = (positions - centre).reshape(len(positions), -1)
        slopes = away @ hessian
        return 0.5 * (slopes * away).sum(axis=1), slopes.reshape(positions.shape)

    return AnalyticSurface(molecule, function)


def bond_graph(molecule: Molecule, positions: Positions, factor: float = 1.3) -> tuple[object, ...]:
    """A fingerprint of who is bonded to whom that does not depend on the order of like atoms.

    Colours refined by those of the neighbours until nothing changes: the same for two
    structures when their bonds are, and in practice only then.
    """
    adjacency = bonds(molecule, positions, factor)
    colours: list[object] = list(molecule.numbers)
    for _ in range(molecule.n_atoms):
        colours = [
            hash(
                (colours[i], tuple(sorted(hash(colours[j]) for j in np.flatnonzero(adjacency[i]))))
            )
            for i in range(molecule.n_atoms)
        ]
    return tuple(sorted(Counter(hash(colour) for colour in colours).items()))
