"""Drawings and routes: everything is in the picture, labels apart, the way is the lowest."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from itertools import combinations, pairwise, permutations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from drawn_network import dc, drawn_run, eq, network_of, records, ts
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from afir.errors import InputError
from afir.figures import save
from afir.molecule import Molecule
from afir.units import KJ_PER_MOL
from networks.network import ReactionNetwork
from networks.plot import MOST_DRAWN, network_figure, profile_figure
from networks.records import StoppedBy
from networks.report import Run
from networks.routes import lowest_route
from networks.settings import Settings
from networks.tables import sections


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def _many(n_eq: int, n_ts: int) -> Run:
    rng = np.random.default_rng(5)
    found = [eq(i, 0.0 if i == 0 else float(rng.uniform(20, 500))) for i in range(n_eq)]
    saddles = []
    for number in range(n_ts):
        first = number + 1 if number < n_eq - 1 else int(rng.integers(1, n_eq))
        second = int(rng.integers(max(0, first - 4), first))
        saddles.append(ts(number, 520.0 + float(rng.uniform(0, 200)), f"EQ{first}", f"EQ{second}"))
    return drawn_run(found=[*found, *saddles])


def test_everything_is_in_the_picture() -> None:
    run = drawn_run()
    words = " ".join(_texts(network_figure(run))).split()
    for id in (*run.network.eqs, *run.network.tss, *run.network.dcs):
        assert id in words
    assert {"385", "306"} <= set(words)
    assert "energy relative to EQ0 / kJ mol⁻¹" in _texts(network_figure(run))


def _labels(figure: Figure) -> list[Text]:
    return [
        text
        for text in figure.findobj(Text)
        if isinstance(text, Text) and text.get_text().startswith(("EQ", "TS", "DC"))
    ]


def _overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of labels whose letters overlap, as matplotlib measures them."""
    figure.set_dpi(60)
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in _labels(figure)]
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


@pytest.mark.parametrize(("n_eq", "n_ts"), [(1, 0), (2, 1), (5, 8), (20, 30), (100, 160)])
def test_no_labels_overlap(n_eq: int, n_ts: int) -> None:
    figure = network_figure(_many(n_eq, n_ts))
    assert not _overlaps(figure)
    assert sum(text.get_text().startswith("EQ") for text in _labels(figure)) == n_eq


def test_no_labels_of_channels_and_loose_structures_overlap() -> None:
    found = [eq(0, 0.0), *(eq(i, 100.0 + 0.1 * i) for i in range(1, 20))]
    channels = [dc(i, 300.0 - 0.1 * i, "EQ0") for i in range(30)]
    figure = network_figure(drawn_run(found=[*found, *channels]))
    assert len(_labels(figure)) == 50
    assert not _overlaps(figure)


def test_what_is_not_connected_stands_apart() -> None:
    loops = [ts(0, 250.0, "EQ2", "EQ2"), ts(1, 300.0, "EQ0", "EQ1")]
    found = [*(eq(i, 100.0 * i) for i in range(4)), dc(0, 400.0, "EQ1"), *loops]
    figure = network_figure(drawn_run(found=found))
    x = {text.get_text()[:3]: text.get_position()[0] for text in _labels(figure)}
    assert max(x["EQ0"], x["EQ1"]) < x["DC0"] < min(x["EQ2"], x["EQ3"])
    assert {"dissociation channels", "not connected"} <= set(_texts(figure))


def test_a_channel_tells_where_it_is_from_unless_something_leads_there() -> None:
    # A transition state to the first; none, and no complex, to the second.
    loose = [record for record in records() if record.id not in ("EQ3", "TS3", "TS4")]
    texts = _texts(network_figure(drawn_run(found=loose)))
    assert "DC0  C–O + H₂  181" in texts
    assert "DC1  C–O + H₂  390  from EQ2" in texts
    # A complex of its molecules is joined to it, but it was reached from elsewhere.
    figure = network_figure(drawn_run())
    texts = _texts(figure)
    assert "DC1  C–O + H₂  390  from EQ2" in texts
    # The note is true beside the dotted line, and in the words of the table.
    note = " ".join(texts).replace("\n", " ")
    assert "from: the channel was first reached from this EQ, no path between the two known" in note
    (table,) = (part for part in sections(drawn_run()) if part.title.startswith("Dissociation"))
    assert table.columns[-1] == "<reached from"
    assert [row[-1] for row in table.rows if row[0] == "DC1"] == ["EQ2 EQ3"]


