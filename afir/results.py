"""Results of searches from elsewhere, checked: plain values of the right shapes, all finite."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.stationary import (
    Candidate,
    Confirmation,
    Consistency,
    Minimum,
    Outcome,
    Sameness,
    StationaryPoint,
    TrialResult,
)

Check: TypeAlias = Callable[[str, object, int], Any]
"""Takes the name of a field, its value and the number of atoms; returns the plain value."""

R = TypeVar("R")

_MOST = 2**63  # beyond the whole numbers that SQLite holds


def plain_result(result: R, n_atoms: int, *, name: str = "") -> R:
    """A result with plain values: Python's own numbers, new arrays of float64.

    Parameters
    ----------
    result
        One of the classes of `afir.stationary`, e.g. a `TrialResult`.
    n_atoms
        Of the molecule.
    name
        What it is a part of, for messages, e.g. ``"minima[0]"``.

    Raises
    ------
    InputError
        If one of its values is none that the class describes.
    """
    kind: Any = next(kind for kind in type(result).__mro__ if kind in _FIELDS)
    prefix = f"{name}." if name else ""
    plain: R = kind(
        **{
            field: check(f"{prefix}{field}", getattr(result, field), n_atoms)
            for field, check in _FIELDS[kind].items()
        }
    )
    return plain


def shown(value: object) -> str:
    """A value from elsewhere for a message, shortened, whatever it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes whole numbers of some thousand digits at most
        return f"a very large {type(value).__name__}"


# -- single values -------------------------------------------------------------------------------


def number(name: str, value: object, n_atoms: int = 0) -> float:
    """A finite number; InputError for anything else."""
    try:
        plain = float(value) if isinstance(value, Real) and not isinstance(value, bool) else np.nan
    except OverflowError:  # a whole number that is too large
        plain = np.inf
    if not np.isfinite(plain):
        raise _wrong(name, "a finite number", value)
    return plain


def array(name: str, value: object, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """An array of finite numbers; InputError for anything else.

    None in the shape stands for any length.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise _wrong(name, f"an array {_written(shape)} of real numbers", value)
    fits = len(shape) == value.ndim and all(
        wanted in (None, size) for wanted, size in zip(shape, value.shape, strict=True)
    )
    if not fits:
        raise InputError(f"`{name}` must have the shape {_written(shape)}, got {value.shape}")
    if not np.isfinite(value).all():
        raise InputError(f"`{name}` must be finite, got NaN or infinite numbers")
    return value.astype(np.float64)


def geometry(name: str, value: object, n_atoms: int) -> NDArray[np.float64]:
    """An array (n, 3)."""
    return array(name, value, (n_atoms, 3))


def _written(shape: tuple[int | None, ...]) -> str:
    return str(tuple("m" if size is None else size for size in shape)).replace("'", "")


def _matrix(name: str, value: object, n_atoms: int) -> NDArray[np.float64]:
    return array(name, value, (3 * n_atoms, 3 * n_atoms))


def _path(name: str, value: object, n_atoms: int) -> NDArray[np.float64]:
    return array(name, value, (None, n_atoms, 3))


def _list(name: str, value: object, n_atoms: int) -> NDArray[np.float64]:
    return array(name, value, (None,))


def _outcome(name: str, value: object, n_atoms: int) -> Outcome:
    if not isinstance(value, Outcome):
        raise _wrong(name, "an Outcome", value)
    return value


def _truth(name: str, value: object, n_atoms: int) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise _wrong(name, "True or False", value)
    return bool(value)


def _text(name: str, value: object, n_atoms: int) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "text", value)
    return value


def _count(name: str, value: object, n_atoms: int) -> int:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not 0 <= int(value) < _MOST:  # type: ignore[call-overload]
        raise _wrong(name, "a whole number of 0 or more", value)
    return int(value)  # type: ignore[call-overload, no-any-return]


def _gamma(name: str, value: object, n_atoms: int) -> float:
    gamma = number(name, value)
    if gamma < 0.0:
        raise _wrong(name, "0 kJ/mol or more", gamma)
    return gamma


def _optional(check: Check) -> Check:
    return lambda name, value, n_atoms: None if value is None else check(name, value, n_atoms)


def _one(kind: type) -> Check:
    def check(name: str, value: object, n_atoms: int) -> object:
        if not isinstance(value, kind):
            raise _wrong(name, f"a {kind.__name__}", value)
        return plain_result(value, n_atoms, name=name)

    return check


def _tuple_of(check: Check, *, named: bool = True) -> Check:
    """A tuple of values, which have numbers in messages if they are `named`."""

    def checked(name: str, value: object, n_atoms: int) -> tuple[Any, ...]:
        if not isinstance(value, tuple):
            raise _wrong(name, "a tuple", value)
        names = (f"{name}[{place}]" if named else name for place in range(len(value)))
        return tuple(check(each, item, n_atoms) for each, item in zip(names, value, strict=True))

    return checked


def _wrong(name: str, what: str, value: object) -> InputError:
    """The error for a value that is something else."""
    return InputError(f"`{name}` must be {what}, got {shown(value)}")


_FIELDS: Mapping[type, Mapping[str, Check]] = {
    Candidate: {
        "positions": geometry,
        "energy": number,
        "hessian": _matrix,
        "source": _text,
    },
    Minimum: {
        "outcome": _outcome,
        "positions": geometry,
        "energy": number,
        "gradient": geometry,
        "hessian": _matrix,
        "dissociated": _truth,
        "error": _text,
        "ridges": _tuple_of(number, named=False),
    },
    TrialResult: {
        "outcome": _outcome,
        "candidates": _tuple_of(_one(Candidate)),
        "minima": _tuple_of(_one(Minimum)),
        "crossed": _truth,
        "gamma": _gamma,
    },
    StationaryPoint: {
        "positions": geometry,
        "energy": number,
        "gradient_max": number,
        "hessian": _matrix,
        "wavenumbers": _list,
        "mode": geometry,
        "order": _count,
    },
    Confirmation: {
        "outcome": _outcome,
        "point": _one(StationaryPoint),
        "ends": _tuple_of(_one(Minimum)),
        "monotone": _truth,
        "irc_positions": _path,
        "irc_energies": _list,
        "checked_at": _count,
    },
    Sameness: {"number": _optional(_count), "rise": _optional(number)},
    Consistency: {
        "deviation": number,
        "ratio": number,
        "drift": number,
        "problem": _text,
        "doubt": _text,
    },
}
