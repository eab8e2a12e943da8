"""The exact Hessian by differences of gradients, and the normal modes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afir.geometry.bonds import components, distances
from afir.geometry.superposition import internal_motions, internal_part, rigid_step
from afir.hessians.model import loosened, model_hessian
from afir.hessians.modes import Matrix, vibrations
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search
from afir.stationary import StationaryPoint
from afir.units import WAVENUMBER

STEP = 0.0025
"""Displacement in Å of central differences. Larger ones err by up to 3 cm⁻¹, smaller ones meet the
SCF's noise."""

NOISE = 10.0
"""An imaginary wavenumber below this (cm⁻¹) is taken for zero when the order is counted."""

# Chosen, and checked on the 36 reference transition states: wavenumbers within 3 cm⁻¹ of central
# differences, all but three within 1, for 71 % of the gradients.
_STIFF = 5.0  # eV/Å²: directions that are stiffer in the model are displaced last
_FEWEST = 5  # stiff directions for which a test of one-sided differences pays
_SMALL_STEP = 1e-4  # Å: their one-sided displacement; a longer one is too anharmonic
_STIFF_ERROR = 0.02  # eV/Å²: largest error of a curvature by noise then

# Chosen, not fitted.
_FLATTEST = 1e-4  # eV/Å²: curvatures below this count as zero
_FARTHEST = 0.05  # Å: largest distance (norm) of the stationary point of the quadratic model
_GAIN = 1e-5  # eV: and its largest energy difference


def hessian(molecule: Molecule, positions: Positions) -> Search[StationaryPoint]:
    """The Hessian and normal modes of a stationary point.

    Translations and rotations cost nothing: near a stationary point they do not change the
    gradient, so only the 3n − 6 (3n − 5) internal directions are displaced. Where gradients are
    exact enough, a much smaller displacement one way does for stiff directions: on GFN2-xTB
    wavenumbers agree within 1 cm⁻¹ with central differences throughout.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å, where the gradient vanishes.

    Returns
    -------
    StationaryPoint
        Costs about 1 + 2·(3n − 6) gradients, 1 + 2·(3n − 5) for a linear molecule; three
        quarters of it for four atoms or more where gradients are as exact as those of GFN2-xTB.
    """
    measured = yield from measure(molecule, positions)
    return measured.point


@dataclass(frozen=True)
class Measured:
    """A stationary point from displaced gradients.

    Attributes
    ----------
    point
        The stationary point; not `whole`, its stiff curvatures are those of a model.
    gradient
        (n, 3) the internal part of the gradient there in eV/Å.
    whole
        Whether every direction was displaced.
    """

    point: StationaryPoint
    gradient: Positions
    whole: bool


def measure(
    molecule: Molecule,
    positions: Positions,
    worthwhile: Callable[[StationaryPoint, Positions], bool] | None = None,
) -> Search[Measured]:
    """The Hessian of `hessian`, stopped early if its soft part suffices.

    Parameters
    ----------
    molecule, positions
        As for `hessian`: (n, 3) in Å.
    worthwhile
        Called with the point and its gradient, (n, 3) in eV/Å, after the soft directions, which
        show how flat the surface is and most negative curvatures. If it returns False, the stiff
        directions keep the curvature of the model. Without it the Hessian is always complete.
    """
    evaluation = yield positions[None]
    energy = float(evaluation.energies[0])
    gradient = internal_part(positions, evaluation.gradients[0])

    def described(block: Matrix, whole: bool) -> Measured:
        matrix = basis @ (0.5 * (block + block.T)) @ basis.T
        largest = float(np.abs(gradient).max())
        point = normal_modes(molecule, positions, energy, largest, matrix)
        return Measured(point, gradient, whole)

    internal = internal_motions(positions)
    model = internal.T @ (model_hessian(molecule, positions) + loosened(molecule, positions))
    values, vectors = np.linalg.eigh(model @ internal)
    basis = internal @ vectors
    soft = int((values < _STIFF).sum())
    columns = yield from _central(molecule, positions, basis[:, :soft])
    if worthwhile is not None and soft < len(values):
        # The coupling of soft and stiff directions is left out: the model is too rough for it.
        half = np.diag(values)
        half[:soft, :soft] = basis[:, :soft].T @ columns
        part = described(half, False)
        if not worthwhile(part.point, gradient):
            return part
    stiff = yield from _stiff(molecule, positions, basis[:, soft:], evaluation.gradients[0])
    whole = basis.T @ np.concatenate([columns, stiff], axis=1)
    # The coupling of soft and stiff directions is more accurate from the soft ones.
    whole[:soft, soft:] = whole[soft:, :soft].T
    return described(whole, True)


