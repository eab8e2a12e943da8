"""The state of a run and its rounds: choose pushes, do them, store what they found.

Only the exploration decides and writes. It works in rounds of a fixed number of trials. The plan
of a round is committed before it begins and every answer as it comes, so a run that is killed at
any moment and resumed ends with the same network as an undisturbed one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from afir.errors import AfirError
from afir.geometry.bonds import bond_changes
from afir.policies import Policy
from networks.execution.checked import answers
from networks.execution.tasks import Push, Task
from networks.exploration.events import (
    Doubted,
    Event,
    Found,
    Opened,
    Rebonded,
    Rejected,
    RoundDone,
    RoundStarted,
    Stopped,
    TaskDone,
    Trained,
    Training,
    TrialDone,
)
from networks.exploration.executors import Hands
from networks.graph.rejected import Dismissals
from networks.learning.models import Learning
from networks.learning.stages import Recalled, Sampled
from networks.policies.choice import Choice
from networks.records.runs import Complete, StoppedBy
from networks.records.structures import DC, EQ, TS
from networks.records.trials import Key, Plan
from networks.rounds.base import Question, Stage, Start
from networks.rounds.pushes import Round
from networks.scheduling.budget import Budget
from networks.scheduling.queue import Frontier
from networks.scheduling.scheduler import CHOICE, LINES, TRIAL, Outlook
from networks.storage.store import Store


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
        summary = store.summary()
        self._budget = Budget(
            store.settings,
            trials=sum(summary.trials.values()),
            gradients=store.gradients(),
            barren=store.barren_trials(),
            seconds=summary.seconds,
        )
        self._outlook = Outlook(store, self._network, self._dismissals)
        self._choice.learn(store.trials(), self._network)

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
        if store.rounds == 0:
            yield from self._do(self._start())
            yield from self._rebonded()
        self._outlook.read()
        plan = store.plan()
        while True:
            if plan is None:
                if not self._stopped_early():
                    yield from self._prepare()
                reason = self._reason_to_stop()
                if reason is not None:
                    complete = Complete(self._anything_left(), reason)
                    store.stopped(complete, self._budget.seconds)
                    yield Stopped(reason, complete.anything_left)
                    return
                plan = self._plan()
                store.plan_round(plan)
            yield from self._do(self._round(plan))
            plan = None

    def _prepare(self) -> Iterator[Event]:
        """Prepare the searched surface: train a model if one is due, locate known structures on it.

        The steps follow from the run file, so that a resumed run continues with them.
        """
        learning, store = self._learning, self._store
        if learning is None:
            if self._settings.reference and store.rounds == 1:
                yield from self._do(Recalled(store.rounds, self._network))
            return
        anything_left = self._frontier().anything_left()
        if learning.ready(anything_left) and not learning.sampled:
            tasks = learning.sample()
            if tasks:
                yield from self._do(Sampled(store.rounds, tasks))
                if self._stopped_early():
                    return
        if learning.due(anything_left):
            yield Training(len(learning.models) + 1, learning.labels)
            yield Trained(learning.train())
        if store.rounds == max([1, *(model.round for model in learning.models)]):
            yield from self._do(Recalled(store.rounds, self._network))

    def _start(self) -> Start:
        """The first stage."""
        settings = self._settings
        return Start(
            self._store.start,
            settings.wanted_positions(),
            settings.surfaces,
            (settings.seed, LINES),
        )

    def _rebonded(self) -> Iterator[Event]:
        """Events for a start or wanted product whose bonds changed while it was relaxed."""
        given = [("start", self._store.start, self._network.eqs["EQ0"].positions)]
        wanted, relaxed = self._settings.wanted_positions(), self._store.wanted()
        if wanted is not None and relaxed is not None:
            given.append(("wanted product", wanted, relaxed[0]))
        for what, before, after in given:
            changes = bond_changes(self._network.molecule, before, after)
            if changes:
                yield Rebonded(what, changes)

    # -- one round ---------------------------------------------------------------------------

    def _do(self, stage: Stage) -> Iterator[Event]:
        """Do all tasks of a stage, then add its results to the network."""
        store = self._store
        kept = store.results(stage.number)
        keys: list[Key] = []
        tasks: list[Task] = []

        def ask(questions: list[Question]) -> None:
            """Queue the tasks; results that were kept are used at once."""
            waiting = deque(questions)
            while waiting:
                key, task = waiting.popleft()
                if key in kept:
                    waiting.extend(stage.take(key, kept.pop(key)))
                else:
                    keys.append(key)
                    tasks.append(task)

        first = stage.begin()
        ask(first)
        if isinstance(stage, Round):
            yield RoundStarted(stage.number, sum(key.phase == "push" for key, _ in first))
        learning = self._learning
        surface = self._settings.surface, self._settings.surface_options
        executor = self._hands.on(
            *(surface if learning is None else learning.surface),
            sampling=learning is not None and learning.sampling,
        )
        for done, (index, result) in enumerate(answers(executor, tasks), start=1):
            key = keys[index]
            store.add_result(stage.number, key, result, self._budget.seconds)
            ask(stage.take(key, result))
            yield TaskDone(
                round=stage.number,
                kind=key.phase,
                gradients=self._settings.counted(result.gradients),
                seconds=result.cpu_seconds,
                error=result.error or None,
                open=len(tasks) - done,
            )
        yield from self._absorb(stage)

    def _absorb(self, stage: Stage) -> Iterator[Event]:
        """Add the results of a stage to the network, commit them, and report them."""
        try:
            absorbed = stage.absorb(self._network, self._dismissals, self._budget.trials)
        except AfirError:
            # If these answers were kept, a resumed run would fail on them again.
            self._store.forget_results()
            raise
        self._store.absorb(absorbed, self._budget.seconds)
        self._budget.spend(absorbed)
        self._choice.learn(absorbed.trials, self._network)
        self._outlook.take(absorbed.eqs if stage.number else ())
        for examined in absorbed.examined:
            if examined.doubt:
                yield Doubted(examined.surface, examined.doubt)
        finder = {id: trial.number for trial in absorbed.trials for id in trial.found}
        records: list[EQ | TS | DC] = [*absorbed.eqs, *absorbed.dcs, *absorbed.tss]
        for record in records:
            yield Found(record, finder.get(record.id))
        for dismissed in absorbed.dismissed:
            if dismissed.node is None:
                yield Rejected(dismissed)
        for trial in absorbed.trials:
            yield TrialDone(trial, absorbed.again.get(trial.number, ()))
        network = self._network
        yield RoundDone(
            number=stage.number,
            eqs=len(network.eqs),
            tss=len(network.tss),
            dcs=len(network.dcs),
            trials=self._budget.trials,
            gradients=self._budget.gradients,
            seconds=self._budget.seconds,
        )

    def _plan(self) -> Plan:
        """Choose the pushes of the next round."""
        number = self._store.rounds
        rng = np.random.default_rng([self._settings.seed, CHOICE, number])
        items = self._choice.choose(self._frontier(), self._network, self._budget.room(), rng)
        return Plan(number, self._outlook.searched_ceiling, items)

    def _round(self, plan: Plan) -> Round:
        """The round for a plan; its pushes are used up."""
        tasks: list[Push] = []
        left: list[int | None] = []
        frontier = self._frontier()
        for item in plan.items:
            eq = self._network.eqs[item.eq]
            # A limit that was changed may have closed an EQ whose round had begun.
            first = False
            if item.push in frontier.left(item.eq):
                offer = self._outlook.use(frontier, item)
                first = self._outlook.is_first(frontier)
                left.append(self._outlook.never_tried(item.eq) if first else 0)
            else:
                offer = self._outlook.offer(item)
                left.append(None)
            seed = (self._settings.seed, TRIAL, eq.number, item.push)
            gamma = None if first else self._outlook.gamma(item)
            options = self._settings.options_of(offer.method)
            tasks.append(Push(eq.point(), offer, plan.ceiling, seed, gamma, options))
        return Round(
            plan,
            tasks,
            left,
            self._network,
            self._dismissals,
            referenced=bool(self._settings.reference),
            window=self._outlook.ceiling if self._settings.reference else None,
            wanted=self._store.wanted(),
        )

    def _stopped_early(self) -> bool:
        """Whether the run ends though something is left to try."""
        return self._wanted_found() or self._budget.used_up() is not None

    def _wanted_found(self) -> bool:
        wanted = self._store.wanted()
        return wanted is not None and (
            self._network.find_eq(*wanted) is not None or self._dismissals.node(*wanted) is not None
        )

    def _reason_to_stop(self) -> StoppedBy | None:
        if self._wanted_found():
            return StoppedBy.WANTED
        if not self._anything_left():
            return StoppedBy.NOTHING_LEFT
        return self._budget.used_up()

    def _anything_left(self) -> bool:
        """Whether pushes are left, or would be after a training that a limit prevented."""
        learning = self._learning
        kept = learning is not None and self._stopped_early() and learning.to_come
        return kept or self._frontier().anything_left()

    def _frontier(self) -> Frontier:
        """The pushes to choose from."""
        wanted = self._settings.tried.attempts
        learning = self._learning
        return self._outlook.frontier(wanted if learning is None else learning.attempts(wanted))
