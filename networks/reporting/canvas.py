"""A drawing of energies: levels, lines, labels that do not overlap, title and axis.

Lengths along x are inches, so that the room a text takes is known before it is drawn. Draws on
figures of its own and touches no global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import ceil
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from afir.errors import InputError
from afir.io.printable import printable
from networks.reporting.diagram_layout import Box, Point, free_spot

# Lengths, sizes and colours here and in the other files of drawings were chosen by eye.
GREY = "#6b6b6b"
OVER = 3.5
"""Order of a marked route: it runs over the levels that it passes."""
LETTERS = 8.5
"""Font size in points."""

# Pales what is behind and lets a line be followed; a halo would turn the letters of an SVG file
# into outlines.
_BEHIND = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.3}
_LEFT, _RIGHT = 0.8, 0.15  # inches beside the axes
BESIDE = _LEFT + _RIGHT
"""Inches beside the axes in all."""
_UNIT = 10.0  # points at which lines are measured; any size would do
_STRAIGHT = 24  # boxes that stand for a line when labels are placed


class Spot(NamedTuple):
    """A place for a label.

    The middle of its lower edge, or of its upper edge if it hangs below.
    """

    x: float
    y: float
    hangs: bool = False


@dataclass
class Canvas:
    """The common state of the parts of a drawing.

    Attributes
    ----------
    figure, axes
        Where it is drawn.
    scale
        kJ/mol for an inch of height.
    lowest
        The lowest height.
    levels
        The left and right end of the level of each id.
    taken
        Boxes of levels, marks and text.
    lines
        Boxes of lines; labels avoid them if they can.
    """

    figure: Figure
    axes: Axes
    scale: float
    lowest: float
    levels: dict[str, tuple[float, float]] = field(default_factory=dict)
    taken: list[Box] = field(default_factory=list)
    lines: list[Box] = field(default_factory=list)

    def level(self, id: str, y: float, ends: tuple[float, float], color: str, **style: Any) -> None:
        """Draw the level of a node from one x to another."""
        self.levels[id] = ends
        self.taken.append(Box(ends[0], y - 0.02 * self.scale, ends[1], y + 0.02 * self.scale))
        self.axes.hlines(y, *ends, colors=color, linewidth=2.6, zorder=3, **style)

    def line(self, first: Point, last: Point) -> None:
        """Note where a straight line runs."""
        xs, ys = (np.linspace(a, b, _STRAIGHT + 1) for a, b in zip(first, last, strict=True))
        for x, y in zip(pairwise(xs), pairwise(ys), strict=True):
            (left, right), (low, high) = sorted(x), sorted(y)
            flat = 0.005 * self.scale
            self.lines.append(Box(float(left), low - flat, float(right), high + flat))

    def mark(self, x: float, y: float) -> Box:
        """The box of a mark."""
        return Box(x - 0.06, y - 0.02 * self.scale, x + 0.06, y + 0.02 * self.scale)

    def label(
        self,
        text: str,
        spots: Sequence[Spot],
        color: str,
        size: float = LETTERS,
        *,
        turned: bool = False,
        needed: bool = False,
    ) -> bool:
        """Write at the first spot with room; returns whether there is one.

        Where no spot is clear of all lines, one that covers some is taken; what is behind a label
        shines through.

        Parameters
        ----------
        text, color, size, turned
            What is written, and how.
        spots
            Where it may be written, the best first.
        needed
            Whether to write at the first spot if there is no room anywhere.
        """
        wide, high = extent(text, size)
        if turned:
            wide, high = high, wide
        high *= self.scale
        boxes = []
        for x, y, hangs in spots:
            low = y - high if hangs else y
            boxes.append(Box(x - wide / 2, low, x + wide / 2, low + high))
        spot = free_spot(boxes, self.taken, self.lines)
        if spot is None and not needed:
            return False
        self.taken.append(boxes[spot or 0])
        x, y, hangs = spots[spot or 0]
        self.write(
            x,
            y,
            text,
            ha="center",
            va="top" if hangs else "bottom",
            rotation=90 if turned else 0,
            fontsize=size,
            linespacing=1.05,
            color=color,
        )
        return True

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write plain text in the axes: no mathematics, no control characters."""
        shown = printable(text, keep="\n")
        self.axes.text(x, y, shown, bbox=_BEHIND, zorder=5, parse_math=False, **style)

    def finish(self, wide: float, heading: str, note: str, axis: str, width: float | None) -> None:
        """Add the title and the energy axis, and set the size.

        Parameters
        ----------
        wide
            Inches of the axes that are used.
        heading, note
            The text above the axes.
        axis
            The label of the energy axis.
        width
            Inches of the figure; None for as many as needed.

        Raises
        ------
        InputError
            If the drawing is wider.
        """
        wide = max(wide, 2.5)
        if width is not None:
            if wide + BESIDE > width + 0.01:
                least = ceil(10.0 * (wide + BESIDE)) / 10.0
                raise InputError(
                    f"`width` must be at least {least:.1f} in ({2.54 * least:.1f} cm) for all that "
                    f"is drawn, got {width:.2f} in"
                )
            wide = width - BESIDE
        axes, figure = self.axes, self.figure
        low, high = axes.get_ylim()
        tall, bottom = (high - low) / self.scale, 0.15
        heading = fill(printable(heading), max(int(wide / 0.09), 20))
        note = fill(printable(note), max(int(wide / 0.065), 20))
        over = tall + bottom + 0.08
        above = over + (0.15 * (note.count("\n") + 1) + 0.04 if note else 0.0)
        size = (_LEFT + wide + _RIGHT, above + 0.22 * (heading.count("\n") + 1))
        figure.set_size_inches(size)
        axes.set_position((_LEFT / size[0], bottom / size[1], wide / size[0], tall / size[1]))
        axes.set_xlim(0.0, wide)
        x = 0.15 / size[0]
        for text, y, style in (
            (note, over, {"fontsize": LETTERS, "color": GREY}),
            (heading, above, {"fontsize": 11}),
        ):
            figure.text(x, y / size[1], text, va="bottom", parse_math=False, **style)
        axes.set_ylabel(axis)
        axes.set_xticks([])
        axes.set_yticks([y for y in axes.get_yticks() if self.lowest - 1e-6 <= y <= high])
        axes.spines["left"].set_bounds(self.lowest, high)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.grid(axis="y", color="#ececec", linewidth=0.7)
        axes.set_axisbelow(True)


def canvas(heights: Sequence[float], tall: float, below: float) -> Canvas:
    """An empty drawing; ``tall`` inches for the heights and ``below`` for labels under them."""
    low = min(heights)
    high = max(*heights, low + 10.0)
    scale = (high - low) / tall
    figure = Figure(figsize=(1.0, tall + below + 0.3))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_ylim(low - below * scale, high + 0.3 * scale)
    return Canvas(figure, axes, scale, low)


def fitting(lines: Sequence[str], room: float) -> str:
    """The first line, and those of the others that are at most `room` inches wide."""
    return "\n".join([lines[0], *(line for line in lines[1:] if extent(line)[0] <= room)])


@lru_cache(maxsize=4096)
def _width(line: str) -> float:
    """Width of a line in points where its letters have `_UNIT` points."""
    return float(TextPath((0, 0), line.replace("$", r"\$"), size=_UNIT).vertices[:, 0].max())


def extent(text: str, size: float = LETTERS) -> tuple[float, float]:
    """Width and height of a text in inches."""
    lines = text.split("\n")
    wide = max(_width(line) for line in lines)
    return (1.03 * wide * size / _UNIT + 2.0) / 72, 1.25 * size * len(lines) / 72
