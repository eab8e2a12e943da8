"""The policy that learns during the run which pushes find most per gradient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from afir.errors import AfirError
from afir.methods.artificial_force import ForceTerm
from afir.methods.displacements import Inversion, Uphill
from networks.graph.network import ReactionNetwork
from networks.policies.push_kinds import push_kinds
from networks.records.ids import Id
from networks.records.structures import EQ
from networks.records.trials import Item, Trial
from networks.scheduling.queue import Frontier, PushTerms

_DIRECTIONS = ((1,), (-1,), (1, 1), (-1, 1), (-1, -1))  # which forces act together
_WAYS = len(_DIRECTIONS) + 2  # those, climbs and inversions, and random geometries
_REPEATS = 3  # earlier trials of equivalent pushes: 1, 2, and 3 or more
# Climbs and inversions are cheap: at first twice as many finds per gradient are expected.
_CLIMB = 0.7
# Terms of the logarithm of finds per gradient: a constant, the type of trial, earlier trials of
# equivalent pushes, doublings of the trials on the species, eV above the start.
# Prior: one find per thousand gradients, fewer with each repeat and with energy. All chosen, not
# fitted.
_PRIOR = np.array(
    [np.log(1e-3), *[0.0] * len(_DIRECTIONS), _CLIMB, 0.0, -0.5, -1.0, -1.5, -0.2, -0.2]
)
_WIDTHS = np.array([3.0, *[0.7] * _WAYS, *[0.5] * _REPEATS, 0.2, 0.2])
_RECORD = 3.0  # finds: weight of the expectation against a species' own record
_FIT_STEPS = 200  # at most
_EQS = 1000  # open EQs that are considered, the lowest: more cost time in every choice
_SHORTLIST = 64  # pushes for each to choose that are ranked again after each choice

T = TypeVar("T", bound=np.generic)
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Productive:
    """Chooses the pushes that are expected to find most per gradient, judged by the trials so far.

    The number of TSs and EQs per gradient is a log-linear model (Poisson regression) of the forces
    that act together, the number of equivalent pushes tried on any structure (see
    `networks.policies.push_kinds`), the number of pushes of structures with the same bonding, and
    their energy. It is fitted anew for every round, and its coefficients are drawn from their
    posterior (Thompson sampling), so that a bad start excludes nothing. Species that found more
    than the model expects are preferred. Only the thousand open EQs of lowest energy are
    considered. Pushes must be used up only by taking what was chosen.
    """

    def __init__(self) -> None:
        # The trials: terms of the model, species, finds and gradients.
        self._terms = np.zeros((0, len(_WIDTHS)))
        self._species_tried: Ints = np.zeros(0, dtype=np.int64)
        self._results = np.zeros((0, 2))
        self._count = 0
        # Equivalent pushes and species, numbered as they come, with the number of their trials.
        self._kinds, self._species = _Tally(), _Tally()
        self._about: dict[str, tuple[int, float]] = {}  # by EQ: species, eV above the start
        # The pushes that each EQ has left, as rows: number, directions, kind.
        self._offers: dict[str, Ints] = {}
        self._chosen: list[Item] = []  # perhaps used up since
        self._frontier: Frontier | None = None  # of these offers

    def learn(self, trials: Iterable[Trial], network: ReactionNetwork) -> None:
        """See `Policy.learn`."""
        for trial in trials:
            eq = network.eqs[trial.eq]
            species, height = self._describe(eq, network)
            (kind,) = self._kinds.numbers(push_kinds(network.molecule, eq.positions, [trial.terms]))
            at = self._count
            self._count += 1
            self._terms = _longer(self._terms, self._count)
            self._species_tried = _longer(self._species_tried, self._count)
            self._results = _longer(self._results, self._count)
            self._terms[at] = _model_terms(
                np.array([_direction(trial.terms)]),
                self._kinds.tries[[kind]],
                self._species.tries[[species]],
                np.array([height]),
            )
            self._species_tried[at] = species
            found = sum(id.kind != "DC" for id in trial.found)
            self._results[at] = found, max(sum(trial.gradients.values()), 1)
            self._kinds.tries[kind] += 1
            self._species.tries[species] += 1

    def choose(
        self, frontier: Frontier, network: ReactionNetwork, n: int, rng: np.random.Generator
    ) -> list[Item]:
        """See `Policy.choose`."""
        offers = self._offered(frontier, network)
        terms, (found, spent) = self._terms[: self._count], self._results[: self._count].T
        fitted, curvature = fit_rates(terms, found, spent)
        root = np.linalg.cholesky(curvature)
        drawn = fitted + np.linalg.solve(root.T, rng.normal(size=len(root)))
        record = self._records(fitted)
        kinds, species = self._kinds.tries.copy(), self._species.tries.copy()
        # Neighbours in the list are similar: ties are broken at random for a wider choice.
        luck = rng.random(len(offers.rows))

        def best(rows: Ints, count: int) -> Ints:
            """The best rows in order, `count` of them."""
            _, _, direction, kind, of = offers.rows[rows].T
            terms = _model_terms(direction, kinds[kind], species[of], offers.heights[rows])
            return _best_first(rows, _values(terms, drawn) + record[of], luck[rows], count)

        # A choice makes equivalent pushes and its species less promising. The shortlist may lack a
        # push whose rank rises meanwhile.
        shortlist = best(np.arange(len(offers.rows)), _SHORTLIST * n)
        self._chosen = []
        while len(self._chosen) < n and len(shortlist):
            (row,) = best(shortlist, 1)
            eq, number, _, kind, of = offers.rows[row].tolist()
            self._chosen.append(Item(Id.of("EQ", eq), number))
            kinds[kind] += 1
            species[of] += 1
            shortlist = shortlist[shortlist != row]
        return list(self._chosen)

    def _records(self, fitted: Floats) -> Floats:
        """The finds of each species relative to the expected ones, as a logarithm."""
        terms, (found, spent) = self._terms[: self._count], self._results[: self._count].T
        species, count = self._species_tried[: self._count], len(self._species.tries)
        expected = np.bincount(species, spent * np.exp(_values(terms, fitted)), count)
        result: Floats = np.log(
            (_RECORD + np.bincount(species, found, count)) / (_RECORD + expected)
        )
        return result

    def _offered(self, frontier: Frontier, network: ReactionNetwork) -> _Offers:
        """The pushes that can be chosen: those left of the lowest EQs."""
        if frontier is not self._frontier:
            self._frontier, self._offers, self._chosen = frontier, {}, []
        for item in self._chosen:
            if item.eq in self._offers and not frontier.is_left(item):
                left = self._offers.pop(item.eq)
                if len(left) > 1:  # after the last there may be others
                    self._offers[item.eq] = left[left[:, 0] != item.push]
        offered: dict[str, Ints] = {}
        rows, heights = [], []
        for eq in frontier.by_energy():
            offer = self._offer(eq, frontier, network)
            m = len(offer)
            if not m:
                continue
            offered[eq.id] = offer
            species, height = self._describe(eq, network)
            rows.append(np.column_stack([np.full(m, eq.number), offer, np.full(m, species)]))
            heights.append(np.full(m, height))
            if len(offered) == _EQS:
                break
        self._offers = offered
        if not rows:
            return _Offers(np.zeros((0, 5), dtype=np.int64), np.zeros(0))
        return _Offers(np.concatenate(rows), np.concatenate(heights))

    def _offer(self, eq: EQ, frontier: Frontier, network: ReactionNetwork) -> Ints:
        """The pushes an EQ has left as rows (k, 3)."""
        if eq.id in self._offers:
            return self._offers[eq.id]
        left = frontier.left(eq.id)
        kinds = self._kinds.numbers(push_kinds(network.molecule, eq.positions, [*left.values()]))
        directions = [_direction(terms) for terms in left.values()]
        return np.array([[*left], directions, kinds], dtype=np.int64).T

    def _describe(self, eq: EQ, network: ReactionNetwork) -> tuple[int, float]:
        """The number of the species of an EQ, and its energy above the start in eV."""
        if eq.id not in self._about:
            (species,) = self._species.numbers(push_kinds(network.molecule, eq.positions, [()]))
            self._about[eq.id] = species, eq.energy - network.eqs["EQ0"].energy
        return self._about[eq.id]


@dataclass(frozen=True, eq=False)
class _Offers:
    """Pushes that can be chosen.

    Attributes
    ----------
    rows
        (m, 5) number of the EQ, of the push, directions, kind, species.
    heights
        (m,) energy of the EQ above the start, in eV.
    """

    rows: Ints
    heights: Floats


class _Tally:
    """Numbers for things as they come, and the number of trials of each."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self.tries: Ints = np.zeros(0, dtype=np.int64)

    def numbers(self, things: Iterable[int]) -> list[int]:
        """The numbers of things, new ones included."""
        result = [self._numbers.setdefault(thing, len(self._numbers)) for thing in things]
        self.tries = _longer(self.tries, len(self._numbers))
        return result


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
        expected = spent * np.exp(_values(terms, beta))
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


