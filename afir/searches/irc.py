"""The intrinsic reaction coordinate: steepest descent in mass-weighted coordinates.

Local quadratic approximation (`afir.searches.lqa`) from the exact Hessian of the transition state,
carried along by TS-BFGS updates and turned with the atoms. The deviation of a step from the true
line decides the length of the next one. Close to the end a minimisation takes over; if the energy
falls by more than the model predicts, the basin was not reached and the IRC continues.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from afir.errors import SurfaceError
from afir.geometry.bonds import components, dissociated
from afir.geometry.superposition import (
    internal_part,
    local_turns,
    rigid_step,
    superpose,
    turned_back,
    turned_hessian,
)
from afir.hessians.model import surroundings
from afir.hessians.modes import Matrix, Vector, vibrations
from afir.hessians.steps import longest
from afir.hessians.updates import bofill, stiffer, ts_bfgs
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search, stage
from afir.searches.irc_end import finished
from afir.searches.known import KnownStructures
from afir.searches.lqa import Line
from afir.searches.minimum import STIFFEST, DescentLimits, PathPoint, descend
from afir.searches.settings import StepSettings
from afir.searches.trust_region import TrustRegion
from afir.stationary import Minimum, Outcome, StationaryPoint
from afir.units import BOHR, HARTREE_PER_BOHR, KJ_PER_MOL, WAVENUMBER

# Chosen, not fitted; half and twice: benchmarks/RESULTS.md, "How much the numbers matter".
_FALL = 1.0 * KJ_PER_MOL  # eV: intended fall of the energy in the first displacement
_SHORTEST_FIRST, _LONGEST_FIRST = 0.05, 0.3  # amu^½ Å: its length
_FIRST_ATOM = 0.15  # Å: and its largest displacement of one atom
_NEAREST = 0.01 * BOHR  # amu^½ Å: a path must fall this close to its top
_LONGEST_ATOM = 0.25  # Å: no atom moves more in a step
_LEAST = 1.01  # times the shortest step: hardly longer than that
_RISE = 1e-5  # eV: a larger rise of the energy is more than noise
_FOOT = 2e-3 * HARTREE_PER_BOHR  # eV/Å: where noise may lift a point of the path
_CONVEX = 3  # convex steps in a row before a minimisation may take over
_CLOSE = 0.10  # Å: the model's minimum is near when no atom is further from it
_CONCAVE = 0.05  # of the slope: a smaller part along concave modes is ignored
_SOFTEST = 1e-3  # eV/Å²/amu: softer modes count as this when the minimum is judged
_FORETOLD, _MORE = (
    1.5,
    0.15 * KJ_PER_MOL,
)  # times the predicted fall, plus eV: largest fall of the energy
_CLOSER, _WAIT = 0.5, 4  # factor by which the minimum must be nearer then, and steps to take first
_SLID = 0.01  # eV: a path this far from a fresh SCF has moved to another SCF solution


@dataclass(frozen=True)
class Branch:
    """One side of an IRC.

    Attributes
    ----------
    points
        From the first point off the transition state downhill, the minimisation included.
    monotone
        Whether the energy falls from point to point, on one SCF solution.
    end
        The minimised end; outcome CONVERGED or DISSOCIATED when the side is proven.
    """

    points: tuple[PathPoint, ...]
    monotone: bool
    end: Minimum


def irc(
    molecule: Molecule,
    point: StationaryPoint,
    settings: StepSettings | None = None,
    *,
    known: KnownStructures | None = None,
) -> Search[tuple[Branch, Branch]]:
    """Follow the IRC both ways from a transition state and minimise the ends.

    Parameters
    ----------
    molecule
        The molecule.
    point
        A first-order saddle point with its exact Hessian.
    settings
        Step limits of each side and of the end minimisation.
    known
        Minima that are recognised: an end that heads for one is that one, and is not minimised
        any further.

    Returns
    -------
    (Branch, Branch)
        Against and along `point.mode`, with the ends as found.
    """
    limits = settings or StepSettings()
    if not limits.recognise:
        known = None
    # Each side is a stage of its own: no density of one end leaks into the other.
    backward = yield from stage("irc", branch(molecule, point, -1, limits, known))
    if known is not None and backward.end.outcome is Outcome.CONVERGED:
        known = known.also(minima=(backward.end,))
    forward = yield from stage("irc", branch(molecule, point, 1, limits, known))
    return backward, forward


def branch(
    molecule: Molecule,
    point: StationaryPoint,
    sign: int,
    settings: StepSettings,
    known: KnownStructures | None = None,
) -> Search[Branch]:
    """One side of the IRC, `sign` times along the imaginary mode; see `irc`."""
    walk = _Walk(molecule, point, sign, settings, known)
    foot = yield from walk.down()
    end = foot
    if foot.outcome in (Outcome.CONVERGED, Outcome.DISSOCIATED):
        tail: list[PathPoint] = []
        try:
            end = yield from finished(molecule, foot, settings, tail, known)
        except SurfaceError as failure:
            end = replace(foot, outcome=Outcome.SURFACE_FAILED, error=str(failure))
        walk.take(tail)
    return Branch(tuple(walk.points), walk.monotone, end)


@dataclass(frozen=True)
class _Tried:
    """The result of a step.

    Attributes
    ----------
    fell
        Whether it was taken.
    missed
        (3n,) error of the predicted gradient, in eV/Å; undefined with an error.
    error
        Error message of the surface if it failed.
    """

    fell: bool
    missed: Vector
    error: str = ""


class _Walk:
    """One side of a path, point by point.

    Attributes
    ----------
    points
        The accepted points.
    monotone
        As in `Branch`.
    """

    def __init__(
        self,
        molecule: Molecule,
        point: StationaryPoint,
        sign: int,
        settings: StepSettings,
        known: KnownStructures | None,
    ) -> None:
        self.points: list[PathPoint] = []
        self.monotone = True
        self._molecule = molecule
        self._settings = settings
        self._known = known
        self._root = np.repeat(np.sqrt(molecule.masses), 3)
        mode = sign * point.mode.ravel() * self._root
        self._mode = mode / np.linalg.norm(mode)
        self._top = point
        # The last place.
        self._x, self._energy = point.positions, point.energy
        self._gradient: Vector = np.zeros(self._root.size)
        self._hessian = point.hessian
        self._convex = 0  # steps in a row along which the gradient grew

    def take(self, tail: Sequence[PathPoint]) -> None:
        """Go on along a minimisation from the last place, by its points that lie lower."""
        # It starts from a fresh density: if the path had moved to another SCF solution, the energy
        # would jump here, and the path would prove nothing.
        if tail and abs(tail[0].energy - self._energy) > _SLID:
            self.monotone = False
        for item in tail[1:]:
            if item.energy <= self._energy + _RISE:
                self.points.append(item)
                self._x, self._gradient = item.positions, item.gradient.ravel()
                self._energy = min(item.energy, self._energy)

    def down(self) -> Search[Minimum]:
        """Follow the path to its foot.

        Returns
        -------
        Minimum
            CONVERGED where the path has arrived, DISSOCIATED where its fragments have gone apart,
            else why it ended.
        """
        step = self._first()
        trust = self._settings.trust.irc
        region = TrustRegion(trust, first=max(self._size(step), trust.first))
        line: Line | None = None
        time = 0.0
        near, resume = _CLOSE, 0
        for count in range(self._settings.irc_steps):
            size = self._size(step)
            tried = yield from self._go(step, line)
            if not tried.error:
                region.answered()
            elif region.refused():
                return self._foot(Outcome.SURFACE_FAILED, tried.error)
            if not self.points:
                # At the saddle point there is no gradient to follow, only its mode.
                step = 0.5 * step
                if self._size(step) < _NEAREST:
                    failed = Outcome.SURFACE_FAILED if tried.error else Outcome.IRC_FAILED
                    return self._foot(failed, tried.error)
                continue
            if tried.fell:
                ended = self._ended()
                if ended is not None:
                    return self._foot(ended)
                if line is not None:
                    region.judge(region.radius, line.beside(tried.missed, time) / size)
            elif tried.error:
                region.retreat(min(size, region.radius))
            elif size <= _LEAST * trust.least:
                # At the foot of the path noise may raise a point; on a slope the path has failed.
                self.monotone = bool(np.abs(self._gradient).max() < _FOOT)
                return self._foot(Outcome.CONVERGED)
            else:
                region.reject(min(size, region.radius))
            line = Line.of(self._hessian, self._gradient, self._x, self._root)
            if tried.fell and count >= resume and self._may_end(line, near):
                found = yield from self._taken_over(line)
                if found is not None:
                    return found
                near, resume = _CLOSER * near, count + 1 + _WAIT
            step, time = line.step(region.radius, _LONGEST_ATOM)
        return self._foot(Outcome.STEPS)

    def _ended(self) -> Outcome | None:
        """The outcome if the path ends here; None if it continues."""
        if dissociated(self._molecule, self._x, self._settings.dissociation):
            return Outcome.DISSOCIATED
        flat = np.abs(self._gradient).max() < self._settings.minimum_gradient
        # While the gradient still grows, it is small because the top is near.
        return Outcome.CONVERGED if self._convex and flat else None

    def _may_end(self, line: Line, near: float) -> bool:
        """Whether a minimisation may take over: in a basin, or close to a known minimum."""
        known = self._known if self._convex else None
        if known is not None and known.minimum_at(self._x, self._energy) is not None:
            return True
        return self._convex >= _CONVEX and _in_basin(line, near)

    def _first(self) -> Vector:
        """The displacement off the top, large enough for a measurable fall of the energy."""
        direction: Vector = self._mode / self._root
        curvature = (float(self._top.wavenumbers[0]) / WAVENUMBER) ** 2
        size = float(np.clip(np.sqrt(2.0 * _FALL / curvature), _SHORTEST_FIRST, _LONGEST_FIRST))
        return min(size, _FIRST_ATOM / longest(direction)) * direction

    def _go(self, step: Vector, line: Line | None) -> Search[_Tried]:
        """Try a step, and take it if the energy falls; its line, unless it is the first one."""
        molecule, x = self._molecule, self._x
        parts = components(molecule, x)
        trial = x + step.reshape(x.shape)
        if len(parts) > 1:
            trial = rigid_step(x, step.reshape(x.shape), parts)
        try:
            evaluation = yield trial[None]
        except SurfaceError as failure:
            return _Tried(False, step, str(failure))
        energy = float(evaluation.energies[0])
        gradient = internal_part(trial, evaluation.gradients[0])
        # The Hessian of an atom turns with its surroundings.
        turns = local_turns(surroundings(molecule, x), x, trial)
        change = turned_back(turns, gradient).ravel() - self._gradient
        missed: Vector = change - self._hessian @ step
        self._hessian = self._updated(step, change, line)
        if energy > self._energy + _RISE or not self._ahead(trial, step):
            return _Tried(False, missed)
        if self.points:
            self._convex = self._convex + 1 if float(change @ step) > 0.0 else 0
        self._hessian = turned_hessian(turns, self._hessian)
        self._x, self._energy, self._gradient = trial, energy, gradient.ravel()
        self.points.append(PathPoint(trial, energy, gradient))
        return _Tried(True, missed)

    def _updated(self, step: Vector, change: Vector, line: Line | None) -> Matrix:
        """The Hessian after a step and the change of the gradient that it made."""
        # The line has the modes of this Hessian: |H| is that of mass-weighted coordinates then.
        modes = vibrations(self._hessian, self._x) if line is None else line.modes
        hessian = ts_bfgs(self._hessian, step, change, modes)
        if stiffer(hessian, STIFFEST):
            # Steps along a valley that couple to its walls may stiffen it without limit.
            hessian = bofill(self._hessian, step, change)
        return hessian

    def _ahead(self, x: Positions, step: Vector) -> bool:
        """Whether a step stays on its side of the plane that divides both at the top.

        Near the top no point of it lies lower than the top, so a path that comes back through it
        has jumped across. Further away a step that is too short for a jump may cross it.
        """
        if self._size(step) <= _LEAST * self._settings.trust.irc.least:
            return True
        top = self._top.positions
        there = superpose(top, x) if len(x) > 1 else x
        return float((there - top).ravel() * self._root @ self._mode) > 0.0

    def _taken_over(self, line: Line) -> Search[Minimum | None]:
        """The minimum next to the last point; None if the path was not in its basin yet.

        The basin is reached if the energy falls by no more than the model predicts: else the
        minimisation may have left the path for a lower minimum.
        """
        settings, end = self._settings, self._settings.trust.end
        tail: list[PathPoint] = []
        start = self._energy
        _, rest = line.minimum(_SOFTEST)

        def stop(x: Positions) -> Outcome | None:
            if dissociated(self._molecule, x, settings.dissociation):
                return Outcome.DISSOCIATED
            left = start - tail[-1].energy > _FORETOLD * rest + _MORE
            return Outcome.STEPS if left else None

        taking_over = descend(
            self._molecule,
            self._x,
            DescentLimits(
                settings.minimum_steps, settings.minimum_gradient, end.most, end, self._known
            ),
            hessian=self._hessian,
            trace=tail,
            stop=stop,
        )
        try:
            found = yield from stage("irc ends", taking_over)
        except SurfaceError:
            return None  # a fresh SCF fails here: the path continues with its own density
        if found.outcome is not Outcome.CONVERGED:
            return None
        self.take(tail)
        return found

    def _foot(self, outcome: Outcome, error: str = "") -> Minimum:
        gradient = self._gradient.reshape(self._x.shape)
        return Minimum(outcome, self._x, self._energy, gradient, self._hessian, error=error)

    def _size(self, step: Vector) -> float:
        """The mass-weighted length of a step (3n,) in amu^½ Å."""
        scaled = step * self._root
        return math.sqrt(scaled @ scaled)


def _in_basin(line: Line, near: float) -> bool:
    """Whether the model is convex where it slopes, and its minimum within `near` Å.

    Soft modes of a large molecule may stay slightly concave; only modes with a slope count.
    """
    if float(line.slopes**2 @ line.values) <= 0.0:
        return False
    concave = line.slopes[line.values < 0.0]
    if np.abs(concave).max(initial=0.0) > _CONCAVE * np.linalg.norm(line.slopes):
        return False
    away, _ = line.minimum(_SOFTEST)
    return longest(away) < near
