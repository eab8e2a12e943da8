"""Arrays and task results as plain bytes and JSON: no pickle in a run file.

An array is stored in NumPy's own ``.npy`` format (little-endian float64, shape in the header),
so that any program can read it. A result is a JSON tree in which every array is a reference to
one of the arrays that follow each other in one blob.
"""

from __future__ import annotations

import json
from dataclasses import fields
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afir.errors import AfirError
from afir.stationary import (
    Candidate,
    Confirmation,
    Minimum,
    Outcome,
    StationaryPoint,
    TrialResult,
)

Result = TrialResult | Confirmation | StationaryPoint

_TYPES = {
    cls.__name__: cls for cls in (Candidate, Confirmation, Minimum, StationaryPoint, TrialResult)
}


def pack(array: NDArray[np.float64]) -> bytes:
    """An array as the bytes of an ``.npy`` file."""
    return _join([array])


def unpack(blob: bytes) -> NDArray[np.float64]:
    """The array `pack` was given."""
    return _load(BytesIO(blob))


def encode(value: Result) -> tuple[str, bytes]:
    """A task's result as JSON text and the bytes of its arrays."""
    arrays: list[NDArray[np.float64]] = []

    def plain(item: object) -> Any:
        if isinstance(item, np.ndarray):
            arrays.append(item)
            return {"array": len(arrays) - 1}
        if isinstance(item, Outcome):
            return {"outcome": item.name}
        if isinstance(item, tuple):
            return [plain(x) for x in item]
        if type(item).__name__ in _TYPES:
            content = {f.name: plain(getattr(item, f.name)) for f in fields(item)}  # type: ignore[arg-type]
            return {"type": type(item).__name__, **content}
        if isinstance(item, np.generic):
            return item.item()
        return item

    return json.dumps(plain(value)), _join(arrays)


def decode(text: str, blob: bytes) -> Result:
    """The result `encode` was given."""
    stream = BytesIO(blob)
    arrays: list[NDArray[np.float64]] = []
    while stream.tell() < len(blob):
        arrays.append(_load(stream))

    def build(item: Any) -> Any:
        if isinstance(item, list):
            return tuple(build(x) for x in item)
        if not isinstance(item, dict):
            return item
        if "array" in item:
            return arrays[item["array"]]
        if "outcome" in item and "type" not in item:
            return Outcome[item["outcome"]]
        cls = _TYPES[item["type"]]
        return cls(**{name: build(x) for name, x in item.items() if name != "type"})

    value = build(json.loads(text))
    if not isinstance(value, Result):
        raise AfirError(f"a stored result must be of a known kind, got {type(value).__name__}")
    return value


def _join(arrays: list[NDArray[np.float64]]) -> bytes:
    stream = BytesIO()
    for array in arrays:
        np.save(stream, np.ascontiguousarray(array, dtype="<f8"), allow_pickle=False)
    return stream.getvalue()


def _load(stream: BytesIO) -> NDArray[np.float64]:
    array = np.load(stream, allow_pickle=False)
    return np.asarray(array, dtype=np.float64)
