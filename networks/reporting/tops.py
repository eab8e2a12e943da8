"""The hills of transition states in a drawing, and their labels.

A label stands close to the mark of its own transition state, and every other mark and line is
farther from it: a number beside the wrong line is worse than none. Where there is no such place, a
thin line leads from the mark to a label farther away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from networks.reporting.canvas import GREY, OVER, Canvas, extent
from networks.reporting.diagram_layout import Box, Point

# All chosen by eye.
_DARK, _ORANGE = "#444444", "#d9730d"
_NEAR = 0.03  # inches between a mark and a label above or below it
_BESIDE = 0.08  # inches between the middle of a mark and a label beside it
_APART = 0.04  # inches that other marks and lines must be farther from a label than its own mark
_UNDER = 0.05  # inches without a line below a label that would seem to stand on it
_LEVEL = 0.03  # inches that a label beside a mark must be nearer to its height than to another
_TOUCHING = 0.02  # inches: marks as close as this cannot be told apart anyway
_SHORT = 0.1  # inches: on a top as short as this the mark does not move
_STEP = 0.15  # inches between two places of a mark
_MOST_PLACES = 40  # of a mark on its top
_SHIFTS = (-0.5, -0.25, -0.75, -0.08, -0.92)  # of a label from its mark, in its width
_FAR = 1.3  # inches that a label may be away from its mark, with a line between them
_CLOSE = 0.1  # inches that such a label is away from its own mark and all others
_CROSSED = 0.2  # inches that such a line may be longer for a curve less that it crosses
_MOST_LED = 40  # transition states in a drawing with such lines: among more nobody follows them
_GRID = 0.05  # inches between two places for such a label
_TRIED = 200  # places, the nearest, whose lines are followed
_POINTS = 40  # of a rising curve
_BOX = 3  # points for a box of a curve

_Boxes: TypeAlias = "NDArray[np.float64]"
"""(n, 4) left, bottom, right and top, in inches."""
_Flags: TypeAlias = "NDArray[np.bool_]"


@dataclass
class Hill:
    """The curve of a transition state.

    Attributes
    ----------
    id
        The transition state.
    up, down
        Both ends of its flat top.
    marked
        Whether a marked route passes over it.
    curve
        Boxes of the curve, the top last.
    """

    id: str
    up: Point
    down: Point
    marked: bool
    curve: list[Box] = field(default_factory=list)

    @property
    def short(self) -> bool:
        """Whether the top is too short to move its mark."""
        return self.down[0] - self.up[0] < _SHORT

    @property
    def middle(self) -> float:
        """The middle of the top."""
        return 0.5 * (self.up[0] + self.down[0])


class _Spot(NamedTuple):
    """A place for a label: its lower left corner and the middle of its mark, in inches."""

    left: float
    bottom: float
    mark: float
    side: int  # 1 above its mark, 0 beside it, -1 below it


class _Aside(NamedTuple):
    """A place for a label at the end of a line, in inches: its lower left corner, and that end."""

    left: float
    bottom: float
    end: tuple[float, float]


class _Tried(NamedTuple):
    """Places for one label, and the boxes of the label and its mark at each."""

    spots: list[_Spot]
    labels: _Boxes
    marks: _Boxes
    sides: NDArray[np.intp]


def draw_hills(
    drawn: Canvas,
    curves: Mapping[str, tuple[Point, Point, Point, Point]],
    marked: Set[str],
) -> list[Hill]:
    """Draw the curves of transition states, see `networks.reporting.diagram_layout.hills`; no
    marks, no labels.

    Parameters
    ----------
    drawn
        Where to draw; the boxes of the curves are noted there.
    curves
        Start, both ends of the top, and end of every curve.
    marked
        Ids of those that a marked route passes.
    """
    found = []
    for id, (first, up, down, second) in curves.items():
        (xs1, ys1), (xs2, ys2) = _rise(first, up), _rise(down, second)
        xs, ys = np.concatenate([xs1, xs2]), np.concatenate([ys1, ys2])
        hill = Hill(id, up, down, id in marked)
        drawn.axes.plot(
            xs,
            ys,
            color=_ORANGE if hill.marked else GREY,
            linewidth=2.0 if hill.marked else 0.9,
            alpha=1.0 if hill.marked else 0.7,
            zorder=OVER if hill.marked else 1.5,
        )
        for x, y in ((xs1, ys1), (xs2, ys2)):
            points = [*zip(x[::_BOX].tolist(), y[::_BOX].tolist(), strict=True)]
            hill.curve += [_around(a, b, drawn.scale) for a, b in pairwise(points)]
        hill.curve.append(_around(up, down, drawn.scale))
        if hill.short:
            drawn.taken.append(drawn.mark(hill.middle, up[1]))
        else:
            drawn.lines.append(hill.curve[-1])
        found.append(hill)
    return found


def label_hills(
    drawn: Canvas,
    hills: Sequence[Hill],
    labels: Mapping[str, str],
    size: float,
    *,
    needed: bool = False,
) -> list[str]:
    """Draw a mark on every hill, and its label where there is a place that is clearly its own.

    Parameters
    ----------
    drawn
        Where to draw; levels and their labels must be there already.
    hills
        All hills of the drawing.
    labels
        The label of each, by id.
    size
        Font size in points.
    needed
        Whether a label without such a place is written all the same, in the best place there is.

    Returns
    -------
    list of str
        Ids of the transition states without a label.
    """
    places = _Places(drawn, hills)
    sizes = {id: extent(text, size) for id, text in labels.items()}
    choice = {hill.id: places.choice(hill, *sizes[hill.id]) for hill in hills}
    silent: dict[str, float] = {}
    # Those of a marked route come first, then those with the smallest choice.
    for hill in sorted(hills, key=lambda hill: (not hill.marked, choice[hill.id])):
        wide, high = sizes[hill.id]
        color = _ORANGE if hill.marked else GREY
        spot = places.take(hill, wide, high, needed=needed)
        if spot is not None:
            _write(drawn, hill, labels[hill.id], (spot.left + 0.5 * wide, spot.bottom), size)
        x = places.mark(hill) if spot is None else spot.mark
        if spot is None:
            silent[hill.id] = x
        drawn.axes.plot(
            x, hill.up[1], marker="_", markersize=8, markeredgewidth=1.6, color=color, zorder=4
        )
    for hill in hills if len(hills) <= _MOST_LED else ():
        if hill.id not in silent:
            continue
        aside = places.aside(hill, silent[hill.id], *sizes[hill.id])
        if aside is not None:
            ends = [silent.pop(hill.id), aside.end[0]], [hill.up[1], aside.end[1] * drawn.scale]
            drawn.axes.plot(*ends, color=_DARK, linewidth=0.5, zorder=2, label="to its label")
            middle = aside.left + 0.5 * sizes[hill.id][0]
            _write(drawn, hill, labels[hill.id], (middle, aside.bottom), size)
    return list(silent)


def _write(drawn: Canvas, hill: Hill, text: str, place: tuple[float, float], size: float) -> None:
    """Write a label; `place` is the middle of its lower edge in inches."""
    drawn.write(
        place[0],
        place[1] * drawn.scale,
        text,
        ha="center",
        va="bottom",
        fontsize=size,
        color=_ORANGE if hill.marked else _DARK,
    )


def _rise(first: Point, second: Point) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A curve that is horizontal at both ends, as in energy profiles."""
    (x1, y1), (x2, y2) = first, second
    t = np.linspace(0.0, 1.0, _POINTS)
    return x1 + t * (x2 - x1), y1 + t * t * (3.0 - 2.0 * t) * (y2 - y1)


