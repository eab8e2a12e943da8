"""Files to be written: refused early where that cannot work, named when it fails after all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from afir.errors import InputError
from afir.interrupts import interruptible


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
    """Where to write these files: beside them, so that all are replaced at the end or none.

    Yields
    ------
    list of Path
        What to write instead of each path, with the same suffix; the path itself where it is no
        regular file (a device, a pipe).

    Raises
    ------
    InputError
        When the writing inside raises OSError. Whatever ends it, nothing half written is left and
        a file that was there before is as it was.
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
                with suppress(OSError):
                    draft.unlink()


def _reason(error: OSError) -> str:
    """What the system said."""
    return error.strerror or str(error) or type(error).__name__
