"""Search for a first-order saddle point from a guess and a direction.

One mode is climbed, the others are descended (10.1021/j100247a015), in steps that minimise the
image of the surface within a trust radius (10.1016/0009-2614(91)90115-P). Instead of a whole
Hessian a model Hessian is corrected by the curvature along its softest modes until the mode to
climb is known, then by TS-BFGS updates, and it turns with the surroundings of each atom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afir.errors import SurfaceError
from afir.geometry.bonds import components, dissociated
from afir.geometry.superposition import (
    internal_motions,
    local_turns,
    rigid_step,
    turned_back,
    turned_hessian,
)
from afir.hessians.model import bond_tension, model_hessian, surroundings
from afir.hessians.modes import Matrix, Vector, vibrations
from afir.hessians.steps import uphill_step
from afir.hessians.updates import bofill, ts_bfgs
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.searches.known import KnownStructures, Met
from afir.searches.saddle_hessian import (
    Place,
    measured,
    place_of,
    probed_hessian,
    relieved,
    whole_hessian,
)
from afir.searches.settings import StepSettings
from afir.searches.trust_region import TrustRegion
from afir.stationary import Outcome, ending

# Chosen, not fitted; half and twice: benchmarks/RESULTS.md, "How much the numbers matter".
_PROBES = 6  # largest number of measured curvatures of a new Hessian
_RENEWALS = 3  # largest number of new Hessians in one climb
_ROUGH = 0.05  # eV/Å: a bad prediction of a smaller gradient needs no new Hessian
_WELL = 0.7  # of the gradient: a larger error of its prediction lengthens no step
_STEEP = 1.0  # eV/Å (norm): a smaller gradient may double
_NOTHING = 1e-6  # eV: a smaller predicted change of the energy is none

# Å: molecules further apart than this may only drift. Soft transition states of complexes are found
# there too, so that the curvature decides (benchmarks/RESULTS.md, "Known structures").
_PARTED = 3.1


@dataclass(frozen=True)
class Saddle:
    """The result of a saddle search.

    Attributes
    ----------
    outcome
        CONVERGED (gradient below the limit and one negative curvature in the model), or why not.
        `afir.verification.transition_states` proves that it is a transition state.
    positions
        (n, 3) in Å.
    energy
        eV.
    gradient
        (n, 3) in eV/Å.
    hessian
        (3n, 3n) quasi-Newton estimate in eV/Å².
    error
        Error message of the surface if the outcome is SURFACE_FAILED.
    lowest
        The lowest curvature where the climb began, in eV/Å², measured or estimated. Where it is
        positive the guess is as near to a minimum as to a saddle point. NaN if no climb began.
    """

    outcome: Outcome
    positions: Positions
    energy: float
    gradient: NDArray[np.float64]
    hessian: Matrix
    error: str = ""
    lowest: float = math.nan

    @property
    def ending(self) -> str:
        """The outcome as text, with the error of the surface if it failed."""
        return ending(self.outcome, self.error)


def saddle(
    molecule: Molecule,
    guess: Positions,
    settings: StepSettings | None = None,
    *,
    direction: Positions | None = None,
    hessian: Matrix | None = None,
    known: KnownStructures | None = None,
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
        (3n, 3n) estimate at the guess in eV/Å². By default a model corrected along its softest
        modes; the guess is then taken as rough, and its strain is relieved first. If that fails,
        the search starts again with a complete finite-difference Hessian.
    known
        Saddle points that are recognised: where the search heads for one, it ends there early.

    Raises
    ------
    SurfaceError
        When the surface fails at the guess.
    """
    limits = settings or StepSettings()
    if not limits.recognise:
        known = None
    x = np.array(guess, dtype=np.float64)
    evaluation = yield x[None]
    start = place_of(x, evaluation)
    followed: Vector | None = None
    if direction is not None:
        followed = direction.ravel() / np.linalg.norm(direction)
        met = _recognised(known, start, followed)
        if met is not None:
            return _ended(Outcome.CONVERGED, _arrived(met), met.hessian)
    if hessian is not None:
        found, _ = yield from _climb(molecule, start, hessian, followed, limits, 1, known)
        return found
    found = yield from _climb_from_rough(molecule, start, followed, limits, known)
    return found


