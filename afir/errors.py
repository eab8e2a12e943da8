"""What can go wrong, as exceptions.

Misuse raises `InputError` in one grammar: "`gamma` must be …, got …". A surface that cannot
give an energy for a geometry raises `SurfaceError`, which ends that search, never its
neighbours. A search that runs well and finds nothing raises nothing: it returns an outcome.
"""

from __future__ import annotations


class AfirError(Exception):
    """The parent of every error this project raises on purpose."""


class InputError(AfirError, ValueError):
    """The caller gave something unusable; the message says what, where and what to do."""


class MissingPackageError(InputError):
    """An optional package is not installed; the message names it and the extra that brings it."""


class SurfaceError(AfirError):
    """A surface found no energy for one geometry, e.g. its SCF did not converge."""


class BrokenSurfaceError(AfirError):
    """A surface did what no surface may; searches do not step back from it, they end."""


class LostSurfaceError(BrokenSurfaceError):
    """The process of a surface ended or was given up, and the answer is lost.

    Attributes
    ----------
    timed_out
        Whether it took too long.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out
