"""The choices of a policy, checked before they are used.

A policy may come from another package. Its choice is written to the run file: with an invalid one
the run could never be resumed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import numpy as np

from afir.errors import AfirError, InputError, said
from afir.methods.base import Offer
from afir.policies import Policy
from networks.graph.network import ReactionNetwork
from networks.policies.abilities import doubt_of
from networks.records.ids import Id
from networks.records.structures import EQ
from networks.records.trials import Item, Trial
from networks.scheduling.queue import Frontier


class Choice:
    """A policy whose answers are checked.

    Parameters
    ----------
    name
        Its name.
    policy
        The policy.
    """

    def __init__(self, name: str, policy: Policy) -> None:
        self._name = name
        self._policy = policy

    def choose(
        self, frontier: Frontier, network: ReactionNetwork, n: int, rng: np.random.Generator
    ) -> tuple[Item, ...]:
        """The pushes that the policy chooses; see `afir.policies.Policy.choose`.

        Raises
        ------
        AfirError
            If the answer is no list of one to `n` different pushes that are left, or the policy
            fails.
        """
        try:
            answer = self._policy.choose(frontier, network, n, rng)
        except (Exception, SystemExit) as error:
            raise self._failed("choosing", error) from error
        if not isinstance(answer, list | tuple):
            raise self._wrong(f"must choose a list of tuples, got {type(answer).__name__}")
        if not answer:
            raise self._wrong("must choose something while pushes are left, got nothing")
        if len(answer) > n:
            raise self._wrong(f"must choose at most {n} items, got {len(answer)}")
        items = [self._item(given) for given in answer]
        for number, item in enumerate(items):
            if item.push not in frontier.left(item.eq):
                raise self._wrong(f"must choose pushes that are left, got {item.eq} {item.push}")
            if item in items[:number]:
                raise self._wrong(f"must choose no push twice, got {item.eq} {item.push} again")
        return tuple(items)

    def learn(self, trials: Iterable[Trial], network: ReactionNetwork) -> None:
        """Tell the policy the outcome of trials; see `afir.policies.Policy.learn`.

        Raises
        ------
        AfirError
            If the policy fails.
        """
        try:
            self._policy.learn(trials, network)
        except (Exception, SystemExit) as error:
            raise self._failed("learning", error) from error

    def doubt(self, pushes: Callable[[EQ], Sequence[Offer]], network: ReactionNetwork) -> str:
        """Why the policy knows little about the molecule; see `abilities.doubt_of`."""
        return doubt_of(self._name, self._policy, pushes, network)

    def _item(self, given: object) -> Item:
        """The item with plain values, which can be stored."""
        if isinstance(given, tuple) and len(given) == 2:
            id, push = given
            if not isinstance(push, bool):
                with suppress(TypeError, InputError):  # else it is no id, or no whole number
                    return Item(Id(id), operator.index(push))
        raise self._wrong(f"must choose tuples of an id and a whole number, got {given!r}")

    def _wrong(self, what: str) -> AfirError:
        return AfirError(f"the policy {self._name!r} {what}; {_REMEDY}")

    def _failed(self, doing: str, error: BaseException) -> AfirError:
        """The error for an exception of the policy, with its own message if it chose one."""
        return AfirError(
            f"the policy {self._name!r} failed while {doing}: {said(error)}; {_REMEDY}"
        )


_REMEDY = "fix it, then resume the run, or resume it with another --policy"
