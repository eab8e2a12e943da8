"""Surfaces by name: which are installed, and how one is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afir.errors import InputError
from afir.molecule import Molecule
from afir.options import check_options, entries, find_entry, options_of
from afir.pes.surface import Surface

ENTRY_POINT_GROUP = "afir.surfaces"
"""Packages register a surface under this entry-point group; see `load_surface`."""

# The surface of ours that runs other code: it imports what its name says.
_IMPORTING = "afir.surfaces.ase:from_import_path"

ARGUMENT = "argument"
"""The parameter of a factory for the text behind the colon of a surface name."""


def surface_names() -> tuple[str, ...]:
    """The names `load_surface` knows, sorted."""
    return tuple(entries(ENTRY_POINT_GROUP))


def described(name: str, options: Mapping[str, Any]) -> str:
    """A surface as text: its name and the given options, ``gfn2 (solvent=water)``."""
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{name} ({given})" if given else name


def is_foreign(name: str) -> bool:
    """Whether a surface runs code from outside: another package, or a module named in its name.

    An unregistered surface runs nothing.
    """
    entry = entries(ENTRY_POINT_GROUP).get(name.partition(":")[0])
    if entry is None:
        return False
    return not entry.ours or any(point.value == _IMPORTING for point in entry.points)


def build_surface(name: str, molecule: Molecule, options: Mapping[str, Any]) -> Surface:
    """Build a registered surface in this process; see `load_surface`."""
    base, colon, argument = name.partition(":")
    factory = find_entry(ENTRY_POINT_GROUP, "surface", base).load(f"the surface {base!r}")
    wanted = options_of(factory, 1).get(ARGUMENT)
    if colon and wanted is None:
        raise InputError(f"the surface {base!r} takes nothing behind a colon, got {name!r}")
    if wanted is not None and ARGUMENT in options:
        raise InputError(
            f"the surface {base!r} has no option {ARGUMENT!r}; write it behind a colon, "
            f"{base}:{options[ARGUMENT]}"
        )
    if wanted is not None and wanted.default is wanted.empty and not argument:
        raise InputError(
            f"the surface {base!r} needs something behind a colon, {base}:…; see "
            f"`afir surfaces {base}`"
        )
    check_options(f"the surface {base!r}", factory, options, given=1, without=(ARGUMENT,))
    if colon:
        options = {ARGUMENT: argument, **options}
    try:
        surface: Surface = factory(molecule, **options)
    except TypeError as error:
        if not options:
            raise  # no given option can be the reason
        values = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise InputError(
            f"the surface {base!r} cannot use an option as it is given ({values}); see "
            f"`afir surfaces {base}`"
        ) from error
    return surface
