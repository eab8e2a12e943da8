"""Geometry of a set of points: superposition, rigid motions, rotation of local quantities.

Superposition is by hand: ``Rotation.align_vectors`` of SciPy finds the same rotation to the last
digits and takes two to three times as long for 4 to 20 atoms. Positions, displacements and
distances are in Å.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afir.molecule import Positions

_CROSS = np.zeros((3, 9))
_CROSS[(2, 1, 2, 0, 1, 0), (1, 2, 3, 5, 6, 7)] = (1.0, -1.0, -1.0, 1.0, 1.0, -1.0)
"""``(x @ _CROSS).reshape(3, 3)[:, k]`` is the cross product of axis k with x."""

_UNIT = np.eye(3)
_TINY = 1e-12  # amu Å²: against a division by zero
_AXIS = 1e-9  # of the spread: moment that a linear fragment gets about its axis; above rounding
# Å²: weight of no rotation; some hundredth of a squared bond length. Half and twice:
# benchmarks/RESULTS.md, "How much the numbers matter".
_UNTURNED = 0.02
# Å: root mean square distance from an axis below which it is a linear molecule. Relaxed ones are
# bent by some 1e-3 Å.
_STRAIGHT = 0.02


def turn(reference: Positions, moving: Positions) -> NDArray[np.float64]:
    """The rotation (3, 3) that brings `moving`, (n, 3) in Å, onto `reference`.

    It is applied as ``moving @ rotation`` and minimises the root mean square distance about the
    centroids, from a singular value decomposition (10.1107/S0567739476001873); never a reflection.
    """
    first, _ = _centred(reference)
    second, _ = _centred(moving)
    return _turn(first, second)


def _turn(first: Positions, second: Positions) -> NDArray[np.float64]:
    """`turn` of geometries about their centroids."""
    u, _, vt = np.linalg.svd(second.T @ first)
    rotation: NDArray[np.float64] = u @ vt
    if _handedness(rotation) < 0.0:
        u[:, 2] = -u[:, 2]
        rotation = u @ vt
    return rotation


def _centred(positions: Positions) -> tuple[Positions, NDArray[np.float64]]:
    """Positions (n, 3) relative to their centroid, and the centroid (3,)."""
    centroid: NDArray[np.float64] = np.add.reduce(positions) / len(positions)
    return positions - centroid, centroid


def _handedness(matrix: NDArray[np.float64]) -> float:
    """The determinant of a matrix (3, 3): quicker than LAPACK's for one so small."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    return float(a * (e * i - f * h) + b * (f * g - d * i) + c * (d * h - e * g))


def superpose(reference: Positions, moving: Positions) -> Positions:
    """`moving`, (n, 3) in Å, turned and shifted onto `reference` (see `turn`), atom order kept."""
    first, centroid = _centred(reference)
    second, _ = _centred(moving)
    result: Positions = second @ _turn(first, second) + centroid
    return result


def displacement(before: Positions, after: Positions) -> float:
    """The largest displacement of an atom in Å between two structures (n, 3), superposed."""
    moves = superpose(before, after) - before
    return math.sqrt(np.vecdot(moves, moves).max())


def rmsd(first: Positions, second: Positions) -> float:
    """Root mean square distance in Å of (n, 3) and (n, 3) after superposition, atom order kept."""
    difference = superpose(first, second) - first
    return float(np.sqrt((difference**2).sum() / len(first)))


def linear(positions: Positions) -> bool:
    """Whether all atoms (n, 3) lie on a line, to within a root mean square distance of 0.02 Å.

    A relaxed linear molecule is rarely straighter: its bends are soft. One atom is not linear.
    """
    if len(positions) < 3:
        return len(positions) == 2
    x = positions - positions.mean(axis=0)
    return _straight(np.linalg.eigvalsh(x.T @ x), len(positions))


def _straight(spread: NDArray[np.float64], n: int) -> bool:
    """Whether n atoms, spread so much along their principal axes (ascending), are on a line."""
    least, second, _ = spread.tolist()
    return n == 2 or least + second < _STRAIGHT**2 * n


