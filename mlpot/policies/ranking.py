"""How offers are ranked: what a model expects of them, corrected by the run, for their price.

A run and the replay of one do this alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlpot.policies.correction import Correction, factors
from mlpot.policies.memory import KIND, PRODUCT, SPECIES, STRUCTURE
from mlpot.policies.model import PolicyModel
from mlpot.policies.structure import Floats, Ints

EXPLORE = ("greedy", "ucb", "expected-improvement", "thompson")
"""How the uncertainty of what is expected counts."""

LOW_WEIGHT, EQ_WEIGHT = 1.0, 0.3
"""What a low TS is worth beyond a TS, and what an EQ is worth, unless it is said; chosen."""

_TIE = 1e-6  # relative: expectations that differ less are equal, and chance decides
# An offer under way makes others less promising: equivalent ones, those from one species to the
# same product, those on the same structure. From replays of 16 molecules.
_ALIKE, _SAME_PRODUCT, _SAME_STRUCTURE = 0.4, 0.7, 0.96


class Ranking:
    """Ranks offers by what they are expected to bring for a gradient.

    Parameters
    ----------
    model
        The model.
    explore
        One of `EXPLORE`.
    weights
        (3,) the worth of a TS, of a low TS beyond that, and of an EQ.
    """

    def __init__(self, model: PolicyModel, explore: str, weights: Floats) -> None:
        self.model, self.weights = model, weights
        self._explore = explore
        self._correction = Correction()

    def weigh(self, rows: Floats, terms: Floats, found: tuple[int, int, int]) -> None:
        """Take in what a trial found, before it is counted in the memory of the run.

        Parameters
        ----------
        rows
            (1, k) its features as they were.
        terms
            (1, t) its terms of the correction.
        found
            The new TSs, the low ones among them, and the new EQs.
        """
        (expected,), _, _ = self.model.foretold(rows, self.weights)
        worth = float(np.array(found) @ self.weights)
        self._correction.add(terms[0], worth, float(expected))

    def corrections(self, terms: Floats) -> Floats:
        """How much more or less than foretold offers (m, t) bring, by what this run has found."""
        return factors(terms, self._correction.fit()[0])

    def values(
        self,
        expected: tuple[Floats, Floats, Floats],
        terms: Floats,
        rng: np.random.Generator,
        explore: str | None = None,
    ) -> Floats:
        """What each offer (m,) is expected to bring for a gradient; chance decides between equals.

        Parameters
        ----------
        expected
            What the model foretells: gains, spreads and costs.
        terms
            (m, t) the terms of the correction.
        rng
            The source of random numbers.
        explore
            One of `EXPLORE`; that of the ranking if it is not given.
        """
        gains, spreads, costs = expected
        explore = explore or self._explore
        thompson = explore == "thompson"
        beta = self._correction.drawn(rng) if thompson else self._correction.fit()[0]
        factor = factors(terms, beta) / costs
        if explore == "ucb":
            gains = gains + spreads
        values: Floats = gains * factor
        if explore == "expected-improvement":
            values = _improvement(values, spreads * factor)
        values *= 1.0 + _TIE * rng.random(len(values))
        return values


def best(values: Floats, groups: Ints) -> Iterator[int]:
    """The places of offers, the best first; each makes similar ones less promising.

    Parameters
    ----------
    values
        (m,) what each is expected to bring for a gradient.
    groups
        (m, 7) their groups.
    """
    values, left = values.copy(), np.ones(len(values), dtype=bool)
    while left.any():
        place = int(np.argmax(np.where(left, values, -np.inf)))
        left[place] = False
        yield place
        values *= likeness(groups, groups[place])


def likeness(groups: Ints, chosen: Ints) -> Floats:
    """What offers (m, 7) are still worth when one (7,) is under way."""
    factor = np.where(groups[:, KIND] == chosen[KIND], _ALIKE, 1.0)
    if chosen[PRODUCT] != chosen[SPECIES]:  # it is meant to change bonds
        same = (groups[:, PRODUCT] == chosen[PRODUCT]) & (groups[:, SPECIES] == chosen[SPECIES])
        factor[same] *= _SAME_PRODUCT
    factor[groups[:, STRUCTURE] == chosen[STRUCTURE]] *= _SAME_STRUCTURE
    return factor


def _improvement(means: Floats, spreads: Floats) -> Floats:
    """By how much each is expected to surpass the best mean, normal distributions assumed."""
    from scipy.stats import norm  # half a second to import, and seldom asked for

    spreads = np.maximum(spreads, 1e-12)
    z = (means - means.max(initial=0.0)) / spreads
    result: Floats = spreads * (z * norm.cdf(z) + norm.pdf(z))
    return result
