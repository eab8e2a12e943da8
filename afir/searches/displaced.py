"""Saddle searches that begin close to a minimum: up a normal mode, or from a random displacement.

Following an eigenvector uphill from a minimum finds internal rotations, inversions and those
rearrangements that begin along a mode (10.1063/1.442352). A random displacement
leads to what no mode and no push leads to, as long as the molecule is small.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from afir.bonds import distances
from afir.displacements import UPHILL, Displacement, Uphill, motion
from afir.driver import Search, stage
from afir.molecule import Molecule, Positions
from afir.searches.saddle import Saddle, saddle
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, Outcome, StationaryPoint, TrialResult

# Å: root mean square displacements of an atom, in turn. Smaller ones lead to transition states
# that are known, larger ones astray; on HNCO, HONO and NH2OH 0.3, 0.6, 0.9 and two mixtures were
# tried.
_KICKS = (0.6, 0.9)
_KICK_STEPS = 50  # gradients of its search: another displacement is cheaper than a long one
_CLASH = 0.55  # of the sum of the radii: atoms that come nearer are drawn anew
_DRAWS = 100


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
        Which mode to climb, or that the displacement is random.
    settings
        Limits of the saddle search.
    ceiling
        Absolute energy in eV above which a candidate is ignored.
    rng
        For the random displacement.

    Returns
    -------
    TrialResult
        With at most one candidate, still to be confirmed, and no minima.

    Raises
    ------
    SurfaceError
        When the surface fails where the search begins.
    """
    limits = settings or StepSettings()
    search: Search[Saddle]
    if isinstance(displacement, Uphill):
        search = _up(molecule, start, displacement, limits)
        source = "mode"
    else:
        size = _KICKS[displacement.number % len(_KICKS)]
        limits = replace(limits, saddle_steps=min(limits.saddle_steps, _KICK_STEPS))
        search = saddle(molecule, _kicked(molecule, start.positions, size, rng), limits)
        source = "kick"
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
    """The search from a place a little up a mode, which it follows."""
    mode = motion(molecule, start, uphill)
    guess = start.positions + UPHILL * mode
    return saddle(molecule, guess, settings, direction=mode, hessian=start.hessian)


def _kicked(molecule: Molecule, x: Positions, size: float, rng: np.random.Generator) -> Positions:
    """A structure displaced at random by `size` Å (rms), without clashes if that can be."""
    radii = molecule.radii
    nearest = _CLASH * (radii[:, None] + radii[None])
    np.fill_diagonal(nearest, 0.0)
    for _ in range(_DRAWS):
        there: Positions = x + size * rng.normal(size=x.shape) / np.sqrt(3.0)
        if not (distances(there) < nearest).any():
            break
    return there
