"""Starting, resuming and opening explorations; `networks.exploration.loop` runs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Unpack

import numpy as np

from afir.errors import AfirError, InputError, StoppedError
from afir.geometry.bonds import dissociated, gap
from afir.methods.base import ENTRY_POINT_GROUP as METHODS
from afir.molecule import Molecule, Positions
from afir.options import entries
from afir.pes.named import Named
from afir.policies import Policy
from networks.execution.base import Executor
from networks.execution.context import Bench
from networks.execution.registry import Factory, executor_factory
from networks.exploration.events import Event
from networks.exploration.executors import Hands
from networks.exploration.loop import Exploration
from networks.files import contents, with_absolute_paths
from networks.learning.learner import ENTRY_POINT_GROUP as LEARNERS
from networks.learning.learner import load_learner
from networks.learning.models import check_folder
from networks.policies.base import ENTRY_POINT_GROUP as POLICIES
from networks.policies.base import load_policy
from networks.records.runs import StoppedBy
from networks.scheduling.offers import Mixture
from networks.scheduling.scheduler import PUSHES
from networks.settings import Changes, Settings
from networks.stages.surface_check import check_unchanged
from networks.storage.base import Store
from networks.storage.run_file import RunFile
from networks.storage.sqlite import StoreError
from networks.trusted import check_trusted

logger = logging.getLogger(__name__)

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def explore(
    molecule: Molecule,
    positions: Positions,
    settings: Settings,
    output: Path,
    *,
    workers: int = 1,
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
    make = executor_factory(executor, workers, executor_options)
    return begin(molecule, positions, settings, output, make)


def begin(
    molecule: Molecule,
    positions: Positions,
    settings: Settings,
    output: Path,
    make: Callable[[Bench], Executor],
    *,
    job: str = "",
) -> Iterator[Event]:
    """The same with a function that makes executors (`networks.execution.registry`).

    `job` is a text to keep in the run file, e.g. the job file; positions are (n, 3) in Å.
    """
    x = np.array(positions, dtype=np.float64)
    check_start(molecule, x, settings)
    if settings.targets is not None and len(settings.targets) == molecule.n_atoms:
        settings = replace(settings, targets=None)  # all atoms is the same as no choice
    if settings.learn:
        check_folder(output)
    policy = load_policy(settings.policy, settings.policy_options)
    settings = _from_any_folder(settings)
    store = RunFile.create(output, molecule, x, settings, job)
    return _begun(store, _events(store, policy, make))


def check_start(molecule: Molecule, positions: Positions, settings: Settings) -> None:
    """Raise InputError for a start (n, 3) in Å or settings that no run can begin with.

    `explore` checks them itself, and the output file after them.
    """
    x = np.asarray(positions)
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
    if settings.learn:
        load_learner(settings.learner, molecule)
    load_policy(settings.policy, settings.policy_options)
    Mixture(molecule, settings, PUSHES)  # to refuse methods that cannot be used


def resume(
    output: Path,
    *,
    workers: int = 1,
    trusted: Sequence[Named] = (),
    executor: str | Factory | None = None,
    executor_options: Mapping[str, Any] = _NO_OPTIONS,
    **changes: Unpack[Changes],
) -> Iterator[Event]:
    """Continue a run that was stopped, interrupted or killed.

    Parameters
    ----------
    output
        The run file.
    workers, executor, executor_options
        As for `explore`; the network is the same with any of them.
    trusted
        The surfaces of the run that run code from outside, e.g. ``[Named("ase:my.Calculator")]``,
        with their options: a name in the run file alone is not enough.
    **changes
        New limits in place of the old ones, e.g. ``max_trials=500``, or another policy: see
        `networks.settings.Changes`. A run in which nothing is left to try, neither before nor
        after, keeps its window and bond depth; a warning says so.

    Raises
    ------
    InputError
        At once, if the file is no run, another process is writing it, a change makes no sense,
        the surface is no longer what it was, or it runs code from outside and is not trusted.
    AfirError
        Later, if the surface stops working or the file cannot be written.
    """
    make = executor_factory(executor, workers, executor_options)
    store = RunFile.open(output, writing=True)
    try:
        old = store.settings
        settings = _from_any_folder(old.changed(**changes))
        _check_installed(settings, output, policy_chosen=settings.policy != old.policy)
        chosen = load_policy(settings.policy, settings.policy_options)
        Mixture(store.molecule, settings, PUSHES)
        check_trusted(old, trusted, output)
        given = changes.get("policy_options", {})
        if settings.policy == old.policy:
            _check_files(store, settings, given)
        if not callable(executor):  # which may compute on a surface that is not registered here
            check_unchanged(store)
        if settings != old or given:
            store.change_settings(settings)
    except BaseException:
        store.close()
        raise
    return _unless_idle(store, old, _events(store, chosen, make))


def _from_any_folder(settings: Settings) -> Settings:
    """Settings with absolute paths of the files that options of the policy name."""
    options = with_absolute_paths(settings.policy, settings.policy_options, Path())
    return replace(settings, policy_options=options)


def _check_files(store: RunFile, settings: Settings, given: Container[str]) -> None:
    """Raise InputError if a file of the policy, unless it was named anew, is no longer the same."""
    now = contents(settings.policy, settings.policy_options)
    for key, before in store.contents.items():
        if key not in given and now.get(key) != before:
            path = settings.policy_options.get(key)
            raise InputError(
                f"{path}, which the run names as `{key}` of its policy, has been replaced, and the "
                "run would not go on as it began; put the old file back, or go on with this one by "
                f"`--policy-option {key}={path}`"
            )


def _check_installed(settings: Settings, path: Path, *, policy_chosen: bool) -> None:
    """Raise InputError if a run needs what no package here has.

    A policy that somebody has just chosen is another matter: its name may be wrong.
    """
    needed = [("method", METHODS, name, "") for name in settings.methods]
    if settings.learn:
        needed.append(("learner", LEARNERS, settings.learner, ""))
    if not policy_chosen:
        needed.append(("policy", POLICIES, settings.policy, ", or name another --policy"))
    for what, group, name, instead in needed:
        if name not in entries(group):
            raise InputError(
                f"{path} needs the {what} {name!r}, which is not installed here; install the "
                f"package that has it, then resume the run{instead}"
            )


def open_run(output: Path) -> RunFile:
    """Open a run file to read it, also while it is being written.

    Raises
    ------
    InputError
        If there is no such file, it is no run, or its schema version is another one.
    """
    return RunFile.open(output)


def _begun(store: Store, events: Iterator[Event]) -> Iterator[Event]:
    """The events of a new run; its file is deleted if it turns out that it cannot begin."""
    try:
        yield from events
    except (StoreError, StoppedError):
        raise
    except AfirError:
        if store.stages == 0:
            store.discard()  # so that the next attempt can use its name
        raise
    finally:
        store.close()


def _unless_idle(store: RunFile, old: Settings, events: Iterator[Event]) -> Iterator[Event]:
    """The events of a resumed run; a complete run to which nothing is added keeps its window.

    Its report would otherwise refer to a window that it never had. A warning says so.
    """
    complete, stages = store.summary().complete, store.stages
    with store:
        yield from events
    if complete.stopped_by is not StoppedBy.NOTHING_LEFT:
        return
    with RunFile.open(store.path, writing=True) as run:
        kept = replace(run.settings, window_kj_mol=old.window_kj_mol, bond_depth=old.bond_depth)
        if run.stages == stages and run.settings != kept:
            asked = run.settings
            run.change_settings(kept)
            run.stopped(complete, run.seconds)
            logger.warning("%s", _unchanged(asked, kept))


def _unchanged(asked: Settings, kept: Settings) -> str:
    """That a complete run keeps its window and bond depth, in a sentence."""
    words = [
        f"the {what} stays {'without a limit' if now is None else f'{now:g}{unit}'}"
        for what, unit, wanted, now in (
            ("window", " kJ/mol", asked.window_kj_mol, kept.window_kj_mol),
            ("bond depth", "", asked.bond_depth, kept.bond_depth),
        )
        if wanted != now
    ]
    return (
        f"{' and '.join(words)}: nothing is left to try in this run with another one either; begin "
        "a new run with it, which may find more"
    )


def _events(store: Store, policy: Policy, make: Callable[[Bench], Executor]) -> Iterator[Event]:
    """The events of a run; its workers end with it."""
    with Hands(store, make) as hands:
        yield from Exploration(store, policy, hands).run()
