"""Any calculator of the Atomic Simulation Environment (ASE) as a surface.

For example force fields, learned potentials and quantum-chemistry programs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final
from weakref import ref

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator, PropertyNotImplementedError
from numpy.typing import NDArray

from afir.errors import InputError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.surface import Evaluation, Traits, unfit_owner
from afir.surfaces.series import in_series


def from_import_path(
    molecule: Molecule,
    *,
    argument: str = "",
    options: dict[str, Any] | None = None,
    expensive: bool = False,
) -> AseSurface:
    """A surface of any ASE calculator, imported by its path.

    Parameters
    ----------
    molecule
        The molecule.
    argument
        Import path of the calculator class, or of a function that makes one, e.g.
        ``"ase.calculators.emt.EMT"``: what follows the colon of the surface name
        ``ase:ase.calculators.emt.EMT``.
    options
        Keyword arguments for it; on the command line in JSON, ``options={"rc": 10.0}``.
    expensive
        Whether a gradient takes more than about half a second: paths then take fewer.

    Raises
    ------
    InputError
        If the import fails, the options do not fit, or it is not a calculator.
    """
    if options is not None and not (
        isinstance(options, dict) and all(isinstance(key, str) for key in options)
    ):
        raise InputError(f"`options` must be a table of named values, got {options!r}")
    kind = _imported(argument)
    try:
        calculator = kind(**(options or {}))
    # A foreign constructor may raise any error; all are attributed to the options.
    except (Exception, SystemExit) as error:
        raise InputError(
            f"`options` must be what {argument} takes, got {options or {}}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if Path(getattr(calculator, "directory", None) or ".").is_absolute():
        raise InputError(
            "`options` must leave the working directory to afir, which makes one for each process "
            f"below TMPDIR, got {options}"
        )
    return AseSurface(molecule, calculator, expensive=expensive)


def _imported(path: str) -> Callable[..., Any]:
    """The calculator class, or the function that makes a calculator, at an import path.

    Raises
    ------
    InputError
        If there is none.
    """
    module_name, dot, name = path.rpartition(".")
    if not (dot and module_name and name):
        raise InputError(
            "the surface 'ase' needs the import path of an ASE calculator behind a colon, such as "
            f"ase:ase.calculators.emt.EMT, got {path!r}"
        )
    refusal = (
        f"the surface 'ase' needs an ASE calculator or a function that makes one, got {path!r}"
    )
    if module_name.partition(".")[0] in sys.stdlib_module_names:
        raise InputError(f"{refusal}, which is of Python itself")
    try:
        kind = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"the surface 'ase' finds no ASE calculator at {path!r}: {error}"
        ) from error
    # Models and runs of others name surfaces, too: only plausible objects are called.
    if not callable(kind) or (isinstance(kind, type) and not issubclass(kind, BaseCalculator)):
        raise InputError(f"{refusal}, which is {kind!r}")
    made: Callable[..., Any] = kind
    return made


@final
class AseSurface:
    """A surface computed by an ASE calculator.

    Charge and unpaired electrons, if not zero, are set on the `Atoms` as initial charges and
    magnetic moments, spread evenly; some calculators ignore them. Energies are consistent with the
    forces: the free energy if a calculator has one. The calculator is reset between owners, so that
    none starts from the results of another.

    Parameters
    ----------
    molecule
        The molecule.
    calculator
        Any ASE calculator.
    expensive
        Whether a gradient takes more than about half a second.

    Raises
    ------
    InputError
        If it is not an ASE calculator, or gives no energies or forces.
    """

    def __init__(
        self, molecule: Molecule, calculator: BaseCalculator, *, expensive: bool = False
    ) -> None:
        if not isinstance(expensive, bool):
            raise InputError(f"`expensive` must be true or false, got {expensive!r}")
        if not isinstance(calculator, BaseCalculator):
            raise InputError(
                f"`calculator` must be an ASE calculator, got {type(calculator).__name__}"
            )
        for quantity in ("energy", "forces"):
            if quantity not in calculator.implemented_properties:
                raise InputError(
                    f"`calculator` must give {quantity}, "
                    f"got {type(calculator).__name__}, which does not"
                )
        self._molecule = molecule
        self._calculator = calculator
        self._traits = Traits(expensive=expensive)
        self._free = "free_energy" in calculator.implemented_properties
        self._last: ref[object] | None = None
        self._atoms = _atoms(molecule)
        self._atoms.calc = calculator

    @property
    def molecule(self) -> Molecule:
        """The molecule this surface belongs to."""
        return self._molecule

    @property
    def traits(self) -> Traits:
        """Whether gradients are costly, as given."""
        return self._traits

    def for_paths(self) -> AseSurface:
        """The surface itself: a calculator has no smoother form."""
        return self

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """The `Evaluation` of geometries (k, n, 3) in Å; see `afir.pes.surface.Surface`.

        Raises
        ------
        InputError
            If `positions` is not (k, n, 3), an owner cannot be held weakly, or the calculator
            does not know an element or cannot give forces.
        """
        return in_series(
            self._molecule,
            positions,
            owners,
            self._single_point,
            self._forget,
            smallest_distance=0.0,
        )

    def _single_point(
        self, positions: Positions, owner: object | None, shared: bool
    ) -> tuple[float, NDArray[np.float64]]:
        """Energy in eV and gradient (n, 3) in eV/Å; see `in_series`."""
        if shared or owner is None or self._last is None or self._last() is not owner:
            self._reset()
        self._atoms.positions = positions
        try:
            with np.errstate(all="ignore"):  # non-finite values are reported as a failure
                energy = np.asarray(
                    self._atoms.get_potential_energy(force_consistent=self._free), dtype=np.float64
                )
                forces = np.asarray(self._atoms.get_forces(), dtype=np.float64)
        except NotImplementedError as error:
            kind = type(self._calculator).__name__
            lacking = "energies and forces"
            if not isinstance(error, PropertyNotImplementedError):
                lacking = self._molecule.formula
            raise InputError(f"`calculator` must support {lacking}, got {kind}: {error}") from error
        # Calculators raise any error of their programs: files, processes, linear algebra.
        except Exception as error:
            self._reset()
            raise SurfaceError(f"{type(error).__name__}: {error}") from error
        if owner is not None and not shared:
            self._remember(owner)
        if energy.size != 1:
            raise SurfaceError(f"the energy must be one number, got the shape {energy.shape}")
        return energy.item(), -forces

    def _remember(self, owner: object) -> None:
        """Record the owner of the results in the calculator."""
        try:
            self._last = ref(owner)
        except TypeError:
            raise unfit_owner(owner) from None

    def _forget(self, owner: object | None) -> None:
        """Drop the results of an owner whose geometry failed."""
        if self._last is not None and self._last() is owner:
            self._reset()

    def _reset(self) -> None:
        """Clear the last results of the calculator."""
        self._last = None
        calculator: Any = self._calculator
        if isinstance(self._calculator, Calculator):
            calculator.reset()
        else:  # the newer base class has no reset of its own
            calculator.atoms = None
            calculator.results = {}


def _atoms(molecule: Molecule) -> Any:
    """The molecule as untyped ASE `Atoms`, all at the origin."""
    n = molecule.n_atoms
    atoms: Any = Atoms
    return atoms(
        numbers=molecule.numbers,
        positions=np.zeros((n, 3)),
        charges=np.full(n, molecule.charge / n) if molecule.charge else None,
        magmoms=np.full(n, (molecule.multiplicity - 1) / n) if molecule.multiplicity > 1 else None,
    )
