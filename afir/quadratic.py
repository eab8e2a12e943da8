"""Quadratic models of the surface: model Hessian, quasi-Newton updates, and steps on them.

All Hessians are (3n, 3n) in eV/Å², gradients (3n,) in eV/Å, steps (3n,) in Å, Cartesian and
not mass-weighted.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from afir.geometry import bonds, distances, rigid_motions
from afir.molecule import Molecule, Positions
from afir.units import BOHR, HARTREE

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_LOOSE = 1e-3  # how much any atom belongs to the surroundings of any other
_SOFTEST = 0.02  # eV/Å²: the least curvature a saddle step divides by
_RIGID_EIGENVALUE = 1e6  # eV/Å²: parks translation and rotation above every real mode

# Lindh's model force field (10.1016/0009-2614(95)00646-L): exponents by row, atomic units.
_LINDH_ALPHA = np.array(
    [[1.0000, 0.3949, 0.3949], [0.3949, 0.2800, 0.2800], [0.3949, 0.2800, 0.2800]]
)
_LINDH_LENGTH = np.array([[1.35, 2.10, 2.53], [2.10, 2.87, 3.40], [2.53, 3.40, 3.40]])
_STRETCHED, _APART = 1.2, 1.8  # lengths of reacting bonds in sums of covalent radii
_MORSE = 3.0  # Å⁻¹: steepness of the Morse curve of such a bond
_STRETCH = 0.45 * HARTREE / BOHR**2
_BEND = 0.15 * HARTREE


def closeness(molecule: Molecule, positions: Positions) -> Matrix:
    """How strongly Lindh's model binds each pair of atoms: (n, n), about 1 for a single bond."""
    exponent, square = _lindh(molecule.numbers)
    strength: Matrix = np.exp(exponent * (square - (distances(positions) / BOHR) ** 2))
    np.fill_diagonal(strength, 0.0)
    return strength


@lru_cache(maxsize=8)
def _lindh(numbers: tuple[int, ...]) -> tuple[Matrix, Matrix]:
    """Exponents (n, n) in a0⁻² and squared lengths in a0² of the model's pairs of atoms."""
    row = np.array([0 if z <= 2 else 1 if z <= 10 else 2 for z in numbers])
    return _LINDH_ALPHA[row[:, None], row], _LINDH_LENGTH[row[:, None], row] ** 2


def surroundings(molecule: Molecule, positions: Positions) -> Matrix:
    """How much each atom belongs to what surrounds another, (n, n): most its neighbours."""
    return closeness(molecule, positions) + _LOOSE


def model_hessian(molecule: Molecule, positions: Positions) -> Matrix:
    """A guess of the Hessian from the geometry alone: Lindh's stretches and bends.

    Returns
    -------
    (3n, 3n)
        Positive semidefinite, in eV/Å². Rough by a factor of three, but it knows stiff
        directions from soft ones; torsions and out-of-plane bends cost nothing.
    """
    n = molecule.n_atoms
    hessian = np.zeros((3 * n, 3 * n))
    if n == 1:
        return np.eye(3)
    r = distances(positions)
    strength = closeness(molecule, positions)

    def add(atoms: tuple[int, ...], vectors: list[Vector], constant: float) -> None:
        row_vector = np.zeros(3 * n)
        for atom, vector in zip(atoms, vectors, strict=True):
            row_vector[3 * atom : 3 * atom + 3] = vector
        index = np.flatnonzero(row_vector)
        hessian[np.ix_(index, index)] += constant * np.outer(row_vector[index], row_vector[index])

    for i, j in combinations(range(n), 2):
        if strength[i, j] > 1e-3:
            unit = (positions[i] - positions[j]) / r[i, j]
            add((i, j), [unit, -unit], _STRETCH * min(strength[i, j], 1.5))
    for j in range(n):
        near = [i for i in range(n) if i != j and strength[i, j] > 0.05]
        for i, k in combinations(near, 2):
            constant = _BEND * min(strength[i, j] * strength[j, k], 1.5)
            first = (positions[i] - positions[j]) / r[i, j]
            second = (positions[k] - positions[j]) / r[k, j]
            cosine = float(first @ second)
            sine = np.sqrt(max(1.0 - cosine**2, 0.0))
            if sine > 0.1:
                a = (cosine * first - second) / (r[i, j] * sine)
                b = (cosine * second - first) / (r[k, j] * sine)
                add((i, j, k), [a, -a - b, b], constant)
            else:  # a linear angle bends in two directions
                helper = np.eye(3)[np.argmin(np.abs(first))]
                normal = np.cross(first, helper)
                normal /= np.linalg.norm(normal)
                for direction in (normal, np.cross(first, normal)):
                    a, b = direction / r[i, j], direction / r[k, j]
                    add((i, j, k), [a, -a - b, b], constant)
    return hessian


