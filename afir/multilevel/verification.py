"""Reference calculations on the stationary points of a cheap surface.

A few gradients of the reference converge a stationary point (`afir.multilevel.agreement`), some
more prove its order by the softest modes, and for a transition state some along the path show that
the energy falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from afir.errors import SurfaceError
from afir.geometry.bonds import bonds, bonds_changed, components
from afir.geometry.superposition import displacement
from afir.hessians.model import model_hessian
from afir.hessians.modes import Matrix
from afir.molecule import Molecule, Positions
from afir.multilevel.agreement import Agreement, Difference, KnownError, settled
from afir.pes.driver import Search, stage
from afir.searches.hessian import measure
from afir.searches.minimum import minimise
from afir.searches.saddle import Saddle
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, Confirmation, Minimum, Outcome, StationaryPoint
from afir.verification.minima import NotAMinimum, characterise
from afir.verification.transition_states import followed, refuted

# Chosen, not fitted, unless a reason is given.
_TRIES = 3  # minimisations, each off a point of too high an order or closer
_ASIDE = 0.15  # Å: displacement (norm) along the mode off a point of too high an order
_TIGHTER = 0.1  # of the gradient limit, where the surface is flat
_LOOSER = 4.0  # times the gradient limit of saddle points: their Newton step is limited, too
_LOOKS = (1.0 / 3.0, 2.0 / 3.0, 1.0)  # of each side of a path, for reference calculations
_ROOM = 0.3  # eV: this far above the ceiling the order of a point does not matter
_SURE = 0.015  # eV: no new reference calculation below this standard deviation on a similar path
_PATHS = 4  # largest number of paths, each with the data of those before
_SAME = 0.3  # Å: an end that moves no more than this is the same on both surfaces
_LEVEL = 0.01  # eV: so is one with the same bonds and this much higher or lower


def characterise_by_reference(
    molecule: Molecule,
    positions: Positions,
    settings: StepSettings | None = None,
    *,
    hessian: Matrix | None = None,
    known: Sequence[StationaryPoint] = (),
) -> Search[StationaryPoint]:
    """Refine a minimum on the cheap surface, then on the reference, and prove it there.

    Where that leads away on the cheap surface, the reference alone decides: the end of a path may
    be a minimum of the reference only.

    Parameters and errors as for `afir.verification.minima.characterise`, (n, 3) in Å and (3n, 3n)
    in eV/Å²; only the softest modes of the Hessian are computed on the reference (`softest`). If it
    reaches one of the `known` minima, that one is returned without a Hessian calculation.
    """
    limits = settings or StepSettings()
    estimate = model_hessian(molecule, positions) if hessian is None else hessian
    start = Minimum(Outcome.CONVERGED, positions, 0.0, np.zeros_like(positions), estimate)
    try:
        cheap = yield from characterise(molecule, positions, limits, hessian=hessian)
    except NotAMinimum:
        pass  # the reference may still have one
    else:
        if _is_same(molecule, positions, cheap.positions):
            start = replace(start, positions=cheap.positions, hessian=cheap.hessian)
    examined = Agreement(molecule, limits, known)
    gradient_limit = limits.minimum_gradient
    for _ in range(_TRIES):
        try:
            minimum = yield from examined.minimum(start, gradient_limit)
        except KnownError as met:
            return met.point
        if minimum.outcome is not Outcome.CONVERGED:
            raise NotAMinimum(f"the reference has no minimum nearby: {minimum.ending}")
        point = yield from examined.measured(minimum)
        if point.order == 0 and settled(point, minimum):
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

    The two softest modes are computed on the reference. The path is followed on the cheap surface
    plus the difference, with reference calculations at three points of each side, along which the
    energy must fall. The difference learns these points, and the path is followed again, now with
    reference calculations only where the standard deviation of the difference is above 15 meV. It
    ends when a path leads to the same ends as the one before, without a new reference calculation,
    or after four paths. The last path along which the energy falls counts; without one the outcome
    is IRC_FAILED. No path is followed from a saddle point above the `ceiling`, a reference energy
    in eV. If it reaches one of the `known` transition states, the outcome is CONVERGED with that
    point.

    Parameters and result as for `afir.verification.transition_states.confirm`; the ends are those
    of the cheap surface, if it has them too.
    """
    limits = settings or StepSettings()
    found = yield from stage("hessian", measure(molecule, candidate.positions))
    if found.point.order == 0:
        return refuted(Outcome.WRONG_ORDER, found.point)
    highest = np.inf if ceiling is None else ceiling + _ROOM
    examined = Agreement(molecule, limits, known, highest)
    try:
        outcome, point = yield from _converged(examined, found.point, limits, ceiling)
    except KnownError as met:
        return refuted(Outcome.CONVERGED, met.point)
    if outcome is not Outcome.CONVERGED:
        return refuted(outcome, point)
    path: Confirmation | None = None
    looks = 0
    for _ in range(_PATHS):
        followed_now = yield from _followed(molecule, point, examined.difference, limits)
        proven = followed_now.outcome is Outcome.CONFIRMED
        if path is not None and proven and _same_ends(molecule, path, followed_now):
            path = followed_now
            break
        falls, asked = yield from _falls(followed_now, examined.difference, again=looks > 0)
        looks += asked
        if falls and proven:
            path = followed_now
        if not asked:
            break  # nothing was learned: it would be followed to the same ends
    if path is None:
        return replace(refuted(Outcome.IRC_FAILED, point), checked_at=looks)
    ends = []
    for end in path.ends:
        ends.append((yield from _on_cheap(molecule, end, limits)))
    return replace(path, ends=tuple(ends), checked_at=looks)


