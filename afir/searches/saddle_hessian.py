"""The Hessian with which a saddle search begins, and the point that it is of.

A model Hessian is corrected by the curvature along its softest modes until the mode to climb is
known; before, the strain of a rough guess is relieved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afir.errors import SurfaceError
from afir.geometry.superposition import internal_motions, internal_part
from afir.hessians.model import bond_tension, loosened, model_hessian, reacting_part
from afir.hessians.modes import Matrix, Vector, vibrations
from afir.hessians.steps import longest
from afir.hessians.updates import agreeing, bfgs
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.pes.surface import Evaluation

# Chosen, not fitted; half and twice: benchmarks/RESULTS.md, "How much the numbers matter".
_PROBE = 0.01  # Å: displacement of a measured curvature, largest atom
_FEWEST_PROBES = 3  # measured curvatures of a new Hessian
_KNOWN = 0.15  # a mode of which less than this lies outside the measured directions is known
_FLOOR = 2.0  # eV/Å²: added to the model, which has no force constants of torsions
_STIFF = 25.0  # eV/Å²: curvatures of the model above this belong to bonds
_STRAIN = 2.0  # eV/Å: gradients along stiff directions below this are not strain
_RELIEF_STEPS, _LONGEST_RELIEF = 2, 0.4  # steps, and Å (Euclidean norm) of one


@dataclass(frozen=True)
class Place:
    """The state of a search: (n, 3) in Å, eV, and the internal gradient (3n,) in eV/Å."""

    x: Positions
    energy: float
    gradient: Vector


def place_of(x: Positions, evaluation: Evaluation) -> Place:
    """The state at a geometry (n, 3) in Å after its evaluation."""
    gradient = internal_part(x, evaluation.gradients[0]).ravel()
    return Place(x, float(evaluation.energies[0]), gradient)


def _springs(molecule: Molecule, x: Positions) -> Matrix:
    """The model Hessian with reacting bonds and torsions, (3n, 3n) in eV/Å²."""
    result: Matrix = model_hessian(molecule, x) + loosened(molecule, x) + _FLOOR * np.eye(x.size)
    return result


def relieved(molecule: Molecule, here: Place, most: int) -> Search[tuple[Place, int]]:
    """A guess without its strain, and the number of gradients used.

    Strained bonds have the steepest concave directions, and a search that climbs them fails. Steps
    along the stiff directions of the model relieve the strain before the mode to climb is chosen,
    except along reacting bonds, which define the guess.
    """
    hessian = _springs(molecule, here.x)
    cost = 0
    while cost < min(most, _RELIEF_STEPS):
        values, vectors = vibrations(hessian, here.x)
        stiff = values > _STIFF
        strain = here.gradient - reacting_part(molecule, here.x, here.gradient)
        slopes = vectors[:, stiff].T @ strain
        if np.abs(slopes).max(initial=0.0) < _STRAIN:
            break
        step: Vector = -vectors[:, stiff] @ (slopes / values[stiff])
        step *= min(1.0, _LONGEST_RELIEF / float(np.linalg.norm(step)))
        trial = here.x + step.reshape(here.x.shape)
        cost += 1
        try:
            evaluation = yield trial[None]
        except SurfaceError:
            break
        there = place_of(trial, evaluation)
        hessian = bfgs(hessian, step, there.gradient - here.gradient)
        here = there
    return here, cost


def probed_hessian(
    molecule: Molecule, here: Place, direction: Vector | None, most: int
) -> Search[tuple[Matrix, int]]:
    """A model Hessian (3n, 3n) in eV/Å² with measured lowest mode, and the gradients used.

    The softest mode of the model is displaced and the model made to agree, until its softest
    mode lies among the directions measured: Davidson's method (10.1016/0021-9991(75)90065-0)
    with the model to choose the directions.

    Parameters
    ----------
    direction
        (3n,) first direction to measure; by default the lowest mode of the model.
    most
        Largest number of measured directions, one gradient each.
    """
    # Strained bonds appear concave across themselves; the model is that of unstrained ones.
    tension = bond_tension(molecule, here.x, here.gradient)
    estimate = _springs(molecule, here.x)
    known = np.empty((here.x.size, 0))
    changes = np.empty((here.x.size, 0))
    cost = 0
    while cost < most:
        values, vectors = vibrations(estimate, here.x)
        if cost == len(values):
            break
        along = vectors[:, 0] if direction is None or cost else direction
        new = along - known @ (known.T @ along)
        outside = float(np.linalg.norm(new))
        if outside < _KNOWN and (values[0] < 0.0 or cost >= _FEWEST_PROBES):
            break
        new /= outside
        change = yield from measured(here, new)
        cost += 1
        known = np.column_stack([known, new])
        changes = np.column_stack([changes, change - tension @ new])
        estimate = agreeing(estimate, known, changes)
    return estimate + tension, cost


def whole_hessian(here: Place) -> Search[Matrix]:
    """The Hessian (3n, 3n) in eV/Å² by forward differences, a gradient for each internal motion."""
    internal = internal_motions(here.x)
    evaluation = yield here.x + _PROBE * internal.T.reshape(-1, *here.x.shape)
    columns = (evaluation.gradients.reshape(-1, here.x.size) - here.gradient) / _PROBE
    block = columns @ internal
    result: Matrix = internal @ (0.5 * (block + block.T)) @ internal.T
    return result


def measured(here: Place, along: Vector) -> Search[Vector]:
    """The Hessian times a unit direction, (3n,) in eV/Å², by a forward difference."""
    size = _PROBE / longest(along)
    shifted = here.x + size * along.reshape(here.x.shape)
    answer = yield shifted[None]
    change: Vector = (place_of(shifted, answer).gradient - here.gradient) / size
    return change
