"""The end of a reaction path from its foot: a minimum, proven by its softest modes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from afir.geometry.bonds import components, distances
from afir.geometry.superposition import displacement, rigid_step
from afir.hessians.steps import longest
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search, stage
from afir.searches.hessian import NOISE
from afir.searches.known import KnownStructures
from afir.searches.lqa import Line
from afir.searches.minimum import PathPoint, minimise, settle
from afir.searches.partial_hessian import Loosest, loosest
from afir.searches.settings import StepSettings
from afir.stationary import Minimum, Outcome
from afir.units import WAVENUMBER

# Chosen, not fitted; half and twice: benchmarks/RESULTS.md, "How much the numbers matter".
_ROUNDS = 6  # tests of an end
_TIGHTER = 0.2  # of the gradient limit, where the surface is flat
_FAR = 0.03  # Å: no atom is further from the minimum when an end has arrived
_GAIN = 5e-4  # eV: and the largest gain left
_ASIDE = 5e-3  # eV: intended fall of the energy beside a ridge
_ASIDE_ATOM = 0.15  # Å: and the largest displacement of one atom
_EQUAL = 1e-4  # eV: both sides of a ridge are alike
_EQUAL_PLACES = 3e-3  # Å: tolerance of the weighted mean distances of mirror images
_SHORTER, _ATTEMPTS = 0.4, 4  # steps aside, each shorter


def finished(
    molecule: Molecule,
    foot: Minimum,
    settings: StepSettings,
    trace: list[PathPoint],
    known: KnownStructures | None = None,
) -> Search[Minimum]:
    """The end of a path from its foot.

    A path that keeps a symmetry may run into a saddle point, and one on a flat surface may stop
    short of its minimum. So the softest modes of the end are computed. Along a concave one both
    sides are tried and the lower is followed down; if the minimum is still some distance away, the
    minimisation continues with a tighter limit.

    Parameters
    ----------
    molecule
        The molecule.
    foot
        CONVERGED, or DISSOCIATED where fragments have gone apart.
    settings
        Limits of the minimisations.
    trace
        Receives the points of the way.
    known
        Minima that are recognised: at one of them nothing is left to prove.

    Returns
    -------
    Minimum
        With the `ridges` met on the way.
    """
    end = yield from _lower(molecule, foot, foot.positions, settings, trace, known)
    ridges: list[float] = []
    limits = settings
    for _ in range(_ROUNDS):
        if end.outcome is not Outcome.CONVERGED or _is_known(known, end):
            break
        soft = yield from stage(
            "irc ends", loosest(molecule, end.positions, end.gradient, end.hessian)
        )
        measured = replace(end, hessian=soft.hessian)
        if soft.wavenumber < -NOISE:
            beside = yield from _beside(molecule, end, soft)
            if beside is None:
                break
            ridges.append(soft.wavenumber)
            limits = settings
            end = yield from _lower(molecule, measured, beside, limits, trace, known)
            continue
        if _arrived(molecule, measured):
            return replace(measured, ridges=tuple(ridges))
        limits = replace(limits, minimum_gradient=_TIGHTER * limits.minimum_gradient)
        lower = yield from _lower(molecule, measured, end.positions, limits, trace, known)
        end, is_last = _better(end, lower, settings.minimum_gradient)
        if is_last:
            break
    return replace(end, ridges=tuple(ridges))


def _lower(
    molecule: Molecule,
    last: Minimum,
    x: Positions,
    settings: StepSettings,
    trace: list[PathPoint],
    known: KnownStructures | None,
) -> Search[Minimum]:
    """The minimum below a point, or the relaxed fragments of a dissociation."""
    limits = settings.at_ends()
    if last.outcome is Outcome.DISSOCIATED:
        search = settle(molecule, x, limits, hessian=last.hessian, trace=trace)
    else:
        search = minimise(molecule, x, limits, hessian=last.hessian, trace=trace, known=known)
    found = yield from stage("irc ends", search)
    return found


def _is_known(known: KnownStructures | None, end: Minimum) -> bool:
    """Whether an end is a known minimum, where the search for it ended."""
    return known is not None and known.minimum_at(end.positions, end.energy) is not None


def _better(end: Minimum, lower: Minimum, limit: float) -> tuple[Minimum, bool]:
    """The better of an end and its tighter minimisation, and whether no other would be better.

    `limit` is that of the gradient in eV/Å.
    """
    if lower.outcome is Outcome.STEPS and np.abs(lower.gradient).max() < limit:
        return replace(lower, outcome=Outcome.CONVERGED), True
    if lower.outcome is Outcome.SURFACE_FAILED or lower.energy > end.energy:
        return end, True
    return lower, _are_close(end, lower)


def _are_close(end: Minimum, lower: Minimum) -> bool:
    """Whether a tighter minimisation hardly moved an end."""
    near = displacement(end.positions, lower.positions) < 3.0 * _FAR
    return near and end.energy - lower.energy < _GAIN


def _arrived(molecule: Molecule, end: Minimum) -> bool:
    """Whether the minimum of the model is where the end is."""
    root = np.repeat(np.sqrt(molecule.masses), 3)
    line = Line.of(end.hessian, end.gradient.ravel(), end.positions, root)
    away, gain = line.minimum((NOISE / WAVENUMBER) ** 2)
    return gain < _GAIN and longest(away) < _FAR


def _beside(molecule: Molecule, end: Minimum, soft: Loosest) -> Search[Positions | None]:
    """A point beside a ridge on its lower side; None if neither side is lower.

    Of two equivalent sides the order of the atoms decides, which does not depend on the
    orientation.
    """
    x = end.positions
    size = np.sqrt(2.0 * _ASIDE) / (abs(soft.wavenumber) / WAVENUMBER)
    size = min(size, _ASIDE_ATOM / longest(soft.mode.ravel()))
    parts = components(molecule, x)
    for _ in range(_ATTEMPTS):
        sides = []
        for sign in (1.0, -1.0):
            step = sign * size * soft.mode
            trial = rigid_step(x, step, parts) if len(parts) > 1 else x + step
            evaluation = yield trial[None]
            sides.append((float(evaluation.energies[0]), trial))
        first, second = sides
        alike = abs(first[0] - second[0]) < _EQUAL
        lower = _comes_first(first[1], second[1]) if alike else first[0] < second[0]
        energy, trial = first if lower else second
        if energy < end.energy:
            return trial
        size *= _SHORTER
    return None


def _comes_first(first: Positions, second: Positions) -> bool:
    """Whether the order of the atoms selects the first of two equivalent structures.

    By their distances or, for mirror images, by their handedness.
    """
    number = np.arange(1.0, len(first) + 1.0)
    pairs = np.outer(number, number**2)
    away = float((pairs * (distances(first) - distances(second))).sum() / pairs.sum())
    if abs(away) > _EQUAL_PLACES:
        return away > 0.0
    weights = np.stack([number, number**2, number**3])
    weights /= weights.sum(axis=1, keepdims=True)
    hands = [np.linalg.det(weights @ (x - x.mean(axis=0))) for x in (first, second)]
    return bool(hands[0] > hands[1])