def rigid_motions(
    positions: Positions, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Orthonormal translations and rotations of a geometry.

    Parameters
    ----------
    positions
        (n, 3) in Å.
    weights
        (n,) square roots of the masses for mass-weighted coordinates; ones if not given.

    Returns
    -------
    (3n, m)
        m is 6, or 5 for a linear geometry. It is 0 for a single atom, whose energy can only depend
        on an external field. Read only: the last results are cached.
    """
    if len(positions) == 1:
        return np.empty((3, 0))
    roots = None if weights is None else np.asarray(weights, np.float64).tobytes()
    return _rigid_motions(np.asarray(positions, np.float64).tobytes(), roots)


@lru_cache(maxsize=8)
def _rigid_motions(place: bytes, roots: bytes | None) -> NDArray[np.float64]:
    """`rigid_motions` of arrays as bytes, cached: every step needs them several times."""
    positions = np.frombuffer(place).reshape(-1, 3)
    n = len(positions)
    if roots is None:
        x = positions - np.add.reduce(positions) / n
        motions = _shifts(n).copy()
    else:
        weights = np.frombuffer(roots)
        squares = weights * weights
        total = squares.sum()
        x = (positions - (squares @ positions) / total) * weights[:, None]
        motions = _shifts(n) * (weights * math.sqrt(n / total))[:, None, None]
    # Turns about the principal axes are orthogonal to each other and to the shifts.
    spread, axes = np.linalg.eigh(x.T @ x)
    straight = _straight(spread, n) if roots is None else linear(positions)
    count = 2 if straight else 3
    inertia = np.add.reduce(spread) - spread[:count]
    turns = (x @ _CROSS).reshape(3 * n, 3) @ (axes[:, :count] / np.sqrt(inertia))
    motions[:, :, 3 : 3 + count] = turns.reshape(n, 3, count)
    result = motions[:, :, : 3 + count].reshape(3 * n, 3 + count)
    result.setflags(write=False)
    return result


@lru_cache(maxsize=8)
def _shifts(n: int) -> NDArray[np.float64]:
    """Orthonormal translations (n, 3, 3) of n atoms, and room for as many turns: (n, 3, 6)."""
    shifts = np.zeros((n, 3, 6))
    shifts[:, :, :3] = _UNIT / math.sqrt(n)
    shifts.setflags(write=False)
    return shifts


class Projectors(NamedTuple):
    """The space of all displacements of a geometry, split in two; no projector has a unit.

    Attributes
    ----------
    inside
        (3n, 3n) the projector on displacements that change distances.
    rigid
        (3n, 3n) the projector on translations and rotations.
    motions
        The number of rigid motions: 6, 5 for a linear geometry, 0 for a single atom.
    """

    inside: NDArray[np.float64]
    rigid: NDArray[np.float64]
    motions: int


def projectors(positions: Positions, weights: NDArray[np.float64] | None = None) -> Projectors:
    """The projectors on the `rigid_motions` of a geometry and on all other displacements.

    Parameters
    ----------
    positions
        (n, 3) in Å.
    weights
        (n,) square roots of the masses for mass-weighted coordinates; ones if not given.

    Returns
    -------
    Projectors
        Read only: the last results are cached.
    """
    roots = None if weights is None else np.asarray(weights, np.float64).tobytes()
    return _projectors(np.asarray(positions, np.float64).tobytes(), roots)


@lru_cache(maxsize=4)
def _projectors(place: bytes, roots: bytes | None) -> Projectors:
    """`projectors` of arrays as bytes, cached: every step needs them several times."""
    positions = np.frombuffer(place).reshape(-1, 3)
    n = len(positions)
    if n == 1:
        return Projectors(np.eye(3), np.zeros((3, 3)), 0)
    if roots is None:
        x = positions - np.add.reduce(positions) / n
        heaviest = 1.0
    else:
        weights = np.frombuffer(roots)
        squares = weights * weights
        x = (positions - (squares @ positions) / squares.sum()) * weights[:, None]
        heaviest = float(squares.max())
    turns = (x @ _CROSS).reshape(3 * n, 3)
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = (turns.T @ turns).tolist()
    p, q, r, s, t, u, whole = _minors(xx, xy, xz, yy, yz, zz)
    # The least moment of inertia is at least this, and that without masses that over the heaviest.
    least = 4.0 * whole / max(xx + yy + zz, _TINY) ** 2
    if least > heaviest * _STRAIGHT**2 * n or not linear(positions):
        inverse = np.array(((p, q, r), (q, s, t), (r, t, u))) / whole
        rigid, count = _shifted(n, roots) + turns @ inverse @ turns.T, 6
    else:
        motions = rigid_motions(positions, None if roots is None else weights)
        rigid, count = motions @ motions.T, motions.shape[1]
    inside = -rigid
    inside.flat[:: 3 * n + 1] += 1.0
    for array in (inside, rigid):
        array.setflags(write=False)
    return Projectors(inside, rigid, count)


@lru_cache(maxsize=8)
def _shifted(n: int, roots: bytes | None) -> NDArray[np.float64]:
    """The projector (3n, 3n) on translations of n atoms."""
    weights = np.ones(n) if roots is None else np.frombuffer(roots)
    outer = np.outer(weights, weights) / (weights @ weights)
    result = (outer[:, None, :, None] * _UNIT[:, None]).reshape(3 * n, 3 * n)
    result.setflags(write=False)
    return result


def internal_motions(positions: Positions) -> NDArray[np.float64]:
    """Orthonormal displacements (3n, m) that neither move nor turn (n, 3) in Å as a whole."""
    rigid = rigid_motions(positions)
    # The orthogonal complement of the rigid motions, from a complete QR.
    return np.linalg.qr(rigid, mode="complete")[0][:, rigid.shape[1] :]


def internal_part(positions: Positions, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """The gradient (n, 3), in any unit, without its translational and rotational parts.

    On an invariant surface these are zero. Surfaces summed on a grid (density functionals, implicit
    solvents) are not quite invariant, and no internal step can relax those parts.
    """
    inside = projectors(positions).inside
    result: NDArray[np.float64] = (inside @ gradient.ravel()).reshape(positions.shape)
    return result


def rigid_step(positions: Positions, step: Positions, parts: Sequence[Sequence[int]]) -> Positions:
    """A step that turns loose fragments instead of stretching them.

    A straight step that turns a fragment also lengthens its bonds. Here the turning part of
    the step is carried out as a rotation of each fragment, the rest as it is.

    Parameters
    ----------
    positions, step
        (n, 3) in Å.
    parts
        The fragments.

    Returns
    -------
    (n, 3)
        To first order in the step, `positions` + `step`.
    """
    moved = positions + step
    for part in parts:
        if len(part) == 1:
            continue
        x, moves = positions.take(part, 0), step.take(part, 0)
        centre = np.add.reduce(x) / len(part)
        arm = x - centre
        shift = np.add.reduce(moves) / len(part)
        inner = moves - shift
        product = (arm.T @ inner).tolist()
        momentum = (
            product[1][2] - product[2][1],
            product[2][0] - product[0][2],
            product[0][1] - product[1][0],
        )
        a, b, c = _spin((arm.T @ arm).tolist(), momentum)
        half = 0.5 * math.sqrt(a * a + b * b + c * c)
        # Rodrigues' formula: sin θ / θ and (1 − cos θ) / θ².
        ratio = math.sin(half) / half if half > 0.0 else 1.0
        first, second = ratio * math.cos(half), 0.5 * ratio**2
        spin = np.array(((0.0, c, -b), (-c, 0.0, a), (b, -a, 0.0)))
        turn = _UNIT + first * spin + second * (spin @ spin)
        moved[part, :] = centre + shift + (arm + inner - arm @ spin) @ turn
    return moved


def _spin(
    spread: list[list[float]], momentum: tuple[float, float, float]
) -> tuple[float, float, float]:
    """The angular velocity with a momentum, from Σ x·xᵀ of the arms x: three equations."""
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = spread
    # A linear fragment does not turn about its own axis: the slight addition decides.
    size = (xx + yy + zz) * (1.0 + _AXIS)
    p, q, r, s, t, u, whole = _minors(size - xx, -xy, -xz, size - yy, -yz, size - zz)
    a, b, c = momentum
    return (
        (p * a + q * b + r * c) / whole,
        (q * a + s * b + t * c) / whole,
        (r * a + t * b + u * c) / whole,
    )


def _minors(
    xx: float, xy: float, xz: float, yy: float, yz: float, zz: float
) -> tuple[float, float, float, float, float, float, float]:
    """Of a symmetric matrix (3, 3): the same six of its adjugate, and its determinant."""
    p, q, r = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    s, t, u = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    return p, q, r, s, t, u, xx * p + xy * q + xz * r


def local_turns(
    weights: NDArray[np.float64], before: Positions, after: Positions
) -> NDArray[np.float64]:
    """The rotation of the surroundings of each atom.

    Parameters
    ----------
    weights
        (n, n): how much an atom belongs to the surroundings of another.
    before, after
        (n, 3) in Å.

    Returns
    -------
    (n, 3, 3)
        The best-fit rotation of each atom's vectors to the others; the identity if there are none.
        Quantities of an atom (its gradient, its rows of a Hessian) turn with it.
    """
    old = before[:, None] - before[None]
    new = after[:, None] - after[None]
    # A small part of the identity decides undetermined rotations, such as about an axis.
    overlap = (weights[:, :, None] * new).transpose(0, 2, 1) @ old + _UNTURNED * _UNIT
    left, _, right = np.linalg.svd(overlap)
    mirrored = np.linalg.det(overlap) < 0.0
    if mirrored.any():
        left[mirrored, :, 2] *= -1.0
    result: NDArray[np.float64] = left @ right
    return result


def turned_back(turns: NDArray[np.float64], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """A gradient, (n, 3) in any unit, as seen before the `local_turns` (n, 3, 3) of its atoms."""
    result: NDArray[np.float64] = (gradient[:, None] @ turns)[:, 0]
    return result


def turned_hessian(turns: NDArray[np.float64], hessian: NDArray[np.float64]) -> NDArray[np.float64]:
    """A Hessian, (3n, 3n) in any unit, carried along with the `local_turns` of its atoms."""
    n = len(turns)
    each = np.arange(n)
    blocks = np.zeros((n, 3, n, 3))
    blocks[each, :, each] = turns
    turn = blocks.reshape(hessian.shape)
    result: NDArray[np.float64] = turn @ hessian @ turn.T
    return result


def far_apart(marks: NDArray[np.float64], first: int, most: int, *, nearest: float) -> list[int]:
    """Indices of the most different points, by farthest-point sampling.

    Each next one is farthest from all chosen ones, by the largest difference of coordinates.

    Parameters
    ----------
    marks
        (m, p) the points, in any unit.
    first
        Index of the first point.
    most
        Largest number of points.
    nearest
        It ends when no point is farther from the chosen ones than this.
    """
    chosen = [first]
    gaps = np.full(len(marks), np.inf)
    while len(chosen) < most:
        gaps = np.minimum(gaps, np.abs(marks - marks[chosen[-1]]).max(axis=1, initial=0.0))
        farthest = int(np.argmax(gaps))
        if gaps[farthest] < nearest:
            break
        chosen.append(farthest)
    return chosen


def cumulative_length(path: Positions) -> NDArray[np.float64]:
    """(m,) arc length in Å along a path (m, n, 3), 0 at its start."""
    steps = np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=(1, 2)))
    return np.concatenate([[0.0], np.cumsum(steps)])
