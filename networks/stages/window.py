"""The trials in flight: which tasks follow from the answers.

Pure decisions. Everything about a trial is decided from what was known when it was planned and from
the trials between, in their order, whatever order the answers come in. So any number of workers
finds the same network, and an interrupted run can go on from the answers that were kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import TypeAlias

from afir.stationary import (
    Candidate,
    Confirmation,
    Minimum,
    Outcome,
    StationaryPoint,
)
from networks.execution.tasks import (
    Characterise,
    Confirm,
    KnownPoints,
    Label,
    Task,
    TaskResult,
)
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.ids import Id
from networks.records.structures import EQ, TS
from networks.records.trials import Key
from networks.stages.comparisons import Comparisons, Wanted, nearest
from networks.stages.recognisable import Recognisable
from networks.stages.sight import ChannelSight, Sight
from networks.stages.surface_check import (
    DUE,
    FAILED,
    PROBE,
    RECHECKS,
    again,
    failed_or_changed,
    is_due,
    probe,
)
from networks.stages.trial import (
    CHARACTERISE,
    CONFIRM,
    LABEL,
    PUSH,
    Mark,
    Sighting,
    TrialStage,
)

_MORE = 0.7  # eV: margin for fragments, where surfaces differ more than elsewhere

Asked: TypeAlias = tuple[TrialStage, Key, Task]


class Window:
    """The trials in flight.

    Parameters
    ----------
    network, dismissals
        The known structures; read only.
    judged
        Number of trials that were judged before.
    referenced
        Whether there is a reference: then it evaluates new dissociation channels too, and minima
        above the ceiling of a plan are ignored.
    ceiling
        Energy in eV above which transition states of a reference are of no interest.
    wanted
        The wanted structure, until it is found.
    recognises
        Whether tasks are told of the known structures, at which their searches end then.
    """

    def __init__(
        self,
        network: ReactionNetwork,
        dismissals: Dismissals,
        *,
        judged: int = 0,
        referenced: bool = False,
        ceiling: float | None = None,
        wanted: Wanted | None = None,
        recognises: bool = False,
    ) -> None:
        self.referenced = referenced
        self._network = network
        self._dismissals = dismissals
        self._ceiling = ceiling
        self._stages: dict[int, TrialStage] = {}  # by trial; judged ones that are still in sight
        self._judged = judged
        # The next trials whose candidates, minima and optimised minima are to be looked at.
        self._candidates_from = self._minima_from = self._optimised_from = judged + 1
        self._saddles = Sight(network.molecule)
        self._minima = Sight(network.molecule)
        self._channels = ChannelSight(network.molecule)
        self.comparisons = Comparisons(network, dismissals, wanted)
        self._recognisable = Recognisable(network) if recognises else None

    # -- the trials ------------------------------------------------------------------------

    def stage(self, trial: int) -> TrialStage:
        """A trial that is in flight or still in sight."""
        return self._stages[trial]

    def begin(self, stage: TrialStage) -> list[Asked]:
        """Add the next trial; returns its push, and the recheck of EQ0 if it is due."""
        self._stages[stage.trial] = stage
        if self._recognisable is not None:
            known = self._recognisable.first(stage.planned.known)
            stage.task = replace(stage.task, recognised=known)
        asked: list[Asked] = [(stage, PUSH, stage.task)]
        if is_due(stage.trial, referenced=self.referenced):
            asked.append((stage, *again(self._network, DUE)))
        return self._asked(asked)

    def take(self, stage: TrialStage, key: Key, result: TaskResult) -> list[Asked]:
        """Take the result of a task, in any order; returns the tasks that follow from it."""
        stage.answers[key] = result
        stage.waiting.discard(key)
        asked: list[Asked] = [(stage, *question) for question in self._rechecks(stage, key)]
        asked += self._scan_candidates()
        asked += self._scan_minima()
        asked += self._scan_optimised()
        return self._asked(asked)

    def finished(self) -> TrialStage | None:
        """The next trial to judge, when all of its tasks are done; None until then."""
        stage = self._stages.get(self._judged + 1)
        ready = stage is not None and stage.is_finished and not stage.waiting
        return stage if ready else None

    def judged(self, stage: TrialStage, seen_from: int) -> None:
        """Go on to the next trial, and drop those that no trial in flight can see.

        Parameters
        ----------
        stage
            The trial that was judged.
        seen_from
            The first trial that can be seen by trials in flight or to come.
        """
        self._judged = stage.trial
        for trial in [trial for trial in self._stages if trial < seen_from]:
            del self._stages[trial]
        sights: tuple[Sight | ChannelSight, ...] = (self._saddles, self._minima, self._channels)
        for sight in (*sights, self.comparisons):
            sight.forget(seen_from - 1)

    def restore(self, stage: TrialStage, nodes: Mapping[Key, Id | None]) -> None:
        """Add a trial that was judged before the run was interrupted.

        Parameters
        ----------
        stage
            The trial with the answers to its tasks.
        nodes
            What its own structures became, see `TrialStage.nodes`.
        """
        trial = stage.trial
        self._stages[trial] = stage
        stage.nodes.update(nodes)
        stage.is_finished = True
        for place, candidate in enumerate(stage.found):
            if Key(CONFIRM, place) in stage.answers:
                self._saddles.add(Mark(trial, place), candidate.positions, candidate.energy)
        confirmed = [key.index for key in stage.answers if key.phase == CONFIRM]
        met = dict([*stage.behind(), *(end for place in confirmed for end in stage.ends(place))])
        for place in sorted(met):
            mark, minimum = Mark(trial, place), met[place]
            if Key(LABEL, place) in stage.answers:
                self._channels.add(mark, minimum.positions)
            answer = stage.answers.get(Key(CHARACTERISE, place))
            if answer is not None:
                self._minima.add(mark, minimum.positions, minimum.energy)
                self.comparisons.restore(mark, answer)

    @staticmethod
    def _asked(asked: list[Asked]) -> list[Asked]:
        for stage, key, _ in asked:
            stage.waiting.add(key)
        return asked

    def _rechecks(self, stage: TrialStage, key: Key) -> Iterator[tuple[Key, Task]]:
        """EQ0 again, if the surface failed, or EQ0 was not what it had been."""
        answer = stage.answers[key]
        if key in RECHECKS:
            if failed_or_changed(answer, self._network) and not stage.has_asked(PROBE):
                yield probe(self._network)
            return
        failed = answer.outcome is Outcome.SURFACE_FAILED and key != PROBE
        if failed and not stage.has_asked(FAILED):
            yield again(self._network, FAILED)

    # -- what follows ------------------------------------------------------------------------

    def _scan_candidates(self) -> Iterator[Asked]:
        """Tasks for new candidates, trial by trial, up to the first push without an answer."""
        while PUSH in self._answers(self._candidates_from):
            stage = self._stages[self._candidates_from]
            seen = []
            for place, candidate in enumerate(stage.found):
                sighting = self._sight_candidate(stage, place, candidate)
                seen.append(sighting)
                if sighting.mark == Mark(stage.trial, place):
                    tss = islice(self._network.tss.items(), stage.planned.known.tss)
                    known = self._alike(dict(tss), candidate.energy)
                    task = Confirm(candidate, self._ceiling, known)
                    if stage.task.recognised is not None:
                        minima = KnownPoints(stage.task.recognised.minima)
                        task = replace(task, recognised=minima)
                    yield stage, Key(CONFIRM, place), task
            stage.candidates = tuple(seen)
            self._candidates_from += 1

    def _scan_minima(self) -> Iterator[Asked]:
        """The same for the minima of a trial, once its own candidates are verified or rejected."""
        while self._minima_from < self._candidates_from:
            stage = self._stages[self._minima_from]
            own = stage.own_candidates()
            if any(Key(CONFIRM, place) not in stage.answers for place in own):
                return
            for place, minimum, is_end in self._met(stage, own):
                sighting = self._sight_minimum(stage, place, minimum, is_end=is_end)
                stage.minima[place] = sighting
                if sighting.mark != Mark(stage.trial, place):
                    continue
                if minimum.dissociated:
                    yield stage, Key(LABEL, place), Label(minimum.positions)
                    continue
                eqs = islice(self._network.eqs.items(), stage.planned.known.eqs)
                known = self._alike(dict(eqs), minimum.energy)
                task = Characterise(minimum.positions, minimum.hessian, known, is_end)
                yield stage, Key(CHARACTERISE, place), task
            self._minima_from += 1

    def _scan_optimised(self) -> Iterator[Asked]:
        """The same for the optimised minima of a trial."""
        while self._optimised_from < self._minima_from:
            stage = self._stages[self._optimised_from]
            for place in stage.own_minima():
                if place in stage.others:
                    continue
                answer = stage.answers.get(Key(CHARACTERISE, place))
                if answer is None:
                    return
                mark, known = Mark(stage.trial, place), stage.planned.known
                stage.others[place], questions = self.comparisons.take(mark, answer, known)
                for question in questions:
                    yield stage, *question
            stage.is_finished = True
            self._optimised_from += 1

    def _answers(self, trial: int) -> Mapping[Key, TaskResult]:
        stage = self._stages.get(trial)
        return {} if stage is None else stage.answers

    def _sight_candidate(self, stage: TrialStage, place: int, candidate: Candidate) -> Sighting:
        """What a candidate is: a known TS, one that was found before, or new."""
        x, energy, known = candidate.positions, candidate.energy, stage.planned.known
        node = self._network.find_ts(x, energy, first=known.tss)
        if node is not None:
            return Sighting(candidate, node=node)
        before = self._dismissals.find("TS", x, energy, first=known.dismissed)
        if before is not None:
            return Sighting(candidate, before=before)
        mark = self._saddles.find(x, energy, after=known.trials)
        if mark is None:
            mark = Mark(stage.trial, place)
            self._saddles.add(mark, x, energy)
        return Sighting(candidate, mark=mark)

    def _sight_minimum(
        self, stage: TrialStage, place: int, minimum: Minimum, *, is_end: bool
    ) -> Sighting:
        """What a minimum or a channel is: known, found before, or new.

        The end of a verified path is new even if it was doubted when a push found it.
        """
        x, energy, known = minimum.positions, minimum.energy, stage.planned.known
        new = Mark(stage.trial, place)
        if minimum.dissociated:
            if not self.referenced:
                return Sighting(minimum)
            node = self._network.find_dc(x, first=known.dcs)
            if node is not None:
                return Sighting(minimum, node=node)
            mark = self._channels.find(x, after=known.trials)
            if mark is None:
                self._channels.add(new, x)
            return Sighting(minimum, mark=mark or new)
        if minimum.outcome is not Outcome.CONVERGED:
            return Sighting(minimum)
        node = self._network.find_eq(x, energy, first=known.eqs)
        if node is not None:
            return Sighting(minimum, node=node)
        before = self._dismissals.find("EQ", x, energy, first=known.dismissed)
        if before is not None and not (is_end and before.outcome is Outcome.DOUBTED):
            return Sighting(minimum, before=before)
        mark = self._minima.find(x, energy, after=known.trials)
        if mark is None:
            self._minima.add(new, x, energy)
        return Sighting(minimum, mark=mark or new)

    def _met(self, stage: TrialStage, own: list[int]) -> Iterator[tuple[int, Minimum, bool]]:
        """The minima of a trial: the ends of its new transition states, then those of its push.

        Each with its place, and whether it is such an end.
        """
        for candidate in own:
            value = stage.answers[Key(CONFIRM, candidate)].value
            if not isinstance(value, Confirmation) or self.is_outside(value):
                continue
            if value.outcome is Outcome.CONFIRMED:
                yield from ((place, end, True) for place, end in stage.ends(candidate))
        for place, minimum in stage.behind():
            if not self._too_high(minimum, stage.planned.ceiling):
                yield place, minimum, False

    def is_outside(self, confirmation: Confirmation) -> bool:
        """Whether a transition state on the reference lies above the window."""
        return self._ceiling is not None and confirmation.point.energy > self._ceiling

    def _too_high(self, minimum: Minimum, ceiling: float | None) -> bool:
        """Whether it is too far above the window to spend gradients of the reference."""
        if not self.referenced or ceiling is None:
            return False
        return minimum.energy > ceiling + (_MORE if minimum.dissociated else 0.0)

    def _alike(
        self, nodes: Mapping[str, EQ] | Mapping[str, TS], energy: float
    ) -> tuple[StationaryPoint, ...]:
        """Known points that a new one may be: nearest in energy (eV, on the searched surface)."""
        if not self.referenced:
            return ()
        zero, start = self._dismissals.zero, self._network.eqs["EQ0"].energy
        return nearest(nodes, energy if zero is None else energy - zero + start)