def _dotted(figure: Figure) -> list[tuple[float, ...]]:
    """Heights of the ends of dotted lines."""
    return [
        tuple(float(y) for y in line.get_ydata())
        for line in figure.axes[0].get_lines()
        if line.get_linestyle() not in ("-", "None")
    ]


def test_a_dotted_line_joins_a_complex_and_its_channel() -> None:
    figure = network_figure(drawn_run())
    ends = [tuple(sorted(ys)) for ys in _dotted(figure)]
    assert ends == [pytest.approx((179.6, 181.0)), pytest.approx((179.6, 390.0))]
    legend = " ".join(_texts(figure)).replace("\n", " ")
    assert "dotted: barrierless dissociation of a complex" in legend
    assert not _dotted(network_figure(_many(5, 8)))


def test_a_profile_leads_to_a_channel_over_its_complex() -> None:
    run = drawn_run()
    route = lowest_route(run.network, "EQ0", "DC1")
    assert route.nodes == ("EQ0", "EQ1", "EQ2", "EQ3", "DC1")
    assert route.steps == ("TS0", "TS1", "TS3", "EQ3–DC1")
    assert route.tss == ("TS0", "TS1", "TS3")
    figure = profile_figure(run, route)
    assert _dotted(figure) == [pytest.approx((179.6, 390.0))]
    assert [label.get_text().split()[0] for label in _labels(figure)].count("DC1") == 1
    assert not _overlaps(figure)
    assert "highest point TS3, 470.0 kJ/mol above EQ0" in " ".join(_texts(figure))
    marked = network_figure(run, route)
    assert "TS3 470" in _texts(marked)


def test_a_route_of_one_barrierless_step() -> None:
    run = drawn_run()
    route = lowest_route(run.network, "EQ3", "DC1")
    assert (route.steps, route.tss) == (("EQ3–DC1",), ())
    assert route.top == run.network.dcs["DC1"].energy
    texts = " ".join(_texts(profile_figure(run, route))).replace("\n", " ")
    assert "highest point DC1, 210.4 kJ/mol above EQ3" in texts
    # The other way round, and where the complex is the higher one.
    found = [eq(0, 0.0), eq(1, 100.0, "complex"), dc(0, 90.0, "EQ0")]
    route = lowest_route(network_of(found), "DC0", "EQ1")
    assert route.top == found[1].energy


def test_flags_are_in_the_picture() -> None:
    high = replace(ts(6, 800.0, "EQ0", "EQ1"), imaginary_cm1=3600.0)
    back = ts(7, 700.0, "EQ2", "EQ2")
    back = replace(back, proof={**back.proof, "labelled_ends": ["EQ2.0", "EQ2.0"]})
    figure = network_figure(drawn_run(found=[*records(), high, back]))
    words = " ".join(_texts(figure)).split()
    assert {"TS5", "TS6*", "TS7?"} <= set(words)
    legend = " ".join(words)
    assert "arch: a loop, back to the same structure" in legend
    assert "*: imaginary wavenumber above 3500i" in legend
    assert "?: both ends are the same structure in the same labelling" in legend
    plain = " ".join(_texts(network_figure(_many(5, 8))))
    assert "*" not in plain


def test_formulas_are_left_out_where_structures_are_many() -> None:
    assert "EQ0\nCH₂–O\n0" in _texts(network_figure(_many(16, 15)))
    assert "EQ0  0" in _texts(network_figure(_many(17, 16)))


def test_any_ends_can_be_drawn() -> None:
    ends = ["DC0", "DC1", "EQ0", "EQ1"]
    pairs = [(a, b) for a in ends for b in ends]
    found = [eq(0, 0.0), eq(1, 90.0), dc(0, 100.0, "EQ0"), dc(1, 80.0, "EQ0")]
    saddles = [ts(i, 150.0 + 40.0 * i, *pair) for i, pair in enumerate(pairs)]
    figure = network_figure(drawn_run(found=[*found, *saddles]))
    curves = [line for line in figure.axes[0].get_lines() if _curved(line)]
    tops = sorted(max(line.get_ydata()) for line in curves)
    assert tops == pytest.approx([150.0 + 40.0 * i for i in range(len(pairs))])
    assert not _overlaps(figure)


