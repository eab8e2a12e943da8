"""Drawings and routes: everything is in the picture, the way is the lowest."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise, permutations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from drawn_network import dc, drawn_run, eq, exchanging, network_of, records, ts
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from pictures import curved, dotted, labels_of, note_of, overlaps, random_run, texts_of

from afir.errors import InputError
from afir.io.figures import save_figure
from afir.molecule import Molecule
from networks.graph.network import ReactionNetwork
from networks.graph.routes import lowest_route
from networks.records.runs import StoppedBy
from networks.reporting.energy_diagram import MOST_DRAWN, network_figure, profile_figure
from networks.reporting.tables import sections
from networks.settings import Settings


def test_everything_is_in_the_picture() -> None:
    run = drawn_run()
    words = " ".join(texts_of(network_figure(run))).split()
    for id in {*run.network.eqs, *run.network.tss, *run.network.dcs} - {"TS5"}:
        assert id in words
    assert {"385", "306"} <= set(words)
    assert "energy relative to EQ0 / kJ mol⁻¹" in texts_of(network_figure(run))


def test_loops_in_which_no_bond_changes_are_left_out_and_counted() -> None:
    figure = network_figure(drawn_run())
    assert "TS5" not in " ".join(texts_of(figure))
    assert "not drawn: 1 loop in which no bond changes" in note_of(figure)
    assert "arch:" not in note_of(figure)
    every = network_figure(drawn_run(), loops=True)
    assert "TS5 650" in texts_of(every)
    assert "not drawn" not in note_of(every)
    # Of many transition states the lowest loop of each structure.
    busy = [ts(number, 300.0 + number, "EQ0", "EQ1") for number in range(6, 50)]
    crowd = [*records(), ts(50, 660.0, "EQ0", "EQ0"), *busy]
    crowded = network_figure(drawn_run(found=crowd), loops=True)
    shown = " ".join(texts_of(crowded)).split()
    assert "TS5" in shown
    assert "TS50" not in shown
    assert "only the lowest transition state between two" in note_of(crowded)
    kept = [exchanging(record) if record.id == "TS5" else record for record in records()]  # type: ignore[arg-type]
    figure = network_figure(drawn_run(found=kept))
    assert "TS5 650" in texts_of(figure)
    assert "not drawn" not in note_of(figure)


def test_what_is_not_connected_stands_apart() -> None:
    loops = [ts(0, 250.0, "EQ2", "EQ2"), ts(1, 300.0, "EQ0", "EQ1")]
    found = [*(eq(i, 100.0 * i) for i in range(4)), dc(0, 400.0, "EQ1"), *loops]
    figure = network_figure(drawn_run(found=found))
    x = {text.get_text()[:3]: text.get_position()[0] for text in labels_of(figure)}
    assert max(x["EQ0"], x["EQ1"]) < x["DC0"] < min(x["EQ2"], x["EQ3"])
    assert {"dissociation channels", "not connected"} <= set(texts_of(figure))


def test_a_channel_tells_where_it_is_from_unless_something_leads_there() -> None:
    # A transition state to the first; none, and no complex, to the second.
    loose = [record for record in records() if record.id not in ("EQ3", "TS3", "TS4")]
    texts = texts_of(network_figure(drawn_run(found=loose)))
    assert "DC0  C–O + H₂  181" in texts
    assert "DC1  C–O + H₂  390  from EQ2" in texts
    # A complex of its molecules is joined to it, but it was reached from elsewhere.
    figure = network_figure(drawn_run())
    texts = texts_of(figure)
    assert "DC1  C–O + H₂  390  from EQ2" in texts
    # The note is true beside the dotted line, and where a route of several steps is known.
    assert lowest_route(drawn_run().network, "EQ2", "DC1").nodes == ("EQ2", "EQ3", "DC1")
    assert (
        "from: the channel was first reached from this EQ, no direct step known between the two"
    ) in note_of(figure)
    (table,) = (part for part in sections(drawn_run()) if part.title.startswith("Dissociation"))
    assert table.columns[-1] == "<reached from"
    assert [row[-1] for row in table.rows if row[0] == "DC1"] == ["EQ2 EQ3"]


def test_a_dotted_line_joins_a_complex_and_its_channel() -> None:
    figure = network_figure(drawn_run())
    ends = [tuple(sorted(ys)) for ys in dotted(figure)]
    assert ends == [pytest.approx((179.6, 181.0)), pytest.approx((179.6, 390.0))]
    legend = " ".join(texts_of(figure)).replace("\n", " ")
    assert "dotted: barrierless dissociation of a complex" in legend
    assert not dotted(network_figure(random_run(5, 8)))


def test_a_profile_leads_to_a_channel_over_its_complex() -> None:
    run = drawn_run()
    route = lowest_route(run.network, "EQ0", "DC1")
    assert route.nodes == ("EQ0", "EQ1", "EQ2", "EQ3", "DC1")
    assert route.steps == ("TS0", "TS1", "TS3", "EQ3–DC1")
    assert route.tss == ("TS0", "TS1", "TS3")
    figure = profile_figure(run, route)
    assert dotted(figure) == [pytest.approx((179.6, 390.0))]
    assert [label.get_text().split()[0] for label in labels_of(figure)].count("DC1") == 1
    assert not overlaps(figure)
    assert "highest point TS3, 470.0 kJ/mol above EQ0" in " ".join(texts_of(figure))
    marked = network_figure(run, route)
    assert "TS3 470" in texts_of(marked)


def test_a_route_of_one_barrierless_step() -> None:
    run = drawn_run()
    route = lowest_route(run.network, "EQ3", "DC1")
    assert (route.steps, route.tss) == (("EQ3–DC1",), ())
    assert route.top == run.network.dcs["DC1"].energy
    texts = " ".join(texts_of(profile_figure(run, route))).replace("\n", " ")
    assert "highest point DC1, 210.4 kJ/mol above EQ3" in texts
    # The other way round, and where the complex is the higher one.
    found = [eq(0, 0.0), eq(1, 100.0, "complex"), dc(0, 90.0, "EQ0")]
    route = lowest_route(network_of(found), "DC0", "EQ1")
    assert route.top == found[1].energy


def test_flags_are_in_the_picture() -> None:
    high = ts(6, 800.0, "EQ0", "EQ1")
    high = replace(high, wavenumbers=high.wavenumbers - 2600.0)
    back = ts(7, 700.0, "EQ2", "EQ2")
    back = replace(back, proof={**back.proof, "labelled_ends": ["EQ2.0", "EQ2.0"]})
    figure = network_figure(drawn_run(found=[*records(), high, back]))
    words = " ".join(texts_of(figure)).split()
    assert {"TS4", "TS6*", "TS7?"} <= set(words)
    legend = " ".join(words)
    assert "arch: a loop, back to the same structure" in legend
    assert "*: imaginary wavenumber above 3500i" in legend
    assert "?: both ends are the same structure with every atom in the same place" in legend
    plain = " ".join(texts_of(network_figure(random_run(5, 8))))
    assert "*" not in plain


def test_formulas_are_left_out_where_structures_are_many() -> None:
    assert "EQ0\nCH₂–O\n0" in texts_of(network_figure(random_run(16, 15)))
    assert "EQ0  0" in texts_of(network_figure(random_run(17, 16)))


def test_any_ends_can_be_drawn() -> None:
    ends = ["DC0", "DC1", "EQ0", "EQ1"]
    pairs = [(a, b) for a in ends for b in ends]
    found = [eq(0, 0.0), eq(1, 90.0), dc(0, 100.0, "EQ0"), dc(1, 80.0, "EQ0")]
    saddles = [exchanging(ts(i, 150.0 + 40.0 * i, *pair)) for i, pair in enumerate(pairs)]
    figure = network_figure(drawn_run(found=[*found, *saddles]))
    curves = [line for line in figure.axes[0].get_lines() if curved(line)]
    tops = sorted(max(line.get_ydata()) for line in curves)
    assert tops == pytest.approx([150.0 + 40.0 * i for i in range(len(pairs))])
    assert not overlaps(figure)


def test_headings_only_where_needed() -> None:
    figure = network_figure(random_run(5, 8))
    assert not {"dissociation channels", "not connected"} & set(texts_of(figure))


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
    assert words in texts_of(network_figure(run))
    route = lowest_route(run.network, "EQ0", "EQ1")
    titles = [text.replace("\n", " ") for text in texts_of(profile_figure(run, route))]
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
    run = random_run(10, 60)
    figure = network_figure(run)
    pairs = {frozenset(ts.ends) for ts in run.network.tss.values()}
    assert any(
        f"lowest transition state between two structures is drawn, {60 - len(pairs)} are" in text
        for text in " ".join(texts_of(figure)).split("; ")
    )


def test_a_profile_shows_its_route() -> None:
    run = drawn_run()
    route = lowest_route(run.network, "EQ0", "EQ3")
    figure = profile_figure(run, route)
    labels = sorted(labels_of(figure), key=lambda text: text.get_position()[0])
    lines = [text.get_text().split() for text in labels]
    assert [line[0] for line in lines] == ["EQ0", "TS0", "EQ1", "TS1", "EQ2", "TS3", "EQ3"]
    energies = [float(line[-1]) for line in lines]
    assert energies == pytest.approx([0.0, 384.8, 216.5, 324.5, 208.6, 470.0, 179.6], abs=0.51)
    assert lines[-1][1] == "C–O···H₂"
    assert not overlaps(figure)
    assert "highest point TS3, 470.0 kJ/mol above EQ0" in " ".join(texts_of(figure)).replace(
        "\n", " "
    )
    assert "TS3 470" in texts_of(network_figure(run, route))


def test_a_profile_counts_from_its_start() -> None:
    run = drawn_run()
    figure = profile_figure(run, lowest_route(run.network, "EQ3", "EQ2"))
    heights = {
        text.get_text().split()[0]: text.get_text().split()[-1] for text in labels_of(figure)
    }
    assert heights == {"EQ3": "0", "TS3": "290", "EQ2": "29"}
    assert "energy relative to EQ3 / kJ mol⁻¹" in texts_of(figure)
    back = profile_figure(run, lowest_route(run.network, "EQ1", "EQ0"))
    heights = {text.get_text().split()[0]: text.get_text().split()[-1] for text in labels_of(back)}
    assert heights["EQ0"] in ("−216", "−217")  # a minus sign, as at the axis
    (axes,) = back.axes
    assert min(axes.get_yticks()) >= -216.5


def test_a_route_of_an_unfinished_run_is_the_lowest_known_so_far() -> None:
    for stopped, words in (
        (StoppedBy.TRIALS, "lowest route known so far, the run is not finished"),
        (StoppedBy.NOTHING_LEFT, "lowest route known; highest point"),
    ):
        run = drawn_run(stopped)
        route = lowest_route(run.network, "EQ0", "EQ3")
        assert words in " ".join(texts_of(profile_figure(run, route))).replace("\n", " ")
        marked = " ".join(texts_of(network_figure(run, route))).replace("\n", " ")
        assert words.split(";")[0] in marked
        assert "lowest route" not in " ".join(texts_of(network_figure(run)))


def test_options_of_the_surface_are_in_the_title() -> None:
    run = drawn_run()
    solvated = Settings(surface="gfn2", surface_options={"solvent": "water"})
    run = replace(run, settings=solvated)
    assert "CH₂O on gfn2 (solvent=water)" in texts_of(network_figure(run))
    profile = profile_figure(run, lowest_route(run.network, "EQ0", "EQ3"))
    titles = [text.replace("\n", " ") for text in texts_of(profile)]
    assert "CH₂O on gfn2 (solvent=water): EQ0 → EQ3" in titles


@pytest.mark.parametrize("inches", [4.7, 6.0, 9.0, 14.0])
def test_a_width_is_kept_to_and_letters_keep_their_size(inches: float) -> None:
    run = drawn_run()
    route = lowest_route(run.network, "EQ0", "EQ3")
    for figure in (network_figure(run, width=inches), profile_figure(run, route, inches)):
        assert figure.get_size_inches()[0] == pytest.approx(inches)
        assert not overlaps(figure)
        assert min(text.get_fontsize() for text in labels_of(figure)) >= 6.0
        names = " ".join(text.get_text() for text in labels_of(figure)).split()
        assert {"EQ0", "EQ1", "EQ2", "EQ3"} <= set(names)
    with pytest.raises(InputError, match="`width` must be at least"):
        network_figure(run, width=2.2)
    with pytest.raises(InputError, match="`width` must be at least"):
        profile_figure(run, route, 2.2)


@pytest.mark.parametrize("inches", [7.0, 17 / 2.54, 14.0, 24.0])
def test_a_drawing_fills_the_width_that_is_given(inches: float) -> None:
    run = random_run(5, 8)
    few, many = (lowest_route(run.network, "EQ0", end) for end in ("EQ1", "EQ4"))
    figures = [profile_figure(run, route, inches) for route in (few, many)]
    figures += [network_figure(run, width=inches), network_figure(random_run(20, 25), width=inches)]
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
    plain, way = sorted({line.get_zorder() for line in axes.get_lines() if curved(line)})
    assert plain < min(part.get_zorder() for part in levels)
    assert max(part.get_zorder() for part in levels) < way


def test_a_network_that_is_too_large_to_be_read_is_refused() -> None:
    run = random_run(MOST_DRAWN, MOST_DRAWN)
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
        save_figure(figure, tmp_path / f"{name}.svg")
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
        save_figure(figure, tmp_path / f"{dpi}.png", dpi)
        header = (tmp_path / f"{dpi}.png").read_bytes()[16:24]
        sizes.append((int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")))
    assert sizes[1] == pytest.approx([2 * side for side in sizes[0]], abs=2)
    for wrong in (0.0, -3.0, float("nan"), 1e9):
        with pytest.raises(InputError, match="`dpi` must be"):
            save_figure(figure, tmp_path / "wrong.png", wrong)
    with pytest.raises(InputError, match=r"`dpi` must be at most .* an \.svg or \.pdf file"):
        save_figure(Figure(figsize=(30.0, 3.0)), tmp_path / "wrong.png", 2000)
    assert not (tmp_path / "wrong.png").exists()


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_it_is_saved_by_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net.{suffix}"
    save_figure(network_figure(drawn_run()), path)
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(magic)


def test_wrong_output(tmp_path: Path) -> None:
    figure = Figure()
    (tmp_path / "a.png").write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        save_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "precious"
    with pytest.raises(InputError, match=r"must be a \.png, \.svg or \.pdf file"):
        save_figure(figure, tmp_path / "a.gif")
    with pytest.raises(InputError, match="does not exist"):
        save_figure(figure, tmp_path / "no" / "a.png")
    with pytest.raises(InputError, match="nothing to draw"):
        network_figure(drawn_run(found=[]))


def test_no_global_state() -> None:
    module = "networks.reporting.energy_diagram"
    script = f"import sys, {module}; sys.exit('matplotlib.pyplot' in sys.modules)"
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
