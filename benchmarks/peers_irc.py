"""Reaction paths of other programs, on the same counted surface and to the same limit.

Each follows the IRC with its own defaults and then minimises both ends with its own optimiser.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from counted import CountedSurface, Meter
from peers import Arrived, AseCalculator, pysisyphus_calculator, pysisyphus_folder

from afir.molecule import Positions
from afir.pes.surface import Surface
from afir.units import BOHR, HARTREE

IRC_STEPS = 500
END_STEPS = 500


@dataclass
class Side:
    """One side of a path as a program left it.

    Attributes
    ----------
    energies
        eV, along the IRC from its first point down, without the minimisation.
    positions
        (n, 3) in Å of the minimised end.
    complete
        Whether the program itself calls its IRC complete.
    """

    energies: list[float] = field(default_factory=list)
    positions: Positions | None = None
    complete: bool = True


@dataclass
class Sides:
    """Both sides, and what of the gradients went into the Hessian at the start."""

    first: Side = field(default_factory=Side)
    second: Side = field(default_factory=Side)
    hessian: int = 0


Follow = Callable[[Surface, Positions, float], Sides]
"""``follow(surface, saddle, limit)``: ends with max|g| below the limit (eV/Å), or not."""


def sella(*, ends: str) -> Follow:
    """The IRC of Sella (10.1021/acs.jctc.2c00395), ends minimised by Sella or by ASE's BFGS.

    Its Hessian comes from its own iterative diagonalisation.
    """
    from ase.optimize import BFGS
    from sella import IRC, Sella
    from sella.optimize.irc import IRCInnerLoopConvergenceFailure

    def minimised(atoms: Atoms, limit: float, nothing: object) -> None:
        if ends == "bfgs":
            optimizer = BFGS(atoms, logfile=nothing)
        else:
            options = {"internal": True, "allow_fragments": True} if ends == "internal" else {}
            optimizer = Sella(atoms, order=0, logfile=nothing, **options)
        for _ in optimizer.irun(fmax=0.0, steps=END_STEPS):
            if np.abs(atoms.get_forces()).max() < limit:
                break

    def follow(surface: Surface, saddle: Positions, limit: float) -> Sides:
        meter = Meter()
        counted = CountedSurface(surface, meter)
        numbers, masses = surface.molecule.numbers, surface.molecule.masses
        atoms = Atoms(numbers=numbers, positions=saddle, masses=masses)
        atoms.calc = AseCalculator(counted)
        result = Sides()
        with Path(os.devnull).open("w") as nothing:
            path = IRC(atoms, logfile=nothing)
            for side, direction in ((result.first, "forward"), (result.second, "reverse")):
                try:
                    for number, _ in enumerate(path.irun(steps=IRC_STEPS, direction=direction)):
                        if number:
                            side.energies.append(float(atoms.get_potential_energy()))
                        elif side is result.first:
                            result.hessian = meter.gradients
                except IRCInnerLoopConvergenceFailure:
                    side.complete = False
                end = Atoms(numbers=numbers, positions=atoms.positions)
                end.calc = AseCalculator(surface)
                minimised(end, limit, nothing)
                side.positions = np.array(end.positions)
        return result

    return follow


def pysisyphus() -> Follow:
    """EulerPC (10.1063/1.3514202) of pysisyphus (10.1002/qua.26390), ends minimised by its RFO."""
    from pysisyphus.Geometry import Geometry
    from pysisyphus.irc.EulerPC import EulerPC
    from pysisyphus.optimizers.RFOptimizer import RFOptimizer

    def minimised(surface: Surface, start: Positions, limit: float) -> Positions:
        symbols = Atoms(numbers=surface.molecule.numbers).get_chemical_symbols()
        adapter = pysisyphus_calculator(surface, limit)
        place = start
        # Its driver too builds new internal coordinates when the old ones break down.
        for _ in range(5):
            geometry = Geometry(symbols, place.ravel() / BOHR, coord_type="redund")
            geometry.set_calculator(adapter)
            try:
                RFOptimizer(geometry, thresh="never", max_cycles=END_STEPS).run()
            except Arrived:
                break
            except Exception:  # it may break down in any way: go on with new coordinates
                place = start if adapter.last is None else adapter.last
            else:
                break
        return start if adapter.last is None else np.array(adapter.last)

    def follow(surface: Surface, saddle: Positions, limit: float) -> Sides:
        meter = Meter()
        symbols = Atoms(numbers=surface.molecule.numbers).get_chemical_symbols()
        result = Sides()
        with pysisyphus_folder():
            geometry = Geometry(symbols, saddle.ravel() / BOHR, coord_type="cart")
            adapter = pysisyphus_calculator(
                surface, 0.0, for_hessian=CountedSurface(surface, meter)
            )
            geometry.set_calculator(adapter)
            path = EulerPC(geometry)
            path.run()
            result.hessian = meter.gradients
            for side, energies, place, risen in (
                (result.first, path.forward_energies[::-1], 0, path.forward_energy_increased),
                (result.second, path.backward_energies, -1, path.backward_energy_increased),
            ):
                # A rise is one of its ways to tell that it has arrived.
                falling = energies[:-1] if risen else energies
                side.energies = [float(energy) * HARTREE for energy in falling]
                start = np.array(path.all_coords[place]).reshape(-1, 3) * BOHR
                side.positions = minimised(surface, start, limit)
        return result

    return follow
