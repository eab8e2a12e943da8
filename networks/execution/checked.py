"""What executors do and answer, checked: they may come from elsewhere."""

from __future__ import annotations

import logging
import math
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from afir.errors import AfirError, InputError, StoppedError
from afir.options import made_here
from afir.results import shown
from afir.stationary import (
    Confirmation,
    Consistency,
    Outcome,
    Sameness,
    StationaryPoint,
    TrialResult,
)
from networks.execution.base import Executor
from networks.execution.contents import checked_frames, checked_value
from networks.execution.frames import Frames
from networks.execution.tasks import (
    Characterise,
    Compare,
    Confirm,
    Examine,
    Label,
    Labelled,
    Push,
    Recall,
    Task,
    TaskResult,
)

_VALUES: Mapping[type, type] = {
    Push: TrialResult,
    Confirm: Confirmation,
    Characterise: StationaryPoint,
    Compare: Sameness,
    Label: Labelled,
    Recall: TrialResult,
    Examine: Consistency,
}
"""The value of each kind of task."""

_MOST = 2**63  # beyond the whole numbers that SQLite holds

logger = logging.getLogger(__name__)


@contextmanager
def calling(executor: object, doing: str) -> Iterator[None]:
    """Turn any exception of an executor into a StoppedError that says what it was doing.

    AfirErrors are its own words, and pass.
    """
    try:
        yield
    except AfirError:
        raise
    except Exception as error:
        logger.debug("traceback", exc_info=error)
        raise StoppedError(
            f"the executor {type(executor).__name__} failed while {doing}: "
            f"{type(error).__name__}: {error}"
        ) from error


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
        The index of a task, each once, and its result. One whose numbers cannot be an answer to the
        task has no value, and says so.

    Raises
    ------
    AfirError
        If an answer is anything else, or a task has none in the end.
    StoppedError
        If the executor fails.
    """
    missing = set(range(len(tasks)))
    known = len(tasks)
    for answer in _yielded(executor, tasks):
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise _wrong(
                executor, f"yield pairs of an index and a `TaskResult`, got {shown(answer)}"
            )
        number, result = answer
        try:
            index = operator.index(number)
        except TypeError:
            index = -1
        if isinstance(number, bool) or not 0 <= index < len(tasks):
            most = len(tasks) - 1
            raise _wrong(executor, f"yield indices of tasks, 0 to {most}, got {shown(number)}")
        if index not in missing:
            raise _wrong(executor, f"yield one result for each task, got another for task {index}")
        flaw = _flaw(tasks[index], result)
        if flaw is not None:
            must, got = flaw
            raise _wrong(executor, f"yield {must} for task {index}, got {shown(got)}")
        missing.remove(index)
        yield index, _plain(executor, tasks[index], result)
        missing.update(range(known, len(tasks)))
        known = len(tasks)
    if missing:
        raise _wrong(executor, f"do every task, got no result for {len(missing)} of {len(tasks)}")


def _plain(executor: Executor, task: Task, result: TaskResult) -> TaskResult:
    """A result with plain values; without a value if its numbers cannot be an answer.

    What our executors bring was made by our searches, or checked where a method made it.
    """
    result = replace(result, gradients=Counter(result.gradients))
    if made_here(executor):
        return result
    value, frames = result.value, result.frames
    try:
        return replace(
            result,
            value=None if value is None else checked_value(task, value),
            frames=None if frames is None else checked_frames(task, frames),
        )
    except InputError as error:
        name, asked = type(executor).__name__, type(task).__name__
        said = f"the executor {name} answered the task {asked} wrongly: {error}"
    logger.warning("a task is lost: %s", said)
    return replace(result, value=None, outcome=Outcome.SEARCH_FAILED, error=said, frames=None)


def _wrong(executor: Executor, what: str) -> AfirError:
    return AfirError(f"the executor {type(executor).__name__} must {what}; correct it")


def _yielded(executor: Executor, tasks: Sequence[Task]) -> Iterator[object]:
    """What an executor yields, whatever it is."""
    doing = "doing tasks"
    with calling(executor, doing):
        given: object = executor.run(tasks)
    if not isinstance(given, Iterable):
        raise _wrong(executor, f"yield the results of its tasks, got {type(given).__name__}")
    end = object()
    with calling(executor, doing):
        results = iter(given)
    while True:
        with calling(executor, doing):
            answer = next(results, end)
        if answer is end:
            return
        yield answer


def _flaw(task: Task, result: object) -> tuple[str, object] | None:
    """What the answer to a task must be, and what it is instead; None if nothing is wrong."""
    if not isinstance(result, TaskResult):
        return "a `TaskResult`", result
    value, outcome, kind = result.value, result.outcome, _VALUES[type(task)]
    if value is not None and type(value) is not kind:
        return f"a value that is a `{kind.__name__}`", value
    if outcome is not None and not isinstance(outcome, Outcome):
        return "an `Outcome`", outcome
    if (value is None) is (outcome is None):
        return "either a value or an outcome", (value, outcome)
    if not isinstance(result.error, str):
        return "an `error` that is a text", result.error
    counts, seconds = result.gradients, result.cpu_seconds
    if not isinstance(counts, Mapping) or not all(map(_is_count, counts.items())):
        return "`gradients` that are whole numbers of 0 or more by name", counts
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 0.0 <= seconds < math.inf:
        return "`cpu_seconds` of 0 or more", seconds
    if result.frames is not None and not isinstance(result.frames, Frames):
        return "`frames` that are `Frames` or None", result.frames
    return None


def _is_count(item: tuple[object, object]) -> bool:
    """Whether an item of a table is a name with a whole number."""
    name, count = item
    whole = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < _MOST
    return isinstance(name, str) and whole