def _climb_from_rough(
    molecule: Molecule,
    start: Place,
    followed: Vector | None,
    limits: StepSettings,
    known: KnownStructures | None,
) -> Search[Saddle]:
    """The search from a guess without a Hessian, along (3n,) a direction or the lowest mode."""
    estimate = model_hessian(molecule, start.x)
    try:
        start, used = yield from relieved(molecule, start, limits.saddle_steps - 1)
        used += 1
        most = min(_PROBES, limits.saddle_steps - used)
        estimate, cost = yield from probed_hessian(molecule, start, followed, most)
        used += cost
        first, used = yield from _climb(molecule, start, estimate, followed, limits, used, known)
        if first.outcome is Outcome.CONVERGED or followed is not None:
            return first
        if used + estimate.shape[0] >= limits.saddle_steps:
            return first
        estimate = yield from whole_hessian(start)
    except SurfaceError as failure:
        return _ended(Outcome.SURFACE_FAILED, start, estimate, str(failure))
    used += internal_motions(start.x).shape[1]
    second, _ = yield from _climb(molecule, start, estimate, None, limits, used, known)
    return second if second.outcome is Outcome.CONVERGED else first


def _ended(outcome: Outcome, place: Place, estimate: Matrix, error: str = "") -> Saddle:
    gradient = place.gradient.reshape(place.x.shape)
    return Saddle(outcome, place.x, place.energy, gradient, estimate, error)


def _climb(
    molecule: Molecule,
    here: Place,
    estimate: Matrix,
    direction: Vector | None,
    limits: StepSettings,
    used: int,
    known: KnownStructures | None,
) -> Search[tuple[Saddle, int]]:
    """Steps on the image until the gradient vanishes; see `saddle`.

    Parameters
    ----------
    direction
        (3n,) the first mode to climb; the lowest one if not given.
    used
        Gradients used before; returned plus those of the climb.
    """
    climb = _Climb(molecule, here, estimate, direction, limits, used, known)
    try:
        outcome, error = yield from climb.up()
    except SurfaceError as failure:
        outcome, error = Outcome.SURFACE_FAILED, str(failure)
    ended = _ended(outcome, climb.here, climb.estimate, error)
    return replace(ended, lowest=climb.lowest), climb.used


