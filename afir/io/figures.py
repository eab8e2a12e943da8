"""Saving figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from afir.errors import InputError
from afir.io.safe_write import new_file, writing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DPI = 150.0
"""Default resolution of a PNG figure, in dots an inch: between a screen's and a printer's."""

# Chosen: from a thumbnail to the finest printer.
_FEWEST_DPI, _MOST_DPI = 20.0, 2400.0
_MOST_DOTS = 20_000  # of either side: more would exhaust the memory

FORMATS: tuple[str, ...] = (".png", ".svg", ".pdf")
"""File formats of figures, by suffix."""


class Drawing(Protocol):
    """A figure of matplotlib."""

    def get_size_inches(self) -> NDArray[np.float64]:
        """Its width and height."""
        ...

    def savefig(self, fname: Path, *, dpi: float) -> None:
        """Write it to a file."""
        ...


def save_figure(
    figure: Drawing, output: Path, dpi: float = DPI, *, overwrite: bool = False
) -> None:
    """Save a figure; the suffix decides between PNG, SVG and PDF.

    Text in an SVG file stays text, which can be searched and edited.

    Parameters
    ----------
    figure
        The figure.
    output
        The file.
    dpi
        Resolution in dots an inch, of PNG only.
    overwrite
        Whether to replace an existing file.

    Raises
    ------
    InputError
        For another suffix, a file that exists (unless ``overwrite``) or cannot be written, or too
        few or too many dots.
    """
    from matplotlib import rc_context  # takes 0.3 s, so only for figures

    if output.suffix.lower() not in FORMATS:
        kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise InputError(f"a drawing must be a {kinds} file, got {output}")
    if not _FEWEST_DPI <= dpi <= _MOST_DPI:
        raise InputError(f"`dpi` must be from {_FEWEST_DPI:g} to {_MOST_DPI:g}, got {dpi:g}")
    longest = float(max(figure.get_size_inches()))
    if dpi * longest > _MOST_DOTS and output.suffix.lower() == ".png":
        raise InputError(
            f"`dpi` must be at most {_MOST_DOTS / longest:.0f} for a drawing of {longest:.1f} in, "
            f"got {dpi:g}; an .svg or .pdf file can be enlarged at will"
        )
    new_file(output, force=overwrite)
    with writing(output) as (draft,), rc_context({"svg.fonttype": "none"}):
        figure.savefig(draft, dpi=dpi)
