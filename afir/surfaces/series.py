"""Batches, for libraries that take one geometry at a time and for models that take many.

Shared by their adapters: refusing impossible geometries, confining a failure to its geometry, and
one electronic state per search to start the next SCF from.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.surface import Evaluation, unfit_owner

State = TypeVar("State")

HEAVIEST = 86
"""Radon, the last element that GFN1-xTB and GFN2-xTB have parameters for."""

_CORES = {1: 0, 3: 2, 11: 10, 19: 18, 30: 28, 37: 36, 48: 46, 55: 54, 72: 68, 80: 78}
"""Core electrons in GFN1-xTB and GFN2-xTB of elements from these on; d and f shells that are full
in the atom from zinc, cadmium, hafnium and mercury on are core."""

_LANTHANIDES = range(57, 72)
"""Elements of three valence electrons: those in f shells are core, and may be unpaired."""

# Of the published parameters; the tests ask tblite for every element.
_ONLY_S_AND_P = {*range(3, 10), 11, 19, 30, 37, 48, 55, 80, 81, 82, 83}
_DIFFERENT = {"GFN1-xTB": {1: 2, 2: 1, 12: 4}, "GFN2-xTB": {1: 1, 2: 4, 84: 4}}
"""Number of valence orbitals of the elements in which both methods differ."""

ANNEALING = (5000.0, 3000.0, 2000.0, 1000.0, 600.0)
"""Electronic temperatures in K for annealing a difficult SCF. Chosen; with these and more cycles
all but 3 of 3600 random clashing geometries converge."""

# K. On distorted polar paths SCFs from different densities disagreed at 39 of 320 points at 300 K
# and at none at 1000 K, which moves minima by 1e-4 kcal/mol at most (GFN2-xTB).
_PATH_TEMPERATURE = 1000.0
_PATH_ACCURACY = 0.1  # gradients good to about 1e-5 eV/Å for ten atoms

SMALLEST_DISTANCE = 0.3
"""Å, less than half of any bond length. Atoms closer than this are refused: semiempirical models
are invalid there, and tblite gives gradients up to 1e11."""

LARGEST_GRADIENT = 1e4
"""eV/Å. A gradient of a larger norm counts as a failure. On GFN2-xTB two atoms of carbon have 4300
at 0.3 Å and two of oxygen 6600 at 0.35 Å."""


def as_batch(molecule: Molecule, positions: Positions) -> Positions:
    """`positions` in Å as contiguous float64, or InputError unless they are (k, n, 3)."""
    batch = np.asarray(positions, dtype=np.float64, order="C")
    if batch.ndim != 3 or batch.shape[1:] != (molecule.n_atoms, 3):
        raise InputError(
            f"`positions` must have the shape (k, {molecule.n_atoms}, 3), got {batch.shape}"
        )
    return batch


def check_options(
    method: str, molecule: Molecule, temperature: float, accuracy: float, solvent: str | None
) -> None:
    """Check the molecule and the options of an xTB method.

    Raises
    ------
    InputError
        For an element beyond radon, a state that the valence electrons cannot have, a temperature
        in K or an accuracy that is not a number above 0, or a solvent that is not a name.
    """
    for name, unit, value in (("temperature", " K", temperature), ("accuracy", "", accuracy)):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InputError(f"`{name}` must be a number, got {value!r}")
        if not 0.0 < value < math.inf:
            raise InputError(f"`{name}` must be more than 0{unit}, got {value}")
    if solvent is not None and not isinstance(solvent, str):
        raise InputError(f"`solvent` must be the name of a solvent, got {solvent!r}")
    for index, (number, symbol) in enumerate(zip(molecule.numbers, molecule.symbols, strict=True)):
        if number > HEAVIEST:
            raise InputError(
                f"the elements must be up to radon for {method}, got {symbol} for atom {index}; "
                "choose another surface"
            )
    _check_valence(method, molecule)


def _check_valence(method: str, molecule: Molecule) -> None:
    """Raise InputError for a state that the valence shell cannot have; the libraries crash."""
    valence = sum(map(_valence_electrons, molecule.numbers))
    spin_orbitals = 2 * sum(_valence_orbitals(method, number) for number in molecule.numbers)
    electrons = valence - molecule.charge
    what = f"for {molecule.formula} with {method}, which has valence shells only"
    if electrons < 0:
        raise InputError(f"`charge` must be {valence:+d} at most {what}, got {molecule.charge:+d}")
    if electrons > spin_orbitals:
        raise InputError(
            f"`charge` must be {valence - spin_orbitals:+d} at least {what}, "
            f"got {molecule.charge:+d}"
        )
    in_core = sum(min(n - 57, 71 - n) for n in molecule.numbers if n in _LANTHANIDES)
    most = min(electrons, spin_orbitals - electrons) + in_core + 1
    if molecule.multiplicity > most:
        raise InputError(
            f"`multiplicity` must be {most} at most {what}, got {molecule.multiplicity}"
        )


def _valence_electrons(number: int) -> int:
    """The valence electrons of an element in GFN1-xTB and GFN2-xTB."""
    if number in _LANTHANIDES:
        return 3
    return number - _CORES[max(first for first in _CORES if first <= number)]


def _valence_orbitals(method: str, number: int) -> int:
    """The valence orbitals of an element in GFN1-xTB or GFN2-xTB: s, s and p, or s, p and d."""
    return _DIFFERENT[method].get(number, 4 if number in _ONLY_S_AND_P else 9)


def on_paths(temperature: float, accuracy: float) -> tuple[float, float]:
    """Electronic temperature in K and SCF accuracy on paths, from those of stationary points.

    At least 1000 K, since stretched bonds have several SCF solutions below it, and an accuracy of
    0.1 or coarser.
    """
    return max(_PATH_TEMPERATURE, temperature), max(_PATH_ACCURACY, accuracy)


class Memory(Generic[State]):
    """The electronic state last found for each owner, forgotten with the owner."""

    def __init__(self) -> None:
        self._states: WeakKeyDictionary[object, State] = WeakKeyDictionary()

    def recall(self, owner: object | None) -> State | None:
        """The owner's state; None if there is none, or the geometry has no owner.

        Raises
        ------
        InputError
            If the owner cannot be hashed or held weakly.
        """
        if owner is None:
            return None
        try:
            return self._states.get(owner)
        except TypeError:
            raise unfit_owner(owner) from None

    def keep(self, owner: object | None, state: State) -> None:
        """Store the state of the owner, if there is an owner."""
        if owner is not None:
            self._states[owner] = state

    def forget(self, owner: object | None) -> None:
        """Drop the owner's state, if there is one."""
        if owner is not None and self.recall(owner) is not None:
            del self._states[owner]


