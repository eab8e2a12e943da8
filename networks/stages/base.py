"""Stages of an exploration, each committed as one, and the first stage.

A trial is a stage (`networks.stages.trial`), and several may be in flight. All others are done
alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

from afir.errors import AfirError, InputError
from afir.molecule import Positions
from afir.pes.named import Named
from afir.pes.registry import described
from afir.stationary import Consistency, Outcome, StationaryPoint, unusable
from networks.execution.tasks import Characterise, Examine, Task, TaskResult
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.runs import Examined
from networks.records.structures import Dismissed
from networks.records.trials import Absorbed, Key

Question: TypeAlias = tuple[Key, Task]


class Stage(Protocol):
    """A part of an exploration that holds no trial, and is committed as one."""

    number: int

    def begin(self) -> list[Question]:
        """The first tasks."""
        ...

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Take the result of a task, in any order; returns the tasks that follow from it."""
        ...

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Add the results to the network when all tasks are done; returns them.

        Parameters
        ----------
        network, dismissals
            Changed.
        trials
            Number of trials before.

        Raises
        ------
        AfirError
            If the results cannot be used; then nothing is changed.
        """
        ...


def no_trial(
    number: int, answers: Mapping[Key, TaskResult], dismissed: tuple[Dismissed, ...] = ()
) -> Absorbed:
    """The results of a stage that adds no node."""
    gradients: Counter[str] = Counter()
    for answer in answers.values():
        gradients.update(answer.gradients)
    cpu_seconds = sum(answer.cpu_seconds for answer in answers.values())
    return Absorbed(number, dismissed=dismissed, gradients=dict(gradients), cpu_seconds=cpu_seconds)


class Start:
    """The first stage: optimises the start and the wanted product, and checks the surfaces.

    Parameters
    ----------
    positions
        (n, 3) in Å.
    wanted
        (n, 3) in Å, or None.
    surfaces
        Name and options of the surface that is searched, and of the reference if there is one.
    seed
        Seed of the random numbers.
    """

    number = 0

    def __init__(
        self,
        positions: Positions,
        wanted: Positions | None,
        surfaces: Sequence[tuple[str, Mapping[str, Any]]],
        seed: tuple[int, ...],
    ) -> None:
        self._structures = [positions] if wanted is None else [positions, wanted]
        self._surfaces = surfaces
        self._seed = seed
        self._answers: dict[Key, TaskResult] = {}

    def begin(self) -> list[Question]:
        """The tasks that check the surfaces and optimise the structures."""
        start = self._structures[0]
        questions: list[Question] = [
            (Key("examine", index), Examine(start, self._seed, reference=index > 0))
            for index in range(len(self._surfaces))
        ]
        questions += [
            (Key("characterise", index), Characterise(positions))
            for index, positions in enumerate(self._structures)
        ]
        return questions

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Nothing follows from these answers."""
        self._answers[key] = result
        return []

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Add the start as the first EQ; see `Stage.absorb`.

        Raises
        ------
        InputError
            If the energies and gradients of a foreign surface are inconsistent.
        AfirError
            If the start or the wanted product is no minimum.
        """
        examined = tuple(self._examined(index) for index in range(len(self._surfaces)))
        points = [self._refined(index) for index in range(len(self._structures))]
        id, _ = network.add_eq(points[0])
        return replace(
            no_trial(self.number, self._answers),
            eqs=(network.eqs[id],),
            wanted=(points[1].positions, points[1].energy) if len(points) > 1 else None,
            examined=examined,
        )

    def _examined(self, index: int) -> Examined:
        """The check of a surface; InputError if it must not be used.

        A surface of this package is only doubted: its energy has a jump there, as between two SCF
        solutions.
        """
        answer, (name, options) = self._answers[Key("examine", index)], self._surfaces[index]
        where = described(name, options)
        value = answer.value
        if not isinstance(value, Consistency):
            doubt = f"its energies and gradients could not be compared: {answer.error}"
            value = Consistency(0.0, 1.0, 0.0, doubt=doubt)
        if value.problem and Named(name, options).foreign:
            raise InputError(unusable(where, value.problem))
        doubt = value.doubt or value.problem
        return Examined(where, value.deviation, value.ratio, value.drift, doubt)

    def _refined(self, index: int) -> StationaryPoint:
        """A structure optimised on the surface; AfirError if it is no minimum."""
        answer = self._answers[Key("characterise", index)]
        if not isinstance(answer.value, StationaryPoint):
            what = ("start", "wanted product")[index]
            if answer.outcome is Outcome.TIMED_OUT:
                raise InputError(
                    f"`task_seconds` must be enough to refine the {what}, which was "
                    f"{answer.error}; give more"
                )
            raise AfirError(f"the {what} could not be refined on this surface: {answer.error}")
        return answer.value
