"""A chain of four atoms whose ends turn against each other over a known barrier."""

from __future__ import annotations

import numpy as np

from afir.molecule import Molecule, Positions
from afir.stationary import StationaryPoint
from afir.surfaces.analytic import AnalyticSurface
from afir.units import KJ_PER_MOL

CHAIN = Molecule.from_symbols("HOSF")
_LENGTHS = np.array([0.97, 1.65, 1.60])
_ANGLE = np.radians(105.0)
_STRETCH, _BEND = 30.0, 5.0  # eV/Å², eV
_STEP = 1e-4  # Å


def chain(degrees: float) -> Positions:
    """(4, 3) in Å with this dihedral angle; 0 has both ends on one side."""
    back, ahead = _LENGTHS[0], _LENGTHS[2]
    turn = np.radians(degrees)
    return np.array(
        [
            [back * np.cos(_ANGLE), back * np.sin(_ANGLE), 0.0],
            [0.0, 0.0, 0.0],
            [_LENGTHS[1], 0.0, 0.0],
            [
                _LENGTHS[1] - ahead * np.cos(_ANGLE),
                ahead * np.sin(_ANGLE) * np.cos(turn),
                ahead * np.sin(_ANGLE) * np.sin(turn),
            ],
        ]
    )


def _energies(x: Positions, fold: int, barrier: float, longer: float) -> np.ndarray:
    """(k,) in eV of geometries (k, 4, 3)."""
    arms = np.diff(x, axis=1)
    lengths = np.linalg.norm(arms, axis=2)
    units = arms / lengths[:, :, None]
    cosines = -np.einsum("kpi,kpi->kp", units[:, :-1], units[:, 1:])
    first, second = np.cross(arms[:, 0], arms[:, 1]), np.cross(arms[:, 1], arms[:, 2])
    across = np.einsum("ki,ki->k", np.cross(first, second), units[:, 1])
    dihedral = np.arctan2(across, np.einsum("ki,ki->k", first, second))
    lengths = lengths - _LENGTHS
    lengths[:, 1] -= longer * np.sin(dihedral) ** 2
    strain = 0.5 * _STRETCH * (lengths**2).sum(axis=1)
    strain += 0.5 * _BEND * ((cosines - np.cos(_ANGLE)) ** 2).sum(axis=1)
    return strain + 0.5 * barrier * KJ_PER_MOL * (1.0 - np.cos(fold * dihedral))


def torsion(fold: int, barrier: float, *, longer: float = 0.0) -> AnalyticSurface:
    """Minima at multiples of 360°/fold, all at 0, with the barrier in kJ/mol between them.

    The bond in the middle is `longer` by so many Å at 90°.
    """

    def function(x: Positions) -> tuple[np.ndarray, np.ndarray]:
        gradients = np.empty_like(x)
        for atom, axis in np.ndindex(4, 3):
            shift = np.zeros((4, 3))
            shift[atom, axis] = _STEP
            up, down = (_energies(x + s, fold, barrier, longer) for s in (shift, -shift))
            gradients[:, atom, axis] = (up - down) / (2.0 * _STEP)
        return _energies(x, fold, barrier, longer), gradients

    return AnalyticSurface(CHAIN, function)


def minimum(degrees: float, energy: float = 0.0, *, softest: float = 20.0) -> StationaryPoint:
    """A minimum at this dihedral angle, with made-up modes."""
    return StationaryPoint(
        chain(degrees), energy, 0.0, 5.0 * np.eye(12), np.full(6, softest), np.zeros((4, 3)), 0
    )
