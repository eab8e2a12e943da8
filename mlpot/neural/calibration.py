"""The spread of a committee of networks, calibrated against the error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from afir.units import KCAL_PER_MOL
from mlpot.dataset import Dataset
from mlpot.neural.potential import Potential, Prediction

CAUGHT = 0.98
"""Fraction of the bad frames that the limit must catch. It exceeds the target of 95 %, since new
frames differ more from the training set than those held out."""

BAD = 10.0 * KCAL_PER_MOL
"""eV: a frame with a larger energy error (10 kcal/mol) is bad."""

_ENOUGH = 20  # bad frames that determine a limit: one of them is 5 %
_BEYOND = 2.0  # times the largest spread met: beyond it the errors are unknown; chosen
_TINY = 1e-12  # against divisions by zero


@dataclass(frozen=True)
class Calibration:
    """Calibration of the spread of a committee, from frames outside the training set.

    Attributes
    ----------
    factor
        Calibration factor: the root mean square of the errors over that of the spreads of the
        gradient on an atom.
    coverage
        Fraction of the atoms whose error is within twice the calibrated spread.
    ranking
        Spearman correlation between the largest spread and the largest error of a frame.
    limit
        Largest calibrated spread (eV/Å) of a trusted frame. Of the frames with an energy error
        above 10 kcal/mol, `CAUGHT` exceed it. With too few of these the limit follows from the
        errors of the others, which are taken to grow in proportion to the spread; it is then at
        most twice the spread that `CAUGHT` of all frames stay below.
    """

    factor: float
    coverage: float
    ranking: float
    limit: float

    def plain(self) -> dict[str, float]:
        """The values as a dict, with units in the names."""
        return {
            "factor": self.factor,
            "coverage": self.coverage,
            "ranking": self.ranking,
            "limit_ev_per_angstrom": self.limit,
        }


@dataclass(frozen=True)
class Trust:
    """How well the calibrated spread of a committee and its limit hold on other frames.

    Attributes
    ----------
    coverage
        Fraction of the atoms whose error is within twice the calibrated spread.
    ranking
        Spearman correlation between the largest spread and the largest error of a frame.
    trusted
        Fraction of the frames whose largest calibrated spread is within the limit.
    bad
        Number of frames with an energy error above 10 kcal/mol.
    caught
        Number of these that are not trusted.
    """

    coverage: float
    ranking: float
    trusted: float
    bad: int
    caught: int


def trust(potential: Potential, data: Dataset) -> Trust:
    """Test the calibration and the limit of a potential on frames without the base energy.

    A single network has no spread: only its bad frames are counted.
    """
    said = potential.predict(data.molecule, data.positions)
    bad = np.abs(said.energies - data.energies) > BAD
    if len(potential) < 2:
        return Trust(float("nan"), float("nan"), 1.0, int(bad.sum()), 0)
    about = potential.description
    wrong, spread = atom_errors(said, data), about.calibration * said.gradient_spread
    largest = spread.max(axis=1)
    good = largest <= about.limit
    return Trust(
        float((wrong < 2.0 * spread).mean()),
        spearman(largest, wrong.max(axis=1)),
        float(good.mean()),
        int(bad.sum()),
        int((bad & ~good).sum()),
    )


def atom_errors(said: Prediction, data: Dataset) -> NDArray[np.float64]:
    """Error of the gradient on each atom (m, n) in eV/Å."""
    result: NDArray[np.float64] = np.sqrt(((said.gradients - data.gradients) ** 2).sum(axis=2))
    return result


def calibrate(potential: Potential, data: Dataset) -> Calibration:
    """Calibrate the spread on frames outside the training set.

    Parameters
    ----------
    potential
        Two networks or more; with one there is no spread, and the limit is infinite.
    data
        Frames with the base surface subtracted.
    """
    if len(potential) < 2 or not len(data):
        return Calibration(1.0, float("nan"), float("nan"), float("inf"))
    said = potential.predict(data.molecule, data.positions)
    wrong, spread = atom_errors(said, data), said.gradient_spread
    factor = float(np.sqrt((wrong**2).mean() / max(float((spread**2).mean()), 1e-30)))
    spread = factor * spread
    largest = spread.max(axis=1)
    bad = np.abs(said.energies - data.energies) > BAD
    if bad.sum() >= _ENOUGH:
        limit = float(np.quantile(largest[bad], 1.0 - CAUGHT, method="lower"))
    else:
        each = np.abs(said.energies - data.energies) / np.maximum(largest, _TINY)
        limit = BAD / max(float(np.quantile(each, CAUGHT)), _TINY)
        limit = min(limit, _BEYOND * float(np.quantile(largest, CAUGHT)))
    return Calibration(
        factor,
        float((wrong < 2.0 * spread).mean()),
        spearman(largest, wrong.max(axis=1)),
        limit,
    )


def spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Spearman rank correlation of samples (m,) and (m,); NaN if one of them is constant."""
    a, b = rankdata(first), rankdata(second)
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
