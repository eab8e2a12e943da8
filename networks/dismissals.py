"""What was met before and is no node of its own, so that it is not examined twice."""

from __future__ import annotations

from afir.molecule import Molecule, Positions
from afir.stationary import Outcome
from networks.identity import IdentityIndex, fingerprint
from networks.records import Dismissed

ZERO = "it is EQ0 on the searched surface"
"""Reason of the record that tells how the energies of two surfaces compare."""


class Dismissals:
    """Structures that were met before and are no nodes of their own."""

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

    def find(self, kind: str, positions: Positions, energy: float) -> Dismissed | None:
        """What became of a structure of that kind when it was met before.

        That it was doubted is the answer only where nothing else is known of it.
        """
        mark = fingerprint(self._molecule, positions, energy)
        id = self._indices[kind].find(mark, positions) or self._doubtful[kind].find(mark, positions)
        return None if id is None else self._records[id]

    def node(self, positions: Positions, energy: float) -> str | None:
        """The id of the EQ that a minimum turned out to be when it was met before."""
        before = self.find("EQ", positions, energy)
        return None if before is None else before.node

    @property
    def zero(self) -> float | None:
        """The energy in eV of EQ0 on the surface that is searched, if that is another."""
        return self._zero


def zero_record(positions: Positions, energy: float, trials: int) -> Dismissed:
    """What notes the energy in eV of EQ0 on the surface that is searched."""
    return Dismissed("EQ", positions, energy, Outcome.CONVERGED, ZERO, "EQ0", trials)
