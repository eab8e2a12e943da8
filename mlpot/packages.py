"""What learned surfaces need: the optional packages and how to install them, and a file."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

from afir.errors import InputError, MissingPackageError

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


def check_file(path: Path) -> None:
    """Raise InputError when there is no such file to read a potential or a correction from."""
    if not path.is_file():
        raise InputError(f"the model must be a file, got {path}, which is none")


def is_plain_archive(path: Path) -> bool:
    """Whether a file is a zip archive none of whose parts is packed.

    Models are written like this. What is packed may unpack to any size, and so may parts that lie
    on top of each other.
    """
    try:
        with ZipFile(path) as archive:
            parts = archive.infolist()
    except Exception:  # a file from somewhere may break the reader in any way
        return False
    plain = all(part.compress_type == ZIP_STORED for part in parts)
    return plain and sum(part.file_size for part in parts) <= path.stat().st_size


def command() -> str:
    """What installs the packages into this environment."""
    if sys.version_info >= (3, 12):
        return 'pip install "afir[ml]"'
    return "python -m mlpot.install"
