"""Saddle searches of other programs, on the same counted surface and to the same limit."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from afir.molecule import Molecule, Positions
from afir.pes.surface import Surface
from afir.units import BOHR, HARTREE, HARTREE_PER_BOHR

STEPS = 200

Search = Callable[[Surface, Positions, float], Positions]
"""``search(surface, guess, limit)``: where it ended, max|g| below the limit (eV/Å) or not."""


class AseCalculator(Calculator):  # type: ignore[misc]
    """The surface as ASE programs want it."""

    implemented_properties = ("energy", "forces")

    def __init__(self, surface: Surface) -> None:
        super().__init__()
        self._surface = surface

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):  # type: ignore[no-untyped-def]
        """Answer one call of ASE."""
        super().calculate(atoms, properties, system_changes)
        answer = self._surface.evaluate(atoms.positions[None], [self])
        for error in answer.failures.values():
            raise error
        self.results = {"energy": float(answer.energies[0]), "forces": -answer.gradients[0]}


def sella(*, internal: bool) -> Search:
    """Sella (10.1021/acs.jctc.9b00869), in Cartesian or in internal coordinates."""
    from sella import Sella

    def search(surface: Surface, guess: Positions, limit: float) -> Positions:
        atoms = Atoms(numbers=surface.molecule.numbers, positions=guess)
        atoms.calc = AseCalculator(surface)
        with Path(os.devnull).open("w") as nothing:
            optimizer = Sella(atoms, internal=internal, logfile=nothing)
            for _ in optimizer.irun(fmax=0.0, steps=STEPS):
                if np.abs(atoms.get_forces()).max() < limit:
                    break
        return np.array(atoms.positions)

    return search


class Arrived(Exception):  # noqa: N818 - it is no error
    """The limit is met."""


def pysisyphus_calculator(
    surface: Surface, limit: float, *, for_hessian: Surface | None = None
) -> Any:
    """The surface as pysisyphus wants it.

    Raises `Arrived` out of its searches when no component of the gradient exceeds the limit
    (eV/Å); `last` is where it was last asked for a gradient.
    """
    from pysisyphus.calculators.Calculator import Calculator as Base

    class Adapter(Base):  # type: ignore[misc]
        last: Positions | None = None

        def ask(self, coords: np.ndarray, of: Surface = surface) -> tuple[float, np.ndarray]:
            x = np.asarray(coords).reshape(-1, 3) * BOHR
            answer = of.evaluate(x[None], [self])
            for error in answer.failures.values():
                raise error
            return answer.energies[0] / HARTREE, answer.gradients[0] / HARTREE_PER_BOHR

        def get_energy(self, atoms, coords, **_):  # type: ignore[no-untyped-def]
            return {"energy": self.ask(coords)[0]}

        def get_forces(self, atoms, coords, **_):  # type: ignore[no-untyped-def]
            energy, gradient = self.ask(coords)
            self.last = np.asarray(coords).reshape(-1, 3) * BOHR
            if np.abs(gradient).max() * HARTREE_PER_BOHR < limit:
                raise Arrived
            return {"energy": energy, "forces": -gradient.ravel()}

        def get_hessian(self, atoms, coords, **_):  # type: ignore[no-untyped-def]
            of = for_hessian or surface
            x = np.asarray(coords)
            step, rows = 0.005, []
            for index in range(x.size):
                shift = np.zeros(x.size)
                shift[index] = step
                plus, minus = self.ask(x + shift, of)[1], self.ask(x - shift, of)[1]
                rows.append((plus - minus).ravel() / (2.0 * step))
            matrix = np.array(rows)
            energy = self.ask(x, of)[0]
            return {"energy": energy, "hessian": 0.5 * (matrix + matrix.T)}

    molecule: Molecule = surface.molecule
    return Adapter(charge=molecule.charge, mult=molecule.multiplicity)


@contextlib.contextmanager
def pysisyphus_folder() -> Iterator[None]:
    """Somewhere for the logs that it writes to where it runs, and quiet."""
    logging.disable(logging.CRITICAL)
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(home)
            logging.disable(logging.NOTSET)


def pysisyphus() -> Search:
    """RS-P-RFO of pysisyphus (10.1002/qua.26390) in redundant internals, with its defaults."""
    from pysisyphus.Geometry import Geometry
    from pysisyphus.optimizers.exceptions import ZeroStepLength
    from pysisyphus.tsoptimizers.RSPRFOptimizer import RSPRFOptimizer

    def search(surface: Surface, guess: Positions, limit: float) -> Positions:
        symbols = Atoms(numbers=surface.molecule.numbers).get_chemical_symbols()
        adapter = pysisyphus_calculator(surface, limit)
        with pysisyphus_folder():
            geometry = Geometry(symbols, guess.ravel() / BOHR, coord_type="redund")
            geometry.set_calculator(adapter)
            optimizer = RSPRFOptimizer(geometry, thresh="never", max_cycles=STEPS)
            with contextlib.suppress(Arrived, ZeroStepLength):
                optimizer.run()
        return guess if adapter.last is None else adapter.last

    return search
