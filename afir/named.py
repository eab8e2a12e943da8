"""Surfaces that a file names: one that runs code from outside must be named by a person as well.

Anybody can write a run file, a model or a job file. None of them may run a program of its own
choice on the machine of who opens it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from afir.errors import InputError
from afir.molecule import Molecule
from afir.surface import Surface, is_foreign, load_surface

BASE = ("base", "base_options")
"""The options of a model that name the surface which it corrects."""


@dataclass(frozen=True)
class Named:
    """A surface as somebody names it.

    Attributes
    ----------
    name
        For `afir.surface.load_surface`; empty if none is named.
    options
        Its options, plain JSON values.
    """

    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def foreign(self) -> bool:
        """Whether it, or what it says that it corrects, runs code from outside."""
        base = base_named(self.options).name
        return is_foreign(self.name) or (bool(base) and is_foreign(base))

    def flags(self, flag: str) -> list[str]:
        """The words with which the command line names it, e.g. for the flag ``surface``."""
        words = [f"--{flag}", self.name]
        for key, value in self.options.items():
            words += [f"--{flag}-option", f"{key}={_written(value)}"]
        return words


def _written(value: object) -> str:
    """A value as `afir.terminal.option_values` reads it: JSON, or text that is none."""
    if isinstance(value, str) and value.lower() != "none":
        try:
            json.loads(value)
        except ValueError:
            return value
    return "none" if value is None else json.dumps(value)


def check_named(found: Named, trusted: Sequence[Named], *, where: str, how: Sequence[str]) -> None:
    """Raise InputError if a file names a surface that runs code from outside and nobody else does.

    Parameters
    ----------
    found
        What the file names.
    trusted
        What a person has named, each with its options.
    where
        The file, for the message.
    how
        The words that a person would add to the command, for the message.
    """
    if found.foreign and found not in trusted:
        options = f" with {json.dumps(dict(found.options))}" if found.options else ""
        raise InputError(
            f"{where} names the surface {found.name}{options}, which runs code from outside afir; "
            f"if you trust it, name it yourself: add {shlex.join(how)}"
        )


def load_base(
    found: Named, given: Named, molecule: Molecule, *, where: str, how: Sequence[str] = ()
) -> Surface:
    """The surface that a model corrects, as its file names it.

    Parameters
    ----------
    found
        What the file names.
    given
        What a person has named; must be that, if anything.
    molecule
        The molecule.
    where
        The file, for messages.
    how
        The words that a person would add; options of the model if none are told.

    Raises
    ------
    InputError
        If it may not be loaded, or cannot be.
    """
    if given.name and found != given:
        raise InputError(
            f"`base` must be what {where} corrects, {found.name} with {dict(found.options)}, got "
            f"{given.name} with {dict(given.options)}"
        )
    check_named(found, [given], where=where, how=how or as_options(found))
    try:
        return load_surface(found.name, molecule, **found.options)
    except RecursionError:
        raise InputError(f"{where} must correct another surface, got itself") from None


def as_options(base: Named) -> list[str]:
    """The words that name a surface among the options of the one that corrects it."""
    words = ["--surface-option", f"base={base.name}"]
    if base.options:
        words += ["--surface-option", f"base_options={json.dumps(dict(base.options))}"]
    return words


def named_base(surface: Named) -> dict[str, Any]:
    """The options with which a model that corrects a surface names it, if that must be said.

    Where the surface is a model itself, what that corrects is handed on.
    """
    if not surface.foreign:
        return {}
    if "base" in surface.options:
        return {key: surface.options[key] for key in BASE if key in surface.options}
    return {"base": surface.name, "base_options": dict(surface.options)}


def base_named(options: Mapping[str, Any]) -> Named:
    """The surface that the options of a model name as the one it corrects.

    Raises
    ------
    InputError
        If they are no name and no table of options.
    """
    name, values = options.get("base") or "", options.get("base_options") or {}
    if not isinstance(name, str):
        raise InputError(f"`base` must be the name of a surface, got {name!r}")
    if not isinstance(values, Mapping):
        raise InputError(f"`base_options` must be a table of named values, got {values!r}")
    return Named(name, dict(values))
