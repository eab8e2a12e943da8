"""Where things go in a drawing: linked structures are neighbours, few links cross, loops close."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
from drawn_network import dc, eq, network_of, ts
from hypothesis import given
from hypothesis import strategies as st

from networks.reporting.diagram_layout import (
    Box,
    Link,
    arrangement,
    connected,
    free_spot,
    hills,
    lowest_links,
    spread,
)

PAIRS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] < pair[1])
)


def _links(pairs: list[tuple[int, int]]) -> list[Link]:
    return [(f"EQ{a}", f"EQ{b}", 1.0) for a, b in pairs]


def _reach(row: list[str], links: list[Link]) -> int:
    """The number of columns that all links span."""
    return sum(abs(row.index(a) - row.index(b)) for a, b, _ in links)


def _crossings(row: list[str], links: list[Link]) -> int:
    """How many pairs of links of equal height cross as arcs over a row."""
    spans = [sorted((row.index(a), row.index(b))) for a, b, _ in links]
    return sum(
        one[0] < other[0] < one[1] < other[1] or other[0] < one[0] < other[1] < one[1]
        for one, other in combinations(spans, 2)
    )


@given(PAIRS)
def test_every_connected_part_is_one_row(pairs: list[tuple[int, int]]) -> None:
    nodes = [f"EQ{i}" for i in range(8)]
    links = _links(pairs)
    rows = arrangement(nodes, links)
    assert sorted(id for row in rows for id in row) == nodes
    assert "EQ0" in rows[0]
    for row in rows:
        for a, b, _ in links:
            assert (a in row) == (b in row)
        reached = {row[0]}
        for _ in row:
            reached |= {id for a, b, _ in links if {a, b} & reached for id in (a, b)}
        assert reached == set(row)
    assert rows == arrangement(nodes, links)


@pytest.mark.parametrize("seed", range(5))
def test_a_chain_is_unrolled(seed: int) -> None:
    chain = [int(i) for i in np.random.default_rng(seed).permutation(40)]
    (row,) = arrangement([f"EQ{i}" for i in range(40)], _links(list(pairwise(chain))))
    assert [int(id[2:]) for id in row] in (chain, chain[::-1])
    assert row.index("EQ0") < 20


def test_the_first_is_left_and_what_leads_to_channels_is_right() -> None:
    links = _links([(0, 1), (1, 2), (2, 3)])
    assert arrangement(["EQ0", "EQ1", "EQ2", "EQ3"], links) == [["EQ0", "EQ1", "EQ2", "EQ3"]]
    assert arrangement(["EQ3", "EQ1", "EQ2", "EQ0"], links) == [["EQ3", "EQ2", "EQ1", "EQ0"]]
    star = [*_links([(0, 1), (0, 2), (0, 3)]), ("EQ1", "DC0", 1.0)]
    (row,) = arrangement(["EQ0", "EQ1", "EQ2", "EQ3"], star)
    assert row[-1] == "EQ1"


def _cost(row: list[str], links: list[Link]) -> int:
    return _reach(row, links) + _crossings(row, links)


def test_short_links_that_seldom_cross() -> None:
    """Close to the best of all orders, which the order of discovery is not."""
    rng = np.random.default_rng(0)
    nodes = [f"EQ{i}" for i in range(6)]
    found = best = given = 0
    for _ in range(40):
        drawn = np.sort(rng.integers(0, 6, size=(rng.integers(3, 10), 2)), axis=1)
        links = _links(sorted({(int(a), int(b)) for a, b in drawn if a != b}))
        for row in arrangement(nodes, links):
            inner = [link for link in links if link[0] in row]
            least = min(_cost(list(order), inner) for order in permutations(row))
            assert _cost(row, inner) <= least + 3
            found, best = found + _cost(row, inner), best + least
            given += _cost(sorted(row), inner)
    assert found < 1.15 * best < 1.5 * best < given


def test_links_of_many_seldom_cross() -> None:
    rng = np.random.default_rng(5)
    pairs = {(int(rng.integers(max(0, i - 8), i)), i) for i in [*range(1, 30), *range(8, 30)]}
    shuffle = [0, *(int(i) for i in 1 + rng.permutation(29))]
    links = _links([(shuffle[a], shuffle[b]) for a, b in sorted(pairs)])
    nodes = [f"EQ{i}" for i in range(30)]
    (row,) = arrangement(nodes, links)
    assert 5 * _crossings(row, links) < _crossings(nodes, links)


def test_a_lower_hill_goes_inside_a_higher_one() -> None:
    # A ring has two ways round; a long link over lower ones crosses none of them.
    ring = [("EQ0", "EQ1", 1.0), ("EQ1", "EQ2", 1.0), ("EQ2", "EQ3", 1.0), ("EQ0", "EQ3", 9.0)]
    (row,) = arrangement(["EQ0", "EQ1", "EQ2", "EQ3"], ring)
    assert row == ["EQ0", "EQ1", "EQ2", "EQ3"]


@pytest.mark.parametrize("n", [120, 600])
def test_many_are_arranged_the_same_way_every_time(n: int) -> None:
    rng = np.random.default_rng(1)
    nodes = [f"EQ{i}" for i in range(n)]
    links = [(f"EQ{i}", f"EQ{int(rng.integers(max(0, i - 3), i))}", 1.0) for i in range(1, n)]
    shuffled = [nodes[0], *(nodes[int(i)] for i in 1 + rng.permutation(n - 1))]
    rows = arrangement(shuffled, links)
    assert rows == arrangement(shuffled, links)
    assert _reach(rows[0], links) < 0.05 * _reach(shuffled, links)


HEIGHTS = st.lists(st.floats(0, 100), min_size=1, max_size=30).map(sorted)


@given(HEIGHTS, st.floats(0.1, 3.0))
def test_labels_are_spread(wanted: list[float], apart: float) -> None:
    found = spread(wanted, apart, 0.0, 100.0)
    assert all(b - a >= apart - 1e-9 for a, b in pairwise(found))
    assert min(found) >= 0.0
    assert max(found) <= 100.0 + 1e-9
    if all(b - a >= apart for a, b in pairwise(wanted)):
        assert found == pytest.approx(wanted)


def test_crowded_labels_stay_around_their_levels() -> None:
    assert spread([50.0, 50.0, 50.0], 2.0, 0.0, 100.0) == [48.0, 50.0, 52.0]
    assert spread([0.0, 0.0, 90.0], 2.0, 0.0, 91.0) == [0.0, 2.0, 90.0]
    assert spread([], 2.0, 0.0, 1.0) == []


def test_loops_are_closed_on_their_own_level() -> None:
    ends = {"TS0": ("EQ0", "EQ0"), "TS1": ("EQ0", "EQ0"), "TS2": ("EQ0", "EQ1")}
    heights = {"EQ0": 0.0, "EQ1": 5.0, "TS0": 90.0, "TS1": 40.0, "TS2": 60.0}
    found = hills(ends, {"EQ0": (1.0, 2.0), "EQ1": (3.0, 4.0)}, heights, 0.4)
    for id in ("TS0", "TS1"):
        (x1, y1), (up, top), (down, _), (x2, y2) = found[id]
        assert y1 == y2 == heights["EQ0"]
        assert top == heights[id]
        assert 1.0 <= x1 < up <= down < x2 <= 2.0
        assert 0.5 * (up + down) == pytest.approx(1.5)
    assert found["TS0"][0][0] < found["TS1"][0][0]
    assert found["TS1"][3][0] < found["TS0"][3][0]


def test_hills_lead_from_level_to_level_and_over_those_between() -> None:
    levels = {"EQ0": (0.0, 1.0), "EQ1": (2.0, 3.0), "EQ2": (4.0, 5.0), "DC0": (8.0, 8.5)}
    heights = {"EQ0": 1.0, "EQ1": 2.0, "EQ2": 3.0, "DC0": 4.0, "TS0": 50.0, "TS1": 70.0}
    found = hills({"TS0": ("EQ2", "EQ0"), "TS1": ("DC0", "EQ2")}, levels, heights, 1.0)
    assert found["TS0"] == ((1.0, 1.0), (2.0, 50.0), (3.0, 50.0), (4.0, 3.0))
    assert found["TS1"] == ((5.0, 3.0), (6.0, 70.0), (7.0, 70.0), (8.0, 4.0))


def test_a_hill_between_channels_above_each_other_goes_round_the_left() -> None:
    levels = {"DC0": (8.0, 8.5), "DC1": (8.0, 8.5)}
    heights = {"DC0": 4.0, "DC1": 20.0, "TS0": 30.0}
    ((first, up, down, second),) = hills({"TS0": ("DC1", "DC0")}, levels, heights, 0.8).values()
    assert first[0] == second[0] == 8.0
    assert {first[1], second[1]} == {4.0, 20.0}
    assert up == down == (7.6, 30.0)


def test_hills_between_channels_have_tops_apart() -> None:
    levels = dict.fromkeys(("DC0", "DC1", "DC2", "DC3"), (8.0, 8.5))
    heights = {"DC0": 4.0, "DC1": 20.0, "DC2": 25.0, "DC3": 60.0, "TS0": 90.0, "TS1": 70.0}
    found = hills({"TS0": ("DC1", "DC2"), "TS1": ("DC3", "DC0")}, levels, heights, 0.9)
    assert [top[0] for _, top, _, _ in found.values()] == pytest.approx([7.4, 7.7])


def test_what_counts_as_connected() -> None:
    network = network_of(
        [
            *(eq(i, 10.0 * i) for i in range(5)),
            dc(0, 200.0, "EQ4"),
            dc(1, 210.0, "EQ3", no_ts_known=False),
            ts(0, 300.0, "EQ0", "EQ1"),
            ts(1, 280.0, "EQ1", "EQ0"),
            ts(2, 290.0, "EQ2", "EQ2"),
            ts(3, 310.0, "DC1", "EQ3"),
        ]
    )
    assert connected(network) == ["EQ0", "EQ1", "EQ3"]
    found = {pair[:2]: pair[2] for pair in lowest_links(network)}
    assert found == {
        ("EQ0", "EQ1"): network.tss["TS1"].energy,
        ("DC1", "EQ3"): network.tss["TS3"].energy,
    }
    # A complex is joined to the channel of its molecules.
    loose = network_of([eq(0, 0.0), eq(1, 80.0, "complex"), dc(0, 90.0, "EQ0")])
    assert connected(loose) == ["EQ1"]
    assert lowest_links(loose) == [("DC0", "EQ1", loose.dcs["DC0"].energy)]


def test_a_free_spot_is_found() -> None:
    taken = [Box(0, 0, 1, 1), Box(2, 0, 3, 1)]
    spots = [Box(0.5, 0, 2.5, 1), Box(0.5, 0, 1.5, 1), Box(1, 0, 2, 1)]
    assert free_spot(spots, taken) == 2
    assert free_spot(spots[:2], taken) is None
    # Lines are met only where there is no other way.
    line = Box(0, 0.5, 3, 0.5)
    spots.append(Box(1, 2, 2, 3))
    assert free_spot(spots, taken, [line]) == 3
    assert free_spot(spots[:3], taken, [line]) == 2
