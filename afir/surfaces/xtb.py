"""GFN2-xTB from the xtb-python package, the reference implementation.

Optional: its energies agree with those of `afir.surfaces.tblite` to 1e-7 Eh, as a check. The
package has no wheels beyond Python 3.11; its solvent model is GBSA, not ALPB.
The only module that imports xtb.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from afir.errors import InputError, MissingPackageError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.surface import Evaluation
from afir.surfaces.series import ANNEALING, Memory, check_options, in_series, on_paths
from afir.units import BOHR, HARTREE, HARTREE_PER_BOHR

_log = logging.getLogger(__name__)


def gfn2(
    molecule: Molecule,
    *,
    temperature: float = 300.0,
    accuracy: float = 0.01,
    solvent: str | None = None,
) -> XTBSurface:
    """GFN2-xTB by xtb-python, for elements up to radon.

    Parameters
    ----------
    molecule
        The molecule; multiplicity − 1 electrons are unpaired.
    temperature
        Electronic temperature in K.
    accuracy
        SCF accuracy of xtb: smaller is tighter.
    solvent
        Name of a GBSA solvent such as ``"water"``; None is the gas phase.

    Raises
    ------
    MissingPackageError
        If xtb-python is not installed.
    InputError
        For an element beyond radon, an unknown solvent or an option out of range.
    """
    check_options("GFN2-xTB", molecule, temperature, accuracy, solvent)
    return XTBSurface(molecule, float(temperature), float(accuracy), solvent)


@final
class XTBSurface:
    """A surface of xtb-python with one remembered SCF per owner; build it with `gfn2`.

    Building one limits OpenMP and BLAS to one thread in this process.
    """

    def __init__(
        self, molecule: Molecule, temperature: float, accuracy: float, solvent: str | None
    ) -> None:
        try:
            interface: Any = import_module("xtb.interface")
            library: Any = import_module("xtb.libxtb")
            utils: Any = import_module("xtb.utils")
        except ImportError as error:
            raise MissingPackageError(
                'the surface xtb needs the package xtb-python: pip install "afir[xtb]" on Python '
                f"3.11 ({error}); the surface gfn2 gives the same energies without it"
            ) from error
        threadpool_limits(limits=1)
        self._molecule = molecule
        self._temperature = temperature
        self._accuracy = accuracy
        self._solvent = solvent
        self._memory: Memory[Any] = Memory()
        self._failed: type[Exception] = interface.XTBException
        line = np.zeros((molecule.n_atoms, 3))  # a placeholder geometry
        line[:, 0] = 3.0 * np.arange(molecule.n_atoms)
        try:
            self._calculator = interface.Calculator(
                interface.Param.GFN2xTB,
                np.array(molecule.numbers),
                line,
                float(molecule.charge),
                molecule.multiplicity - 1,
            )
            self._calculator.set_verbosity(library.VERBOSITY_MUTED)
            self._calculator.set_accuracy(accuracy)
            self._calculator.set_electronic_temperature(temperature)
            if solvent is not None:
                known = utils.get_solvent(solvent)
                if known is None:
                    raise InputError(
                        "`solvent` must be a GBSA solvent of xtb, such as water or toluene, "
                        f"got {solvent!r}"
                    )
                self._calculator.set_solvent(known)
        except interface.XTBException as error:
            raise InputError(
                f"the molecule must be one xtb can treat, got {molecule.formula}: "
                f"{' '.join(str(error).split())}"
            ) from error

    @property
    def molecule(self) -> Molecule:
        """The molecule this surface belongs to."""
        return self._molecule

    def for_paths(self) -> XTBSurface:
        """The same method at 1000 K or more and accuracy 0.1 or coarser."""
        temperature, accuracy = on_paths(self._temperature, self._accuracy)
        if (temperature, accuracy) == (self._temperature, self._accuracy):
            return self
        return XTBSurface(self._molecule, temperature, accuracy, self._solvent)

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """The `Evaluation` of geometries (k, n, 3) in Å; see `afir.pes.surface.Surface`.

        Raises
        ------
        InputError
            If `positions` is not (k, n, 3) or an owner cannot be held weakly.
        """
        return in_series(self._molecule, positions, owners, self._single_point, self._memory.forget)

    def _single_point(
        self, positions: Positions, owner: object | None, shared: bool
    ) -> tuple[float, NDArray[np.float64]]:
        """Energy in eV and gradient (n, 3) in eV/Å; see `in_series`."""
        stored = self._memory.recall(owner)
        try:
            self._calculator.update(positions / BOHR)
            try:
                result = self._calculator.singlepoint(stored, copy=shared)
            except self._failed as error:
                _log.debug("the SCF failed, annealing: %s", error)
                result = self._anneal()
            energy = float(result.get_energy())
            gradient: NDArray[np.float64] = result.get_gradient()
        except self._failed as error:
            raise SurfaceError(f"xtb: {' '.join(str(error).split())}") from error
        if not shared and result is not stored:
            self._memory.keep(owner, result)
        return energy * HARTREE, gradient * HARTREE_PER_BOHR

    def _anneal(self) -> Any:
        """The result of an annealed SCF: converged at a high temperature, cooled in steps."""
        result = None
        try:
            for temperature in (t for t in ANNEALING if t > self._temperature):
                self._calculator.set_electronic_temperature(temperature)
                result = self._calculator.singlepoint(result)
        finally:
            self._calculator.set_electronic_temperature(self._temperature)
        return self._calculator.singlepoint(result)
