"""Errors of a potential on test frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlpot.dataset import Dataset
from mlpot.neural.potential import Potential


@dataclass(frozen=True)
class Errors:
    """Errors on some frames.

    Attributes
    ----------
    origin
        The search stage of the frames, or ``"all"``.
    frames
        Number of frames.
    energy
        Mean absolute error of the energy in eV.
    relative_energy
        The same without the mean error, in eV, as barriers depend on it.
    gradient
        Mean absolute error of the gradient components in eV/Å.
    worst_energy
        Largest error of the energy in eV.
    spread
        Median over the frames of the largest calibrated spread on an atom, in eV/Å.
    """

    origin: str
    frames: int
    energy: float
    relative_energy: float
    gradient: float
    worst_energy: float
    spread: float

    def plain(self) -> dict[str, str | int | float]:
        """The values as a dict, with units in the names."""
        return {
            "origin": self.origin,
            "frames": self.frames,
            "energy_ev": self.energy,
            "relative_energy_ev": self.relative_energy,
            "gradient_ev_per_angstrom": self.gradient,
            "worst_energy_ev": self.worst_energy,
            "spread_ev_per_angstrom": self.spread,
        }


def judge(potential: Potential, data: Dataset) -> list[Errors]:
    """Errors on all frames of a dataset and by stage, with the base surface subtracted."""
    said = potential.predict(data.molecule, data.positions)
    wrong = said.energies - data.energies
    components = np.abs(said.gradients - data.gradients).mean(axis=(1, 2))
    spread = potential.description.calibration * said.gradient_spread.max(axis=1)
    origins = ["all", *sorted(set(data.stages))]
    rows = []
    for origin in origins:
        chosen = np.array([origin in ("all", stage) for stage in data.stages])
        part = wrong[chosen]
        rows.append(
            Errors(
                origin or "unknown",
                int(chosen.sum()),
                float(np.abs(part).mean()),
                float(np.abs(part - part.mean()).mean()),
                float(components[chosen].mean()),
                float(np.abs(part).max()),
                float(np.median(spread[chosen])),
            )
        )
    return rows
