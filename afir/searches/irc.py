"""The intrinsic reaction coordinate: steepest descent in mass-weighted coordinates.

Local quadratic approximation (10.1063/1.454172) from the exact Hessian of the transition
state, carried along by Bofill updates; the step follows how well the model foretold the last
gradient. Past its inflection, with the model's minimum close by, the path has entered the basin of
its end and a minimisation with short steps finishes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afir.driver import Search, stage
from afir.errors import SurfaceError
from afir.geometry import dissociated
from afir.molecule import Molecule, Positions
from afir.quadratic import Matrix, Vector, bofill, vibrations
from afir.searches.minimum import PathPoint, minimise, settle
from afir.searches.settings import StepSettings
from afir.stationary import Minimum, Outcome, StationaryPoint
from afir.units import BOHR, HARTREE_PER_BOHR

_FIRST = 0.15 * BOHR  # amu^½ Å: first displacement along the imaginary mode
_START_STEP, _SHORTEST, _LONGEST = 0.15 * BOHR, 0.03 * BOHR, 0.5 * BOHR
_FLAT = 2e-4 * HARTREE_PER_BOHR  # eV/Å: below this the path has arrived
_CLOSE = 0.25  # Å: the model's minimum is near when no atom is further from it
_ASIDE = 0.03  # Å: displacement off any symmetry the path has kept, before the end is minimised
_NEAREST = 0.01 * BOHR  # amu^½ Å: a path that does not fall this close to its top is none
_PATIENCE = 4  # steps in a row, each shorter, that the surface may refuse
_RISE = 1e-5  # eV: an energy rise that is more than noise
_JUMP = 0.3  # eV: the model never errs by so much where the end is taken over; seen: 0.05


@dataclass(frozen=True)
class Branch:
    """One side of an IRC.

    Attributes
    ----------
    points
        From the first point off the transition state downhill, the minimisation included.
    monotone
        Whether the energy fell from point to point all the way, on one solution of the SCF.
    end
        The minimised end; outcome CONVERGED or DISSOCIATED when the side is proven.
    """

    points: tuple[PathPoint, ...]
    monotone: bool
    end: Minimum


def irc(
    molecule: Molecule, point: StationaryPoint, settings: StepSettings | None = None
) -> Search[tuple[Branch, Branch]]:
    """Follow the IRC both ways from a transition state and minimise the ends.

    Parameters
    ----------
    molecule
        The molecule.
    point
        A first-order saddle point with its exact Hessian.
    settings
        Step limits of each side and of the end minimisation.

    Returns
    -------
    (Branch, Branch)
        Against and along `point.mode`. Ends are as found, never as intended.
    """
    limits = settings or StepSettings()
    # Each side is a stage of its own: no density of one end leaks into the other.
    backward = yield from stage("irc", branch(molecule, point, -1, limits))
    forward = yield from stage("irc", branch(molecule, point, 1, limits))
    return backward, forward


def branch(
    molecule: Molecule, point: StationaryPoint, sign: int, settings: StepSettings
) -> Search[Branch]:
    """One side of the IRC, `sign` times along the imaginary mode; see `irc`."""
    root = np.repeat(np.sqrt(molecule.masses), 3)
    shape = point.positions.shape
    mode = point.mode.ravel() * root
    mode /= np.linalg.norm(mode)
    hessian = point.hessian
    x = point.positions
    energy, gradient = point.energy, np.zeros(x.size)
    points: list[PathPoint] = []
    monotone = True
    step: Vector = sign * _FIRST * mode / root
    length = _START_STEP
    ended: Outcome | None = None
    refused, error = 0, ""
    for count in range(settings.irc_steps):
        trial = x + step.reshape(shape)
        risen = True
        try:
            evaluation = yield trial[None]
        except SurfaceError as failure:
            refused, error = refused + 1, str(failure)
            if refused > _PATIENCE:
                ended = Outcome.SURFACE_FAILED
                break
        else:
            refused, error = 0, ""
            new_energy = float(evaluation.energies[0])
            new_gradient = evaluation.gradients[0].ravel()
            expected = gradient + hessian @ step
            hessian = bofill(hessian, step, new_gradient - gradient)
            risen = new_energy > energy + _RISE
        if risen:
            if not points:
                # Off the saddle point there is no slope to follow yet, only its mode.
                step = 0.5 * step
                if float(np.linalg.norm(step * root)) < _NEAREST:
                    ended = Outcome.SURFACE_FAILED if refused else Outcome.IRC_FAILED
                    break
            elif length > _SHORTEST:
                length = max(0.4 * length, _SHORTEST)
                step = _quadratic_step(hessian, gradient, root, x, length)
            else:
                # At the foot of the path noise may lift a point; on a slope it is no path.
                monotone = bool(np.abs(gradient).max() < 10.0 * _FLAT)
                break
            continue
        miss = np.linalg.norm((new_gradient - expected) / root)
        size = np.linalg.norm(new_gradient / root)
        if miss > 0.3 * size:
            length = max(0.6 * length, _SHORTEST)
        elif miss < 0.12 * size:
            length = min(1.4 * length, _LONGEST)
        x, energy, gradient = trial, new_energy, new_gradient
        points.append(PathPoint(x, energy, gradient.reshape(shape)))
        if dissociated(molecule, x, settings.dissociation):
            ended = Outcome.DISSOCIATED
            break
        if np.abs(gradient).max() < _FLAT:
            break
        if count >= 2 and _in_basin(hessian, x, root, gradient):
            break
        step = _quadratic_step(hessian, gradient, root, x, length)
    else:
        ended = Outcome.STEPS
    if ended in (Outcome.SURFACE_FAILED, Outcome.IRC_FAILED, Outcome.STEPS):
        said = error if ended is Outcome.SURFACE_FAILED else ""
        end = Minimum(ended, x, energy, gradient.reshape(shape), hessian, error=said)
        return Branch(tuple(points), False, end)
    # A path keeps its symmetry and may run into a saddle between conformers: step aside.
    aside = x + _ASIDE * np.random.default_rng(x.size).normal(size=shape) / np.sqrt(3.0)
    tail: list[PathPoint] = []
    try:
        finish = settle if ended is Outcome.DISSOCIATED else minimise
        end = yield from stage(
            "irc ends",
            finish(molecule, aside, settings, hessian=hessian, max_step=0.1, trace=tail),
        )
    except SurfaceError as failure:
        flat = gradient.reshape(shape)
        end = Minimum(Outcome.SURFACE_FAILED, x, energy, flat, hessian, error=str(failure))
    if tail:
        # The minimisation starts from a fresh density: had the path slid to another solution
        # of the SCF on its way, the energy would jump here, and the path proves nothing.
        move = (aside - x).ravel()
        foretold = energy + float(gradient @ move + 0.5 * move @ hessian @ move)
        monotone = monotone and abs(tail[0].energy - foretold) < _JUMP
    # The minimisation may take a small rise for what it teaches; the path leaves such points out.
    lowest = energy
    for item in tail[1:]:
        if item.energy <= lowest + _RISE:
            points.append(item)
            lowest = min(lowest, item.energy)
    return Branch(tuple(points), monotone, end)


def _in_basin(hessian: Matrix, x: Positions, root: Vector, gradient: Vector) -> bool:
    """Whether the path has passed its inflection and the model's minimum is close by.

    Soft modes of a large molecule may stay slightly concave to the end; what counts is the
    curvature along the path.
    """
    slope = gradient / root
    values, vectors = vibrations(hessian, x, root[::3])
    slopes = vectors.T @ slope
    if float(slopes**2 @ values) <= 0.0:
        return False
    away = vectors @ (slopes / np.maximum(np.abs(values), 1e-3)) / root
    return bool(np.sqrt((away.reshape(-1, 3) ** 2).sum(axis=1)).max() < _CLOSE)


def _quadratic_step(
    hessian: Matrix, gradient: Vector, root: Vector, x: Positions, length: float
) -> Vector:
    """The step of mass-weighted `length` along the steepest-descent line of the model."""
    values, vectors = vibrations(hessian, x, root[::3])
    slopes = vectors.T @ (gradient / root)

    def reach(time: float) -> Vector:
        # dq/dt = −(g + λq) has q(t) = −g·(1 − e^(−λt))/λ, −g·t where λ vanishes.
        product = np.clip(-values * time, -50.0, 50.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            amounts = np.where(np.abs(product) > 1e-8, np.expm1(product) / values, -time)
        return slopes * amounts

    low, high = 0.0, length / max(float(np.linalg.norm(slopes)), 1e-12)
    for _ in range(60):
        if np.linalg.norm(reach(high)) >= length:
            break
        low, high = high, 2.0 * high
        if high > 1e9:  # the model's minimum is nearer than `length`
            break
    for _ in range(40):
        middle = 0.5 * (low + high)
        size = float(np.linalg.norm(reach(middle)))
        if abs(size - length) < 0.01 * length:
            low = high = middle
            break
        if size > length:
            high = middle
        else:
            low = middle
    step: Vector = vectors @ reach(0.5 * (low + high)) / root
    return step
