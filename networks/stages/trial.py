"""One trial in flight: its plan, the answers to its tasks, and the structures it met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from afir.stationary import Candidate, Confirmation, Minimum, TrialResult
from networks.execution.tasks import Push, TaskResult
from networks.records.ids import Id
from networks.records.structures import Dismissed
from networks.records.trials import Key, Planned

PUSH = Key("push", 0)
"""The first task of a trial."""

CONFIRM, CHARACTERISE, LABEL = "confirm", "characterise", "label"
"""The phases of its next tasks: candidates, minima, and channels on a reference."""


class Mark(NamedTuple):
    """A structure that was new in a trial: which trial, and its place there."""

    trial: int
    place: int


Other: TypeAlias = "Id | Mark"
"""A structure to compare with: the id of a node, or a structure of a trial in flight."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A structure that a trial met, and what it was when its task could have been asked for.

    Exactly one of the last three is given, or none for a structure of no interest.

    Attributes
    ----------
    structure
        The structure.
    node
        The id of the node that it is.
    before
        The record of it, if it is no node of its own.
    mark
        The structure of a trial in flight that it is: its own if it was new.
    """

    structure: Candidate | Minimum
    node: Id | None = None
    before: Dismissed | None = None
    mark: Mark | None = None


class TrialStage:
    """A trial in flight.

    The candidates of its push have the places 0, 1, …; the ends of the path of candidate i the
    places 2 i and 2 i + 1, and the minima of the push follow. So a task has the same key whatever
    was known when it was asked for.

    Parameters
    ----------
    planned
        The plan.
    task
        The push.

    Attributes
    ----------
    answers
        The results of its tasks.
    waiting
        The tasks that have no result yet.
    candidates
        What the candidates of the push were; empty until they are looked at.
    minima
        The same for the ends of its paths and the minima of the push, by place.
    others
        The structures that each of its optimised minima is compared with, by place.
    nodes
        The id of the node that a structure of its own became, by the key of its task.
    is_finished
        Whether no further task follows.
    """

    def __init__(self, planned: Planned, task: Push) -> None:
        self.number = planned.stage
        self.trial = planned.trial
        self.planned = planned
        self.task = task
        self.answers: dict[Key, TaskResult] = {}
        self.waiting: set[Key] = set()
        self.candidates: tuple[Sighting, ...] = ()
        self.minima: dict[int, Sighting] = {}
        self.others: dict[int, tuple[Other, ...]] = {}
        self.nodes: dict[Key, Id | None] = {}
        self.is_finished = False

    @property
    def found(self) -> tuple[Candidate, ...]:
        """The candidates of the push, in order."""
        value = self.answers[PUSH].value
        return value.candidates if isinstance(value, TrialResult) else ()

    def has_asked(self, key: Key) -> bool:
        """Whether a task was asked for."""
        return key in self.answers or key in self.waiting

    def own_candidates(self) -> list[int]:
        """The places of the candidates that were new."""
        return [
            place
            for place, seen in enumerate(self.candidates)
            if seen.mark == Mark(self.trial, place)
        ]

    def own_minima(self) -> list[int]:
        """The places of the minima that were new, in order; channels are not among them."""
        return [place for place in self._own_places() if not self._minimum(place).dissociated]

    def _own_places(self) -> list[int]:
        own = self.minima.items()
        return sorted(place for place, seen in own if seen.mark == Mark(self.trial, place))

    def _minimum(self, place: int) -> Minimum:
        structure = self.minima[place].structure
        assert isinstance(structure, Minimum)
        return structure

    def ends(self, place: int) -> Iterator[tuple[int, Minimum]]:
        """The ends of the path of a candidate of its own, each with its place."""
        value = self.answers[Key(CONFIRM, place)].value
        if isinstance(value, Confirmation):
            yield from enumerate(value.ends, 2 * place)

    def behind(self) -> Iterator[tuple[int, Minimum]]:
        """The minima that the push itself reached, each with its place."""
        value = self.answers[PUSH].value
        if isinstance(value, TrialResult):
            yield from enumerate(value.minima, 2 * len(value.candidates))