def test_headings_only_where_needed() -> None:
    figure = network_figure(_many(5, 8))
    assert not {"dissociation channels", "not connected"} & set(_texts(figure))


@pytest.mark.parametrize(
    ("charge", "multiplicity", "words"),
    [
        (0, 1, "CH₂O on gfn2"),
        (1, 2, "CH₂O (charge +1, multiplicity 2) on gfn2"),
        (0, 3, "CH₂O (charge 0, multiplicity 3) on gfn2"),
    ],
)
def test_the_title_tells_charge_and_multiplicity(
    charge: int, multiplicity: int, words: str
) -> None:
    run = drawn_run()
    run = replace(run, molecule=Molecule(run.molecule.numbers, charge, multiplicity))
    assert words in _texts(network_figure(run))
    route = lowest_route(run.network, "EQ0", "EQ1")
    titles = [text.replace("\n", " ") for text in _texts(profile_figure(run, route))]
    assert f"{words}: EQ0 → EQ1" in titles


def test_no_tick_below_the_lowest_level() -> None:
    run = drawn_run()
    for figure in (
        network_figure(run),
        profile_figure(run, lowest_route(run.network, "EQ0", "EQ3")),
    ):
        (axes,) = figure.axes
        assert min(axes.get_yticks()) == 0.0
        assert not len(axes.get_xticks())


def test_a_crowd_is_thinned_and_said() -> None:
    run = _many(10, 60)
    figure = network_figure(run)
    pairs = {frozenset(ts.ends) for ts in run.network.tss.values()}
    assert any(
        f"lowest transition state between two structures is drawn, {60 - len(pairs)} are" in text
        for text in " ".join(_texts(figure)).split("; ")
    )


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
    return drawn_run(found=[*found, *(ts(number, *it) for number, it in enumerate(tss))])


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
        elif _curved(line):
            curves[height] = np.linspace(points[:-1], points[1:], 20).reshape(-1, 2)
    return marks, curves


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
    [_crowded(), drawn_run(), _many(6, 12), _many(20, 30)],
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
    (missing,) = re.findall("no room for labels of ([TS0-9 ]+)", _note(figure))
    words = {text.get_text().split()[0] for text in _labels(figure)} | set(missing.split())
    assert {"TS0", "TS3", "TS5", "TS8"} <= words


def _check_labels(run: Run, figure: Figure) -> None:
    """Every label of a transition state stands at its mark and interrupts no other curve."""
    network = run.network
    marks, curves = _marks_and_curves(figure)
    labels = [text for text in _labels(figure) if text.get_text().startswith("TS")]
    assert len(marks) == len(curves) == len(network.tss)
    assert labels
    for text in labels:
        label, saddle = text.get_window_extent(), network.tss[text.get_text().split()[0]]
        height = round((saddle.energy - network.lowest.energy) / KJ_PER_MOL, 3)
        own = marks[height]
        assert _gap(label, own) < 8.0
        assert all(_belongs(label, own, other) for other in marks.values()), saddle.id
        for other, points in curves.items():
            assert other == height or not label.padded(-1.0).count_contains(points), saddle.id


def _note(figure: Figure) -> str:
    """The line below the title."""
    return figure.texts[0].get_text().replace("\n", " ")


@pytest.mark.parametrize("run", [_crowded(), _many(160, 159)], ids=["crowded", "many"])
def test_labels_that_are_left_out_are_named(run: Run) -> None:
    ids = re.compile("no room for labels of ((?:[ET][QS][0-9]+ ?)+)(?:and ([0-9]+) more)?")
    left = []
    for width in (None, 30.0):
        figure = network_figure(run, width=width)
        shown = {text.get_text().split()[0] for text in _labels(figure)}
        missing = {*run.network.eqs, *run.network.tss} - shown
        left.append(len(missing))
        ((named, more),) = ids.findall(_note(figure))
        assert set(named.split()) <= missing
        assert len(named.split()) + int(more or 0) == len(missing)
        assert "try a larger --width" in _note(figure)
    assert left[1] < left[0]


