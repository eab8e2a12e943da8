"""GFN1-xTB and GFN2-xTB from the tblite library: the default surface.

GFN2-xTB: 10.1021/acs.jctc.8b01176; GFN1-xTB: 10.1021/acs.jctc.7b00118; the implicit solvent
ALPB: 10.1021/acs.jctc.1c00471. The only module that imports tblite.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from tblite.exceptions import TBLiteRuntimeError
from tblite.interface import Calculator, Result
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from afir.errors import InputError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.surface import Evaluation
from afir.units import BOHR, BOLTZMANN, HARTREE, HARTREE_PER_BOHR

_log = logging.getLogger(__name__)

PATH_TEMPERATURE = 1000.0
"""Electronic temperature in K on paths: stretched bonds have several SCF solutions below it."""

PATH_ACCURACY = 0.1
"""SCF accuracy on paths: gradients good to about 1e-5 eV/Å for ten atoms."""

SMALLEST_DISTANCE = 0.3
"""Å. Atoms closer than this are refused: the model has no meaning there."""

LARGEST_GRADIENT = 1e4
"""eV/Å. A larger gradient component is taken for a failure."""

_HEAVIEST = 86  # radon, the last element of both parametrisations
_USUAL = (10, 250)  # mixer memory and SCF cycles; the library's own memory is slow when it is hard
_PATIENT = (20, 1000)
_ANNEALING = (5000.0, 3000.0, 2000.0, 1000.0, 600.0)  # K


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
        Name of an ALPB solvent such as ``"water"``; None is the gas phase.
    spin_polarization
        Whether energies depend on the spin density; matters for open shells only.

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
    for name, unit, value in (("temperature", " K", temperature), ("accuracy", "", accuracy)):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InputError(f"`{name}` must be a number, got {value!r}")
        if not 0.0 < value < math.inf:
            raise InputError(f"`{name}` must be more than 0{unit}, got {value}")
    if solvent is not None and not isinstance(solvent, str):
        raise InputError(f"`solvent` must be the name of a solvent, got {solvent!r}")
    if not isinstance(spin_polarization, bool):
        raise InputError(f"`spin_polarization` must be true or false, got {spin_polarization!r}")
    for index, (number, symbol) in enumerate(zip(molecule.numbers, molecule.symbols, strict=True)):
        if number > _HEAVIEST:
            raise InputError(
                f"`numbers` must hold elements up to radon for {method}, "
                f"got {symbol} for atom {index}"
            )
    settings = _Settings(method, float(temperature), float(accuracy), solvent, spin_polarization)
    return TBLiteSurface(molecule, settings)


@dataclass(frozen=True)
class _Settings:
    """Everything but the molecule that decides an energy."""

    method: str
    temperature: float
    accuracy: float
    solvent: str | None
    spin_polarization: bool


@final
class TBLiteSurface:
    """A semiempirical surface with an SCF that may remember; build it with `gfn2` or `gfn1`.

    The SCF of an owner starts from the density last found for that owner. An owner that asks
    for several geometries in one batch, as for a Hessian, has each of them start from a copy
    of what was stored before the batch, so that the order within a batch never matters.

    Building one limits OpenMP and BLAS to one thread in this process: the molecules are small
    and threads only fight for the processor.
    """

    def __init__(self, molecule: Molecule, settings: _Settings) -> None:
        self._molecule = molecule
        self._settings = settings
        self._memory: WeakKeyDictionary[object, Result] = WeakKeyDictionary()
        self._paths: TBLiteSurface | None = None
        self._first, self._second = np.triu_indices(molecule.n_atoms, 1)
        threadpool_limits(limits=1)
        self._calculator = _calculator(molecule, settings)

    @property
    def molecule(self) -> Molecule:
        """The molecule this surface belongs to."""
        return self._molecule

    def for_paths(self) -> TBLiteSurface:
        """The same method at 1000 K or more and accuracy 0.1 or coarser; see `PATH_TEMPERATURE`."""
        if self._paths is None:
            coarser = replace(
                self._settings,
                temperature=max(PATH_TEMPERATURE, self._settings.temperature),
                accuracy=max(PATH_ACCURACY, self._settings.accuracy),
            )
            same = coarser == self._settings
            self._paths = self if same else TBLiteSurface(self._molecule, coarser)
        return self._paths

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """Energies and gradients of a batch; see `afir.surface.Surface.evaluate`.

        Raises
        ------
        InputError
            If `positions` is not (k, n, 3) or an owner cannot be held weakly.
        """
        count = len(positions)
        if positions.shape != (count, self._molecule.n_atoms, 3):
            raise InputError(
                f"`positions` must have the shape (k, {self._molecule.n_atoms}, 3), "
                f"got {positions.shape}"
            )
        energies = np.full(count, np.nan)
        gradients = np.full(positions.shape, np.nan)
        failures: dict[int, SurfaceError] = {}
        bohr = positions / BOHR
        bad = self._unusable(positions)
        # A search that asks for one geometry at a time is the hot path: no counting there.
        times = Counter(map(id, owners)) if owners is not None and count > 1 else None
        for index in range(count):
            owner = None if owners is None else owners[index]
            shared = times is not None and times[id(owner)] > 1
            try:
                if bad is not None and index in bad:
                    raise bad[index]
                energy, gradient = self._single_point(bohr[index], owner, shared)
            except SurfaceError as error:
                failures[index] = error
            else:
                energies[index] = energy
                gradients[index] = gradient
        if owners is not None:
            # Only now, so that a failure does not change how the rest of its batch starts.
            for index in failures:
                if owners[index] is not None:
                    self._memory.pop(owners[index], None)
        return Evaluation(energies * HARTREE, gradients * HARTREE_PER_BOHR, failures)

    def _unusable(self, positions: Positions) -> dict[int, SurfaceError] | None:
        """Batch index → why the library must not see this geometry; None if all are fine."""
        difference = positions[:, self._first] - positions[:, self._second]
        squares = np.einsum("kij,kij->ki", difference, difference)
        smallest = np.sqrt(squares.min(axis=1, initial=np.inf))
        finite = np.isfinite(positions).all(axis=(1, 2))
        if (finite & (smallest >= SMALLEST_DISTANCE)).all():
            return None
        bad = {}
        for index in range(len(positions)):
            if not finite[index]:
                bad[index] = SurfaceError("a coordinate is not a finite number")
            elif smallest[index] < SMALLEST_DISTANCE:
                bad[index] = SurfaceError(
                    f"two atoms are {smallest[index]:.3f} Å apart, "
                    f"closer than {SMALLEST_DISTANCE} Å"
                )
        return bad

    def _single_point(
        self, bohr: Positions, owner: object | None, shared: bool
    ) -> tuple[float, NDArray[np.float64]]:
        """Energy in Eh and gradient in Eh/a0 of one geometry in bohr.

        Parameters
        ----------
        bohr
            (n, 3).
        owner
            Whose density to start from and to update; None for neither.
        shared
            Whether the owner has other geometries in this batch: its density is then only read.
        """
        try:
            stored = None if owner is None else self._memory.get(owner)
        except TypeError:
            raise InputError(
                f"`owners` must hold objects that can be hashed and referenced weakly, "
                f"got {type(owner).__name__}"
            ) from None
        self._calculator.update(bohr)
        try:
            result = self._calculator.singlepoint(stored, copy=shared)
        except TBLiteRuntimeError as error:
            _log.debug("SCF failed, trying again: %s", error)
            result = self._retry(fresh_failed=stored is None)
            if owner is not None and not shared:
                self._memory[owner] = result
        else:
            if stored is None and owner is not None and not shared:
                self._memory[owner] = result
        energy = float(result.get("energy"))
        gradient: NDArray[np.float64] = result.get("gradient")
        steepest = float(abs(gradient).max()) * HARTREE_PER_BOHR
        # Written so that a NaN fails too.
        if not (math.isfinite(energy) and steepest < LARGEST_GRADIENT):
            raise SurfaceError(
                f"the gradient must stay below {LARGEST_GRADIENT:.0f} eV/Å, got {steepest:.3g}"
            )
        return energy, gradient

    def _retry(self, fresh_failed: bool) -> Result:
        """Try ever more patient SCFs on the geometry the calculator holds.

        None of them starts from a failed density: what a failed SCF leaves behind is wrong.

        Raises
        ------
        SurfaceError
            When all have failed.
        """
        steps = [] if fresh_failed else [_USUAL]
        steps.append(_PATIENT)
        calculator = self._calculator
        try:
            for memory, cycles in steps:
                _set_mixer(calculator, memory, cycles)
                try:
                    return calculator.singlepoint()
                except TBLiteRuntimeError as error:
                    _log.debug("SCF failed with %d cycles: %s", cycles, error)
            return self._anneal()
        except TBLiteRuntimeError as error:
            raise SurfaceError(f"{self._settings.method}: {_sentence(error)}") from error
        finally:
            _set_mixer(calculator, *_USUAL)
            calculator.set("temperature", _kelvin(self._settings.temperature))

    def _anneal(self) -> Result:
        """Converge hot, where the SCF is easy, and cool down from density to density."""
        last = self._settings.temperature
        result: Result | None = None
        for temperature in (*(t for t in _ANNEALING if t > last), last):
            self._calculator.set("temperature", _kelvin(temperature))
            result = self._calculator.singlepoint(result)
        assert result is not None  # there is always the last temperature
        return result


def _calculator(molecule: Molecule, settings: _Settings) -> Calculator:
    """A tblite calculator ready for the hot loop, holding a placeholder geometry."""
    line = np.zeros((molecule.n_atoms, 3))
    line[:, 0] = 3.0 * np.arange(molecule.n_atoms)
    try:
        calculator = Calculator(
            settings.method,
            np.array(molecule.numbers),
            line,
            float(molecule.charge),
            molecule.multiplicity - 1,
            color=False,
            logger=_log.debug,
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", settings.accuracy)
        calculator.set("temperature", _kelvin(settings.temperature))
        _set_mixer(calculator, *_USUAL)
        if settings.spin_polarization:
            calculator.add("spin-polarization", 1.0)
    except TBLiteRuntimeError as error:
        raise InputError(
            f"{settings.method} must support the molecule {molecule.formula}, "
            f"got this from tblite: {_sentence(error)}"
        ) from error
    if settings.solvent is not None:
        try:
            calculator.add("alpb-solvation", settings.solvent)
        except (TBLiteRuntimeError, UnicodeEncodeError):
            raise InputError(
                f"`solvent` must be an ALPB solvent with parameters for {settings.method}, "
                f"such as water or toluene, got {settings.solvent!r}"
            ) from None
    return calculator


def _set_mixer(calculator: Calculator, memory: int, cycles: int) -> None:
    """Set how many densities the mixer remembers and how many cycles it may take."""
    calculator.set("mixer-memory", memory)
    calculator.set("max-iter", cycles)


def _kelvin(temperature: float) -> float:
    """An electronic temperature in K as an energy in Eh."""
    return temperature * BOLTZMANN / HARTREE


def _sentence(error: Exception) -> str:
    """The library's message on one line."""
    return " ".join(str(error).split())