def loosened(molecule: Molecule, positions: Positions) -> Matrix:
    """What reacting bonds change in `model_hessian`: past its inflection a bond is concave.

    Lindh's model takes every pair of atoms for a spring. A pair that is stretched, yet nearer
    than atoms that are not bonded, is more likely a bond that forms or breaks: its spring is
    replaced by the curvature of a Morse curve, k·(2ξ² − ξ) with ξ = exp(−a·(r − r₀)), so that
    the model's lowest mode is a reaction and not the softest torsion.

    Returns
    -------
    (3n, 3n)
        In eV/Å², to be added to `model_hessian`.
    """
    n = molecule.n_atoms
    r = distances(positions)
    usual = molecule.radii[:, None] + molecule.radii[None]
    strength = closeness(molecule, positions)
    result = np.zeros((3 * n, 3 * n))
    for i, j in np.argwhere(np.triu((r > _STRETCHED * usual) & (r < _APART * usual), 1)):
        decay = np.exp(-_MORSE * (r[i, j] - usual[i, j]))
        constant = _STRETCH * (2.0 * decay**2 - decay - min(strength[i, j], 1.5))
        along = np.zeros((n, 3))
        along[i] = (positions[i] - positions[j]) / r[i, j]
        along[j] = -along[i]
        result += constant * np.outer(along, along)
    return result


def bond_tension(molecule: Molecule, positions: Positions, gradient: Vector) -> Matrix:
    """The part of a Cartesian Hessian that only says that strained bonds turn on circles.

    A bond of length r under tension f adds f/r to the curvature across itself, although
    nothing about the surface is concave or convex there: far from equilibrium compressed bonds
    look like directions of negative curvature. It is the second term of H = Bᵀ·H_q·B + B'·g_q
    in bond lengths q (10.1002/(SICI)1096-987X(19960115)17:1<49::AID-JCC5>3.0.CO;2-0), the
    tensions g_q being the least ones that explain the gradient.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å.
    gradient
        (3n,) in eV/Å.

    Returns
    -------
    (3n, 3n)
        In eV/Å²; without it a Hessian tells the reaction from the strain.
    """
    n = molecule.n_atoms
    i, j = np.nonzero(np.triu(bonds(molecule, positions)))
    difference = positions[i] - positions[j]
    r = np.sqrt((difference**2).sum(axis=1))
    units = difference / r[:, None]
    stretch = np.zeros((n, 3, len(i)))
    each = np.arange(len(i))
    stretch[i, :, each] = units
    stretch[j, :, each] = -units
    # A short bond is the likelier one to carry the strain.
    weights = ((molecule.radii[i] + molecule.radii[j]) / r) ** 3
    weighted = stretch.reshape(3 * n, -1) * weights
    tension = weights * np.linalg.lstsq(weighted, gradient, rcond=1e-3)[0]
    across = np.eye(3) - units[:, :, None] * units[:, None, :]
    blocks = (tension / r)[:, None, None] * across
    result = np.zeros((n, n, 3, 3))
    np.add.at(result, (i, i), blocks)
    np.add.at(result, (j, j), blocks)
    np.subtract.at(result, (i, j), blocks)
    np.subtract.at(result, (j, i), blocks)
    return result.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)


def bofill(hessian: Matrix, step: Vector, change: Vector) -> Matrix:
    """Bofill's update, the mixture of SR1 and PSB that fits saddle points (10.1002/jcc.540150102).

    Allows negative curvature. `step` and `change` as in `bfgs`.
    """
    square = float(step @ step)
    if square < 1e-16:
        return hessian
    error = change - hessian @ step
    along = float(error @ step)
    size = float(error @ error)
    if size < 1e-20:
        return hessian
    mix = along**2 / (size * square)
    outer = np.outer(error, step)
    powell = (outer + outer.T) / square - along / square**2 * np.outer(step, step)
    updated = hessian + (1.0 - mix) * powell
    if mix > 1e-12:
        updated += mix / along * np.outer(error, error)
    return updated


def ts_bfgs(hessian: Matrix, step: Vector, change: Vector, modes: tuple[Vector, Matrix]) -> Matrix:
    """The TS-BFGS update (10.1002/qua.10709).

    Allows negative curvature. Like BFGS it changes soft directions rather than stiff ones: the
    error is laid along the change of the gradient and along |H|·step.

    Parameters
    ----------
    hessian, step, change
        As in `bfgs`.
    modes
        Eigenvalues and eigenvectors of `hessian`, from `vibrations`.
    """
    values, vectors = modes
    product = vectors @ (np.abs(values) * (vectors.T @ step))
    direction = float(change @ step) * change + float(step @ product) * product
    size = float(direction @ step)
    if size < 1e-16:
        return hessian
    direction = direction / size
    error = change - hessian @ step
    outer = np.outer(error, direction)
    result: Matrix = (
        hessian + outer + outer.T - float(error @ step) * np.outer(direction, direction)
    )
    return result


