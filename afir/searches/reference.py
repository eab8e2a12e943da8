"""What was found on a cheap surface, examined on the one that has the last word.

The cheap surface gives the shape of the surroundings, the reference (`afir.driver.referred`) what
is wrong with it: where the reference was asked, a Gaussian process (`afir.gaussian`) takes up the
difference, and the search goes on on the sum of both until the reference agrees. So a few gradients
of the reference converge a stationary point, some more prove its order by the softest modes, and
for a transition state some along the path say that the energy falls.

What networks learned before, for the whole surface, gives the structures to begin with. The
difference is then one from the surface below (`afir.driver.unlearned`), which is smoother; from one
that a Gaussian process has corrected it is the difference from that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from afir.driver import (
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
from afir.errors import SurfaceError
from afir.gaussian import GaussianProcess
from afir.geometry import bonds, displacement, internal_part, superpose
from afir.molecule import Molecule, Positions
from afir.quadratic import Matrix, model_hessian
from afir.searches.characterise import NotAMinimum, characterise
from afir.searches.confirm import followed, refuted
from afir.searches.hessian import arrived, hessian, measure
from afir.searches.minimum import minimise
from afir.searches.saddle import Saddle, saddle
from afir.searches.settings import StepSettings
from afir.searches.softest import softest
from afir.stationary import Candidate, Confirmation, Minimum, Outcome, StationaryPoint
from afir.surface import Evaluation
from afir.symmetry import congruence

T = TypeVar("T")
P = TypeVar("P", Minimum, Saddle)

_TRIES = 3
_ASIDE = 0.15  # Å: along the mode (norm) off a point of too high an order
_TIGHTER = 0.1  # of the gradient limit, where the surface is flat
_LOOSER = 4.0  # times the gradient limit of saddle points: the Newton step judges those besides
_NEARER, _PATIENCE = 0.7, 3  # gradients fall to that share of themselves, within so many tries
_CLOSE = 0.1  # eV/Å: gradients from which a search on the reference itself gets there
_OFF, _GAIN = 0.1, 1e-4  # Å (norm) and eV: how far from stationary; grids make 5e-5 eV of noise
_STUCK = 0.01  # Å: where a search would still go from a point that it cannot meet any better
_FARTHEST = 0.4  # Å: the longest way of an atom before the reference is asked again
_STEPS = 6  # of a search on the reference itself, where the two surfaces have nothing in common
_LOOKS = (1.0 / 3.0, 2.0 / 3.0, 1.0)  # of each side of a path, where the reference is asked
_ROOM = 0.3  # eV: so far above the ceiling the order of a point does not matter
_SURE = 0.015  # eV: what is expected this well on a path like the one before is not asked again
_NOISE = 1e-3  # Å⁻¹ times the scale of the difference: of gradients, to begin with
_SHARP, _SHARPEST = 0.1, 1e-6  # share of a gradient that is left to noise; the least noise
_NEAR, _AS_LOW = 0.06, 0.05  # Å (root mean square) and eV: what may belong to a known point
_EXPLAINED, _ALIKE = 0.5, 2e-3  # share of the energy, and eV, that its Hessian may not explain
_PATHS = 4  # paths of the cheap surface that are followed before one of the reference
_SAME = 0.3  # Å: an end that moves no more than this is the same on both surfaces
_LEVEL = 0.01  # eV: so is one with the same bonds and this much higher or lower


class _LeftError(Exception):
    """A search has gone where the difference is a guess: to these positions (n, 3)."""

    def __init__(self, positions: Positions) -> None:
        self.positions = positions


class _KnownError(Exception):
    """A search on the reference has come to what is known already."""

    def __init__(self, point: StationaryPoint) -> None:
        self.point = point


class _Difference:
    """What the reference says beyond the cheap surface, as far as it was asked."""

    def __init__(self) -> None:
        self._told: list[tuple[Positions, Evaluation]] = []
        self._learned: GaussianProcess | None = None
        self._noise = _NOISE

    def deviation(self, positions: Positions) -> float:
        """How far, in eV, it may be from the truth at one geometry (n, 3)."""
        assert self._learned is not None  # it has been asked at a stationary point before
        return float(self._learned.deviations(positions[None])[0])

    def learn(self, positions: Positions, cheap: Evaluation, truth: Evaluation) -> None:
        """Take note of geometries (k, n, 3) that both surfaces have evaluated."""
        energies, gradients = truth.energies - cheap.energies, truth.gradients - cheap.gradients
        self._told.append((positions, Evaluation(energies, gradients)))
        if self._learned is None:
            self._process()
        else:
            self._learned.learn(positions, energies, gradients)

    def sharpen(self, gradient: float) -> None:
        """Have it follow what was told so closely that a gradient of this size (eV/Å) is seen.

        From the beginning that would make it bend too much where it knows little.
        """
        assert self._learned is not None
        wanted = max(_SHARPEST, _SHARP * gradient / self._learned.scale)
        if wanted < self._noise:
            self._noise = wanted
            self._process()

    def _process(self) -> None:
        self._learned = GaussianProcess(
            np.concatenate([positions for positions, _ in self._told]),
            np.concatenate([said.energies for _, said in self._told]),
            np.concatenate([said.gradients for _, said in self._told]),
            mean=float(self._told[0][1].energies.max()),
            noise=(0.2 * self._noise, self._noise),
        )

    def added(self, search: Search[T], *, around: Positions | None = None) -> Search[T]:
        """Run `search` on the cheap surface with the difference added.

        Raises
        ------
        _LeftError
            When it leaves the surroundings of `around` (n, 3), if that is given.
        """

        def near(asked: Asked) -> Asked:
            there = geometries(asked)[0]
            if around is not None and displacement(around, there) > _FARTHEST:
                raise _LeftError(there)
            return asked

        return relayed(unlearned(search), near, self._corrected)

    def _corrected(self, asked: Asked, evaluation: Evaluation) -> Evaluation:
        if self._learned is None:
            return evaluation
        said = self._learned.predict(geometries(asked))
        return Evaluation(
            evaluation.energies + said.energies, evaluation.gradients + said.gradients
        )


def characterise_by_reference(
    molecule: Molecule,
    positions: Positions,
    settings: StepSettings | None = None,
    *,
    hessian: Matrix | None = None,
    known: Sequence[StationaryPoint] = (),
) -> Search[StationaryPoint]:
    """Refine a minimum on the cheap surface, then on the reference, and prove it there.

    Parameters and errors as for `afir.searches.characterise.characterise`; of the Hessian only
    what belongs to the softest modes is measured on the reference (`softest`). If it comes to one
    of the minima that are `known`, that one is returned and nothing is measured.
    """
    limits = settings or StepSettings()
    estimate = model_hessian(molecule, positions) if hessian is None else hessian
    start = Minimum(Outcome.CONVERGED, positions, 0.0, np.zeros_like(positions), estimate)
    try:
        cheap = yield from characterise(molecule, positions, limits, hessian=hessian)
    except NotAMinimum:
        pass  # the reference may have one all the same
    else:
        start = replace(start, positions=cheap.positions, hessian=cheap.hessian)
    difference = _Difference()
    gradient_limit = limits.minimum_gradient
    for _ in range(_TRIES):

        def search(place: Positions, matrix: Matrix, steps: StepSettings) -> Search[Minimum]:
            return stage("minimum", minimise(molecule, place, steps, hessian=matrix))

        try:
            minimum = yield from _agreed(
                molecule, start, search, difference, gradient_limit, limits, known
            )
        except _KnownError as met:
            return met.point
        if minimum.outcome is not Outcome.CONVERGED:
            raise NotAMinimum(f"the reference has no minimum nearby: {minimum.outcome.value}")
        point = yield from _measured(molecule, minimum, difference)
        if point.order == 0 and _arrived(point, minimum):
            return point
        start = replace(start, positions=point.positions, hessian=point.hessian)
        if point.order > 0:
            uphill = float((minimum.gradient * point.mode).sum()) > 0.0
            aside = (-_ASIDE if uphill else _ASIDE) * point.mode
            start = replace(start, positions=point.positions + aside)
        else:
            gradient_limit *= _TIGHTER
    raise NotAMinimum(f"the reference has only saddles or slopes nearby, after {_TRIES} tries")


def confirm_by_reference(
    molecule: Molecule,
    candidate: Candidate,
    settings: StepSettings | None = None,
    *,
    ceiling: float | None = None,
    known: Sequence[StationaryPoint] = (),
) -> Search[Confirmation]:
    """Converge a candidate on the reference and prove it there.

    The two softest modes are measured on the reference. The path is followed on the cheap surface
    with the difference added, and the reference is asked at three points of each side: its energy
    must fall from each to the next. What it says there is learned, and the path followed anew. A
    path followed anew is asked only where the deviation of the difference is above 15 meV. It ends
    when a path leads where the one before did, when nothing was asked, or after four paths; the
    last that fell counts. Where the energy never falls, the path is followed on the reference
    itself. No path is followed from a saddle point above the `ceiling`, an energy of the reference
    in eV. If it comes to one of the transition states that are `known`, the outcome is CONVERGED,
    and the point that one.

    Parameters and result as for `afir.searches.confirm.confirm`; the ends are those of the cheap
    surface, where it has them too.
    """
    limits = settings or StepSettings()
    found = yield from stage("hessian", measure(molecule, candidate.positions))
    if found.point.order == 0:
        return refuted(Outcome.WRONG_ORDER, found.point)
    difference = _Difference()
    try:
        outcome, point = yield from _converged(
            molecule, found.point, difference, limits, ceiling, known
        )
    except _KnownError as met:
        return refuted(Outcome.CONVERGED, met.point)
    if outcome is not Outcome.CONVERGED:
        return refuted(outcome, point)
    path: Confirmation | None = None
    looks = 0
    for _ in range(_PATHS):
        followed_now = yield from difference.added(followed(molecule, point, limits))
        if followed_now.outcome is not Outcome.CONFIRMED:
            break
        if path is not None and _same_ends(molecule, path, followed_now):
            path = followed_now
            break
        falls, asked = yield from _falls(followed_now, difference, again=looks > 0)
        looks += asked
        if falls:
            path = followed_now
        if not asked:
            break  # nothing was learned: it would be followed to the same ends
    if path is None:
        path = yield from referred(followed(molecule, point, limits))
        return path
    ends = []
    for end in path.ends:
        ends.append((yield from _on_cheap(molecule, end, limits)))
    return replace(path, ends=tuple(ends), checked_at=looks)


def _agreed(
    molecule: Molecule,
    start: P,
    search: Callable[[Positions, Matrix, StepSettings], Search[P]],
    difference: _Difference,
    gradient_limit: float,
    limits: StepSettings,
    known: Sequence[StationaryPoint],
) -> Search[P]:
    """A stationary point of the cheap surface with the difference added, once both agree.

    Where they do not come to agree, the search is done on the reference alone from where its
    gradient was least; unless that is not small, or the surface is flat there.

    Parameters
    ----------
    molecule
        The molecule.
    start
        Where to begin.
    search
        What is searched, from positions (n, 3) and a Hessian (3n, 3n), with step limits.
    difference
        What the reference says beyond the cheap surface; learns.
    gradient_limit
        Largest component in eV/Å of the gradient of the reference.
    limits
        Step limits on the cheap surface.
    known
        Stationary points of the reference that it may come to.

    Returns
    -------
    Minimum or Saddle
        Energy and gradient are those of the reference if it has CONVERGED.

    Raises
    ------
    _KnownError
        When it comes to one that is known.
    """
    # A surface so flat that the reference has to be met better must be searched better, too.
    tight = 0.5 * gradient_limit
    limits = replace(
        limits,
        minimum_gradient=min(limits.minimum_gradient, tight),
        saddle_gradient=min(limits.saddle_gradient, tight),
    )
    here, nearest, least, way = start, start, np.inf, np.inf
    nearer = stale = 0  # times that it has come nearer; times in a row that it has not
    while stale < _PATIENCE:
        x = here.positions
        try:
            truth = yield from _learned_at(x, difference)
        except SurfaceError:
            if least == np.inf:
                raise
            stale += 1
            back = superpose(x, nearest.positions)
            here = replace(here, positions=0.5 * (x + back))
            continue
        for point in known:
            if _belongs(molecule, x, float(truth.energies[0]), point):
                raise _KnownError(point)
        gradient = internal_part(x, truth.gradients[0])
        size = float(np.abs(gradient).max())
        if size < gradient_limit:
            energy = float(truth.energies[0])
            return replace(here, outcome=Outcome.CONVERGED, energy=energy, gradient=gradient)
        stale += 1
        if size < _NEARER * least:
            nearest, least, stale = here, size, 0
            nearer += 1
        difference.sharpen(least)
        try:
            here = yield from difference.added(search(x, here.hessian, limits), around=x)
        except _LeftError as gone:
            here = replace(here, positions=gone.positions)
        if not stale:
            way = displacement(x, here.positions)
    # Only what is met within little can be met better by few steps on the reference itself.
    if nearer < 2 or least > _CLOSE or way > _STUCK:
        return replace(nearest, outcome=Outcome.STEPS)
    few = replace(limits, minimum_steps=_STEPS, saddle_steps=_STEPS)
    result = yield from referred(search(nearest.positions, nearest.hessian, few))
    return result


def _belongs(molecule: Molecule, x: Positions, energy: float, point: StationaryPoint) -> bool:
    """Whether a geometry lies beside a stationary point, whose Hessian explains its energy in eV.

    Like atoms may have changed places, and the geometry may be a mirror image.
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


