"""Policies: the choice of the next pushes.

Policies register a factory ``factory(**options) -> Policy`` as an entry point of the group
``afir.policies``. Options may come from a file of somebody else: they must not choose a program to
run (`afir.pes.named`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import entry_points
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from afir.errors import AfirError, InputError
from afir.options import check_options
from afir.units import BOLTZMANN
from networks.graph.network import ReactionNetwork
from networks.records.structures import EQ, Item, Trial
from networks.scheduling.queue import Frontier

ENTRY_POINT_GROUP = "afir.policies"


class Policy(Protocol):
    """Chooses pushes, from its arguments alone."""

    def choose(
        self,
        frontier: Frontier,
        network: ReactionNetwork,
        n: int,
        rng: np.random.Generator,
    ) -> list[Item]:
        """Up to `n` different pushes that are left, in the order to try them.

        Parameters
        ----------
        frontier
            The pushes that are left; not to be changed.
        network
            The known structures; not to be changed.
        n
            Maximum number, 1 or more. Choose fewer only if the frontier has fewer left: pushes
            that wait for others (`Frontier.left`) come in another round.
        rng
            The only source of random numbers.
        """
        ...

    def learn(self, trials: Iterable[Trial], network: ReactionNetwork) -> None:
        """Take the results of trials into account.

        Parameters
        ----------
        trials
            In order, each once: all so far when a run is opened, then those of each round.
        network
            The known structures, those of the trials included; not to be changed.
        """
        ...


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
        ids = list(frontier.eqs)
        energies = np.fromiter((eq.energy for eq in frontier.eqs.values()), float, len(ids))
        exponents = -energies / (BOLTZMANN * self._temperature)
        shares = _shares(exponents)
        chosen: list[Item] = []
        waiting: dict[int, list[int]] = {}
        while len(chosen) < n and shares is not None:
            index = int(shares.searchsorted(rng.random(), side="right"))
            if index not in waiting:
                waiting[index] = list(frontier.left(ids[index]))[::-1]
            if waiting[index]:
                chosen.append(Item(ids[index], waiting[index].pop()))
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


def policy_names() -> tuple[str, ...]:
    """The names `load_policy` knows, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)}))


def load_policy(name: str, options: Mapping[str, Any] | None = None) -> Policy:
    """Build a registered policy.

    Raises
    ------
    InputError
        For an unknown name or option, and when the policy cannot be built.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            factory = _built(name, point.load)
            check_options(f"the policy {name!r}", factory, options or {}, given=0)
            policy: Policy = _built(name, partial(factory, **(options or {})))
            return policy
    raise InputError(f"`policy` must be one of {', '.join(policy_names())}, got {name!r}")


def _built(name: str, make: Callable[[], Any]) -> Any:
    """The value of `make` for a policy; InputError for any exception of an external one."""
    try:
        return make()
    except AfirError:
        raise
    except Exception as error:
        raise InputError(
            f"the policy {name!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def _in_order(eqs: Iterable[EQ], frontier: Frontier, n: int) -> list[Item]:
    chosen: list[Item] = []
    for eq in eqs:
        for number in frontier.left(eq.id):
            chosen.append(Item(eq.id, number))
            if len(chosen) == n:
                return chosen
    return chosen
