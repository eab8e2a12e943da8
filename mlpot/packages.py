"""The optional packages behind learned surfaces: what is missing, and how to install it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from afir.errors import MissingPackageError

NEEDED = ("torch", "schnetpack")


def require() -> None:
    """Check that learned surfaces can be used here.

    Raises
    ------
    MissingPackageError
        When a package is not installed; the message names it and what installs it.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"learned surfaces need {' and '.join(missing)}: run `{command()}`"
        )


def command() -> str:
    """What installs the packages into this environment."""
    if sys.version_info >= (3, 12):
        return 'pip install "afir[ml]"'
    return "python -m mlpot.install"
