"""What a run itself says about the model: a Poisson regression of what its trials brought."""

from __future__ import annotations

import numpy as np

from afir.errors import AfirError
from mlpot.policies.structure import Floats, Ints

WAYS = ("+", "-", "++", "+-", "--", "climb", "inversion")
"""Which forces act together, or what else is done; all others share one more term."""

_REPEATS = 3  # earlier trials of equivalent offers that are told apart: 1, 2, 3 or more
# Standard deviations of the prior of each term, around no correction: the level of the molecule,
# its ways, repeats, doublings of the trials on a species, eV above the start. Chosen.
_WIDTHS = np.array([0.5, *[0.4] * (len(WAYS) + 1), *[0.3] * _REPEATS, 0.1, 0.1])
_FIT_STEPS = 200
_LARGEST = 6.0  # of the logarithm of a correction
_HIGHEST = 100.0  # of the same while it is fitted: far from an overflow
# The correction is fitted anew for every trial at first, later when a share of 1/64 of them is new.
_FRESH = 64

TERMS = len(_WIDTHS)
"""The number of terms."""


def terms(ways: Ints, kinds: Ints, species: Ints, heights: Floats) -> Floats:
    """The terms (m, TERMS) of the logarithm of the correction.

    Parameters
    ----------
    ways
        (m,) numbers of `WAYS`, len(WAYS) for any other.
    kinds, species
        (m,) trials of equivalent offers, and binary digits of the trials on the species.
    heights
        (m,) energies of the structures above the start in eV.
    """
    result = np.zeros((len(ways), TERMS))
    each = np.arange(len(ways))
    result[:, 0] = 1.0
    result[each, 1 + ways] = 1.0
    repeated = np.flatnonzero(kinds)
    result[repeated, 1 + len(WAYS) + np.minimum(kinds[repeated], _REPEATS)] = 1.0
    result[:, -2] = species
    result[:, -1] = heights
    return result


class Correction:
    """How much more or less trials of this run bring than the model expects."""

    def __init__(self) -> None:
        self._terms: list[Floats] = []
        self._results: list[tuple[float, float]] = []
        self._fitted: tuple[Floats, Floats] = np.zeros(TERMS), np.diag(1.0 / _WIDTHS)
        self._fitted_to = 0

    def add(self, terms: Floats, found: float, expected: float) -> None:
        """Add a trial: its terms (TERMS,), the worth of what it found, and what was expected."""
        self._terms.append(terms)
        self._results.append((found, expected))

    def fit(self) -> tuple[Floats, Floats]:
        """The coefficients (TERMS,) and the Cholesky factor of their inverse covariance.

        They follow from the trials alone, whenever and however often this is called.
        """
        total = len(self._results)
        every = 1 << max((total // _FRESH).bit_length() - 1, 0)
        count = total - total % every
        if count != self._fitted_to:
            found, expected = np.array(self._results[:count]).T
            beta, curvature = _fit(np.array(self._terms[:count]), found, expected)
            root = np.asarray(np.linalg.cholesky(curvature), dtype=np.float64)
            self._fitted, self._fitted_to = (beta, root), count
        return self._fitted

    def drawn(self, rng: np.random.Generator) -> Floats:
        """Coefficients drawn from their posterior."""
        beta, root = self.fit()
        result: Floats = beta + np.linalg.solve(root.T, rng.normal(size=len(root)))
        return result


def factors(terms: Floats, coefficients: Floats) -> Floats:
    """The correction (m,) of each row of terms, the same for equal rows to the last bit."""
    return _exponential(terms, coefficients, _LARGEST)


def _exponential(terms: Floats, coefficients: Floats, most: float) -> Floats:
    """The exponential (m,) of each row of terms, whose logarithm is `most` at most."""
    result: Floats = np.exp(np.clip((terms * coefficients).sum(axis=1), -most, most))
    return result


def _fit(terms: Floats, found: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Poisson regression with a normal prior, by Newton's method from no correction.

    No BLAS threads are used: a resumed run must fit the same numbers to the last bit.
    """
    beta, precision = np.zeros(TERMS), 1.0 / _WIDTHS**2
    for _ in range(_FIT_STEPS):
        mean = expected * _exponential(terms, beta, _HIGHEST)
        slope = np.einsum("mi,m->i", terms, mean - found) + beta * precision
        curvature: Floats = np.einsum("mi,m,mj->ij", terms, mean, terms) + np.diag(precision)
        step = np.linalg.solve(curvature, slope)
        largest = float(np.abs(step).max())
        if not np.isfinite(largest):
            break
        # The log-likelihood is concave: short steps converge from any distance.
        beta = beta - step / max(1.0, largest)
        if largest < 1e-9:
            return beta, curvature
    raise AfirError("the learned policy could not be fitted to the trials of this run")