def _converged(
    examined: Agreement,
    start: StationaryPoint,
    limits: StepSettings,
    ceiling: float | None,
) -> Search[tuple[Outcome, StationaryPoint]]:
    """The nearest saddle point of the reference, and CONVERGED or why it failed."""
    point = start
    x = point.positions
    gradient_limit = _LOOSER * limits.saddle_gradient
    for _ in range(_TRIES):
        guess = Saddle(Outcome.CONVERGED, x, point.energy, np.zeros_like(x), point.hessian)
        top = yield from examined.saddle(guess, point.mode, gradient_limit)
        if top.outcome is Outcome.DISSOCIATED:
            return top.outcome, point
        if top.outcome not in (Outcome.CONVERGED, Outcome.OUTSIDE_WINDOW):
            return Outcome.NOT_STATIONARY, point
        if ceiling is not None and top.energy > ceiling + _ROOM:
            return Outcome.OUTSIDE_WINDOW, replace(point, energy=top.energy)
        point = yield from examined.measured(top)
        if point.order == 0:
            return Outcome.WRONG_ORDER, point
        x = point.positions
        if point.order > 1:
            vectors = np.linalg.eigh(point.hessian)[1]
            x = x + _ASIDE * vectors[:, 1].reshape(x.shape)
        elif not settled(point, top):
            gradient_limit *= _TIGHTER
        elif -point.wavenumbers[0] < limits.softest_imaginary:
            return Outcome.TOO_SOFT, point
        elif ceiling is not None and point.energy > ceiling:
            return Outcome.OUTSIDE_WINDOW, point
        else:
            return Outcome.CONVERGED, point
    return Outcome.WRONG_ORDER if point.order != 1 else Outcome.NOT_STATIONARY, point


def _followed(
    molecule: Molecule, point: StationaryPoint, difference: Difference, limits: StepSettings
) -> Search[Confirmation]:
    """The path on the cheap surface plus the difference, with the top at its energy there.

    The reference energy of the top would hide the small initial fall of the energy.
    """
    level = yield from difference.energy(point.positions)
    start = replace(point, energy=level)
    path = yield from difference.added(followed(molecule, start, limits))
    shift = point.energy - level
    ends = tuple(replace(end, energy=end.energy + shift) for end in path.ends)
    return replace(path, point=point, ends=ends, irc_energies=path.irc_energies + shift)


def _falls(found: Confirmation, difference: Difference, *, again: bool) -> Search[tuple[bool, int]]:
    """Whether the reference energy falls along a path, and the number of reference calculations.

    The difference learns these. If a path is tested `again`, the reference is evaluated only where
    the difference is uncertain. Points where it fails are left out, if others of that side remain.
    """
    path, energies = found.irc_positions, found.irc_energies
    middle = int(np.argmax(energies))
    back = [middle - k for k in _looked_at(path[middle::-1])]
    forth = [middle + k for k in _looked_at(path[middle:])]
    # Before the difference learns anything here, as for the energies of the path.
    sure = {k for k in (*back, *forth) if again and difference.deviation(path[k]) < _SURE}
    falls, count = True, 0
    for side in (back, forth):
        last, heard = found.point.energy, 0
        for index in side:
            energy = float(energies[index])
            if index not in sure:
                try:
                    truth = yield from difference.ask(path[index], "irc")
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
        alike = _bonded_alike(molecule, one.positions, other.positions)
        # Weakly bound molecules may have any orientation, at the same energy.
        level = one.dissociated or abs(one.energy - other.energy) < _LEVEL
        return (alike and level) or displacement(one.positions, other.positions) < _SAME

    return all(same(one, other) for one, other in zip(first.ends, second.ends, strict=True))


def _is_same(molecule: Molecule, before: Positions, after: Positions) -> bool:
    """Whether a relaxation led to the same structure.

    Loosely bound molecules may turn far without becoming another structure.
    """
    if displacement(before, after) < _SAME:
        return True
    return len(components(molecule, after)) > 1 and _bonded_alike(molecule, before, after)


def _bonded_alike(molecule: Molecule, first: Positions, second: Positions) -> bool:
    """Whether two geometries have the same bonds."""
    return bonds_changed(bonds(molecule, first), bonds(molecule, second)) == 0


def _looked_at(side: Positions) -> list[int]:
    """The points (m, n, 3) of one side of a path for reference calculations, from the top down."""
    steps = np.linalg.norm(np.diff(side, axis=0), axis=(1, 2))
    way = np.concatenate([[0.0], np.cumsum(steps)])
    return sorted({int(np.argmin(np.abs(way - share * way[-1]))) for share in _LOOKS} - {0})


def _on_cheap(molecule: Molecule, end: Minimum, limits: StepSettings) -> Search[Minimum]:
    """The end of a path on the cheap surface alone, for recognition of known structures."""
    if end.outcome is not Outcome.CONVERGED:
        return end
    search = minimise(molecule, end.positions, limits, hessian=end.hessian)
    try:
        found = yield from stage("refine", search)
    except SurfaceError:
        return end
    same = displacement(end.positions, found.positions) < _SAME
    return found if same and found.outcome is Outcome.CONVERGED else end
