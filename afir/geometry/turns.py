"""Paths between structures of the same bonding by rotations.

A straight line between two positions of a rotor stretches its bonds. Here the parts of a molecule
turn about the bonds that join them, and the molecules of a complex move and turn as a whole; only
the rest of the displacement is linear.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from afir.geometry.bonds import bonds, components
from afir.geometry.superposition import linear, superpose, turn
from afir.geometry.torsions import Halves, halves
from afir.molecule import Molecule, Positions

# Chosen, not fitted.
_MOST = 4000  # mappings of one structure onto another that are tried
_SWEEPS = 8  # sweeps over all bonds: a rotation about one changes the others
_THICK = 0.1  # Å: a part whose atoms are all nearer to the axis than this does not turn
_NEARER = 1e-4  # Å²: of mappings that agree within this the first is used

Permutation = NDArray[np.intp]
Adjacency = NDArray[np.bool_]


def bonded_alike(
    numbers: Sequence[int], first: Adjacency, second: Adjacency
) -> Iterator[Permutation]:
    """The permutations of like atoms that map bonds onto bonds.

    Parameters
    ----------
    numbers
        (n,) atomic numbers, the same for both.
    first, second
        (n, n) adjacency.

    Yields
    ------
    (n,) indices
        Atom ``i`` of the first is bonded as atom ``permutation[i]`` of the second is.
    """
    # By hand: the GraphMatcher of NetworkX takes up to four times as long for 4 to 14 atoms.
    n = len(numbers)
    colours = _colours(numbers, first, second)
    if sorted(colours[:n]) != sorted(colours[n:]):
        return
    order = _outwards(first, colours[:n])
    images = [[j for j in range(n) if colours[n + j] == colours[i]] for i in order]
    chosen = np.zeros(n, dtype=np.intp)
    used = [False] * n

    def placed(place: int) -> Iterator[Permutation]:
        if place == n:
            yield chosen.copy()
            return
        i, before = order[place], order[:place]
        for j in images[place]:
            if not used[j] and np.array_equal(first[i, before], second[j, chosen[before]]):
                chosen[i], used[j] = j, True
                yield from placed(place + 1)
                used[j] = False

    yield from placed(0)


def _colours(numbers: Sequence[int], first: Adjacency, second: Adjacency) -> list[int]:
    """(2n,) numbers that distinguish the atoms of both by their bonding."""
    n = len(numbers)
    neighbours = [[int(j) for j in np.flatnonzero(row)] for row in first]
    neighbours += [[n + int(j) for j in np.flatnonzero(row)] for row in second]
    colours = [int(number) for number in numbers] * 2
    kinds = len(set(colours))
    while True:
        keys = [
            (colours[i], *sorted(colours[j] for j in around)) for i, around in enumerate(neighbours)
        ]
        rank = {key: place for place, key in enumerate(sorted(set(keys)))}
        colours = [rank[key] for key in keys]
        if len(rank) == kinds:
            return colours
        kinds = len(rank)


def _outwards(adjacency: Adjacency, colours: Sequence[int]) -> list[int]:
    """The atoms in an order in which each follows one it is bonded to, rare ones first."""
    rarest = sorted(range(len(colours)), key=lambda i: (colours.count(colours[i]), colours[i], i))
    order: list[int] = []
    for start in rarest:
        queue = [start]
        while queue:
            atom = queue.pop(0)
            if atom not in order:
                order.append(atom)
                queue += [i for i in rarest if adjacency[atom, i]]
    return order


@dataclass(frozen=True, eq=False)
class Motion:
    """A path from one structure to another of the same bonding.

    Make one with `motion`.

    Attributes
    ----------
    first, last
        (n, 3) in Å, the ends; the last as it is mapped and superposed onto the first.
    length
        The longest path of an atom in Å.
    """

    first: Positions
    last: Positions
    length: float
    _parts: tuple[NDArray[np.intp], ...]
    _axes: tuple[Halves, ...]
    _angles: NDArray[np.float64]
    _turns: NDArray[np.float64]

    def at(self, share: float) -> Positions:
        """The geometry (n, 3) in Å at a fraction of the path, 0 to 1."""
        begun = _twisted(self.first, self._axes, share * self._angles)
        ended = _twisted(self.last, self._axes, (share - 1.0) * self._angles)
        return _between(begun, ended, self._parts, share, self._turns)


def motion(molecule: Molecule, first: Positions, last: Positions) -> Motion | None:
    """The path from one structure to another with the least rotation.

    Like atoms may be permuted, and the last structure may be replaced by its mirror image.

    Parameters
    ----------
    molecule
        The molecule.
    first, last
        (n, 3) in Å.

    Returns
    -------
    Motion or None
        None if bonds cannot be mapped onto bonds, and for one atom.
    """
    if molecule.n_atoms == 1:
        return None
    adjacency = bonds(molecule, first)
    maps = list(islice(bonded_alike(molecule.numbers, adjacency, bonds(molecule, last)), _MOST))
    if not maps:
        return None
    mapped = _nearest(first, last, np.array(maps))
    parts = tuple(np.array(part, dtype=np.intp) for part in components(molecule, first))
    axes = tuple(halves(adjacency))
    angles = _angles(first, mapped, axes, parts)
    untwisted = _twisted(mapped, axes, -angles)
    turns = np.array([_whole(first[part], untwisted[part]).as_rotvec() for part in parts])
    found = Motion(first, mapped, 0.0, parts, axes, angles, turns)
    looks = np.array([found.at(share) for share in np.linspace(0.0, 1.0, 9)])
    ways = np.linalg.norm(np.diff(looks, axis=0), axis=2).sum(axis=0)
    return replace(found, length=float(ways.max()))


def _nearest(first: Positions, last: Positions, maps: NDArray[np.intp]) -> Positions:
    """The last structure, superposed, with the nearest order of atoms and handedness."""
    x, y = first - first.mean(axis=0), last - last.mean(axis=0)
    overlaps = np.einsum("kni,nj->kij", y[maps], x)
    values = np.linalg.svd(overlaps, compute_uv=False)
    hands = np.sign(np.linalg.det(overlaps))
    hands[hands == 0.0] = 1.0
    pairs = np.stack([hands, -hands], axis=1)  # as it is, and its mirror image
    fits = values[:, :2].sum(axis=1)[:, None] + pairs * values[:, 2:]
    best = int(np.flatnonzero((fits > fits.max() - _NEARER).ravel())[0])
    image = y[maps[best // 2]]
    return superpose(first, -image if best % 2 else image)


def _twisted(x: Positions, axes: Sequence[Halves], angles: NDArray[np.float64]) -> Positions:
    """The far side of each bond turned about it, one bond after the other."""
    for (a, b, _, there), angle in zip(axes, angles, strict=True):
        if angle:
            x = x.copy()
            axis = x[b] - x[a]
            turned = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
            x[there] = x[a] + turned.apply(x[there] - x[a])
    return x


def _angles(
    first: Positions,
    last: Positions,
    axes: Sequence[Halves],
    parts: Sequence[NDArray[np.intp]],
) -> NDArray[np.float64]:
    """(k,) turns in radians about the bonds that bring the first structure nearest to the last."""
    angles = np.zeros(len(axes))
    if not any(len(part) > 3 for part in parts):
        return angles
    for _ in range(_SWEEPS):
        largest = 0.0
        for k, (a, b, here, there) in enumerate(axes):
            x = _twisted(first, axes, angles)
            # Seen from the near side: how far the far side is turned there.
            y = np.empty_like(last)
            fixed = np.append(here, b)
            shift = last[fixed].mean(axis=0)
            y[:] = (last - shift) @ turn(x[fixed], last[fixed]) + x[fixed].mean(axis=0)
            axis = (x[b] - x[a]) / np.linalg.norm(x[b] - x[a])
            thick = [_across(x[side] - x[a], axis) for side in (here, there)]
            if min(np.linalg.norm(arms, axis=1).max() for arms in thick) < _THICK:
                continue
            p, q = thick[1], _across(y[there] - x[a], axis)
            angle = float(np.arctan2((np.cross(p, q) @ axis).sum(), (p * q).sum()))
            angles[k] += angle
            largest = max(largest, abs(angle))
        if largest < 1e-4:
            break
    return (angles + np.pi) % (2.0 * np.pi) - np.pi


def _across(arms: Positions, axis: NDArray[np.float64]) -> Positions:
    """The parts of arms (m, 3) at right angles to an axis."""
    return arms - np.outer(arms @ axis, axis)


def _between(
    first: Positions,
    last: Positions,
    parts: Sequence[NDArray[np.intp]],
    share: float,
    turns: NDArray[np.float64],
) -> Positions:
    """Every molecule moved and turned as a whole by a share of the way, its shape in a line.

    Each turns by about the same rotation vector, `turns` (p, 3), whatever the share.
    """
    result = np.empty_like(first)
    centres = np.array([first[part].mean(axis=0) for part in parts])
    arrived = np.array([last[part].mean(axis=0) for part in parts])
    middles = _moved(centres, arrived, share)
    for part, before, after, middle, about in zip(
        parts, centres, arrived, middles, turns, strict=True
    ):
        x, y = first[part] - before, last[part] - after
        whole = _turned(x, y)
        shape = (1.0 - share) * x + share * whole.inv().apply(y)
        vector = whole.as_rotvec()
        angle = float(np.linalg.norm(vector))
        # Half a turn may go either way round; rounding must not decide it anew for each point.
        if vector @ about < 0.0 and angle > 0.5 * np.pi:
            vector *= 1.0 - 2.0 * np.pi / angle
        turned = Rotation.from_rotvec(share * vector)
        result[part] = middle + turned.apply(shape)
    return result


def _moved(before: Positions, after: Positions, share: float) -> Positions:
    """Centres of molecules (k, 3): two go around each other, more go straight."""
    if len(before) != 2:
        result: Positions = before + share * (after - before)
        return result
    arms = np.diff(before, axis=0), np.diff(after, axis=0)
    lengths = [float(np.linalg.norm(arm)) for arm in arms]
    angle = share * _least(arms[0][0], arms[1][0]).as_rotvec()
    arm = Rotation.from_rotvec(angle).apply(arms[0][0]) / lengths[0]
    arm *= (1.0 - share) * lengths[0] + share * lengths[1]
    # As much of it is moved to either side as the straight way would.
    middle = (1.0 - share) * before.mean(axis=0) + share * after.mean(axis=0)
    return np.array([middle - 0.5 * arm, middle + 0.5 * arm])


def _whole(first: Positions, last: Positions) -> Rotation:
    """The rotation that brings one molecule (m, 3) onto another."""
    return _turned(first - first.mean(axis=0), last - last.mean(axis=0))


def _turned(x: Positions, y: Positions) -> Rotation:
    """The rotation that brings a molecule x (m, 3), centred, onto y."""
    if len(x) == 1:
        return Rotation.identity()
    if linear(x):
        ends = np.argmax(np.linalg.norm(x, axis=1))
        return _least(x[ends], y[ends])
    return Rotation.from_matrix(turn(y, x).T)


def _least(first: NDArray[np.float64], second: NDArray[np.float64]) -> Rotation:
    """The smallest rotation that brings one direction onto another."""
    u, v = first / np.linalg.norm(first), second / np.linalg.norm(second)
    axis, cosine = np.cross(u, v), float(u @ v)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        if cosine > 0.0:
            return Rotation.identity()
        axis = np.cross(u, np.eye(3)[int(np.argmin(np.abs(u)))])
        sine_axis = float(np.linalg.norm(axis))
        return Rotation.from_rotvec(np.pi * axis / sine_axis)
    return Rotation.from_rotvec(np.arctan2(sine, cosine) * axis / sine)
