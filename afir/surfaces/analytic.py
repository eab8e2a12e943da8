"""Surfaces in closed form with known stationary points, for tests.

Their energies take microseconds and are exact to rounding, so that a wrong result is an error of
the algorithm. They are not models of the molecule that they are built for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.surface import Evaluation
from afir.surfaces.series import as_batch

BatchFunction = Callable[[Positions], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""From (k, n, 3) in Å to energies (k,) in eV and gradients (k, n, 3) in eV/Å."""


@dataclass(frozen=True)
class KnownPoint:
    """A known stationary point.

    Attributes
    ----------
    label
        A short name.
    coordinates
        n triples in Å.
    energy
        eV.
    order
        The number of negative eigenvalues of the Hessian.
    """

    label: str
    coordinates: tuple[tuple[float, float, float], ...]
    energy: float
    order: int

    @property
    def positions(self) -> Positions:
        """(n, 3) in Å."""
        return np.array(self.coordinates)


@final
@dataclass(frozen=True)
class AnalyticSurface:
    """A surface given by a function.

    Attributes
    ----------
    molecule
        The molecule.
    function
        Energies and gradients of a batch; a geometry where either is not finite has failed.
    """

    molecule: Molecule
    function: BatchFunction

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """The `Evaluation` of geometries (k, n, 3) in Å; see `afir.pes.surface.Surface`.

        Raises
        ------
        InputError
            If `positions` is not (k, n, 3).
        """
        batch = as_batch(self.molecule, positions)
        with np.errstate(all="ignore"):
            energies, gradients = self.function(batch)
        finite = np.isfinite(energies) & np.isfinite(gradients).all(axis=(1, 2))
        failures = {
            int(index): SurfaceError("the surface has no finite energy at this geometry")
            for index in np.flatnonzero(~finite)
        }
        energies[~finite] = np.nan
        gradients[~finite] = np.nan
        return Evaluation(energies, gradients, failures)

    def for_paths(self) -> AnalyticSurface:
        """The surface itself, which is smooth."""
        return self


# Müller and Brown, 10.1007/BF00547608: four Gaussians in two coordinates.
_MB_HEIGHT = np.array([-200.0, -100.0, -170.0, 15.0])
_MB_XX = np.array([-1.0, -1.0, -6.5, 0.7])
_MB_XY = np.array([0.0, 0.0, 11.0, 0.6])
_MB_YY = np.array([-10.0, -10.0, -6.5, 0.7])
_MB_X = np.array([1.0, 0.0, -0.5, -1.0])
_MB_Y = np.array([0.0, 0.5, 1.5, 1.0])
_MB_SCALE = 0.01  # eV per unit of the paper: barriers like those of reactions
_MB_STIFFNESS = 10.0  # eV/Å² along z, where the paper has nothing: any number would do
# Newton's method to the last digit on the published points: (label, x, y, energy, order).
_MB_POINTS = (
    ("A", -0.558223635, 1.441725842, -146.6995172, 0),
    ("B", 0.623499405, 0.028037759, -108.1667241, 0),
    ("C", -0.050010823, 0.466694105, -80.7678181, 0),
    ("A-C", -0.822001559, 0.624312803, -40.6648435, 1),
    ("C-B", 0.212486582, 0.292988325, -72.2489401, 1),
)

MUELLER_BROWN_POINTS: tuple[KnownPoint, ...] = tuple(
    KnownPoint(label, ((x, y, 0.0),), _MB_SCALE * energy, order)
    for label, x, y, energy, order in _MB_POINTS
)
"""All stationary points of `mueller_brown`: three minima and two saddle points."""

# The same two coordinates as bond lengths, x + 2.5 Å and y + 1.5 Å, so that no stationary point has
# one below 1.5 Å, at an angle of 104.5° as in water.
_BENT_SHIFT = (2.5, 1.5)
_BENT_COSINE = -0.25
_BENT_STIFFNESS = 5.0  # eV for the square of the cosine; any number would do

