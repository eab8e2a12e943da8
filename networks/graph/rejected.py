"""Structures found before that are no nodes of their own, so that none is examined twice."""

from __future__ import annotations

from afir.molecule import Molecule, Positions
from afir.stationary import Outcome
from networks.graph.identity import IdentityIndex, fingerprint
from networks.records.ids import Id
from networks.records.structures import Dismissed

ZERO = "it is EQ0 on the searched surface"
"""Reason of the record with the energy of EQ0 on the searched surface."""


class Dismissals:
    """Structures found before that are no nodes of their own."""

    def __init__(self, molecule: Molecule) -> None:
        self._molecule = molecule
        self._indices = {kind: IdentityIndex(molecule) for kind in ("EQ", "TS")}
        self._doubtful = {kind: IdentityIndex(molecule) for kind in ("EQ", "TS")}
        self._records: dict[str, Dismissed] = {}
        self._zero: float | None = None

    def add(self, record: Dismissed) -> None:
        """Remember a structure."""
        if record.reason == ZERO:
            self._zero = record.energy
            return
        id = str(len(self._records))
        self._records[id] = record
        mark = fingerprint(self._molecule, record.positions, record.energy)
        indices = self._doubtful if record.outcome is Outcome.DOUBTED else self._indices
        indices[record.kind].add(id, mark, record.positions)

    def __len__(self) -> int:
        """Number of records."""
        return len(self._records)

    def find(
        self, kind: str, positions: Positions, energy: float, *, first: int | None = None
    ) -> Dismissed | None:
        """The record of a structure of that kind from when it was found before; None if it is new.

        Positions are (n, 3) in Å, the energy is in eV. A record with the outcome DOUBTED is
        returned only if there is no other. With `first` only as many records are compared, the
        earliest ones.
        """

        def among(id: str) -> bool:
            return first is None or int(id) < first

        mark = fingerprint(self._molecule, positions, energy)
        indices = self._indices[kind], self._doubtful[kind]
        id = indices[0].find(mark, positions, among) or indices[1].find(mark, positions, among)
        return None if id is None else self._records[id]

    def node(self, positions: Positions, energy: float, *, first: int | None = None) -> Id | None:
        """The id of the EQ that a minimum was when it was found before; None if none.

        Positions are (n, 3) in Å, the energy is in eV.
        """
        before = self.find("EQ", positions, energy, first=first)
        return None if before is None else before.node

    @property
    def zero(self) -> float | None:
        """The energy in eV of EQ0 on the searched surface; None without a reference."""
        return self._zero


def zero_record(positions: Positions, energy: float, trials: int) -> Dismissed:
    """The record that keeps the energy in eV of EQ0, (n, 3) in Å, on the searched surface."""
    return Dismissed("EQ", positions, energy, Outcome.CONVERGED, ZERO, Id("EQ0"), trials)
