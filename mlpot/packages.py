"""The requirements of learned surfaces: optional packages, their installation, and a model file."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

from afir.errors import InputError, MissingPackageError

NEEDED = ("torch", "schnetpack")


def require() -> None:
    """Check that the packages of learned surfaces are installed.

    Raises
    ------
    MissingPackageError
        If a package is not installed; the message names it and the command that installs it.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"learned surfaces need {' and '.join(missing)}: run `{command()}`"
        )


def check_file(path: Path) -> None:
    """Raise InputError if the file of a potential or a correction does not exist."""
    if not path.is_file():
        raise InputError(f"the model must be a file, got {path}, which is not one")


def is_plain_archive(path: Path) -> bool:
    """Whether a file is an uncompressed zip archive.

    Models are written like this. Compressed or overlapping parts may unpack to any size.
    """
    try:
        with ZipFile(path) as archive:
            parts = archive.infolist()
    except Exception:  # a file from somewhere may break the reader in any way
        return False
    plain = all(part.compress_type == ZIP_STORED for part in parts)
    return plain and sum(part.file_size for part in parts) <= path.stat().st_size


def command() -> str:
    """The command that installs the packages into this environment."""
    if sys.version_info >= (3, 12):
        return 'pip install "afir[ml]"'
    return "python -m mlpot.install"
