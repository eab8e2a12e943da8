"""Executors that come from elsewhere: what they compute on, and what they answer, is checked."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from afir.errors import AfirError, InputError
from afir.molecule import Molecule
from afir.searches.settings import StepSettings
from networks.execution.base import Executor
from networks.execution.context import Bench
from networks.execution.tasks import Task, TaskResult
from networks.settings import Settings


def bench_of(molecule: Molecule, settings: Settings) -> Bench:
    """The bench for the tasks of a run before anything has been learned."""
    return Bench(
        molecule,
        settings.surface,
        settings.surface_options,
        settings.step,
        settings.task_seconds,
        settings.keep_frames,
        settings.reference,
        settings.reference_options,
    )


_DECISIVE = {
    "molecule": "molecule",
    "surface": "surface",
    "options": "options of the surface",
    "step": "step settings",
    "reference": "reference",
    "reference_options": "options of the reference",
    "keep_frames": "keep_frames",
}
"""The attributes of a bench that decide the results of tasks, with their names in messages."""


def check_executor(executor: Executor, molecule: Molecule, settings: Settings) -> None:
    """Check that the bench of a given executor is the one that a run needs.

    Parameters
    ----------
    executor
        Its `bench` must have the attributes of a `networks.execution.context.Bench` that decide
        results. Step settings that the run leaves to the surface may be decided.
    molecule, settings
        Of the run.

    Raises
    ------
    InputError
        If anything differs or is missing.
    """
    bench, needed = getattr(executor, "bench", None), bench_of(molecule, settings)
    for name, what in _DECISIVE.items():
        if not hasattr(bench, name):
            raise InputError(
                f"`executor` must say by its `bench` what it computes on "
                f"(`networks.execution.context.Bench`), "
                f"got none with `{name}`"
            )
        has, needs = getattr(bench, name), getattr(needed, name)
        if isinstance(has, StepSettings) and needed.step.surrogate is None:
            has = replace(has, surrogate=None)
        if has != needs:
            raise InputError(f"`executor` must have the {what} of the run, {needs!r}, got {has!r}")


def answers(executor: Executor, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
    """The results of an executor, which may come from elsewhere, checked as they come.

    Parameters
    ----------
    executor
        Does the tasks.
    tasks
        May grow meanwhile; see `networks.execution.base.Executor.run`.

    Yields
    ------
    tuple
        The index of a task, each once, and its result.

    Raises
    ------
    AfirError
        If an answer is anything else, or a task has none in the end.
    """

    def wrong(what: str) -> AfirError:
        return AfirError(f"the executor {type(executor).__name__} must {what}; correct it")

    given = executor.run(tasks)
    if not isinstance(given, Iterable):
        raise wrong(f"yield the results of its tasks, got {type(given).__name__}")
    missing = set(range(len(tasks)))
    known = len(tasks)
    for answer in given:
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise wrong(f"yield pairs of an index and a `TaskResult`, got {reprlib.repr(answer)}")
        number, result = answer
        try:
            index = operator.index(number)
        except TypeError:
            index = -1
        if isinstance(number, bool) or not 0 <= index < len(tasks):
            raise wrong(
                f"yield indices of tasks, 0 to {len(tasks) - 1}, got {reprlib.repr(number)}"
            )
        if not isinstance(result, TaskResult):
            raise wrong(f"yield a `TaskResult` for task {index}, got {reprlib.repr(result)}")
        if index not in missing:
            raise wrong(f"yield one result for each task, got another for task {index}")
        missing.remove(index)
        yield index, result
        missing.update(range(known, len(tasks)))
        known = len(tasks)
    if missing:
        raise wrong(f"do every task, got no result for {len(missing)} of {len(tasks)}")
