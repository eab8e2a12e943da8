"""Model Hessians of bonds and their surroundings, and what a gradient says of the bonds."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afir.geometry.bonds import (
    APART_FACTOR,
    BREAKING_FACTOR,
    STRETCHED_FACTOR,
    bond_lengths,
    bonds,
    relative_distances,
    squared_distances,
)
from afir.hessians.modes import Matrix, Vector
from afir.molecule import Molecule, Positions
from afir.units import BOHR, HARTREE

# Chosen, not fitted; half and twice: benchmarks/RESULTS.md, "How much the numbers matter".
_LOOSE = 1e-3  # least weight of any atom in the surroundings of any other

# Lindh's model force field (10.1016/0009-2614(95)00646-L): exponents by row, atomic units. It ends
# with the third row.
_LINDH_ALPHA = np.array(
    [[1.0000, 0.3949, 0.3949], [0.3949, 0.2800, 0.2800], [0.3949, 0.2800, 0.2800]]
)
_LINDH_LENGTH = np.array([[1.35, 2.10, 2.53], [2.10, 2.87, 3.40], [2.53, 3.40, 3.40]])
# Its force constants of stretches and bends.
_STRETCH = 0.45 * HARTREE / BOHR**2
_BEND = 0.15 * HARTREE
# Beyond the third row, which argon ends. The slope is published, in a₀⁻¹; a free fit to GFN2-xTB's
# stretches of 35 bonds in small molecules gives 1.86. What a stretch costs at the sum of the radii,
# 0.36 hartree/a₀² in the article, is fitted to 16 of them, of Ge, As, Se, Br, Sn, Sb, Te and I. The
# model is right within a factor of 2 for these, of 2.4 for all; K–Br is 6 times too stiff.
_THIRD_ROW = 18
_HEAVY_SLOPE = 1.944
_HEAVY_STRETCH = 0.13 * HARTREE / BOHR**2
# Chosen, not fitted; half and twice: benchmarks/RESULTS.md, "How much the numbers matter".
_SINGULAR = 1e-4  # of the largest eigenvalue: less is not an independent bond
_MORSE = 3.0  # Å⁻¹: steepness of the Morse curve of a reacting bond; that of H2 is 1.9
_STRONGEST = 1.5  # single bonds: largest weight of a stretch or a bend

_UNIT = np.eye(3)
_upper = lru_cache(maxsize=8)(np.triu_indices)
_each = lru_cache(maxsize=8)(np.eye)


def closeness(molecule: Molecule, positions: Positions) -> Matrix:
    """The bond strength of each pair of atoms in the model: (n, n), about 1 for a single bond.

    Of positions (n, 3) in Å. Lindh's Gaussians of the distance up to the third row. For a pair
    with an atom beyond it ``exp(−1.944·(r − R_i − R_j)/a₀)``, the law of Fischer and Almlöf
    (10.1021/j100203a036).
    """
    binding = _binding(molecule)
    squares = squared_distances(positions)
    fall = binding.slope * np.sqrt(squares) + binding.decay * squares
    strength: Matrix = np.exp(binding.height - fall)
    return strength


class _Binding(NamedTuple):
    """The parameters of the model for each pair of atoms, (n, n) each.

    The exponent of the strength at distance 0, its decrease with the distance, in Å⁻¹, and with
    its square, in Å⁻²; and the stretch force constant at strength 1, in eV/Å².
    """

    height: Matrix
    slope: Matrix
    decay: Matrix
    stretch: Matrix


@lru_cache(maxsize=8)
def _binding(molecule: Molecule) -> _Binding:
    """See `_Binding`."""
    numbers = np.array(molecule.numbers)
    row = np.digitize(numbers, (2, 10), right=True)
    exponent = _LINDH_ALPHA[row[:, None], row]
    height = exponent * _LINDH_LENGTH[row[:, None], row] ** 2
    decay = exponent / BOHR**2
    beyond = numbers > _THIRD_ROW
    heavy = beyond[:, None] | beyond
    slope = np.where(heavy, _HEAVY_SLOPE / BOHR, 0.0)
    height[heavy] = (slope * bond_lengths(molecule))[heavy]
    decay[heavy] = 0.0
    np.fill_diagonal(height, -np.inf)  # an atom is not bound to itself
    return _Binding(height, slope, decay, np.where(heavy, _HEAVY_STRETCH, _STRETCH))


def surroundings(molecule: Molecule, positions: Positions) -> Matrix:
    """The weight of each atom in the surroundings of another, (n, n): largest for neighbours.

    Of positions (n, 3) in Å.
    """
    return closeness(molecule, positions) + _LOOSE


def model_hessian(molecule: Molecule, positions: Positions) -> Matrix:
    """The model Hessian from the geometry alone: stretches and bends after Lindh.

    Returns
    -------
    (3n, 3n)
        Positive semidefinite, in eV/Å². Accurate within a factor of three, which separates stiff
        from soft directions; torsions and out-of-plane bends have no force constant.
    """
    n = molecule.n_atoms
    if n == 1:
        return np.eye(3)
    strength = closeness(molecule, positions)
    i, j = _chosen(strength > 1e-3)
    arms = positions[:, None] - positions[None]
    r = np.sqrt((arms**2).sum(axis=2))
    units = arms / (r + np.eye(n))[:, :, None]
    stretches = np.zeros((len(i), n, 3))
    each = np.arange(len(i))
    stretches[each, i] = units[i, j]
    stretches[each, j] = -units[i, j]
    constant = _binding(molecule).stretch[i, j] * np.minimum(strength[i, j], _STRONGEST)
    rows = [stretches * np.sqrt(constant)[:, None, None]]
    # Every pair of neighbours i < k of an atom j spans an angle.
    near = strength > 0.05
    j, i, k = np.nonzero(near[:, :, None] & near[:, None, :] & np.triu(np.ones((n, n), bool), 1))
    if len(j):
        first, second = units[i, j], units[k, j]
        constant = np.sqrt(_BEND * np.minimum(strength[i, j] * strength[j, k], _STRONGEST))
        cosine = (first * second).sum(axis=1)
        sine = np.sqrt(np.maximum(1.0 - cosine**2, 0.0))
        straight = sine <= 0.1
        sine[straight] = 1.0
        inner = (cosine[:, None] * first - second) / sine[:, None]
        outer = (cosine[:, None] * second - first) / sine[:, None]
        if straight.any():  # a linear angle bends in two directions
            along = first[straight]
            helper = np.eye(3)[np.argmin(np.abs(along), axis=1)]
            normal = np.cross(along, helper)
            normal /= np.sqrt((normal**2).sum(axis=1))[:, None]
            inner[straight] = outer[straight] = normal
            where = i[straight], j[straight], k[straight]
            other = np.cross(along, normal)
            rows.append(_bends(n, where, other, other, r, constant[straight]))
        rows.append(_bends(n, (i, j, k), inner, outer, r, constant))
    weighted = np.concatenate(rows).reshape(-1, 3 * n)
    result: Matrix = weighted.T @ weighted
    return result


def _bends(
    n: int,
    atoms: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]],
    inner: Vector,
    outer: Vector,
    r: Matrix,
    weights: Vector,
) -> Vector:
    """How angles change as their atoms i, j, k move, (m, n, 3), times the weights (m,)."""
    i, j, k = atoms
    a = inner * (weights / r[i, j])[:, None]
    b = outer * (weights / r[k, j])[:, None]
    rows = np.zeros((len(i), n, 3))
    each = np.arange(len(i))
    rows[each, i] = a
    rows[each, j] = -a - b
    rows[each, k] = b
    return rows


def loosened(molecule: Molecule, positions: Positions) -> Matrix:
    """The correction of `model_hessian` for reacting bonds, concave beyond their inflection.

    Lindh's model treats every pair of atoms as a spring. A pair that is stretched, yet nearer than
    non-bonded atoms, is more likely a bond that forms or breaks: its force constant is replaced by
    the curvature of a Morse curve, k·(2ξ² − ξ) with ξ = exp(−a·(r − r₀)), so that the lowest mode
    of the model is a reaction and not the softest torsion.

    Returns
    -------
    (3n, 3n)
        In eV/Å², to be added to `model_hessian`.
    """
    n = molecule.n_atoms
    usual = bond_lengths(molecule)
    ratio = relative_distances(molecule, positions)
    strength = closeness(molecule, positions)
    stretch = _binding(molecule).stretch
    result = np.zeros((3 * n, 3 * n))
    reacting = (ratio > STRETCHED_FACTOR) & (ratio < APART_FACTOR)
    for i, j in zip(*_chosen(reacting), strict=True):
        r = ratio[i, j] * usual[i, j]
        decay = np.exp(-_MORSE * (r - usual[i, j]))
        curve = 2.0 * decay**2 - decay
        constant = stretch[i, j] * (curve - min(strength[i, j], _STRONGEST))
        along = np.zeros((n, 3))
        along[i] = (positions[i] - positions[j]) / r
        along[j] = -along[i]
        result += constant * np.outer(along, along)
    return result


def bond_tension(molecule: Molecule, positions: Positions, gradient: Vector) -> Matrix:
    """The geometric part of a Cartesian Hessian that comes from the tension of the bonds.

    A bond of length r under tension f adds f/r to the curvature across itself. So far from
    equilibrium compressed bonds look like directions of negative curvature, without a concave
    surface. It is the second term of H = Bᵀ·H_q·B + B'·g_q in bond lengths q
    (10.1002/(SICI)1096-987X(19960115)17:1<49::AID-JCC5>3.0.CO;2-0), with the least tensions g_q
    that explain the gradient.

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
        In eV/Å². Without it the lowest mode of a Hessian is the reaction and not the strain.
    """
    place = np.asarray(positions, np.float64).tobytes()
    return _bond_tension(molecule, place, np.asarray(gradient, np.float64).tobytes())


@lru_cache(maxsize=32)
def _bond_tension(molecule: Molecule, place: bytes, slope: bytes) -> Matrix:
    """`bond_tension` of arrays as bytes, cached: both ends of each stretch of a path need it."""
    positions, gradient = np.frombuffer(place).reshape(-1, 3), np.frombuffer(slope)
    n = len(positions)
    i, j = _chosen(bonds(molecule, positions))
    ends, units, r = _stretches(positions, i, j)
    # Short bonds are more likely to carry the strain.
    weights = (bond_lengths(molecule)[i, j] / r) ** 3
    tension = weights * _tensions(ends, weights[:, None] * units, gradient)
    across = _UNIT - units[:, :, None] * units[:, None, :]
    blocks = (tension / r)[:, None, None] * across
    pairs = (ends[:, :, None] * ends[:, None, :]).reshape(len(i), n * n)
    result = (pairs.T @ blocks.reshape(len(i), 9)).reshape(n, n, 3, 3)
    tensions: Matrix = result.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    tensions.setflags(write=False)
    return tensions


def reacting_part(molecule: Molecule, positions: Positions, gradient: Vector) -> Vector:
    """The part of a gradient (3n,) that stretches reacting bonds.

    Forming and breaking bonds belong to the reaction. The rest of a large gradient is strain.

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
    (3n,)
        In eV/Å; zero if no bond reacts, i.e. no pair of atoms is stretched but still close.
    """
    ratio = relative_distances(molecule, positions)
    i, j = _chosen(ratio < BREAKING_FACTOR)
    ends, units, _ = _stretches(positions, i, j)
    tension = _tensions(ends, units, gradient)
    tension[ratio[i, j] <= STRETCHED_FACTOR] = 0.0
    result: Vector = (ends.T @ (tension[:, None] * units)).ravel()
    return result


def _chosen(pairs: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The atoms of those of the pairs (n, n) that are true, each pair once."""
    first, second = _upper(len(pairs), 1)
    chosen = pairs[first, second].nonzero()[0]
    return first.take(chosen), second.take(chosen)


def _stretches(
    positions: Positions, i: NDArray[np.intp], j: NDArray[np.intp]
) -> tuple[Matrix, Matrix, Vector]:
    """Which atoms m pairs join (m, n) as 1 and −1, their directions (m, 3) and lengths (m,)."""
    each = _each(len(positions))
    ends = each.take(i, 0) - each.take(j, 0)
    difference = ends @ positions
    r = np.sqrt(np.vecdot(difference, difference))
    return ends, difference / r[:, None], r


def _tensions(ends: Matrix, units: Matrix, gradient: Vector) -> Vector:
    """The least tensions (m,) of bonds that explain a gradient (3n,) best.

    Their atoms (m, n) as from `_stretches`, and their directions (m, 3), with weights.
    """
    # From the normal equations: dependent combinations of bonds carry no tension.
    values, vectors = np.linalg.eigh((ends @ ends.T) * (units @ units.T))
    slopes = vectors.T @ np.vecdot(ends @ gradient.reshape(-1, 3), units)
    none = np.searchsorted(values, _SINGULAR * values[-1:], "right").sum()
    result: Vector = vectors[:, none:] @ (slopes[none:] / values[none:])
    return result
