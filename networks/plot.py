"""Drawings of a network: the whole of it as an energy diagram, and one route as a profile.

The only module that imports matplotlib; it draws on figures of its own and touches no global
state. Lengths along x are inches, so that the room a text takes is known before it is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from textwrap import fill
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from afir.errors import InputError
from afir.units import KJ_PER_MOL
from networks.captions import MARKS, height, level_lines, marked_id, title, unconnected
from networks.flags import LOOP, MEANINGS, flags_of
from networks.layout import (
    Box,
    Point,
    arrangement,
    connected,
    free_spot,
    hills,
    lowest_links,
    spread,
)
from networks.network import origin_alone
from networks.records import COMPLEX, DC, EQ, TS, Barrierless
from networks.report import Run
from networks.routes import Route

_BLUE, _LIGHT, _RED, _ORANGE = "#1f4e79", "#3d8bc4", "#b03a3a", "#d9730d"
_GREY, _DARK = "#6b6b6b", "#444444"
_CROWDED = 40  # with more transition states only the lowest of each pair is drawn
_FEW = 16  # with more structures in the row their labels are turned
_WIDEST = 15.0  # inches the row may take
_LETTERS, _SMALL = 8.5, 7.0  # points
_LEVEL = 0.33  # inches a level beside its text is long
_HALO = (withStroke(linewidth=2.5, foreground="white"),)

_Curve: TypeAlias = "tuple[NDArray[np.float64], NDArray[np.float64]]"


@dataclass
class _Canvas:
    """What the parts of a drawing share.

    ``scale`` is kJ/mol for an inch of height, ``lowest`` the lowest height, ``reach`` the inches
    in which a hill rises, ``levels`` where the level of an id begins and ends, ``taken`` where
    something is written, ``silent`` how many labels found no room.
    """

    run: Run
    figure: Figure
    axes: Axes
    scale: float
    lowest: float
    reach: float = 0.4
    levels: dict[str, tuple[float, float]] = field(default_factory=dict)
    taken: list[Box] = field(default_factory=list)
    silent: int = 0

    def level(self, node: EQ | DC, left: float, right: float) -> None:
        """Draw the level of a node."""
        y = height(self.run, node)
        self.levels[node.id] = left, right
        self.taken.append(Box(left, y - 0.02 * self.scale, right, y + 0.02 * self.scale))
        self.axes.hlines(
            y,
            left,
            right,
            colors=_color(node),
            linewidth=2.6,
            linestyles=(0, (1.6, 0.7)) if isinstance(node, DC) else "solid",
            zorder=3,
        )

    def label(
        self,
        text: str,
        spots: Sequence[Point],
        color: str,
        size: float = _LETTERS,
        *,
        below: bool = False,
        turned: bool = False,
        needed: bool = False,
    ) -> int:
        """Write at the first spot where there is room and return its index, 0 if there is none.

        A spot is the middle of the text's lower edge, or of the upper one when ``below``.
        """
        wide, high = _extent(text, size)
        if turned:
            wide, high = high, wide
        high *= self.scale
        boxes = [
            Box(x - wide / 2, y - high if below else y, x + wide / 2, y if below else y + high)
            for x, y in spots
        ]
        spot = free_spot(boxes, self.taken)
        if spot is None and not needed:
            self.silent += 1
            return 0
        spot = spot or 0
        self.taken.append(boxes[spot])
        self.axes.text(
            *spots[spot],
            text,
            ha="center",
            va="top" if below else "bottom",
            rotation=90 if turned else 0,
            fontsize=size,
            linespacing=1.05,
            color=color,
            path_effects=_HALO,
            zorder=5,
        )
        return spot


def network_figure(run: Run, route: Route | None = None) -> Figure:
    """The network as an energy diagram.

    From left to right: the structures that are connected, linked ones side by side; the
    dissociation channels, dashed; the structures that nothing connects to another one. A
    transition state is a hill between two levels, or an arch over one when it leads back to the
    same structure. A dotted line joins a complex and the channel of its molecules. Of more than 40
    transition states only the lowest between two structures is drawn, and a label is left out
    where there is no room; a line below the title says so.

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
    passed = set(route.steps) if route is not None else set()
    tss = _drawn(network.tss.values(), passed)
    linked = connected(network) or [network.lowest.id]
    few = len(linked) <= _FEW

    drawn: list[EQ | DC | TS] = [*network.eqs.values(), *network.dcs.values(), *tss]
    tall = 4.0 if len(drawn) <= 30 else 5.5
    canvas = _canvas(run, [height(run, record) for record in drawn], tall, 0.6 if few else 0.75)
    x = _draw_row(canvas, linked, few=few)
    for heading, nodes in (
        ("dissociation channels", [*network.dcs.values()]),
        ("not connected", [eq for id, eq in network.eqs.items() if id not in canvas.levels]),
    ):
        x = _draw_list(canvas, nodes, heading, x)
    barrierless = list(network.barrierless.values())
    _draw_barrierless(canvas, barrierless, passed)
    _draw_tss(canvas, tss, passed, few=few)

    notes = _legend(tss, barrierless)
    if len(tss) < len(network.tss):
        notes.append(
            "only the lowest transition state between two structures is drawn, "
            f"{len(network.tss) - len(tss)} others are not"
        )
    if canvas.silent:
        notes.append(f"labels left out: {canvas.silent}")
    if any(COMPLEX in eq.flags for eq in network.eqs.values()):
        notes.append("light blue: complexes of several molecules")
    if any(origin_alone(network, dc) for dc in network.dcs.values()):
        notes.append("from: first reached from there, no transition state known")
    _finish(canvas, x, title(run), "; ".join(notes))
    return canvas.figure


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
    nodes = [network.node(id) for id in route.nodes]
    tss = [network.tss[id] for id in route.tss]
    canvas = _canvas(run, [height(run, record) for record in (*nodes, *tss)], 3.4, 0.6)
    texts = [_fitting(level_lines(run, node), _WIDEST / len(nodes)) for node in nodes]
    column = max(1.0, min(1.4, _WIDEST / len(nodes)), 0.25 + max(_extent(x)[0] for x in texts))
    for index, (node, text) in enumerate(zip(nodes, texts, strict=True)):
        x = (index + 0.4) * column
        canvas.level(node, x - 0.25, x + 0.25)
        y = height(run, node) - 0.05 * canvas.scale
        canvas.label(text, [(x, y)], _color(node), below=True, needed=True)
    barrierless = [network.barrierless[id] for id in route.steps if id not in network.tss]
    _draw_barrierless(canvas, barrierless, set(route.steps))
    _draw_tss(canvas, tss, set(route.steps), few=True)
    # On level terms a transition state is the higher one: an end of a barrierless step is no pass.
    highest = max([*tss, *nodes], key=lambda record: record.energy)
    start, end = route.nodes[0], route.nodes[-1]
    above = (highest.energy - nodes[0].energy) / KJ_PER_MOL
    notes = [f"highest point {highest.id}, {above:.1f} kJ/mol above {start}"]
    notes += _legend(tss, barrierless)
    _finish(
        canvas,
        (len(nodes) - 0.2) * column,
        f"{title(run)}: {start} → {end}",
        "; ".join(notes),
    )
    return canvas.figure


