"""The way of lowest barrier between two nodes of a network."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from afir.errors import InputError
from networks.network import ReactionNetwork
from networks.records import TS


@dataclass(frozen=True)
class Route:
    """A way through the network.

    Attributes
    ----------
    nodes
        Ids from the first node to the last.
    tss
        Ids of the transition states between them, one fewer than nodes.
    top
        Energy of the highest of them in eV.
    """

    nodes: tuple[str, ...]
    tss: tuple[str, ...]
    top: float


def lowest_route(network: ReactionNetwork, start: str, end: str) -> Route:
    """The route whose highest transition state is as low as can be.

    Every part of it is such a route too (it lies on the minimum spanning tree of the
    transition-state energies), so each of its barriers is the lowest possible. Dissociation
    channels are ends of routes, never stations: fragments that have gone do not come back.

    Parameters
    ----------
    network
        The network.
    start, end
        Ids of EQs or DCs.

    Raises
    ------
    InputError
        If an id does not exist, both are the same, or no transition states connect them.
    """
    for id in (start, end):
        network.node(id)
    if start == end:
        raise InputError(f"a route must lead from one node to another, got {start} twice")
    steps: nx.Graph[str] = nx.Graph()
    for ts in network.tss.values():
        if ts.ends[0] != ts.ends[1] and all(
            id in network.eqs or id in (start, end) for id in ts.ends
        ):
            known = steps.get_edge_data(*ts.ends)
            if known is None or ts.energy < known["ts"].energy:
                steps.add_edge(*ts.ends, ts=ts, energy=ts.energy)
    steps.add_nodes_from((start, end))
    tree = nx.minimum_spanning_tree(steps, weight="energy")
    try:
        nodes = nx.shortest_path(tree, start, end)
    except nx.NetworkXNoPath:
        raise InputError(
            f"no chain of known transition states leads from {start} to {end}; "
            "explore further or choose other ends"
        ) from None
    passed: list[TS] = [tree.edges[a, b]["ts"] for a, b in pairwise(nodes)]
    return Route(tuple(nodes), tuple(ts.id for ts in passed), max(ts.energy for ts in passed))
