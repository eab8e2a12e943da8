"""The stages of a run in which labels are made and structures found again."""

from __future__ import annotations

from afir.errors import AfirError
from afir.geometry.superposition import displacement
from afir.stationary import Candidate, Minimum, Outcome, StationaryPoint, TrialResult
from networks.execution.tasks import Label, Labelled, Recall, TaskResult
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals, zero_record
from networks.records.ids import Id
from networks.records.structures import Dismissed, alone
from networks.records.trials import Absorbed, Key
from networks.stages.base import Question, no_trial

_SAME = 0.15  # Å: a structure that moves further on another surface is a different one

SAMPLE = "sample"
"""The phase of tasks that label geometries of pushes."""

STAGES = ("push", "path")
"""The stages of those geometries."""


class Sampled:
    """The stage that labels geometries of pushes for the first model.

    Parameters
    ----------
    number
        Its number among the stages.
    tasks
        The geometries to label.
    """

    def __init__(self, number: int, tasks: list[Label]) -> None:
        self.number = number
        self._tasks = tasks
        self._answers: dict[Key, TaskResult] = {}

    def begin(self) -> list[Question]:
        """The tasks that label them all."""
        return [(Key(SAMPLE, index), task) for index, task in enumerate(self._tasks)]

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Nothing follows."""
        self._answers[key] = result
        return []

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Add nothing to the network; the labels are among the frames."""
        if not any(isinstance(answer.value, Labelled) for answer in self._answers.values()):
            errors = {answer.error for answer in self._answers.values()}
            raise AfirError(
                f"the reference gave no energy for any geometry of the pushes: {min(errors)}"
            )
        return no_trial(self.number, self._answers)


class Recalled:
    """The stage that locates all known structures on a new model.

    Searches on the new model then recognise them.

    Parameters
    ----------
    number
        Its number among the stages.
    network
        The known structures.
    """

    def __init__(self, number: int, network: ReactionNetwork) -> None:
        self.number = number
        start = network.eqs["EQ0"]
        self._points: list[tuple[Id | None, StationaryPoint]] = [
            (None, start),  # EQ0 again, for its energy alone
            *((eq.id, eq) for eq in network.eqs.values()),
            *((ts.id, alone(ts)) for ts in network.tss.values()),
        ]
        self._answers: dict[Key, TaskResult] = {}

    def begin(self) -> list[Question]:
        """The tasks that locate every structure."""
        return [
            (Key("recall", index), Recall("here" if id is None else id.kind, point))
            for index, (id, point) in enumerate(self._points)
        ]

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Nothing follows."""
        self._answers[key] = result
        return []

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Record each structure as it is on the new model, unless it became another."""
        noted: list[Dismissed] = []
        for index, (id, point) in enumerate(self._points):
            value = self._answers[Key("recall", index)].value
            if not isinstance(value, TrialResult):
                continue
            every: tuple[Candidate | Minimum, ...] = (*value.candidates, *value.minima)
            for found in every:
                if id is None:
                    noted.append(zero_record(found.positions, found.energy, trials))
                    dismissals.add(noted[-1])
                    continue
                if displacement(point.positions, found.positions) > _SAME:
                    continue
                outcome = Outcome.CONVERGED if id.kind == "EQ" else Outcome.CONFIRMED
                record = Dismissed(
                    id.kind,
                    found.positions,
                    found.energy,
                    outcome,
                    f"it is {id}",
                    id,
                    trials,
                )
                dismissals.add(record)
                noted.append(record)
        return no_trial(self.number, self._answers, tuple(noted))