def _learned_at(
    positions: Positions, difference: _Difference, name: str = "refine"
) -> Search[Evaluation]:
    """What the reference says of one geometry (n, 3) in a stage; the difference is learned."""
    truth = yield from referred(_asked(positions[None], difference, name))
    cheap = yield from unlearned(_asked(positions[None], difference, name))
    difference.learn(positions[None], cheap, truth)
    return truth


def _measured(
    molecule: Molecule, found: Minimum | Saddle, difference: _Difference
) -> Search[StationaryPoint]:
    """A stationary point of the reference with its softest modes measured there.

    Which those are, the cheap surface with the difference added tells: what a search has made of
    its Hessian is not good enough where all modes are soft.
    """
    x, estimate = found.positions, found.hessian
    try:
        shape = yield from difference.added(stage("hessian", hessian(molecule, x)))
        estimate = shape.hessian
    except SurfaceError:
        pass
    measured = softest(molecule, x, found.energy, found.gradient, estimate)
    point = yield from referred(stage("hessian", measured))
    return point


def _arrived(point: StationaryPoint, found: Minimum | Saddle) -> bool:
    """Whether it is close enough, where a reference may have some noise of its own."""
    return arrived(point, found.gradient, farthest=_OFF, most=_GAIN)


def _asked(positions: Positions, owner: object, name: str) -> Search[Evaluation]:
    """Geometries (k, n, 3), evaluated for an owner, from whose last density an SCF may start."""
    evaluation = yield Request(positions, name, Level.POINT, owner)
    return evaluation


