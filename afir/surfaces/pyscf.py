"""Density functional theory, and Hartree–Fock, by PySCF.

Optional: costs at least a thousand times as much as GFN2-xTB, whose results it checks and refines.
PySCF: 10.1063/5.0006074; B3LYP: 10.1021/j100096a001. The only module that imports pyscf, and
only when a surface is built.
"""

from __future__ import annotations

import logging
import math
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from afir.errors import InputError, MissingPackageError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.surface import Evaluation, Traits
from afir.surfaces.series import Memory, in_series
from afir.units import BOHR, HARTREE, HARTREE_PER_BOHR

_log = logging.getLogger(__name__)

_Density: TypeAlias = NDArray[np.float64]  # (m, m), or (2, m, m) of an open shell
_Field: TypeAlias = Any  # PySCF's object of one SCF: its settings, then its orbitals

_COARSER = 2  # grid levels; level 1 is good to 1e-5 hartree where 3 is good to 1e-6
_PATH_CONVERGENCE = 1e-5  # hartree: gradients good to 1e-4 eV/Å, where paths are relaxed to 0.35

_CYCLES = 50  # of an SCF: PySCF's own limit
_PATIENT_CYCLES = 60  # of a difficult one, which takes smaller steps; chosen
_LEVEL_SHIFT = 0.1  # hartree; of 0 to 0.5 the value that converged most random clashing geometries

# Basis sets for core potentials of another name.
_FOREIGN_CORES = ("bfd", "ccecp", "gth")
# Names with a dispersion correction, which is not part of the functional itself.
_CORRECTED = re.compile(r"[-_]d(\d\w*)?$|-3c$|^cf22d$", re.IGNORECASE)


def dft(
    molecule: Molecule,
    *,
    functional: str = "b3lyp",
    basis: str = "6-31g*",
    grid: int = 3,
    density_fitting: bool = False,
    convergence: float = 1e-6,
) -> DFTSurface:
    """Density functional theory by PySCF: restricted for singlets, else unrestricted.

    Parameters
    ----------
    molecule
        The molecule; multiplicity − 1 electrons are unpaired.
    functional
        Name of a functional in PySCF, without a correction for dispersion, or ``"hf"`` for
        Hartree–Fock. ``"b3lyp"`` is that of Gaussian, with the local correlation that VWN
        fitted to the RPA ("VWN3"); ``"b3lyp5"`` has VWN5.
    basis
        Name of a basis set in PySCF; where it comes with a core potential of the same name,
        that is used. d functions are spherical (5D), those of Gaussian's 6-31G* Cartesian.
    grid
        Level of the integration grid, 1 to 9. The grid does not rotate with the molecule: rotating
        H2CO changes the energy by up to 5e-5 eV and the gradient by 5e-4 eV/Å on level 3, and
        ten times less on level 4. Some functionals of the kinetic-energy density, such as
        m06-2x, need finer grids.
    density_fitting
        Whether Coulomb and exchange integrals are fitted: faster from about ten atoms, with an
        error of some 1e-5 hartree.
    convergence
        Norm of the orbital gradient in hartree at which the SCF is converged. 1e-6 gives
        gradients to 1e-5 eV/Å.

    Raises
    ------
    MissingPackageError
        If PySCF is not installed.
    InputError
        For a functional or basis set that PySCF does not have, an element that the basis set
        does not cover, or an option out of range.
    """
    for name, text in (("functional", functional), ("basis", basis)):
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"`{name}` must be a name, got {text!r}")
    if not isinstance(grid, int) or isinstance(grid, bool) or not 1 <= grid <= 9:
        raise InputError(f"`grid` must be a whole number from 1 to 9, got {grid!r}")
    if not isinstance(density_fitting, bool):
        raise InputError(f"`density_fitting` must be true or false, got {density_fitting!r}")
    if not isinstance(convergence, int | float) or isinstance(convergence, bool):
        raise InputError(f"`convergence` must be a number, got {convergence!r}")
    if not 0.0 < convergence < math.inf:
        raise InputError(f"`convergence` must be more than 0 hartree, got {convergence}")
    settings = _Settings(functional, basis, grid, density_fitting, float(convergence))
    return DFTSurface(molecule, settings)


