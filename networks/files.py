"""Files that settings name, with absolute paths: a run can be resumed from any folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afir.errors import InputError
from afir.options import entries, options_of

POLICIES = "afir.policies"
"""The entry-point group of policies."""


def located(surface: str, folder: Path, *, moved: bool = False) -> str:
    """The name of a surface with the absolute path of the file in it, if the folder has it.

    With `moved` a missing file is also looked for in the folder itself.
    """
    name, _, argument = surface.partition(":")
    paths = [folder / argument, *([folder / Path(argument).name] if moved else [])]
    for path in paths:
        if argument and path.is_file():
            return f"{name}:{path.absolute()}"
    return surface


def with_absolute_paths(
    name: object, options: object, folder: Path, *, moved: bool = False
) -> Mapping[str, Any]:
    """Options of a policy, with the absolute paths of those files in them that the folder has.

    An option names a file if the annotation of the parameter tells of a `Path`. With `moved` a
    missing file is also looked for in the folder itself. What makes no sense is left as it is.
    """
    if not isinstance(options, Mapping) or not any(isinstance(x, str) for x in options.values()):
        return options  # type: ignore[return-value]
    entry = entries(POLICIES).get(str(name))
    if entry is None:
        return options
    try:
        parameters = options_of(entry.load(f"the policy {name!r}"), 0)
    except (InputError, TypeError, ValueError):
        return options  # it is refused when it is built
    result = dict(options)
    for key, value in options.items():
        if isinstance(value, str) and key in parameters and _names_file(parameters[key].annotation):
            tried = [folder / value, *([folder / Path(value).name] if moved else [])]
            result[key] = next((str(x.absolute()) for x in tried if x.is_file()), value)
    return result


def _names_file(annotation: object) -> bool:
    """Whether the annotation of a parameter, or its text, tells of a `Path`."""
    return "Path" in (annotation if isinstance(annotation, str) else repr(annotation))
