"""What is to be said of a start before anything is tried from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from afir.geometry.bonds import bond_changes
from afir.methods.base import Offer
from networks.exploration.events import Event, Rebonded, Unsure
from networks.graph.network import ReactionNetwork
from networks.policies.choice import Choice
from networks.records.structures import EQ
from networks.storage.base import ReadableStore


def remarks(
    store: ReadableStore,
    network: ReactionNetwork,
    choice: Choice,
    pushes: Callable[[EQ], Sequence[Offer]],
) -> Iterator[Event]:
    """Events for bonds that changed while it was relaxed, and for a policy that knows little of it.

    Parameters
    ----------
    store, network
        The run, in which EQ0 is known.
    choice
        The policy.
    pushes
        All pushes of an EQ.
    """
    given = [("start", store.start, network.eqs["EQ0"].positions)]
    wanted, relaxed = store.settings.wanted_positions(), store.wanted()
    if wanted is not None and relaxed is not None:
        given.append(("wanted product", wanted, relaxed[0]))
    for what, before, after in given:
        changes = bond_changes(network.molecule, before, after)
        if changes:
            yield Rebonded(what, changes)
    if doubt := choice.doubt(pushes, network):
        yield Unsure(store.settings.policy, doubt)
