"""Optimisation to a minimum, with or without an artificial force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

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
from afir.hessians.modes import Matrix, Vector, vibrations
from afir.hessians.steps import downhill_step, longest
from afir.hessians.updates import bfgs, positive
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.pes.surface import Evaluation
from afir.searches.known import KnownStructures
from afir.searches.settings import MINIMUM, StepSettings, TrustSettings
from afir.searches.trust_region import TrustRegion
from afir.stationary import Minimum, Outcome

Bias = Callable[[Positions], tuple[float, NDArray[np.float64]]]
"""Value in eV and gradient (n, 3) in eV/Å of a bias at one geometry, e.g. an ArtificialForce."""

STIFFEST = 400.0
"""eV/Å²: stiffer than any bond, whose stretch has at most some 240. Half and twice of it and of the
numbers below: benchmarks/RESULTS.md, "How much the numbers matter"."""

# Chosen, not fitted.
_SETTLE_STEPS = 100  # gradients to relax fragments that went apart
_CHANGES = 4  # changes between one minimum and fragments in one minimisation, and the first
_NOISE, _NOISY = 1e-6, 1e-3  # eV: energies are good to some 1e-7 eV; of the predicted change
_NOTHING = 1e-12  # eV: a smaller predicted fall is none


@dataclass(frozen=True)
class PathPoint:
    """A point of a path with its energy in eV and gradient (n, 3) in eV/Å, without any bias."""

    positions: Positions
    energy: float
    gradient: NDArray[np.float64]


@dataclass(frozen=True)
class DescentLimits:
    """Limits of one descent.

    Attributes
    ----------
    steps
        Largest number of gradients.
    gradient
        Converged when no component of the biased gradient exceeds this, in eV/Å.
    max_step
        Largest displacement of one atom in a step, in Å.
    trust
        How the length of the next step follows from the last.
    known
        Minima at which a descent without bias ends when it heads for them.
    """

    steps: int
    gradient: float
    max_step: float
    trust: TrustSettings = MINIMUM
    known: KnownStructures | None = None


def descend(
    molecule: Molecule,
    start: Positions,
    limits: DescentLimits,
    *,
    hessian: Matrix,
    bias: Bias | None = None,
    trace: list[PathPoint] | None = None,
    stop: Callable[[Positions], Outcome | None] | None = None,
) -> Search[Minimum]:
    """Minimise the energy plus a bias by trust-region quasi-Newton steps.

    Parameters
    ----------
    molecule
        The molecule.
    start
        (n, 3) in Å.
    limits
        Of steps and gradient.
    hessian
        (3n, 3n) estimate at the start in eV/Å².
    bias
        Added internally: the result has energies without it.
    trace
        Receives every accepted point, the start included.
    stop
        Called after every accepted step; an outcome ends the search.

    Returns
    -------
    Minimum
        CONVERGED, STEPS, SURFACE_FAILED (with the last good point), or the outcome of `stop`. A
        known minimum is CONVERGED, and the last point of the trace.

    Raises
    ------
    SurfaceError
        When the surface fails at the start.
    """
    x = np.array(start, dtype=np.float64)
    evaluation = yield x[None]
    descent = _Descent(molecule, _biased(bias, x, evaluation), hessian, limits, trace)
    result = yield from _descended(descent, limits.steps - 1, bias, stop)
    return result


def _descended(
    descent: _Descent,
    steps: int,
    bias: Bias | None,
    stop: Callable[[Positions], Outcome | None] | None,
) -> Search[Minimum]:
    """The end of a descent after so many steps at most; the arguments are those of `descend`."""
    outcome, error = Outcome.STEPS, ""
    recognised = descent.recognised()
    for _ in range(steps):
        if descent.converged or recognised is not None:
            break
        step = descent.proposed()
        trial = descent.moved(step)
        try:
            evaluation = yield trial[None]
        except SurfaceError as failure:
            if descent.refused(step):
                outcome, error = Outcome.SURFACE_FAILED, str(failure)
                break
            continue
        judged = descent.judged(step, _biased(bias, trial, evaluation))
        if judged is Judged.SPENT:
            break
        if judged is Judged.REJECTED:
            continue
        ended = stop(trial) if stop is not None else None
        if ended is not None:
            return descent.result(ended)
        recognised = descent.recognised()
    if recognised is not None:
        return recognised
    if outcome is Outcome.STEPS and descent.converged:
        outcome = Outcome.CONVERGED
    return descent.result(outcome, error)


class Judged(Enum):
    """The verdict on a step: taken, rejected, or rejected without a shorter one left."""

    TAKEN = "taken"
    REJECTED = "rejected"
    SPENT = "spent"


@dataclass(frozen=True)
class _Biased:
    """A point, with its energy in eV and internal gradient (n, 3) in eV/Å plus those of a bias."""

    point: PathPoint
    total: float
    slope: Positions


def _biased(bias: Bias | None, x: Positions, evaluation: Evaluation) -> _Biased:
    energy = float(evaluation.energies[0])
    gradient = internal_part(x, evaluation.gradients[0])
    point = PathPoint(x, energy, gradient)
    if bias is None:
        return _Biased(point, energy, gradient)
    value, slope = bias(x)
    return _Biased(point, energy + value, gradient + slope)


class _Descent:
    """The state of a descent: the last point taken, the Hessian and the trust region."""

    def __init__(
        self,
        molecule: Molecule,
        here: _Biased,
        hessian: Matrix,
        limits: DescentLimits,
        trace: list[PathPoint] | None,
    ) -> None:
        self._trace = trace
        self._take(here)
        self._molecule = molecule
        self._hessian = positive(hessian)
        self._limits = limits
        self._region = TrustRegion(limits.trust, first=limits.max_step, most=limits.max_step)

    @property
    def converged(self) -> bool:
        """Whether the gradient is below its limit."""
        return bool(np.abs(self.here.slope).max() < self._limits.gradient)

    def proposed(self) -> Vector:
        """The next step (3n,) in Å."""
        x = self.here.point.positions
        values, vectors = vibrations(self._hessian, x)
        if values[-1] > STIFFEST:
            # A gradient that jumped (two electronic states cross) has ruined the model.
            self._hessian = positive(model_hessian(self._molecule, x))
            values, vectors = vibrations(self._hessian, x)
        return downhill_step(values, vectors, self.here.slope.ravel(), self._region.radius)

    def moved(self, step: Vector) -> Positions:
        """The geometry (n, 3) after a step, in which loose fragments turn."""
        x = self.here.point.positions
        parts = components(self._molecule, x)
        if len(parts) > 1:
            return rigid_step(x, step.reshape(x.shape), parts)
        return x + step.reshape(x.shape)

    def refused(self, step: Vector) -> bool:
        """Shorten the next step, since the surface refused this; True if that is enough."""
        self._region.retreat(longest(step))
        return self._region.refused()

    def judged(self, step: Vector, there: _Biased) -> Judged:
        """Learn from a step, and take it if the energy falls, or nearly."""
        self._region.answered()
        here, size = self.here, longest(step)
        slope = here.slope.ravel()
        predicted = float(slope @ step + 0.5 * step @ self._hessian @ step)
        # The Hessian of an atom turns with its surroundings.
        before, after = here.point.positions, there.point.positions
        turns = local_turns(surroundings(self._molecule, before), before, after)
        seen = turned_back(turns, there.slope)
        self._hessian = bfgs(self._hessian, step, (seen - here.slope).ravel())
        rise = there.total - here.total
        if rise > _NOISE + _NOISY * abs(predicted):
            if self._region.reject(size):
                return Judged.SPENT
            # A small rise: the point is accepted for its curvature, the next step is shorter.
            steeper = np.abs(there.slope).max() > np.abs(here.slope).max()
            if rise > self._limits.trust.largest_rise or steeper:
                return Judged.REJECTED
        else:
            self._region.judge(size, rise / predicted if predicted < -_NOTHING else 1.0)
        self._hessian = turned_hessian(turns, self._hessian)
        self._take(there)
        return Judged.TAKEN

    def _take(self, point: _Biased) -> None:
        """Go to a point, which is accepted."""
        self.here = point
        if self._trace is not None:
            self._trace.append(point.point)

    def recognised(self) -> Minimum | None:
        """The known minimum to which it leads, which is gone to; None if that cannot be told."""
        here, known = self.here.point, self._limits.known
        met = None if known is None else known.minimum_at(here.positions, here.energy)
        if met is None:
            return None
        if self._trace is not None:
            self._trace.append(PathPoint(met.positions, met.energy, met.flat))
        return Minimum(Outcome.CONVERGED, met.positions, met.energy, met.flat, met.hessian)

    def result(self, outcome: Outcome, error: str = "") -> Minimum:
        """The last point as a result."""
        point = self.here.point
        apart = outcome is Outcome.DISSOCIATED
        return Minimum(
            outcome,
            point.positions,
            point.energy,
            point.gradient,
            self._hessian,
            dissociated=apart,
            error=error,
        )


def minimise(
    molecule: Molecule,
    start: Positions,
    settings: StepSettings | None = None,
    *,
    hessian: Matrix | None = None,
    trace: list[PathPoint] | None = None,
    known: KnownStructures | None = None,
) -> Search[Minimum]:
    """Optimise a structure to the nearest minimum, without any bias.

    Parameters
    ----------
    molecule
        The molecule.
    start
        (n, 3) in Å.
    settings
        Step limits, gradient limit and dissociation distance.
    hessian
        (3n, 3n) estimate at the start in eV/Å²; Lindh's model if not given.
    trace
        Receives every accepted point.
    known
        Minima that are recognised: where the search heads for one, it ends there early.

    Returns
    -------
    Minimum
        With outcome DISSOCIATED if fragments are further apart than `settings.dissociation`; they
        are relaxed then, see `settle`.
    """
    limits = settings or StepSettings()
    if not limits.recognise:
        known = None
    estimate = model_hessian(molecule, start) if hessian is None else hessian
    result = yield from _relaxed(molecule, start, limits, estimate, trace, known, apart=False)
    return result


def settle(
    molecule: Molecule,
    start: Positions,
    settings: StepSettings,
    *,
    hessian: Matrix,
    trace: list[PathPoint] | None = None,
) -> Search[Minimum]:
    """Relax the fragments of a dissociation, or minimise them if they come together again.

    The fragments hardly attract each other, so a full minimisation would converge slowly; a few
    steps relax each of them. If they come together again, the minimisation continues.

    Parameters
    ----------
    molecule, start, settings, hessian, trace
        As for `minimise`; `start` is a dissociated geometry (n, 3) in Å.

    Returns
    -------
    Minimum
        Outcome DISSOCIATED if the fragments are relaxed and still apart, else another.
    """
    result = yield from _relaxed(molecule, start, settings, hessian, trace, None, apart=True)
    return result


def _relaxed(
    molecule: Molecule,
    start: Positions,
    settings: StepSettings,
    hessian: Matrix,
    trace: list[PathPoint] | None,
    known: KnownStructures | None,
    *,
    apart: bool,
) -> Search[Minimum]:
    """A minimum or relaxed fragments (`apart`), with changes between the two on the way."""

    def stop(x: Positions) -> Outcome | None:
        gone = molecule.n_atoms > 1 and dissociated(molecule, x, settings.dissociation)
        return Outcome.DISSOCIATED if gone else None

    x = start
    for _ in range(_CHANGES):
        limits = DescentLimits(
            _SETTLE_STEPS if apart else settings.minimum_steps,
            settings.push_gradient if apart else settings.minimum_gradient,
            settings.max_step,
            settings.trust.minimum,
            known,
        )
        found = yield from descend(
            molecule, x, limits, hessian=hessian, trace=trace, stop=None if apart else stop
        )
        if apart and stop(found.positions) is not None:
            if found.outcome is Outcome.CONVERGED:
                found = replace(found, outcome=Outcome.DISSOCIATED, dissociated=True)
            return found
        if not apart and found.outcome is not Outcome.DISSOCIATED:
            return found
        x, hessian, apart = found.positions, found.hessian, not apart
    return replace(found, outcome=Outcome.STEPS, dissociated=False)
