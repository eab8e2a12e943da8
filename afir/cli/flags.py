"""Errors of the libraries in the words of the command line: the flags that a user types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource

from afir.errors import InputError

_NAME = re.compile(r"`(\w+)((?:\.[\w-]+)*)`")


def naming_flags(callback: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """A command's function whose errors name what is wrong by its flag.

    With a job file (``--job``) an error is in flags only if it is about one that was typed: the
    rest may be of the file.
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


def pair_keys(pairs: Iterable[str]) -> list[str]:
    """The keys of pairs ``KEY=VALUE``, as a job file has them."""
    names = [pair.partition("=")[0].rpartition(".") for pair in pairs]
    return [f"{of}{dot}{key.replace('-', '_')}" for of, dot, key in names]


def _in_flags(message: str, context: click.Context) -> str:
    """The message with flags in place of the names of what they set."""
    flags, keys, typed = _flags(context), _keys(context), _typed(context)
    known = flags
    if context.params.get("job") and not any(
        typed & _outer(found[1] + found[2]) for found in _NAME.finditer(message)
    ):
        known = {}

    def flag(found: re.Match[str]) -> str:
        name, inner = found[1], found[2].removeprefix(".")
        # Elsewhere in a sentence the name is no option of what was chosen by name.
        if found.start() == 0 and not inner and name not in known:
            return keys.get(name, found[0])
        return f"{known[name]} {inner}".rstrip() if name in known else found[0]

    return _NAME.sub(flag, message)


def _outer(path: str) -> set[str]:
    """``a.b.c``, ``a.b`` and, if that is no table of options, ``a``."""
    parts = path.split(".")
    first = 2 if parts[0].endswith("_options") and parts[1:] else 1
    return {".".join(parts[:count]) for count in range(first, len(parts) + 1)}


def _flags(context: click.Context) -> dict[str, str]:
    """The flags by the names of what they set, as commands and job files have them."""
    named: dict[str, str] = {}
    for option, _ in _options(context):
        flag = max(option.opts, key=len)
        named |= dict.fromkeys((option.name or "", flag[2:].replace("-", "_")), flag)
    return named


def _typed(context: click.Context) -> set[str]:
    """The names of what was typed, and ``surface_options.solvent`` for what is KEY=VALUE."""
    names: set[str] = set()
    for option, typed in _options(context):
        if typed:
            name = option.name or ""
            names |= {name, max(option.opts, key=len)[2:].replace("-", "_")}
            names |= {f"{name}.{key}" for key in _pairs(option, context)}
    return names


def _keys(context: click.Context) -> dict[str, str]:
    """``--surface-option solvent`` for ``solvent``, for every KEY=VALUE that was typed once."""
    named: dict[str, set[str]] = {}
    for option, _ in _options(context):
        for key in _pairs(option, context):
            told = f"{max(option.opts, key=len)} {key}"
            named.setdefault(key.rpartition(".")[2], set()).add(told)
    return {name: told.pop() for name, told in named.items() if len(told) == 1}


def _pairs(option: click.Option, context: click.Context) -> list[str]:
    """The keys of what was typed as KEY=VALUE, as a job file has them."""
    if "KEY=VALUE" not in str(option.metavar):
        return []
    return pair_keys(context.params.get(option.name or "", ()))


def _options(context: click.Context) -> Iterator[tuple[click.Option, bool]]:
    """The options of a command, and whether each was typed."""
    for option in context.command.params:
        if isinstance(option, click.Option):
            source = context.get_parameter_source(option.name or "")
            yield option, source is ParameterSource.COMMANDLINE