def _best_first(rows: Ints, scores: Floats, luck: Floats, count: int) -> Ints:
    """Those of the `rows` with the highest scores in order, `count` of them."""
    if len(rows) > count:  # sort only the best
        good = np.flatnonzero(scores >= -np.partition(-scores, count - 1)[count - 1])
        rows, scores, luck = rows[good], scores[good], luck[good]
    result: Ints = rows[np.lexsort((luck, -scores))][:count]
    return result


def _values(terms: Floats, coefficients: Floats) -> Floats:
    """The model (m,) for each row of terms, the same for equal rows to the last bit."""
    result: Floats = (terms * coefficients).sum(axis=1)
    return result


def productive() -> Productive:
    """The policy ``productive``."""
    return Productive()


def _direction(terms: PushTerms) -> int:
    """The type of a trial as an index; of more than two forces the extremes count."""
    forces = sorted(term.direction for term in terms if isinstance(term, ForceTerm))
    if forces:
        return _DIRECTIONS.index((forces[0], forces[-1])[: len(forces)])
    climbs = any(isinstance(term, Uphill | Inversion) for term in terms)
    return len(_DIRECTIONS) + (0 if climbs else 1)


def _model_terms(directions: Ints, kinds: Ints, species: Ints, heights: Floats) -> Floats:
    """The terms (m, k) of the model: directions, tries of the kind and of the species, eV."""
    result = np.zeros((len(directions), len(_WIDTHS)))
    each = np.arange(len(directions))
    result[:, 0] = 1.0
    result[each, 1 + directions] = 1.0
    repeated = np.flatnonzero(kinds)
    result[repeated, _WAYS + np.minimum(kinds[repeated], _REPEATS)] = 1.0
    result[:, -2] = np.log2(1.0 + species)
    result[:, -1] = heights
    return result


def _longer(array: NDArray[T], least: int) -> NDArray[T]:
    """The array, extended by zeros if it is shorter than `least`."""
    if len(array) >= least:
        return array
    more = np.zeros((max(least, 2 * len(array)) - len(array), *array.shape[1:]), array.dtype)
    return np.concatenate([array, more])
