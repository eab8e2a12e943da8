"""The layout of a drawing of a network: connected structures side by side, labels apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from networks.graph.network import ReactionNetwork
from networks.records.structures import TS, Barrierless

Link: TypeAlias = "tuple[str, str, float]"
"""Two ids and the energy of the step between them."""

Point: TypeAlias = "tuple[float, float]"

_SMALL = 400_000  # nodes times links squared: up to here, an order is improved within a second
_SWEEPS = 20  # at most: in 120 random networks of up to 60 nodes no node moved after the sixth
_WEAK = 1e-3  # of a link: a spring through all nodes in the order given makes the answer unique


@dataclass(frozen=True)
class Box:
    """A rectangle, e.g. around a label, in the units of the axes."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Whether two rectangles overlap."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )


def free_spot(
    candidates: Sequence[Box], taken: Sequence[Box], lines: Sequence[Box] = ()
) -> int | None:
    """The index of the first spot with room.

    Parameters
    ----------
    candidates
        The box that each spot needs.
    taken
        Boxes that it must not overlap.
    lines
        Boxes to overlap only if every spot overlaps something.

    Returns
    -------
    int or None
        The first spot that overlaps nothing, else the first that overlaps lines only; None if all
        overlap `taken`.
    """
    free = [
        index
        for index, box in enumerate(candidates)
        if not any(box.meets(other) for other in taken)
    ]
    clear = (index for index in free if not any(candidates[index].meets(other) for other in lines))
    return next(clear, free[0] if free else None)


def spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Heights as near as possible to those wanted, ``apart`` from each other, in the same order.

    Parameters
    ----------
    wanted
        Ascending heights.
    apart
        The smallest distance between two.
    low, high
        Limits, kept as long as there is room for all.
    """
    if not wanted:
        return []
    steps = apart * np.arange(len(wanted))
    fitted = isotonic_regression(np.asarray(wanted) - steps).x
    return [float(y) for y in np.clip(fitted, low, max(low, high - steps[-1])) + steps]


def hills(
    ends: Mapping[str, tuple[str, str]],
    levels: Mapping[str, tuple[float, float]],
    heights: Mapping[str, float],
    reach: float,
) -> dict[str, tuple[Point, Point, Point, Point]]:
    """The start, both ends of the flat top, and the end of the curve of each transition state.

    A curve rises and falls between two columns and passes over those between its ends at the
    height of its top. A loop stands with both feet on its own level, the higher around the lower.
    Between two levels above each other, those of two channels, both feet are on the left, and no
    two tops are at the same place.

    Parameters
    ----------
    ends
        The two nodes of each transition state.
    levels
        Left and right end of the level of every node.
    heights
        The height of all of them.
    reach
        The length in which a curve rises.
    """
    found: dict[str, tuple[Point, Point, Point, Point]] = {}
    loops: dict[str, list[str]] = {}
    stacked: list[str] = []
    for id in sorted(ends, key=heights.__getitem__):
        if ends[id][0] == ends[id][1]:
            loops.setdefault(ends[id][0], []).append(id)
        elif levels[ends[id][0]] == levels[ends[id][1]]:
            stacked.append(id)
    for id, pair in ends.items():
        first, second = sorted(pair, key=levels.__getitem__)
        (left, right), (x2, _) = levels[first], levels[second]
        if first == second:
            share = (loops[first].index(id) + 1) / len(loops[first])
            inset = (0.5 - 0.4 * share) * (right - left)
            x1, x2 = left + inset, right - inset
        else:
            x1 = right if right < x2 else left
        rise = min(0.5 * (x2 - x1), reach)
        if id in stacked:
            rise = -reach * (stacked.index(id) + 1) / (len(stacked) + 1)
        top = heights[id]
        found[id] = (
            (x1, heights[first]),
            (x1 + rise, top),
            (x2 - abs(rise), top),
            (x2, heights[second]),
        )
    return found


def connected(network: ReactionNetwork) -> list[str]:
    """Ids of the EQs that are joined to another EQ or DC, by discovery."""
    joined = {id for a, b, _ in lowest_links(network) for id in (a, b)}
    return [id for id in network.eqs if id in joined]


def lowest_links(network: ReactionNetwork) -> list[Link]:
    """The joined pairs of nodes, each once with the lowest step between them; no loops."""
    lowest: dict[tuple[str, str], float] = {}
    steps: list[TS | Barrierless] = [*network.tss.values(), *network.barrierless.values()]
    for step in steps:
        first, second = sorted(step.ends)
        if first != second:
            lowest[first, second] = min(step.energy, lowest.get((first, second), step.energy))
    return [(first, second, top) for (first, second), top in lowest.items()]


def arrangement(nodes: Sequence[str], links: Sequence[Link]) -> list[list[str]]:
    """The nodes in rows from left to right, a row for every connected part of the network.

    A row starts from the second eigenvector of the Laplacian of its part (Hall 1970,
    doi:10.1287/mnsc.17.3.219); in small parts, up to some 60 nodes, single nodes are then moved
    for as long as that makes the links shorter and lets fewer of them cross.

    Parameters
    ----------
    nodes
        Ids; the first is drawn to the left.
    links
        The joined pairs. An id that is not among the nodes stands at the right end.

    Returns
    -------
    list
        Rows of ids; that of the first node comes first, then the longest.
    """
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(nodes)
    known = set(nodes)
    graph.add_edges_from((a, b) for a, b, _ in links if a in known and b in known)
    parts = [[id for id in nodes if id in part] for part in nx.connected_components(graph)]
    parts.sort(key=lambda part: (nodes[0] not in part, -len(part)))
    return [_row(part, [link for link in links if {*link[:2]} & {*part}]) for part in parts]


def _row(nodes: list[str], links: list[Link]) -> list[str]:
    """One connected part in a row."""
    n = len(nodes)
    if n == 1:
        return nodes
    index = {id: i for i, id in enumerate(nodes)}
    ends = np.array([[index.get(id, n) for id in link[:2]] for link in links], dtype=np.intp)
    tops = np.array([link[2] for link in links])
    graph: nx.Graph[int] = nx.Graph()
    nx.add_path(graph, range(n), weight=_WEAK)
    for i, j in ends[ends.max(axis=1) < n].tolist():
        graph.add_edge(i, j, weight=1.0 + graph.get_edge_data(i, j, {}).get("weight", 0.0))
    # Not `nx.spectral_ordering`, which starts its iteration at random.
    laplacian = nx.laplacian_matrix(graph, nodelist=range(n)).toarray()
    row = [int(i) for i in np.argsort(np.linalg.eigh(laplacian)[1][:, 1], kind="stable")]
    if 2 * row.index(0) > n - 1:
        row.reverse()
    if n * len(ends) ** 2 <= _SMALL:
        row = _improved(row, ends, tops)
    return [nodes[i] for i in row]


def _improved(row: list[int], ends: NDArray[np.intp], tops: NDArray[np.float64]) -> list[int]:
    """Move single nodes for as long as that helps."""
    best = float(_cost(np.array([row]), ends, tops)[0])
    for _ in range(_SWEEPS):
        before = best
        for node in range(len(row)):
            rest = [other for other in row if other != node]
            tried = np.array([[*rest[:spot], node, *rest[spot:]] for spot in range(len(row))])
            costs = _cost(tried, ends, tops)
            spot = int(np.argmin(costs))
            if costs[spot] < best:
                row, best = [int(i) for i in tried[spot]], float(costs[spot])
        if best == before:
            break
    return row


def _cost(
    rows: NDArray[np.intp], ends: NDArray[np.intp], tops: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(k,) lengths of all links plus how often they cross, for rows (k, n) of n nodes.

    Links are arcs over the row. Two cross when they interleave, or when the inner one of two
    that do not has the higher top.
    """
    k, n = rows.shape
    ranks = np.full((k, n + 1), n)  # other nodes stand at the right end
    np.put_along_axis(ranks, rows, np.arange(n)[None], axis=1)
    a, b = ranks[:, ends[:, 0]], ranks[:, ends[:, 1]]
    left, right = np.minimum(a, b), np.maximum(a, b)  # (k, m) each
    # The first node is pulled to the left, less than by the two links that hold it in a chain.
    cost = (right - left).sum(axis=1) + 1.5 * ranks[:, 0]
    left1, right1, left2, right2 = (
        left[:, :, None],
        right[:, :, None],
        left[:, None],
        right[:, None],
    )
    interleaved = (left1 < left2) & (left2 < right1) & (right1 < right2)
    inside = (left1 <= left2) & (right2 <= right1) & (tops[:, None] < tops)
    sides = (left1 < left2).astype(np.intp) + (right2 < right1)
    return np.asarray(cost + interleaved.sum(axis=(1, 2)) + (inside * sides).sum(axis=(1, 2)))
