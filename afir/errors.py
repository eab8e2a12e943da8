"""The exceptions of the project.

Misuse raises `InputError` in one grammar: "`gamma` must be …, got …". A surface that fails on a
geometry raises `SurfaceError`, which ends that search and no other. A search that runs without
error but finds nothing raises nothing: it returns an outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class AfirError(Exception):
    """Base class of all errors that this project raises on purpose."""


class InputError(AfirError, ValueError):
    """Invalid input; the message says what, where and what to do."""


class MissingPackageError(InputError):
    """An optional package is not installed; the message names it and its extra."""


class StoppedError(AfirError):
    """Work stopped through no fault of its input, e.g. a computer is gone; it can be continued."""


class SurfaceError(AfirError):
    """A surface failed on one geometry, e.g. its SCF did not converge."""


class BrokenSurfaceError(AfirError):
    """A surface broke its contract; searches end and do not retry."""


class LostSurfaceError(BrokenSurfaceError):
    """The process of a surface ended or was given up without an answer.

    Attributes
    ----------
    timed_out
        Whether it took too long.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


def plain(error: AfirError) -> AfirError:
    """An error of the nearest class of this module, with the same message.

    For errors that go from process to process: those of other packages may not survive it.
    """
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == __name__)
    return kind(str(error))  # type: ignore[no-any-return]


def said(error: BaseException) -> str:
    """An exception of code from elsewhere in words: its own, if it chose them as an AfirError."""
    return str(error) if isinstance(error, AfirError) else f"{type(error).__name__}: {error}"


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Let an InputError call what it names, such as `gamma`, by the names that a user has given.

    Raises
    ------
    InputError
        What is raised inside, with the new names.
    """
    try:
        yield
    except InputError as error:
        message = str(error)
        for name, new in names.items():
            message = message.replace(f"`{name}`", f"`{new}`")
        raise type(plain(error))(message) from error