def in_series(
    molecule: Molecule,
    positions: Positions,
    owners: Sequence[object] | None,
    single_point: Callable[[Positions, object | None, bool], tuple[float, NDArray[np.float64]]],
    forget: Callable[[object | None], None],
    *,
    smallest_distance: float = SMALLEST_DISTANCE,
) -> Evaluation:
    """Evaluate a batch geometry by geometry.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (k, n, 3) in Å.
    owners
        One object a geometry, or None; see `afir.pes.surface.Surface.evaluate`.
    single_point
        ``single_point(geometry, owner, shared)`` gives the energy in eV and the gradient (n, 3)
        in eV/Å, or raises SurfaceError. ``shared`` says that the owner has other geometries in
        this batch: what is remembered of it may then be read but not changed, so that the order
        within a batch never matters.
    forget
        Called with the owner of each geometry that failed, after the whole batch.
    smallest_distance
        Geometries with atoms closer than this, in Å, fail without being tried.

    Raises
    ------
    InputError
        If `positions` is not (k, n, 3) or there are not k owners.
    """
    positions = as_batch(molecule, positions)
    count = len(positions)
    if owners is not None and len(owners) != count:
        raise InputError(f"`owners` must name {count} owners, one a geometry, got {len(owners)}")
    energies, gradients = np.empty(count), np.empty(positions.shape)
    failures = unusable(positions, smallest_distance)
    # A search that asks for one geometry at a time is the hot path: no counting there.
    times = Counter(map(id, owners)) if owners is not None and count > 1 else None
    for index in range(count):
        if index in failures:
            continue
        owner = None if owners is None else owners[index]
        shared = times is not None and times[id(owner)] > 1
        try:
            energy, gradient = single_point(positions[index], owner, shared)
            _check_point(energy, gradient, positions.shape[1:])
        except SurfaceError as error:
            failures[index] = error
            continue
        energies[index], gradients[index] = energy, gradient
    for index in failures:
        energies[index] = np.nan
        gradients[index] = np.nan
        if owners is not None:
            forget(owners[index])
    return Evaluation(energies, gradients, failures)


