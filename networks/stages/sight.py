"""Structures of the trials in flight, found by their geometry."""

from __future__ import annotations

from afir.molecule import Molecule, Positions
from networks.graph.bonding import Bonding, bonding
from networks.graph.identity import IdentityIndex, fingerprint
from networks.stages.trial import Mark

_STALE = 256  # forgotten structures that an index may hold before it is made anew: saves time only


class Sight:
    """Structures of the last trials that were new, in the order of the trials."""

    def __init__(self, molecule: Molecule) -> None:
        self._molecule = molecule
        self._index = IdentityIndex(molecule)
        self._kept: dict[Mark, tuple[Positions, float]] = {}
        self._marks: dict[str, Mark] = {}

    def add(self, mark: Mark, positions: Positions, energy: float) -> None:
        """Add a structure (n, 3) in Å with its energy in eV."""
        self._kept[mark] = positions, energy
        self._enter(mark, positions, energy)

    def find(self, positions: Positions, energy: float, *, after: int) -> Mark | None:
        """The structure of a trial later than `after` that is the same; None if there is none."""
        found = self._index.find(
            fingerprint(self._molecule, positions, energy),
            positions,
            lambda id: self._marks[id].trial > after,
        )
        return None if found is None else self._marks[found]

    def forget(self, trial: int) -> None:
        """Drop the structures of all trials up to one."""
        self._kept = {mark: kept for mark, kept in self._kept.items() if mark.trial > trial}
        if len(self._marks) > len(self._kept) + _STALE:
            self._index, self._marks = IdentityIndex(self._molecule), {}
            for mark, (positions, energy) in self._kept.items():
                self._enter(mark, positions, energy)

    def _enter(self, mark: Mark, positions: Positions, energy: float) -> None:
        id = f"{mark.trial}.{mark.place}"
        self._marks[id] = mark
        self._index.add(id, fingerprint(self._molecule, positions, energy), positions)


class ChannelSight:
    """The same for dissociation channels, which are alike when their molecules are."""

    def __init__(self, molecule: Molecule) -> None:
        self._molecule = molecule
        self._kept: dict[Mark, Bonding] = {}

    def add(self, mark: Mark, positions: Positions) -> None:
        """Add a channel (n, 3) in Å."""
        self._kept[mark] = bonding(self._molecule, positions)

    def find(self, positions: Positions, *, after: int) -> Mark | None:
        """The channel of a trial later than `after` that is the same; None if there is none."""
        found = bonding(self._molecule, positions)
        later = (mark for mark in self._kept if mark.trial > after)
        return next((mark for mark in later if self._kept[mark].same(found)), None)

    def forget(self, trial: int) -> None:
        """Drop the channels of all trials up to one."""
        self._kept = {mark: kept for mark, kept in self._kept.items() if mark.trial > trial}
