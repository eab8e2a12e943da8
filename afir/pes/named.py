"""Surfaces that a file names: one that runs code from outside must be named by a person as well.

Run files, models and job files may come from anybody. None of them may choose a program to run on
the machine of the person who opens it. Surfaces of other packages count as such programs, even
installed ones: many run whatever command or module their options name.

Methods, policies and learners are another matter. Those that are installed are trusted, as
installed packages are: a file may name one and set its options. It names an entry point, never a
module to import (`afir.options.find_entry`). Whoever writes one must therefore not let its options
choose what is run. Executors are trusted without options, and with those that they declare to be
plain (`networks.trusted.check_executor`). No file names an export.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from afir.errors import InputError
from afir.molecule import Molecule
from afir.pes.loading import load_surface
from afir.pes.registry import is_foreign
from afir.pes.surface import Surface

BASE = ("base", "base_options")
"""The options of a model that name its base surface."""


@dataclass(frozen=True)
class Named:
    """A surface, or what else is chosen so, by name and options.

    Attributes
    ----------
    name
        The registered name; empty if none is named.
    options
        Its options, plain JSON values.
    """

    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def foreign(self) -> bool:
        """Whether the surface, or its base surface, runs code from outside."""
        base = base_named(self.options)
        return is_foreign(self.name) or (bool(base.name) and base.foreign)

    def flags(self, flag: str) -> list[str]:
        """The command-line arguments that name it, e.g. for the flag ``surface``."""
        words = [f"--{flag}", self.name]
        for key, value in self.options.items():
            words += [f"--{flag}-option", f"{key}={_written(value)}"]
        return words


def _written(value: object) -> str:
    """A value as `afir.cli.terminal.option_values` reads it: JSON, or other text."""
    if isinstance(value, str) and value.lower() != "none":
        try:
            json.loads(value)
        except ValueError:
            return value
    return "none" if value is None else json.dumps(value)


def check_named(found: Named, trusted: Sequence[Named], *, where: str, how: Sequence[str]) -> None:
    """Raise InputError if only a file, and no person, names a surface with code from outside.

    Parameters
    ----------
    found
        The surface that the file names.
    trusted
        The surfaces that a person has named, each with its options.
    where
        The file, for the message.
    how
        The command-line arguments to add, for the message.
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
    """The base surface of a model, as its file names it.

    Parameters
    ----------
    found
        The surface that the file names.
    given
        The surface that a person has named; if any, it must be the same.
    molecule
        The molecule.
    where
        The file, for messages.
    how
        The command-line arguments to add; by default the options of the model.

    Raises
    ------
    InputError
        If it may not or cannot be loaded.
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
    """The command-line arguments that name a base surface as an option of its correction."""
    words = ["--surface-option", f"base={base.name}"]
    if base.options:
        words += ["--surface-option", f"base_options={json.dumps(dict(base.options))}"]
    return words


def named_base(surface: Named) -> dict[str, Any]:
    """The options with which a model names its base surface, if they are required.

    If the base is a model itself, its own base is passed on.
    """
    if not surface.foreign:
        return {}
    if "base" in surface.options:
        return {key: surface.options[key] for key in BASE if key in surface.options}
    return {"base": surface.name, "base_options": dict(surface.options)}


def base_named(options: Mapping[str, Any]) -> Named:
    """The base surface that the options of a model name.

    Raises
    ------
    InputError
        If they are not a name and a table of options.
    """
    name, values = options.get("base") or "", options.get("base_options") or {}
    if not isinstance(name, str):
        raise InputError(f"`base` must be the name of a surface, got {name!r}")
    if not isinstance(values, Mapping):
        raise InputError(f"`base_options` must be a table of named values, got {values!r}")
    return Named(name, dict(values))
