"""One trial: from an equilibrium structure and a push to transition state candidates.

push → minimum behind it → relaxed path → peaks → saddle search. It is independent of the network:
the same trial gives the same result wherever it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from afir.errors import SurfaceError
from afir.geometry.bonds import dissociated
from afir.geometry.superposition import displacement
from afir.methods.afir_path import PushPath, push
from afir.methods.artificial_force import ArtificialForce, ForceTerm
from afir.molecule import Molecule
from afir.pes.driver import Level, Search, stage
from afir.searches.minimum import PathPoint, minimise, settle
from afir.searches.path import Peak, path_hessians, peaks, relax_path
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.searches.surrogate_path import relax_on_surrogate
from afir.stationary import Candidate, Minimum, Outcome, StationaryPoint, TrialResult

SAME_PLACE = 0.3
"""Å: if no atom ends further from its start, the push has fallen back. Chosen, not fitted."""

_PARTED = 2.5  # Å: nine of ten climbs between molecules further apart than this fail
# Chosen, not fitted.
_LONGEST_APART = 0.1  # Å: step of one atom as fragments relax; their Hessian is that of the push
_SLACK = 1.0  # eV: how far a peak may lie above the ceiling and still lead below it


def try_push(
    molecule: Molecule,
    start: StationaryPoint,
    terms: Sequence[ForceTerm],
    settings: StepSettings | None = None,
    *,
    ceiling: float | None = None,
    rng: np.random.Generator,
) -> Search[TrialResult]:
    """Push an equilibrium structure and search the transition states on the way.

    Parameters
    ----------
    molecule
        The molecule.
    start
        A minimum with its exact Hessian.
    terms
        The force.
    settings
        γ_max and all limits.
    ceiling
        Absolute energy in eV above which peaks and candidates are ignored.
    rng
        For the displacement that breaks the symmetry.

    Returns
    -------
    TrialResult
        Candidates are converged saddle searches, still to be confirmed.

    Raises
    ------
    SurfaceError
        When the surface fails at the start structure itself.
    """
    limits = settings or StepSettings()
    path = yield from stage(
        "push",
        push(molecule, start.positions, terms, limits, hessian=start.hessian, rng=rng),
        Level.PATH,
    )
    tail: list[PathPoint] = []
    end: Minimum | None = None
    try:
        end = yield from _settle(molecule, path, limits, tail)
    except SurfaceError:
        tail = []
    if end is None or displacement(start.positions, end.positions) <= SAME_PLACE:
        fallen = partial(_far_end, molecule, path, start)
        found = yield from _climbed(molecule, (), fallen, limits, ceiling)
        return TrialResult(found.outcome, found.candidates, (), False)
    raw = [*path.points, *tail]
    tops = yield from _relaxed(molecule, raw, start, limits)
    unrelaxed = partial(_raw_peaks, molecule, raw, start, limits)
    found = yield from _climbed(molecule, tops, unrelaxed, limits, ceiling)
    return TrialResult(found.outcome, found.candidates, (end,), True, path.gamma)


@dataclass(frozen=True)
class _Climbed:
    """What the climbs from all guesses have found."""

    outcome: Outcome
    candidates: tuple[Candidate, ...]


def _climbed(
    molecule: Molecule,
    relaxed: Sequence[Peak],
    unrelaxed: Callable[[], Sequence[Peak]],
    settings: StepSettings,
    ceiling: float | None,
) -> Search[_Climbed]:
    """Saddle searches from the peaks of the relaxed path, else from those of the raw one.

    Peaks between separated molecules are used only if there are no others. The raw path is for
    peaks that the relaxed one has lost, not for those known to be too high.
    """
    # The Hessians of the raw path take time and are mostly not needed.
    known: Callable[[], Sequence[Peak]] = partial(tuple, relaxed)
    raw: Callable[[], Sequence[Peak]] = cache(unrelaxed)
    candidates: list[Candidate] = []
    missed = outside = False
    for parted, source, listed in (
        (False, "path", known),
        (False, "raw", raw),
        (True, "path", known),
        (True, "raw", raw),
    ):
        chosen = [g for g in listed() if dissociated(molecule, g.positions, _PARTED) is parted]
        for top in _highest(chosen, settings.peaks):
            if ceiling is not None and top.energy > ceiling + _SLACK:
                outside = True
                continue
            found = yield from _climb(molecule, top, settings, source)
            if found is None:
                missed = True
            elif ceiling is not None and found.energy > ceiling:
                outside = True
            else:
                candidates.append(found)
        if candidates:
            return _Climbed(Outcome.FOUND, tuple(candidates))
        if outside and not missed:
            return _Climbed(Outcome.OUTSIDE_WINDOW, ())
    outcome = Outcome.NO_SADDLE if missed else Outcome.NO_BARRIER
    return _Climbed(outcome, ())


def _highest(guesses: Sequence[Peak], count: int) -> list[Peak]:
    """The `count` highest peaks, in the order of the path."""
    ranked = sorted(range(len(guesses)), key=lambda index: -guesses[index].energy)[:count]
    return [guesses[index] for index in sorted(ranked)]


def _settle(
    molecule: Molecule,
    path: PushPath,
    settings: StepSettings,
    tail: list[PathPoint],
) -> Search[Minimum | None]:
    """The minimum behind a push; separated fragments are relaxed where they are."""
    if path.end.outcome is Outcome.SURFACE_FAILED:
        return None
    # The Hessian of the push, with the force: it was kept positive definite.
    estimate = path.end.hessian
    if path.end.outcome is Outcome.DISSOCIATED:
        apart = yield from stage(
            "minimum",
            settle(
                molecule,
                path.end.positions,
                replace(settings, max_step=_LONGEST_APART),
                hessian=estimate,
                trace=tail,
            ),
        )
        return apart
    found = yield from stage(
        "minimum",
        minimise(molecule, path.end.positions, settings, hessian=estimate, trace=tail),
    )
    return found


def _relaxed(
    molecule: Molecule, raw: Sequence[PathPoint], start: StationaryPoint, settings: StepSettings
) -> Search[Sequence[Peak]]:
    """The peaks of the relaxed path; none if the surface fails on it."""
    relaxing = (
        relax_on_surrogate(molecule, raw, settings)
        if settings.surrogate
        else relax_path(molecule, raw, start.hessian, settings)
    )
    try:
        tops = yield from stage("path", relaxing, Level.PATH)
    except SurfaceError:
        return ()
    return tops


def _raw_peaks(
    molecule: Molecule, raw: Sequence[PathPoint], start: StationaryPoint, settings: StepSettings
) -> Sequence[Peak]:
    """The peaks of the unrelaxed path."""
    return peaks(raw, path_hessians(molecule, raw, start.hessian), settings.peak_height)


def _far_end(molecule: Molecule, path: PushPath, start: StationaryPoint) -> Sequence[Peak]:
    """The far end of a push that fell back, to climb against the force."""
    last = path.points[-1]
    hessian = path_hessians(molecule, path.points, start.hessian)[-1]
    _, slope = ArtificialForce(molecule, path.terms, path.gamma)(last.positions)
    return (Peak(last.positions, -slope / np.linalg.norm(slope), last.energy, hessian),)


def _climb(
    molecule: Molecule, top: Peak, settings: StepSettings, source: str
) -> Search[Candidate | None]:
    """A saddle search from a peak; None if it found no saddle point."""
    try:
        found = yield from stage(
            "saddle",
            saddle(molecule, top.positions, settings, direction=top.tangent, hessian=top.hessian),
        )
    except SurfaceError:
        return None
    if found.outcome is not Outcome.CONVERGED:
        return None
    return Candidate(found.positions, found.energy, found.hessian, source)
