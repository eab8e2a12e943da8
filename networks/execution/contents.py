"""What executors from elsewhere bring: whether it can be an answer to the task.

The form of an answer is checked by `networks.execution.checked`. Here are its numbers: an executor
that sends arrays on its own way may mix up answers, or lose a part of one. That energies and
gradients are those of the surface is trusted.
"""

from __future__ import annotations

import numpy as np

from afir.errors import InputError
from afir.pes.driver import Level
from afir.results import array, geometry, number, plain_result, shown
from afir.stationary import Confirmation, Outcome, Sameness, StationaryPoint
from networks.execution.frames import Frames
from networks.execution.tasks import (
    Characterise,
    Compare,
    Confirm,
    Labelled,
    Task,
    Value,
    positions_of,
)

_LEVELS = frozenset(level.value for level in Level)


def checked_value(task: Task, value: Value) -> Value:
    """The value of a task with plain, finite numbers.

    Parameters
    ----------
    task
        What was to be done.
    value
        Of the class that belongs to the task.

    Raises
    ------
    InputError
        If it cannot be an answer to the task.
    """
    n_atoms = len(positions_of(task))
    if isinstance(value, Labelled):
        return Labelled(
            number("energy", value.energy), geometry("gradient", value.gradient, n_atoms)
        )
    plain = plain_result(value, n_atoms)
    if isinstance(task, Compare) and isinstance(plain, Sameness):
        _check_sameness(task, plain)
    elif isinstance(task, Characterise) and isinstance(plain, StationaryPoint):
        _check_order("order", plain, 0)
    elif isinstance(task, Confirm) and isinstance(plain, Confirmation):
        _check_confirmation(task, plain)
    return plain


def checked_frames(task: Task, frames: Frames) -> Frames:
    """The frames of a task with plain, finite numbers; InputError if they cannot be some."""
    n_atoms = len(positions_of(task))
    positions = array("frames.positions", frames.positions, (None, n_atoms, 3))
    count = len(positions)
    for name in ("stages", "levels"):
        names = getattr(frames, name)
        if not isinstance(names, tuple) or not all(isinstance(each, str) for each in names):
            raise InputError(f"`frames.{name}` must be a tuple of texts, got {shown(names)}")
        if len(names) != count:
            raise InputError(
                f"`frames.{name}` must have one text for each geometry, {count} in all, "
                f"got {len(names)}"
            )
    for level in frames.levels:
        if level not in _LEVELS:
            raise InputError(
                f"`frames.levels` must be some of {', '.join(sorted(_LEVELS))}, got {shown(level)}"
            )
    return Frames(
        positions,
        array("frames.energies", frames.energies, (count,)),
        array("frames.gradients", frames.gradients, (count, n_atoms, 3)),
        frames.stages,
        frames.levels,
    )


def _check_sameness(task: Compare, value: Sameness) -> None:
    count = len(task.known)
    if value.number is not None and value.number >= count:
        raise InputError(
            f"`number` must be that of one of the {count} minima compared with, got {value.number}"
        )


def _check_order(name: str, point: StationaryPoint, wanted: int) -> None:
    if point.order != wanted:
        raise InputError(f"`{name}` must be {wanted}, got {point.order}")


def _check_confirmation(task: Confirm, value: Confirmation) -> None:
    """Raise InputError for a proof that lacks a part, or is one of something else."""
    points, energies = len(value.irc_positions), len(value.irc_energies)
    if points != energies:
        raise InputError(
            f"`irc_energies` must belong to the {points} points of the path, got {energies}"
        )
    if len(value.ends) not in (0, 2):
        raise InputError(f"`ends` must be two or none, got {len(value.ends)}")
    if value.outcome is Outcome.CONFIRMED:
        _check_order("point.order", value.point, 1)
        if not value.ends:
            raise InputError("`ends` must be two of a transition state that is confirmed, got none")
    elif value.outcome is Outcome.CONVERGED and not any(
        np.array_equal(value.point.positions, known.positions) for known in task.known
    ):
        raise InputError("`point` must be one of the known transition states, got another")
