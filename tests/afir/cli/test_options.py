"""Options that a factory does not have, or needs, are named with those that it has."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Optional

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
    check_options("the well", _open, {"anything": {"a": [1, [None, "x"]]}}, given=1)


def _kinds(
    molecule: object,
    *,
    whole: int = 1,
    size: float = 0.8,
    name: str | None = None,
    exact: bool = False,
    both: Optional[float | str] = None,  # noqa: UP045 - the older way to write it
    many: list[float] | None = None,
    free=None,  # type: ignore[no-untyped-def]
) -> None:
    raise AssertionError("only its signature is looked at")


# Annotations are source text above, since this file does not evaluate them, and types here.
_EVALUATED = functools.partial(_kinds)
_EVALUATED.__signature__ = inspect.signature(  # type: ignore[attr-defined]
    _kinds, eval_str=True
)


@pytest.mark.parametrize("factory", [_kinds, _EVALUATED])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"whole": "few"}, "`whole` must be a whole number, got 'few'"),
        ({"whole": 1.5}, "`whole` must be a whole number, got 1.5"),
        ({"whole": True}, "`whole` must be a whole number, got True"),
        ({"whole": None}, "`whole` must be a whole number, got None"),
        ({"size": "big"}, "`size` must be a number, got 'big'"),
        ({"size": [1.0]}, "`size` must be a number, got [1.0]"),
        ({"name": 3}, "`name` must be text, got 3"),
        ({"exact": 1}, "`exact` must be true or false, got 1"),
        ({"exact": "yes"}, "`exact` must be true or false, got 'yes'"),
    ],
)
def test_an_option_of_another_kind_than_its_annotation_is_refused(
    factory: Callable[..., None], options: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_options("the well", factory, options, given=1)
    assert str(caught.value) == words


def _bare(molecule, *, size=0.8, count=3, name="x", exact=False, free=None):  # type: ignore[no-untyped-def]
    raise AssertionError("only its signature is looked at")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "big"}, "`size` must be a number, got 'big'"),
        ({"count": "few"}, "`count` must be a number, got 'few'"),
        ({"count": True}, "`count` must be a number, got True"),
        ({"name": 3}, "`name` must be text, got 3"),
        ({"exact": 1}, "`exact` must be true or false, got 1"),
    ],
)
def test_an_option_without_annotation_must_be_of_the_kind_of_its_default(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_options("the well", _bare, options, given=1)
    assert str(caught.value) == words


def test_a_default_says_no_more_of_an_option_than_its_kind() -> None:
    right = {"size": 1, "count": 2.5, "name": "", "exact": True, "free": "x"}
    check_options("the well", _bare, right, given=1)


@pytest.mark.parametrize("factory", [_kinds, _EVALUATED])
def test_other_annotations_leave_the_option_to_its_factory(factory: Callable[..., None]) -> None:
    right = {"whole": 3, "size": 1, "name": None, "exact": True, "both": "x", "free": object()}
    check_options("the well", factory, right, given=1)
    check_options("the well", factory, {"many": 1.0, "name": "x", "both": 2}, given=1)
