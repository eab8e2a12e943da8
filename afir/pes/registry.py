"""Surfaces by name: which are installed, and how one is built."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from afir.errors import InputError
from afir.molecule import Molecule
from afir.options import check_options, options_of
from afir.pes.surface import Surface

ENTRY_POINT_GROUP = "afir.surfaces"
"""Packages register a surface under this entry-point group; see `load_surface`."""

_OURS = ("afir", "mlpot")  # packages whose surfaces run no other code
_IMPORTING = "afir.surfaces.ase:from_import_path"  # except this one, which imports by name

ARGUMENT = "argument"
"""The parameter of a factory for the text behind the colon of a surface name."""


def surface_names() -> tuple[str, ...]:
    """The names `load_surface` knows, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)}))


def described(name: str, options: Mapping[str, Any]) -> str:
    """A surface as text: its name and the given options, ``gfn2 (solvent=water)``."""
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{name} ({given})" if given else name


def is_foreign(name: str) -> bool:
    """Whether a surface runs code from outside: another package, or a module named in its name.

    An unregistered surface runs nothing.
    """
    base = name.partition(":")[0]
    if base not in surface_names():
        return False
    return not _is_ours(_registered(base))


def _is_ours(point: EntryPoint) -> bool:
    package = point.module.partition(".")[0]
    return package in _OURS and point.value != _IMPORTING


def _registered(base: str) -> EntryPoint:
    """The entry point of a surface; that of afir if another package has the same name."""
    points = [point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name == base]
    if not points:
        raise InputError(f"`surface` must be one of {', '.join(surface_names())}, got {base!r}")
    return max(points, key=_is_ours)


def build_surface(name: str, molecule: Molecule, options: Mapping[str, Any]) -> Surface:
    """Build a registered surface in this process; see `load_surface`."""
    base, colon, argument = name.partition(":")
    factory = _registered(base).load()
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