def _legend(tss: Sequence[TS], barrierless: Sequence[Barrierless]) -> list[str]:
    """What lines and marks stand for, as far as there are any."""
    flags = {flag for ts in tss for flag in flags_of(ts)}
    found = ["dotted: a complex falls apart, without a barrier"] if barrierless else []
    if LOOP in flags:
        found.append("arch: a loop, back to the same structure")
    return found + [f"{MARKS[flag]}: {text}" for flag, text in MEANINGS.items() if flag in flags]


def _drawn(tss: Iterable[TS], marked: Set[str]) -> list[TS]:
    """The transition states to be drawn: all, or the lowest of each pair when there are many."""
    every = sorted(tss, key=lambda ts: (ts.id not in marked, ts.energy))
    if len(every) <= _CROWDED:
        return every
    lowest: dict[frozenset[str], TS] = {}
    for ts in every:
        if ts.ends[0] != ts.ends[1]:
            lowest.setdefault(frozenset(ts.ends), ts)
    return list(lowest.values())


def _draw_row(canvas: _Canvas, ids: Sequence[str], *, few: bool) -> float:
    """The structures that are connected, with their labels below; returns where they end."""
    run = canvas.run
    eqs = [run.network.eqs[id] for id in ids]
    lines = {eq.id: level_lines(run, eq) for eq in eqs}
    if few:
        texts = {id: _fitting(text, _WIDEST / len(ids)) for id, text in lines.items()}
    else:  # turned: one line, without the molecules
        texts = {id: f"{text[0]}  {text[-1]}" for id, text in lines.items()}
    if few:
        widest = max(_extent(text)[0] for text in texts.values())
        column = max(0.95, widest + 0.1, min(1.5, 3.5 / len(ids)))
    else:
        column = min(max(0.24, 0.5 * _WIDEST / len(ids)), _WIDEST / len(ids))
    half = 0.28 * column
    canvas.reach = column - 2 * half
    x = max(0.5 * column, 0.25)
    for row in arrangement(ids, lowest_links(run.network)):
        for id in row:
            canvas.levels[id] = x - half, x + half
            x += column
        x += 0.4 * column
    for eq in sorted(eqs, key=lambda eq: eq.energy):
        left, right = canvas.levels[eq.id]
        canvas.level(eq, left, right)
        spot = (0.5 * (left + right), height(run, eq) - 0.05 * canvas.scale)
        canvas.label(
            texts[eq.id],
            [spot],
            _color(eq),
            _LETTERS if few else _SMALL,
            below=True,
            turned=not few,
        )
    return x - 0.9 * column


