"""Files to be written: refused early where that cannot work, named when it fails after all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from afir.errors import InputError


def new_file(
    path: Path, *, option: str = "--output", force: bool = False, remedy: str = "remove it first"
) -> Path:
    """The path of a file to be written, checked before anything is computed.

    Parameters
    ----------
    path
        The file.
    option
        The option that named it, for the message.
    force
        Whether an existing file may be replaced.
    remedy
        What to do with an existing file, for the message.

    Raises
    ------
    InputError
        If it is a directory, exists and must not be replaced, or cannot be written where it is.
    """
    folder = path.parent
    try:
        if path.is_dir():
            raise InputError(f"{option} must be a file, got the directory {path}")
        if path.exists():
            if not force:
                raise InputError(f"{path} exists already; choose another {option} or {remedy}")
            with path.open("ab"):
                return path
        if not folder.exists():
            raise InputError(f"the folder {folder} of {option} does not exist; create it first")
        if not folder.is_dir():
            raise InputError(f"{option} must be in a folder, but {folder} is a file")
        with tempfile.TemporaryFile(dir=folder):  # the only sure way to know that it works
            return path
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {_reason(error)}; choose another {option}"
        ) from error


@contextmanager
def writing(*paths: Path) -> Iterator[None]:
    """While these files are written: a failure names them and leaves no half of them behind.

    Raises
    ------
    InputError
        When the writing inside raises OSError. Files that were not there before are deleted.
    """
    made = [path for path in paths if not path.exists()]
    try:
        yield
    except OSError as error:
        for path in made:
            with suppress(OSError):
                path.unlink()
        names = ", ".join(map(str, paths))
        raise InputError(f"{names} cannot be written: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    """What the system said."""
    return error.strerror or str(error) or type(error).__name__
