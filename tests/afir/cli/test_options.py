"""Options that a factory does not have, or needs, are named with those that it has."""

from __future__ import annotations

import pytest

from afir.errors import InputError
from afir.options import check_options


def _factory(molecule: object, *, depth: float, width: float = 1.0) -> None:
    raise AssertionError("only its signature is looked at")


def _open(molecule: object, *, depth: float = 1.0, **more: float) -> None:
    raise AssertionError("only its signature is looked at")


def _nested(depth: int) -> object:
    value: object = 1.0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"depth": 1, "widht": 2}, "the well has no option 'widht'; did you mean 'width'? It has"),
        ({"depth": 1, "zzz": 2}, "the well has no option 'zzz'; it has the options depth, width"),
        ({"molecule": 2}, "the well has no option 'molecule'"),
        ({}, "the well needs the option 'depth'; it has the options depth, width"),
    ],
)
def test_wrong_options(options: dict[str, float], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_options("the well", _factory, options, given=1)
    assert words in str(caught.value)
    assert "_factory" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "`depth` must be a finite number, got nan"),
        (float("inf"), "`depth` must be a finite number, got inf"),
        (10**400, "`depth` must be a number below 2**63"),
        ({"a": [1.0, float("-inf")]}, "`depth.a.1` must be a finite number, got -inf"),
        (_nested(1000), "must hold lists and tables up to 16 deep"),
    ],
)
def test_values_that_break_whoever_computes_with_them(value: object, words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_options("the well", _factory, {"depth": value}, given=1)
    assert words in str(caught.value)


def test_right_options() -> None:
    check_options("the well", _factory, {"depth": 2.0}, given=1)
    check_options("the well", _open, {"anything": 2.0}, given=1)
    check_options("the well", _factory, {"depth": {"a": [1, [None, "x"]]}}, given=1)