def _around(first: Point, second: Point, scale: float) -> Box:
    """The box of a piece of a line."""
    (left, right), (low, high) = sorted((first[0], second[0])), sorted((first[1], second[1]))
    return Box(left - 0.005, low - 0.005 * scale, right + 0.005, high + 0.005 * scale)


def _along(hill: Hill) -> list[float]:
    """Places of the mark of a hill, the best first."""
    half = 0.5 * (hill.down[0] - hill.up[0])
    if hill.short:
        return [hill.middle]
    step = max(_STEP, 2.0 * half / _MOST_PLACES)
    steps = np.arange(step, half + 0.01, step)
    return [hill.middle, *(hill.middle + sign * float(x) for x in steps for sign in (1, -1))]


def _spots(hill: Hill, y: float, wide: float, high: float) -> list[_Spot]:
    """Places for a label of this size: above its mark, beside it, below it; y in inches."""
    along = _along(hill)
    right, left = (hill.middle, hill.middle) if hill.short else (hill.down[0], hill.up[0])
    return [
        *(_Spot(x + s * wide, y + _NEAR, x, 1) for s in _SHIFTS for x in along),
        *(
            _Spot(corner, y + lift - 0.5 * high, x, 0)
            for lift in (0.0, -0.05, 0.05)
            for x, corner in ((right, right + _BESIDE), (left, left - _BESIDE - wide))
        ),
        *(_Spot(x + s * wide, y - _NEAR - high, x, -1) for s in _SHIFTS for x in along),
    ]


