"""The proof of a transition state: its order, its IRC and both ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from afir.molecule import Molecule, Positions
from afir.pes.driver import Search, stage
from afir.searches.hessian import Measured, arrived, measure
from afir.searches.irc import irc
from afir.searches.known import KnownStructures
from afir.searches.minimum import PathPoint
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, Confirmation, Outcome, StationaryPoint
from afir.verification.consistency import falls_as_foretold

# Chosen, not fitted.
_TIGHTER = 0.15  # of the gradient limit, where the surface is flat
_DROP = 1e-4  # eV: an end that is no lower than this below the saddle point is the saddle point
_PROVEN = (Outcome.CONVERGED, Outcome.DISSOCIATED)


def confirm(
    molecule: Molecule,
    candidate: Candidate,
    settings: StepSettings | None = None,
    *,
    known: KnownStructures | None = None,
) -> Search[Confirmation]:
    """Prove, or refute, that a converged saddle search found a transition state.

    The exact Hessian must have one negative eigenvalue (a second one is left downhill and the
    search repeated once), the Newton step must be short, the imaginary wavenumber must be more
    than noise, and the energy must fall along the IRC to a minimum or a dissociation on both sides,
    by what the gradients add up to.

    Parameters
    ----------
    molecule
        The molecule.
    candidate
        A converged saddle search.
    settings
        Limits of the IRC and of the end minimisations.
    known
        Minima that are recognised at the ends of the IRC.
    """
    limits = settings or StepSettings()

    def settled(point: StationaryPoint, gradient: Positions) -> bool:
        # A point of order 0 cannot be improved.
        close = point.gradient_max <= limits.saddle_gradient and arrived(point, gradient)
        return point.order == 0 or (point.order == 1 and close)

    found = yield from stage("hessian", measure(molecule, candidate.positions, settled))
    if not settled(found.point, found.gradient):
        if found.point.order == 1 and found.point.gradient_max <= limits.saddle_gradient:
            # The surface is so flat that the saddle point is still some distance away.
            limits = replace(limits, saddle_gradient=_TIGHTER * limits.saddle_gradient)
        found = yield from _improved(molecule, found, limits)
    point = found.point
    if point.order != 1:
        return refuted(Outcome.WRONG_ORDER, point)
    close = point.gradient_max <= 2.0 * limits.saddle_gradient
    if not (found.whole and close and arrived(point, found.gradient)):
        return refuted(Outcome.NOT_STATIONARY, point)
    if -point.wavenumbers[0] < limits.softest_imaginary:
        return refuted(Outcome.TOO_SOFT, point)
    result = yield from followed(molecule, point, limits, known)
    return result


def followed(
    molecule: Molecule,
    point: StationaryPoint,
    limits: StepSettings,
    known: KnownStructures | None = None,
) -> Search[Confirmation]:
    """The IRC both ways from a first-order saddle point, and its verdict."""
    backward, forward = yield from irc(molecule, point, limits, known=known)
    path: list[PathPoint | StationaryPoint] = [
        *reversed(backward.points),
        point,
        *forward.points,
    ]
    proven = all(
        side.monotone and side.end.outcome in _PROVEN and side.end.energy < point.energy - _DROP
        for side in (backward, forward)
    )
    outcome = Outcome.CONFIRMED if proven else Outcome.IRC_FAILED
    top = PathPoint(point.positions, point.energy, np.zeros_like(point.positions))
    if proven and not all(falls_as_foretold([top, *s.points]) for s in (backward, forward)):
        outcome = Outcome.INCONSISTENT
    return Confirmation(
        outcome=outcome,
        point=point,
        ends=(backward.end, forward.end),
        monotone=backward.monotone and forward.monotone,
        irc_positions=np.array([item.positions for item in path]),
        irc_energies=np.array([item.energy for item in path]),
    )


def _improved(molecule: Molecule, known: Measured, settings: StepSettings) -> Search[Measured]:
    """A better converged point of lower order with its whole Hessian, if there is one."""
    point = known.point
    start = point.positions
    if point.order > 1:
        vectors = np.linalg.eigh(point.hessian)[1]
        start = start + 0.05 * vectors[:, 1].reshape(start.shape)
    again = yield from stage(
        "saddle",
        saddle(molecule, start, settings, direction=point.mode, hessian=point.hessian),
    )
    if again.outcome is not Outcome.CONVERGED and (known.whole or point.order != 1):
        return known
    better = again.positions if again.outcome is Outcome.CONVERGED else point.positions
    result = yield from stage("hessian", measure(molecule, better))
    return result


def refuted(outcome: Outcome, point: StationaryPoint) -> Confirmation:
    """The result for a point whose IRC need not be followed."""
    nothing = np.empty((0, *point.positions.shape))
    return Confirmation(outcome, point, (), False, nothing, np.empty(0))
