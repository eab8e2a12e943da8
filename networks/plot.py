"""Drawings of a network: the whole of it as an energy diagram, and one route as a profile.

The only module that imports matplotlib; it draws on figures of its own and touches no global
state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from afir.errors import InputError
from afir.units import KJ_PER_MOL
from networks.layout import Box, arrangement, columns, free_spot, links
from networks.network import fragments
from networks.records import COMPLEX, DC, EQ, TS
from networks.report import Run, zero_of
from networks.routes import Route

FORMATS: tuple[str, ...] = (".png", ".svg", ".pdf")
"""What a drawing can be saved as, by suffix."""

_BLUE, _LIGHT, _RED, _GREY, _ORANGE = "#1f4e79", "#4f8fc0", "#b03a3a", "#6b6b6b", "#d9730d"
_HALF = 0.25  # half the length of a level, in columns
_CROWDED = 40  # with more transition states only the lowest of each pair is drawn
_HALO = (withStroke(linewidth=2.5, foreground="white"),)


@dataclass(frozen=True)
class _Canvas:
    """What the parts of a network drawing share."""

    run: Run
    axes: Axes
    place: Mapping[str, int]
    zero: float
    line: float  # height of a line of text in kJ/mol
    letter: float  # width of a letter in columns

    def height(self, record: EQ | TS | DC) -> float:
        """kJ/mol relative to the lowest EQ."""
        return (record.energy - self.zero) / KJ_PER_MOL


def network_figure(run: Run, route: Route | None = None) -> Figure:
    """The network as an energy diagram.

    EQs are levels at their energy, transition states the peaks between them, dissociation
    channels dashed levels; structures that are linked stand side by side. Of more than 40
    transition states only the lowest between two structures is drawn, which the title says; a
    peak's label is left out where there is no room for it.

    Parameters
    ----------
    run
        The run.
    route
        A route to be marked.

    Raises
    ------
    InputError
        If the network holds no structure yet.
    """
    network = run.network
    if not network.eqs:
        raise InputError("there is nothing to draw: the run has found no structure yet")
    zero = zero_of(network)
    nodes: list[EQ | DC] = [*network.eqs.values(), *network.dcs.values()]
    tss = _drawn(list(network.tss.values()))
    heights = {node.id: (node.energy - zero) / KJ_PER_MOL for node in nodes}
    peaks = [(ts.energy - zero) / KJ_PER_MOL for ts in tss]
    top = max([*heights.values(), *peaks])
    span = max(top - min(heights.values()), 10.0)
    tall = 6.0 if len(nodes) <= 16 else 9.0
    line = 1.22 * span * 0.15 / (tall - 1.2)  # a line of text is 0.15 inches high
    place = columns(arrangement(list(heights), links(network)), heights, 4.2 * line)
    width = max(place.values()) + 1
    inches = min(max(5.5, 1.15 * width + 1.2), 22.0)
    figure = Figure(figsize=(inches, tall), layout="constrained")
    axes = figure.add_subplot()
    letter = 0.068 * width / (inches - 1.0)
    canvas = _Canvas(run, axes, place, zero, line, letter)
    boxes = [_draw_node(canvas, node) for node in nodes]
    marked = set(route.tss) if route is not None else set()
    for ts in sorted(tss, key=lambda ts: (ts.id not in marked, ts.energy)):
        boxes.append(_draw_ts(canvas, ts, boxes, marked=ts.id in marked))
    for dc in network.dcs.values():
        if dc.no_ts_known and dc.origin in place:
            _draw_slope(canvas, dc)
    axes.set_xlim(-0.7, width - 0.3)
    axes.set_ylim(min(heights.values()) - 3.6 * line, top + 3.0 * line)
    left_out = len(network.tss) - len(tss)
    title = f"{run.molecule.formula} on {run.settings.surface}"
    if left_out:
        title += f" (lowest transition state of each pair; {left_out} others not drawn)"
    _finish(axes, title, network.lowest.id)
    return figure


def profile_figure(run: Run, route: Route) -> Figure:
    """The energy along one route, from level to level over its transition states.

    Parameters
    ----------
    run
        The run.
    route
        The route.
    """
    network = run.network
    zero = zero_of(network)
    stations: list[EQ | TS | DC] = [network.node(route.nodes[0])]
    for ts, node in zip(route.tss, route.nodes[1:], strict=True):
        stations += [network.tss[ts], network.node(node)]
    heights = [(station.energy - zero) / KJ_PER_MOL for station in stations]
    figure = Figure(
        figsize=(min(max(5.5, 1.05 * len(stations) + 1.5), 24.0), 5.0), layout="constrained"
    )
    axes = figure.add_subplot()
    for x, (first, second) in enumerate(pairwise(heights)):
        axes.plot(*_curve(x + 0.25, first, x + 0.75, second), color=_GREY, linewidth=1.3)
    for x, (station, height) in enumerate(zip(stations, heights, strict=True)):
        saddle = isinstance(station, TS)
        color = _ORANGE if isinstance(station, TS) else _color(station)
        axes.hlines(height, x - 0.25, x + 0.25, colors=color, linewidth=3, zorder=3)
        what = "" if isinstance(station, TS) else _composition(run, station)
        text = [f"{station.id}", *([what] if what else []), f"{height:.1f}"]
        axes.annotate(
            "\n".join(text),
            (x, height),
            xytext=(0, 5 if saddle else -5),
            textcoords="offset points",
            ha="center",
            va="bottom" if saddle else "top",
            fontsize=9,
            color=color,
            path_effects=_HALO,
        )
    span = max(max(heights) - min(heights), 10.0)
    axes.set_xlim(-0.6, len(stations) - 0.4)
    axes.set_ylim(min(heights) - 0.22 * span, max(heights) + 0.16 * span)
    highest = max(route.tss, key=lambda id: network.tss[id].energy)
    start, end = route.nodes[0], route.nodes[-1]
    barrier = (route.top - stations[0].energy) / KJ_PER_MOL
    title = (
        f"{run.molecule.formula} on {run.settings.surface}: {start} → {end}, "
        f"highest point {highest}, {barrier:.1f} kJ/mol above {start}"
    )
    _finish(axes, title, network.lowest.id)
    return figure


def save(figure: Figure, output: Path) -> None:
    """Save a drawing; the suffix decides between PNG, SVG and PDF.

    Raises
    ------
    InputError
        For another suffix, a file that exists or a folder that does not.
    """
    if output.suffix.lower() not in FORMATS:
        raise InputError(f"a drawing must be saved as {', '.join(FORMATS)}, got {output}")
    if output.exists():
        raise InputError(f"{output} exists already; choose another --output or remove it first")
    if not output.parent.is_dir():
        raise InputError(f"the folder {output.parent} does not exist; create it first")
    figure.savefig(output, dpi=150)


def _drawn(tss: Sequence[TS]) -> list[TS]:
    """The transition states to be drawn: all, or the lowest of each pair when there are many."""
    if len(tss) <= _CROWDED:
        return list(tss)
    lowest: dict[frozenset[str], TS] = {}
    for ts in sorted(tss, key=lambda ts: ts.energy):
        if ts.ends[0] != ts.ends[1]:
            lowest.setdefault(frozenset(ts.ends), ts)
    return list(lowest.values())


def _color(node: EQ | DC) -> str:
    """Blue for EQs, light blue for complexes, red for channels."""
    if isinstance(node, DC):
        return _RED
    return _LIGHT if COMPLEX in node.flags else _BLUE


def _composition(run: Run, node: EQ | DC) -> str:
    """The molecules a node consists of; empty for one molecule."""
    if isinstance(node, DC):
        return " + ".join(node.fragments)
    return "···".join(fragments(run.molecule, node.positions)) if COMPLEX in node.flags else ""


def _draw_node(canvas: _Canvas, node: EQ | DC) -> Box:
    """A level with its label below; returns the space they take."""
    x, y = canvas.place[node.id], canvas.height(node)
    channel = isinstance(node, DC)
    canvas.axes.hlines(
        y,
        x - _HALF,
        x + _HALF,
        colors=_color(node),
        linewidth=3.0,
        linestyles=(0, (1.6, 0.7)) if channel else "solid",
        zorder=3,
    )
    what = _composition(canvas.run, node)
    lines = [node.id, *([what] if what else []), f"{y:.0f}"]
    canvas.axes.annotate(
        "\n".join(lines),
        (x, y),
        xytext=(0, -4),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=8.5,
        linespacing=1.05,
        color=_color(node),
        path_effects=_HALO,
        zorder=5,
    )
    half = max(_HALF, 0.5 * canvas.letter * max(map(len, lines)))
    return Box(x - half, y - (len(lines) + 0.4) * canvas.line, x + half, y + 0.3 * canvas.line)


def _draw_ts(canvas: _Canvas, ts: TS, taken: Sequence[Box], *, marked: bool) -> Box:
    """A peak joined to both its levels, labelled where there is room; returns its space."""
    network = canvas.run.network
    (x1, y1), (x2, y2) = sorted(
        (float(canvas.place[end]), canvas.height(network.node(end))) for end in ts.ends
    )
    y = canvas.height(ts)
    label = f"{ts.id} {y:.0f}"
    half = 0.5 * canvas.letter * len(label)
    if x2 - x1 < 0.5:  # a loop, or two levels in one column: the peak stands beside it
        spots = [x1 + sign * shift for shift in (0.5, 0.42, 0.58, 0.34, 0.66) for sign in (1, -1)]
    else:
        shifts = np.linspace(0.0, 0.5 * (x2 - x1), 9)
        spots = [float(0.5 * (x1 + x2) + sign * shift) for shift in shifts for sign in (1, -1)]
    candidates = [
        Box(x - half, y - 0.35 * canvas.line, x + half, y + 1.4 * canvas.line) for x in spots
    ]
    chosen = free_spot(candidates, taken)
    x = spots[chosen]
    color = _ORANGE if marked else _GREY
    style = {
        "color": color,
        "linewidth": 2.2 if marked else 1.0,
        "alpha": 1.0 if marked else 0.65,
        "zorder": 2.5 if marked else 1.5,
    }
    for side, level in ((x1, y1), (x2, y2)):
        start = side + _HALF if x > side + _HALF else side - _HALF if x < side - _HALF else side
        canvas.axes.plot(*_curve(start, level, x, y), **style)  # type: ignore[arg-type]
    canvas.axes.plot([x], [y], marker="_", markersize=9, markeredgewidth=2, color=color, zorder=3)
    box = candidates[chosen]
    if marked or not any(box.meets(other) for other in taken):
        canvas.axes.annotate(
            label,
            (x, y),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5,
            color=color if marked else "#444444",
            path_effects=_HALO,
            zorder=6,
        )
    return box


def _draw_slope(canvas: _Canvas, dc: DC) -> None:
    """A dotted line from where a channel that no known TS leads to was first reached."""
    x1, x2 = canvas.place[dc.origin], canvas.place[dc.id]
    sign = 1.0 if x2 >= x1 else -1.0
    canvas.axes.plot(
        *_curve(
            x1 + sign * _HALF,
            canvas.height(canvas.run.network.node(dc.origin)),
            x2 - sign * _HALF,
            canvas.height(dc),
        ),
        color=_RED,
        linewidth=1.2,
        linestyle=(0, (1, 1.6)),
        alpha=0.8,
        zorder=1.4,
    )


def _curve(x1: float, y1: float, x2: float, y2: float) -> tuple[Sequence[float], Sequence[float]]:
    """A line that leaves and arrives level, as energy profiles are drawn."""
    t = np.linspace(0.0, 1.0, 40)
    rise = t * t * (3.0 - 2.0 * t)
    return list(x1 + t * (x2 - x1)), list(y1 + rise * (y2 - y1))


def _finish(axes: Axes, title: str, lowest: str) -> None:
    """Title, energy axis, and nothing that distracts."""
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_ylabel(f"energy relative to {lowest} / kJ mol⁻¹")
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