def _check_point(energy: float, gradient: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    """Raise SurfaceError for what is no energy in eV, or no gradient (n, 3) in eV/Å."""
    if gradient.shape != shape:  # which NumPy would repeat for all atoms
        raise SurfaceError(f"the gradient must have the shape {shape}, got {gradient.shape}")
    norm = math.sqrt(np.vdot(gradient, gradient))
    # In this form a NaN fails, too.
    if not (math.isfinite(energy) and norm < LARGEST_GRADIENT):
        raise SurfaceError(
            f"the energy must be finite and the gradient below {LARGEST_GRADIENT:.0f} eV/Å, "
            f"got {energy:.3g} eV and {norm:.3g} eV/Å"
        )


def at_once(
    positions: Positions,
    predict: Callable[[NDArray[np.intp]], tuple[NDArray[np.float64], Positions]],
    *,
    smallest_distance: float = SMALLEST_DISTANCE,
) -> Evaluation:
    """Evaluate all geometries of a batch that can be evaluated together.

    Parameters
    ----------
    positions
        (k, n, 3) in Å.
    predict
        Energies (m,) in eV and gradients (m, n, 3) in eV/Å of those m geometries, given by their
        indices (m,).
    smallest_distance
        Geometries with atoms closer than this, in Å, fail without being tried.
    """
    failures = unusable(positions, smallest_distance)
    good = np.setdiff1d(np.arange(len(positions)), list(failures), assume_unique=True)
    energies = np.full(len(positions), np.nan)
    gradients = np.full(positions.shape, np.nan)
    if len(good):
        energies[good], gradients[good] = predict(good)
    norms = np.sqrt((gradients[good] ** 2).sum(axis=(1, 2)))
    for index in good[~(np.isfinite(energies[good]) & (norms < LARGEST_GRADIENT))]:
        failures[int(index)] = SurfaceError(
            f"the gradient is {LARGEST_GRADIENT:.0f} eV/Å or more, or not finite"
        )
        energies[index] = gradients[index] = np.nan
    return Evaluation(energies, gradients, failures)


def added(first: Evaluation, second: Evaluation) -> Evaluation:
    """The sum of two evaluations of the same geometries; it fails where one of them fails.

    Spread and limit are those of the second.
    """
    return replace(
        second,
        energies=first.energies + second.energies,
        gradients=first.gradients + second.gradients,
        failures={**second.failures, **first.failures},
    )


def unusable(positions: Positions, smallest_distance: float) -> dict[int, SurfaceError]:
    """Batch index → why this geometry of `positions` (k, n, 3) in Å is refused."""
    first, second = _pairs(positions.shape[1])
    difference = positions.take(first, 1) - positions.take(second, 1)
    squares = np.vecdot(difference, difference)
    # One test for the whole batch suffices for a usual call; a NaN fails both halves.
    nearest = squares.min(initial=np.inf)
    if nearest >= smallest_distance**2 and math.isfinite(positions.sum()):
        return {}
    bad = {}
    for index, geometry in enumerate(positions):
        distance = math.sqrt(squares[index].min(initial=np.inf))
        if not np.isfinite(geometry).all():
            bad[index] = SurfaceError("a coordinate is not a finite number")
        elif distance < smallest_distance:
            bad[index] = SurfaceError(
                f"two atoms are {distance:.3f} Å apart, closer than {smallest_distance} Å"
            )
    return bad


@lru_cache(maxsize=16)
def _pairs(n_atoms: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every pair of atoms once, as two index arrays."""
    first, second = np.triu_indices(n_atoms, 1)
    return first, second
