"""The recursive exploration: choose pushes, do them, keep what they found, until nothing is left.

The explorer alone decides and writes. It works in rounds of a fixed number of trials; a round's
plan is committed before it begins and every answer as it comes, so that a run can be killed at
any moment and, resumed, ends with the network it would have found undisturbed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from afir.bonding import bond_changes
from afir.errors import AfirError, InputError
from afir.geometry import dissociated, gap
from afir.molecule import Molecule, Positions
from networks.budget import Budget
from networks.database import StoreError
from networks.dismissals import Dismissals
from networks.events import (
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
from networks.executor import Executor
from networks.frontier import Frontier
from networks.hands import Hands
from networks.learning import Learning, Recalled, Sampled, check_folder, load_learner
from networks.outlook import CHOICE, TRIAL, Outlook
from networks.policy import Policy, load_policy
from networks.records import DC, EQ, TS, Complete, Key, Plan, StoppedBy
from networks.round import Round
from networks.settings import KEEP, Keep, Settings
from networks.stage import Question, Stage, Start
from networks.store import Store
from networks.tasks import Push, Task
from networks.unchanged import check_unchanged


def explore(
    molecule: Molecule,
    positions: Positions,
    settings: Settings,
    output: Path,
    *,
    workers: int = 1,
    job: str = "",
    executor: Executor | None = None,
) -> Iterator[Event]:
    """Explore the reaction paths that start from a structure.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) the start in Å.
    settings
        Everything that decides which network is found.
    output
        The run file to be made.
    workers
        Processes to do the searches in; with 1 they are done in this one, many side by side if
        the surface gains from that.
    job
        A text that is kept in the run file, e.g. the job file.
    executor
        Does the tasks in place of the workers; it stays open.

    Returns
    -------
    Iterator of Event
        What happens, as it happens. The exploration goes on only while it is iterated.

    Raises
    ------
    InputError
        At once, if anything given makes no sense or `output` exists.
    AfirError
        On the way, if the start is no minimum of the surface, the surface stops working or the
        file cannot be written.
    """
    x = np.array(positions, dtype=np.float64)
    if x.shape != (molecule.n_atoms, 3) or not np.isfinite(x).all():
        raise InputError(
            f"`positions` must be finite and of the shape ({molecule.n_atoms}, 3), got {x.shape}"
        )
    if dissociated(molecule, x, settings.step.dissociation):
        raise InputError(
            f"the fragments of the start must be within {settings.step.dissociation:g} Å of each "
            f"other, got {gap(molecule, x):.1f} Å; bring them together"
        )
    settings.check(molecule)
    _check_workers(workers)
    if settings.learn:
        load_learner(settings.learner, molecule)
        check_folder(output)
        _check_executor(executor)
    policy = load_policy(settings.policy, settings.policy_options)
    store = Store.create(output, molecule, x, settings, job)
    return _begun(store, _events(store, policy, workers, executor))


def resume(
    output: Path,
    *,
    workers: int = 1,
    window_kj_mol: float | Keep | None = KEEP,
    bond_depth: int | Keep | None = KEEP,
    max_trials: int | Keep | None = KEEP,
    max_gradients: int | Keep | None = KEEP,
    max_seconds: float | Keep | None = KEEP,
    patience: int | Keep | None = KEEP,
    task_seconds: float | Keep = KEEP,
    executor: Executor | None = None,
) -> Iterator[Event]:
    """Go on with a run that was stopped, interrupted or killed.

    Parameters
    ----------
    output
        The run file.
    workers, executor
        As for `explore`; any number gives the same network.
    window_kj_mol, bond_depth, max_trials, max_gradients, max_seconds, patience, task_seconds
        New limits in place of the old ones; see `networks.settings.Settings`. They count
        from the beginning of the run. KEEP leaves one as it is, None takes it away.

    Raises
    ------
    InputError
        At once, if the file is no run, another process is writing it, a limit makes no sense,
        or the surface is no longer what it was.
    AfirError
        On the way, if the surface stops working or the file cannot be written.
    """
    _check_workers(workers)
    store = Store.open(output, writing=True)
    try:
        old = store.settings
        if old.learn:
            _check_executor(executor)
        settings = replace(
            old,
            window_kj_mol=old.window_kj_mol if window_kj_mol is KEEP else window_kj_mol,
            bond_depth=old.bond_depth if bond_depth is KEEP else bond_depth,
            max_trials=old.max_trials if max_trials is KEEP else max_trials,
            max_gradients=old.max_gradients if max_gradients is KEEP else max_gradients,
            max_seconds=old.max_seconds if max_seconds is KEEP else max_seconds,
            patience=old.patience if patience is KEEP else patience,
            task_seconds=old.task_seconds if task_seconds is KEEP else task_seconds,
        )
        policy = load_policy(settings.policy, settings.policy_options)
        if executor is None:  # which would have the surface already
            check_unchanged(store)
        if settings != old:
            store.change_settings(settings)
    except AfirError:
        store.close()
        raise
    return _events(store, policy, workers, executor)


def open_run(output: Path) -> Store:
    """Open a run file to read it, also while it is being written.

    Raises
    ------
    InputError
        If there is no such file, it is no run, or its schema version is another one.
    """
    return Store.open(output)


def _check_workers(workers: int) -> None:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"`workers` must be a whole number of 1 or more, got {workers!r}")


def _check_executor(executor: Executor | None) -> None:
    """InputError if a run that learns cannot be done by it."""
    if executor is not None:
        raise InputError("`executor` must not be given to a run that learns: its surface changes")


def _begun(store: Store, events: Iterator[Event]) -> Iterator[Event]:
    """The events of a new run, whose file is deleted when there is nothing to go on with."""
    try:
        yield from events
    except StoreError:
        raise
    except AfirError:
        with Store.open(store.path) as run:
            empty = run.rounds == 0
        if empty:
            store.discard()  # its name is wanted for the next attempt
        raise


def _events(
    store: Store, policy: Policy, workers: int, executor: Executor | None
) -> Iterator[Event]:
    """Run with all that must be given back at the end."""
    hands = Hands(store, workers, executor)
    try:
        yield from _Exploration(store, policy, hands).run()
    finally:
        hands.close()
        store.close()


class _Exploration:
    """The state of a run; all of it can be read back from the run file."""

    def __init__(self, store: Store, policy: Policy, hands: Hands) -> None:
        self._store = store
        self._policy = policy
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
        policy.learn(store.trials(), self._network)

    def run(self) -> Iterator[Event]:
        """Go on until something says stop."""
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
            start = Start(store.start, self._settings.wanted_positions())
            yield from self._do(start)
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
        """See to the surface that is searched: train a model if one is due, find EQs again on it.

        What is to be done follows from what is written, so that a resumed run goes on with it.
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

    def _rebonded(self) -> Iterator[Event]:
        """Tell when the start or the wanted product turned out to be another molecule."""
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
        """Ask until all is answered, then take in what was found."""
        store = self._store
        kept = store.results(stage.number)
        keys: list[Key] = []
        tasks: list[Task] = []

        def ask(questions: list[Question]) -> None:
            """Line the questions up, and go on at once with answers that were kept."""
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
            yield RoundStarted(stage.number, len(first))
        learning = self._learning
        surface = self._settings.surface, self._settings.surface_options
        executor = self._hands.on(
            *(surface if learning is None else learning.surface),
            sampling=learning is not None and learning.sampling,
        )
        for done, (index, result) in enumerate(executor.run(tasks), start=1):
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
        """Take in what a round found, commit it, and tell."""
        try:
            absorbed = stage.absorb(self._network, self._dismissals, self._budget.trials)
        except AfirError:
            # Kept, these answers would fail whoever resumes after the cause is mended.
            self._store.forget_results()
            raise
        self._store.absorb(absorbed, self._budget.seconds)
        self._budget.spend(absorbed)
        self._policy.learn(absorbed.trials, self._network)
        self._outlook.take(absorbed.eqs if stage.number else ())
        finder = {id: trial.number for trial in absorbed.trials for id in trial.found}
        records: list[EQ | TS | DC] = [*absorbed.eqs, *absorbed.dcs, *absorbed.tss]
        for record in records:
            yield Found(record, finder.get(record.id))
        for dismissed in absorbed.dismissed:
            if dismissed.node is None:
                yield Rejected(dismissed)
        for trial in absorbed.trials:
            yield TrialDone(trial)
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
        items = self._policy.choose(self._frontier(), self._network, self._budget.room(), rng)
        if not items:
            raise AfirError(
                f"the policy {self._settings.policy!r} must choose something while pushes are "
                "left, got nothing"
            )
        return Plan(number, self._outlook.searched_ceiling, tuple(items))

    def _round(self, plan: Plan) -> Round:
        """The tasks of a plan; its pushes are used up."""
        tasks: list[Push] = []
        left: list[int | None] = []
        frontier = self._frontier()
        for item in plan.items:
            eq = self._network.eqs[item.eq]
            # A limit that was changed may have closed an EQ whose round had begun.
            if item.push in frontier.left(item.eq):
                terms = frontier.take(item)
                first = self._outlook.is_first(frontier)
                left.append(len(frontier.left(item.eq)) if first else 0)
            else:
                listed = self._outlook.pushes(eq)
                terms = listed[item.push % len(listed)]
                left.append(None)
            seed = (self._settings.seed, TRIAL, eq.number, item.push)
            tasks.append(Push(eq.point(), terms, plan.ceiling, seed))
        return Round(
            plan,
            tasks,
            left,
            self._network,
            self._dismissals,
            referenced=bool(self._settings.reference),
            window=self._outlook.ceiling if self._settings.reference else None,
        )

    def _stopped_early(self) -> bool:
        """Whether the run ends though something is left to try."""
        return self._wanted_found() or self._budget.used_up() is not None

    def _wanted_found(self) -> bool:
        wanted = self._store.wanted()
        return wanted is not None and self._network.find_eq(*wanted) is not None

    def _reason_to_stop(self) -> StoppedBy | None:
        if self._wanted_found():
            return StoppedBy.WANTED
        if not self._anything_left():
            return StoppedBy.NOTHING_LEFT
        return self._budget.used_up()

    def _anything_left(self) -> bool:
        """Whether there are pushes left, or would be with a model that a limit kept from being."""
        learning = self._learning
        kept = learning is not None and self._stopped_early() and learning.to_come
        return kept or self._frontier().anything_left()

    def _frontier(self) -> Frontier:
        """The pushes to choose from."""
        wanted = self._settings.attempts
        learning = self._learning
        return self._outlook.frontier(wanted if learning is None else learning.attempts(wanted))
