"""How well a potential does on frames it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlpot.dataset import Dataset
from mlpot.potential import Potential


@dataclass(frozen=True)
class Errors:
    """Errors on some frames.

    Attributes
    ----------
    origin
        The stage they come from, or ``"all"``.
    frames
        How many.
    energy
        Mean absolute error of the energy in eV.
    relative_energy
        The same without the mean error: what matters for barriers, in eV.
    gradient
        Mean absolute error of a component of the gradient in eV/Å.
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
        """The same by names that hold the units."""
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
    """Errors on all frames of a dataset and by origin, without what the base says."""
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
