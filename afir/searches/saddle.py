"""To a first-order saddle point from a guess and a direction: RS-P-RFO.

One mode is climbed, the others are descended (10.1021/j100247a015); the Hessian is updated by
Bofill's formula. What the model does not know about the climbed mode is measured, one gradient
a direction, instead of paying for a whole Hessian.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afir.driver import Search
from afir.errors import SurfaceError
from afir.geometry import (
    components,
    dissociated,
    internal_motions,
    internal_part,
    rigid_step,
    turned_back,
    turned_hessian,
)
from afir.molecule import Molecule, Positions
from afir.quadratic import (
    Matrix,
    Vector,
    bofill,
    bond_tension,
    longest,
    model_hessian,
    uphill_step,
    vibrations,
)
from afir.searches.settings import StepSettings
from afir.stationary import Outcome

_PROBE = 0.01  # Å: displacement of a measured curvature, largest atom
_START_RADIUS = 0.1  # Å, Euclidean norm of the step
_RENEWALS = 3  # Hessians measured anew in one search, at most
_ROUGH = 0.05  # eV/Å: a bad prediction of a smaller gradient is no reason for a new Hessian
_PATIENCE = 4  # steps in a row, each shorter, that the surface may refuse
_STIFF = 5.0  # eV/Å²: curvatures above this belong to bonds and angles
_STRAIN = 0.3  # eV/Å: gradients along stiff directions below this are no strain
_RELIEF_STEPS, _LONGEST_RELIEF = 5, 0.4  # steps, and Å (Euclidean norm) of one
_SMALLEST_RADIUS, _LARGEST_RADIUS = 0.01, 0.3


@dataclass(frozen=True)
class Saddle:
    """Where a saddle search ended.

    Attributes
    ----------
    outcome
        CONVERGED (gradient below the limit and one negative curvature in the model), or why
        not. Proof that it is a transition state needs `afir.searches.confirm`.
    positions
        (n, 3) in Å.
    energy
        eV.
    gradient
        (n, 3) in eV/Å.
    hessian
        (3n, 3n) quasi-Newton estimate in eV/Å².
    """

    outcome: Outcome
    positions: Positions
    energy: float
    gradient: NDArray[np.float64]
    hessian: Matrix


def saddle(
    molecule: Molecule,
    guess: Positions,
    settings: StepSettings | None = None,
    *,
    direction: Positions | None = None,
    hessian: Matrix | None = None,
) -> Search[Saddle]:
    """Search a first-order saddle point.

    Parameters
    ----------
    molecule
        The molecule.
    guess
        (n, 3) in Å.
    settings
        Step limit and gradient limit.
    direction
        (n, 3) the direction to climb, e.g. the tangent of a path. Without one it is the lowest
        mode of the Hessian.
    hessian
        (3n, 3n) estimate at the guess in eV/Å²; measured if not given. Without a direction
        either the guess is taken for a rough one, whose strain is relaxed first; see `relieve`.

    Raises
    ------
    SurfaceError
        When the surface fails at the guess.
    """
    limits = settings or StepSettings()
    x = np.array(guess, dtype=np.float64)
    shape = x.shape
    evaluation = yield x[None]
    energy = float(evaluation.energies[0])
    gradient = internal_part(x, evaluation.gradients[0]).ravel()
    used = 1
    estimate = model_hessian(molecule, x) if hessian is None else hessian

    def measure(along: Vector) -> Search[Matrix]:
        """The estimate corrected by the true curvature along a direction."""
        shift = along * (_PROBE / longest(along))
        answer = yield (x + shift.reshape(shape))[None]
        return bofill(estimate, shift, answer.gradients[0].ravel() - gradient)

    followed: Vector | None = None
    if direction is not None:
        followed = direction.ravel() / np.linalg.norm(direction)
    radius = _START_RADIUS
    failures = 0
    outcome = Outcome.STEPS
    measured = -9  # the gradient count when a curvature was last measured
    try:
        if hessian is None and direction is None:
            x, energy, gradient, estimate = yield from relieve(molecule, x, energy, gradient)
        elif hessian is None:
            estimate = yield from rough_hessian(x, gradient)
            estimate = estimate - bond_tension(molecule, x, gradient)
        lost = renewed = 0  # steps in a row that the Hessian foretold badly, new Hessians
        while used < limits.saddle_steps:
            values, vectors = vibrations(estimate, x)
            # A second negative curvature is often the model's mistake: measure before acting.
            doubt = 1 if (values[1:2] < 0.0).any() else 0 if values[0] > 0.0 else None
            if doubt is not None and used - measured > 2:
                estimate = yield from measure(vectors[:, doubt])
                used += 1
                measured = used
                values, vectors = vibrations(estimate, x)
            if np.abs(gradient).max() < limits.saddle_gradient:
                one = int((values < 0.0).sum()) == 1
                if one or doubt is None or used == measured:
                    outcome = Outcome.CONVERGED if one else Outcome.WRONG_ORDER
                    break
                measured = -9  # measure once more before giving it up
                continue
            if used == limits.saddle_steps:
                break  # the last gradient went into a measurement
            mode = _follow(values, vectors, followed)
            followed = vectors[:, mode]
            step = uphill_step(values, vectors, gradient, mode, radius)
            predicted = float(gradient @ step + 0.5 * step @ estimate @ step)
            trial, turns = x + step.reshape(shape), None
            parts = components(molecule, x)
            if len(parts) > 1:
                trial, turns = rigid_step(x, step.reshape(shape), parts)
            used += 1
            try:
                evaluation = yield trial[None]
            except SurfaceError:
                radius = 0.4 * float(np.linalg.norm(step))
                failures += 1
                if failures == _PATIENCE:
                    outcome = Outcome.SURFACE_FAILED
                    break
                continue
            failures = 0
            new_energy = float(evaluation.energies[0])
            new_gradient = internal_part(trial, evaluation.gradients[0]).ravel()
            expected = gradient + estimate @ step
            seen = new_gradient
            if turns is not None:
                seen = turned_back(turns, new_gradient.reshape(shape)).ravel()
            miss = float(np.linalg.norm(seen - expected) / np.linalg.norm(gradient))
            estimate = bofill(estimate, step, seen - gradient)
            change = new_energy - energy
            ratio = change / predicted if abs(predicted) > 1e-6 else 1.0
            size = float(np.linalg.norm(step))
            # A step that doubles the gradient against the model's word is not taken.
            if (
                np.linalg.norm(new_gradient) > 2.0 * np.linalg.norm(gradient)
                and (ratio < 0.0 or ratio > 2.5)
                and radius > 2 * _SMALLEST_RADIUS
                and np.linalg.norm(gradient) > 0.5
            ):
                radius = max(0.4 * size, _SMALLEST_RADIUS)
                continue
            if ratio < 0.0 or ratio > 2.5:
                radius = max(0.5 * size, _SMALLEST_RADIUS)
            elif 0.5 < ratio < 1.5 and size > 0.8 * radius and miss < 0.7:
                radius = min(1.5 * radius, _LARGEST_RADIUS)
            lost = lost + 1 if miss > 1.0 and np.abs(seen).max() > _ROUGH else 0
            if turns is not None:
                estimate = turned_hessian(turns, estimate)
                followed = np.einsum("iab,ib->ia", turns, followed.reshape(shape)).ravel()
            x, energy, gradient = trial, new_energy, new_gradient
            if dissociated(molecule, x, limits.dissociation):
                outcome = Outcome.DISSOCIATED
                break
            # Far from the saddle the softest mode may be the wrong one: look again nearby.
            if renewed < _RENEWALS and used + values.size < limits.saddle_steps and lost >= 2:
                estimate = yield from rough_hessian(x, gradient)
                used += values.size
                lost = 0
                renewed += 1
                radius = min(radius, _START_RADIUS)
                if direction is None:
                    followed = None
    except SurfaceError:
        outcome = Outcome.SURFACE_FAILED
    return Saddle(outcome, x, energy, gradient.reshape(shape), estimate)


def relieve(
    molecule: Molecule, x: Positions, energy: float, gradient: Vector
) -> Search[tuple[Positions, float, Vector, Matrix]]:
    """A guess without its strain, and a Hessian that tells the reaction.

    Where bonds are strained the steepest concave directions are theirs, and a search that climbs
    them goes astray. Steps along the stiff directions alone take the strain away before the mode
    to climb is chosen.

    Parameters
    ----------
    x
        (n, 3) in Å.
    energy
        In eV, already known.
    gradient
        (3n,) in eV/Å, already known.

    Returns
    -------
    tuple
        Positions, energy, gradient as given or of the relieved guess, and its Hessian (3n, 3n)
        in eV/Å² as if no bond were under tension.
    """
    hessian = yield from rough_hessian(x, gradient)
    hessian = hessian - bond_tension(molecule, x, gradient)
    moved = False
    for _ in range(_RELIEF_STEPS):
        values, vectors = vibrations(hessian, x)
        stiff = values > _STIFF
        slopes = vectors[:, stiff].T @ gradient
        if np.abs(slopes).max(initial=0.0) < _STRAIN:
            break
        step: Vector = -vectors[:, stiff] @ (slopes / values[stiff])
        step *= min(1.0, _LONGEST_RELIEF / float(np.linalg.norm(step)))
        trial = x + step.reshape(x.shape)
        try:
            evaluation = yield trial[None]
        except SurfaceError:
            break
        new_gradient = evaluation.gradients[0].ravel()
        hessian = bofill(hessian, step, new_gradient - gradient)
        x, energy, gradient = trial, float(evaluation.energies[0]), new_gradient
        moved = True
    if moved:
        hessian = yield from rough_hessian(x, gradient)
        hessian = hessian - bond_tension(molecule, x, gradient)
    return x, energy, gradient, hessian


def rough_hessian(x: Positions, gradient: Vector) -> Search[Matrix]:
    """The Hessian (3n, 3n) by forward differences, good enough to start a saddle search.

    Costs one gradient for each of the 3n − 6 internal directions.

    Parameters
    ----------
    x
        (n, 3) in Å.
    gradient
        (3n,) in eV/Å, already known.
    """
    internal = internal_motions(x)
    evaluation = yield x + _PROBE * internal.T.reshape(-1, *x.shape)
    columns = (evaluation.gradients.reshape(-1, x.size) - gradient) / _PROBE
    block = columns @ internal
    result: Matrix = internal @ (0.5 * (block + block.T)) @ internal.T
    return result


def _follow(values: Vector, vectors: Matrix, followed: Vector | None) -> int:
    """The mode to climb: the one most like the last, or the softest when none is alike."""
    if followed is None:
        return 0
    overlap = np.abs(vectors.T @ followed)
    best = int(np.argmax(overlap))
    if values[best] > 0.0 and values[0] < 0.0:
        return 0
    return best if overlap[best] > 0.4 else 0