@dataclass(frozen=True)
class _Settings:
    """All settings of the level of theory."""

    functional: str
    basis: str
    grid: int
    density_fitting: bool
    convergence: float


@final
class DFTSurface:
    """A surface of PySCF with one remembered density per owner; build it with `dft`.

    The SCF of an owner starts from the density last found for that owner; geometries that share
    an owner in one batch all start from what was stored before the batch.

    Building one limits OpenMP and BLAS to one thread in this process, and tells PySCF to write
    no checkpoint files in it.
    """

    def __init__(self, molecule: Molecule, settings: _Settings) -> None:
        self._molecule = molecule
        self._settings = settings
        self._memory: Memory[_Density] = Memory()
        self._paths: DFTSurface | None = None
        self._pyscf = _library()
        threadpool_limits(limits=1)
        self._pyscf.lib.num_threads(1)
        self._pyscf.scf.hf.MUTE_CHKFILE = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about names; relevant cases are refused
            self._gridless = _kind(self._pyscf, settings.functional) == "HF"
            self._template = _template(self._pyscf, molecule, settings.basis)

    @property
    def molecule(self) -> Molecule:
        """The molecule this surface belongs to."""
        return self._molecule

    @property
    def traits(self) -> Traits:
        """Its gradients are costly."""
        return Traits(expensive=True)

    def for_paths(self) -> DFTSurface:
        """The same method two grid levels down, the SCF converged to 1e-5 hartree or coarser.

        Takes less than half the time for B3LYP/6-31G* of H2CO.
        """
        if self._paths is None:
            coarser = replace(
                self._settings,
                grid=max(1, self._settings.grid - _COARSER),
                convergence=max(_PATH_CONVERGENCE, self._settings.convergence),
            )
            same = coarser == self._settings
            self._paths = self if same else DFTSurface(self._molecule, coarser)
            self._paths._paths = self._paths
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
        stored = self._memory.recall(owner)
        try:
            field = self._converged(positions, stored)
            method = field.nuc_grad_method()
            # The grid moves with the atoms. Without its part, the gradient is not the derivative
            # of the energy, and the molecule would be pushed as a whole.
            method.grid_response = not self._gridless
            gradient = np.asarray(method.kernel(), dtype=np.float64)
        # Numerical libraries below PySCF raise any error on an impossible geometry.
        except (ArithmeticError, RuntimeError, ValueError) as error:
            raise SurfaceError(f"PySCF: {' '.join(str(error).split())}") from error
        if not shared:
            self._memory.keep(owner, np.array(field.make_rdm1()))
        return float(field.e_tot) * HARTREE, gradient * HARTREE_PER_BOHR

    def _converged(self, positions: Positions, stored: _Density | None) -> _Field:
        """The converged SCF of a geometry (n, 3) in Å; a failed one is tried again.

        Raises
        ------
        SurfaceError
            If all attempts fail.
        """
        for density in (None,) if stored is None else (stored, None):
            field = self._field(positions)
            field.kernel(dm0=density)  # None: superposed atoms
            if field.converged:
                return field
            _log.debug("the SCF did not converge in %d cycles, trying again", field.max_cycle)
        field = self._field(positions)
        _persevere(field)
        if not field.converged:
            raise SurfaceError(f"{self._settings.functional}: the SCF did not converge")
        return field

    def _field(self, positions: Positions) -> _Field:
        """An SCF of the geometry (n, 3) in Å, not yet started."""
        settings = self._settings
        shape = self._template.set_geom_(positions / BOHR, unit="Bohr", inplace=False)
        restricted = self._molecule.multiplicity == 1
        kind = self._pyscf.dft.RKS if restricted else self._pyscf.dft.UKS
        field = kind(shape, xc=settings.functional)
        field.grids.level = settings.grid
        field.small_rho_cutoff = 0.0  # changing grid points would make steps in the energy
        field.conv_tol_grad = settings.convergence
        # The energy is off by the square of the orbital gradient: this never decides.
        field.conv_tol = 1e-3 * settings.convergence
        field.max_cycle = _CYCLES
        return field.density_fit() if settings.density_fitting else field