class _Places:
    """The places for labels that are left in a drawing; all lengths in inches."""

    def __init__(self, drawn: Canvas, hills: Sequence[Hill]) -> None:
        self._drawn = drawn
        self._taken = self._boxes(drawn.taken)
        self._soft = self._boxes(drawn.lines)
        curves = [(box, hill.id) for hill in hills for box in hill.curve]
        self._curves = self._boxes([box for box, _ in curves])
        self._owners = np.array([id for _, id in curves])
        # What a label could be taken to belong to: tops and marks, with the hill of each.
        self._rivals = self._boxes([hill.curve[-1] for hill in hills])
        self._rival_ids = [hill.id for hill in hills]
        for hill in hills:
            if hill.short:
                self._add_mark(hill.id, self._mark(hill, hill.middle))
        self._zones = np.empty((0, 4))  # around labels: no mark of another hill may stand there

    def choice(self, hill: Hill, wide: float, high: float) -> int:
        """The number of places for a label of this size."""
        return int(self._free(hill, self._tried(hill, wide, high)).sum())

    def take(self, hill: Hill, wide: float, high: float, *, needed: bool) -> _Spot | None:
        """Take the best place for a label of this size; None if there is none."""
        tried = self._tried(hill, wide, high)
        free = self._free(hill, tried)
        clear = free & ~_meet(tried.labels, self._soft)
        clear &= ~_meet(tried.labels, self._curves[self._owners == hill.id])
        if not hill.short:
            clear &= ~_meet(tried.marks, self._taken)
        choices = [clear, free]
        if needed:
            bare = ~_meet(tried.labels, self._taken)
            choices += [bare, np.ones_like(bare)]
        for choice in choices:
            if choice.any():
                best = int(np.argmax(choice))
                self._note(hill, tried, best)
                return tried.spots[best]
        return None

    def aside(self, hill: Hill, x: float, wide: float, high: float) -> _Aside | None:
        """Take a place for a label of this size that a line leads to from the mark at x."""
        mark = np.array([x, self._height(hill)])
        steps = np.arange(-_FAR, _FAR, _GRID)
        away = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        corners = mark + away - np.array([0.5 * wide, 0.5 * high])
        boxes = np.hstack([corners, corners + np.array([wide, high])])
        boxes = boxes[self._roomy(hill, boxes)]
        ends = np.clip(mark, boxes[:, :2], boxes[:, 2:])
        lengths = np.hypot(*(ends - mark).T)
        nearest = np.argsort(lengths, kind="stable")[:_TRIED]
        nearest = nearest[(lengths[nearest] > _CLOSE) & (lengths[nearest] < _FAR)]
        own = (self._taken == self._mark(hill, x)).all(axis=1)
        best, least = None, np.inf
        for at in nearest:
            line = mark + np.linspace(0.0, 1.0, _POINTS)[:, None] * (ends[at] - mark)
            line = np.hstack([line - 0.005, line + 0.005])
            if _meet(line, self._taken[~own]).any():
                continue
            crossed = set(self._owners[_meet(self._curves, line)]) - {hill.id}
            if lengths[at] + _CROSSED * len(crossed) < least:
                best, least = (at, line), lengths[at] + _CROSSED * len(crossed)
        if best is None:
            return None
        at, line = best
        self._taken = np.vstack([self._taken, boxes[at], line])
        (left, bottom), (x_end, y_end) = boxes[at, :2].tolist(), ends[at].tolist()
        return _Aside(left, bottom, (x_end, y_end))

    def _roomy(self, hill: Hill, boxes: _Boxes) -> _Flags:
        """Whether labels are within the drawing, with no line behind them and no mark near them."""
        low, high = (y / self._drawn.scale for y in self._drawn.axes.get_ylim())
        inside = (boxes[:, 0] >= 0.0) & (boxes[:, 2] <= self._curves[:, 2].max())
        inside &= (boxes[:, 1] >= low) & (boxes[:, 3] <= high)
        others = np.array([id != hill.id for id in self._rival_ids])
        near = (_gaps(boxes, self._rivals[others]) < _CLOSE).any(axis=1)
        lines = np.vstack([self._taken, self._curves, self._soft])
        return np.asarray(inside & ~near & ~_meet(boxes, lines))

    def mark(self, hill: Hill) -> float:
        """Take a place for the mark of a hill without a label; returns its middle."""
        places = _along(hill)
        marks = np.vstack([self._mark(hill, x) for x in places])
        best = int(np.argmax(self._apart(hill, marks)))
        if not hill.short:
            self._add_mark(hill.id, marks[best])
        return places[best]

    def _tried(self, hill: Hill, wide: float, high: float) -> _Tried:
        """All places of a label of this size."""
        spots = _spots(hill, self._height(hill), wide, high)
        return _Tried(
            spots,
            np.array([(x, y, x + wide, y + high) for x, y, _, _ in spots]),
            np.vstack([self._mark(hill, spot.mark) for spot in spots]),
            np.array([spot.side for spot in spots]),
        )

    def _free(self, hill: Hill, tried: _Tried) -> _Flags:
        """Whether a label has room, interrupts no other curve and can only be of this hill."""
        free = ~_meet(tried.labels, self._taken)
        free &= ~_meet(tried.labels, self._curves[self._owners != hill.id])
        free &= tried.labels[:, 0] >= 0.0  # the axis is there
        return np.asarray(free & self._own(hill, tried) & self._apart(hill, tried.marks))

    def _own(self, hill: Hill, tried: _Tried) -> _Flags:
        """Whether each label is clearly nearer to its own mark than to all that is not its own."""
        _, labels, marks, sides = tried
        others = np.array([id != hill.id for id in self._rival_ids])
        rivals = self._rivals[others]
        zones = np.where(sides[:, None] == 1, labels, labels - [0.0, _UNDER, 0.0, 0.0])
        near = _gaps(zones, rivals) < np.diag(_gaps(labels, marks))[:, None] + _APART
        over = _overlap(marks, rivals, 0)
        beyond = (rivals[:, 3] - marks[:, 3:]) * sides[:, None] < 0.0  # its own mark is between
        hidden = over & beyond & (sides[:, None] != 0)
        # Of marks above each other a label beside them belongs to the one at its height.
        y = self._height(hill)
        middle = 0.5 * (labels[:, 1] + labels[:, 3])[:, None]
        away = np.abs(0.5 * (rivals[:, 1] + rivals[:, 3]) - middle) - np.abs(y - middle)
        stacked = over & ~_overlap(labels, rivals, 0) & (sides[:, None] == 0)
        near = np.where(stacked, away < _LEVEL, near & ~hidden)
        return np.asarray(~(near & (_gaps(marks, rivals) > _TOUCHING)).any(axis=1))

    def _apart(self, hill: Hill, marks: _Boxes) -> _Flags:
        """Whether each mark is outside the zones of labels of other hills, if it can move."""
        if hill.short:  # was there before the labels
            return np.ones(len(marks), dtype=np.bool_)
        return ~_meet(marks, self._zones)

    def _note(self, hill: Hill, tried: _Tried, best: int) -> None:
        """Note what has been placed."""
        label, mark, side = tried.labels[best], tried.marks[best], tried.sides[best]
        self._taken = np.vstack([self._taken, label])
        reach = float(_gaps(label[None], mark[None])[0, 0]) + _APART
        under = reach + (_UNDER if side != 1 else 0.0)
        grown = np.array([-reach, -under, reach, reach])
        self._zones = np.vstack([self._zones, label + grown])
        if not hill.short:
            self._add_mark(hill.id, mark)

    def _add_mark(self, id: str, mark: _Boxes) -> None:
        self._rivals = np.vstack([self._rivals, mark])
        self._rival_ids.append(id)
        self._taken = np.vstack([self._taken, mark])

    def _mark(self, hill: Hill, x: float) -> _Boxes:
        return np.asarray(self._boxes([self._drawn.mark(x, hill.up[1])])[0])

    def _height(self, hill: Hill) -> float:
        return hill.up[1] / self._drawn.scale

    def _boxes(self, boxes: Iterable[Box]) -> _Boxes:
        found = np.array([(box.left, box.bottom, box.right, box.top) for box in boxes])
        scale = self._drawn.scale
        return np.asarray(found.reshape(-1, 4) / np.array([1.0, scale, 1.0, scale]))


def _between(boxes: _Boxes, others: _Boxes, axis: int) -> NDArray[np.float64]:
    """(n, m) distances along an axis; negative where two overlap."""
    return np.maximum(
        others[None, :, axis] - boxes[:, None, axis + 2],
        boxes[:, None, axis] - others[None, :, axis + 2],
    )


def _overlap(boxes: _Boxes, others: _Boxes, axis: int) -> _Flags:
    return _between(boxes, others, axis) < 0.0


def _meet(boxes: _Boxes, others: _Boxes) -> _Flags:
    """(n,) whether a box overlaps one of the others."""
    both = _overlap(boxes, others, 0) & _overlap(boxes, others, 1)
    return np.asarray(both.any(axis=1))


def _gaps(boxes: _Boxes, others: _Boxes) -> NDArray[np.float64]:
    """(n, m) distances between boxes."""
    across, along = (np.maximum(_between(boxes, others, axis), 0.0) for axis in (0, 1))
    return np.hypot(across, along)
