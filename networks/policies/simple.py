"""Policies that do not learn: by energy, in order of discovery, at random."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.units import BOLTZMANN
from networks.graph.network import ReactionNetwork
from networks.policies.base import Policy
from networks.records.structures import EQ
from networks.records.trials import Item, Trial
from networks.scheduling.queue import Frontier


class _Unlearned:
    """A policy that does not learn from trials."""

    def learn(self, trials: Iterable[Trial], network: ReactionNetwork) -> None:
        """Do nothing; see `Policy.learn`."""


class LowestEnergy(_Unlearned):
    """Chooses the pushes of the EQ of lowest energy, then those of the next."""

    def choose(
        self,
        frontier: Frontier,
        network: ReactionNetwork,
        n: int,
        rng: np.random.Generator,
    ) -> list[Item]:
        """See `Policy.choose`."""
        return _in_order(frontier.by_energy(), frontier, n)


class Exhaustive(_Unlearned):
    """Chooses the pushes of each EQ in the order of discovery."""

    def choose(
        self,
        frontier: Frontier,
        network: ReactionNetwork,
        n: int,
        rng: np.random.Generator,
    ) -> list[Item]:
        """See `Policy.choose`."""
        return _in_order(frontier.eqs.values(), frontier, n)


class Stochastic(_Unlearned):
    """Chooses the next push of EQs drawn with p ∝ exp(−E/k_B·T).

    Parameters
    ----------
    temperature
        The model temperature T in K: the higher, the more uniform.
    """

    def __init__(self, temperature: float) -> None:
        if isinstance(temperature, bool) or not isinstance(temperature, int | float):
            raise InputError(f"`temperature` must be a number in K, got {temperature!r}")
        if not 0 < temperature < np.inf:
            raise InputError(f"`temperature` must be positive, got {temperature}")
        self._temperature = float(temperature)

    def choose(
        self,
        frontier: Frontier,
        network: ReactionNetwork,
        n: int,
        rng: np.random.Generator,
    ) -> list[Item]:
        """See `Policy.choose`."""
        eqs = list(frontier.eqs.values())
        energies = np.fromiter((eq.energy for eq in eqs), float, len(eqs))
        exponents = -energies / (BOLTZMANN * self._temperature)
        shares = _shares(exponents)
        chosen: list[Item] = []
        waiting: dict[int, list[int]] = {}
        while len(chosen) < n and shares is not None:
            index = int(shares.searchsorted(rng.random(), side="right"))
            if index not in waiting:
                waiting[index] = list(frontier.left(eqs[index].id))[::-1]
            if waiting[index]:
                chosen.append(Item(eqs[index].id, waiting[index].pop()))
            else:
                exponents[index] = -np.inf
                shares = _shares(exponents)
        return chosen


def _shares(exponents: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The cumulative probabilities (k,) for weights given as exponents; None if all are 0."""
    largest = exponents.max(initial=-np.inf)
    if not np.isfinite(largest):
        return None
    # Relative to the most probable one, so that the sum of weights does not vanish.
    sums: NDArray[np.float64] = np.exp(exponents - largest).cumsum()
    sums /= sums[-1]
    return sums


def lowest_energy() -> Policy:
    """The policy ``lowest-energy``."""
    return LowestEnergy()


def exhaustive() -> Policy:
    """The policy ``exhaustive``."""
    return Exhaustive()


def stochastic(temperature: float = 2000.0) -> Policy:
    """The policy ``stochastic`` with its model temperature in K."""
    return Stochastic(temperature)


def _in_order(eqs: Iterable[EQ], frontier: Frontier, n: int) -> list[Item]:
    chosen: list[Item] = []
    for eq in eqs:
        for number in frontier.left(eq.id):
            chosen.append(Item(eq.id, number))
            if len(chosen) == n:
                return chosen
    return chosen
