"""The order of a stationary point from its softest modes alone.

A good estimate of the Hessian, as that of a similar surface, is displaced along its softest normal
modes only, and corrected until they lie in what was measured: Davidson's method
(10.1016/0021-9991(75)90065-0) with the estimate for its preconditioner. Some four gradients
instead of six an atom.
"""

from __future__ import annotations

import numpy as np

from afir.driver import Search
from afir.errors import SurfaceError
from afir.geometry import internal_part
from afir.molecule import Molecule, Positions
from afir.quadratic import Matrix, Vector, agreeing, longest, vibrations
from afir.searches.hessian import displaced, normal_modes
from afir.stationary import StationaryPoint
from afir.units import WAVENUMBER

_STEP = 0.01  # Å: displacement, largest atom
_KNOWN = 0.2  # a mode of which less than this lies outside the measured directions is known
_MODES = 2  # how many of the softest are measured: that proves order 0 and 1
_VAGUE = 60.0  # cm⁻¹: all that are softer are, since any of them may be concave
_MOST = 8  # directions that are measured at most
_SOFT = 30.0  # cm⁻¹: softer directions are displaced both ways; others err by 1 or 2 cm⁻¹


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
        (3n, 3n) in eV/Å², of a surface that is much the same.

    Returns
    -------
    StationaryPoint
        With the estimate made to agree with what was measured; stiffer modes are those of the
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
    """The gradient (3n,) so far along a direction (3n,)."""
    there = displaced(molecule, positions, size * along.reshape(1, *positions.shape))
    evaluation = yield there
    slope: Vector = internal_part(there[0], evaluation.gradients[0]).ravel()
    return slope
