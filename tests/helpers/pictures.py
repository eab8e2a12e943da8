"""Parts of drawings of networks, for tests of drawings."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from drawn_network import drawn_run, eq, ts
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from networks.reporting.run import Run


def random_run(n_eq: int, n_ts: int) -> Run:
    """A run of so many structures, all connected if there are enough transition states."""
    rng = np.random.default_rng(5)
    found = [eq(i, 0.0 if i == 0 else float(rng.uniform(20, 500))) for i in range(n_eq)]
    saddles = []
    for number in range(n_ts):
        first = number + 1 if number < n_eq - 1 else int(rng.integers(1, n_eq))
        second = int(rng.integers(max(0, first - 4), first))
        saddles.append(ts(number, 520.0 + float(rng.uniform(0, 200)), f"EQ{first}", f"EQ{second}"))
    return drawn_run(found=[*found, *saddles])


def texts_of(figure: Figure) -> list[str]:
    """All that is written in a figure."""
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def labels_of(figure: Figure) -> list[Text]:
    """The labels of structures and transition states."""
    return [
        text
        for text in figure.findobj(Text)
        if isinstance(text, Text) and text.get_text().startswith(("EQ", "TS", "DC"))
    ]


def note_of(figure: Figure) -> str:
    """The line below the title."""
    return figure.texts[0].get_text().replace("\n", " ")


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of labels whose letters overlap, as matplotlib measures them."""
    figure.set_dpi(60)
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in labels_of(figure)]
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


def dotted(figure: Figure) -> list[tuple[float, ...]]:
    """Heights of the ends of dotted lines."""
    return [
        tuple(float(y) for y in line.get_ydata())
        for line in figure.axes[0].get_lines()
        if line.get_linestyle() not in ("-", "None")
    ]


def curved(line: Line2D) -> bool:
    """Whether a line is the hill of a transition state."""
    return len(line.get_xdata()) > 2