def _persevere(field: _Field) -> None:
    """Converge a difficult SCF, first in smaller steps, then with second derivatives."""
    field.level_shift = _LEVEL_SHIFT
    field.max_cycle = _PATIENT_CYCLES
    field.kernel()
    if field.converged:
        return
    newton = field.newton()
    newton.level_shift = 0.0
    newton.max_cycle = _CYCLES
    newton.kernel(dm0=field.make_rdm1())
    # It may have ended in an excited state; from there, but not from the lowest, this diverges.
    field.kernel(dm0=newton.make_rdm1())


def _library() -> Any:
    """PySCF, loaded when it is first needed."""
    try:
        import pyscf.dft
    except ImportError as error:
        raise MissingPackageError(
            f'the surface dft needs the package pyscf: pip install "afir[dft]" ({error})'
        ) from error
    return pyscf


def _kind(library: Any, functional: str) -> str:
    """The type of a functional: ``"HF"`` (orbitals only), ``"LDA"``, ``"GGA"`` or ``"MGGA"``.

    Raises
    ------
    InputError
        Unless PySCF has the functional, and gradients of all of it.
    """
    libxc = library.dft.libxc
    wanted = "`functional` must be"
    if _CORRECTED.search(functional):
        raise InputError(f"{wanted} one without a correction for dispersion, got {functional!r}")
    try:
        kind: str = libxc.xc_type(functional)
        nonlocal_part, laplacian = libxc.is_nlc(functional), libxc.needs_laplacian(functional)
    # The parser may raise any error: KeyError, ValueError, IndexError …
    except Exception as error:
        raise InputError(
            f"{wanted} the name of a functional in PySCF, such as b3lyp or pbe0, got {functional!r}"
        ) from error
    if nonlocal_part:
        raise InputError(f"{wanted} one without non-local correlation, got {functional!r}")
    if laplacian or kind not in ("HF", "LDA", "GGA", "MGGA"):
        raise InputError(f"{wanted} one that PySCF has gradients for, got {functional!r}")
    return kind


def _template(library: Any, molecule: Molecule, basis: str) -> Any:
    """PySCF's molecule with basis functions and core potentials, at a placeholder geometry.

    Raises
    ------
    InputError
        If the basis set is unknown or lacks an element.
    """
    if basis.lower().startswith(_FOREIGN_CORES):
        raise InputError(
            f"`basis` must have no core potential or one of the same name, got {basis!r}"
        )
    # PySCF accepts a text or a file as the basis set itself, and evaluates expressions in it.
    if len(basis.splitlines()) > 1 or os.path.isfile(basis):  # noqa: PTH113 - any text
        raise InputError(
            f"`basis` must be the name of a basis set in PySCF, got a text or a file: {basis!r}"
        )
    if "@" in basis:  # PySCF cuts the functions, and would not find the core potential
        raise InputError(f"`basis` must be that of a whole basis set, got {basis!r}")
    known = library.gto.basis
    cores = {}
    for symbol in dict.fromkeys(molecule.symbols):
        try:
            functions = known.load(basis, symbol)
        # As for functionals: any error is about the name.
        except Exception as error:
            raise InputError(
                f"`basis` must be the name of a basis set in PySCF that covers {symbol}, "
                f"such as 6-31g* or def2-svp, got {basis!r}"
            ) from error
        if not functions:
            raise InputError(f"`basis` must cover {symbol}, got {basis!r}")
        try:
            core = known.load_ecp(basis, symbol)
        except (RuntimeError, KeyError, ValueError):
            continue  # no core potential of that name
        if core:
            cores[symbol] = core
    atoms = [(symbol, (3.0 * i, 0.0, 0.0)) for i, symbol in enumerate(molecule.symbols)]
    return library.gto.M(
        atom=atoms,
        unit="Bohr",
        basis=basis,
        ecp=cores,
        charge=molecule.charge,
        spin=molecule.multiplicity - 1,
        cart=False,
        symmetry=False,
        verbose=0,
        parse_arg=False,  # the command line is not PySCF's
    )