def _draw_list(canvas: _Canvas, nodes: Sequence[EQ | DC], heading: str, x: float) -> float:
    """Nodes above each other under a heading, their labels beside them; returns where they end."""
    if not nodes:
        return x
    run, axes, scale = canvas.run, canvas.axes, canvas.scale
    x += 0.35
    low, high = axes.get_ylim()
    axes.text(
        x,
        high,
        heading,
        va="top",
        fontsize=_LETTERS,
        style="italic",
        color=_GREY,
        path_effects=_HALO,
    )
    apart = 0.155 * scale
    high -= 2.5 * apart
    room = max(int((high - low) / apart), 1)
    # What something leads to comes first, so that its curve meets no other level.
    queue = sorted(
        nodes, key=lambda node: (isinstance(node, DC) and unconnected(run, node), node.energy)
    )
    end = x + _extent(heading)[0]
    for first in range(0, len(queue), room):
        column = sorted(queue[first : first + room], key=lambda node: node.energy)
        heights = [height(run, node) for node in column]
        besides = spread(heights, apart, low + apart, high)
        right = x + _LEVEL
        for node, y, beside in zip(column, heights, besides, strict=True):
            text, color = "  ".join(level_lines(run, node)), _color(node)
            canvas.level(node, x, right)
            axes.plot([right, right + 0.12], [y, beside], color=color, linewidth=0.5)
            axes.text(right + 0.15, beside, text, va="center", fontsize=_LETTERS, color=color)
            after = right + 0.15 + _extent(text)[0]
            canvas.taken.append(Box(right, beside - 0.5 * apart, after, beside + 0.5 * apart))
            end = max(end, after)
        x = end + 0.15
    return end


def _draw_barrierless(canvas: _Canvas, edges: Sequence[Barrierless], passed: Set[str]) -> None:
    """A dotted line between two levels: there is no top to draw."""
    network = canvas.run.network
    for edge in edges:
        first, second = sorted(edge.ends, key=canvas.levels.__getitem__)
        (left, right), (x2, _) = canvas.levels[first], canvas.levels[second]
        heights = [height(canvas.run, network.node(id)) for id in (first, second)]
        canvas.axes.plot(
            [right if right < x2 else left, x2],
            heights,
            color=_ORANGE if edge.id in passed else _GREY,
            linewidth=2.0 if edge.id in passed else 1.1,
            linestyle=(0, (1.0, 1.6)),
            zorder=2.5 if edge.id in passed else 1.5,
        )


def _draw_tss(canvas: _Canvas, tss: Sequence[TS], marked: Set[str], *, few: bool) -> None:
    """Hills between two levels and arches over one, labelled where there is room."""
    network = canvas.run.network
    records: list[EQ | DC | TS] = [*network.eqs.values(), *network.dcs.values(), *tss]
    heights = {record.id: height(canvas.run, record) for record in records}
    curves = hills({ts.id: ts.ends for ts in tss}, canvas.levels, heights, canvas.reach)
    flat = 0.02 * canvas.scale
    for id, (first, up, down, second) in curves.items():
        (xs1, ys1), (xs2, ys2) = _rise(first, up), _rise(down, second)
        canvas.axes.plot(
            np.concatenate([xs1, xs2]),
            np.concatenate([ys1, ys2]),
            color=_ORANGE if id in marked else _GREY,
            linewidth=2.0 if id in marked else 0.9,
            alpha=1.0 if id in marked else 0.7,
            zorder=2.5 if id in marked else 1.5,
        )
        if down[0] - up[0] < 0.1:
            x, y = 0.5 * (up[0] + down[0]), up[1]
            canvas.taken.append(Box(x - 0.05, y - flat, x + 0.05, y + flat))
    for id, (_, (left, y), (right, _), _) in curves.items():
        _label_ts(canvas, id, left, right, y, few=few, marked=id in marked)


