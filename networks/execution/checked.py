"""What executors answer, checked: they may come from elsewhere."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Iterable, Iterator, Sequence

from afir.errors import AfirError
from networks.execution.base import Executor
from networks.execution.tasks import Task, TaskResult


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
