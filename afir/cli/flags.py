"""Errors of the libraries in the words of the command line: the flags that a user types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource

from afir.errors import InputError

_NAME = re.compile(r"`(\w+)((?:\.[\w-]+)*)`")


def naming_flags(callback: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """A command's function whose errors name what is wrong by its flag.

    With a job file (``--job``) only what was typed is named so: the rest may be of the file.
    """
    if callback is None:
        return None

    @wraps(callback)
    def named(*arguments: Any, **options: Any) -> Any:
        try:
            return callback(*arguments, **options)
        except InputError as error:
            told = _in_flags(str(error), click.get_current_context())
            if told == str(error):
                raise
            raise InputError(told) from error

    return named


def _in_flags(message: str, context: click.Context) -> str:
    """The message with flags in place of the names of what they set."""
    flags, keys = _flags(context), _keys(context)

    def flag(found: re.Match[str]) -> str:
        name, inner = found[1], found[2].removeprefix(".")
        # Elsewhere in a sentence the name is no option of what was chosen by name.
        if found.start() == 0 and not inner and name not in flags:
            return keys.get(name, found[0])
        return f"{flags[name]} {inner}".rstrip() if name in flags else found[0]

    return _NAME.sub(flag, message)


def _flags(context: click.Context) -> dict[str, str]:
    """The flags by the names of what they set, as commands and job files have them."""
    named: dict[str, str] = {}
    for option, typed in _options(context):
        flag = max(option.opts, key=len)
        if typed or not context.params.get("job"):
            named |= dict.fromkeys((option.name or "", flag[2:].replace("-", "_")), flag)
    return named


def _keys(context: click.Context) -> dict[str, str]:
    """``--surface-option solvent`` for ``solvent``, for every KEY=VALUE that was typed once."""
    typed = [
        (pair.partition("=")[0], max(option.opts, key=len))
        for option, given in _options(context)
        if given and "KEY=VALUE" in str(option.metavar)
        for pair in context.params.get(option.name or "", ())
    ]
    named: dict[str, set[str]] = {}
    for key, flag in typed:
        named.setdefault(key.rpartition(".")[2].replace("-", "_"), set()).add(f"{flag} {key}")
    return {name: told.pop() for name, told in named.items() if len(told) == 1}


def _options(context: click.Context) -> Iterator[tuple[click.Option, bool]]:
    """The options of a command, and whether each was typed."""
    for option in context.command.params:
        if isinstance(option, click.Option):
            source = context.get_parameter_source(option.name or "")
            yield option, source is ParameterSource.COMMANDLINE
