"""GFN1-xTB and GFN2-xTB from the tblite library: the default surface.

GFN2-xTB: 10.1021/acs.jctc.8b01176; GFN1-xTB: 10.1021/acs.jctc.7b00118; the implicit solvent
ALPB: 10.1021/acs.jctc.1c00471. The only module that imports tblite.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from tblite import library as _library
from tblite.exceptions import TBLiteRuntimeError
from threadpoolctl import threadpool_limits

from afir.errors import InputError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.surface import Evaluation
from afir.surfaces.series import ANNEALING, Memory, check_options, in_series, on_paths
from afir.units import BOHR, BOLTZMANN, HARTREE, HARTREE_PER_BOHR

_log = logging.getLogger(__name__)

library: Any = _library  # its functions carry no types

# Mixer memory and SCF cycles. The library's default memory takes seconds in difficult cases, and 5
# is too little. 93 % of random clashing geometries converge with the first pair.
_USUAL = (10, 250)
_PATIENT = (20, 1000)
_METHODS = {  # how to build the calculator, and the number of its ALPB parameters
    "GFN1-xTB": (library.new_gfn1_calculator, 1),
    "GFN2-xTB": (library.new_gfn2_calculator, 2),
}
_Result: TypeAlias = Any  # a handle of the library that holds a density, energy and gradient


def gfn2(
    molecule: Molecule,
    *,
    temperature: float = 300.0,
    accuracy: float = 0.01,
    solvent: str | None = None,
    spin_polarization: bool = False,
) -> TBLiteSurface:
    """GFN2-xTB, for elements up to radon.

    Parameters
    ----------
    molecule
        The molecule; multiplicity − 1 electrons are unpaired.
    temperature
        Electronic temperature in K.
    accuracy
        SCF accuracy of tblite: smaller is tighter. 0.01 gives gradients to 1e-6 eV/Å.
    solvent
        Name of an ALPB solvent such as ``"water"``; None is the gas phase. Its surface area is
        summed on a fixed grid, so turning the molecule changes the energy by about 1e-4 eV and
        the gradient by 5e-3 eV/Å.
    spin_polarization
        Whether energies depend on the spin density; for open shells only.

    Raises
    ------
    InputError
        For an element beyond radon, an unknown solvent or an option out of range.
    """
    return _surface(molecule, "GFN2-xTB", temperature, accuracy, solvent, spin_polarization)


def gfn1(
    molecule: Molecule,
    *,
    temperature: float = 300.0,
    accuracy: float = 0.01,
    solvent: str | None = None,
    spin_polarization: bool = False,
) -> TBLiteSurface:
    """GFN1-xTB, for elements up to radon; the options are those of `gfn2`."""
    return _surface(molecule, "GFN1-xTB", temperature, accuracy, solvent, spin_polarization)


def _surface(
    molecule: Molecule,
    method: str,
    temperature: float,
    accuracy: float,
    solvent: str | None,
    spin_polarization: bool,
) -> TBLiteSurface:
    """Check the options and build the surface."""
    check_options(method, molecule, temperature, accuracy, solvent)
    if not isinstance(spin_polarization, bool):
        raise InputError(f"`spin_polarization` must be true or false, got {spin_polarization!r}")
    settings = _Settings(method, float(temperature), float(accuracy), solvent, spin_polarization)
    return TBLiteSurface(molecule, settings)


@dataclass(frozen=True)
class _Settings:
    """All settings of the level of theory."""

    method: str
    temperature: float
    accuracy: float
    solvent: str | None
    spin_polarization: bool


@final
class TBLiteSurface:
    """A semiempirical surface with one remembered density per owner; see `gfn2` and `gfn1`.

    The SCF of an owner starts from the density last found for that owner. If an owner has several
    geometries in one batch, as for a Hessian, each starts from a copy of the density stored before
    the batch, so that the order within a batch never matters.

    Building one limits OpenMP and BLAS to one thread in this process: the molecules are too small
    for more.
    """

    def __init__(self, molecule: Molecule, settings: _Settings) -> None:
        self._molecule = molecule
        self._settings = settings
        self._memory: Memory[_Result] = Memory()
        self._paths: TBLiteSurface | None = None
        threadpool_limits(limits=1)
        self._engine = _Engine(molecule, settings)

    @property
    def molecule(self) -> Molecule:
        """The molecule this surface belongs to."""
        return self._molecule

    def for_paths(self) -> TBLiteSurface:
        """The same method at 1000 K or more and accuracy 0.1 or coarser."""
        if self._paths is None:
            temperature, accuracy = on_paths(self._settings.temperature, self._settings.accuracy)
            coarser = replace(self._settings, temperature=temperature, accuracy=accuracy)
            same = coarser == self._settings
            self._paths = self if same else TBLiteSurface(self._molecule, coarser)
        return self._paths

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
        engine = self._engine
        stored = self._memory.recall(owner)
        if stored is None:
            result = library.new_result()
        else:
            result = library.copy_result(stored) if shared else stored
        engine.place(positions / BOHR)
        try:
            engine.converge(result)
        except TBLiteRuntimeError as error:
            _log.debug("the SCF failed, trying again: %s", error)
            result = self._retry(fresh_failed=stored is None)
        if not shared and result is not stored:
            self._memory.keep(owner, result)
        energy, gradient = engine.read(result)
        gradient *= HARTREE_PER_BOHR
        return energy * HARTREE, gradient

    def _retry(self, fresh_failed: bool) -> _Result:
        """Try the SCF of the current geometry again, each time with more cycles.

        No attempt starts from the density of a failed SCF.

        Raises
        ------
        SurfaceError
            If all attempts fail.
        """
        engine = self._engine
        try:
            for memory, cycles in (_PATIENT,) if fresh_failed else (_USUAL, _PATIENT):
                engine.set_mixer(memory, cycles)
                result = library.new_result()
                try:
                    engine.converge(result)
                except TBLiteRuntimeError as error:
                    _log.debug("the SCF failed again: %s", error)
                else:
                    return result
            # Anneal: converge at a high temperature first, and cool down from density to density.
            last = self._settings.temperature
            result = library.new_result()
            for temperature in (*(t for t in ANNEALING if t > last), last):
                engine.set_temperature(temperature)
                engine.converge(result)
            return result
        except TBLiteRuntimeError as error:
            raise SurfaceError(
                f"{self._settings.method}: {_sentence(error)}; a higher electronic `temperature`, "
                "an option of the surface such as temperature=3000, may help, or another charge or "
                "multiplicity"
            ) from error
        finally:
            engine.restore(self._settings.temperature)


class _Engine:
    """The handles of one tblite calculation and the few calls the surface needs.

    Made of `tblite.library`, one floor below tblite's own classes: reading a result through
    those costs as much as a fifth of the SCF of a small molecule.
    """

    def __init__(self, molecule: Molecule, settings: _Settings) -> None:
        numbers = np.array(molecule.numbers, dtype=np.int32)
        line = np.zeros((molecule.n_atoms, 3))  # a placeholder geometry
        line[:, 0] = 3.0 * np.arange(molecule.n_atoms)
        loader, version = _METHODS[settings.method]
        try:
            self._structure = library.new_structure(
                molecule.n_atoms,
                library.ffi.from_buffer("int[]", numbers),
                _pointer(line),
                library.ffi.new("double*", float(molecule.charge)),
                library.ffi.new("int*", molecule.multiplicity - 1),
                library.ffi.NULL,
                library.ffi.NULL,
            )
            self._context = library.new_context(color=False, logger=_log.debug)
            self._calculator = loader(self._context, self._structure)
            handles = (self._context, self._structure, self._calculator)
            library.set_calculator_verbosity(self._context, self._calculator, 0)
            library.set_calculator_accuracy(self._context, self._calculator, settings.accuracy)
            self.set_temperature(settings.temperature)
            self.set_mixer(*_USUAL)
            if settings.spin_polarization:
                container = library.new_spin_polarization(*handles, 1.0)
                library.calculator_push_back(self._context, self._calculator, container)
        except TBLiteRuntimeError as error:
            raise InputError(
                f"the molecule must be one {settings.method} can treat, got {molecule.formula}: "
                f"{_sentence(error)}"
            ) from error
        if settings.solvent is not None:
            try:
                container = library.new_alpb_solvation(*handles, settings.solvent, version=version)
                library.calculator_push_back(self._context, self._calculator, container)
            except (TBLiteRuntimeError, UnicodeEncodeError):
                raise InputError(
                    f"`solvent` must be an ALPB solvent with parameters for {settings.method}, "
                    f"such as water or toluene, got {settings.solvent!r}"
                ) from None
        # A checked call of the C interface, as the library makes them itself.
        self._energy = library.error_check(library.lib.tblite_get_result_energy)
        self._gradient = library.error_check(library.lib.tblite_get_result_gradient)
        self._shape = (molecule.n_atoms, 3)
        self._number = library.ffi.new("double*")

    def set_mixer(self, memory: int, cycles: int) -> None:
        """Set how many densities the mixer remembers and how many cycles it may take."""
        library.set_calculator_mixer_memory(self._context, self._calculator, memory)
        library.set_calculator_max_iter(self._context, self._calculator, cycles)

    def set_temperature(self, temperature: float) -> None:
        """Set the electronic temperature in K."""
        energy = temperature * BOLTZMANN / HARTREE
        library.set_calculator_temperature(self._context, self._calculator, energy)

    def restore(self, temperature: float) -> None:
        """Restore the default mixer and a temperature in K, also after an error.

        An interrupt between a failed SCF and the check of its error leaves the error to the next
        call, where it must not replace the interrupt.
        """
        try:
            self.set_mixer(*_USUAL)
        except TBLiteRuntimeError:
            self.set_mixer(*_USUAL)
        self.set_temperature(temperature)

    def place(self, bohr: Positions) -> None:
        """Move the atoms to (n, 3) contiguous positions in bohr."""
        library.update_structure_geometry(self._structure, _pointer(bohr), library.ffi.NULL)

    def converge(self, result: _Result) -> None:
        """Run the SCF and the gradient, starting from the density in `result` and updating it.

        Raises
        ------
        TBLiteRuntimeError
            If it fails; `result` is then invalid, although it can still be read.
        """
        library.get_singlepoint(self._context, self._structure, self._calculator, result)

    def read(self, result: _Result) -> tuple[float, NDArray[np.float64]]:
        """The energy in Eh and the gradient (n, 3) in Eh/a0."""
        gradient = np.empty(self._shape)
        self._energy(result, self._number)
        self._gradient(result, _pointer(gradient))
        return float(self._number[0]), gradient


def _pointer(array: NDArray[np.float64]) -> Any:
    """The C view of a contiguous array."""
    return library.ffi.from_buffer("double[]", array)


def _sentence(error: Exception) -> str:
    """The library's message on one line."""
    return " ".join(str(error).split())
