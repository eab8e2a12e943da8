"""Saving drawings."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from afir.errors import InputError
from afir.files import new_file, writing

FORMATS: tuple[str, ...] = (".png", ".svg", ".pdf")
"""What a drawing can be saved as, by suffix."""


class Drawing(Protocol):
    """A figure of matplotlib."""

    def savefig(self, fname: Path, *, dpi: float) -> None:
        """Write it to a file."""
        ...


def save(figure: Drawing, output: Path) -> None:
    """Save a drawing; the suffix decides between PNG, SVG and PDF.

    Raises
    ------
    InputError
        For another suffix, or a file that exists or cannot be written.
    """
    if output.suffix.lower() not in FORMATS:
        kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise InputError(f"a drawing must be a {kinds} file, got {output}")
    new_file(output)
    with writing(output) as (draft,):
        figure.savefig(draft, dpi=150)
