"""Policies: which trial comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import entry_points
from typing import Any, Protocol

import numpy as np

from afir.errors import AfirError, InputError
from afir.options import check_options
from networks.graph.network import ReactionNetwork
from networks.records.trials import Item, Trial
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
