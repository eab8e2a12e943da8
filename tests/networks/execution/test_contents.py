"""Numbers of an answer that cannot belong to its task are told."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toyworld import energy, point, proof, saddle_energy, structure

from afir.errors import InputError
from afir.methods.base import Offer
from afir.stationary import Candidate, Consistency, Outcome, Sameness
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
)

X = structure(0)
NAN = float("nan")
EQ = point(X, energy(0), 0)
PUSH = Push(EQ, Offer("sc-afir", {}), None, (1,))
CONFIRM = next(
    task
    for other in range(1, 12)
    for task in [Confirm(Candidate(X, saddle_energy(0, other), np.eye(12), "path"))]
    if proof(task).outcome is Outcome.CONFIRMED
)
PROOF = proof(CONFIRM)
COMPARE = Compare(EQ, (EQ, EQ))
LABELLED = Labelled(-1.0, np.zeros((4, 3)))
RIGHT: list[tuple[Task, Any]] = [
    (CONFIRM, PROOF),
    (replace(CONFIRM, known=(EQ, PROOF.point)), replace(PROOF, outcome=Outcome.CONVERGED)),
    (CONFIRM, replace(PROOF, outcome=Outcome.IRC_FAILED, ends=())),
    (Characterise(X), EQ),
    (COMPARE, Sameness(1, 0.01)),
    (COMPARE, Sameness(None, None)),
    (Label(X), LABELLED),
    (Examine(X, (1,)), Consistency(0.0, 1.0, 0.0)),
]
WRONG: list[tuple[Task, Any, dict[str, Any], str]] = [
    (COMPARE, Sameness(0, 0.01), {"number": 2}, "`number` must be that of one of the 2 minima "),
    (COMPARE, Sameness(0, 0.01), {"number": -1}, "`number` must be a whole number of 0 or more"),
    (COMPARE, Sameness(0, 0.01), {"rise": NAN}, "`rise` must be a finite number, got nan"),
    (Label(X), LABELLED, {"energy": NAN}, "`energy` must be a finite number, got nan"),
    (Label(X), LABELLED, {"gradient": X[1:]}, "`gradient` must have the shape (4, 3), got (3, 3)"),
    (Examine(X, (1,)), Consistency(0.0, 1.0, 0.0), {"drift": None}, "`drift` must be a finite"),
    (Characterise(X), EQ, {"hessian": np.eye(9)}, "`hessian` must have the shape (12, 12), got"),
    (Characterise(X), EQ, {"wavenumbers": X}, "`wavenumbers` must have the shape (m,), got (4, 3)"),
    (Characterise(X), EQ, {"order": 1}, "`order` must be 0, got 1"),
    (CONFIRM, PROOF, {"point": EQ}, "`point.order` must be 1, got 0"),
    (CONFIRM, PROOF, {"ends": ()}, "`ends` must be two of a transition state that is confirmed"),
    (CONFIRM, PROOF, {"ends": PROOF.ends[:1]}, "`ends` must be two or none, got 1"),
    (CONFIRM, PROOF, {"irc_energies": np.zeros(2)}, "`irc_energies` must belong to the 3 points"),
    (CONFIRM, PROOF, {"irc_positions": X}, "`irc_positions` must have the shape (m, 4, 3), got"),
    (CONFIRM, PROOF, {"outcome": Outcome.CONVERGED}, "`point` must be one of the known transition"),
]


@pytest.mark.parametrize(("task", "value"), RIGHT)
def test_what_may_be_an_answer_keeps_its_values(task: Task, value: Any) -> None:
    plain = checked_value(task, value)
    assert type(plain) is type(value)
    assert repr(plain) == repr(value)


@pytest.mark.parametrize(("task", "value", "changes", "words"), WRONG)
def test_what_cannot_be_an_answer_is_named(
    task: Task, value: Any, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match="^" + re.escape(words)):
        checked_value(task, replace(value, **changes))


FRAMES = Frames(X[None], np.zeros(1), np.zeros((1, 4, 3)), ("path",), ("point",))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"energies": np.zeros(2)}, "`frames.energies` must have the shape (1,), got (2,)"),
        ({"gradients": X[None] * NAN}, "`frames.gradients` must be finite, got NaN"),
        ({"positions": None}, "`frames.positions` must be an array (m, 4, 3) of real numbers"),
        (
            {"stages": ()},
            "`frames.stages` must have one text for each geometry, 1 in all, got 0",
        ),
        ({"stages": "path"}, "`frames.stages` must be a tuple of texts, got 'path'"),
        ({"stages": (3,)}, "`frames.stages` must be a tuple of texts, got (3,)"),
        (
            {"levels": ("high",)},
            "`frames.levels` must be some of base, path, point, reference, got 'high'",
        ),
    ],
)
@pytest.mark.parametrize("task", [PUSH, Recall("EQ", EQ), Label(X)], ids=lambda task: type(task))
def test_frames_that_cannot_be_those_of_a_task_are_named(
    task: Task, changes: dict[str, Any], words: str
) -> None:
    assert len(checked_frames(task, FRAMES)) == 1
    with pytest.raises(InputError, match="^" + re.escape(words)):
        checked_frames(task, replace(FRAMES, **changes))
