"""The policy that learns on the way which pushes bring most for what they cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from networks.frontier import Frontier, PushTerms
from networks.kinds import push_kinds
from networks.network import ReactionNetwork
from networks.records import EQ, Item, Trial

_DIRECTIONS = ((1,), (-1,), (1, 1), (-1, 1), (-1, -1))  # which forces act together
_REPEATS = 3  # a kind tried so often before, or oftener
# Terms of the logarithm of what a gradient brings: a constant, a choice of directions, how often
# the kind was tried, doublings of the trials on the species, eV above the start.
# Before anything is known: a find for a thousand gradients, and the less the oftener tried.
_PRIOR = np.array([np.log(1e-3), *[0.0] * len(_DIRECTIONS), -0.5, -1.0, -1.5, -0.2, 0.0])
_WIDTHS = np.array([3.0, *[0.7] * len(_DIRECTIONS), *[0.5] * _REPEATS, 0.2, 0.2])
_RECORD = 3.0  # finds: how slowly a species' own record replaces what is expected of it
_SHORTLIST = 64  # pushes looked at closely for each that is chosen

T = TypeVar("T", bound=np.generic)
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Productive:
    """The pushes that are expected to bring most for a gradient, judged by the trials so far.

    How many TSs and EQs a gradient brings is a log-linear model (Poisson regression) of which
    forces act together, how often a push of the same kind has been tried on any structure (see
    `networks.kinds`), how often structures of the same bonding have been pushed, and their
    energy. It is fitted anew for every round, and its coefficients are drawn from their
    posterior (Thompson sampling), so that nothing is given up for a bad start. Species that
    brought more than the model expects of them are preferred. Among equals the EQ of lowest
    energy comes first.
    """

    def __init__(self) -> None:
        self._coefficients = _PRIOR
        # What was tried: the terms of the model, the species, finds and gradients.
        self._terms = np.zeros((0, len(_WIDTHS)))
        self._species_tried: Ints = np.zeros(0, dtype=np.int64)
        self._results = np.zeros((0, 2))
        self._count = 0
        # Kinds and species are numbered as they come; how often each was tried.
        self._kinds, self._species = _Tally(), _Tally()
        self._about: dict[str, tuple[int, float]] = {}  # of an EQ: species, eV above the start
        self._zero: float | None = None
        # The pushes that are left, a row each: number of the EQ, of the push, directions, kind,
        # species; and the energy.
        self._rows: Ints = np.zeros((0, 5), dtype=np.int64)
        self._heights = np.zeros(0)
        self._seen: set[str] = set()
        self._chosen: list[int] = []  # rows that may be used up by now

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
            found = sum(not id.startswith("DC") for id in trial.found)
            self._results[at] = found, max(sum(trial.gradients.values()), 1)
            self._kinds.tries[kind] += 1
            self._species.tries[species] += 1

    def choose(
        self, frontier: Frontier, network: ReactionNetwork, n: int, rng: np.random.Generator
    ) -> list[Item]:
        """See `Policy.choose`."""
        self._look_at(frontier, network)
        terms, (found, spent) = self._terms[: self._count], self._results[: self._count].T
        self._coefficients, curvature = fit_rates(terms, found, spent, self._coefficients)
        root = np.linalg.cholesky(curvature)
        drawn = self._coefficients + np.linalg.solve(root.T, rng.normal(size=len(root)))
        record = self._records()
        kinds, species = self._kinds.tries.copy(), self._species.tries.copy()

        def scores(rows: Ints) -> Floats:
            _, _, direction, kind, of = self._rows[rows].T
            terms = _model_terms(direction, kinds[kind], species[of], self._heights[rows])
            result: Floats = terms @ drawn + record[of]
            return result

        # Every choice makes others of its kind and species less promising, never more.
        every = np.arange(len(self._rows))
        order = self._best_first(every, scores(every), _SHORTLIST * n)
        chosen: list[int] = []
        while len(chosen) < n and len(order):
            best = self._best_first(order, scores(order), 1)[0]
            chosen.append(int(best))
            kinds[self._rows[best, 3]] += 1
            species[self._rows[best, 4]] += 1
            order = order[order != best]
        self._chosen = chosen
        return [self._item(row) for row in chosen]

    def _best_first(self, rows: Ints, scores: Floats, count: int) -> Ints:
        """The best rows in order; `count` of them."""
        if len(rows) > count:  # sorting only the best keeps this cheap where millions are left
            good = np.flatnonzero(scores >= -np.partition(-scores, count - 1)[count - 1])
            rows, scores = rows[good], scores[good]
        eqs, numbers = self._rows[rows, 0], self._rows[rows, 1]
        result: Ints = rows[np.lexsort((numbers, eqs, self._heights[rows], -scores))][:count]
        return result

    def _records(self) -> Floats:
        """By how much each species is better than the model expects, as a logarithm."""
        terms, (found, spent) = self._terms[: self._count], self._results[: self._count].T
        species, count = self._species_tried[: self._count], len(self._species.tries)
        expected = np.bincount(species, spent * np.exp(terms @ self._coefficients), count)
        result: Floats = np.log(
            (_RECORD + np.bincount(species, found, count)) / (_RECORD + expected)
        )
        return result

    def _item(self, row: int) -> Item:
        return Item(f"EQ{self._rows[row, 0]}", int(self._rows[row, 1]))

    def _look_at(self, frontier: Frontier, network: ReactionNetwork) -> None:
        """Drop the rows of pushes that were used, and make those of EQs that are new."""
        gone = [row for row in self._chosen if not frontier.is_left(self._item(row))]
        self._chosen = []
        rows, heights = [np.delete(self._rows, gone, axis=0)], [np.delete(self._heights, gone)]
        for id, eq in frontier.eqs.items():
            if id in self._seen:
                continue
            self._seen.add(id)
            left = frontier.left(id)
            species, height = self._describe(eq, network)
            kinds = self._kinds.numbers(
                push_kinds(network.molecule, eq.positions, [*left.values()])
            )
            directions = [_direction(terms) for terms in left.values()]
            m = len(left)
            columns = ([eq.number] * m, [*left], directions, kinds, [species] * m)
            rows.append(np.array(columns, dtype=np.int64).T)
            heights.append(np.full(m, height))
        self._rows, self._heights = np.concatenate(rows), np.concatenate(heights)

    def _describe(self, eq: EQ, network: ReactionNetwork) -> tuple[int, float]:
        """The number of the species of an EQ, and its energy above the start in eV."""
        if eq.id not in self._about:
            (species,) = self._species.numbers(push_kinds(network.molecule, eq.positions, [()]))
            if self._zero is None:
                self._zero = eq.energy  # the first to be pushed is the start
            self._about[eq.id] = species, eq.energy - self._zero
        return self._about[eq.id]


class _Tally:
    """Numbers for things as they come, and how often each was tried."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self.tries: Ints = np.zeros(0, dtype=np.int64)

    def numbers(self, things: Iterable[int]) -> list[int]:
        """The numbers of things, new ones included."""
        result = [self._numbers.setdefault(thing, len(self._numbers)) for thing in things]
        self.tries = _longer(self.tries, len(self._numbers))
        return result


