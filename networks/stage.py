"""The pieces of an exploration that are committed as one, and the first of them."""

from __future__ import annotations

from collections import Counter
from typing import Protocol, TypeAlias

from afir.errors import AfirError
from afir.molecule import Positions
from afir.stationary import StationaryPoint
from networks.dismissals import Dismissals
from networks.network import ReactionNetwork
from networks.records import Absorbed, Key
from networks.tasks import Characterise, Task, TaskResult

Question: TypeAlias = tuple[Key, Task]


class Stage(Protocol):
    """A piece of an exploration that is committed as one."""

    number: int

    def begin(self) -> list[Question]:
        """The first tasks."""
        ...

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Hear the answer to a question, in any order; the tasks that follow from it."""
        ...

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Add what was found to the network when all questions are answered.

        Parameters
        ----------
        network, dismissals
            Changed.
        trials
            How many trials there were before.

        Raises
        ------
        AfirError
            When nothing can be taken in; then nothing is changed.
        """
        ...


class Start:
    """The beginning of a run: the given structure, and perhaps the wanted product.

    Parameters
    ----------
    positions
        (n, 3) in Å.
    wanted
        (n, 3) in Å, or None.
    """

    number = 0

    def __init__(self, positions: Positions, wanted: Positions | None) -> None:
        self._structures = [positions] if wanted is None else [positions, wanted]
        self._answers: dict[int, TaskResult] = {}

    def begin(self) -> list[Question]:
        """Refine the structures."""
        return [
            (Key("characterise", index), Characterise(positions))
            for index, positions in enumerate(self._structures)
        ]

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Nothing follows from these answers."""
        self._answers[key.index] = result
        return []

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Make the start the first EQ; see `Stage.absorb`.

        Raises
        ------
        AfirError
            When the start or the wanted product is no minimum.
        """
        gradients: Counter[str] = Counter()
        points: list[StationaryPoint] = []
        for index, what in enumerate(("start", "wanted product")[: len(self._structures)]):
            answer = self._answers[index]
            if not isinstance(answer.value, StationaryPoint):
                raise AfirError(f"the {what} could not be refined on this surface: {answer.error}")
            gradients.update(answer.gradients)
            points.append(answer.value)
        id, _ = network.add_eq(points[0])
        return Absorbed(
            round=0,
            eqs=(network.eqs[id],),
            tss=(),
            dcs=(),
            trials=(),
            dismissed=(),
            gradients=dict(gradients),
            cpu_seconds=sum(answer.cpu_seconds for answer in self._answers.values()),
            wanted=(points[1].positions, points[1].energy) if len(points) > 1 else None,
            owners={Key("characterise", index): 0 for index in self._answers},
        )
