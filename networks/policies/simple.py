"""Policies that do not learn: by energy, in order of discovery, at random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.options import check_whole
from afir.policies import Offers, Policy, Structure, Structures, Tried
from afir.units import BOLTZMANN


class _Unlearned:
    """A policy that does not learn from trials."""

    def learn(self, trials: Iterable[Tried], network: Structures) -> None:
        """Do nothing; see `Policy.learn`."""


class LowestEnergy(_Unlearned):
    """Chooses the offers on the EQ of lowest energy, then those of the next."""

    def choose(
        self, offers: Offers, network: Structures, n: int, rng: np.random.Generator
    ) -> list[tuple[str, int]]:
        """See `Policy.choose`."""
        return _in_order(offers.by_energy(), offers, n)


class Exhaustive(_Unlearned):
    """Chooses the offers on each EQ in the order of discovery."""

    def choose(
        self, offers: Offers, network: Structures, n: int, rng: np.random.Generator
    ) -> list[tuple[str, int]]:
        """See `Policy.choose`."""
        return _in_order(offers.eqs.values(), offers, n)


class Sampling:
    """Chooses some offers at random on each EQ, in the order of discovery, then more of each.

    Parameters
    ----------
    per_eq
        The number of offers on an EQ before the next EQ has its turn.
    """

    def __init__(self, per_eq: int) -> None:
        check_whole("per_eq", per_eq, least=1)
        self._per_eq = per_eq
        self._tried: Counter[str] = Counter()

    def learn(self, trials: Iterable[Tried], network: Structures) -> None:
        """Count the trials of each EQ; see `Policy.learn`."""
        self._tried.update(trial.eq for trial in trials)

    def choose(
        self, offers: Offers, network: Structures, n: int, rng: np.random.Generator
    ) -> list[tuple[str, int]]:
        """See `Policy.choose`."""
        counts = self._tried + Counter(id for id, _ in offers.under_way)
        chosen: list[tuple[str, int]] = []
        share, more = self._per_eq, True
        while more and len(chosen) < n:
            more = False
            for id in offers.eqs:
                left = [number for number in offers.left(id) if (id, number) not in chosen]
                more = more or bool(left)
                room = min(share - counts[id], n - len(chosen))
                if left and room > 0:
                    picked = rng.permutation(left)[:room].tolist()
                    chosen += [(id, number) for number in picked]
                    counts[id] += len(picked)
                if len(chosen) == n:
                    break
            share += self._per_eq
        return chosen


class Stochastic(_Unlearned):
    """Chooses the next offer on EQs drawn with p ∝ exp(−E/k_B·T).

    Parameters
    ----------
    temperature
        The model temperature T in K: the higher, the more uniform.
    shuffled
        Whether any offer on the EQ that is drawn comes next, not the next in the list.
    """

    def __init__(self, temperature: float, shuffled: bool) -> None:
        if isinstance(temperature, bool) or not isinstance(temperature, int | float):
            raise InputError(f"`temperature` must be a number in K, got {temperature!r}")
        if not 0 < temperature < np.inf:
            raise InputError(f"`temperature` must be positive, got {temperature}")
        self._temperature = float(temperature)
        self._shuffled = shuffled

    def choose(
        self, offers: Offers, network: Structures, n: int, rng: np.random.Generator
    ) -> list[tuple[str, int]]:
        """See `Policy.choose`."""
        ids = list(offers.eqs)
        energies = np.fromiter((eq.energy for eq in offers.eqs.values()), float, len(ids))
        exponents = -energies / (BOLTZMANN * self._temperature)
        shares = _shares(exponents)
        chosen: list[tuple[str, int]] = []
        waiting: dict[int, list[int]] = {}
        while len(chosen) < n and shares is not None:
            index = int(shares.searchsorted(rng.random(), side="right"))
            if index not in waiting:
                waiting[index] = list(offers.left(ids[index]))[::-1]
                if self._shuffled:
                    rng.shuffle(waiting[index])
            if waiting[index]:
                chosen.append((ids[index], waiting[index].pop()))
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


def exhaustive(per_eq: int | None = None) -> Policy:
    """The policy ``exhaustive``: all offers on an EQ, or so many at random, then the next EQ."""
    return Exhaustive() if per_eq is None else Sampling(per_eq)


def stochastic(temperature: float = 2000.0, shuffled: bool = False) -> Policy:
    """The policy ``stochastic``: its model temperature in K, and the order on an EQ."""
    return Stochastic(temperature, shuffled)


def _in_order(eqs: Iterable[Structure], offers: Offers, n: int) -> list[tuple[str, int]]:
    chosen: list[tuple[str, int]] = []
    for eq in eqs:
        for number in offers.left(eq.id):
            chosen.append((eq.id, number))
            if len(chosen) == n:
                return chosen
    return chosen
