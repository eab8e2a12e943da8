"""Trials whose pushes are made up, played through the window of trials in flight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from offered import PUSH as OFFER

from afir.molecule import Molecule
from afir.stationary import StationaryPoint, TrialResult
from networks.execution.tasks import Push, Task, TaskResult
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.ids import Id
from networks.records.structures import DC, EQ, TS, Dismissed
from networks.records.trials import Absorbed, Item, Key, Known, Planned, Trial
from networks.stages.judging import judge
from networks.stages.trial import PUSH, TrialStage
from networks.stages.window import Asked, Window


@dataclass
class Together:
    """What trials that were in flight together asked, beside pushes, and what they found."""

    asked: list[tuple[Key, Task]] = field(default_factory=list)
    absorbed: list[Absorbed] = field(default_factory=list)

    @property
    def phases(self) -> list[str]:
        """The phases of what was asked, in order."""
        return [key.phase for key, _ in self.asked]

    @property
    def eqs(self) -> list[EQ]:
        """The new EQs."""
        return [eq for each in self.absorbed for eq in each.eqs]

    @property
    def tss(self) -> list[TS]:
        """The new TSs."""
        return [ts for each in self.absorbed for ts in each.tss]

    @property
    def dcs(self) -> list[DC]:
        """The new channels."""
        return [dc for each in self.absorbed for dc in each.dcs]

    @property
    def dismissed(self) -> list[Dismissed]:
        """What was dismissed."""
        return [record for each in self.absorbed for record in each.dismissed]

    @property
    def trials(self) -> list[Trial]:
        """The rows of the trials."""
        return [each.trial for each in self.absorbed if each.trial is not None]


@dataclass
class Played:
    """Trials of made-up pushes on one network."""

    molecule: Molecule
    start: StationaryPoint
    perform: Callable[[Task], TaskResult]
    referenced: bool = False
    ceiling: float | None = None
    count: int = 0

    def __post_init__(self) -> None:
        self.network = ReactionNetwork(self.molecule)
        self.dismissals = Dismissals(self.molecule)
        self.network.add_eq(self.start)

    def window(self) -> Window:
        """A window without trials."""
        return Window(self.network, self.dismissals, judged=self.count, referenced=self.referenced)

    def stage(self, number: int) -> TrialStage:
        """A trial after those judged so far."""
        network = self.network
        sizes = len(network.eqs), len(network.tss), len(network.dcs), len(self.dismissals)
        known = Known(self.count, *sizes)
        planned = Planned(
            number, number, Item(Id.of("EQ", 0), number), OFFER, 0, self.ceiling, None, 0, known
        )
        return TrialStage(planned, Push(self.start, OFFER, self.ceiling, (number,)))

    def together(self, *pushed: TrialResult, backwards: bool = False) -> Together:
        """Play trials that are in flight together; with `backwards` the last answer comes first."""
        window, played = self.window(), Together()
        stages = [self.stage(self.count + number) for number in range(1, len(pushed) + 1)]
        for stage in stages:
            window.begin(stage)
        waiting: list[Asked] = []
        answers: Sequence[tuple[TrialStage, TrialResult]] = list(zip(stages, pushed, strict=True))
        for stage, value in answers[:: -1 if backwards else 1]:
            result = TaskResult(value, None, "", Counter(push=1), 0.0)
            waiting += window.take(stage, PUSH, result)
        while waiting:
            stage, key, task = waiting.pop(-1 if backwards else 0)
            played.asked.append((key, task))
            waiting += window.take(stage, key, self.perform(task))
        while (done := window.finished()) is not None:
            played.absorbed.append(judge(done, window, self.network, self.dismissals))
            window.judged(done, self.count + 1)
        self.count += len(pushed)
        return played
