"""Results of the searches of methods, checked before they are stored."""

from __future__ import annotations

import reprlib
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.stationary import Candidate, Minimum, Outcome, TrialResult


def plain_trial(result: TrialResult, n_atoms: int) -> TrialResult:
    """The result of a trial with plain values: Python's own numbers, arrays of float64.

    Raises
    ------
    InputError
        If one of its values is none that the class describes.
    """
    for name, points, kind in (
        ("candidates", result.candidates, Candidate),
        ("minima", result.minima, Minimum),
    ):
        if not isinstance(points, tuple):
            raise _wrong(name, "a tuple", points)
        for place, point in enumerate(points):
            if not isinstance(point, kind):
                raise _wrong(f"{name}[{place}]", f"a {kind.__name__}", point)
    gamma = _number("gamma", result.gamma)
    if gamma < 0.0:
        raise _wrong("gamma", "0 kJ/mol or more", gamma)
    return TrialResult(
        _outcome("outcome", result.outcome),
        tuple(_candidate(f"candidates[{k}]", p, n_atoms) for k, p in enumerate(result.candidates)),
        tuple(_minimum(f"minima[{k}]", p, n_atoms) for k, p in enumerate(result.minima)),
        _truth("crossed", result.crossed),
        gamma,
    )


def _candidate(name: str, point: Candidate, n_atoms: int) -> Candidate:
    """A candidate with plain values."""
    return Candidate(
        _array(f"{name}.positions", point.positions, (n_atoms, 3)),
        _number(f"{name}.energy", point.energy),
        _array(f"{name}.hessian", point.hessian, (3 * n_atoms, 3 * n_atoms)),
        _text(f"{name}.source", point.source),
    )


def _minimum(name: str, point: Minimum, n_atoms: int) -> Minimum:
    """A minimum with plain values."""
    if not isinstance(point.ridges, tuple):
        raise _wrong(f"{name}.ridges", "a tuple", point.ridges)
    return Minimum(
        _outcome(f"{name}.outcome", point.outcome),
        _array(f"{name}.positions", point.positions, (n_atoms, 3)),
        _number(f"{name}.energy", point.energy),
        _array(f"{name}.gradient", point.gradient, (n_atoms, 3)),
        _array(f"{name}.hessian", point.hessian, (3 * n_atoms, 3 * n_atoms)),
        _truth(f"{name}.dissociated", point.dissociated),
        _text(f"{name}.error", point.error),
        tuple(_number(f"{name}.ridges", value) for value in point.ridges),
    )


def _outcome(name: str, value: object) -> Outcome:
    if not isinstance(value, Outcome):
        raise _wrong(name, "an Outcome", value)
    return value


def _truth(name: str, value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise _wrong(name, "True or False", value)
    return bool(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "text", value)
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
        raise _wrong(name, "a finite number", value)
    return float(value)


def _array(name: str, value: object, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise _wrong(name, f"an array {shape} of real numbers", value)
    if value.shape != shape:
        raise InputError(f"`{name}` must have the shape {shape}, got {value.shape}")
    if not np.isfinite(value).all():
        raise InputError(f"`{name}` must be finite, got NaN or infinite numbers")
    return value.astype(np.float64)


def _wrong(name: str, what: str, value: object) -> InputError:
    """The error for a value that is something else."""
    return InputError(f"`{name}` must be {what}, got {reprlib.repr(value)}")
