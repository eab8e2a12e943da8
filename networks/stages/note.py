"""Recording the results of one trial."""

from __future__ import annotations

from afir.stationary import Candidate, Minimum, Outcome, StationaryPoint
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.ids import Id
from networks.records.structures import DC, EQ, TS, Dismissed


class Note:
    """Records the results of one trial.

    Parameters
    ----------
    network, dismissals
        The known structures; updated.
    trial
        The number of the trial.

    Attributes
    ----------
    dismissed
        The structures that are no nodes of their own.
    new
        The nodes that were added, by id.
    """

    def __init__(self, network: ReactionNetwork, dismissals: Dismissals, trial: int) -> None:
        self.network = network
        self.dismissals = dismissals
        self.trial = trial
        self.dismissed: list[Dismissed] = []
        self.new: dict[Id, EQ | TS | DC] = {}

    def dismiss(
        self,
        kind: str,
        structure: Candidate | Minimum | StationaryPoint,
        outcome: Outcome,
        reason: str,
        node: Id | None,
    ) -> None:
        """Record that a structure is no node of its own."""
        record = Dismissed(
            kind,
            structure.positions,
            structure.energy,
            outcome,
            reason,
            None if node is None else Id(node),
            self.trial,
        )
        self.dismissals.add(record)
        self.dismissed.append(record)

    def is_node(self, structure: Minimum | StationaryPoint, node: Id) -> None:
        """Record the node of a minimum, unless the network finds it anyway."""
        x, energy = structure.positions, structure.energy
        if self.network.find_eq(x, energy) == node:
            return
        before = self.dismissals.find("EQ", x, energy)
        if before is None or before.node != node:
            self.dismiss("EQ", structure, Outcome.CONVERGED, f"it is {node}", node)
