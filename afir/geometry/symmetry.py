"""Permutations of like atoms: congruence of two structures, and equivalent atoms.

Two structures are congruent when some permutation of like atoms, a rotation and perhaps an
inversion bring one onto the other. The search is exact in what it rejects: an atom may only
map onto one whose distances to all others are compatible with the tolerance. What remains is
superposed on a few reference atoms, assigned (Hungarian method, 10.1002/nav.3800020109) and
polished, so whatever is accepted comes with the permutation that proves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from afir.errors import InputError
from afir.geometry.bonds import distances
from afir.geometry.superposition import superpose
from afir.molecule import Positions

# Chosen, not fitted: they decide how long is searched. What is accepted has proven itself.
_GOOD_ENOUGH = 0.1  # of the tolerance: below this no better permutation is searched
_REACH = 5.0  # tolerances: how far atoms may be off before a superposition is polished
_CHUNK = 64  # superpositions tried at once
_THIN = 3.0  # tolerances: below this the axis alone nearly fixes the orientation
_TWISTS = 8  # orientations tried around that axis
_REFERENCES = 3  # pairs of reference atoms tried before giving up


@dataclass(frozen=True, eq=False)
class Match:
    """The mapping of one structure onto another.

    Attributes
    ----------
    permutation
        (n,) indices: ``second[permutation]`` has the atom order of ``first``.
    rmsd
        Root mean square distance in Å after the best superposition.
    mirrored
        Whether the second structure had to be inverted.
    """

    permutation: NDArray[np.intp]
    rmsd: float
    mirrored: bool


def congruence(
    numbers: Sequence[int],
    first: Positions,
    second: Positions,
    *,
    tolerance: float = 0.1,
    mirror: bool = True,
) -> Match | None:
    """The best mapping of one structure onto another, or None if they differ.

    Parameters
    ----------
    numbers
        (n,) atomic numbers, the same for both structures.
    first, second
        (n, 3) in Å.
    tolerance
        Largest root mean square distance in Å that counts as congruent.
    mirror
        Whether a structure may also map onto its mirror image.

    Returns
    -------
    Match or None
        The mapping of the smallest distance found. An inversion is reported only where it
        comes closer than every mapping without one.

    Raises
    ------
    InputError
        If shapes or tolerance are invalid.
    """
    z, x, y = _checked(numbers, first, second, tolerance)
    compatible = _compatible(z, x, y, tolerance)
    if compatible is None:
        return None
    best: Match | None = None
    for anchor in _anchors(x, y, compatible, tolerance):
        for mirrored in (False, True) if mirror else (False,):
            image = -y if mirrored else y
            for permutation, rmsd in _mappings(z, x, image, anchor, tolerance):
                if best is None or rmsd < best.rmsd - 1e-9:
                    best = Match(permutation, rmsd, mirrored)
                if best.rmsd < _GOOD_ENOUGH * tolerance:
                    return best
        if best is not None:
            break
    return best


def automorphisms(
    numbers: Sequence[int],
    positions: Positions,
    *,
    tolerance: float = 0.1,
    limit: int = 480,
) -> list[tuple[int, ...]]:
    """The permutations of like atoms that map a structure onto itself.

    Proper and improper operations of the point group, as permutations: ``p[i]`` is the atom
    that comes to lie where atom ``i`` was.

    Parameters
    ----------
    numbers
        (n,) atomic numbers.
    positions
        (n, 3) in Å.
    tolerance
        Largest root mean square distance in Å between the structure and its image.
    limit
        Stop after this many. The largest point group of a molecule that is not linear and
        no long prism has 120 operations.

    Returns
    -------
    list of tuple
        The identity first, the others in ascending order.

    Raises
    ------
    InputError
        If shapes or tolerance are invalid.
    """
    z, x, _ = _checked(numbers, positions, positions, tolerance)
    identity = tuple(range(len(z)))
    found = {identity}
    compatible = _compatible(z, x, x, tolerance)
    if compatible is None:
        return [identity]
    anchor = next(_anchors(x, x, compatible, tolerance))
    for image in (x, -x):
        for permutation, _ in _mappings(z, x, image, anchor, tolerance):
            if len(found) >= limit:
                break
            found.add(tuple(int(i) for i in permutation))
    return [identity, *sorted(found - {identity})]


def _checked(
    numbers: Sequence[int], first: Positions, second: Positions, tolerance: float
) -> tuple[NDArray[np.int64], Positions, Positions]:
    """Atomic numbers and both structures shifted to their centroids."""
    z = np.asarray(numbers, dtype=np.int64)
    for name, positions in (("first", first), ("second", second)):
        if np.shape(positions) != (len(z), 3):
            raise InputError(
                f"`{name}` must have the shape ({len(z)}, 3), got {np.shape(positions)}"
            )
    if not tolerance > 0:
        raise InputError(f"`tolerance` must be positive, got {tolerance}")
    return z, first - first.mean(axis=0), second - second.mean(axis=0)


def environments(z: NDArray[np.int64], x: Positions) -> NDArray[np.float64]:
    """(n, n) distances in Å of each atom to all atoms, sorted within each element."""
    r = distances(x)
    blocks = [np.sort(r[:, z == element], axis=1) for element in np.unique(z)]
    return np.concatenate(blocks, axis=1)


def _compatible(
    z: NDArray[np.int64], x: Positions, y: Positions, tolerance: float
) -> NDArray[np.bool_] | None:
    """(n, n) which atom of y may lie on which atom of x; None if no mapping is possible.

    With displacements δ of zero mean, |d_ij − d'_ij| ≤ |δ_i − δ_j|. Summed over j the squares
    are at most n(|δ_i|² + t²), over all pairs 2n²t², for a root mean square displacement t;
    sorting each row can only bring the two sets of distances closer. Both bounds are exact.
    """
    n = len(z)
    one, two = environments(z, x), environments(z, y)
    cost = np.full((n, n), np.inf)
    for element in np.unique(z):
        where = np.flatnonzero(z == element)
        difference = one[where][:, None] - two[where][None]
        cost[np.ix_(where, where)] = np.einsum("ijk,ijk->ij", difference, difference)
    if cost.min(axis=1).sum() > 2 * (n * tolerance) ** 2:
        return None
    compatible: NDArray[np.bool_] = cost <= n * (n + 1) * tolerance**2
    if not (compatible.any(axis=0).all() and compatible.any(axis=1).all()):
        return None
    return compatible


@dataclass(frozen=True, eq=False)
class _Anchor:
    """Two atoms that fix an orientation together with the centroid.

    Attributes
    ----------
    a, b
        Atoms of the first structure.
    images
        (m, 2) pairs of atoms of the second structure onto which they may map.
    """

    a: int
    b: int
    images: NDArray[np.intp]


def _anchors(
    x: Positions, y: Positions, compatible: NDArray[np.bool_], tolerance: float
) -> Iterator[_Anchor | None]:
    """Pairs of reference atoms, best first; None stands for the axis of a thin structure.

    Few compatible images make few superpositions; a wide triangle makes them sharp.
    """
    spread = np.linalg.svd(x, compute_uv=False)
    thickness = np.sqrt((spread[1:] ** 2).sum() / len(x))
    if thickness < _THIN * tolerance:
        yield None
    if thickness < tolerance:
        return
    i, j = np.triu_indices(len(x), 1)
    area = _norms(_cross(x[i], x[j]))
    choices = compatible.sum(axis=1)
    wide = np.flatnonzero(area >= 0.3 * area.max())
    order = wide[np.lexsort((-area[wide], (choices[i] * choices[j])[wide]))]
    used: set[int] = set()
    for k in order.tolist():
        a, b = int(i[k]), int(j[k])
        if used.isdisjoint((a, b)):
            used.update((a, b))
            yield _Anchor(a, b, _images(x, y, a, b, compatible, tolerance))
        if len(used) == 2 * _REFERENCES:
            return


def _mappings(
    z: NDArray[np.int64],
    x: Positions,
    y: Positions,
    anchor: _Anchor | None,
    tolerance: float,
) -> Iterator[tuple[NDArray[np.intp], float]]:
    """Distinct permutations of y within the tolerance of x, with their RMSD."""
    seen: set[bytes] = set()
    if anchor is None:
        yield from _polished(z, x, _along_axis(x, y), tolerance, seen)
        return
    target = _axes(x[anchor.a], x[anchor.b])
    for start in range(0, len(anchor.images), _CHUNK):
        images = anchor.images[start : start + _CHUNK]
        frames = _axes(y[images[:, 0]], y[images[:, 1]])
        rotated = (y @ frames.transpose(0, 2, 1)) @ target
        yield from _polished(z, x, rotated, tolerance, seen)


def _images(
    x: Positions,
    y: Positions,
    a: int,
    b: int,
    compatible: NDArray[np.bool_],
    tolerance: float,
) -> NDArray[np.intp]:
    """(m, 2) ordered pairs of y onto which a, b may map, the likeliest first."""
    first, second = np.flatnonzero(compatible[a]), np.flatnonzero(compatible[b])
    c, d = np.repeat(first, len(second)), np.tile(second, len(first))
    errors = np.stack(
        [
            _norms(y[c]) - _norms(x[a]),
            _norms(y[d]) - _norms(x[b]),
            _norms(y[c] - y[d]) - _norms(x[a] - x[b]),
        ]
    )
    # The two displacements together hold no more than n·t² of the squares.
    bound = np.sqrt(len(x)) * tolerance * np.array([1.0, 1.0, np.sqrt(2.0)])
    wide = (c != d) & (_norms(_cross(y[c], y[d])) > 1e-6)
    possible = np.flatnonzero((np.abs(errors) <= bound[:, None]).all(axis=0) & wide)
    order = possible[np.argsort((errors[:, possible] ** 2).sum(axis=0), kind="stable")]
    return np.stack([c[order], d[order]], axis=1)


def _axes(u: Positions, v: Positions) -> NDArray[np.float64]:
    """(…, 3, 3) right-handed frames whose rows are set by two directions each.

    The bisector and the difference of the two share an error evenly between them.
    """
    one = u / _norms(u)[..., None]
    two = v / _norms(v)[..., None]
    sum_, difference = one + two, one - two
    sum_ /= _norms(sum_)[..., None]
    difference /= _norms(difference)[..., None]
    return np.stack([sum_, difference, _cross(sum_, difference)], axis=-2)


def _cross(u: Positions, v: Positions) -> Positions:
    """Vector products along the last axis; numpy's own is slow for short arrays."""
    product: Positions = (
        u[..., [1, 2, 0]] * v[..., [2, 0, 1]] - u[..., [2, 0, 1]] * v[..., [1, 2, 0]]
    )
    return product