def test_molecules_and_energies_that_are_left_out_are_named() -> None:
    narrow, wide = (network_figure(_crowded(), width=width) for width in (4.0, 24.0))
    assert "TS10" in [text.get_text() for text in _labels(narrow)]
    assert "molecules of EQ0 EQ1 EQ2 EQ3 EQ4 EQ5 and 1 more, energies of" in _note(narrow)
    assert "TS10 387" in [text.get_text() for text in _labels(wide)]
    assert "molecules of" not in _note(wide)
    assert "energies" not in _note(wide)


def test_a_narrow_profile_names_what_is_without_its_molecules() -> None:
    run = replace(drawn_run(), molecule=Molecule((25, 35, 1, 1)))
    route = lowest_route(run.network, "EQ0", "EQ3")
    assert "no room for molecules of EQ2: try a larger" in _note(profile_figure(run, route, 4.2))
    assert "no room" not in _note(profile_figure(run, route, 7.0))


def test_a_profile_shows_its_route() -> None:
    run = drawn_run()
    route = lowest_route(run.network, "EQ0", "EQ3")
    figure = profile_figure(run, route)
    labels = sorted(_labels(figure), key=lambda text: text.get_position()[0])
    lines = [text.get_text().split() for text in labels]
    assert [line[0] for line in lines] == ["EQ0", "TS0", "EQ1", "TS1", "EQ2", "TS3", "EQ3"]
    energies = [float(line[-1]) for line in lines]
    assert energies == pytest.approx([0.0, 384.8, 216.5, 324.5, 208.6, 470.0, 179.6], abs=0.51)
    assert lines[-1][1] == "C–O···H₂"
    assert not _overlaps(figure)
    assert "highest point TS3, 470.0 kJ/mol above EQ0" in " ".join(_texts(figure)).replace(
        "\n", " "
    )
    assert "TS3 470" in _texts(network_figure(run, route))


def test_a_profile_counts_from_its_start() -> None:
    run = drawn_run()
    figure = profile_figure(run, lowest_route(run.network, "EQ3", "EQ2"))
    heights = {text.get_text().split()[0]: text.get_text().split()[-1] for text in _labels(figure)}
    assert heights == {"EQ3": "0", "TS3": "290", "EQ2": "29"}
    assert "energy relative to EQ3 / kJ mol⁻¹" in _texts(figure)
    back = profile_figure(run, lowest_route(run.network, "EQ1", "EQ0"))
    heights = {text.get_text().split()[0]: text.get_text().split()[-1] for text in _labels(back)}
    assert heights["EQ0"] in ("-216", "-217")
    (axes,) = back.axes
    assert min(axes.get_yticks()) >= -216.5


def test_a_route_of_an_unfinished_run_is_the_lowest_known_so_far() -> None:
    for stopped, words in (
        (StoppedBy.TRIALS, "lowest route known so far, the run is not finished"),
        (StoppedBy.NOTHING_LEFT, "lowest route known; highest point"),
    ):
        run = drawn_run(stopped)
        route = lowest_route(run.network, "EQ0", "EQ3")
        assert words in " ".join(_texts(profile_figure(run, route))).replace("\n", " ")
        marked = " ".join(_texts(network_figure(run, route))).replace("\n", " ")
        assert words.split(";")[0] in marked
        assert "lowest route" not in " ".join(_texts(network_figure(run)))


def test_options_of_the_surface_are_in_the_title() -> None:
    run = drawn_run()
    solvated = Settings(surface="gfn2", surface_options={"solvent": "water"})
    run = replace(run, settings=solvated)
    assert "CH₂O on gfn2 (solvent=water)" in _texts(network_figure(run))
    profile = profile_figure(run, lowest_route(run.network, "EQ0", "EQ3"))
    titles = [text.replace("\n", " ") for text in _texts(profile)]
    assert "CH₂O on gfn2 (solvent=water): EQ0 → EQ3" in titles


def test_no_line_runs_through_what_is_written() -> None:
    """Labels lie on no mark, and where a line must pass one it passes behind."""
    figures = [network_figure(_many(n_eq, n_ts)) for n_eq, n_ts in ((6, 12), (20, 30), (60, 80))]
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
        boxes = [text.get_window_extent() for text in _labels(figure)]
        for box in boxes:
            assert not [mark for mark in marks if box.contains(*mark)]
        for text in _labels(figure):
            assert text.get_bbox_patch().get_facecolor() == (1.0, 1.0, 1.0, 1.0)
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
    (name,) = [text for text in _labels(figure) if text.get_text().startswith("EQ1")]
    assert _dotted(figure)
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
        assert min(text.get_window_extent().x0 for text in _labels(figure)) >= axis - 1.0


