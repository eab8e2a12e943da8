"""Which surfaces of a run file may be loaded; see `afir.named`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from afir.errors import InputError
from afir.named import Named, check_named
from networks.settings import Settings


def surfaces(settings: Settings) -> dict[str, Named]:
    """The surfaces of a run by the flag that names them, ``surface`` and ``reference``."""
    named = {"surface": Named(*settings.searched)}
    if settings.reference:
        named["reference"] = Named(*settings.reported)
    return named


def repeated(settings: Settings) -> list[str]:
    """The flags that name the surfaces of a run which run code from outside; none if none does."""
    every = surfaces(settings).items()
    return [word for flag, named in every if named.foreign for word in named.flags(flag)]


def check_trusted(settings: Settings, trusted: Sequence[Named], path: Path) -> None:
    """Raise InputError if a run file names a surface with code from outside and nobody else does.

    Parameters
    ----------
    settings
        Those of the run.
    trusted
        What a person has named, each with its options.
    path
        The file, for the message.
    """
    for found in surfaces(settings).values():
        check_named(found, trusted, where=str(path), how=repeated(settings))


def check_same(settings: Settings, given: Sequence[Named], path: Path) -> None:
    """Raise InputError if a surface is named that is none of a run's.

    Parameters
    ----------
    settings, path
        The run's settings and its file.
    given
        What a person has named; options may be left out.
    """
    every = list(surfaces(settings).values())
    for named in given:
        if not any(named in (known, Named(known.name)) for known in every):
            flags = [word for flag, each in surfaces(settings).items() for word in each.flags(flag)]
            raise InputError(
                f"{path} must go on with its own surface, {shlex.join(flags)}, got {named.name}"
            )
