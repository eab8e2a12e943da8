"""Stationary points of a costly reference, searched on a cheap surface.

The cheap surface gives the shape of the surroundings, the reference (`afir.pes.driver.referred`)
its error. A Gaussian process (`afir.pes.gaussian_process`) learns the difference at the reference
calculations, and the search continues on the sum of both until the reference agrees.

Networks that corrected the surface before give the initial structures. The difference is then
that from their base surface (`afir.pes.driver.unlearned`), which is smoother; on a surface
corrected by a Gaussian process it is the difference from the corrected surface.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

import numpy as np

from afir.errors import SurfaceError
from afir.geometry.superposition import displacement, internal_part, superpose
from afir.geometry.symmetry import congruence
from afir.hessians.modes import Matrix
from afir.molecule import Molecule, Positions
from afir.pes.driver import (
    Asked,
    Level,
    Request,
    Search,
    geometries,
    referred,
    relayed,
    stage,
    unlearned,
)
from afir.pes.gaussian_process import GaussianProcess
from afir.pes.surface import Evaluation
from afir.searches.hessian import arrived, hessian
from afir.searches.minimum import minimise
from afir.searches.partial_hessian import softest
from afir.searches.saddle import Saddle, saddle
from afir.searches.settings import StepSettings
from afir.stationary import Minimum, Outcome, StationaryPoint

T = TypeVar("T")
P = TypeVar("P", Minimum, Saddle)

_Searching: TypeAlias = Callable[[Positions, Matrix, StepSettings], Search[P]]
"""A search from positions (n, 3) in Å and a Hessian (3n, 3n) in eV/Å², with step limits."""

# Chosen, not fitted, unless a reason is given.
_NEARER, _PATIENCE = 0.7, 3  # required decrease of the gradient, within so many tries
_APART = 2  # searches in a row that may end in dissociation
_CLOSE, _STUCK = 0.1, 0.01  # eV/Å and Å: a small gradient where a search hardly moves
_STEPS = 6  # steps on the reference itself from there
_OFF, _GAIN = 0.1, 1e-4  # Å (norm) and eV: how far from stationary; grids make 5e-5 eV of noise
_FARTHEST = 0.4  # Å: the largest displacement of an atom between reference calculations
_NOISE = 1e-3  # Å⁻¹ times the scale of the difference: of gradients, to begin with
_SHARP, _SHARPEST = 0.1, 1e-6  # fraction of a gradient taken as noise; the least noise
_NEAR, _AS_LOW = 0.06, 0.05  # Å (root mean square) and eV: tolerances of a known point
_EXPLAINED, _ALIKE = (
    0.5,
    2e-3,
)  # fraction of the energy, and eV, that its Hessian may leave unexplained


class KnownError(Exception):
    """A search on the reference has reached a known stationary point.

    Attributes
    ----------
    point
        The known point.
    """

    def __init__(self, point: StationaryPoint) -> None:
        self.point = point


class _LeftError(Exception):
    """A search has left the region where the difference is known, at these positions (n, 3)."""

    def __init__(self, positions: Positions) -> None:
        self.positions = positions


class Difference:
    """The difference between the reference and the cheap surface, as a Gaussian process."""

    def __init__(self) -> None:
        self._told: list[tuple[Positions, Evaluation]] = []
        self._learned: GaussianProcess | None = None
        self._noise = _NOISE

    def deviation(self, positions: Positions) -> float:
        """Its standard deviation in eV at one geometry (n, 3)."""
        assert self._learned is not None  # it was evaluated at a stationary point before
        return float(self._learned.deviations(positions[None])[0])

    def ask(self, positions: Positions, name: str) -> Search[Evaluation]:
        """The reference evaluation of one geometry, (n, 3) in Å; the difference learns it."""
        truth = yield from referred(self._single(positions, name))
        cheap = yield from unlearned(self._single(positions, name))
        self.learn(positions[None], cheap, truth)
        return truth

    def energy(self, positions: Positions) -> Search[float]:
        """The energy in eV of one geometry (n, 3) on the cheap surface plus the difference."""
        said = yield from self.added(self._single(positions, "irc"))
        return float(said.energies[0])

    def learn(self, positions: Positions, cheap: Evaluation, truth: Evaluation) -> None:
        """Learn geometries, (k, n, 3) in Å, that both surfaces have evaluated."""
        energies, gradients = truth.energies - cheap.energies, truth.gradients - cheap.gradients
        self._told.append((positions, Evaluation(energies, gradients)))
        if self._learned is None:
            self._process()
        else:
            self._learned.learn(positions, energies, gradients)

    def sharpen(self, gradient: float) -> None:
        """Lower the noise so that a gradient of this size (eV/Å) is resolved.

        With low noise from the beginning it would overfit far from its few data.
        """
        assert self._learned is not None
        wanted = max(_SHARPEST, _SHARP * gradient / self._learned.scale)
        if wanted < self._noise:
            self._noise = wanted
            self._process()

    def added(self, search: Search[T], *, around: Positions | None = None) -> Search[T]:
        """Run `search` on the cheap surface plus the difference.

        Raises
        ------
        _LeftError
            If it leaves the surroundings of `around`, (n, 3) in Å, if that is given.
        """

        def near(asked: Asked) -> Asked:
            there = geometries(asked)[0]
            if around is not None and displacement(around, there) > _FARTHEST:
                raise _LeftError(there)
            return asked

        return relayed(unlearned(search), near, self._corrected)

    def _single(self, positions: Positions, name: str) -> Search[Evaluation]:
        """The evaluation of a geometry (n, 3); its SCF may start from the owner's last density."""
        evaluation = yield Request(positions[None], name, Level.POINT, self)
        return evaluation

    def _process(self) -> None:
        self._learned = GaussianProcess(
            np.concatenate([positions for positions, _ in self._told]),
            np.concatenate([said.energies for _, said in self._told]),
            np.concatenate([said.gradients for _, said in self._told]),
            mean=float(self._told[0][1].energies.max()),
            noise=(0.2 * self._noise, self._noise),
        )

    def _corrected(self, asked: Asked, evaluation: Evaluation) -> Evaluation:
        if self._learned is None:
            return evaluation
        said = self._learned.predict(geometries(asked))
        return Evaluation(
            evaluation.energies + said.energies, evaluation.gradients + said.gradients
        )


