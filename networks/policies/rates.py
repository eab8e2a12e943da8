"""Finds per gradient of the trials of a run, as a log-linear model of what they had in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from afir.errors import AfirError
from afir.methods.base import Offer

_SIGNS = ((1,), (-1,), (1, 1), (-1, 1), (-1, -1))  # which forces act together
WAYS = len(_SIGNS) + 2
"""Number of ways: those, climbs and inversions, and whatever else there is."""
REPEATS = 3
"""Earlier trials of equivalent offers that are distinguished: 1, 2, and 3 or more."""
_CLIMBS = ("climb", "inversion")
# They are cheap: at first twice as many finds per gradient are expected.
_CLIMB = 0.7
# Terms of the logarithm of finds per gradient: a constant, the type of trial, earlier trials of
# equivalent pushes, doublings of the trials on the species, eV above the start.
# Prior: one find per thousand gradients, fewer with each repeat and with energy.
_PRIOR = np.array([np.log(1e-3), *[0.0] * len(_SIGNS), _CLIMB, 0.0, -0.5, -1.0, -1.5, -0.2, -0.2])
_WIDTHS = np.array([3.0, *[0.7] * WAYS, *[0.5] * REPEATS, 0.2, 0.2])
_RECORD = 3.0  # finds: weight of the expectation against a species' own record
_FIT_STEPS = 200
# The model is fitted anew for every trial at first, later when a share of 1/64 of them is new: a
# fit takes as long as many choices.
_FRESH = 64

T = TypeVar("T", bound=np.generic)
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Rates:
    """The model of finds per gradient, fitted to the trials so far."""

    def __init__(self) -> None:
        # The trials: terms of the model, species, finds and gradients.
        self._terms = np.zeros((0, len(_WIDTHS)))
        self._species: Ints = np.zeros(0, dtype=np.int64)
        self._results = np.zeros((0, 2))
        self._count = 0
        self._fitted: Floats = _PRIOR
        self._root: Floats = np.diag(1.0 / _WIDTHS)
        self._fitted_to = -1
        # Of each species: finds, and what the model expects; both of the first so many trials.
        self._finds = np.zeros(0)
        self._expected = np.zeros(0)
        self._expected_of = 0

    def add(self, terms: Floats, species: int, found: int, spent: int) -> None:
        """Add a trial with its terms of the model (k,)."""
        at = self._count
        self._count += 1
        self._terms = longer(self._terms, self._count)
        self._species = longer(self._species, self._count)
        self._results = longer(self._results, self._count)
        self._terms[at] = terms
        self._species[at] = species
        self._results[at] = found, spent

    def fit(self) -> tuple[Floats, Floats]:
        """The coefficients (k,), and the Cholesky factor (k, k) of their inverse covariance.

        They follow from the trials alone, whenever and however often this is called.
        """
        every = 1 << max((self._count // _FRESH).bit_length() - 1, 0)
        count = self._count - self._count % every
        if count != self._fitted_to:
            found, spent = self._results[:count].T
            self._fitted, curvature = fit_rates(self._terms[:count], found, spent)
            self._root = np.asarray(np.linalg.cholesky(curvature), dtype=np.float64)
            self._fitted_to = count
            self._finds, self._expected, self._expected_of = np.zeros(0), np.zeros(0), 0
        return self._fitted, self._root

    def records(self, count: int) -> Floats:
        """The finds of `count` species relative to the expected ones, as a logarithm."""
        self._finds, self._expected = longer(self._finds, count), longer(self._expected, count)
        new = slice(self._expected_of, self._count)
        found, spent = self._results[new].T
        # In the order of the trials, so that a resumed run adds up the same.
        np.add.at(self._finds, self._species[new], found)
        expected = spent * np.exp(values(self._terms[new], self._fitted))
        np.add.at(self._expected, self._species[new], expected)
        self._expected_of = self._count
        result: Floats = np.log((_RECORD + self._finds) / (_RECORD + self._expected))
        return result[:count]


def fit_rates(terms: Floats, found: Floats, spent: Floats) -> tuple[Floats, Floats]:
    """Poisson regression of finds per gradient, with a normal prior, by Newton's method.

    Starts from the prior and uses no BLAS threads: a resumed run must fit the same numbers to the
    last bit.

    Parameters
    ----------
    terms
        (m, k) the terms of the model for each trial.
    found, spent
        (m,) finds and gradients of each trial.

    Returns
    -------
    coefficients : (k,)
        Of the logarithm of the finds per gradient.
    curvature : (k, k)
        The inverse of their covariance.

    Raises
    ------
    AfirError
        If a number is not finite.
    """
    beta, precision = _PRIOR, 1.0 / _WIDTHS**2
    for _ in range(_FIT_STEPS):
        expected = spent * np.exp(values(terms, beta))
        slope = np.einsum("mi,m->i", terms, expected - found) + (beta - _PRIOR) * precision
        curvature: Floats = np.einsum("mi,m,mj->ij", terms, expected, terms) + np.diag(precision)
        step = np.linalg.solve(curvature, slope)
        largest = float(np.abs(step).max())
        if not np.isfinite(largest):
            break
        # The log-likelihood is concave: short steps converge from any distance.
        beta = beta - step / max(1.0, largest)
        if largest < 1e-9:
            return beta, curvature
    raise AfirError("the rates of the policy 'productive' could not be fitted to the trials")


def values(terms: Floats, coefficients: Floats) -> Floats:
    """The model (m,) for each row of terms, the same for equal rows to the last bit."""
    result: Floats = (terms * coefficients).sum(axis=1)
    return result


def group_values(coefficients: Floats) -> Floats:
    """What the model says of the way and of the number of earlier trials, (WAYS, REPEATS + 1)."""
    ways, repeats = coefficients[1 : 1 + WAYS], coefficients[1 + WAYS : 1 + WAYS + REPEATS]
    result: Floats = coefficients[0] + np.add.outer(ways, np.concatenate([[0.0], repeats]))
    return result


def place_values(coefficients: Floats, species: Ints, heights: Floats) -> Floats:
    """What it says of tries of the species and of eV above the start; (m,) as both are."""
    result: Floats = coefficients[-2] * np.log2(1.0 + species) + coefficients[-1] * heights
    return result


def way_of(offer: Offer) -> int:
    """The type of a trial as an index; of more than two forces the extremes count."""
    signs: Sequence[int] = sorted(force["sign"] for force in offer.forces)
    if signs:
        return _SIGNS.index((signs[0], signs[-1])[: len(signs)])
    return len(_SIGNS) + (0 if offer.data.get("kind") in _CLIMBS else 1)


def model_terms(ways: Ints, kinds: Ints, species: Ints, heights: Floats) -> Floats:
    """The terms (m, k) of the model: way, tries of the kind and of the species, eV."""
    result = np.zeros((len(ways), len(_WIDTHS)))
    each = np.arange(len(ways))
    result[:, 0] = 1.0
    result[each, 1 + ways] = 1.0
    repeated = np.flatnonzero(kinds)
    result[repeated, WAYS + np.minimum(kinds[repeated], REPEATS)] = 1.0
    result[:, -2] = np.log2(1.0 + species)
    result[:, -1] = heights
    return result


def longer(array: NDArray[T], least: int) -> NDArray[T]:
    """The array, extended by zeros if it is shorter than `least`."""
    if len(array) >= least:
        return array
    more = np.zeros((max(least, 2 * len(array)) - len(array), *array.shape[1:]), array.dtype)
    return np.concatenate([array, more])
