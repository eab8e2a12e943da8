"""Drawings and routes: everything is in the picture, labels apart, the way is the lowest."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations, pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
from drawn_network import dc, drawn_run, eq, network_of, records, ts
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from afir.errors import InputError
from networks.layout import Box, arrangement, columns, free_spot
from networks.network import ReactionNetwork
from networks.plot import network_figure, profile_figure, save
from networks.report import Run
from networks.routes import lowest_route


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
    assert {"385", "217"} <= set(words)
    assert "energy relative to EQ0 / kJ mol⁻¹" in _texts(network_figure(run))


@pytest.mark.parametrize(("n_eq", "n_ts"), [(1, 0), (2, 1), (5, 8), (20, 30), (60, 140)])
def test_labels_of_structures_do_not_overlap(n_eq: int, n_ts: int) -> None:
    figure = network_figure(_many(n_eq, n_ts))
    figure.set_dpi(60)
    figure.canvas.draw()
    boxes = [
        text.get_window_extent()
        for text in figure.findobj(Text)
        if isinstance(text, Text) and text.get_text().startswith("EQ")
    ]
    assert len(boxes) == n_eq
    assert not [1 for a, b in combinations(boxes, 2) if a.overlaps(b)]


def test_a_crowd_is_thinned_and_said() -> None:
    figure = network_figure(_many(10, 60))
    (title,) = (text for text in _texts(figure) if text.startswith("CH2O"))
    assert "lowest transition state of each pair" in title


def test_a_profile_shows_its_route() -> None:
    run = drawn_run()
    route = lowest_route(run.network, "EQ0", "EQ3")
    texts = _texts(profile_figure(run, route))
    assert [text.split()[0] for text in texts if text[:2] in ("EQ", "TS")] == [
        "EQ0", "TS0", "EQ1", "TS1", "EQ2", "TS3", "EQ3",
    ]  # fmt: skip
    assert any("highest point TS3, 470.0 kJ/mol above EQ0" in text for text in texts)
    assert "TS3 470" in _texts(network_figure(run, route))


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
    with pytest.raises(InputError, match="must be saved as"):
        save(figure, tmp_path / "a.gif")
    with pytest.raises(InputError, match="does not exist"):
        save(figure, tmp_path / "no" / "a.png")
    with pytest.raises(InputError, match="nothing to draw"):
        network_figure(drawn_run(found=[]))


def test_no_global_state() -> None:
    script = "import sys, networks.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda p: p[0] < p[1]))


@given(PAIRS)
def test_an_arrangement_is_a_row_of_all(pairs: list[tuple[int, int]]) -> None:
    nodes = [f"EQ{i}" for i in range(8)]
    row = arrangement(nodes, [(nodes[a], nodes[b]) for a, b in pairs])
    assert sorted(row) == nodes


def test_a_chain_is_unrolled() -> None:
    chain = [3, 6, 1, 0, 4, 2, 5]
    pairs = [(f"EQ{a}", f"EQ{b}") for a, b in pairwise(chain)]
    row = arrangement([f"EQ{i}" for i in range(7)], pairs)
    assert [int(id[2:]) for id in row] in (chain, chain[::-1])


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=70), st.floats(1, 60))
@settings(deadline=None)
def test_columns_keep_structures_apart(heights: list[float], apart: float) -> None:
    row = [f"EQ{i}" for i in range(len(heights))]
    height = dict(zip(row, heights, strict=True))
    place = columns(row, height, apart)
    assert set(place) == set(row)
    assert sorted(set(place.values())) == list(range(max(place.values()) + 1))
    for a, b in combinations(row, 2):
        assert place[a] != place[b] or abs(height[a] - height[b]) >= apart


def test_a_free_spot_is_found() -> None:
    taken = [Box(0, 0, 1, 1), Box(2, 0, 3, 1)]
    spots = [Box(0.5, 0, 2.5, 1), Box(0.5, 0, 1.5, 1), Box(1, 0, 2, 1)]
    assert free_spot(spots, taken) == 2
    assert free_spot(spots[:2], taken) == 1


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
@settings(deadline=None)
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
