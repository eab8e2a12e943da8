"""The checks which surfaces and executors that a file names may be used."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from afir.errors import InputError
from afir.pes.named import Named, check_named
from networks.execution.registry import plain_options
from networks.settings import Settings


def surfaces(settings: Settings) -> dict[str, Named]:
    """The surfaces of a run by the flag that names them, ``surface`` and ``reference``."""
    flags = ("surface", "reference")
    return {flag: Named(*each) for flag, each in zip(flags, settings.surfaces, strict=False)}


def repeated(settings: Settings, job: Mapping[str, Any]) -> list[str]:
    """The flags that a command must repeat to continue a run; may be empty.

    They name surfaces that run code from outside, and an executor with options.
    """
    every = surfaces(settings).items()
    words = [word for flag, named in every if named.foreign for word in named.flags(flag)]
    executor = Named(job.get("executor") or "", job.get("executor_options") or {})
    return words + (_to_name(executor).flags("executor") if executor.options else [])


def _to_name(executor: Named) -> Named:
    """What a user has to name of an executor in a file: it alone, if its options are plain."""
    known: frozenset[str] = frozenset()
    with suppress(InputError):  # no such executor here, so nothing is known of its options
        known = plain_options(executor.name)
    # No `@`: what stands behind it is another computer, as in `queue@server` of PBS.
    plain = all(
        name in known and re.fullmatch(r"[\w.:+-]+", str(value), re.ASCII)
        for name, value in executor.options.items()
    )
    return Named(executor.name) if plain else executor


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
        check_named(found, trusted, where=str(path), how=repeated(settings, {}))


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


def check_executor(found: Named, given: Named, path: Path) -> None:
    """Raise InputError if only a file says with which executor, or with which commands, to work.

    An executor with options must be named by the user, too. Options may name commands, or a
    computer that takes over from there: these must be repeated, unless all are plain numbers and
    names (`networks.execution.registry.plain_options`).

    Parameters
    ----------
    found
        The executor of the run, with its options.
    given
        What the user named of it.
    path
        The file that names the rest, for the message.
    """
    needed = _to_name(found)
    if not found.options or given == found or (given.name == found.name and not needed.options):
        return
    why = (
        "and options of an executor may start commands; if you trust it, name it yourself"
        if needed.options
        else "and no file alone chooses where work is done; if you agree, name it yourself"
    )
    raise InputError(
        f"{path} names the executor {found.name} with {json.dumps(dict(found.options))}, {why}: "
        f"add {shlex.join(needed.flags('executor'))}"
    )