class _Climb:
    """The state of a climb.

    Attributes
    ----------
    here
        The last point taken.
    estimate
        (3n, 3n) the Hessian in eV/Å².
    used
        Gradients so far.
    lowest
        See `Saddle.lowest`.
    """

    def __init__(
        self,
        molecule: Molecule,
        here: Place,
        estimate: Matrix,
        direction: Vector | None,
        limits: StepSettings,
        used: int,
        known: KnownStructures | None,
    ) -> None:
        self.here = here
        self.estimate = estimate
        self.used = used
        self.lowest = math.nan
        self._molecule = molecule
        self._limits = limits
        self._known = known
        self._directed = direction is not None
        self._followed = direction
        self._region = TrustRegion(limits.trust.saddle)
        self._lost = self._renewed = 0  # lost: steps in a row with a bad prediction of the Hessian
        self._measured = -9  # the gradient count when a curvature was last measured
        self._curvature = -math.inf  # eV/Å²: that of the mode that is climbed
        self._drifted = 0  # steps in a row between molecules that are apart, with no mode to climb
        self._tension = bond_tension(molecule, here.x, here.gradient)

    def up(self) -> Search[tuple[Outcome, str]]:
        """Climb; the outcome, and the error of the surface if it failed."""
        while self.used < self._limits.saddle_steps:
            modes, doubt = yield from self._modes()
            if math.isnan(self.lowest):
                self.lowest = float(modes[0][0])
            if np.abs(self.here.gradient).max() < self._limits.saddle_gradient:
                one = int((modes[0] < 0.0).sum()) == 1
                if one or doubt is None or self.used == self._measured:
                    return Outcome.CONVERGED if one else Outcome.WRONG_ORDER, ""
                self._measured = -9  # measure once more before giving it up
                continue
            if self.used == self._limits.saddle_steps:
                break
            step, trial = self._step(*modes)
            self.used += 1
            try:
                evaluation = yield trial[None]
            except SurfaceError as failure:
                self._region.retreat(math.sqrt(step @ step))
                if self._region.refused():
                    return Outcome.SURFACE_FAILED, str(failure)
                continue
            self._region.answered()
            if not self._taken(step, place_of(trial, evaluation), modes):
                continue
            if dissociated(self._molecule, self.here.x, self._limits.dissociation):
                return Outcome.DISSOCIATED, ""
            met = _recognised(self._known, self.here, self._followed)
            if met is not None:
                self.here, self.estimate = _arrived(met), met.hessian
                return Outcome.CONVERGED, ""
            if self._drifts():
                return Outcome.DISSOCIATED, ""
            # Far from the saddle the softest mode may be the wrong one: measure again nearby.
            left = self._limits.saddle_steps - self.used
            if self._lost >= 2 and self._renewed < _RENEWALS and left > _PROBES:
                yield from self._renew()
        return Outcome.STEPS, ""

    def _modes(self) -> Search[tuple[tuple[Vector, Matrix], int | None]]:
        """Curvatures and modes here, and the mode whose curvature has the wrong sign, if any.

        A second negative curvature is often an error of the model: it is measured first.
        """
        modes = values, vectors = vibrations(self.estimate, self.here.x)
        doubt = 1 if (values[1:2] < 0.0).any() else 0 if values[0] > 0.0 else None
        if doubt is not None and self.used - self._measured > 2:
            along = vectors[:, doubt]
            change = yield from measured(self.here, along)
            self.estimate = bofill(self.estimate, along, change)
            self.used += 1
            self._measured = self.used
            modes = vibrations(self.estimate, self.here.x)
        return modes, doubt

    def _step(self, values: Vector, vectors: Matrix) -> tuple[Vector, Positions]:
        """The next step (3n,), and the geometry (n, 3) after it, in which loose fragments turn."""
        x = self.here.x
        mode = _follow(values, vectors, self._followed)
        self._followed, self._curvature = vectors[:, mode], float(values[mode])
        step = uphill_step(values, vectors, self.here.gradient, mode, self._region.radius)
        parts = components(self._molecule, x)
        if len(parts) > 1:
            return step, rigid_step(x, step.reshape(x.shape), parts)
        return step, x + step.reshape(x.shape)

    def _taken(self, step: Vector, there: Place, modes: tuple[Vector, Matrix]) -> bool:
        """Learn from a step, and take it unless the gradient rises; whether it was taken."""
        here, region, shape = self.here, self._region, self.here.x.shape
        size, length = math.sqrt(here.gradient @ here.gradient), math.sqrt(step @ step)
        # Rotated to this point: the bonds of an atom have turned with its surroundings.
        turns = local_turns(surroundings(self._molecule, here.x), here.x, there.x)
        seen = turned_back(turns, there.gradient.reshape(shape)).ravel()
        missed = seen - (here.gradient + self.estimate @ step)
        miss = math.sqrt(missed @ missed) / size
        predicted = float(here.gradient @ step + 0.5 * step @ self.estimate @ step)
        ratio = (there.energy - here.energy) / predicted if abs(predicted) > _NOTHING else 1.0
        self.estimate = ts_bfgs(self.estimate, step, seen - here.gradient, modes)
        # A step that doubles the gradient against the prediction is rejected.
        doubled = math.sqrt(there.gradient @ there.gradient) > 2.0 * size > _STEEP
        least = self._limits.trust.saddle.least
        if not region.tolerates(ratio) and doubled and region.radius > 2.0 * least:
            region.reject(length)
            return False
        region.judge(length, ratio, sure=miss < _WELL)
        self._lost = self._lost + 1 if miss > 1.0 and np.abs(seen).max() > _ROUGH else 0
        # The tension part is known at both points; the rest turns.
        self.estimate = turned_hessian(turns, self.estimate - self._tension)
        self._tension = bond_tension(self._molecule, there.x, there.gradient)
        self.estimate += self._tension
        assert self._followed is not None  # since there was a step
        self._followed = np.einsum("iab,ib->ia", turns, self._followed.reshape(shape)).ravel()
        self.here = there
        return True

    def _drifts(self) -> bool:
        """Whether molecules are apart, and the climb has had no concave mode for too long."""
        convex = self._curvature > 0.0
        drifts = convex and dissociated(self._molecule, self.here.x, _PARTED)
        self._drifted = self._drifted + 1 if drifts else 0
        return self._drifted >= self._limits.drift_steps

    def _renew(self) -> Search[None]:
        """Measure the softest modes of a new model."""
        followed = self._followed if self._directed else None
        self.estimate, cost = yield from probed_hessian(
            self._molecule, self.here, followed, _PROBES
        )
        self._followed = followed
        self.used += cost
        self._lost = 0
        self._renewed += 1
        self._region.restart()


def _recognised(known: KnownStructures | None, here: Place, followed: Vector | None) -> Met | None:
    """The known saddle point to which the climb of a mode leads; None if that cannot be told."""
    if known is None or followed is None:
        return None
    return known.saddle_at(here.x, here.energy, here.gradient, followed)


def _arrived(met: Met) -> Place:
    """The state at a known saddle point."""
    return Place(met.positions, met.energy, met.flat.ravel())


def _follow(values: Vector, vectors: Matrix, followed: Vector | None) -> int:
    """The mode to climb: the most similar to the last one; a concave one if that is convex."""
    if followed is None:
        return 0
    best = int(np.argmax(np.abs(vectors.T @ followed)))
    return 0 if values[best] > 0.0 > values[0] else best
