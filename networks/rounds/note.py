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
    dismissed
        Receives structures that are no nodes of their own.
    new
        The nodes that were added, by id.
    trial
        The number of the trial.
    eq
        The EQ that was pushed.
    """

    def __init__(
        self,
        network: ReactionNetwork,
        dismissals: Dismissals,
        dismissed: list[Dismissed],
        new: dict[str, EQ | TS | DC],
        trial: int,
        eq: str,
    ) -> None:
        self.network = network
        self.dismissals = dismissals
        self.dismissed = dismissed
        self.new = new
        self.trial = trial
        self.eq = eq

    def dismiss(
        self,
        kind: str,
        structure: Candidate | Minimum | StationaryPoint,
        outcome: Outcome,
        reason: str,
        node: str | None,
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

    def saddle(self, candidate: Candidate) -> str | None:
        """The id of the known TS that a candidate is; None if it is new."""
        x, energy = candidate.positions, candidate.energy
        id = self.network.find_ts(x, energy)
        before = None if id else self.dismissals.find("TS", x, energy)
        return before.node if before else id

    def is_node(self, structure: Minimum | StationaryPoint, node: str) -> None:
        """Record the node of a minimum, unless the network finds it anyway."""
        x, energy = structure.positions, structure.energy
        if self.network.find_eq(x, energy) == node:
            return
        before = self.dismissals.find("EQ", x, energy)
        if before is None or before.node != node:
            self.dismiss("EQ", structure, Outcome.CONVERGED, f"it is {node}", node)