def _converged(
    molecule: Molecule,
    start: StationaryPoint,
    difference: _Difference,
    limits: StepSettings,
    ceiling: float | None,
    known: Sequence[StationaryPoint],
) -> Search[tuple[Outcome, StationaryPoint]]:
    """The saddle point of the reference that is nearest, and CONVERGED or what is wrong with it."""
    point = start
    x = point.positions
    gradient_limit = _LOOSER * limits.saddle_gradient
    for _ in range(_TRIES):
        mode = point.mode

        def search(
            place: Positions, matrix: Matrix, steps: StepSettings, mode: Positions = mode
        ) -> Search[Saddle]:
            climb = saddle(molecule, place, steps, direction=mode, hessian=matrix)
            return stage("saddle", climb)

        guess = Saddle(Outcome.CONVERGED, x, point.energy, np.zeros_like(x), point.hessian)
        top = yield from _agreed(molecule, guess, search, difference, gradient_limit, limits, known)
        if top.outcome is not Outcome.CONVERGED:
            return Outcome.NOT_STATIONARY, point
        if ceiling is not None and top.energy > ceiling + _ROOM:
            return Outcome.OUTSIDE_WINDOW, replace(point, energy=top.energy)
        point = yield from _measured(molecule, top, difference)
        if point.order == 0:
            return Outcome.WRONG_ORDER, point
        x = point.positions
        if point.order > 1:
            vectors = np.linalg.eigh(point.hessian)[1]
            x = x + _ASIDE * vectors[:, 1].reshape(x.shape)
        elif not _arrived(point, top):
            gradient_limit *= _TIGHTER
        elif -point.wavenumbers[0] < limits.softest_imaginary:
            return Outcome.TOO_SOFT, point
        elif ceiling is not None and point.energy > ceiling:
            return Outcome.OUTSIDE_WINDOW, point
        else:
            return Outcome.CONVERGED, point
    return Outcome.WRONG_ORDER if point.order != 1 else Outcome.NOT_STATIONARY, point


