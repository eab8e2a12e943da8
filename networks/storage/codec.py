"""Arrays and task results as plain bytes and JSON: no pickle in a run file.

An array is stored in NumPy's own ``.npy`` format (little-endian float64, shape in the header),
so that any program can read it. A result is a JSON tree in which every array is a reference to
one of the arrays that follow each other in one blob.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from functools import lru_cache
from io import SEEK_CUR, BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from networks.execution.tasks import Labelled

# How every .npy file of version 1 begins; the length of its header follows in two bytes.
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = rb"\{'descr': '<f8', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n"

Result = TrialResult | Confirmation | StationaryPoint | Sameness | Labelled | Consistency

_TYPES = {
    cls.__name__: cls
    for cls in (
        Candidate,
        Confirmation,
        Consistency,
        Labelled,
        Minimum,
        Sameness,
        StationaryPoint,
        TrialResult,
    )
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
        raise ValueError(f"a stored result must be of a known type, got {type(value).__name__}")
    return value


def _join(arrays: list[NDArray[np.float64]]) -> bytes:
    stream = BytesIO()
    for array in arrays:
        np.save(stream, np.ascontiguousarray(array, dtype="<f8"), allow_pickle=False)
    return stream.getvalue()


def _load(stream: BytesIO) -> NDArray[np.float64]:
    """The next array of a stream; raises ValueError if `_join` did not write it."""
    start = stream.read(len(_MAGIC) + 2)
    if not start.startswith(_MAGIC):
        raise ValueError("a stored array must be an .npy file of version 1")
    shape = _shape(stream.read(int.from_bytes(start[len(_MAGIC) :], "little")))
    count = math.prod(shape)
    content = stream.getbuffer()[stream.tell() :]
    if 8 * count > len(content):
        raise ValueError(f"a stored array must hold {count} numbers, its bytes are fewer")
    stream.seek(8 * count, SEEK_CUR)
    return np.frombuffer(content, "<f8", count).astype(np.float64).reshape(shape)


@lru_cache(maxsize=1024)
def _shape(header: bytes) -> tuple[int, ...]:
    """The shape in a header. A run has only a few different ones."""
    known = re.fullmatch(_HEADER, header)
    if known is None:
        raise ValueError(f"a stored array must hold float64 row by row, got {header!r}")
    return tuple(int(size) for size in known[1].split(b",") if size.strip())