def _label_ts(
    canvas: _Canvas, id: str, left: float, right: float, y: float, *, few: bool, marked: bool
) -> None:
    """A tick at the top of a hill, and the label above or beside it."""
    name = marked_id(canvas.run.network.tss[id])
    text, size = (f"{name} {y:.0f}", 7.5) if few else (name, 6.0)
    wide, high = _extent(text, size)
    middle, lift, high = 0.5 * (left + right), 0.03 * canvas.scale, high * canvas.scale
    steps = np.arange(0.0, 0.5 * (right - left) + 0.01, 0.15)
    beside = 0.5 * wide + 0.08
    spots = [
        *((middle + sign * float(step), y + lift) for step in steps for sign in (1, -1)),
        *((x, y - 0.5 * high) for x in (right + beside, left - beside)),
        *((middle, y + lift + lines * high) for lines in ((1, 2, 3) if few else ())),
    ]
    color = _ORANGE if marked else _GREY
    spot = canvas.label(text, spots, color if marked else _DARK, size, needed=marked)
    x = min(max(spots[spot][0], left), right)
    canvas.axes.plot(x, y, marker="_", markersize=8, markeredgewidth=1.6, color=color, zorder=3)


def _rise(first: Point, second: Point) -> _Curve:
    """A curve that leaves and arrives level, as energy profiles are drawn."""
    (x1, y1), (x2, y2) = first, second
    t = np.linspace(0.0, 1.0, 40)
    return x1 + t * (x2 - x1), y1 + t * t * (3.0 - 2.0 * t) * (y2 - y1)


def _color(node: EQ | DC) -> str:
    """Blue for EQs, light blue for complexes, red for channels."""
    if isinstance(node, DC):
        return _RED
    return _LIGHT if COMPLEX in node.flags else _BLUE


def _fitting(lines: Sequence[str], room: float) -> str:
    """The lines that are no wider than so many inches."""
    return "\n".join(line for line in lines if _extent(line)[0] <= room)


def _extent(text: str, size: float = _LETTERS) -> tuple[float, float]:
    """Width and height of a text in inches."""
    lines = text.split("\n")
    wide = max(float(TextPath((0, 0), line, size=size).vertices[:, 0].max()) for line in lines)
    return (1.03 * wide + 2.0) / 72, 1.25 * size * len(lines) / 72


def _canvas(run: Run, heights: Sequence[float], tall: float, below: float) -> _Canvas:
    """An empty drawing; ``tall`` inches for the heights and ``below`` for labels under them."""
    low = min(heights)
    high = max(*heights, low + 10.0)
    scale = (high - low) / tall
    figure = Figure(figsize=(1.0, tall + below + 0.3))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_ylim(low - below * scale, high + 0.3 * scale)
    return _Canvas(run, figure, axes, scale, low)


def _finish(canvas: _Canvas, wide: float, heading: str, note: str) -> None:
    """Title, energy axis, and nothing that distracts."""
    wide = max(wide, 2.5)
    axes, figure = canvas.axes, canvas.figure
    low, high = axes.get_ylim()
    tall, left, bottom = (high - low) / canvas.scale, 0.8, 0.15
    heading, note = fill(heading, int(wide / 0.09)), fill(note, int(wide / 0.065))
    over = tall + bottom + 0.08
    above = over + (0.15 * (note.count("\n") + 1) + 0.04 if note else 0.0)
    size = (left + wide + 0.15, above + 0.22 * (heading.count("\n") + 1))
    figure.set_size_inches(size)
    axes.set_position((left / size[0], bottom / size[1], wide / size[0], tall / size[1]))
    axes.set_xlim(0.0, wide)
    x = 0.15 / size[0]
    figure.text(x, over / size[1], note, fontsize=_LETTERS, color=_GREY, va="bottom")
    figure.text(x, above / size[1], heading, fontsize=11, va="bottom")
    axes.set_ylabel(f"energy relative to {canvas.run.network.lowest.id} / kJ mol⁻¹")
    axes.set_xticks([])
    axes.set_yticks([y for y in axes.get_yticks() if canvas.lowest - 1e-6 <= y <= high])
    axes.spines["left"].set_bounds(canvas.lowest, high)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.grid(axis="y", color="#ececec", linewidth=0.7)
    axes.set_axisbelow(True)
