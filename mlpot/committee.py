"""How far the networks of a committee disagree, and what that says about the error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from afir.units import KCAL_PER_MOL
from mlpot.dataset import Dataset
from mlpot.potential import Potential, Prediction

CAUGHT = 0.98
"""Share of the bad frames that the limit must catch: more than 95 %, which is what is wanted on
frames to come, for those differ more from what was learned than the ones held back."""

BAD = 10.0 * KCAL_PER_MOL
"""eV: a frame whose energy errs by more than this (10 kcal/mol) is bad."""

_ENOUGH = 20  # bad frames to go by
_BEYOND = 2.0  # times the spreads that were met, nothing is known of the errors
_TINY = 1e-12


@dataclass(frozen=True)
class Calibration:
    """What the spread of a committee is worth, from frames that were not learned from.

    Attributes
    ----------
    factor
        From the spread of the gradient on an atom to the error to be expected there: the ratio of
        their root mean squares.
    coverage
        Share of the atoms whose error is within twice the calibrated spread.
    ranking
        Spearman's correlation between the largest spread of a frame and its largest error.
    limit
        Largest calibrated spread (eV/Å) of a frame that is trusted: `CAUGHT` of the frames whose
        energy errs by more than 10 kcal/mol have more. Where too few do, it follows from the
        errors of the others, as if all errors grew in proportion to the spread, and is twice what
        `CAUGHT` of all frames stay below at most.
    """

    factor: float
    coverage: float
    ranking: float
    limit: float

    def plain(self) -> dict[str, float]:
        """The same by names that hold the units."""
        return {
            "factor": self.factor,
            "coverage": self.coverage,
            "ranking": self.ranking,
            "limit_ev_per_angstrom": self.limit,
        }


@dataclass(frozen=True)
class Trust:
    """How far the calibrated spread of a committee and its limit hold on other frames.

    Attributes
    ----------
    coverage
        Share of the atoms whose error is within twice the calibrated spread.
    ranking
        Spearman's correlation between the largest spread of a frame and its largest error.
    trusted
        Share of the frames whose largest calibrated spread is within the limit.
    bad
        How many frames have an energy that errs by more than 10 kcal/mol.
    caught
        How many of these are not trusted.
    """

    coverage: float
    ranking: float
    trusted: float
    bad: int
    caught: int


def trust(potential: Potential, data: Dataset) -> Trust:
    """Judge the calibration and the limit that a potential has, on frames without the base.

    Of a single network, which has no spread, only what is bad is told.
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
    """Compare spread and error on frames that were not learned from.

    Parameters
    ----------
    potential
        Two networks or more; with one there is no spread, and the limit is infinite.
    data
        Frames without what the base says.
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
    """Spearman's rank correlation of two samples; NaN if one of them is constant."""
    a, b = rankdata(first), rankdata(second)
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
