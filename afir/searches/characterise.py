"""From a rough minimum to a proven equilibrium structure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from afir.driver import Search, stage
from afir.errors import SurfaceError
from afir.molecule import Molecule, Positions
from afir.quadratic import Matrix, longest, vibrations
from afir.searches.hessian import hessian as exact_hessian
from afir.searches.minimum import minimise
from afir.searches.settings import StepSettings
from afir.stationary import Minimum, Outcome, StationaryPoint

_TRIES = 4
_FLATTEST = 1e-4  # eV/Å²: curvatures below this are as good as none
_FARTHEST = 0.05  # Å: how far the minimum of the quadratic model may be
_GAIN = 1e-5  # eV: and how much lower


class NotAMinimum(SurfaceError):  # noqa: N818 - it names the outcome, as StopIteration does
    """No equilibrium structure was found near the given one; the message says why."""


def characterise(
    molecule: Molecule,
    positions: Positions,
    settings: StepSettings | None = None,
    *,
    hessian: Matrix | None = None,
) -> Search[StationaryPoint]:
    """Minimise tightly and prove by an exact Hessian that it is a minimum.

    A saddle point is left downhill along its imaginary mode and minimised again.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å.
    settings
        Limits of the minimisation.
    hessian
        (3n, 3n) estimate in eV/Å².

    Raises
    ------
    NotAMinimum
        When the minimisation does not converge, the fragments go apart, or every point
        reached is a saddle.
    """
    limits = settings or StepSettings()
    estimate = hessian
    x = positions
    for _ in range(_TRIES):
        minimum = yield from stage("minimum", minimise(molecule, x, limits, hessian=estimate))
        if minimum.outcome is not Outcome.CONVERGED:
            raise NotAMinimum(f"the structure has no minimum nearby: {minimum.outcome.value}")
        point = yield from stage("hessian", exact_hessian(molecule, minimum.positions))
        x, estimate = point.positions, point.hessian
        if point.order > 0:
            x = x + 0.1 * point.mode
        elif point.gradient_max > 2.0 * limits.minimum_gradient:
            continue  # another solution of the SCF: go on from it
        elif _arrived(point, minimum):
            return point
        else:
            limits = replace(limits, minimum_gradient=0.03 * limits.minimum_gradient)
    raise NotAMinimum(f"every stationary point nearby is a saddle or a slope, after {_TRIES} tries")


def _arrived(point: StationaryPoint, minimum: Minimum) -> bool:
    """Whether the model's own minimum is where the point is.

    On a flat surface a small gradient proves nothing: the Newton step tells how far it still is.
    """
    values, vectors = vibrations(point.hessian, point.positions)
    slopes = vectors.T @ minimum.gradient.ravel()
    amounts = slopes / np.maximum(np.abs(values), _FLATTEST)
    gain = 0.5 * float(np.abs(slopes * amounts).sum())
    return longest(vectors @ amounts) < _FARTHEST and gain < _GAIN
