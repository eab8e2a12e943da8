"""The route of lowest barrier between two nodes of a network."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from afir.errors import InputError
from networks.graph.network import ReactionNetwork
from networks.records.structures import TS, Barrierless


@dataclass(frozen=True)
class Route:
    """A route through the network.

    Attributes
    ----------
    nodes
        Ids from the first node to the last.
    steps
        Ids of the edges from each node to the next, one fewer than nodes: transition states, and
        barrierless edges between a complex and a channel (`ReactionNetwork.barrierless`).
    tss
        The transition states among them.
    top
        Energy of the highest step in eV; a barrierless step has that of its higher end.
    """

    nodes: tuple[str, ...]
    steps: tuple[str, ...]
    tss: tuple[str, ...]
    top: float


def lowest_route(network: ReactionNetwork, start: str, end: str) -> Route:
    """The route whose highest step is as low as possible.

    Every part of it is such a route too (it lies on the minimum spanning tree of the
    energies of the steps), so each of its barriers is the lowest possible. Dissociation
    channels are ends of routes only: separated fragments do not meet again.

    Parameters
    ----------
    network
        The network.
    start, end
        Ids of EQs or DCs.

    Raises
    ------
    InputError
        If an id does not exist, both are the same, or nothing connects them.
    """
    for id in (start, end):
        network.node(id)
    if start == end:
        raise InputError(f"a route must connect two different nodes, got {start} twice")
    steps: nx.Graph[str] = nx.Graph()
    every: list[TS | Barrierless] = [*network.tss.values(), *network.barrierless.values()]
    for step in every:
        if step.ends[0] != step.ends[1] and all(
            id in network.eqs or id in (start, end) for id in step.ends
        ):
            known = steps.get_edge_data(*step.ends)
            if known is None or step.energy < known["energy"]:
                steps.add_edge(*step.ends, step=step, energy=step.energy)
    steps.add_nodes_from((start, end))
    tree = nx.minimum_spanning_tree(steps, weight="energy")
    try:
        nodes = nx.shortest_path(tree, start, end)
    except nx.NetworkXNoPath:
        raise InputError(
            f"no chain of known transition states connects {start} and {end}; "
            "explore further or choose other ends"
        ) from None
    passed: list[TS | Barrierless] = [tree.edges[a, b]["step"] for a, b in pairwise(nodes)]
    return Route(
        tuple(nodes),
        tuple(step.id for step in passed),
        tuple(step.id for step in passed if isinstance(step, TS)),
        max(step.energy for step in passed),
    )