def fit_rates(
    terms: Floats, found: Floats, spent: Floats, start: Floats = _PRIOR
) -> tuple[Floats, Floats]:
    """Poisson regression of what a gradient brings, with a normal prior, by Newton's method.

    Parameters
    ----------
    terms
        (m, k) the terms of the model for each trial.
    found, spent
        (m,) what each found, and the gradients it took.
    start
        (k,) where to begin.

    Returns
    -------
    coefficients : (k,)
        Of the logarithm of the finds per gradient.
    curvature : (k, k)
        The inverse of their covariance.
    """
    beta, precision = start, 1.0 / _WIDTHS**2
    while True:
        expected = spent * np.exp(terms @ beta)
        slope = terms.T @ (expected - found) + (beta - _PRIOR) * precision
        curvature: Floats = (terms.T * expected) @ terms + np.diag(precision)
        step = np.linalg.solve(curvature, slope)
        largest = float(np.abs(step).max())
        if largest < 1e-6:
            return beta, curvature
        beta = beta - step / max(1.0, largest)


def productive() -> Productive:
    """The policy ``productive``."""
    return Productive()


def _direction(terms: PushTerms) -> int:
    return _DIRECTIONS.index(tuple(sorted(term.direction for term in terms)))


def _model_terms(directions: Ints, kinds: Ints, species: Ints, heights: Floats) -> Floats:
    """The terms (m, k) of the model: directions, tries of the kind and of the species, eV."""
    result = np.zeros((len(directions), len(_WIDTHS)))
    each = np.arange(len(directions))
    result[:, 0] = 1.0
    result[each, 1 + directions] = 1.0
    repeated = np.flatnonzero(kinds)
    result[repeated, len(_DIRECTIONS) + np.minimum(kinds[repeated], _REPEATS)] = 1.0
    result[:, -2] = np.log2(1.0 + species)
    result[:, -1] = heights
    return result


def _longer(array: NDArray[T], least: int) -> NDArray[T]:
    """The same with zeros behind it, when it is shorter than needed."""
    if len(array) >= least:
        return array
    more = np.zeros((max(least, 2 * len(array)) - len(array), *array.shape[1:]), array.dtype)
    return np.concatenate([array, more])