def _norms(u: Positions) -> NDArray[np.float64]:
    """Lengths along the last axis."""
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("...i,...i->...", u, u))
    return lengths


def _along_axis(x: Positions, y: Positions) -> NDArray[np.float64]:
    """(m, n, 3) copies of a nearly linear y along the axis of x: both ways, many twists."""
    target, frame = _principal(x), _principal(y)
    half_turn = np.diag([-1.0, 1.0, -1.0])
    angles = np.arange(_TWISTS) * 2 * np.pi / _TWISTS
    twists = np.zeros((_TWISTS, 3, 3))
    twists[:, 0, 0] = 1.0
    twists[:, 1, 1] = twists[:, 2, 2] = np.cos(angles)
    twists[:, 1, 2] = np.sin(angles)
    twists[:, 2, 1] = -twists[:, 1, 2]
    rotated: NDArray[np.float64] = (y @ frame.T) @ np.concatenate([twists, half_turn @ twists])
    return rotated @ target


def _principal(x: Positions) -> NDArray[np.float64]:
    """(3, 3) right-handed principal axes as rows, the longest first."""
    axes: NDArray[np.float64] = np.linalg.svd(x)[2]
    axes[2] *= np.sign(np.linalg.det(axes))
    return axes


def _polished(
    z: NDArray[np.int64],
    x: Positions,
    rotated: NDArray[np.float64],
    tolerance: float,
    seen: set[bytes],
) -> Iterator[tuple[NDArray[np.intp], float]]:
    """Assign and superpose each copy in turn until the assignment stays."""
    squares = ((x[None, :, None] - rotated[:, None]) ** 2).sum(axis=-1)
    squares[:, z[:, None] != z[None]] = np.inf
    # Each atom to its nearest: no assignment at this orientation comes closer.
    nearest = np.sqrt(squares.min(axis=2).mean(axis=1))
    for k in np.flatnonzero(nearest < _REACH * tolerance):
        permutation = assigned(z, squares[k])
        for _ in range(20):
            moved = superpose(x, rotated[k][permutation])
            again = assigned(z, ((x[:, None] - moved[None]) ** 2).sum(axis=-1))
            if np.array_equal(again, np.arange(len(z))):
                break
            permutation = permutation[again]
        rmsd = float(np.sqrt(((x - moved) ** 2).sum() / len(z)))
        key = permutation.tobytes()
        if rmsd < tolerance and key not in seen:
            seen.add(key)
            yield permutation, rmsd


def assigned(z: NDArray[np.int64], squares: NDArray[np.float64]) -> NDArray[np.intp]:
    """(n,) the atom of the columns for each row that makes the sum of the squares (Å²) smallest."""
    result: NDArray[np.intp] = np.where(z[:, None] == z[None], squares, np.inf).argmin(axis=1)
    if len(np.unique(result)) == len(z):
        return result
    for element in np.unique(z):
        where = np.flatnonzero(z == element)
        _, columns = linear_sum_assignment(squares[np.ix_(where, where)])
        result[where] = where[columns]
    return result
