"""Files that settings name, with absolute paths: a run can be resumed from any folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
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

    With `moved` a missing file is also looked for in the folder itself. What makes no sense is left
    as it is.
    """
    if not isinstance(options, Mapping):
        return options  # type: ignore[return-value]
    result = dict(options)
    for key, value in _files(name, options):
        tried = [folder / value, *([folder / Path(value).name] if moved else [])]
        result[key] = next((str(path.absolute()) for path in tried if path.is_file()), value)
    return result


def contents(name: str, options: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file that an option of a policy names, by option."""
    return {
        key: sha256(Path(value).read_bytes()).hexdigest()
        for key, value in _files(name, options)
        if Path(value).is_file()
    }


def _files(name: object, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The options of a policy that name files: the annotation of the parameter tells of a `Path`.

    There are none if the policy cannot be loaded: it is refused when it is built.
    """
    texts = [(key, value) for key, value in options.items() if isinstance(value, str)]
    entry = entries(POLICIES).get(str(name)) if texts else None
    if entry is None:
        return
    try:
        parameters = options_of(entry.load(f"the policy {name!r}"), 0)
    except (InputError, TypeError, ValueError):
        return
    for key, value in texts:
        annotation = parameters[key].annotation if key in parameters else ""
        if "Path" in (annotation if isinstance(annotation, str) else repr(annotation)):
            yield key, value