@pytest.mark.parametrize("inches", [4.7, 6.0, 9.0, 14.0])
def test_a_width_is_kept_to_and_letters_keep_their_size(inches: float) -> None:
    run = drawn_run()
    route = lowest_route(run.network, "EQ0", "EQ3")
    for figure in (network_figure(run, width=inches), profile_figure(run, route, inches)):
        assert figure.get_size_inches()[0] == pytest.approx(inches)
        assert not _overlaps(figure)
        assert min(text.get_fontsize() for text in _labels(figure)) >= 6.0
        names = " ".join(text.get_text() for text in _labels(figure)).split()
        assert {"EQ0", "EQ1", "EQ2", "EQ3"} <= set(names)
    with pytest.raises(InputError, match="`width` must be at least"):
        network_figure(run, width=2.2)
    with pytest.raises(InputError, match="`width` must be at least"):
        profile_figure(run, route, 2.2)


@pytest.mark.parametrize("inches", [7.0, 17 / 2.54, 14.0, 24.0])
def test_a_drawing_fills_the_width_that_is_given(inches: float) -> None:
    run = _many(5, 8)
    few, many = (lowest_route(run.network, "EQ0", end) for end in ("EQ1", "EQ4"))
    figures = [profile_figure(run, route, inches) for route in (few, many)]
    figures += [network_figure(run, width=inches), network_figure(_many(20, 25), width=inches)]
    for figure in figures:
        (axes,) = figure.axes
        (left, right), columns = axes.get_xlim(), sorted(_columns(figure))
        apart = columns[1] - columns[0]
        assert columns[0] - left < 0.75 * apart
        assert right - columns[-1] < 0.75 * apart


def _columns(figure: Figure) -> list[float]:
    """The middle of every level."""
    return [
        float(np.mean(part[:, 0]))
        for lines in figure.axes[0].collections
        if isinstance(lines, LineCollection)
        for part in lines.get_segments()
    ]


def test_a_marked_route_runs_over_the_levels_that_it_passes() -> None:
    # TS0 leads from the first to the last structure and passes over the one between.
    found = [eq(0, 0.0), eq(1, 300.0), eq(2, 50.0)]
    saddles = [
        ts(0, 300.0, "EQ0", "EQ2"),
        ts(1, 310.0, "EQ0", "EQ1"),
        ts(2, 320.0, "EQ1", "EQ2"),
    ]
    run = drawn_run(found=[*found, *saddles])
    figure = network_figure(run, lowest_route(run.network, "EQ0", "EQ2"))
    (axes,) = figure.axes
    levels = [part for part in axes.collections if isinstance(part, LineCollection)]
    plain, way = sorted({line.get_zorder() for line in axes.get_lines() if _curved(line)})
    assert plain < min(part.get_zorder() for part in levels)
    assert max(part.get_zorder() for part in levels) < way


def _curved(line: Line2D) -> bool:
    """Whether a line is the hill of a transition state."""
    return len(line.get_xdata()) > 2


def test_a_network_that_is_too_large_to_be_read_is_refused() -> None:
    run = _many(MOST_DRAWN, MOST_DRAWN)
    with pytest.raises(InputError, match=r"--from and --to.*--window.*afir export"):
        network_figure(run)
    route = lowest_route(run.network, "EQ0", f"EQ{MOST_DRAWN - 1}")
    assert profile_figure(run, route)


def test_text_of_an_svg_stays_text_and_is_well_formed(tmp_path: Path) -> None:
    hostile = 'ase:a\x1b[31m\x00"<&>$\\frac$\n\u202e\udcff'
    run = replace(drawn_run(), settings=Settings(surface=hostile))
    route = lowest_route(run.network, "EQ0", "EQ3")
    for name, figure in (
        ("net", network_figure(run)),
        ("profile", profile_figure(run, route)),
    ):
        save(figure, tmp_path / f"{name}.svg")
        tree = ElementTree.parse(tmp_path / f"{name}.svg")
        texts = [
            " ".join(element.itertext()).strip()
            for element in tree.iter("{http://www.w3.org/2000/svg}text")
        ]
        assert any(text.startswith("EQ0") for text in texts)
        written = "".join(texts).replace(" ", "")
        assert r'ase:a\x1b[31m\x00"<&>$\frac$\n\u202e\udcff' in written


