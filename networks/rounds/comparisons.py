"""Comparisons of the refined minima of a round with others that may be the same structure.

Two minima that a rotation without a barrier connects are one node (`afir.searches.flat`), though
they do not superpose. The structures to compare a minimum with depend only on the refined minima
before it, in the order of the round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from afir.molecule import Positions
from afir.searches.flat import LEVEL, SOFT
from afir.stationary import Sameness, StationaryPoint
from networks.execution.tasks import Compare, TaskResult
from networks.graph.bonding import bonding
from networks.graph.identity import Fingerprint, IdentityIndex, fingerprint, same_structure
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.structures import EQ, TS
from networks.records.trials import Key
from networks.rounds.base import Question

COMPARE, WANTED = "compare", "wanted"
"""The phases of its tasks: comparison with known minima, and with the wanted structure."""

_MOST = 3  # others that a minimum is compared with

_NEAREST = 6  # known structures that a new one is compared with on a reference

_Other: TypeAlias = "str | int"
"""The id of a node, or the number of a minimum of this round."""

Wanted: TypeAlias = "tuple[Positions, float]"
"""A wanted structure: (n, 3) in Å and its energy in eV."""


def nearest(
    nodes: Mapping[str, EQ] | Mapping[str, TS], energy: float
) -> tuple[StationaryPoint, ...]:
    """The few nodes that are nearest in energy (eV)."""
    points = [node.point() for node in nodes.values()]
    return tuple(sorted(points, key=lambda point: abs(point.energy - energy))[:_NEAREST])


class Comparisons:
    """The comparisons of a round.

    Parameters
    ----------
    network, dismissals
        What is known before the round; read only.
    wanted
        The wanted structure, until it is found.
    """

    def __init__(
        self, network: ReactionNetwork, dismissals: Dismissals, wanted: Wanted | None = None
    ) -> None:
        self._network = network
        self._dismissals = dismissals
        self._wanted = wanted
        self._points: list[StationaryPoint | None] = []
        self._new: list[int] = []
        self._index = IdentityIndex(network.molecule)
        self._others: dict[int, tuple[_Other, ...]] = {}

    def __len__(self) -> int:
        """Number of minima so far."""
        return len(self._points)

    def take(self, result: TaskResult) -> list[Question]:
        """The comparisons to make for the next refined minimum of the round."""
        number = len(self._points)
        point = result.value
        if not isinstance(point, StationaryPoint):
            self._points.append(None)
            return []
        self._points.append(point)
        if self._known(point):
            return []
        self._index.add(str(number), self._mark(point), point.positions)
        others = self._alike(point)
        self._new.append(number)
        found: list[Question] = []
        if others:
            self._others[number] = tuple(others)
            found.append((Key(COMPARE, number), Compare(point, tuple(others.values()))))
        if self._wanted is not None and self._may_be(self._wanted, point):
            found.append((Key(WANTED, number), Compare(point, (_bare(*self._wanted),))))
        return found

    def node(
        self, number: int, answers: Mapping[Key, TaskResult], placed: Mapping[int, str]
    ) -> str | None:
        """The id of the node that a minimum of the round proved to be by rotation; None if none.

        Parameters
        ----------
        number
            Which minimum.
        answers
            The results of the tasks of the round.
        placed
            The nodes of the minima before it.
        """
        point = self._points[number]
        if point is None:
            return None
        proven = _proven(answers, Key(COMPARE, number))
        if proven is None:
            return self._dismissals.node(point.positions, point.energy)
        other = self._others[number][proven]
        return other if isinstance(other, str) else placed.get(other)

    def wanted(self, number: int, answers: Mapping[Key, TaskResult]) -> Wanted | None:
        """The wanted structure, if a minimum of the round proved to be it."""
        return None if _proven(answers, Key(WANTED, number)) is None else self._wanted

    def _known(self, point: StationaryPoint) -> bool:
        """Whether it superposes on a known node, or on a minimum that is compared already."""
        x, energy = point.positions, point.energy
        if self._network.find_eq(x, energy) is not None:
            return True
        if self._dismissals.node(x, energy) is not None:
            return True
        return self._index.find(self._mark(point), x) is not None

    def _alike(self, point: StationaryPoint) -> dict[_Other, StationaryPoint]:
        """The structures to compare it with: same bonding, nearest in energy, one of both soft."""
        known: list[tuple[_Other, StationaryPoint]] = [
            (eq.id, eq.point())
            for eq in self._network.eqs.values()
            if abs(eq.energy - point.energy) < LEVEL
        ]
        for number in self._new:
            other = self._points[number]
            if other is not None and abs(other.energy - point.energy) < LEVEL:
                known.append((number, other))
        known.sort(key=lambda item: abs(item[1].energy - point.energy))
        found: dict[_Other, StationaryPoint] = {}
        for name, other in known:
            if len(found) == _MOST:
                break
            if (_soft(point) or _soft(other)) and self._bonded_alike(
                point.positions, other.positions
            ):
                found[name] = other
        return found

    def _may_be(self, wanted: Wanted, point: StationaryPoint) -> bool:
        """Whether a rotation may connect a minimum and the wanted structure, which differ."""
        x, energy = wanted
        molecule = self._network.molecule
        return (
            _soft(point)
            and abs(energy - point.energy) < LEVEL
            and not same_structure(molecule, wanted, (point.positions, point.energy))
            and self._bonded_alike(point.positions, x)
        )

    def _bonded_alike(self, first: Positions, second: Positions) -> bool:
        molecule = self._network.molecule
        return bonding(molecule, first).same(bonding(molecule, second))

    def _mark(self, point: StationaryPoint) -> Fingerprint:
        return fingerprint(self._network.molecule, point.positions, point.energy)


def _proven(answers: Mapping[Key, TaskResult], key: Key) -> int | None:
    """The number of the structure it proved to be; None if none, or not compared."""
    answer = answers.get(key)
    value = None if answer is None else answer.value
    return value.number if isinstance(value, Sameness) else None


def _soft(point: StationaryPoint) -> bool:
    """Whether its lowest mode is so soft that it may have no barrier."""
    return bool(len(point.wavenumbers)) and float(point.wavenumbers[0]) < SOFT


def _bare(x: Positions, energy: float) -> StationaryPoint:
    """A minimum with positions and energy only."""
    none = np.empty(0)
    return StationaryPoint(x, energy, 0.0, np.empty((0, 0)), none, np.empty((0, 3)), 0)