def _stiff(
    molecule: Molecule, positions: Positions, directions: Matrix, gradient: Positions
) -> Search[Matrix]:
    """The Hessian times stiff directions (3n, m), one way from the centre if it is exact enough.

    The first direction is displaced both ways as a test: the sum of its two gradient changes is
    noise, or an SCF that converged less well at the centre.
    """
    if directions.shape[1] < _FEWEST:
        result = yield from _central(molecule, positions, directions)
        return result
    # Outwards, whatever sign the directions have: orientation must not matter.
    arms = positions[:, None] - positions[None]
    apart = distances(positions) + np.eye(len(positions))
    outwards = (arms / apart[:, :, None]).sum(axis=1).ravel()
    signs = np.where(outwards @ directions < 0.0, -1.0, 1.0)
    shifts = _SMALL_STEP * (directions * signs).T.reshape(-1, *positions.shape)
    evaluation = yield np.stack([positions + shifts[0], positions - shifts[0]])
    up, down = (internal_part(positions, there - gradient) for there in evaluation.gradients)
    if float(np.sqrt(((up + down) ** 2).mean())) > _STIFF_ERROR * _SMALL_STEP:
        result = yield from _central(molecule, positions, directions)
        return result
    evaluation = yield positions + shifts[1:]
    rest = (evaluation.gradients - gradient).reshape(-1, positions.size)
    first = 0.5 * (up - down).reshape(1, -1)
    result = np.concatenate([first, rest]).T / _SMALL_STEP
    return result * signs


def _central(molecule: Molecule, positions: Positions, directions: Matrix) -> Search[Matrix]:
    """The Hessian times directions (3n, m) by central differences."""
    if not directions.shape[1]:
        return directions
    shifts = STEP * directions.T.reshape(-1, *positions.shape)
    evaluation = yield displaced(molecule, positions, np.concatenate([shifts, -shifts]))
    gradients = evaluation.gradients.reshape(2, -1, positions.size)
    result: Matrix = (gradients[0] - gradients[1]).T / (2.0 * STEP)
    return result


def arrived(
    point: StationaryPoint,
    gradient: Positions,
    *,
    farthest: float = _FARTHEST,
    most: float = _GAIN,
) -> bool:
    """Whether the stationary point of the quadratic model is where the point is.

    On a flat surface a small gradient (n, 3) in eV/Å proves nothing: the Newton step tells how
    far it still is (norm, in Å) and how much is to be gained (eV).
    """
    values, vectors = vibrations(point.hessian, point.positions)
    slopes = vectors.T @ gradient.ravel()
    amounts = slopes / np.maximum(np.abs(values), _FLATTEST)
    gain = 0.5 * float(np.abs(slopes * amounts).sum())
    return float(np.linalg.norm(amounts)) < farthest and gain < most


def displaced(molecule: Molecule, positions: Positions, shifts: Positions) -> Positions:
    """A structure (n, 3) displaced by small shifts (k, n, 3), its fragments turned, not stretched.

    Straight shifts of 0.01 Å that turn H₂ also stretch it, so that a mode of 36 cm⁻¹ appears at 66;
    with shifts of `STEP` one of 5 cm⁻¹ appears at 11.
    """
    parts = components(molecule, positions)
    if len(parts) == 1:
        return positions + shifts
    return np.stack([rigid_step(positions, shift, parts) for shift in shifts])


def normal_modes(
    molecule: Molecule, positions: Positions, energy: float, gradient_max: float, matrix: Matrix
) -> StationaryPoint:
    """The stationary point that a Hessian (3n, 3n) in eV/Å² describes."""
    root = np.sqrt(molecule.masses)
    values, vectors = vibrations(matrix, positions, root)
    wavenumbers = WAVENUMBER * np.sign(values) * np.sqrt(np.abs(values))
    mode = vectors[:, 0].reshape(positions.shape) / root[:, None]
    return StationaryPoint(
        positions=np.array(positions),
        energy=energy,
        gradient_max=gradient_max,
        hessian=matrix,
        wavenumbers=wavenumbers,
        mode=mode / np.linalg.norm(mode),
        order=int((wavenumbers < -NOISE).sum()),
    )