MUELLER_BROWN_BENT_POINTS: tuple[KnownPoint, ...] = tuple(
    KnownPoint(
        label,
        (
            (x + _BENT_SHIFT[0], 0.0, 0.0),
            (0.0, 0.0, 0.0),
            (
                (y + _BENT_SHIFT[1]) * _BENT_COSINE,
                (y + _BENT_SHIFT[1]) * (1.0 - _BENT_COSINE**2) ** 0.5,
                0.0,
            ),
        ),
        _MB_SCALE * energy,
        order,
    )
    for label, x, y, energy, order in _MB_POINTS
)
"""Stationary points of `mueller_brown_bent`, as `MUELLER_BROWN_POINTS`."""


def mueller_brown(molecule: Molecule) -> AnalyticSurface:
    """The Müller–Brown surface for one atom: 0.01 eV a unit in x and y, harmonic in z.

    An external field: it is not invariant to translation and rotation. See
    `MUELLER_BROWN_POINTS` and 10.1007/BF00547608.

    Raises
    ------
    InputError
        Unless the molecule has one atom.
    """
    _need_atoms("mueller-brown", molecule, 1)
    return AnalyticSurface(molecule, _mueller_brown_field)


def mueller_brown_bent(molecule: Molecule) -> AnalyticSurface:
    """The Müller–Brown surface in the two bond lengths of a bent triatomic molecule.

    Invariant to translation and rotation, with the stationary points of the original at the
    same energies: x and y are the distances of atoms 0–1 less 2.5 Å and 1–2 less 1.5 Å; a
    harmonic term in the cosine holds the angle. See `MUELLER_BROWN_BENT_POINTS`.

    Raises
    ------
    InputError
        Unless the molecule has three atoms of three elements: the surface tells them apart.
    """
    _need_atoms("mueller-brown-bent", molecule, 3)
    if len(set(molecule.numbers)) != 3:
        raise InputError(f"`molecule` must have three different elements, got {molecule.formula}")
    return AnalyticSurface(molecule, _mueller_brown_bent)


