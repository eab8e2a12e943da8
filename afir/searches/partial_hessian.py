"""The order of a stationary point from its softest modes alone.

A good estimate of the Hessian, such as that of a similar surface, is corrected by displacements
along its softest normal modes until these lie in the measured directions: Davidson's method
(10.1016/0021-9991(75)90065-0) with the estimate as preconditioner. It takes some four gradients
instead of six an atom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afir.errors import SurfaceError
from afir.geometry.bonds import components
from afir.geometry.superposition import internal_part, rigid_motions
from afir.geometry.torsions import rotations
from afir.hessians.modes import Matrix, Vector, vibrations
from afir.hessians.steps import longest
from afir.hessians.updates import agreeing
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.searches.hessian import displaced, normal_modes
from afir.stationary import StationaryPoint
from afir.units import WAVENUMBER

# Chosen, not fitted.
_STEP = 0.01  # Å: displacement, largest atom
_KNOWN = 0.2  # a mode of which less than this lies outside the measured directions is known
_MODES = 2  # softest modes that are measured: enough to prove order 0 and 1
_VAGUE = 60.0  # cm⁻¹: all softer ones are measured, since any may be concave
_MOST = 8  # directions that are measured at most
_SOFT = 30.0  # cm⁻¹: softer directions are displaced both ways; others err by 1 or 2 cm⁻¹
_RELATIVE = 12  # fragment motions that are measured, the softest
_ROTATIONS = 3  # internal rotations that are measured
_FIRST = 1  # modes of the estimate that are measured
_CORRECTIONS = 2  # directions added for the residual of the softest mode
_INDEPENDENT = 1e-3  # of the largest singular value: less is not independent
_NEW = 0.3  # a direction of which less than this is new is skipped
_RESIDUAL = 0.05  # eV/Å²/amu: residual of a converged mode
_STIFFNESS = 0.02  # eV/Å²/amu: the least that a residual is divided by


def softest(
    molecule: Molecule,
    positions: Positions,
    energy: float,
    gradient: Positions,
    estimate: Matrix,
) -> Search[StationaryPoint]:
    """The normal modes of a stationary point, the softest of them measured.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å, where the gradient vanishes.
    energy, gradient
        In eV and (n, 3) in eV/Å, there.
    estimate
        (3n, 3n) in eV/Å², of a similar surface.

    Returns
    -------
    StationaryPoint
        With the estimate corrected by the measured curvatures; stiffer modes are those of the
        estimate.
    """
    root = np.sqrt(molecule.masses)
    weights = np.repeat(root, 3)
    scaled = np.outer(weights, weights)
    inside = internal_part(positions, gradient)
    matrix = estimate / scaled
    known = np.empty((positions.size, 0))
    products = np.empty((positions.size, 0))
    for _ in range(_MOST):
        values, vectors = vibrations(matrix * scaled, positions, root)
        count = max(_MODES, int((values < (_VAGUE / WAVENUMBER) ** 2).sum()))
        lowest = vectors[:, :count]
        outside = lowest - known @ (known.T @ lowest)
        sizes = np.linalg.norm(outside, axis=0)
        worst = int(np.argmax(sizes))
        if sizes[worst] < _KNOWN:
            break
        new = outside[:, worst] / sizes[worst]
        product = yield from _product(molecule, positions, inside, new / weights)
        known = np.column_stack([known, new])
        products = np.column_stack([products, product / weights])
        matrix = agreeing(matrix, known, products)
    largest = float(np.abs(inside).max())
    return normal_modes(molecule, positions, energy, largest, matrix * scaled)


def _product(
    molecule: Molecule, positions: Positions, gradient: Positions, along: Vector
) -> Search[Vector]:
    """The Hessian times a direction (3n,), by one displacement, or two where it is soft."""
    size = _STEP / longest(along)
    try:
        up = yield from _slope(molecule, positions, size, along)
    except SurfaceError:
        size = -size
        up = yield from _slope(molecule, positions, size, along)
    product: Vector = (up - gradient.ravel()) / size
    curvature = float(along @ product)  # mass-weighted: `along` is a unit vector there
    if abs(curvature) * WAVENUMBER**2 > _SOFT**2:
        return product
    try:
        down = yield from _slope(molecule, positions, -size, along)
    except SurfaceError:
        return product
    both: Vector = (up - down) / (2.0 * size)
    return both


def _slope(molecule: Molecule, positions: Positions, size: float, along: Vector) -> Search[Vector]:
    """The gradient (3n,) displaced along a direction (3n,)."""
    there = displaced(molecule, positions, size * along.reshape(1, *positions.shape))
    evaluation = yield there
    slope: Vector = internal_part(there[0], evaluation.gradients[0]).ravel()
    return slope


@dataclass(frozen=True)
class Loosest:
    """The softest normal mode of a structure, as found.

    Attributes
    ----------
    wavenumber
        cm⁻¹, negative where the mode is concave.
    mode
        (n, 3), of unit length in mass-weighted coordinates: in amu^−½.
    hessian
        (3n, 3n) in eV/Å²: the estimate corrected by the measured curvatures.
    """

    wavenumber: float
    mode: Positions
    hessian: Matrix


def loosest(
    molecule: Molecule, positions: Positions, gradient: Positions, estimate: Matrix
) -> Search[Loosest]:
    """The softest mode of a structure whose estimated Hessian is poor for soft modes.

    A quasi-Newton estimate misses the soft modes of complexes and of rotations, and a model may
    have spurious ones. So fragment motions and the softest internal rotations are measured besides
    the softest mode of the estimate. The lowest combination (Rayleigh–Ritz) is corrected by its
    residual.

    Parameters
    ----------
    molecule
        The molecule.
    positions, gradient
        (n, 3) in Å and eV/Å.
    estimate
        (3n, 3n) in eV/Å².
    """
    root = np.sqrt(molecule.masses)
    weights = np.repeat(root, 3)
    scaled = np.outer(weights, weights)
    rigid = rigid_motions(positions, root)
    inside = internal_part(positions, gradient)
    matrix = estimate / scaled
    values, vectors = vibrations(estimate, positions, root)
    basis = _Basis(positions.size)

    def measured(direction: Vector, least: float) -> Search[None]:
        new = direction / np.linalg.norm(direction)
        new = basis.outside(new - rigid @ (rigid.T @ new))
        size = float(np.linalg.norm(new))
        if size > least:
            product = yield from _product(molecule, positions, inside, new / size / weights)
            basis.add(new / size, product / weights)

    for direction in (
        *_relative_motions(molecule, positions, matrix)[:_RELATIVE],
        *_rotations(molecule, positions, matrix)[:_ROTATIONS],
        *vectors.T[:_FIRST],
    ):
        yield from measured(direction, _NEW)
    low, mode, product = basis.lowest()
    for _ in range(_CORRECTIONS):
        residual = basis.outside(product - low * mode)
        if np.linalg.norm(residual) < _RESIDUAL:
            break
        amounts = (vectors.T @ residual) / np.maximum(np.abs(values - low), _STIFFNESS)
        yield from measured(vectors @ amounts, 0.0)
        low, mode, product = basis.lowest()
    wavenumber = float(np.sign(low) * np.sqrt(abs(low))) * WAVENUMBER
    agreed = agreeing(matrix, basis.directions, basis.products) * scaled
    return Loosest(wavenumber, (mode / weights).reshape(positions.shape), agreed)


class _Basis:
    """Orthonormal directions (3n, k) and their products with the Hessian, mass-weighted."""

    def __init__(self, size: int) -> None:
        self.directions = np.empty((size, 0))
        self.products = np.empty((size, 0))

    def outside(self, direction: Vector) -> Vector:
        result: Vector = direction - self.directions @ (self.directions.T @ direction)
        return result

    def add(self, direction: Vector, product: Vector) -> None:
        self.directions = np.column_stack([self.directions, direction])
        self.products = np.column_stack([self.products, product])

    def lowest(self) -> tuple[float, Vector, Vector]:
        """The lowest Ritz value, its vector and the product of the Hessian with it."""
        inner = self.directions.T @ self.products
        values, vectors = np.linalg.eigh(0.5 * (inner + inner.T))
        return float(values[0]), self.directions @ vectors[:, 0], self.products @ vectors[:, 0]


def _relative_motions(molecule: Molecule, positions: Positions, matrix: Matrix) -> list[Vector]:
    """Motions of fragments against each other (3n,), mass-weighted, the softest first."""
    parts = components(molecule, positions)
    if len(parts) == 1:
        return []
    weights = np.sqrt(molecule.masses)[:, None]
    motions = []
    for part in map(list, parts):
        arm = positions[part] - positions[part].mean(axis=0)
        for axis in np.eye(3):
            shift, turn = np.zeros_like(positions), np.zeros_like(positions)
            shift[part] = axis
            turn[part] = np.cross(axis, arm)
            motions += [(shift * weights).ravel(), (turn * weights).ravel()]
    columns = np.array(motions).T
    rigid = rigid_motions(positions, weights[:, 0])
    left, sizes, _ = np.linalg.svd(columns - rigid @ (rigid.T @ columns), full_matrices=False)
    left = left[:, sizes > _INDEPENDENT * sizes.max()]
    _, vectors = np.linalg.eigh(left.T @ matrix @ left)
    return list((left @ vectors).T)


def _rotations(molecule: Molecule, positions: Positions, matrix: Matrix) -> list[Vector]:
    """Internal rotations (3n,), mass-weighted, of unit length, the softest first."""
    weights = np.repeat(np.sqrt(molecule.masses), 3)
    found = []
    for rotation in rotations(molecule, positions):
        motion = rotation.ravel() * weights
        found.append(motion / np.linalg.norm(motion))
    return sorted(found, key=lambda motion: float(motion @ matrix @ motion))
