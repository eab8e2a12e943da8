"""Drawings: the whole network as an energy diagram, and one route as a profile."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.figure import Figure

from afir.errors import InputError
from networks.graph.flags import LOOP, MEANINGS, NO_STEP, flags_of, told
from networks.graph.network import origin_alone
from networks.graph.routes import Route
from networks.records.structures import COMPLEX, DC, EQ, TS, Barrierless
from networks.reporting.canvas import (
    BESIDE,
    GREY,
    LETTERS,
    OVER,
    Canvas,
    Spot,
    canvas,
    extent,
    fitting,
)
from networks.reporting.captions import (
    MARKS,
    height,
    known_so_far,
    left_out,
    level_lines,
    list_label,
    marked_id,
    title,
    top_label,
    unconnected,
)
from networks.reporting.diagram_layout import (
    Box,
    arrangement,
    connected,
    hills,
    lowest_links,
    spread,
)
from networks.reporting.run import Run
from networks.reporting.tops import Hill, draw_hills, label_hills

MOST_DRAWN = 500
"""Maximum number of structures and transition states in a drawing: with more, most labels find no
room. A thousand take minutes, and ten thousand gigabytes of memory."""

# All chosen by eye.
_BLUE, _LIGHT, _RED, _ORANGE = "#1f4e79", "#3d8bc4", "#b03a3a", "#d9730d"
_DARK = "#444444"
_CROWDED = 40  # with more transition states only the lowest of each pair is drawn
_FEW = 16  # with more structures in the row their labels are turned
_WIDEST = 15.0  # inches the row may take
_UPRIGHT = 0.6  # inches a column must have for labels that are not turned
_WIDER = (1.3, 1.7, 2.2)  # times as wide a row is tried in turn, where labels have no room
_APART = 0.4  # columns between unconnected parts
_NARROWEST = 0.13  # inches a column must have at least
_SMALL = 7.0  # points
_TALL = 0.3  # height for a given width, if that is more than usual
_LEVEL = 0.33  # inches a level beside its text is long


@dataclass
class _Diagram:
    """A drawing of a run.

    ``zero`` is the zero of energies, ``reach`` the inches in which a hill rises, ``column`` the
    inches for each structure of the row, ``few`` whether there is room for labels that are not
    turned.
    """

    run: Run
    canvas: Canvas
    zero: EQ | DC
    reach: float = 0.4
    column: float = 1.0
    few: bool = True

    def height(self, record: EQ | DC | TS) -> float:
        """kJ/mol relative to the zero."""
        return height(record, self.zero)

    def lines(self, node: EQ | DC) -> list[str]:
        """The label of a level."""
        return level_lines(self.run, node, self.zero)

    def level(self, node: EQ | DC, left: float, right: float) -> None:
        """Draw the level of a node."""
        style = {"linestyles": (0, (1.6, 0.7))} if isinstance(node, DC) else {}
        self.canvas.level(node.id, self.height(node), (left, right), _color(node), **style)

    @property
    def axis(self) -> str:
        """The label of the energy axis."""
        return f"energy relative to {self.zero.id} / kJ mol⁻¹"


def network_figure(
    run: Run, route: Route | None = None, width: float | None = None, *, loops: bool = False
) -> Figure:
    """The network as an energy diagram.

    From left to right: connected structures, linked ones side by side; dissociation channels,
    dashed; structures without a connection. A transition state is a hill between two levels, or an
    arch over one for a loop. A dotted line joins a complex and the channel of its molecules. Of
    more than 40 transition states only the lowest between two structures is drawn, and labels
    without room are left out; a line below the title says so.

    Parameters
    ----------
    run
        The run.
    route
        A route to mark.
    width
        Inches; None for as many as needed. A large width makes the drawing taller, too.
    loops
        Whether to draw loops in which no bond changes; without, they are left out as in tables.

    Raises
    ------
    InputError
        If the network holds no structure yet, too many to draw, or too many for the width.
    """
    tss = _drawn(run, set(route.steps) if route is not None else set(), loops=loops)
    drawn = _network(run, route, tss, _WIDEST, None)
    if width is not None:
        wide = float(drawn.figure.get_size_inches()[0])
        return _network(run, route, tss, drawn.row + width - wide, width).figure
    narrow = drawn.row
    for room in (factor * narrow for factor in _WIDER):
        if not (drawn.silent and drawn.few and room < _WIDEST):
            break
        wider = _network(run, route, tss, room, None, fill=True)
        if len(wider.silent) >= len(drawn.silent):
            break
        drawn = wider
    return drawn.figure


class _Drawn(NamedTuple):
    """A drawing, the inches that its row of structures takes, and what has no label in it.

    `few`: whether labels are not turned.
    """

    figure: Figure
    row: float
    silent: list[str]
    few: bool


def _network(
    run: Run,
    route: Route | None,
    tss: Sequence[TS],
    room: float,
    width: float | None,
    *,
    fill: bool = False,
) -> _Drawn:
    """The drawing with `room` inches for the row of structures; they are used up to `fill` it."""
    network = run.network
    if not network.eqs:
        raise InputError("there is nothing to draw: the run has found no structure yet")
    passed = set(route.steps) if route is not None else set()
    linked = connected(network) or [network.lowest.id]
    drawn: list[EQ | DC | TS] = [*network.eqs.values(), *network.dcs.values(), *tss]
    if len(drawn) > MOST_DRAWN:
        raise InputError(
            f"a drawing must be of {MOST_DRAWN} structures and transition states at most, got "
            f"{len(drawn)}; draw one route (--from and --to), explore with a lower --window, or "
            "export the network to a program for large graphs (afir export)"
        )
    few = room / len(linked) >= _UPRIGHT and (len(linked) <= _FEW or width is not None)
    tall = max(4.0 if len(drawn) <= 30 else 5.5, _TALL * (width or 0.0))
    lowest = network.lowest
    heights = [height(record, lowest) for record in drawn]
    diagram = _Diagram(run, canvas(heights, tall, 0.6 if few else 0.75), lowest, few=few)
    row = x = _place_row(diagram, linked, room, fill=fill or width is not None)
    for heading, nodes in (
        ("dissociation channels", [*network.dcs.values()]),
        ("not connected", [network.eqs[id] for id in network.eqs if id not in set(linked)]),
    ):
        x = _draw_list(diagram, nodes, heading, x)
    barrierless = list(network.barrierless.values())
    _draw_barrierless(diagram, barrierless, passed)
    curves = _draw_tss(diagram, tss, passed)
    silent = [*_label_row(diagram, linked), *_label_tss(diagram, curves)]

    notes = [known_so_far(run)] if route is not None else []
    notes += _legend(tss, barrierless)
    if len(tss) < len(network.tss):
        notes.append(_not_drawn(run, tss))
    notes += left_out(silent, _unnamed(diagram, linked, silent), energies=bool(tss) and not few)
    if any(COMPLEX in eq.flags for eq in network.eqs.values()):
        notes.append("light blue: complexes of several molecules")
    if any(origin_alone(network, dc) for dc in network.dcs.values()):
        notes.append(f"from: the channel was first reached from this EQ, {NO_STEP} between the two")
    diagram.canvas.finish(x, title(run), "; ".join(notes), diagram.axis, width)
    return _Drawn(diagram.canvas.figure, row, silent, few)


def profile_figure(run: Run, route: Route, width: float | None = None) -> Figure:
    """The energy along one route, from level to level over its transition states.

    Energies are relative to the first structure of the route.

    Parameters
    ----------
    run
        The run.
    route
        The route.
    width
        Inches; None for as many as needed.

    Raises
    ------
    InputError
        If the route is too long for the width.
    """
    network = run.network
    nodes = [network.node(id) for id in route.nodes]
    tss = [network.tss[id] for id in route.tss]
    zero = nodes[0]
    drawn = canvas([height(record, zero) for record in (*nodes, *tss)], 3.4, 0.6)
    diagram = _Diagram(run, drawn, zero)
    room = _WIDEST if width is None else width - BESIDE
    texts = [fitting(diagram.lines(node), room / len(nodes) - 0.1) for node in nodes]
    widest = max(extent(text)[0] for text in texts)
    column = max(0.8, widest + 0.1, min(1.4, room / len(nodes)))
    if width is not None:
        column = max(0.75, room / len(nodes))
    for index, node in enumerate(nodes):
        x = (index + 0.5) * column
        diagram.level(node, x - 0.18 * column, x + 0.18 * column)
    diagram.reach = 0.26 * column
    barrierless = [network.barrierless[id] for id in route.steps if id not in network.tss]
    _draw_barrierless(diagram, barrierless, set(route.steps))
    curves = _draw_tss(diagram, tss, set(route.steps))
    for node, text in zip(nodes, texts, strict=True):
        _label_level(diagram, node, text, needed=True)
    _label_tss(diagram, curves, needed=True)
    # If energies are equal the transition state counts as the highest point.
    highest = max([*tss, *nodes], key=lambda record: record.energy)
    above = diagram.height(highest)
    notes = [
        known_so_far(run),
        f"highest point {highest.id}, {above:.1f} kJ/mol above {zero.id}",
        *_legend(tss, barrierless),
        *left_out([], [node.id for node, text in zip(nodes, texts, strict=True) if _bare(text)]),
    ]
    heading = f"{title(run)}: {zero.id} → {nodes[-1].id}"
    drawn.finish(len(nodes) * column, heading, "; ".join(notes), diagram.axis, width)
    return drawn.figure


def _legend(tss: Sequence[TS], barrierless: Sequence[Barrierless]) -> list[str]:
    """The meaning of the lines and marks in the drawing."""
    flags = {flag for ts in tss for flag in flags_of(ts)}
    found = ["dotted: barrierless dissociation of a complex"] if barrierless else []
    if LOOP in flags:
        found.append("arch: a loop, back to the same structure")
    return found + [f"{MARKS[flag]}: {text}" for flag, text in MEANINGS.items() if flag in flags]


def _drawn(run: Run, marked: Set[str], *, loops: bool) -> list[TS]:
    """The transition states to draw: those of the tables, and the lowest of each pair if many."""
    shown = told(run.molecule, run.network.tss.values(), loops=loops)
    every = sorted(shown, key=lambda ts: (ts.id not in marked, ts.energy))
    if len(every) <= _CROWDED:
        return every
    lowest: dict[frozenset[str], TS] = {}
    for ts in every:
        if loops or ts.ends[0] != ts.ends[1]:
            lowest.setdefault(frozenset(ts.ends), ts)
    return list(lowest.values())


def _not_drawn(run: Run, drawn: Sequence[TS]) -> str:
    """The note on transition states that are not drawn."""
    tss = run.network.tss
    count = len(tss) - len(drawn)
    if {ts.id for ts in drawn} == {ts.id for ts in told(run.molecule, tss.values())}:
        loops, them = ("loop", "it") if count == 1 else ("loops", "them")
        return f"not drawn: {count} {loops} in which no bond changes (--loops draws {them})"
    return f"only the lowest transition state between two structures is drawn, {count} are left out"


def _place_row(diagram: _Diagram, ids: Sequence[str], room: float, *, fill: bool) -> float:
    """Draw the levels of the connected structures; returns the x where they end.

    With `fill` they take all the room.
    """
    network = diagram.run.network
    rows = arrangement(ids, lowest_links(network))
    each = diagram.column = room / (len(ids) + _APART * (len(rows) - 1))
    if diagram.few:
        texts = _row_texts(diagram, ids)
        widest = max(extent(text)[0] for text in texts.values())
        wanted = each if fill else min(1.5, max(0.95, 3.5 / len(ids)))
        column = max(wanted, widest + 0.1)
    else:
        wanted = each if fill else min(each, max(0.24, 0.5 * each))
        column = max(wanted, _NARROWEST)
    half = 0.28 * column
    diagram.reach = column - 2 * half
    x = 0.5 * column
    for row in rows:
        for id in row:
            diagram.level(network.eqs[id], x - half, x + half)
            x += column
        x += _APART * column
    return x - (0.5 + _APART) * column


def _row_texts(diagram: _Diagram, ids: Sequence[str]) -> dict[str, str]:
    """The labels of the levels of a row."""
    lines = {id: diagram.lines(diagram.run.network.eqs[id]) for id in ids}
    if diagram.few:
        return {id: fitting(text, diagram.column - 0.1) for id, text in lines.items()}
    # Turned: one line, without the molecules.
    return {id: f"{text[0]}  {text[-1]}" for id, text in lines.items()}


def _unnamed(diagram: _Diagram, ids: Sequence[str], silent: Sequence[str]) -> list[str]:
    """The structures of a row whose label is without the molecules."""
    texts = _row_texts(diagram, ids)
    return [id for id, text in texts.items() if _bare(text) and id not in silent]


def _bare(text: str) -> bool:
    """Whether the label of a level is without the molecules."""
    return text.count("\n") < 2


def _label_row(diagram: _Diagram, ids: Sequence[str]) -> list[str]:
    """Write the labels of a row, the lowest first; returns the ids without a label."""
    eqs = diagram.run.network.eqs
    texts = sorted(_row_texts(diagram, ids).items(), key=lambda item: eqs[item[0]].energy)
    return [id for id, text in texts if not _label_level(diagram, eqs[id], text)]


def _label_level(diagram: _Diagram, node: EQ | DC, text: str, *, needed: bool = False) -> bool:
    """Write the label below a level, or above it if lines run below; returns whether it fits."""
    left, right = diagram.canvas.levels[node.id]
    x, y, gap = 0.5 * (left + right), diagram.height(node), 0.05 * diagram.canvas.scale
    return diagram.canvas.label(
        text,
        [Spot(x, y - gap, hangs=True), Spot(x, y + gap)],
        _color(node),
        LETTERS if diagram.few else _SMALL,
        turned=not diagram.few,
        needed=needed,
    )


def _draw_list(diagram: _Diagram, nodes: Sequence[EQ | DC], heading: str, x: float) -> float:
    """Draw a list of nodes under a heading, labels beside them; returns the x where it ends."""
    if not nodes:
        return x
    run, drawn = diagram.run, diagram.canvas
    axes, scale = drawn.axes, drawn.scale
    x += 0.35
    low, high = axes.get_ylim()
    drawn.write(x, high, heading, va="top", fontsize=LETTERS, style="italic", color=GREY)
    apart = 0.155 * scale
    drawn.taken.append(Box(x, high - apart, x + extent(heading)[0], high))
    high -= 2.5 * apart
    room = max(int((high - low) / apart), 1)
    # Connected nodes come first, so that their curves cross no other level.
    queue = sorted(
        nodes, key=lambda node: (isinstance(node, DC) and unconnected(run, node), node.energy)
    )
    end = x + extent(heading)[0]
    for first in range(0, len(queue), room):
        column = sorted(queue[first : first + room], key=lambda node: node.energy)
        heights = [diagram.height(node) for node in column]
        besides = spread(heights, apart, low + apart, high)
        right = x + _LEVEL
        for node, y, beside in zip(column, heights, besides, strict=True):
            text, color = list_label(run, node, diagram.zero), _color(node)
            diagram.level(node, x, right)
            axes.plot([right, right + 0.12], [y, beside], color=color, linewidth=0.5)
            drawn.write(right + 0.15, beside, text, va="center", fontsize=LETTERS, color=color)
            after = right + 0.15 + extent(text)[0]
            drawn.taken.append(Box(right, beside - 0.5 * apart, after, beside + 0.5 * apart))
            end = max(end, after)
        x = end + 0.15
    return end


def _draw_barrierless(diagram: _Diagram, edges: Sequence[Barrierless], passed: Set[str]) -> None:
    """Draw barrierless edges as dotted lines between two levels."""
    network, levels = diagram.run.network, diagram.canvas.levels
    for edge in edges:
        first, second = sorted(edge.ends, key=levels.__getitem__)
        (left, right), (x2, _) = levels[first], levels[second]
        heights = [diagram.height(network.node(id)) for id in (first, second)]
        x1 = right if right < x2 else left
        diagram.canvas.line((x1, heights[0]), (x2, heights[1]))
        diagram.canvas.axes.plot(
            [x1, x2],
            heights,
            color=_ORANGE if edge.id in passed else GREY,
            linewidth=2.0 if edge.id in passed else 1.1,
            linestyle=(0, (1.0, 1.6)),
            zorder=OVER if edge.id in passed else 1.5,
        )


def _draw_tss(diagram: _Diagram, tss: Sequence[TS], marked: Set[str]) -> list[Hill]:
    """Draw hills between two levels and arches over one."""
    network, drawn = diagram.run.network, diagram.canvas
    records: list[EQ | DC | TS] = [*network.eqs.values(), *network.dcs.values(), *tss]
    heights: dict[str, float] = {record.id: diagram.height(record) for record in records}
    curves = hills({ts.id: ts.ends for ts in tss}, drawn.levels, heights, diagram.reach)
    return draw_hills(drawn, curves, marked)


def _label_tss(diagram: _Diagram, found: Sequence[Hill], *, needed: bool = False) -> list[str]:
    """Draw the marks and labels of hills; returns the ids without a label."""
    tss = [diagram.run.network.tss[hill.id] for hill in found]
    labels: dict[str, str] = {
        ts.id: top_label(ts, diagram.zero) if diagram.few else marked_id(ts) for ts in tss
    }
    size = 7.5 if diagram.few else 6.0
    return label_hills(diagram.canvas, found, labels, size, needed=needed)


def _color(node: EQ | DC) -> str:
    """Blue for EQs, light blue for complexes, red for channels."""
    if isinstance(node, DC):
        return _RED
    return _LIGHT if COMPLEX in node.flags else _BLUE