def test_dots_an_inch(tmp_path: Path) -> None:
    figure = network_figure(drawn_run())
    sizes = []
    for dpi in (50, 100):
        save(figure, tmp_path / f"{dpi}.png", dpi)
        header = (tmp_path / f"{dpi}.png").read_bytes()[16:24]
        sizes.append((int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")))
    assert sizes[1] == pytest.approx([2 * side for side in sizes[0]], abs=2)
    for wrong in (0.0, -3.0, float("nan"), 1e9):
        with pytest.raises(InputError, match="`dpi` must be"):
            save(figure, tmp_path / "wrong.png", wrong)
    with pytest.raises(InputError, match=r"`dpi` must be at most .* an \.svg or \.pdf file"):
        save(Figure(figsize=(30.0, 3.0)), tmp_path / "wrong.png", 2000)
    assert not (tmp_path / "wrong.png").exists()


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_it_is_saved_by_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net.{suffix}"
    save(network_figure(drawn_run()), path)
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(magic)


def test_wrong_output(tmp_path: Path) -> None:
    figure = Figure()
    (tmp_path / "a.png").write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "precious"
    with pytest.raises(InputError, match=r"must be a \.png, \.svg or \.pdf file"):
        save(figure, tmp_path / "a.gif")
    with pytest.raises(InputError, match="does not exist"):
        save(figure, tmp_path / "no" / "a.png")
    with pytest.raises(InputError, match="nothing to draw"):
        network_figure(drawn_run(found=[]))


def test_no_global_state() -> None:
    script = "import sys, networks.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def _tops(network: ReactionNetwork, start: str, end: str) -> list[float]:
    """The highest energy of every route without repetition, by trying all of them."""
    others = [id for id in network.eqs if id not in (start, end)]
    found = []
    for length in range(len(others) + 1):
        for middle in permutations(others, length):
            nodes = (start, *middle, end)
            steps = [
                min((t.energy for t in network.tss.values() if set(t.ends) == {a, b}), default=None)
                for a, b in pairwise(nodes)
            ]
            if None not in steps:
                found.append(max(steps))
    return found


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(300, 900)),
        min_size=4,
        max_size=12,
    )
)
@trying(deadline=None)
def test_the_route_is_the_lowest_of_all(edges: list[tuple[int, int, float]]) -> None:
    found = [eq(i, 10.0 * i) for i in range(5)]
    saddles = [ts(i, top, f"EQ{a}", f"EQ{b}") for i, (a, b, top) in enumerate(edges)]
    network = network_of([*found, *saddles])
    tops = _tops(network, "EQ0", "EQ4")
    if not tops:
        with pytest.raises(InputError, match="no chain of known transition states"):
            lowest_route(network, "EQ0", "EQ4")
        return
    route = lowest_route(network, "EQ0", "EQ4")
    assert route.top == min(tops)
    assert max(network.tss[id].energy for id in route.tss) == route.top
    for id, first, second in zip(route.tss, route.nodes[:-1], route.nodes[1:], strict=True):
        assert set(network.tss[id].ends) == {first, second}


def test_channels_are_ends_only() -> None:
    network = network_of([*records(), ts(6, 310.0, "DC0", "EQ1")])
    assert lowest_route(network, "EQ0", "DC0").tss == ("TS2",)
    assert lowest_route(network, "EQ0", "EQ1").nodes == ("EQ0", "EQ1")
    with pytest.raises(InputError, match="no chain"):
        lowest_route(network_of([eq(0, 0.0), dc(0, 100.0, "EQ0")]), "EQ0", "DC0")


def test_ends_must_be_nodes() -> None:
    network = network_of(records())
    with pytest.raises(InputError, match="EQ9"):
        lowest_route(network, "EQ0", "EQ9")
    with pytest.raises(InputError, match="twice"):
        lowest_route(network, "EQ0", "EQ0")