def _falls(
    found: Confirmation, difference: _Difference, *, again: bool
) -> Search[tuple[bool, int]]:
    """Whether the energy of the reference falls along a path, and at how many points it was asked.

    The difference has learned of it then. When a path is looked at `again`, the reference is asked
    only where the difference is not sure yet. Points where it fails are left out, if others of that
    side are left.
    """
    path, energies = found.irc_positions, found.irc_energies
    middle = int(np.argmax(energies))
    back = [middle - k for k in _looked_at(path[middle::-1])]
    forth = [middle + k for k in _looked_at(path[middle:])]
    # Before anything is learned here: the energies of the path are from before, too.
    sure = {k for k in (*back, *forth) if again and difference.deviation(path[k]) < _SURE}
    falls, count = True, 0
    for side in (back, forth):
        last, heard = found.point.energy, 0
        for index in side:
            energy = float(energies[index])
            if index not in sure:
                try:
                    truth = yield from _learned_at(path[index], difference, "irc")
                except SurfaceError:
                    continue
                energy = float(truth.energies[0])
                count += 1
            falls &= energy < last
            last, heard = energy, heard + 1
        falls &= heard > 0
    return falls, count


def _same_ends(molecule: Molecule, first: Confirmation, second: Confirmation) -> bool:
    """Whether two paths from one transition state lead to the same structures or fragments."""

    def same(one: Minimum, other: Minimum) -> bool:
        if one.dissociated is not other.dissociated:
            return False
        alike = bool((bonds(molecule, one.positions) == bonds(molecule, other.positions)).all())
        # Molecules that hardly hold together lie anywhere, at the same energy.
        level = one.dissociated or abs(one.energy - other.energy) < _LEVEL
        return (alike and level) or displacement(one.positions, other.positions) < _SAME

    return all(same(one, other) for one, other in zip(first.ends, second.ends, strict=True))


def _looked_at(side: Positions) -> list[int]:
    """The points of one side of a path (m, n, 3), from the top down, at which to look."""
    steps = np.linalg.norm(np.diff(side, axis=0), axis=(1, 2))
    way = np.concatenate([[0.0], np.cumsum(steps)])
    return sorted({int(np.argmin(np.abs(way - share * way[-1]))) for share in _LOOKS} - {0})


def _on_cheap(molecule: Molecule, end: Minimum, limits: StepSettings) -> Search[Minimum]:
    """The end of a path as the cheap surface alone has it, so that it is recognised."""
    if end.outcome is not Outcome.CONVERGED:
        return end
    search = minimise(molecule, end.positions, limits, hessian=end.hessian)
    try:
        found = yield from stage("refine", search)
    except SurfaceError:
        return end
    same = displacement(end.positions, found.positions) < _SAME
    return found if same and found.outcome is Outcome.CONVERGED else end
