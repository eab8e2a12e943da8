"""Consistency of the energies and gradients of a surface, and its reproducibility.

Energies and gradients are compared along short straight lines, with a third of the atoms moving on
each, and the energy of one geometry is evaluated again at the end. If they disagree, all results
are worthless and no search notices: it follows the gradients to points that are not stationary
points of the energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from afir.errors import SurfaceError
from afir.geometry.bonds import distances
from afir.molecule import Positions
from afir.pes.driver import Search, stage
from afir.pes.surface import Evaluation
from afir.searches.minimum import PathPoint
from afir.stationary import Consistency

DRIFT = 1e-3
"""eV: far above the reproducibility of any surface, also between machines. Chosen, not fitted."""

WRONG = 0.15
"""Relative to the energy along a line: a surface with a larger difference is refused. Chosen: wrong
units or signs differ by half and more."""

ROUGH = 0.03
"""Relative to the energy along a line: a larger difference gives a warning. Chosen:
several times the integration error along bonds."""

_APART, _BESIDES = 0.25, 0.02
"""Relative to the fall along one side of a path, and eV: more is not an integration error."""

# Chosen, not fitted, unless a reason is given.
_LINES = 3  # each moves another part of the atoms: one wrong atom is not hidden among many
_ACROSS = 0.5  # random part of an atom's direction, which is away from the nearest atom
_STEP = (
    0.03  # Å: displacement of each atom to either side; bonds are harmonic within half a per cent
)
_ENOUGH = 2e-3  # eV: a smaller change on all lines is too near to noise
_FARTHEST = 0.36  # Å: the step where atoms move more easily
_NOISE = 3e-4  # eV: of energies in single precision; those of tight binding have a hundredth of it
_FLAT = 1e-8  # eV: less is no change at all
_EVENLY = 0.1  # of the difference: the rest after scaling all gradients by one factor

Floats = NDArray[np.float64]


def consistency(positions: Positions, rng: np.random.Generator) -> Search[Consistency]:
    """Compare energies with gradients at one geometry, which need not be a stationary point.

    Parameters
    ----------
    positions
        (n, 3) in Å.
    rng
        Draws the lines.

    Returns
    -------
    Consistency
        Costs eight gradients, six for two atoms. Six (four) more where the first lines were too
        short for a soft surface, or something seems wrong. A surface that fails on a line is
        doubted.
    """
    centre = yield from stage("consistency", _answers(positions[None]))
    lines = _lines(positions, rng)
    step, rough = _STEP, ROUGH
    try:
        compared = yield from _along(positions, centre, step * lines)
        if compared.largest < _ENOUGH:
            # Energies grow with the square of the way, at least.
            longer = 1.2 * step * np.sqrt(_ENOUGH / max(compared.largest, 1e-12))
            # So far away the parabola misses some per cent, as it does around van der Waals minima.
            step, rough = min(float(longer), _FARTHEST), WRONG
            compared = yield from _along(positions, centre, step * lines)
        elif compared.deviations.max() > ROUGH and compared.largest > 4.0 * _ENOUGH:
            # The integration error falls with the square of the displacement, a fault does not.
            step *= 0.5
            compared = yield from _along(positions, centre, step * lines)
    except SurfaceError as failure:
        doubt = (
            f"its energies and gradients could not be compared: {step:.2g} Å away it gave no "
            f"energy ({failure})"
        )
        return Consistency(0.0, 1.0, 0.0, doubt=doubt)
    # A stage of its own: a surface with a memory must not begin from the lines.
    last = yield from stage("consistency", _answers(positions[None]))
    drift = abs(float(last.energies[0] - centre.energies[0]))
    return _judged(lines, compared, drift, rough)


@dataclass(frozen=True)
class _Compared:
    """Energy changes along lines, from the energies and from the gradients.

    Attributes
    ----------
    rises
        (k, 2) rise of the energy in eV to both ends of each line.
    foretold
        (k, 2) the same from the gradients.
    """

    rises: Floats
    foretold: Floats

    @property
    def largest(self) -> float:
        """The largest change of the energy in eV, by either."""
        return float(np.abs([self.rises, self.foretold]).max())

    @property
    def deviations(self) -> Floats:
        """The difference on each line (k,) as a part of the change, noise taken off."""
        sizes = np.maximum(*(np.linalg.norm(part, axis=1) for part in (self.rises, self.foretold)))
        missed = np.linalg.norm(self.rises - self.foretold, axis=1)
        parts: Floats = np.maximum(missed - _NOISE, 0.0) / np.maximum(sizes, _NOISE)
        return parts

    def have_factor(self, ratio: float) -> bool:
        """Whether ``ratio`` times the energy change is what the gradients say, on each line."""
        left, missed, foretold = (
            np.linalg.norm(part, axis=1)
            for part in (
                self.foretold - ratio * self.rises,
                self.foretold - self.rises,
                self.foretold,
            )
        )
        return bool((left < _EVENLY * np.minimum(missed, foretold) + _NOISE).all())


def falls_as_foretold(path: Sequence[PathPoint]) -> bool:
    """Whether the fall of the energy along one side of a path agrees with its gradients.

    It costs nothing, but tells less than `consistency`: only gross faults, and those of atoms that
    move. Between neighbouring points the slope counts as even: of 74 sides of paths on GFN2-xTB all
    that fall by 0.03 eV or more agree within 4.2 %.

    Parameters
    ----------
    path
        From the top down.
    """
    foretold = sum(
        0.5
        * float(((first.gradient + second.gradient) * (second.positions - first.positions)).sum())
        for first, second in pairwise(path)
    )
    fall = path[-1].energy - path[0].energy
    return abs(fall - foretold) < _APART * max(abs(fall), abs(foretold)) + _BESIDES


def _answers(positions: Positions) -> Search[Evaluation]:
    return (yield positions)


def _lines(positions: Positions, rng: np.random.Generator) -> Positions:
    """Directions (k, n, 3), each of which moves another part of the atoms by 1 Å.

    Roughly away from the nearest atom: across a bond the energy hardly changes.
    """
    count = len(positions)
    apart = distances(positions) + np.diag(np.full(count, np.inf))
    ways = rng.normal(size=(count, 3))
    ways *= _ACROSS / np.linalg.norm(ways, axis=1, keepdims=True)
    if count > 1:
        nearest = apart.argmin(axis=1)
        ways += (positions - positions[nearest]) / np.maximum(apart.min(axis=1), 0.1)[:, None]
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    parts = np.array_split(rng.permutation(count), min(_LINES, count))
    lines = np.zeros((len(parts), count, 3))
    for line, part in zip(lines, parts, strict=True):
        line[part] = ways[part]
    return lines


def _along(positions: Positions, centre: Evaluation, shifts: Positions) -> Search[_Compared]:
    """Energies at both ends of lines, and the integrals of the slope to there.

    That is a parabola through its values at both ends and in the middle.
    """
    count = len(shifts)
    places = np.concatenate([positions + shifts, positions - shifts])
    said = yield from stage("consistency", _answers(places))
    rises = said.energies.reshape(2, count).T - centre.energies[0]
    slopes = np.einsum("skij,kij->ks", said.gradients.reshape(2, *shifts.shape), shifts)
    middle = np.einsum("ij,kij->k", centre.gradients[0], shifts)
    up, down = slopes.T
    foretold = [5.0 * up + 8.0 * middle - down, -5.0 * down - 8.0 * middle + up]
    return _Compared(rises, np.stack(foretold, axis=1) / 12.0)


def _judged(lines: Positions, compared: _Compared, drift: float, rough: float) -> Consistency:
    """The verdict on a surface; a deviation of more than ``rough`` is told."""
    rises, foretold = compared.rises, compared.foretold
    worst = int(np.argmax(compared.deviations))
    deviation = float(compared.deviations[worst])
    square = float((rises**2).sum())
    ratio = float((rises * foretold).sum()) / square if square else 1.0
    problem = doubt = ""
    if drift > DRIFT:
        problem = f"its energy of one geometry changed by {drift:.2g} eV while it was asked"
    elif compared.largest < _FLAT and lines.shape[1] > 1:
        problem = "its energy does not change when atoms move"
    elif deviation > rough:
        if compared.have_factor(ratio):
            told = f"its gradient is {ratio:.2f} times the slope of its energy"
        else:
            told = (
                f"its gradient and the slope of its energy differ by {100.0 * deviation:.0f} % "
                f"where {_named(np.flatnonzero(lines[worst].any(axis=1)))}: either the gradient "
                "is wrong, or the energy jumps between neighbouring geometries, as with several "
                "SCF solutions"
            )
        problem, doubt = (told, "") if deviation > WRONG else ("", told)
    return Consistency(deviation, ratio, drift, problem, doubt)


def _named(atoms: NDArray[np.intp]) -> str:
    """``atom 3 moves``, or ``atoms 0, 2 and 5 move``."""
    names = [str(int(atom)) for atom in atoms]
    if len(names) == 1:
        return f"atom {names[0]} moves"
    return f"atoms {', '.join(names[:-1])} and {names[-1]} move"
