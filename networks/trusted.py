"""The check which surfaces of a run file may be loaded; see `afir.pes.named`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from afir.errors import InputError
from afir.pes.named import Named, check_named
from networks.settings import Settings


def surfaces(settings: Settings) -> dict[str, Named]:
    """The surfaces of a run by the flag that names them, ``surface`` and ``reference``."""
    flags = ("surface", "reference")
    return {flag: Named(*each) for flag, each in zip(flags, settings.surfaces, strict=False)}


def repeated(settings: Settings) -> list[str]:
    """The flags for the surfaces of a run that run code from outside; may be empty."""
    every = surfaces(settings).items()
    return [word for flag, named in every if named.foreign for word in named.flags(flag)]


def check_trusted(settings: Settings, trusted: Sequence[Named], path: Path) -> None:
    """Raise InputError if only the run file names a surface with code from outside.

    Parameters
    ----------
    settings
        The settings of the run.
    trusted
        The surfaces that the user named, each with its options.
    path
        The file, for the message.
    """
    for found in surfaces(settings).values():
        check_named(found, trusted, where=str(path), how=repeated(settings))


def check_same(settings: Settings, given: Sequence[Named], path: Path) -> None:
    """Raise InputError if a named surface does not belong to a run.

    Parameters
    ----------
    settings, path
        The run's settings and its file.
    given
        The surfaces that the user named; options may be left out.
    """
    every = list(surfaces(settings).values())
    for named in given:
        if not any(named in (known, Named(known.name)) for known in every):
            flags = [word for flag, each in surfaces(settings).items() for word in each.flags(flag)]
            raise InputError(
                f"{path} must continue with its own surface, {shlex.join(flags)}, got {named.name}"
            )
