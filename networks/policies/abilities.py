"""What some policies can do beside choosing: propose, explain, doubt. Their answers are checked.

A policy may come from another package, see `networks.policies.choice`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from afir.errors import AfirError, InputError, MissingPackageError, said
from afir.methods.base import Offer
from afir.policies import (
    Doubts,
    Expectation,
    Explains,
    Explanation,
    Policy,
    Proposes,
    Structures,
    Tried,
)
from networks.graph.network import ReactionNetwork
from networks.records.structures import EQ
from networks.scheduling.queue import Frontier


def teach(name: str, policy: Policy, trials: Iterable[Tried], network: Structures) -> None:
    """Tell a policy that is only asked the outcome of trials; AfirError if it fails."""
    with _failing(name, "learning"):
        policy.learn(trials, network)


def proposals(
    name: str,
    policy: Policy,
    frontier: Frontier,
    network: Structures,
    n: int,
    rng: np.random.Generator,
) -> tuple[Expectation, ...]:
    """What a policy proposes; see `afir.policies.Proposes`.

    Raises
    ------
    InputError
        If it cannot propose.
    AfirError
        If it fails, or proposes what is not left.
    """
    if not isinstance(policy, Proposes):
        raise unable(name, "propose")
    with _failing(name, "proposing"):
        answer = policy.propose(frontier, network, n, rng)
    _check(name, answer, Expectation, n)
    for each in answer:
        if each.push not in frontier.left(each.eq):
            raise AfirError(
                f"the policy {name!r} must propose offers that are left, got {each.eq} {each.push}"
            )
    return tuple(answer)


def explanations(
    name: str,
    policy: Policy,
    offers: Mapping[tuple[str, int], Offer],
    under_way: Mapping[tuple[str, int], Offer],
    network: Structures,
) -> tuple[Explanation, ...]:
    """How a policy explains what it expects; see `afir.policies.Explains`.

    Raises
    ------
    InputError
        If it cannot explain, or needs a package that is not installed.
    AfirError
        If it fails, or does not explain each offer.
    """
    if not isinstance(policy, Explains):
        raise unable(name, "explain")
    with _failing(name, "explaining"):
        answer = policy.explain(offers, under_way, network)
    _check(name, answer, Explanation, len(offers))
    if len(answer) != len(offers):
        raise AfirError(
            f"the policy {name!r} must explain all {len(offers)} offers, got {len(answer)}"
        )
    return tuple(answer)


def doubt_of(
    name: str, policy: Policy, pushes: Callable[[EQ], Sequence[Offer]], network: ReactionNetwork
) -> str:
    """Why a policy knows little about a molecule, in half a sentence; "" if it says nothing.

    Parameters
    ----------
    name, policy
        The policy.
    pushes
        All pushes of a structure; only a policy that doubts needs them.
    network
        The known structures, EQ0 at least.

    Raises
    ------
    AfirError
        If it fails.
    """
    if not isinstance(policy, Doubts):
        return ""
    offers = pushes(network.eqs["EQ0"])
    with _failing(name, "doubting"):
        return str(policy.doubt(offers, network))


def unable(name: str, what: str) -> InputError:
    """The error for a policy that cannot do something."""
    return InputError(f"the policy {name!r} cannot {what}; --policy learned can")


@contextmanager
def _failing(name: str, doing: str) -> Iterator[None]:
    """Let an error of a policy say whose it is."""
    try:
        yield
    except MissingPackageError:
        raise
    except (Exception, SystemExit) as error:
        raise AfirError(f"the policy {name!r} failed while {doing}: {said(error)}") from error


def _check(name: str, answer: object, kind: type, most: int) -> None:
    """Raise AfirError unless the answer is a list of this kind and at most so long."""
    if (
        not isinstance(answer, list | tuple)
        or len(answer) > most
        or not all(isinstance(each, kind) for each in answer)
    ):
        raise AfirError(
            f"the policy {name!r} must answer with a list of at most {most} {kind.__name__}, got "
            f"{type(answer).__name__}"
        )
