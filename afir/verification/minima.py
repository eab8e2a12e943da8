"""From a rough minimum to a proven equilibrium structure."""

from __future__ import annotations

from dataclasses import replace

from afir.errors import SurfaceError
from afir.hessians.modes import Matrix
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search, stage
from afir.searches.hessian import arrived, measure
from afir.searches.minimum import minimise
from afir.searches.settings import StepSettings
from afir.stationary import Outcome, StationaryPoint

# Chosen, not fitted.
_TRIES = 4  # minimisations with their Hessians
_ASIDE = 0.3  # Å: displacement (norm) along the mode off a saddle point
_TIGHTER = 0.03  # of the gradient limit, where the surface is flat


class NotAMinimum(SurfaceError):  # noqa: N818 - it names the outcome, as StopIteration does
    """No equilibrium structure was found near the given one; the message gives the reason."""


def characterise(
    molecule: Molecule,
    positions: Positions,
    settings: StepSettings | None = None,
    *,
    hessian: Matrix | None = None,
) -> Search[StationaryPoint]:
    """Minimise tightly and prove by an exact Hessian that it is a minimum.

    A saddle point is left downhill along its imaginary mode and minimised again; where the
    surface is flat, with a lower limit of the gradient.

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
    left = False  # a saddle point, before

    def settled(point: StationaryPoint, gradient: Positions) -> bool:
        close = point.gradient_max <= 2.0 * limits.minimum_gradient
        return point.order == 0 and close and arrived(point, gradient)

    for _ in range(_TRIES):
        minimum = yield from stage("minimum", minimise(molecule, x, limits, hessian=estimate))
        if minimum.outcome is not Outcome.CONVERGED:
            raise NotAMinimum(f"the structure has no minimum nearby: {minimum.ending}")
        found = yield from stage("hessian", measure(molecule, minimum.positions, settled))
        point = found.point
        if found.whole and settled(point, found.gradient):
            return point
        x, estimate = point.positions, point.hessian
        flat = point.order == 0 or left
        if point.order > 0:
            left = True
            # Far enough for a gradient: close to a flat saddle point there is hardly any.
            uphill = float((found.gradient * point.mode).sum()) > 0.0
            x = x + (-_ASIDE if uphill else _ASIDE) * point.mode
        if flat and point.gradient_max <= 2.0 * limits.minimum_gradient:
            limits = replace(limits, minimum_gradient=_TIGHTER * limits.minimum_gradient)
    raise NotAMinimum(f"every stationary point nearby is a saddle or a slope, after {_TRIES} tries")
