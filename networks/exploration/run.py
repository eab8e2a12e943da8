"""Starting, resuming and opening explorations; `networks.exploration.loop` runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from afir.errors import AfirError, InputError
from afir.geometry.bonds import dissociated, gap
from afir.molecule import Molecule, Positions
from afir.pes.named import Named
from networks.execution.base import Executor
from networks.execution.context import Bench
from networks.execution.registry import Factory, executor_factory
from networks.exploration.events import Event
from networks.exploration.executors import Hands
from networks.exploration.loop import Exploration
from networks.learning.learner import load_learner
from networks.learning.models import check_folder
from networks.policies.base import Policy, load_policy
from networks.records.runs import StoppedBy
from networks.rounds.surface_check import check_unchanged
from networks.settings import KEEP, Keep, Settings
from networks.storage.sqlite import StoreError
from networks.storage.store import Store
from networks.trusted import check_trusted

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def explore(
    molecule: Molecule,
    positions: Positions,
    settings: Settings,
    output: Path,
    *,
    workers: int = 1,
    job: str = "",
    executor: str | Factory | None = None,
    executor_options: Mapping[str, Any] = _NO_OPTIONS,
) -> Iterator[Event]:
    """Explore the reaction paths that start from a structure.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) the start in Å.
    settings
        The settings of the exploration.
    output
        The run file to create.
    workers
        Number of workers.
    job
        A text to keep in the run file, e.g. the job file.
    executor, executor_options
        Where the tasks are done: a name and its options, or a function that makes an executor; see
        `networks.execution.registry.executor_factory`. By default that is this process with one
        worker, and processes with more.

    Returns
    -------
    Iterator of Event
        The events of the run. The exploration runs only while it is iterated.

    Raises
    ------
    InputError
        At once, if anything given makes no sense or `output` exists.
    AfirError
        Later, if the start is no minimum of the surface, the surface stops working or the file
        cannot be written.
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
    if settings.targets is not None and len(settings.targets) == molecule.n_atoms:
        settings = replace(settings, targets=None)  # all atoms is the same as no choice
    make = executor_factory(executor, workers, executor_options)
    if settings.learn:
        load_learner(settings.learner, molecule)
        check_folder(output)
    policy = load_policy(settings.policy, settings.policy_options)
    store = Store.create(output, molecule, x, settings, job)
    return _begun(store, _events(store, policy, make))


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
    trusted: Sequence[Named] = (),
    policy: str | Keep = KEEP,
    policy_options: Mapping[str, Any] | Keep = KEEP,
    executor: str | Factory | None = None,
    executor_options: Mapping[str, Any] = _NO_OPTIONS,
) -> Iterator[Event]:
    """Continue a run that was stopped, interrupted or killed.

    Parameters
    ----------
    output
        The run file.
    workers, executor, executor_options
        As for `explore`; the network is the same with any of them.
    window_kj_mol, bond_depth, max_trials, max_gradients, max_seconds, patience, task_seconds
        New limits in place of the old ones; see `networks.settings.Settings`. They count
        from the beginning of the run. KEEP leaves one as it is, None removes it.
    trusted
        The surfaces of the run that run code from outside, e.g. ``[Named("ase:my.Calculator")]``,
        with their options: a name in the run file alone is not enough.
    policy, policy_options
        The name of another policy to continue with; a change drops the old options.

    Raises
    ------
    InputError
        At once, if the file is no run, another process is writing it, a limit makes no sense,
        the surface is no longer what it was, or it runs code from outside and is not trusted.
    AfirError
        Later, if the surface stops working or the file cannot be written.
    """
    make = executor_factory(executor, workers, executor_options)
    store = Store.open(output, writing=True)
    try:
        old = store.settings
        if policy not in (KEEP, old.policy) and policy_options is KEEP:
            policy_options = {}  # those of another policy mean nothing
        settings = replace(
            old,
            policy=old.policy if policy is KEEP else policy,
            policy_options=old.policy_options if policy_options is KEEP else policy_options,
            window_kj_mol=old.window_kj_mol if window_kj_mol is KEEP else window_kj_mol,
            bond_depth=old.bond_depth if bond_depth is KEEP else bond_depth,
            max_trials=old.max_trials if max_trials is KEEP else max_trials,
            max_gradients=old.max_gradients if max_gradients is KEEP else max_gradients,
            max_seconds=old.max_seconds if max_seconds is KEEP else max_seconds,
            patience=old.patience if patience is KEEP else patience,
            task_seconds=old.task_seconds if task_seconds is KEEP else task_seconds,
        )
        chosen = load_policy(settings.policy, settings.policy_options)
        check_trusted(old, trusted, output)
        if not callable(executor):  # which may compute on a surface that is not registered here
            check_unchanged(store)
        if settings != old:
            store.change_settings(settings)
    except BaseException:
        store.close()
        raise
    return _unless_idle(store, old, _events(store, chosen, make))


def open_run(output: Path) -> Store:
    """Open a run file to read it, also while it is being written.

    Raises
    ------
    InputError
        If there is no such file, it is no run, or its schema version is another one.
    """
    return Store.open(output)


def _begun(store: Store, events: Iterator[Event]) -> Iterator[Event]:
    """The events of a new run; its file is deleted if the run fails before its first round."""
    try:
        yield from events
    except StoreError:
        raise
    except AfirError:
        if store.rounds == 0:
            store.discard()  # so that the next attempt can use its name
        raise
    finally:
        store.close()


def _unless_idle(store: Store, old: Settings, events: Iterator[Event]) -> Iterator[Event]:
    """The events of a resumed run; a complete run to which nothing is added keeps its window.

    Its report would otherwise refer to a window that it never had.
    """
    complete, rounds = store.summary().complete, store.rounds
    with store:
        yield from events
    if complete.stopped_by is not StoppedBy.NOTHING_LEFT:
        return
    with Store.open(store.path, writing=True) as run:
        kept = replace(run.settings, window_kj_mol=old.window_kj_mol, bond_depth=old.bond_depth)
        if run.rounds == rounds and run.settings != kept:
            run.change_settings(kept)
            run.stopped(complete, run.seconds)


def _events(store: Store, policy: Policy, make: Callable[[Bench], Executor]) -> Iterator[Event]:
    """The events of a run; its workers end with it."""
    hands = Hands(store, make)
    try:
        yield from Exploration(store, policy, hands).run()
    finally:
        hands.close()
