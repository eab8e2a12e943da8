"""Searches that start close to a minimum: up a mode, half way through an inversion, or at random.

Following an eigenvector uphill from a minimum finds internal rotations and rearrangements that
begin along a mode (10.1063/1.442352); inversions have a known transition geometry. For small
molecules random geometries lead to structures that no mode and no push reaches.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from afir.methods.arrangements import arrangement, hydrogen_moved, shaken
from afir.methods.displacements import UPHILL, Displacement, Inversion, Uphill, motion
from afir.methods.inversions import inverted
from afir.molecule import Molecule
from afir.pes.driver import Search, stage
from afir.searches.minimum import minimise
from afir.searches.saddle import Saddle, saddle
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, Outcome, StationaryPoint, TrialResult

# A displacement (Å, root mean square of an atom), a hydrogen moved and a random arrangement of all
# atoms reach different transition states for the same gradients; relaxed, an arrangement leads to
# minima whose barriers are too high for a push. 0.3 to 1.2 Å were tried on H2CO, H2O2, HNCO, HONO
# and NH2OH.
_SHAKE = 0.6
# Gradients of one search: a new search costs less than a long one. Of 340 climbs on five molecules
# those of 70 gradients and more found nothing; arrangements of ten atoms take 80 on average.
_KICK_STEPS, _CLIMB_STEPS, _RELAX_STEPS = 50, 70, 150


def try_displacement(
    molecule: Molecule,
    start: StationaryPoint,
    displacement: Displacement,
    settings: StepSettings | None = None,
    *,
    ceiling: float | None = None,
    rng: np.random.Generator,
) -> Search[TrialResult]:
    """Search a saddle point close to an equilibrium structure.

    Parameters
    ----------
    molecule
        The molecule.
    start
        A minimum with its exact Hessian.
    displacement
        Which mode to climb, which atom to invert, or that the geometry is random.
    settings
        Limits of the saddle search.
    ceiling
        Absolute energy in eV above which a candidate is ignored.
    rng
        For random geometries.

    Returns
    -------
    TrialResult
        With one candidate at most, still to be confirmed, or one minimum.

    Raises
    ------
    SurfaceError
        When the surface fails where the search begins.
    """
    limits = settings or StepSettings()
    if isinstance(displacement, Uphill | Inversion):
        limits = replace(limits, saddle_steps=min(limits.saddle_steps, _CLIMB_STEPS))
        if isinstance(displacement, Uphill):
            return (yield from _found(_up(molecule, start, displacement, limits), "mode", ceiling))
        guess, way = inverted(molecule, start.positions, displacement)
        search = saddle(molecule, guess, limits, direction=way)
        return (yield from _found(search, "inversion", ceiling))
    if displacement.relaxed:
        limits = replace(limits, minimum_steps=min(limits.minimum_steps, _RELAX_STEPS))
        relaxing = minimise(molecule, arrangement(molecule, rng), limits)
        end = yield from stage("minimum", relaxing)
        # Dissociated random fragments were never bonded: they are no channel of the structure.
        minima = (end,) if end.outcome is Outcome.CONVERGED and not end.dissociated else ()
        return TrialResult(Outcome.RELAXED, (), minima, False)
    if displacement.arranged:
        guess = arrangement(molecule, rng)
    elif displacement.moved:
        guess = hydrogen_moved(molecule, start.positions, rng)
    else:
        guess = shaken(molecule, start.positions, _SHAKE, rng)
    limits = replace(limits, saddle_steps=min(limits.saddle_steps, _KICK_STEPS))
    return (yield from _found(saddle(molecule, guess, limits), "kick", ceiling))


def _found(search: Search[Saddle], source: str, ceiling: float | None) -> Search[TrialResult]:
    """The result of a saddle search."""
    found = yield from stage("saddle", search)
    if found.outcome is not Outcome.CONVERGED:
        return TrialResult(Outcome.NO_SADDLE, (), (), False)
    if ceiling is not None and found.energy > ceiling:
        return TrialResult(Outcome.OUTSIDE_WINDOW, (), (), False)
    candidate = Candidate(found.positions, found.energy, found.hessian, source)
    return TrialResult(Outcome.FOUND, (candidate,), (), False)


def _up(
    molecule: Molecule, start: StationaryPoint, uphill: Uphill, settings: StepSettings
) -> Search[Saddle]:
    """The saddle search from a small displacement up a mode, which it follows."""
    mode = motion(molecule, start, uphill)
    guess = start.positions + UPHILL * mode
    return saddle(molecule, guess, settings, direction=mode, hessian=start.hessian)
