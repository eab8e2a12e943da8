"""Output files: checked before the calculation, written as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from afir.errors import InputError
from afir.io.interrupts import interruptible


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
        Remedy for an existing file, for the message.

    Raises
    ------
    InputError
        If it is a directory, exists and must not be replaced, or its folder cannot be written.
    """
    folder = path.parent
    try:
        if path.is_dir():
            raise InputError(f"{option} must be a file, got the directory {path}")
        if path.exists():
            if not force:
                raise InputError(f"{path} exists already; choose another {option} or {remedy}")
            with path.open("ab"):
                pass
            if not path.is_file():
                return path  # a device or a pipe is written in place
            folder = Path(os.path.realpath(path)).parent
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
def writing(*paths: Path) -> Iterator[list[Path]]:
    """Temporary paths to write files to, so that all are replaced at the end or none.

    Yields
    ------
    list of Path
        A path to write instead of each path, with the same suffix; the path itself for a device or
        a pipe.

    Raises
    ------
    InputError
        If the writing inside raises OSError. However it ends, no partial file is left and an
        existing file is unchanged.
    """
    targets = [Path(os.path.realpath(path)) for path in paths]  # what a link leads to
    drafts = [
        path
        if path.exists() and not path.is_file()
        else target.with_name(f".{target.stem}-{os.getpid()}{target.suffix}")
        for path, target in zip(paths, targets, strict=True)
    ]
    made = [(d, t) for d, t, path in zip(drafts, targets, paths, strict=True) if d is not path]
    with interruptible():
        try:
            yield drafts
            for draft, target in made:
                if target.exists():
                    shutil.copymode(target, draft)
                draft.replace(target)
        except OSError as error:
            names = ", ".join(map(str, paths))
            raise InputError(f"{names} cannot be written: {_reason(error)}") from error
        finally:
            for draft, _ in made:
                if draft.is_dir():  # no file was wanted, but something else was made
                    shutil.rmtree(draft, ignore_errors=True)
                with suppress(OSError):
                    draft.unlink()


def _reason(error: OSError) -> str:
    """The error message of the operating system."""
    return error.strerror or str(error) or type(error).__name__