def positive(hessian: Matrix, floor: float = 0.1) -> Matrix:
    """The Hessian with every eigenvalue replaced by its absolute value, at least `floor`."""
    values, vectors = np.linalg.eigh(hessian)
    result: Matrix = (vectors * np.maximum(np.abs(values), floor)) @ vectors.T
    return result


def bfgs(hessian: Matrix, step: Vector, change: Vector) -> Matrix:
    """The damped BFGS update for a gradient `change` after `step`.

    Keeps a positive definite Hessian positive definite: where the surface is not convex along
    the step, the change is mixed with the expected one until it is (Powell's damping).
    """
    product = hessian @ step
    expected = float(step @ product)
    curvature = float(change @ step)
    if expected < 1e-16:
        return hessian
    if curvature < 0.2 * expected:
        weight = 0.8 * expected / (expected - curvature)
        change = weight * change + (1.0 - weight) * product
        curvature = 0.2 * expected
    updated: Matrix = (
        hessian + np.outer(change, change) / curvature - np.outer(product, product) / expected
    )
    return updated


def vibrations(
    hessian: Matrix, positions: Positions, weights: Vector | None = None
) -> tuple[Vector, Matrix]:
    """Eigenvalues and eigenvectors of a Hessian, translations and rotations removed.

    Parameters
    ----------
    hessian
        (3n, 3n) in eV/Å².
    positions
        (n, 3) in Å.
    weights
        (n,) square roots of the masses for normal modes; plain coordinates if not given.

    Returns
    -------
    values : (m,)
        Ascending, in eV/Å² (eV/Å²/amu with weights).
    vectors : (3n, m)
        Orthonormal, in the same coordinates.
    """
    rigid = rigid_motions(positions, weights)
    if weights is not None:
        root = np.repeat(weights, 3)
        hessian = hessian / root[:, None] / root
    product = rigid.T @ hessian
    projected = hessian - rigid @ product
    projected -= (projected @ rigid) @ rigid.T
    projected += _RIGID_EIGENVALUE * (rigid @ rigid.T)
    values, vectors = np.linalg.eigh(projected)
    keep = len(values) - rigid.shape[1]
    return values[:keep], vectors[:, :keep]


def longest(step: Vector) -> float:
    """The largest displacement of one atom in Å in a step (3n,)."""
    return float(np.sqrt((step.reshape(-1, 3) ** 2).sum(axis=1).max()))


def downhill_step(values: Vector, vectors: Matrix, gradient: Vector, limit: float) -> Vector:
    """A Newton step towards a minimum, no atom moving more than `limit` Å.

    Negative curvatures are followed downhill by their absolute value, and the whole model is
    stiffened (a level shift) until the step is short enough.
    """
    g = vectors.T @ gradient
    stiffness = np.maximum(np.abs(values), 0.01)
    step: Vector = -(vectors @ (g / stiffness))
    size = longest(step)
    if size <= limit:
        return step
    low, high = 0.0, float(np.abs(g).max() / limit + 1e-12)
    while longest(vectors @ (g / (stiffness + high))) > limit:
        high *= 2.0
    for _ in range(12):
        middle = 0.5 * (low + high)
        step = -(vectors @ (g / (stiffness + middle)))
        size = longest(step)
        if size > limit:
            low = middle
        elif size < 0.93 * limit:
            high = middle
        else:
            return step
    return step * min(1.0, limit / size)


def uphill_step(
    values: Vector, vectors: Matrix, gradient: Vector, mode: int, radius: float
) -> Vector:
    """A step to a saddle point: up along `mode`, down along the rest, within a trust radius.

    The image function turns the climbed mode over and makes the search a minimisation
    (10.1016/0009-2614(91)90115-P): a Newton step on the image, stiffened by a level shift
    where the image is not convex or the step would be longer than `radius`.

    Parameters
    ----------
    values, vectors
        From `vibrations`.
    gradient
        (3n,).
    mode
        The column of `vectors` to climb.
    radius
        Trust radius in Å for the whole step (Euclidean norm).
    """
    g = vectors.T @ gradient
    image = values.copy()
    g[mode], image[mode] = -g[mode], -image[mode]
    squares = g * g

    def size(shift: float) -> float:
        return float(np.sqrt((squares / (image + shift) ** 2).sum()))

    lowest = float(image.min())
    shift = 0.0
    if lowest < _SOFTEST or size(0.0) > radius:
        low = max(0.0, _SOFTEST - lowest)
        shift = low
        if size(low) > radius:
            high = low + float(np.sqrt(squares.sum())) / radius
            for _ in range(40):
                shift = 0.5 * (low + high)
                length = size(shift)
                if length > radius:
                    low = shift
                elif length < 0.95 * radius:
                    high = shift
                else:
                    break
    amounts = -g / (image + shift)
    step: Vector = vectors @ amounts
    return step
