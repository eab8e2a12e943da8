"""One AFIR path: minimisation with an artificial force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from afir.errors import SurfaceError
from afir.geometry.bonds import dissociated, rebonded
from afir.hessians.modes import Matrix
from afir.methods.artificial_force import ArtificialForce, ForceTerm
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.searches.minimum import DescentLimits, PathPoint, descend
from afir.searches.settings import StepSettings
from afir.stationary import Minimum, Outcome


@dataclass(frozen=True)
class PushPath:
    """An AFIR path.

    Attributes
    ----------
    points
        Every accepted point with its energy and gradient without the force, the start first.
    end
        The last point; its Hessian includes the bias.
    terms
        The force terms.
    gamma
        The γ in kJ/mol of the last point.
    rebonded
        Whether bonds were made or broken on the way.
    """

    points: tuple[PathPoint, ...]
    end: Minimum
    terms: tuple[ForceTerm, ...]
    gamma: float
    rebonded: bool


def push(
    molecule: Molecule,
    start: Positions,
    terms: Sequence[ForceTerm],
    settings: StepSettings | None = None,
    *,
    hessian: Matrix,
    rng: np.random.Generator,
) -> Search[PushPath]:
    """Minimise the energy plus the artificial force, with increasing γ until bonds change.

    Parameters
    ----------
    molecule
        The molecule.
    start
        (n, 3) in Å; displaced at random before the push, since the force alone cannot break a
        symmetry.
    terms
        The fragments and directions.
    settings
        γ_max and its ladder, limits.
    hessian
        (3n, 3n) at the start without the force, in eV/Å².
    rng
        For the displacement.

    Raises
    ------
    SurfaceError
        When the surface fails at the start.
    """
    limits = settings or StepSettings()
    x = start + limits.displacement * rng.normal(size=start.shape) / np.sqrt(3.0)
    points: list[PathPoint] = []
    estimate = hessian
    gamma = 0.0
    for fraction in limits.ladder:
        part: list[PathPoint] = []
        force = ArtificialForce(molecule, terms, fraction * limits.gamma)
        try:
            end = yield from _pushed(molecule, x, limits, force, estimate, part)
        except SurfaceError as failure:
            if not points:
                raise
            end = replace(end, outcome=Outcome.SURFACE_FAILED, error=str(failure))
            break
        gamma = fraction * limits.gamma
        points.extend(part if not points else part[1:])
        x, estimate = end.positions, end.hessian
        changed = rebonded(molecule, start, x)
        if changed or end.outcome in (Outcome.DISSOCIATED, Outcome.SURFACE_FAILED):
            break
    return PushPath(tuple(points), end, tuple(terms), gamma, changed)


def _pushed(
    molecule: Molecule,
    x: Positions,
    limits: StepSettings,
    force: ArtificialForce,
    hessian: Matrix,
    trace: list[PathPoint],
) -> Search[Minimum]:
    """The minimum with a force, unless fragments go apart; `trace` receives the way there."""

    def stop(here: Positions) -> Outcome | None:
        gone = dissociated(molecule, here, limits.dissociation)
        return Outcome.DISSOCIATED if gone else None

    descent = DescentLimits(
        limits.push_steps, limits.push_gradient, limits.max_step, limits.trust.minimum
    )
    end = yield from descend(
        molecule, x, descent, hessian=hessian, bias=force, trace=trace, stop=stop
    )
    return end
