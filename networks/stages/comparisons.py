"""Comparisons of optimised minima with others that may be the same structure.

Two minima that a rotation without a barrier connects are one node (`afir.searches.flat`), though
they do not superpose. The structures to compare a minimum with depend only on what was known when
its trial was planned and on the minima between, in the order of the trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TypeAlias

import numpy as np

from afir.molecule import Positions
from afir.searches.flat import LEVEL, SOFT
from afir.stationary import Sameness, StationaryPoint
from networks.execution.tasks import Compare, TaskResult
from networks.graph.bonding import bonding
from networks.graph.identity import same_structure
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.structures import EQ, TS, alone
from networks.records.trials import Key, Known
from networks.stages.base import Question
from networks.stages.sight import Sight
from networks.stages.trial import Mark, Other

COMPARE, WANTED = "compare", "wanted"
"""The phases of its tasks: comparison with known minima, and with the wanted structure."""

_MOST = 3  # others that a minimum is compared with

_NEAREST = 6  # known structures that a new one is compared with on a reference

Wanted: TypeAlias = "tuple[Positions, float]"
"""A wanted structure: (n, 3) in Å and its energy in eV."""


def nearest(
    nodes: Mapping[str, EQ] | Mapping[str, TS], energy: float
) -> tuple[StationaryPoint, ...]:
    """The few nodes that are nearest in energy (eV)."""
    by_gap = sorted(nodes.values(), key=lambda node: abs(node.energy - energy))
    return tuple(alone(node) for node in by_gap[:_NEAREST])


class Comparisons:
    """The comparisons of the trials in flight.

    Parameters
    ----------
    network, dismissals
        The known structures; read only.
    wanted
        The wanted structure, until it is found.
    """

    def __init__(
        self, network: ReactionNetwork, dismissals: Dismissals, wanted: Wanted | None = None
    ) -> None:
        self._network = network
        self._dismissals = dismissals
        self._wanted = wanted
        self._points: dict[Mark, StationaryPoint] = {}
        self._sight = Sight(network.molecule)

    def take(
        self, mark: Mark, result: TaskResult, known: Known
    ) -> tuple[tuple[Other, ...], list[Question]]:
        """The structures to compare the next optimised minimum with, and the tasks that do.

        Parameters
        ----------
        mark
            The minimum.
        result
            That of its optimisation.
        known
            What was known when its trial was planned.
        """
        point = result.value
        if not isinstance(point, StationaryPoint):
            return (), []
        is_known = self._is_known(point, known)
        others = {} if is_known else self._alike(point, known)
        self.restore(mark, result)
        if is_known:
            return (), []
        found: list[Question] = []
        if others:
            found.append((Key(COMPARE, mark.place), Compare(point, tuple(others.values()))))
        if self._wanted is not None and self._may_be(self._wanted, point):
            bare = (_bare(*self._wanted),)
            found.append((Key(WANTED, mark.place), Compare(point, bare)))
        return tuple(others), found

    def restore(self, mark: Mark, result: TaskResult) -> None:
        """Remember an optimised minimum."""
        if isinstance(result.value, StationaryPoint):
            self._points[mark] = result.value
            self._sight.add(mark, result.value.positions, result.value.energy)

    def forget(self, trial: int) -> None:
        """Drop the minima of all trials up to one."""
        self._points = {mark: kept for mark, kept in self._points.items() if mark.trial > trial}
        self._sight.forget(trial)

    def wanted(self, place: int, answers: Mapping[Key, TaskResult]) -> Wanted | None:
        """The wanted structure, if a minimum of a trial with these answers proved to be it."""
        return None if proven(answers, Key(WANTED, place)) is None else self._wanted

    def _is_known(self, point: StationaryPoint, known: Known) -> bool:
        """Whether it superposes on a known node, or on a minimum that is compared already."""
        x, energy = point.positions, point.energy
        if self._network.find_eq(x, energy, first=known.eqs) is not None:
            return True
        if self._dismissals.node(x, energy, first=known.dismissed) is not None:
            return True
        return self._sight.find(x, energy, after=known.trials) is not None

    def _alike(self, point: StationaryPoint, known: Known) -> dict[Other, StationaryPoint]:
        """The structures to compare it with: same bonding, nearest in energy, one of both soft."""
        every: list[tuple[Other, StationaryPoint]] = [
            (eq.id, eq)
            for eq in islice(self._network.eqs.values(), known.eqs)
            if abs(eq.energy - point.energy) < LEVEL
        ]
        every += [
            (mark, other)
            for mark, other in self._points.items()
            if mark.trial > known.trials and abs(other.energy - point.energy) < LEVEL
        ]
        every.sort(key=lambda item: abs(item[1].energy - point.energy))
        found: dict[Other, StationaryPoint] = {}
        for name, other in every:
            if len(found) == _MOST:
                break
            if not (_soft(point) or _soft(other)):
                continue
            if any(self._superpose(other, chosen) for chosen in found.values()):
                continue
            if self._bonded_alike(point.positions, other.positions):
                found[name] = other
        return found

    def _superpose(self, first: StationaryPoint, second: StationaryPoint) -> bool:
        pairs = [(point.positions, point.energy) for point in (first, second)]
        return same_structure(self._network.molecule, *pairs)

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


def proven(answers: Mapping[Key, TaskResult], key: Key) -> int | None:
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
