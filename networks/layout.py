"""Where things go in a drawing of a network: connected structures side by side, labels apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from networks.network import ReactionNetwork

_MOST_COLUMNS = 16
_IMPROVED = 80  # more nodes than this are only ordered roughly


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


def links(network: ReactionNetwork) -> list[tuple[str, str]]:
    """Pairs of ids that want to be close: joined by a TS, or a channel and where it came from."""
    pairs = {
        (min(ts.ends), max(ts.ends)) for ts in network.tss.values() if ts.ends[0] != ts.ends[1]
    }
    pairs |= {
        (min(dc.id, dc.origin), max(dc.id, dc.origin))
        for dc in network.dcs.values()
        if dc.origin in network.eqs
    }
    return sorted(pairs)


def arrangement(nodes: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The nodes in a row, linked ones close to each other.

    The row starts from the second eigenvector of the graph's Laplacian and is improved by
    moving single nodes for as long as that shortens the links.

    Parameters
    ----------
    nodes
        Ids; the first ends up in the left half.
    pairs
        Links between them.
    """
    place = {id: index for index, id in enumerate(nodes)}
    n = len(nodes)
    if n < 3:
        return list(nodes)
    laplacian = np.zeros((n, n))
    for a, b in pairs:
        i, j = place[a], place[b]
        laplacian[[i, j], [j, i]] -= 1.0
        laplacian[[i, j], [i, j]] += 1.0
    # A weak chain through all nodes keeps loose parts together and makes the answer unique.
    chain = np.arange(n - 1)
    laplacian[chain, chain + 1] -= 1e-3
    laplacian[chain + 1, chain] -= 1e-3
    laplacian[chain, chain] += 1e-3
    laplacian[chain + 1, chain + 1] += 1e-3
    vector = np.linalg.eigh(laplacian)[1][:, 1]
    row = [int(i) for i in np.argsort(vector, kind="stable")]
    if row.index(0) > n // 2:
        row.reverse()
    if n <= _IMPROVED:
        ends = np.array([[place[a], place[b]] for a, b in pairs], dtype=np.intp).reshape(-1, 2)
        row = _improved(row, ends)
    return [nodes[index] for index in row]


def _improved(row: list[int], ends: NDArray[np.intp]) -> list[int]:
    """Move single nodes for as long as the links get shorter."""

    def length(order: Sequence[int]) -> int:
        rank = np.empty(len(order), dtype=np.intp)
        rank[list(order)] = np.arange(len(order))
        return int(np.abs(rank[ends[:, 0]] - rank[ends[:, 1]]).sum())

    best = length(row)
    better = True
    while better:
        better = False
        for node in sorted(row):
            rest = [other for other in row if other != node]
            tried = [[*rest[:spot], node, *rest[spot:]] for spot in range(len(row))]
            lengths = [length(order) for order in tried]
            shortest = int(np.argmin(lengths))
            if lengths[shortest] < best:
                row, best, better = tried[shortest], lengths[shortest], True
    return row


def columns(row: Sequence[str], heights: Mapping[str, float], apart: float) -> dict[str, int]:
    """The column of every node of a row.

    Few nodes get a column each; many share columns, never closer than ``apart`` in height.

    Parameters
    ----------
    row
        Ids from left to right.
    heights
        Their heights.
    apart
        The smallest difference in height of two nodes in one column.
    """
    n = len(row)
    wanted = min(n, max(_MOST_COLUMNS, ceil(n / 3)))
    taken: dict[int, list[float]] = {}
    found: dict[str, int] = {}
    for index, id in enumerate(row):
        ideal = index * wanted // n
        for distance in range(2 * n):
            column = ideal + (distance + 1) // 2 * (1 if distance % 2 else -1)
            others = taken.setdefault(column, [])
            if all(abs(heights[id] - other) >= apart for other in others):
                others.append(heights[id])
                found[id] = column
                break
    used = sorted(set(found.values()))
    return {id: used.index(column) for id, column in found.items()}


def free_spot(candidates: Sequence[Box], taken: Sequence[Box]) -> int:
    """The first of some boxes that meets none of those taken; else the one that meets fewest."""
    meetings = [sum(box.meets(other) for other in taken) for box in candidates]
    return int(np.argmin(meetings))
