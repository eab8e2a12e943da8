"""Tasks on their way to a worker, which is sent every known structure only once.

The known structures of a task (`networks.execution.tasks.KnownPoints`) grow with the network and
have large Hessians; the tasks of a run share them. So a task travels with their numbers, and with
those structures that its worker does not have yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeAlias

from afir.errors import AfirError
from afir.pes.child import Opening
from afir.stationary import StationaryPoint
from networks.execution.tasks import Confirm, KnownPoints, Push, Task


class ForgottenError(AfirError):
    """A worker does not have structures that were sent to it: it has started anew."""


@dataclass(frozen=True, eq=False)
class Parcel:
    """A task without its known structures.

    Attributes
    ----------
    task
        The rest of it.
    minima, saddles
        The numbers of its structures.
    new
        Those that the worker does not have, by number.
    """

    task: Push | Confirm
    minima: tuple[int, ...]
    saddles: tuple[int, ...]
    new: Mapping[int, StationaryPoint]


Packed: TypeAlias = Task | Parcel


class Sender:
    """Packs tasks; one for all workers, whose structures have the same numbers everywhere."""

    def __init__(self) -> None:
        self._numbers: dict[int, tuple[int, StationaryPoint]] = {}  # by identity, kept alive
        self._next = count()

    def packed(self, tasks: Sequence[Task], has: set[int]) -> tuple[Packed, ...]:
        """Tasks for a worker.

        Parameters
        ----------
        tasks
            What it is to do.
        has
            The numbers of the structures that it has; those that are sent are added. To send all
            again, empty it.
        """
        return tuple(self._packed(task, has) for task in tasks)

    def _packed(self, task: Task, has: set[int]) -> Packed:
        if not isinstance(task, Push | Confirm) or task.recognised is None:
            return task
        new: dict[int, StationaryPoint] = {}
        groups = [
            tuple(self._number(point, has, new) for point in points)
            for points in (task.recognised.minima, task.recognised.saddles)
        ]
        has.update(new)
        return Parcel(replace(task, recognised=None), groups[0], groups[1], new)

    def _number(
        self, point: StationaryPoint, has: set[int], new: dict[int, StationaryPoint]
    ) -> int:
        """The number of a structure, which is `new` unless the worker `has` it."""
        kept = self._numbers.get(id(point))
        if kept is None:
            kept = self._numbers[id(point)] = next(self._next), point
        number = kept[0]
        if number not in has:
            new[number] = point
        return number


class Receiver:
    """Unpacks what a `Sender` has packed, and keeps the structures."""

    def __init__(self) -> None:
        self._points: dict[int, StationaryPoint] = {}

    def opened(self, parcels: Sequence[Packed]) -> tuple[Task, ...]:
        """The tasks.

        Raises
        ------
        ForgottenError
            If a structure is missing that was sent before.
        """
        return tuple(self._opened(parcel) for parcel in parcels)

    def _opened(self, parcel: Packed) -> Task:
        if not isinstance(parcel, Parcel):
            return parcel
        self._points.update(parcel.new)
        try:
            minima, saddles = (
                tuple(self._points[number] for number in numbers)
                for numbers in (parcel.minima, parcel.saddles)
            )
        except KeyError as missing:
            raise ForgottenError(
                f"the known structure {missing} of a task is not here; it must be sent again"
            ) from missing
        return replace(parcel.task, recognised=KnownPoints(minima, saddles))


@dataclass(frozen=True)
class Unpacking:
    """The opening of a process that is given packed tasks; see `afir.pes.child.Opening`.

    Attributes
    ----------
    opening
        That of a process which is given tasks one by one.
    """

    opening: Opening

    def open(self) -> Callable[[Packed], Any]:
        """Prepare as the opening does; what is returned does a packed task."""
        perform, receiver = self.opening.open(), Receiver()
        return lambda parcel: perform(receiver.opened((parcel,))[0])
