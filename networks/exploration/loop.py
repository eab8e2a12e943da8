"""The state of a run: choose trials, do them, store what they found.

Only the exploration decides and writes. A fixed number of trials is in flight
(`Settings.in_flight`): whenever one is judged, the next one is chosen. Each is planned and judged
in the order of the trials, from what the trials before it found, so that the network does not
depend on the number of workers. Plans and answers are committed as they come: a run that is killed
at any moment and resumed ends with the same network as an undisturbed one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from afir.errors import AfirError
from afir.policies import Policy
from networks.execution.base import Executor
from networks.execution.checked import answers
from networks.execution.tasks import Push, TaskResult
from networks.exploration.events import (
    Doubted,
    Event,
    Found,
    Opened,
    Progress,
    Rejected,
    Stopped,
    TaskDone,
    Trained,
    Training,
    TrialDone,
)
from networks.exploration.executors import Hands
from networks.exploration.queue import TaskQueue
from networks.exploration.remarks import remarks
from networks.graph.rejected import Dismissals
from networks.learning.models import Learning, Phase
from networks.learning.stages import Recalled, Sampled
from networks.policies.choice import Choice
from networks.records.runs import Complete, StoppedBy
from networks.records.structures import DC, EQ, TS
from networks.records.trials import Absorbed, Key, Known, Planned
from networks.scheduling.budget import Budget
from networks.scheduling.history import History
from networks.scheduling.queue import Frontier
from networks.scheduling.scheduler import CHOICE, LINES, TRIAL, Outlook
from networks.stages.base import Question, Stage, Start
from networks.stages.judging import judge
from networks.stages.surface_check import RECHECKS, ChangedSurfaceError, Rechecked
from networks.stages.trial import TrialStage
from networks.stages.window import Asked, Window
from networks.storage.base import Store


class Exploration:
    """The state of a run; all of it can be read back from the run file."""

    def __init__(self, store: Store, policy: Policy, hands: Hands) -> None:
        self._store = store
        self._choice = Choice(store.settings.policy, policy)
        self._hands = hands
        self._settings = store.settings
        self._learning = Learning(store) if store.settings.learn else None
        self._network = store.load_network()
        self._dismissals = Dismissals(store.molecule)
        for record in store.dismissed():
            self._dismissals.add(record)
        trials = list(store.trials())
        self._history = History(trials)
        self._budget = Budget(
            store.settings,
            trials=len(trials),
            gradients=store.gradients(),
            barren=self._history.barren(),
            seconds=store.seconds,
        )
        self._outlook = Outlook(store.settings, self._network, self._dismissals, self._history)
        self._choice.learn(trials, self._network)
        self._checked = store.checked
        self._reached = False  # the wanted product
        # The trials in flight, and before them those that they can see or that may be repeated.
        self._in_sight: deque[Planned] = deque()

    def run(self) -> Iterator[Event]:
        """The events of the run, until nothing is left to try or a limit is reached."""
        store, network = self._store, self._network
        store.stopped(Complete(True, StoppedBy.INTERRUPTED), self._budget.seconds)
        yield Opened(
            len(network.eqs),
            len(network.tss),
            len(network.dcs),
            self._budget.trials,
            self._budget.gradients,
            self._budget.seconds,
        )
        if store.stages == 0:
            yield from self._do(self._start())
            yield from remarks(self._store, self._network, self._choice, self._outlook.pushes)
        self._in_sight.extend(store.planned())
        for planned in self._in_sight:
            if planned.trial > self._budget.trials:
                self._history.plan(planned)
        self._outlook.read()
        self._reached = self._is_reached()
        while True:
            yield from self._trials()
            if not self._stopped_early():
                if self._stage_is_due(self._frontier().anything_left()):
                    yield from self._prepare()
                    continue
                if self._frontier().anything_left():
                    continue
            yield from self._recheck()
            reason = self._reason_to_stop()
            complete = Complete(self._anything_left(), reason)
            store.stopped(complete, self._budget.seconds)
            yield Stopped(reason, complete.anything_left)
            return

    # -- stages without trials -------------------------------------------------------------

    def _start(self) -> Start:
        """The first stage."""
        settings = self._settings
        return Start(
            self._store.start,
            settings.wanted_positions(),
            settings.surfaces,
            (settings.seed, LINES),
        )

    def _stage_is_due(self, anything_left: bool) -> bool:
        """Whether a stage without trials comes before the next trial."""
        if self._learning is None:
            return bool(self._settings.reference) and self._store.stages == 1
        return self._learning.phase(anything_left).is_preparation

    def _prepare(self) -> Iterator[Event]:
        """Prepare the searched surface: label, train, or locate known structures on it.

        The steps follow from the run file, so that a resumed run continues with them.
        """
        yield from self._recheck()
        learning, number = self._learning, self._store.stages
        phase = Phase.RECALLING
        if learning is not None:
            phase = learning.phase(self._frontier().anything_left())
        if phase is Phase.RECALLING:
            yield from self._do(Recalled(number, self._network))
        elif learning is not None and phase is Phase.SAMPLING:
            tasks = learning.sample()
            if tasks:
                yield from self._do(Sampled(number, tasks))
        elif learning is not None and phase is Phase.TRAINING:
            yield Training(len(learning.models) + 1, learning.labels)
            yield Trained(learning.train())

    def _recheck(self) -> Iterator[Event]:
        """Check the surface, unless the last trial did."""
        if self._checked < self._budget.trials and not self._history.in_flight():
            yield from self._do(Rechecked(self._store.stages, self._network))

    def _do(self, stage: Stage) -> Iterator[Event]:
        """Do all tasks of a stage without trials, then add its results to the network."""
        kept = self._kept(stage.number)
        queue: TaskQueue[Stage] = TaskQueue()

        def ask(questions: Iterable[Question]) -> None:
            """Queue the tasks; results that were kept are used at once."""
            waiting = deque(questions)
            while waiting:
                key, task = waiting.popleft()
                if key in kept:
                    waiting.extend(stage.take(key, kept.pop(key)))
                else:
                    queue.add(stage, key, task)

        ask(stage.begin())
        for index, result in answers(self._executor(), queue):
            _, key = queue.done(index)
            self._store.add_result(stage.number, key, result, self._budget.seconds)
            ask(stage.take(key, result))
            yield self._task_done(None, key, result, queue.open)
        with self._forgetting():
            absorbed = stage.absorb(self._network, self._dismissals, self._budget.trials)
        rechecked = isinstance(stage, Rechecked)
        checked = self._budget.trials if rechecked else self._checked
        yield from self._take(absorbed, checked=checked)

    # -- trials ----------------------------------------------------------------------------

    def _trials(self) -> Iterator[Event]:
        """Do trials until none is in flight and none can begin now."""
        if self._reached:
            return
        window = Window(
            self._network,
            self._dismissals,
            judged=self._budget.trials,
            referenced=bool(self._settings.reference),
            ceiling=self._outlook.ceiling if self._settings.reference else None,
            wanted=self._store.wanted(),
            recognises=self._settings.recognises,
        )
        queue: TaskQueue[TrialStage] = TaskQueue()
        kept = self._store.results()
        begins = not self._history.in_flight() and self._may_plan()
        if begins and max(kept, default=-1) >= self._store.stages:
            # Of a stage that was due before a limit was changed: the next trial has its number.
            self._store.forget_results()
            kept = self._store.results()

        def ask(questions: Iterable[Asked]) -> None:
            """Queue the tasks; results that were kept are used at once."""
            waiting = deque(questions)
            while waiting:
                stage, key, task = waiting.popleft()
                known = kept.get(stage.number)
                if known is not None and key in known.answers:
                    waiting.extend(window.take(stage, key, known.answers.pop(key)))
                else:
                    queue.add(stage, key, task)

        for planned in self._in_sight:
            stage = TrialStage(planned, self._task(planned))
            if planned.trial > self._budget.trials:
                ask(window.begin(stage))
            elif planned.stage in kept:
                stage.answers.update(kept[planned.stage].answers)
                window.restore(stage, kept[planned.stage].nodes)
        ask(self._planned_now(window))
        yield from self._judge(window, ask)
        if not queue.open:
            return
        for index, result in answers(self._executor(), queue):
            stage, key = queue.done(index)
            self._store.add_result(stage.number, key, result, self._budget.seconds)
            ask(window.take(stage, key, result))
            yield self._task_done(stage.trial, key, result, queue.open)
            yield from self._judge(window, ask)
            if self._reached:
                return

    def _judge(self, window: Window, ask: Callable[[Iterable[Asked]], None]) -> Iterator[Event]:
        """Judge all trials that are finished, in order, and plan others in their place."""
        while (stage := window.finished()) is not None and not self._reached:
            with self._forgetting():
                absorbed = judge(stage, window, self._network, self._dismissals)
            if absorbed.trial is not None:
                self._history.add(absorbed.trial)
            flying = self._history.in_flight()
            seen_from = flying[0].known.trials if flying else stage.trial
            window.judged(stage, seen_from + 1)
            # What was judged before EQ0 was asked for was answered by the surface as it was then.
            rechecked = any(key in stage.answers for key in RECHECKS)
            yield from self._take(
                absorbed, checked=stage.planned.known.trials if rechecked else self._checked
            )
            ask(self._planned_now(window))

    def _planned_now(self, window: Window) -> Iterator[Asked]:
        """The first tasks of as many new trials as there is room for."""
        while self._may_plan():
            chosen = self._plan()
            self._store.plan(chosen)
            self._in_sight.extend(chosen)
            for planned in chosen:
                yield from window.begin(TrialStage(planned, self._task(planned)))

    def _may_plan(self) -> bool:
        """Whether another trial can begin now."""
        return (
            self._budget.room(len(self._history.in_flight())) > 0
            and not self._reached
            and not self._stage_is_due(True)
            and self._frontier().anything_left()
        )

    def _plan(self) -> list[Planned]:
        """Choose the next trials, as many as there is room for; they are used up."""
        network, judged = self._network, self._budget.trials
        flying = len(self._history.in_flight())
        rng = np.random.default_rng([self._settings.seed, CHOICE, judged + flying + 1])
        frontier = self._frontier()
        sizes = len(network.eqs), len(network.tss), len(network.dcs), len(self._dismissals)
        first, attempt = self._outlook.is_first(frontier), self._outlook.attempt(frontier)
        chosen: list[Planned] = []
        frontier.under_way = self._history.under_way
        for item in self._choice.choose(frontier, network, self._budget.room(flying), rng):
            planned = Planned(
                stage=self._store.stages + flying + len(chosen),
                trial=judged + flying + len(chosen) + 1,
                item=item,
                offer=self._outlook.use(frontier, item),
                left=self._outlook.never_tried(item.eq) if first else 0,
                ceiling=self._outlook.searched_ceiling,
                gamma=None if first else self._outlook.gamma(item),
                attempt=attempt,
                known=Known(judged, *sizes),
            )
            chosen.append(planned)
            self._history.plan(planned)
        return chosen

    def _task(self, planned: Planned) -> Push:
        """The push of a trial."""
        offer, eq = planned.offer, self._network.eqs[planned.item.eq]
        seed = (self._settings.seed, TRIAL, eq.number, planned.item.push)
        options = self._settings.options_of(offer.method)
        return Push(eq, offer, planned.ceiling, seed, planned.gamma, options)

    # -- results ---------------------------------------------------------------------------

    def _executor(self) -> Executor:
        """The executor for the surface that is searched now."""
        learning = self._learning
        surface = self._settings.searched if learning is None else learning.surface
        return self._hands.on(*surface, sampling=learning is not None and learning.sampling)

    def _kept(self, stage: int) -> dict[Key, TaskResult]:
        """The results of a stage from before the run was interrupted."""
        found = self._store.results().get(stage)
        return {} if found is None else found.answers

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """On an error drop the answers: if they were kept, a resumed run would fail on them again.

        If the surface has changed, so are the trials since it was checked.
        """
        try:
            yield
        except ChangedSurfaceError:
            self._store.roll_back()
            raise
        except AfirError:
            self._store.forget_results()
            raise

    def _take(self, absorbed: Absorbed, *, checked: int) -> Iterator[Event]:
        """Commit the results of a stage that were added to the network, and report them.

        `checked` is the last trial whose answers came before the surface was checked.
        """
        trial = absorbed.trial
        self._checked = max(self._checked, checked)
        seen_from = self._seen_from(absorbed.stage)
        self._store.absorb(
            absorbed, self._budget.seconds, checked=self._checked, seen_from=seen_from
        )
        self._budget.spend(absorbed)
        if trial is not None:
            self._choice.learn([trial], self._network)
            self._reached = self._is_reached()
        if absorbed.stage:  # the start is read
            self._outlook.take(absorbed.eqs)
        yield from self._reports(absorbed)

    def _seen_from(self, stage: int) -> int:
        """The first stage whose answers may still be needed, when this one is finished.

        Trials in flight see those that were in flight when they were planned; trials since the
        last check of the surface may be repeated.
        """
        later = [planned for planned in self._in_sight if planned.trial > self._checked]
        bound = later[0].known.trials if later else self._budget.trials + 1
        while self._in_sight and self._in_sight[0].trial <= bound:
            self._in_sight.popleft()
        return self._in_sight[0].stage if self._in_sight else stage + 1

    def _reports(self, absorbed: Absorbed) -> Iterator[Event]:
        """The events for what a stage found."""
        for examined in absorbed.examined:
            if examined.doubt:
                yield Doubted(examined.surface, examined.doubt)
        trial = absorbed.trial
        records: list[EQ | TS | DC] = [*absorbed.eqs, *absorbed.dcs, *absorbed.tss]
        for record in records:
            yield Found(record, None if trial is None else trial.number)
        for dismissed in absorbed.dismissed:
            if dismissed.node is None:
                yield Rejected(dismissed)
        if trial is not None:
            yield TrialDone(trial, absorbed.again)
        network = self._network
        yield Progress(
            eqs=len(network.eqs),
            tss=len(network.tss),
            dcs=len(network.dcs),
            trials=self._budget.trials,
            gradients=self._budget.gradients,
            seconds=self._budget.seconds,
        )

    def _task_done(self, trial: int | None, key: Key, result: TaskResult, left: int) -> TaskDone:
        return TaskDone(
            trial=trial,
            kind=key.phase,
            gradients=self._settings.counted(result.gradients),
            seconds=result.cpu_seconds,
            error=result.error or None,
            open=left,
        )

    # -- the end ---------------------------------------------------------------------------

    def _stopped_early(self) -> bool:
        """Whether the run ends though something is left to try."""
        return self._reached or self._budget.used_up() is not None

    def _is_reached(self) -> bool:
        """Whether the wanted product was found."""
        wanted = self._store.wanted()
        return wanted is not None and (
            self._network.find_eq(*wanted) is not None or self._dismissals.node(*wanted) is not None
        )

    def _reason_to_stop(self) -> StoppedBy:
        if self._reached:
            return StoppedBy.WANTED
        if not self._anything_left():
            return StoppedBy.NOTHING_LEFT
        return self._budget.used_up() or StoppedBy.TRIALS

    def _anything_left(self) -> bool:
        """Whether pushes are left, or would be after a training that a limit prevented."""
        learning = self._learning
        kept = learning is not None and self._stopped_early() and learning.to_come
        return kept or bool(self._history.in_flight()) or self._frontier().anything_left()

    def _frontier(self) -> Frontier:
        """The pushes to choose from."""
        wanted = self._settings.tried.attempts
        learning = self._learning
        return self._outlook.frontier(wanted if learning is None else learning.attempts(wanted))
