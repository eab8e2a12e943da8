"""Labels in drawings of networks: apart, at their own marks, or left out and named."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from drawn_network import dc, drawn_run, eq, exchanging, ts
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from pictures import curved, dotted, labels_of, note_of, overlaps, random_run

from afir.molecule import Molecule
from afir.units import KJ_PER_MOL
from networks.graph.flags import plain_loop
from networks.graph.routes import lowest_route
from networks.reporting.energy_diagram import network_figure, profile_figure
from networks.reporting.run import Run


@pytest.mark.parametrize(("n_eq", "n_ts"), [(1, 0), (2, 1), (5, 8), (20, 30), (100, 160)])
def test_no_labels_overlap(n_eq: int, n_ts: int) -> None:
    figure = network_figure(random_run(n_eq, n_ts))
    assert not overlaps(figure)
    assert sum(text.get_text().startswith("EQ") for text in labels_of(figure)) == n_eq


def test_no_labels_of_channels_and_loose_structures_overlap() -> None:
    found = [eq(0, 0.0), *(eq(i, 100.0 + 0.1 * i) for i in range(1, 20))]
    channels = [dc(i, 300.0 - 0.1 * i, "EQ0") for i in range(30)]
    figure = network_figure(drawn_run(found=[*found, *channels]))
    assert len(labels_of(figure)) == 50
    assert not overlaps(figure)


def _crowded() -> Run:
    """C3H4 on GFN2: hills that cross, and run close above each other."""
    tss = [
        *((280, "EQ0", "EQ1"), (343, "EQ0", "EQ2"), (249, "EQ3", "EQ3"), (253, "EQ1", "EQ4")),
        *((310, "EQ0", "EQ0"), (293, "EQ3", "EQ0"), (337, "EQ4", "EQ0"), (252, "EQ1", "EQ1")),
        *((338, "EQ3", "EQ2"), (355, "EQ0", "EQ0"), (387, "EQ1", "EQ2"), (425, "EQ1", "EQ5")),
        *((411, "EQ5", "EQ5"), (324, "EQ4", "EQ3"), (301, "EQ4", "EQ1"), (306, "EQ6", "EQ6")),
        *((300, "EQ6", "EQ0"), (291.5, "EQ6", "EQ3")),
    ]
    heights = [92.0, 249.0, 257.0, 21.0, 0.0, 386.0, 291.0]
    found = [eq(number, height) for number, height in enumerate(heights)]
    return drawn_run(
        found=[*found, *(exchanging(ts(number, *it)) for number, it in enumerate(tss))]
    )


def _gap(box: Bbox, other: Bbox) -> float:
    """The distance between two boxes."""
    dx = max(box.x0 - other.x1, other.x0 - box.x1, 0.0)
    dy = max(box.y0 - other.y1, other.y0 - box.y1, 0.0)
    return float(np.hypot(dx, dy))


def _marks_and_curves(figure: Figure) -> tuple[dict[float, Bbox], dict[float, np.ndarray]]:
    """The mark and the points of the curve of every transition state, by its height.

    In hundredths of an inch.
    """
    figure.set_dpi(100)
    figure.canvas.draw()
    (axes,) = figure.axes
    marks, curves = {}, {}
    for line in axes.get_lines():
        points = axes.transData.transform(line.get_xydata())
        height = round(float(max(line.get_ydata())), 3)
        if line.get_marker() == "_":
            ((x, y),) = points
            marks[height] = Bbox.from_extents(x - 5.5, y - 1.0, x + 5.5, y + 1.0)
        elif curved(line):
            curves[height] = np.linspace(points[:-1], points[1:], 20).reshape(-1, 2)
    return marks, curves


def _leaders(figure: Figure) -> list[np.ndarray]:
    """The points of the lines from marks to labels, from the mark on, in hundredths of an inch."""
    (axes,) = figure.axes
    lines = [line for line in axes.get_lines() if line.get_label() == "to its label"]
    return [
        np.linspace(*axes.transData.transform(line.get_xydata()), 50)  # type: ignore[call-overload]
        for line in lines
    ]


def _box(points: np.ndarray) -> Bbox:
    """A box that holds points."""
    return Bbox([points.min(axis=0), points.max(axis=0)])


def _belongs(label: Bbox, own: Bbox, other: Bbox) -> bool:
    """Whether a label is clearly that of its own mark and not of another."""
    if _gap(other, own) < 2.0:  # the two cannot be told apart
        return True
    across = other.x0 < label.x1 and label.x0 < other.x1
    low, middle, high = (0.5 * (box.y0 + box.y1) for box in (own, label, other))
    nearer = abs(low - middle) + 2.0 < abs(high - middle)
    return _gap(label, other) > _gap(label, own) + 1.0 or (nearer and not across)


@pytest.mark.parametrize("width", [None, 4.3, 7.0, 12.0, 24.0])
@pytest.mark.parametrize(
    "run",
    [_crowded(), drawn_run(), random_run(6, 12), random_run(20, 30)],
    ids=["crowded", "drawn", "few", "many"],
)
def test_a_label_can_only_be_taken_for_that_of_its_own_transition_state(
    run: Run, width: float | None
) -> None:
    _check_labels(run, network_figure(run, width=width))


def test_the_labels_of_a_marked_route_are_no_exception() -> None:
    run = _crowded()
    figure = network_figure(run, lowest_route(run.network, "EQ2", "EQ4"))
    _check_labels(run, figure)
    missing = " ".join(re.findall("no room for labels of ([TS0-9 ]+)", note_of(figure)))
    words = {text.get_text().split()[0] for text in labels_of(figure)} | set(missing.split())
    assert {"TS0", "TS3", "TS5", "TS8"} <= words


def test_a_label_without_room_at_its_mark_stands_where_there_is_some_and_a_line_leads_to_it() -> (
    None
):
    # Three hills between the same two structures: the lowest mark is between the others' slopes.
    found = [eq(0, 0.0), eq(1, 210.0), eq(2, 215.0), ts(0, 325.0, "EQ1", "EQ2")]
    found += [ts(1, 385.0, "EQ1", "EQ2"), ts(2, 396.0, "EQ1", "EQ2"), ts(3, 390.0, "EQ0", "EQ1")]
    run = drawn_run(found=found)
    figure = network_figure(run)
    assert "no room" not in note_of(figure)
    assert "TS0 325" in [text.get_text() for text in labels_of(figure)]
    _check_labels(run, figure)
    assert _leaders(figure)
    assert not overlaps(figure)


def _check_labels(run: Run, figure: Figure) -> None:
    """Every label of a transition state stands at its mark and interrupts no other curve."""
    network = run.network
    marks, curves = _marks_and_curves(figure)
    labels = [text for text in labels_of(figure) if text.get_text().startswith("TS")]
    assert (
        len(marks)
        == len(curves)
        == sum(not plain_loop(run.molecule, x) for x in network.tss.values())
    )
    assert labels
    leaders = _leaders(figure)
    boxes = [text.get_window_extent() for text in labels_of(figure)]
    for text in labels:
        label, saddle = text.get_window_extent(), network.tss[text.get_text().split()[0]]
        height = round((saddle.energy - network.lowest.energy) / KJ_PER_MOL, 3)
        own = marks[height]
        if led := [line for line in leaders if _gap(own, _box(line[:1])) < 1.0]:
            # Farther away: a line leads from its mark to it, past all other labels and marks.
            (line,) = led
            assert _gap(label, _box(line[-1:])) < 5.0
            others = [box for box in (*marks.values(), *boxes) if box not in (own, label)]
            assert not any(box.padded(-1.0).count_contains(line) for box in others), saddle.id
            continue
        assert _gap(label, own) < 8.0
        assert all(_belongs(label, own, other) for other in marks.values()), saddle.id
        for other, points in curves.items():
            assert other == height or not label.padded(-1.0).count_contains(points), saddle.id


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "narrow"), [(_crowded(), 4.3), (random_run(160, 159), None)], ids=["crowded", "many"]
)
def test_labels_that_are_left_out_are_named(run: Run, narrow: float | None) -> None:
    ids = re.compile("no room for labels of ((?:[ET][QS][0-9]+ ?)+)(?:and ([0-9]+) more)?")
    left = []
    for width in (narrow, 30.0):
        figure = network_figure(run, width=width)
        shown = {text.get_text().split()[0] for text in labels_of(figure)}
        missing = {*run.network.eqs, *run.network.tss} - shown
        left.append(len(missing))
        if not missing:
            assert "no room for labels" not in note_of(figure)
            continue
        ((named, more),) = ids.findall(note_of(figure))
        assert set(named.split()) <= missing
        assert len(named.split()) + int(more or 0) == len(missing)
        assert "try a larger --width" in note_of(figure)
    assert left[1] < left[0]


def test_molecules_and_energies_that_are_left_out_are_named() -> None:
    narrow, wide = (network_figure(_crowded(), width=width) for width in (4.0, 24.0))
    assert "TS10" in [text.get_text() for text in labels_of(narrow)]
    assert "molecules of EQ0 EQ1 EQ2 EQ3 EQ4 EQ5 and 1 more, energies of" in note_of(narrow)
    assert "TS10 387" in [text.get_text() for text in labels_of(wide)]
    assert "molecules of" not in note_of(wide)
    assert "energies" not in note_of(wide)


def test_a_narrow_profile_names_what_is_without_its_molecules() -> None:
    run = replace(drawn_run(), molecule=Molecule((25, 35, 1, 1)))
    route = lowest_route(run.network, "EQ0", "EQ3")
    assert "no room for molecules of EQ2: try a larger" in note_of(profile_figure(run, route, 4.2))
    assert "no room" not in note_of(profile_figure(run, route, 7.0))


def test_no_line_runs_through_what_is_written() -> None:
    """Labels lie on no mark, and where a line must pass one it passes behind."""
    figures = [
        network_figure(random_run(n_eq, n_ts)) for n_eq, n_ts in ((6, 12), (20, 30), (60, 80))
    ]
    figures.append(network_figure(drawn_run()))
    for figure in figures:
        figure.set_dpi(60)
        figure.canvas.draw()
        (axes,) = figure.axes
        marks = [
            axes.transData.transform((line.get_xdata()[0], line.get_ydata()[0]))
            for line in axes.get_lines()
            if line.get_marker() == "_"
        ]
        assert marks
        boxes = [text.get_window_extent() for text in labels_of(figure)]
        for box in boxes:
            assert not [mark for mark in marks if box.contains(*mark)]
        for text in labels_of(figure):
            # It can be read, and the line can be followed.
            *white, cover = text.get_bbox_patch().get_facecolor()
            assert white == [1.0, 1.0, 1.0]
            assert 0.5 < cover < 0.8
            assert text.zorder > max(line.zorder for line in axes.get_lines())


def test_a_name_is_written_beside_a_line_where_it_can_be() -> None:
    # The dotted line from the complex to its channel runs below EQ1 and EQ2.
    found = [
        eq(0, 0.0),
        eq(1, 190.0),
        eq(3, 179.6, "complex"),
        dc(0, 181.0, "EQ0", no_ts_known=False),
        ts(0, 300.0, "EQ0", "EQ3"),
        ts(1, 310.0, "EQ3", "EQ1"),
        ts(2, 400.0, "EQ1", "DC0"),
    ]
    figure = network_figure(drawn_run(found=found))
    (name,) = [text for text in labels_of(figure) if text.get_text().startswith("EQ1")]
    assert dotted(figure)
    assert name.get_position()[1] > 190.0
    assert name.get_va() == "bottom"


def test_no_name_is_across_the_axis() -> None:
    run = drawn_run()
    for figure in (
        network_figure(run),
        network_figure(run, width=5.0),
        profile_figure(run, lowest_route(run.network, "EQ3", "EQ2")),
        profile_figure(run, lowest_route(run.network, "EQ0", "DC1"), 6.0),
    ):
        figure.canvas.draw()
        axis = figure.axes[0].get_window_extent().x0
        assert min(text.get_window_extent().x0 for text in labels_of(figure)) >= axis - 1.0
