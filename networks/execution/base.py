"""The protocol of executors, and what their factories declare."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from networks.execution.context import Bench
from networks.execution.tasks import Task, TaskResult

F = TypeVar("F", bound=Callable[..., Any])


@runtime_checkable
class Executor(Protocol):
    """Does tasks, in any order and place.

    A factory ``factory(bench, *, workers=…, option=…) -> Executor`` is registered as an entry point
    of the group ``afir.executors``; see `networks.execution.registry`. The bench, a
    `networks.execution.context.Bench`, says on which surface and with which settings tasks are
    done. It is plain data and can be sent anywhere. A run that learns makes a new executor for each
    surface.
    """

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """Do tasks and yield each index with its result, in the order of completion.

        `tasks` may grow while the results are read: appended tasks are done too. A task that
        cannot be finished has a result that says so; the others continue.
        """
        ...

    def close(self) -> None:
        """Release all resources; unfinished tasks are dropped."""
        ...


@runtime_checkable
class Movable(Protocol):
    """Optional protocol of an executor that keeps its workers when the surface changes."""

    def moved(self, bench: Bench) -> Self:
        """An executor for another bench, on the same workers; this one must not be used again."""
        ...


@runtime_checkable
class Batching(Protocol):
    """Optional protocol of an executor that does several tasks at once for less."""

    @property
    def batch(self) -> int:
        """How many tasks it wants at a time."""
        ...


def declares(
    *, plain: Collection[str] = (), check: Callable[..., object] | None = None
) -> Callable[[F], F]:
    """A decorator that says of a factory what there is to know before an executor is made.

    Any factory, also a class, may have the two attributes that it sets.

    Parameters
    ----------
    plain
        The attribute `plain_options`: the options that are numbers and names, and cannot name a
        command, a file or an address. If a file sets only these, the user names the executor alone.
    check
        The attribute `check_options`: a function that is called with the options, and `workers` if
        it has that parameter, and raises InputError for wrong ones. It begins nothing.
    """

    def declared(factory: F) -> F:
        said: dict[str, object] = {"plain_options": tuple(plain)}
        if check is not None:
            said["check_options"] = staticmethod(check) if isinstance(factory, type) else check
        for name, value in said.items():
            setattr(factory, name, value)
        return factory

    return declared
