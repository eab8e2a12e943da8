"""Whether two minima are one structure, joined by a rotation without a barrier.

The methyl groups of 2-butyne rotate freely, and so do weakly bound molecules. A minimisation ends
anywhere on such a rotation, each time at another apparent minimum. Energies alone do not prove that
two of them are one: the path between them (`afir.geometry.turns`) is evaluated, and its energy must
not rise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afir.errors import SurfaceError
from afir.geometry.bonds import bonds, components
from afir.geometry.superposition import internal_part, local_turns, rigid_step, turned_hessian
from afir.geometry.turns import Motion, motion
from afir.hessians.model import surroundings
from afir.hessians.modes import vibrations
from afir.hessians.steps import downhill_step
from afir.hessians.updates import bfgs, positive
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search, referred, stage
from afir.pes.surface import Evaluation
from afir.stationary import Sameness, StationaryPoint
from afir.units import KJ_PER_MOL

RISE = 0.2 * KJ_PER_MOL
"""eV. A path that rises no more than this above the higher of its ends is flat. That is less than
the zero-point energy of the rotation, so that no molecule stays on one side: a methyl group in a
threefold barrier of 0.2 kJ/mol vibrates with some 40 cm⁻¹, half of which is 0.24 kJ/mol. It is also
k·T at 24 K, and far more than the noise of GFN2-xTB, some 1e-4 kJ/mol."""

LEVEL = 0.3 * KJ_PER_MOL
"""eV. Minima further apart in energy are not compared."""

SOFT = 60.0
"""cm⁻¹. Minima without a softer mode are not compared either. The lightest rotor, H₂, vibrates with
some 60 cm⁻¹ in a barrier of `RISE`, all others more softly."""

STAGE = "same structure"
"""The stage name of its gradients."""

Walk = Callable[[Molecule, StationaryPoint, StationaryPoint, Motion], "Search[float | None]"]

# Chosen, not fitted.
_SPACING = 0.25  # Å: largest distance between points of a path
_FEWEST, _MOST = 3, 9  # of them between both ends
_GRADIENTS = 20  # for one way, at most
_STEPS = 4  # downhill from one point
_LONGEST = 0.15  # Å: of such a step
_FLOOR = 0.02  # eV/Å²: the least curvature it divides by
_HOPE = 3.0  # times the predicted gain: a point that is still too high is given up
_APART = 0.4  # Å: neighbours that moved further from each other are not on one path
_SLOPE = 0.01  # of the path: finite difference for its direction
_ROOM = 10.0  # times `RISE`: tolerated error of a cheap surface
_LOOKS = (0.5, 0.25, 0.75)  # of the path, for reference calculations


def flat_turn(
    molecule: Molecule, point: StationaryPoint, known: Sequence[StationaryPoint]
) -> Search[Sameness]:
    """Compare a minimum with others of the same bonding, the nearest first.

    Three or more points of the path between two minima are evaluated; points that are too high are
    moved downhill across it. The minima are one structure if neither a point nor the cubic curve
    through energies and slopes of neighbouring points is more than `RISE` above the higher one.
    Most flat paths cost three gradients, others often one, and no comparison more than 20.

    Parameters
    ----------
    molecule
        The molecule.
    point
        The minimum.
    known
        Others, of nearly the same energy.
    """
    result = yield from stage(STAGE, _compared(molecule, point, known, _walked))
    return result


def flat_turn_by_reference(
    molecule: Molecule, point: StationaryPoint, known: Sequence[StationaryPoint]
) -> Search[Sameness]:
    """Compare minima of a reference: three reference gradients if the cheap surface is flat.

    Parameters and result as for `flat_turn`; points are not moved.
    """
    result = yield from stage(STAGE, _compared(molecule, point, known, _looked_at))
    return result


def _compared(
    molecule: Molecule,
    point: StationaryPoint,
    known: Sequence[StationaryPoint],
    walk: Walk,
) -> Search[Sameness]:
    ways = []
    for number, other in enumerate(known):
        way = motion(molecule, point.positions, other.positions)
        if way is not None:
            ways.append((way.length, number, way))
    for _, number, way in sorted(ways, key=lambda item: item[:2]):
        try:
            rise = yield from walk(molecule, point, known[number], way)
        except SurfaceError:
            continue
        if rise is not None:
            return Sameness(number, rise)
    return Sameness(None, None)


@dataclass
class _Point:
    """A point of a path: its fraction, its displacement off the path, energy and gradient."""

    share: float
    positions: Positions
    offset: Positions
    energy: float
    gradient: Positions


class _Way:
    """The evaluated points of a path."""

    def __init__(
        self, molecule: Molecule, first: StationaryPoint, last: StationaryPoint, way: Motion
    ) -> None:
        self._molecule = molecule
        self._start = first
        self._way = way
        self.higher = max(first.energy, last.energy)
        none = np.zeros_like(first.positions)
        # Both ends are stationary.
        self.points = [
            _Point(0.0, way.first, none, first.energy, none),
            _Point(1.0, way.last, none, last.energy, none),
        ]

    @property
    def top(self) -> float:
        """The largest allowed energy in eV."""
        return self.higher + RISE

    def keeps_bonds(self, shares: Sequence[float]) -> bool:
        """Whether these points have the same bonds."""
        bonded = bonds(self._molecule, self._way.first)
        return all(
            np.array_equal(bonds(self._molecule, self._way.at(share)), bonded) for share in shares
        )

    def add(self, share: float, evaluation: Evaluation, index: int) -> _Point:
        """Add an evaluated point."""
        x = self._way.at(share)
        point = _Point(
            share,
            x,
            np.zeros_like(x),
            float(evaluation.energies[index]),
            internal_part(x, evaluation.gradients[index]),
        )
        self.points.append(point)
        self.points.sort(key=lambda item: item.share)
        return point

    def direction(self, share: float) -> Positions:
        """The direction (n, 3) of the path: displacement of the atoms for each unit of it."""
        low, high = max(share - _SLOPE, 0.0), min(share + _SLOPE, 1.0)
        result: Positions = (self._way.at(high) - self._way.at(low)) / (high - low)
        return result

    def lowered(self, point: _Point, steps: int) -> Search[int]:
        """Move a point downhill across the path until it is low enough; the gradients used.

        It stays too high if the model predicts no success or no step is left.
        """
        x = point.positions
        along = internal_part(x, self.direction(point.share)).ravel()
        if point.energy <= self.top or not along.any():
            return 0
        along /= np.linalg.norm(along)
        turns = local_turns(surroundings(self._molecule, self._start.positions), self._way.first, x)
        matrix = positive(turned_hessian(turns, self._start.hessian), _FLOOR)
        parts = components(self._molecule, x)
        used = 0
        while point.energy > self.top and used < steps:
            across = np.eye(len(along)) - np.outer(along, along)
            slope = across @ point.gradient.ravel()
            values, vectors = vibrations(across @ matrix @ across, point.positions)
            # The direction of the path itself has no curvature.
            keep = np.abs(vectors.T @ along) < 0.5
            values, vectors = np.maximum(values[keep], _FLOOR), vectors[:, keep]
            gain = 0.5 * float(((vectors.T @ slope) ** 2 / values).sum())
            if point.energy - _HOPE * gain > self.top:
                break
            step = downhill_step(values, vectors, slope, _LONGEST)
            moved = point.positions + step.reshape(x.shape)
            if len(parts) > 1:
                moved = rigid_step(point.positions, step.reshape(x.shape), parts)
            evaluation = yield moved[None]
            used += 1
            energy = float(evaluation.energies[0])
            gradient = internal_part(moved, evaluation.gradients[0])
            matrix = positive(bfgs(matrix, step, (gradient - point.gradient).ravel()), _FLOOR)
            if energy > point.energy:
                continue  # with the updated curvature
            point.offset = point.offset + (moved - point.positions)
            point.positions, point.energy, point.gradient = moved, energy, gradient
        return used

    def highest(self) -> tuple[float, float]:
        """Fraction and energy in eV of the maximum of the points and the curves between them."""
        best = max(self.points, key=lambda item: item.energy)
        share, energy = best.share, best.energy
        for before, after in zip(self.points[:-1], self.points[1:], strict=True):
            apart = after.share - before.share
            moved = after.offset - before.offset
            slopes = [
                float((end.gradient * (apart * self.direction(end.share) + moved)).sum())
                for end in (before, after)
            ]
            place, height = _top(before.energy, after.energy, *slopes)
            if height > energy:
                share, energy = before.share + place * apart, height
        return share, energy

    @property
    def joined(self) -> bool:
        """Whether neighbouring points have stayed together."""
        return all(
            float(np.linalg.norm(after.offset - before.offset, axis=1).max()) < _APART
            for before, after in zip(self.points[:-1], self.points[1:], strict=True)
        )


def _top(first: float, last: float, up: float, down: float) -> tuple[float, float]:
    """Position (0 to 1) and height of the maximum of a cubic with these values and slopes."""
    t = np.linspace(0.0, 1.0, 33)
    curve: NDArray[np.float64] = (
        first * (1.0 + 2.0 * t) * (1.0 - t) ** 2
        + up * t * (1.0 - t) ** 2
        + last * t**2 * (3.0 - 2.0 * t)
        - down * t**2 * (1.0 - t)
    )
    best = int(np.argmax(curve))
    return float(t[best]), float(curve[best])


def _walked(
    molecule: Molecule, first: StationaryPoint, last: StationaryPoint, way: Motion
) -> Search[float | None]:
    """The rise in eV of a path above the higher of its ends; None if it is not flat."""
    found = _Way(molecule, first, last, way)
    count = int(np.clip(np.ceil(way.length / _SPACING) - 1, _FEWEST, _MOST)) | 1
    shares = [float(share) for share in np.linspace(0.0, 1.0, count + 2)[1:-1]]
    if not found.keeps_bonds(shares):
        return None
    middle = shares.pop(count // 2)
    left = _GRADIENTS
    while True:
        for batch in ([middle], shares):
            if not batch:
                continue
            evaluation = yield np.array([way.at(share) for share in batch])
            left -= len(batch)
            for index, share in enumerate(batch):
                point = found.add(share, evaluation, index)
                left -= yield from found.lowered(point, min(_STEPS, left))
                if point.energy > found.top:
                    return None
        middle, energy = found.highest()
        shares = []
        if energy <= found.top:
            return max(energy - found.higher, 0.0) if found.joined else None
        if left < 1:
            return None


def _looked_at(
    molecule: Molecule, first: StationaryPoint, last: StationaryPoint, way: Motion
) -> Search[float | None]:
    """The rise on a reference, at three points, if the cheap surface is flat enough there."""
    found = _Way(molecule, first, last, way)
    if not found.keeps_bonds(_LOOKS):
        return None
    places = np.array([way.at(share) for share in (0.0, *sorted(_LOOKS), 1.0)])
    cheap = yield places
    ends = cheap.energies[[0, -1]]
    if cheap.energies.max() - ends.max() > _ROOM * RISE:
        return None
    for share in _LOOKS:
        evaluation = yield from referred(stage(STAGE, _asked(way.at(share))))
        if found.add(share, evaluation, 0).energy > found.top:
            return None
    _, energy = found.highest()
    return max(energy - found.higher, 0.0) if energy <= found.top else None


def _asked(x: Positions) -> Search[Evaluation]:
    """The evaluation of one geometry (n, 3) in Å."""
    evaluation = yield x[None]
    return evaluation
