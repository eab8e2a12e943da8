"""SC-AFIR: from an equilibrium structure and a push to transition state candidates.

push → minimum behind it → relaxed path → peaks → saddle search. It is independent of the network:
the same trial gives the same result wherever it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from afir.errors import InputError, SurfaceError
from afir.geometry.bonds import dissociated
from afir.geometry.superposition import displacement
from afir.hessians.modes import Matrix
from afir.methods.afir_path import PushPath, push
from afir.methods.artificial_force import ArtificialForce, ForceTerm
from afir.methods.base import Known
from afir.methods.pushes import pushes
from afir.molecule import Molecule, Positions
from afir.options import check_whole
from afir.pes.driver import Level, Search, stage
from afir.searches.known import KnownStructures
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


@dataclass(frozen=True)
class Passage:
    """Where a push led, and the guesses of saddle points on the way.

    Attributes
    ----------
    path
        The push.
    tail
        The relaxation of its end without the force, from the end on; empty if that failed.
    end
        The minimum behind the push, or its separated fragments relaxed where they are; None if the
        surface failed on the way there.
    failure
        What the surface said then.
    crossed
        Whether the end is another structure than the start, see `SAME_PLACE`.
    relaxed
        Peaks of the relaxed path. A path is only relaxed if it leads to another structure.
    chain
        The relaxed path; empty if there is none.
    """

    path: PushPath
    tail: tuple[PathPoint, ...]
    end: Minimum | None
    failure: str
    crossed: bool
    relaxed: tuple[Peak, ...]
    chain: tuple[PathPoint, ...]
    _fallback: Callable[[], tuple[Peak, ...]]

    @cached_property
    def unrelaxed(self) -> tuple[Peak, ...]:
        """Peaks of the path as it was pushed; of a push that fell back its far end."""
        return self._fallback()


def pass_over(
    molecule: Molecule,
    start: Positions,
    hessian: Matrix,
    terms: Sequence[ForceTerm],
    settings: StepSettings | None = None,
    *,
    rng: np.random.Generator,
    known: KnownStructures | None = None,
) -> Search[Passage]:
    """Push a structure, relax what is behind, and relax the path between.

    The stages are ``"push"``, ``"minimum"`` and ``"path"``.

    Parameters
    ----------
    molecule
        The molecule.
    start
        (n, 3) in Å.
    hessian
        (3n, 3n) at the start in eV/Å², exact or estimated.
    terms
        The force.
    settings
        γ_max and all limits.
    rng
        For the displacement that breaks the symmetry.
    known
        Minima that are recognised behind the push (`StepSettings.recognise_behind`).

    Raises
    ------
    SurfaceError
        When the surface fails at the start structure itself.
    """
    limits = settings or StepSettings()
    path = yield from stage(
        "push", push(molecule, start, terms, limits, hessian=hessian, rng=rng), Level.PATH
    )
    tail: list[PathPoint] = []
    end: Minimum | None = None
    failure = path.end.error
    try:
        end = yield from _settle(molecule, path, limits, tail, known)
    except SurfaceError as error:
        tail, failure = [], str(error)
    crossed = end is not None and displacement(start, end.positions) > SAME_PLACE
    raw = [*path.points, *tail] if crossed else list(path.points)
    chain: list[PathPoint] = []
    tops = (yield from _peaks(molecule, raw, hessian, limits, chain)) if crossed else ()
    unrelaxed = partial(_fallback, molecule, path, raw, hessian, limits, crossed)
    return Passage(path, tuple(tail), end, failure, crossed, tops, tuple(chain), unrelaxed)


def _peaks(
    molecule: Molecule,
    raw: Sequence[PathPoint],
    hessian: Matrix,
    limits: StepSettings,
    chain: list[PathPoint],
) -> Search[tuple[Peak, ...]]:
    """The peaks of the relaxed path, whose points `chain` receives; none if the surface fails."""
    relaxing = (
        relax_on_surrogate(molecule, raw, limits, trace=chain)
        if limits.surrogate
        else relax_path(molecule, raw, hessian, limits, trace=chain)
    )
    try:
        tops = yield from stage("path", relaxing, Level.PATH)
    except SurfaceError:
        return ()
    return tops


@dataclass(frozen=True)
class ScAfir:
    """Pushes and pulls fragments of a structure, one force or two at once.

    Parameters
    ----------
    terms
        Maximum number of forces that act together: 1 or 2.
    cap
        Maximum number of pairs of forces on a structure, transfers apart.
    unlike
        Whether a push and a pull without a common atom are combined, too.

    Raises
    ------
    InputError
        For an invalid value.
    """

    terms: int = 2
    cap: int = 64
    unlike: bool = False

    def __post_init__(self) -> None:
        if self.terms not in (1, 2) or isinstance(self.terms, bool):
            raise InputError(f"`terms` must be 1 or 2, got {self.terms!r}")
        check_whole("cap", self.cap)
        if not isinstance(self.unlike, bool):
            raise InputError(f"`unlike` must be true or false, got {self.unlike!r}")

    def offers(self, known: Known, rng: np.random.Generator) -> Iterator[Mapping[str, Any]]:
        """One for each of the `afir.methods.pushes.pushes`.

        Between several target atoms, which are meant to react, pairs of forces are late.
        """
        listed = pushes(
            known.molecule,
            known.start.positions,
            targets=known.targets,
            terms=self.terms,
            cap=self.cap,
            unlike=self.unlike,
            rng=rng,
        )
        several = len(known.targets or ()) > 1
        plain = {term: term.plain() for terms in listed for term in terms}  # pairs share them
        for terms in listed:
            data: dict[str, Any] = {"forces": [plain[term] for term in terms]}
            yield {**data, "late": True} if several and len(terms) > 1 else data

    def search(
        self,
        molecule: Molecule,
        start: StationaryPoint,
        data: Mapping[str, Any],
        step: StepSettings,
        *,
        ceiling: float | None,
        rng: np.random.Generator,
        known: KnownStructures | None = None,
    ) -> Search[TrialResult]:
        """The search of `try_push`."""
        terms = [ForceTerm.from_plain(force) for force in data["forces"]]
        return try_push(molecule, start, terms, step, ceiling=ceiling, rng=rng, known=known)


def try_push(
    molecule: Molecule,
    start: StationaryPoint,
    terms: Sequence[ForceTerm],
    settings: StepSettings | None = None,
    *,
    ceiling: float | None = None,
    rng: np.random.Generator,
    known: KnownStructures | None = None,
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
    known
        Minima and saddle points that are recognised, so that they are not searched again; the
        candidates that are found on the way are added.

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
    if known is None:
        known = KnownStructures(molecule)
    over = yield from pass_over(
        molecule, start.positions, start.hessian, terms, limits, rng=rng, known=known
    )
    climbed = yield from _climbs(molecule, over, limits, ceiling, known)
    minima = (over.end,) if over.end is not None and over.crossed else ()
    if climbed.candidates:
        outcome = Outcome.FOUND
    elif climbed.missed:
        outcome = Outcome.NO_SADDLE
    elif climbed.outside:
        outcome = Outcome.OUTSIDE_WINDOW
    else:
        outcome = Outcome.NO_BARRIER
    gamma = over.path.gamma if over.crossed else 0.0
    return TrialResult(outcome, climbed.candidates, minima, over.crossed, gamma)


@dataclass(frozen=True)
class _Climbs:
    """The candidates, and whether a climb failed or led above the ceiling."""

    candidates: tuple[Candidate, ...]
    missed: bool
    outside: bool


def _climbs(
    molecule: Molecule,
    over: Passage,
    limits: StepSettings,
    ceiling: float | None,
    known: KnownStructures,
) -> Search[_Climbs]:
    """Saddle searches from the peaks of a push.

    Peaks between separated molecules are used only if there are no others. The raw path is for
    peaks that the relaxed one has lost, not for those known to be too high. What one climb has
    found is known to the next.
    """
    candidates: list[Candidate] = []
    missed = outside = False
    # Peaks of the unrelaxed path are worked out only if they are needed.
    for parted, source in ((False, "path"), (False, "raw"), (True, "path"), (True, "raw")):
        guesses = over.relaxed if source == "path" else over.unrelaxed
        chosen = [g for g in guesses if dissociated(molecule, g.positions, _PARTED) is parted]
        for top in _highest(chosen, limits.peaks):
            if ceiling is not None and top.energy > ceiling + _SLACK:
                outside = True
                continue
            found = yield from _climb(molecule, top, limits, source, known)
            if found is None:
                missed = True
                continue
            known = known.also(saddles=(found,))
            if ceiling is not None and found.energy > ceiling:
                outside = True
            else:
                candidates.append(found)
        if candidates or (outside and not missed):
            break
    return _Climbs(tuple(candidates), missed, outside)


def _highest(guesses: Sequence[Peak], count: int) -> list[Peak]:
    """The `count` highest peaks, in the order of the path."""
    ranked = sorted(range(len(guesses)), key=lambda index: -guesses[index].energy)[:count]
    return [guesses[index] for index in sorted(ranked)]


def _settle(
    molecule: Molecule,
    path: PushPath,
    settings: StepSettings,
    tail: list[PathPoint],
    known: KnownStructures | None,
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
    search = minimise(
        molecule,
        path.end.positions,
        settings,
        hessian=estimate,
        trace=tail,
        known=known if settings.recognise_behind else None,
    )
    found = yield from stage("minimum", search)
    return found


def _fallback(
    molecule: Molecule,
    path: PushPath,
    raw: Sequence[PathPoint],
    hessian: Matrix,
    settings: StepSettings,
    crossed: bool,
) -> tuple[Peak, ...]:
    """Guesses from the unrelaxed path: its maximum, or the far end of a push that fell back."""
    hessians = path_hessians(molecule, raw, hessian)
    if crossed:
        return peaks(raw, hessians, settings.peak_height)
    last = raw[-1]
    _, slope = ArtificialForce(molecule, path.terms, path.gamma)(last.positions)
    return (Peak(last.positions, -slope / np.linalg.norm(slope), last.energy, hessian),)


def _climb(
    molecule: Molecule,
    top: Peak,
    settings: StepSettings,
    source: str,
    known: KnownStructures,
) -> Search[Candidate | None]:
    """A saddle search from a peak, unless a known one lies there; None if it found none."""
    met = known.saddle_below(top.positions, top.energy, top.tangent) if settings.recognise else None
    if met is not None:
        return Candidate(met.positions, met.energy, met.hessian, source)
    climb = saddle(
        molecule,
        top.positions,
        settings,
        direction=top.tangent,
        hessian=top.hessian,
        known=known,
    )
    try:
        found = yield from stage("saddle", climb)
    except SurfaceError:
        return None
    if found.outcome is not Outcome.CONVERGED:
        return None
    return Candidate(found.positions, found.energy, found.hessian, source)
