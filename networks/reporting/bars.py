"""A chart of what raises and lowers the expectations of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from afir.io.printable import printable
from networks.reporting.canvas import GREY, LETTERS

# Of M. Okabe and K. Ito, which people with any colour vision tell apart.
_RAISES, _LOWERS = "#0072B2", "#D55E00"
_BAR, _AROUND = 0.24, 1.4  # inches of a bar, and above and below all of them; chosen by eye
_WIDE = 7.0  # inches


def bars_figure(groups: Mapping[str, tuple[float, float]], heading: str, note: str = "") -> Figure:
    """Bars for each group: its contribution to the worth, and to the gradients.

    Parameters
    ----------
    groups
        For each group the contribution to the expected worth, and to the natural logarithm of the
        expected gradients.
    heading
        The title.
    note
        How the bars add up, in at most two lines.
    """
    order = sorted(groups, key=lambda name: abs(groups[name][0]))
    tall = _BAR * max(len(order), 1) + _AROUND
    figure = Figure(figsize=(_WIDE, tall))
    worth, gradients = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(
        left=0.27, right=0.97, bottom=0.9 / tall, top=1.0 - 0.45 / tall, wspace=0.12
    )
    _bars(worth, [groups[name][0] for name in order], factors=False)
    _bars(gradients, [groups[name][1] for name in order], factors=True)
    worth.set_xlabel("added to the worth", fontsize=LETTERS)
    gradients.set_xlabel("factor of the gradients", fontsize=LETTERS)
    gradients.set_xticks([])  # the bars are labelled
    worth.set_yticks(
        range(len(order)), [printable(name) for name in order], fontsize=LETTERS, parse_math=False
    )
    figure.text(
        0.01, 1.0 - 0.08 / tall, printable(heading), va="top", fontsize=10, parse_math=False
    )
    lines = [printable(line) for line in note.splitlines()]
    figure.text(
        0.01, 0.06 / tall, "\n".join(lines), va="bottom", fontsize=LETTERS - 1, parse_math=False
    )
    return figure


def _bars(axes: Axes, values: list[float], *, factors: bool) -> None:
    """Horizontal bars with their values; hatched where they make a push less promising.

    With `factors` the values are logarithms of factors of a price.
    """
    for place, value in enumerate(values):
        lowers = value > 0.0 if factors else value < 0.0
        axes.barh(
            place,
            value,
            color=_LOWERS if lowers else _RAISES,
            edgecolor="white",
            hatch="////" if lowers else "",
        )
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    most = max((abs(value) for value in values), default=0.0) or 1.0
    axes.set_xlim(-1.35 * most, 1.35 * most)
    for place, value in enumerate(values):
        axes.text(
            value + (0.03 if value >= 0.0 else -0.03) * most,
            place,
            f"× {exp(value):.2f}" if factors else f"{round(value, 2) + 0.0:+.2f}",
            ha="left" if value >= 0.0 else "right",
            va="center",
            fontsize=LETTERS - 1.5,
        )
    axes.tick_params(labelsize=LETTERS - 1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
