"""Export of a network to files of other programs, in any registered format.

A package registers a format under the entry-point group ``afir.exports``: the name of the entry
point is that of the format, and it points to an `ExportFormat`. The formats of this package are
registered in the same way, see `networks.reporting.formats`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from afir.errors import AfirError, InputError
from afir.io.safe_write import new_file, writing
from afir.options import Entry, entries, find_entry

if TYPE_CHECKING:  # the names of the formats are shown without numpy
    from networks.reporting.run import Run

ENTRY_POINT_GROUP = "afir.exports"
"""Packages register a format under this entry-point group."""

Writer: TypeAlias = "Callable[[Run, list[Path]], None]"
"""Writes a run to new files; an OSError says that one cannot be written."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportFormat:
    """A format that a network can be written in.

    Attributes
    ----------
    write
        A function ``(run, files) -> None``. It writes the `networks.Run` to the files, which do not
        exist yet: they replace older ones when it returns, and vanish when it raises.
    suffixes
        The suffixes of files that are in this format, e.g. ``(".graphml",)``; may be empty, then
        ``--format`` must name it.
    parts
        If the format needs several files, a word for each: with ``("eq", "ts")`` and the output
        ``net.csv`` these are ``net_eq.csv`` and ``net_ts.csv``.

    Raises
    ------
    InputError
        If `write` is no function, or a suffix or part cannot be in the name of a file.
    """

    write: Writer
    suffixes: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not callable(self.write):
            raise InputError(f"`write` must be a function, got {self.write!r}")
        for name in ("suffixes", "parts"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(text, str) and text for text in value):
                raise InputError(f"`{name}` must be a tuple of texts, got {value!r}")
        for suffix in self.suffixes:
            if suffix != suffix.lower() or suffix.rfind(".") != 0 or not _in_a_name(suffix):
                raise InputError(f"`suffixes` must be like .graphml, in lower case, got {suffix!r}")
        if not all(map(_in_a_name, self.parts)) or len(set(self.parts)) < len(self.parts):
            raise InputError(f"`parts` must be different words, got {self.parts!r}")

    def files(self, output: Path, suffix: str = "") -> list[Path]:
        """The files for an output; several take `suffix` if the output has none."""
        if not self.parts:
            return [output]
        ending = output.suffix or suffix
        return [output.with_name(f"{output.stem}_{part}{ending}") for part in self.parts]


def _in_a_name(text: str) -> bool:
    """Whether a text can be part of the name of a file."""
    return text.isprintable() and not set(text) & set("/\\")


def format_names() -> tuple[str, ...]:
    """The names of the formats, sorted; no format is loaded."""
    return tuple(entries(ENTRY_POINT_GROUP))


def load_format(name: str) -> ExportFormat:
    """The format of that name; that of this package if another has the same.

    Raises
    ------
    InputError
        For an unknown name, or if the format cannot be loaded.
    """
    return _loaded(find_entry(ENTRY_POINT_GROUP, "format", name))


def export(
    run: Run, output: Path, format: str | None = None, *, overwrite: bool = False
) -> list[Path]:
    """Write the network of a run for another program; returns the files.

    Parameters
    ----------
    run
        The run.
    output
        The file; some formats write several, named after it.
    format
        The name of a format, see `format_names`; None goes by the suffix.
    overwrite
        Whether to replace existing files.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    InputError
        If a file exists already (unless ``overwrite``) or cannot be written, or the format is not
        known.
    AfirError
        If the format fails. No file is changed then.
    """
    name, chosen = _by_suffix(output) if format is None else (format, load_format(format))
    if not output.name or output.is_dir():
        raise InputError(f"--output must be a file, got the directory {output}")
    _check_suffix(output, name, chosen)
    files = chosen.files(output, next(iter(chosen.suffixes), ""))
    for file in files:
        new_file(file, force=overwrite, remedy="add --force")
    with writing(*files) as drafts:
        try:
            chosen.write(run, list(drafts))
        except (AfirError, OSError):
            raise
        except Exception as error:
            raise AfirError(
                f"the export {name!r} failed: {type(error).__name__}: {error}"
            ) from error
        for file, draft in zip(files, drafts, strict=True):
            # A device or a pipe is written in place.
            if not draft.exists() or draft.is_dir():
                got = "a directory" if draft.is_dir() else "no such file"
                raise AfirError(f"the export {name!r} must write {file}, got {got}")
    return files


def _loaded(entry: Entry) -> ExportFormat:
    """The format of an entry; InputError if there is none."""
    title = f"the export {entry.name!r}"
    found = entry.load(title)
    if not isinstance(found, ExportFormat):
        raise InputError(f"{title} must be a `networks.ExportFormat`, got {found!r}")
    return found


def _by_suffix(output: Path) -> tuple[str, ExportFormat]:
    """The format of a file by its suffix, and its name.

    A suffix of this package keeps its meaning whatever else is installed.
    """
    suffixes: list[str] = []
    found: list[tuple[str, ExportFormat]] = []
    for entry, chosen in _every():
        suffixes += chosen.suffixes
        if output.suffix.lower() in chosen.suffixes:
            found.append((entry.name, chosen))
            if entry.ours:
                break
    if len(found) == 1:
        return found[0]
    named = "|".join([name for name, _ in found] or format_names())
    other = "" if found else f" or one of the suffixes {' '.join(suffixes)}"
    raise InputError(f"the format of {output} is not clear; give --format {named}{other}")


def _check_suffix(output: Path, name: str, chosen: ExportFormat) -> None:
    """Raise InputError for a file whose suffix is that of another format."""
    suffix = output.suffix.lower()
    if not chosen.suffixes or suffix in chosen.suffixes:
        return
    if any(suffix in other.suffixes for _, other in _every()):
        raise InputError(
            f"--output must end in {' or '.join(chosen.suffixes)} for --format {name}, got {output}"
        )


def _every() -> Iterator[tuple[Entry, ExportFormat]]:
    """The formats one by one, ours first; others that cannot be loaded are left out."""
    for entry in sorted(entries(ENTRY_POINT_GROUP).values(), key=lambda entry: not entry.ours):
        try:
            yield entry, _loaded(entry)
        except InputError as error:
            if entry.ours:
                raise
            logger.warning("%s", error)