class Agreement:
    """The search for one stationary point of the reference.

    Parameters
    ----------
    molecule
        The molecule.
    limits
        Step limits on the cheap surface.
    known
        Stationary points of the reference that it may reach.
    ceiling
        Reference energy in eV; a search that climbs above it is given up.

    Attributes
    ----------
    difference
        The difference between the reference and the cheap surface.
    """

    def __init__(
        self,
        molecule: Molecule,
        limits: StepSettings,
        known: Sequence[StationaryPoint],
        ceiling: float = np.inf,
    ) -> None:
        self._molecule = molecule
        self._limits = limits
        self._known = known
        self._ceiling = ceiling
        self.difference = Difference()

    def minimum(self, start: Minimum, gradient_limit: float) -> Search[Minimum]:
        """A minimum of the reference; see `_reached`."""

        def search(place: Positions, matrix: Matrix, steps: StepSettings) -> Search[Minimum]:
            return stage("minimum", minimise(self._molecule, place, steps, hessian=matrix))

        return self._reached(start, search, gradient_limit)

    def saddle(self, start: Saddle, mode: Positions, gradient_limit: float) -> Search[Saddle]:
        """A saddle point of the reference, uphill along a mode, (n, 3) in any unit; `_reached`."""

        def search(place: Positions, matrix: Matrix, steps: StepSettings) -> Search[Saddle]:
            climb = saddle(self._molecule, place, steps, direction=mode, hessian=matrix)
            return stage("saddle", climb)

        return self._reached(start, search, gradient_limit)

    def measured(self, found: Minimum | Saddle) -> Search[StationaryPoint]:
        """A stationary point of the reference with its softest modes measured there.

        The cheap surface plus the difference selects them: the quasi-Newton Hessian of a search is
        too inaccurate if all modes are soft.
        """
        x, estimate = found.positions, found.hessian
        try:
            shape = yield from self.difference.added(stage("hessian", hessian(self._molecule, x)))
            estimate = shape.hessian
        except SurfaceError:
            pass
        measured = softest(self._molecule, x, found.energy, found.gradient, estimate)
        point = yield from referred(stage("hessian", measured))
        return point

    def _reached(
        self,
        start: P,
        search: _Searching[P],
        gradient_limit: float,
    ) -> Search[P]:
        """A stationary point of the cheap surface plus the difference, once the reference agrees.

        If they do not agree although they are close, a few steps are taken on the reference alone,
        from the point of its smallest gradient. The limit is for its largest component, in eV/Å.

        Returns
        -------
        Minimum or Saddle
            Energy and gradient are those of the reference if it has CONVERGED. Else the outcome is
            OUTSIDE_WINDOW, with its energy, or DISSOCIATED or STEPS, where only the positions are
            valid. A known point is raised as KnownError.
        """
        limits = self._tightened(gradient_limit)
        here, nearest, least, before, way = start, start, np.inf, np.inf, np.inf
        nearer = 0  # times that the gradient has decreased
        stale = apart = 0  # times in a row without a decrease, and with dissociation
        while stale < _PATIENCE and apart < _APART:
            x = here.positions
            try:
                truth = yield from self.difference.ask(x, "refine")
            except SurfaceError:
                if least == np.inf:
                    raise
                stale += 1
                back = superpose(x, nearest.positions)
                here = replace(here, positions=0.5 * (x + back))
                continue
            energy, gradient = float(truth.energies[0]), internal_part(x, truth.gradients[0])
            self._check_unknown(x, energy)
            size = float(np.abs(gradient).max())
            if size < gradient_limit:
                gone = here.outcome is Outcome.DISSOCIATED
                outcome = Outcome.DISSOCIATED if gone else Outcome.CONVERGED
                return replace(here, outcome=outcome, energy=energy, gradient=gradient)
            if min(before, energy) > self._ceiling and energy > before:
                return replace(here, outcome=Outcome.OUTSIDE_WINDOW, energy=energy)
            before = energy
            stale += 1
            if size < _NEARER * least:
                nearest, least, stale = here, size, 0
                nearer += 1
            self.difference.sharpen(least)
            here = yield from self._searched(here, search, limits)
            if not stale:
                way = displacement(x, here.positions)
            apart = apart + 1 if here.outcome is Outcome.DISSOCIATED else 0
        if apart == _APART:
            return replace(nearest, outcome=Outcome.DISSOCIATED)
        if nearer < 2 or least > _CLOSE or way > _STUCK:
            return replace(nearest, outcome=Outcome.STEPS)
        few = replace(limits, minimum_steps=_STEPS, saddle_steps=_STEPS)
        result = yield from referred(search(nearest.positions, nearest.hessian, few))
        return result

    def _tightened(self, gradient_limit: float) -> StepSettings:
        """The limits of the searches.

        On a flat surface a tighter limit for the reference, in eV/Å, needs a tighter search, too.
        """
        tight = 0.5 * gradient_limit
        return replace(
            self._limits,
            minimum_gradient=min(self._limits.minimum_gradient, tight),
            saddle_gradient=min(self._limits.saddle_gradient, tight),
        )

    def _check_unknown(self, x: Positions, energy: float) -> None:
        """Raise KnownError at a known point; (n, 3) in Å, the energy of the reference in eV."""
        for point in self._known:
            if _belongs(self._molecule, x, energy, point):
                raise KnownError(point)

    def _searched(self, here: P, search: _Searching[P], limits: StepSettings) -> Search[P]:
        """What a search from a point reaches on the cheap surface plus the difference."""
        x = here.positions
        try:
            found = yield from self.difference.added(search(x, here.hessian, limits), around=x)
        except _LeftError as left:
            return replace(here, positions=left.positions, outcome=Outcome.STEPS)
        return found


def settled(point: StationaryPoint, found: Minimum | Saddle) -> bool:
    """Whether a point is stationary by its Hessian, within the noise of a reference."""
    return arrived(point, found.gradient, farthest=_OFF, most=_GAIN)


def _belongs(molecule: Molecule, x: Positions, energy: float, point: StationaryPoint) -> bool:
    """Whether a geometry lies beside a stationary point, whose Hessian explains its energy in eV.

    Up to permutations of like atoms and mirror images.
    """
    above = energy - point.energy
    if abs(above) > _AS_LOW:
        return False
    match = congruence(molecule.numbers, point.positions, x, tolerance=_NEAR)
    if match is None:
        return False
    image = (-x if match.mirrored else x)[match.permutation]
    step = (superpose(point.positions, image) - point.positions).ravel()
    expected = 0.5 * float(step @ point.hessian @ step)
    return abs(above - expected) < _EXPLAINED * abs(expected) + _ALIKE
