"""Optimisation to a minimum, with or without an artificial force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afir.errors import SurfaceError
from afir.geometry.bonds import components, dissociated
from afir.geometry.superposition import (
    internal_part,
    local_turns,
    rigid_step,
    turned_back,
    turned_hessian,
)
from afir.hessians.model import model_hessian, surroundings
from afir.hessians.modes import Matrix, vibrations
from afir.hessians.steps import downhill_step, longest
from afir.hessians.updates import bfgs, positive
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.searches.settings import StepSettings
from afir.stationary import Minimum, Outcome

Bias = Callable[[Positions], tuple[float, NDArray[np.float64]]]
"""Value in eV and gradient (n, 3) in eV/Å of a bias at one geometry, e.g. an ArtificialForce."""

STIFFEST = 400.0
"""eV/Å²: stiffer than any bond, whose stretch has at most some 240."""

_SETTLE_STEPS = 100  # gradients to relax fragments that went apart
_CHANGES = 4  # changes between one minimum and fragments in one minimisation, and the first
_PATIENCE = 4  # steps in a row, each shorter, that the surface may refuse
_SHORTEST_STEP = 1e-6  # Å: a trust radius below this cannot make progress
_RISE = 0.02  # eV: the largest rise of a step that is accepted for its curvature


@dataclass(frozen=True)
class PathPoint:
    """A point of a path with its energy in eV and gradient (n, 3) in eV/Å, without any bias."""

    positions: Positions
    energy: float
    gradient: NDArray[np.float64]


def descend(
    molecule: Molecule,
    start: Positions,
    *,
    hessian: Matrix,
    steps: int,
    gradient_limit: float,
    max_step: float,
    bias: Bias | None = None,
    trace: list[PathPoint] | None = None,
    stop: Callable[[Positions], Outcome | None] | None = None,
    largest_rise: float = _RISE,
) -> Search[Minimum]:
    """Minimise the energy plus a bias by trust-region quasi-Newton steps.

    Parameters
    ----------
    molecule
        The molecule.
    start
        (n, 3) in Å.
    hessian
        (3n, 3n) estimate at the start in eV/Å².
    steps
        Largest number of gradients.
    gradient_limit
        Converged when no component of the biased gradient exceeds this, in eV/Å.
    max_step
        Largest displacement of one atom in a step, in Å.
    bias
        Added internally: the result has energies without it.
    trace
        Receives every accepted point, the start included.
    stop
        Called after every accepted step; an outcome ends the search.
    largest_rise
        eV: a step that rises by more is rejected. A smaller rise is accepted if the gradient
        decreases, for the curvature; such steps may cross shallow barriers.

    Returns
    -------
    Minimum
        CONVERGED, STEPS, SURFACE_FAILED (with the last good point), or the outcome of `stop`.

    Raises
    ------
    SurfaceError
        When the surface fails at the start.
    """

    def biased(
        x: Positions, energy: float, gradient: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        if bias is None:
            return energy, gradient
        value, slope = bias(x)
        return energy + value, gradient + slope

    x = np.array(start, dtype=np.float64)
    evaluation = yield x[None]
    energy = float(evaluation.energies[0])
    gradient = internal_part(x, evaluation.gradients[0])
    total, slope = biased(x, energy, gradient)
    if trace is not None:
        trace.append(PathPoint(x, energy, gradient))
    hessian = positive(hessian)
    limit = max_step
    used = 1
    failures = 0
    outcome, error = Outcome.STEPS, ""
    while True:
        if np.abs(slope).max() < gradient_limit:
            outcome = Outcome.CONVERGED
            break
        if used >= steps:
            break
        values, vectors = vibrations(hessian, x)
        if values[-1] > STIFFEST:
            # A gradient that jumped (two electronic states cross) has ruined the model.
            hessian = positive(model_hessian(molecule, x))
            values, vectors = vibrations(hessian, x)
        step = downhill_step(values, vectors, slope.ravel(), limit)
        trial = x + step.reshape(x.shape)
        parts = components(molecule, x)
        if len(parts) > 1:
            trial = rigid_step(x, step.reshape(x.shape), parts)
        used += 1
        try:
            evaluation = yield trial[None]
        except SurfaceError as failure:
            limit = 0.4 * longest(step)
            failures += 1
            if failures == _PATIENCE:
                outcome, error = Outcome.SURFACE_FAILED, str(failure)
                break
            continue
        failures = 0
        new_energy = float(evaluation.energies[0])
        new_gradient = internal_part(trial, evaluation.gradients[0])
        new_total, new_slope = biased(trial, new_energy, new_gradient)
        predicted = float(slope.ravel() @ step + 0.5 * step @ hessian @ step)
        # The Hessian of an atom turns with its surroundings.
        turns = local_turns(surroundings(molecule, x), x, trial)
        seen = turned_back(turns, new_slope)
        hessian = bfgs(hessian, step, (seen - slope).ravel())
        rise = new_total - total
        size = longest(step)
        ratio = rise / predicted if predicted < -1e-12 else 1.0
        # Energies are only good to some 1e-7 eV: a smaller rise is ignored.
        if rise > 1e-6 + 1e-3 * abs(predicted):
            limit = 0.35 * size
            if limit < _SHORTEST_STEP:
                break
            if rise > largest_rise:
                continue
            # A small rise: the point is accepted for its curvature, the next step is shorter.
            if np.abs(new_slope).max() > np.abs(slope).max():
                continue
        elif ratio < 0.25:
            limit = max(0.5 * size, _SHORTEST_STEP)
        elif ratio > 0.6 and size > 0.8 * limit:
            limit = min(2.0 * limit, max_step)
        hessian = turned_hessian(turns, hessian)
        x, energy, gradient, total, slope = trial, new_energy, new_gradient, new_total, new_slope
        if trace is not None:
            trace.append(PathPoint(x, energy, gradient))
        ended = stop(x) if stop is not None else None
        if ended is not None:
            outcome = ended
            break
    apart = outcome is Outcome.DISSOCIATED
    return Minimum(outcome, x, energy, gradient, hessian, dissociated=apart, error=error)


def minimise(
    molecule: Molecule,
    start: Positions,
    settings: StepSettings | None = None,
    *,
    hessian: Matrix | None = None,
    max_step: float | None = None,
    trace: list[PathPoint] | None = None,
    largest_rise: float = _RISE,
) -> Search[Minimum]:
    """Optimise a structure to the nearest minimum, without any bias.

    Parameters
    ----------
    molecule
        The molecule.
    start
        (n, 3) in Å.
    settings
        Step limit, gradient limit and dissociation distance.
    hessian
        (3n, 3n) estimate at the start in eV/Å²; Lindh's model if not given.
    max_step
        Largest displacement of one atom in a step, in Å; by default that of the settings.
    trace
        Receives every accepted point.
    largest_rise
        As for `descend`.

    Returns
    -------
    Minimum
        With outcome DISSOCIATED if fragments are further apart than `settings.dissociation`; they
        are relaxed then, see `settle`.
    """
    limits = settings or StepSettings()
    estimate = model_hessian(molecule, start) if hessian is None else hessian
    result = yield from _relaxed(
        molecule, start, limits, estimate, max_step, trace, largest_rise, apart=False
    )
    return result


def settle(
    molecule: Molecule,
    start: Positions,
    settings: StepSettings,
    *,
    hessian: Matrix,
    max_step: float | None = None,
    trace: list[PathPoint] | None = None,
    largest_rise: float = _RISE,
) -> Search[Minimum]:
    """Relax the fragments of a dissociation, or minimise them if they come together again.

    The fragments hardly attract each other, so a full minimisation would converge slowly; a few
    steps relax each of them. If they come together again, the minimisation continues.

    Parameters
    ----------
    molecule, start, settings, hessian, max_step, trace, largest_rise
        As for `minimise`; `start` is a dissociated geometry.

    Returns
    -------
    Minimum
        Outcome DISSOCIATED if the fragments are relaxed and still apart, else another.
    """
    result = yield from _relaxed(
        molecule, start, settings, hessian, max_step, trace, largest_rise, apart=True
    )
    return result


def _relaxed(
    molecule: Molecule,
    start: Positions,
    settings: StepSettings,
    hessian: Matrix,
    max_step: float | None,
    trace: list[PathPoint] | None,
    largest_rise: float,
    *,
    apart: bool,
) -> Search[Minimum]:
    """A minimum or relaxed fragments (`apart`), with changes between the two on the way."""

    def stop(x: Positions) -> Outcome | None:
        gone = molecule.n_atoms > 1 and dissociated(molecule, x, settings.dissociation)
        return Outcome.DISSOCIATED if gone else None

    x = start
    for _ in range(_CHANGES):
        found = yield from descend(
            molecule,
            x,
            hessian=hessian,
            steps=_SETTLE_STEPS if apart else settings.minimum_steps,
            gradient_limit=settings.push_gradient if apart else settings.minimum_gradient,
            max_step=max_step or settings.max_step,
            trace=trace,
            stop=None if apart else stop,
            largest_rise=largest_rise,
        )
        if apart and stop(found.positions) is not None:
            if found.outcome is Outcome.CONVERGED:
                found = replace(found, outcome=Outcome.DISSOCIATED, dissociated=True)
            return found
        if not apart and found.outcome is not Outcome.DISSOCIATED:
            return found
        x, hessian, apart = found.positions, found.hessian, not apart
    return replace(found, outcome=Outcome.STEPS, dissociated=False)