def _mueller_brown(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Energy in eV and its derivatives by x and y, for arrays of coordinates in Å."""
    dx = x[:, None] - _MB_X
    dy = y[:, None] - _MB_Y
    terms = _MB_SCALE * _MB_HEIGHT * np.exp(_MB_XX * dx**2 + _MB_XY * dx * dy + _MB_YY * dy**2)
    by_x = (terms * (2 * _MB_XX * dx + _MB_XY * dy)).sum(axis=1)
    by_y = (terms * (_MB_XY * dx + 2 * _MB_YY * dy)).sum(axis=1)
    return terms.sum(axis=1), by_x, by_y


def _mueller_brown_field(
    positions: Positions,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One atom in the field."""
    x, y, z = positions[:, 0].T
    energies, by_x, by_y = _mueller_brown(x, y)
    gradients = np.stack([by_x, by_y, _MB_STIFFNESS * z], axis=-1)[:, None]
    return energies + 0.5 * _MB_STIFFNESS * z**2, gradients


def _mueller_brown_bent(
    positions: Positions,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Three atoms; the middle one is 1."""
    arms = positions[:, (0, 2)] - positions[:, 1:2]
    lengths = np.linalg.norm(arms, axis=-1)
    units = arms / lengths[..., None]
    energies, by_x, by_y = _mueller_brown(*(lengths - _BENT_SHIFT).T)
    cosine = np.einsum("ki,ki->k", units[:, 0], units[:, 1])
    strain = cosine - _BENT_COSINE
    # d cos/d arm = (other unit − cos·own unit)/length
    turn = (units[:, ::-1] - cosine[:, None, None] * units) / lengths[..., None]
    stretch = np.stack([by_x, by_y], axis=-1)[..., None] * units
    outer = stretch + 2 * _BENT_STIFFNESS * strain[:, None, None] * turn
    gradients = np.stack([outer[:, 0], -outer.sum(axis=1), outer[:, 1]], axis=1)
    return energies + _BENT_STIFFNESS * strain**2, gradients


LENNARD_JONES_MINIMA: dict[int, tuple[float, ...]] = {
    2: (-1.0,),
    3: (-3.0,),
    4: (-6.0,),
    5: (-9.103852,),
    6: (-12.712062, -12.302927),
    7: (-16.505384, -15.935043, -15.593211, -15.533060),
}
"""Every minimum of `lennard_jones` clusters of so many atoms, in units of ε, lowest first: all that
minimisations from random clusters find."""

LENNARD_JONES_13 = -44.326801
"""The lowest minimum of 13 atoms, an icosahedron, in units of ε (10.1021/jp970984n)."""


def lennard_jones(
    molecule: Molecule, *, epsilon: float = 1.0, sigma: float = 1.0
) -> AnalyticSurface:
    """A Lennard-Jones cluster, 4ε[(σ/r)¹² − (σ/r)⁶] for every pair, all atoms alike.

    Parameters
    ----------
    molecule
        Two atoms or more.
    epsilon
        ε in eV.
    sigma
        σ in Å; the minimum of a pair is at 2^(1/6) σ.

    Raises
    ------
    InputError
        For one atom, or ε or σ not above 0.
    """
    if molecule.n_atoms < 2:
        raise InputError(f"`molecule` must have two atoms or more, got {molecule.formula}")
    for name, value in (("epsilon", epsilon), ("sigma", sigma)):
        if not value > 0.0:
            raise InputError(f"`{name}` must be more than 0, got {value}")

    first, second = np.triu_indices(molecule.n_atoms, 1)

    def function(positions: Positions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        difference = positions[:, first] - positions[:, second]
        squares = np.einsum("kij,kij->ki", difference, difference)
        sixth = (np.float64(sigma) ** 2 / squares) ** 3  # a float of Python may overflow
        energies = 4.0 * epsilon * (sixth**2 - sixth).sum(axis=1)
        # dE/dr · 1/r for each pair
        slopes = 4.0 * epsilon * (6.0 * sixth - 12.0 * sixth**2) / squares
        pull = (slopes[..., None] * difference).swapaxes(0, 1)
        by_atom = np.zeros((molecule.n_atoms, len(positions), 3))
        np.add.at(by_atom, first, pull)
        np.subtract.at(by_atom, second, pull)
        return energies, np.ascontiguousarray(by_atom.swapaxes(0, 1))

    return AnalyticSurface(molecule, function)


# Round numbers of the size of bond lengths and barriers.
_WELL_CENTRE = 2.0  # Å
_WELL_HALF_WIDTH = 0.5  # Å
_WELL_BARRIER = 1.0  # eV

DOUBLE_WELL_POINTS: tuple[KnownPoint, ...] = tuple(
    KnownPoint(label, ((0.0, 0.0, 0.0), (_WELL_CENTRE + shift, 0.0, 0.0)), energy, order)
    for label, shift, energy, order in (
        ("short", -_WELL_HALF_WIDTH, 0.0, 0),
        ("long", _WELL_HALF_WIDTH, 0.0, 0),
        ("top", 0.0, _WELL_BARRIER, 1),
    )
)
"""All stationary points of `double_well`: bond lengths 1.5, 2.5 and, 1 eV higher, 2 Å."""


def double_well(molecule: Molecule) -> AnalyticSurface:
    """Two atoms with two bond lengths: E = h·[((r − 2 Å)/0.5 Å)² − 1]² with h = 1 eV.

    Invariant to translation and rotation. See `DOUBLE_WELL_POINTS`.

    Raises
    ------
    InputError
        Unless the molecule has two atoms.
    """
    _need_atoms("double-well", molecule, 2)
    return AnalyticSurface(molecule, _double_well)


def _double_well(positions: Positions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two atoms."""
    bond = positions[:, 1] - positions[:, 0]
    length = np.linalg.norm(bond, axis=-1)
    reduced = (length - _WELL_CENTRE) / _WELL_HALF_WIDTH
    excess = reduced**2 - 1.0
    slope = 4.0 * _WELL_BARRIER * excess * reduced / _WELL_HALF_WIDTH
    outward = (slope / length)[:, None] * bond
    return _WELL_BARRIER * excess**2, np.stack([-outward, outward], axis=1)


def _need_atoms(name: str, molecule: Molecule, count: int) -> None:
    """Refuse a molecule of another size."""
    if molecule.n_atoms != count:
        raise InputError(
            f"`molecule` must have {count} atom{'s' * (count > 1)} for the surface {name}, "
            f"got {molecule.formula} with {molecule.n_atoms}"
        )
