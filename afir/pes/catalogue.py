"""The registered surfaces: names, options and whether they can be used here.

All is read from the factories: options from the signature, their meaning from the ``Parameters``
section of the docstring, so that the list is never out of date.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from afir.errors import AfirError, MissingPackageError
from afir.molecule import Molecule
from afir.options import Entry, entries, options_of
from afir.pes.registry import ARGUMENT, ENTRY_POINT_GROUP, is_foreign


@dataclass(frozen=True)
class SurfaceEntry:
    """One registered surface.

    Attributes
    ----------
    name
        The name `afir.pes.loading.load_surface` knows it by.
    summary
        The first sentence of its docstring.
    options
        For each option ``name``, ``default`` (as on the command line, ``required`` if there is
        none) and ``help``.
    argument
        The argument behind the colon of the name; empty if it takes none.
    missing
        Empty if the surface can be used, else one sentence that names what is missing.
    """

    name: str
    summary: str
    options: tuple[Mapping[str, str], ...]
    argument: str
    missing: str

    def plain(self) -> dict[str, Any]:
        """The entry as plain JSON values."""
        return asdict(self) | {"options": [dict(option) for option in self.options]}


def surface_catalogue() -> list[SurfaceEntry]:
    """All registered surfaces, sorted by name; a broken one is listed with the reason."""
    return [_entry(entry) for entry in entries(ENTRY_POINT_GROUP).values()]


def _entry(entry: Entry) -> SurfaceEntry:
    """The entry of one factory, from its signature and docstring."""
    name = entry.name
    try:
        factory = entry.load(f"the surface {name!r}")
    except AfirError as error:  # another package: the list must still be shown
        return SurfaceEntry(name, "", (), "", f"no: {' '.join(str(error).split())}")
    text = inspect.getdoc(factory) or ""
    summary = " ".join(text.split("\n\n")[0].split())
    meanings = _documented(text)
    argument = meanings.get(ARGUMENT, "") if ARGUMENT in options_of(factory, 1) else ""
    options = _options(factory, meanings)
    missing = "" if is_foreign(name) else _missing(factory)  # else it is not run here
    return SurfaceEntry(name, summary, options, argument, missing)


def _options(
    factory: Callable[..., Any], meanings: Mapping[str, str]
) -> tuple[Mapping[str, str], ...]:
    """The options of a factory: its parameters except the molecule and the argument."""
    return tuple(
        {
            "name": parameter.name,
            "default": _shown(parameter.default),
            "help": meanings.get(parameter.name, ""),
        }
        for parameter in options_of(factory, 1, without=(ARGUMENT,)).values()
    )


def _shown(default: object) -> str:
    """A default as it would be given on the command line."""
    if default is inspect.Parameter.empty:
        return "required"
    if default is None:
        return "none"
    try:
        return json.dumps(default)
    except TypeError:
        return repr(default)


def _documented(text: str) -> dict[str, str]:
    """Name → meaning, from the ``Parameters`` section of a NumPy-style docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?:^\w[\w ]*\n-{3,}$|\Z)", text, re.M | re.S)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.group(1).splitlines() if section else []:
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.split(":")[0].split(",")]
        elif line.strip():
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip().replace("``", "")
    return found


def _missing(factory: Callable[..., Any]) -> str:
    """The reason why a factory fails here, tried on a hydrogen molecule; empty if it works."""
    given = {ARGUMENT: ""} if ARGUMENT in options_of(factory, 1) else {}
    try:
        factory(Molecule((1, 1)), **given)
    except MissingPackageError as error:
        return f"no: {error}"
    except (AfirError, TypeError):
        pass  # it needs options or another molecule, but is installed
    return ""
