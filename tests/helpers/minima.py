"""Minima and EQs with made-up modes."""

from __future__ import annotations

import numpy as np

from afir.molecule import Positions
from afir.stationary import StationaryPoint
from networks.records.ids import Id
from networks.records.structures import EQ, content


def made_minimum(x: Positions, energy: float, softest: float = 500.0) -> StationaryPoint:
    """A minimum at positions (n, 3) in Å, its energy in eV, its softest mode in cm⁻¹."""
    size = x.size
    waves = np.linspace(softest, softest + 2500.0, size - 6)
    mode = np.full(x.shape, size**-0.5)
    return StationaryPoint(x, energy, 1e-4, np.eye(size), waves, mode, 0)


def made_eq(number: int, x: Positions, energy: float, *flags: str) -> EQ:
    """An EQ with the modes of `made_minimum`."""
    return EQ(**content(made_minimum(x, energy)), id=Id.of("EQ", number), flags=flags)
