"""What comes from the search of a method, or from an executor, is checked value by value."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from afir.errors import InputError
from afir.results import plain_result
from afir.stationary import Candidate, Minimum, Outcome, TrialResult

X = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.1]])
CANDIDATE = Candidate(X, -1.0, np.eye(6), "odd")
MINIMUM = Minimum(Outcome.CONVERGED, X, -2.0, np.zeros((2, 3)), np.eye(6), False, "", (-90.0,))
RIGHT = TrialResult(Outcome.FOUND, (CANDIDATE,), (MINIMUM,), True, 100.0)
NAN = float("nan")

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"outcome": "found"}, "`outcome` must be an Outcome, got 'found'"),
    ({"outcome": None}, "`outcome` must be an Outcome, got None"),
    ({"crossed": None}, "`crossed` must be True or False, got None"),
    ({"crossed": 1}, "`crossed` must be True or False, got 1"),
    ({"gamma": "x"}, "`gamma` must be a finite number, got 'x'"),
    ({"gamma": NAN}, "`gamma` must be a finite number, got nan"),
    ({"gamma": -1.0}, "`gamma` must be 0 kJ/mol or more, got -1.0"),
    ({"candidates": None}, "`candidates` must be a tuple, got None"),
    ({"minima": [MINIMUM]}, "`minima` must be a tuple, got [Minimum("),
    ({"candidates": (MINIMUM,)}, "`candidates[0]` must be a Candidate, got Minimum("),
    ({"minima": (MINIMUM, CANDIDATE)}, "`minima[1]` must be a Minimum, got Candidate("),
]
WRONG_POINTS: list[tuple[str, Any, str]] = [
    ("positions", X[:1], "must have the shape (2, 3), got (1, 3)"),
    ("positions", X.tolist(), "must be an array (2, 3) of real numbers, got [["),
    ("positions", X.astype(complex), "must be an array (2, 3) of real numbers, got array("),
    ("positions", X * NAN, "must be finite, got NaN or infinite numbers"),
    ("hessian", None, "must be an array (6, 6) of real numbers, got None"),
    ("hessian", np.eye(2), "must have the shape (6, 6), got (2, 2)"),
    ("hessian", np.full((6, 6), NAN), "must be finite, got NaN or infinite numbers"),
    ("energy", None, "must be a finite number, got None"),
    ("energy", float("inf"), "must be a finite number, got inf"),
    ("energy", 10**400, "must be a finite number, got 1000"),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_a_wrong_value_of_a_trial_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match="^" + re.escape(said)):
        plain_result(replace(RIGHT, **changes), 2)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        *WRONG_POINTS,
        # With more digits than Python writes.
        pytest.param(
            "energy", 10**5000, "must be a finite number, got a very large int", id="huge"
        ),
    ],
)
@pytest.mark.parametrize("where", ["candidates", "minima"])
def test_a_wrong_value_of_a_structure_is_named(
    where: str, field: str, value: object, said: str
) -> None:
    point = CANDIDATE if where == "candidates" else MINIMUM
    wrong = replace(point, **{field: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="^" + re.escape(f"`{where}[1].{field}` {said}")):
        plain_result(replace(RIGHT, **{where: (point, wrong)}), 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("outcome", None, "must be an Outcome, got None"),
        ("gradient", None, "must be an array (2, 3) of real numbers, got None"),
        ("dissociated", "no", "must be True or False, got 'no'"),
        ("error", None, "must be text, got None"),
        ("ridges", [-90.0], "must be a tuple, got [-90.0]"),
        ("ridges", (None,), "must be a finite number, got None"),
    ],
)
def test_the_other_values_of_a_minimum_are_checked_too(
    field: str, value: object, said: str
) -> None:
    wrong = replace(MINIMUM, **{field: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="^" + re.escape(f"`minima[0].{field}` {said}")):
        plain_result(replace(RIGHT, minima=(wrong,)), 2)


def test_the_source_of_a_candidate_is_text() -> None:
    with pytest.raises(InputError, match=r"^`candidates\[0\].source` must be text, got 5$"):
        plain_result(replace(RIGHT, candidates=(replace(CANDIDATE, source=5),)), 2)  # type: ignore[arg-type]


def test_numbers_of_numpy_become_plain_ones() -> None:
    """As they are read back from a run file, or a resumed run would compute with others."""
    candidate = Candidate(X.astype(np.float32), np.float32(-1.0), np.eye(6, dtype=int), "odd")  # type: ignore[arg-type]
    result = plain_result(
        TrialResult(Outcome.FOUND, (candidate,), (), np.bool_(True), np.int64(100)),  # type: ignore[arg-type]
        2,
    )
    (found,) = result.candidates
    assert found.positions.dtype == found.hessian.dtype == np.float64
    kinds = [type(found.energy), type(result.crossed), type(result.gamma)]
    assert kinds == [float, bool, float]
    assert (found.energy, result.crossed, result.gamma) == (-1.0, True, 100.0)
    assert np.array_equal(found.positions, X.astype(np.float32))


def test_a_right_result_keeps_its_values() -> None:
    result = plain_result(RIGHT, 2)
    assert (result.outcome, result.crossed, result.gamma) == (Outcome.FOUND, True, 100.0)
    (found,), (minimum,) = result.candidates, result.minima
    assert (found.energy, found.source) == (-1.0, "odd")
    assert (minimum.outcome, minimum.energy, minimum.ridges) == (Outcome.CONVERGED, -2.0, (-90.0,))
    assert np.array_equal(minimum.positions, X)
    assert np.array_equal(minimum.hessian, np.eye(6))
