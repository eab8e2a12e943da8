"""The nodes of the network that the searches of a trial recognise."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from afir.stationary import StationaryPoint
from networks.execution.tasks import KnownPoints
from networks.graph.network import ReactionNetwork
from networks.records.structures import EQ, TS, alone
from networks.records.trials import Known


class Recognisable:
    """The EQs and TSs of a network as tasks are told of them, each made once for all tasks.

    Parameters
    ----------
    network
        Read only.
    """

    def __init__(self, network: ReactionNetwork) -> None:
        self._network = network
        self._points: dict[str, StationaryPoint] = {}

    def first(self, known: Known) -> KnownPoints:
        """Those that were known when a trial was planned."""
        return KnownPoints(
            self._alone(self._network.eqs, known.eqs), self._alone(self._network.tss, known.tss)
        )

    def _alone(
        self, nodes: Mapping[str, EQ] | Mapping[str, TS], count: int
    ) -> tuple[StationaryPoint, ...]:
        for id, node in islice(nodes.items(), count):
            if id not in self._points:
                self._points[id] = alone(node)
        return tuple(self._points[id] for id in islice(nodes, count))
