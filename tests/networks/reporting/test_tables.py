"""A run as tables and as text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_network import dc, drawn_run, eq, network_of, records, ts
from pictures import note_of, texts_of

import networks.graph.identity
import networks.graph.network
from afir.geometry import naming
from afir.geometry.naming import names
from afir.molecule import Molecule
from networks.graph.bonding import Bonding
from networks.graph.network import ReactionNetwork
from networks.records.runs import Model
from networks.reporting.energy_diagram import network_figure
from networks.reporting.run import heading
from networks.reporting.show_json import show_object
from networks.reporting.tables import graph_lines, sections
from networks.settings import Settings


def test_the_heading_tells_state_surface_and_zero() -> None:
    run = drawn_run()
    assert heading(run) == "CH2O on gfn2; energies in kJ/mol, relative to EQ0, the lowest"
    ion = replace(
        run,
        molecule=Molecule(run.molecule.numbers, charge=-1, multiplicity=2),
        settings=Settings(surface_options={"solvent": "water"}),
        network=network_of([eq(0, 0.0), eq(1, -3.0)]),
    )
    assert heading(ion) == (
        "CH2O (charge -1, multiplicity 2) on gfn2 (solvent=water); energies in kJ/mol, relative to "
        "EQ1, the lowest"
    )
    better = replace(
        run,
        settings=Settings(reference="dft", learn=True),
        models=(Model(1, 3, 150, 60.0, {}), Model(2, 5, 190, 20.0, {})),
    )
    assert heading(better).startswith(
        "CH2O on dft, searched on gfn2 with a correction learned from 190 labels; energies"
    )
    untaught = replace(better, models=())
    assert heading(untaught).startswith("CH2O on dft, searched on gfn2, nothing learned yet")
    assert show_object(better)["learned"]
    assert not show_object(untaught)["learned"]


def test_tables_are_sorted_and_can_be_cut() -> None:
    run = drawn_run()
    eqs, tss, dcs, trials, rejected, gradients = sections(run)
    assert [row[0] for row in eqs.rows] == ["EQ0", "EQ3", "EQ2", "EQ1"]
    assert [row[0] for row in tss.rows] == ["TS2", "TS1", "TS0", "TS3", "TS4"]
    assert tss.rows[2][3:6] == ("384.8", "384.8", "168.3")
    assert eqs.rows[1][3] == "C–O + H2"
    assert eqs.rows[1][4:] == ("complex", "EQ2 DC0 DC1")
    assert [row[3:] for row in dcs.rows] == [
        ("barrierless from EQ3", "EQ0 EQ3"),
        ("barrierless from EQ3", "EQ2 EQ3"),
    ]
    assert trials.rows[-1] == rejected_sum(trials.rows)
    assert rejected.rows[-1] == ("total", "2")
    assert gradients.rows[-1] == ("total", "2000")
    short = sections(run, limit=2)
    assert [len(section.rows) for section in short[:3]] == [2, 2, 2]
    assert short[0].title == "Equilibrium structures: 4, the lowest 2"
    for section in sections(run):
        assert all(len(row) == len(section.columns) for row in section.rows)


def rejected_sum(rows: tuple[tuple[str, ...], ...]) -> tuple[str, str]:
    return ("total", str(sum(int(row[1]) for row in rows[:-1])))


def test_loops_are_counted_unless_they_are_wanted() -> None:
    run = drawn_run()
    assert sections(run)[1].title == (
        "Transition states: 6, 1 loop not shown; `show --loops` lists it"
    )
    whole = sections(run, loops=True)[1]
    assert whole.title == "Transition states: 6"
    assert whole.rows[-1][0] == "TS5"
    assert whole.rows[-1][-1] == "loop"
    two = drawn_run(found=[*records(), ts(6, 700.0, "EQ2", "EQ2")])
    assert sections(two, limit=3)[1].title == (
        "Transition states: 7, the lowest 3, 2 loops not shown; `show --loops` lists them"
    )
    assert "└─ 1 loop not shown" in graph_lines(run)


def test_loops_are_shown_where_there_is_nothing_else() -> None:
    """As the inversion of ammonia: in the table, in the tree and in the drawing alike."""
    only = drawn_run(found=[eq(0, 0.0), ts(0, 90.0, "EQ0", "EQ0")])
    table = sections(only)[1]
    assert table.title == "Transition states: 1"
    assert [row[0] for row in table.rows] == ["TS0"]
    assert graph_lines(only)[1:] == ["└─ TS0  90.0  → itself"]
    figure = network_figure(only)
    assert "TS0 90" in texts_of(figure)
    assert "not drawn" not in note_of(figure)


@pytest.mark.parametrize("apart", [1.6, 2.1])  # times the usual length from C: 1.5 and 2.0
def test_loops_in_which_bonds_change_are_reactions(apart: float) -> None:
    loop = ts(6, 700.0, "EQ2", "EQ2")
    there = loop.irc_positions[0]
    back = there.copy()
    back[2] = [apart, 0.3, 0.0]  # a hydrogen on oxygen
    molecule = drawn_run().molecule
    assert names(molecule, there) == ("CH2–O",)
    assert names(molecule, back) == ("CH–OH",)
    changed = replace(loop, irc_positions=np.array([there, loop.positions, back]))
    run = drawn_run(found=[*records(), changed])
    shown = sections(run)[1]
    assert shown.title == "Transition states: 7, 1 loop not shown; `show --loops` lists it"
    assert (shown.rows[-1][0], shown.rows[-1][-1]) == ("TS6", "loop")
    # The bonds tell reactions from changes of the conformation.
    place = shown.columns.index("<bonds")
    assert shown.rows[-1][place] == "-C0–H2 +O1–H2"
    assert {row[place] for row in shown.rows[:-1]} == {""}
    assert "├─ TS6  700.0  → itself" in graph_lines(run)


def test_what_is_wrong_with_a_transition_state_is_said() -> None:
    high = ts(6, 800.0, "EQ0", "EQ1")
    high = replace(high, wavenumbers=high.wavenumbers - 2600.0)
    labels = {"labelled_ends": ["EQ0.0", "EQ0.0"]}
    back = ts(7, 700.0, "EQ0", "EQ0")
    begun, top = back.irc_positions[0], back.positions
    back = replace(
        back, proof={**back.proof, **labels}, irc_positions=np.array([begun, top, begun])
    )
    # Distortions of one structure, closer to each other than structures are told apart.
    turned = ts(10, 715.0, "EQ0", "EQ0")
    bent = begun + 1.5 * (top - begun)
    turned = replace(
        turned, proof={**turned.proof, **labels}, irc_positions=np.array([begun, top, bent])
    )
    exchange = ts(8, 710.0, "EQ0", "EQ0")
    exchange = replace(exchange, proof={**exchange.proof, "labelled_ends": ["EQ0.0", "EQ0.1"]})
    apart = ts(9, 720.0, "DC0", "DC0")
    apart = replace(apart, proof={**apart.proof, "labelled_ends": ["DC0", "DC0"]})
    run = drawn_run(found=[*records(), high, back, exchange, apart, turned])
    flags = {item["id"]: item["flags"] for item in show_object(run)["ts"]}
    assert [flags[f"TS{k}"] for k in (0, 6, 7, 8, 9, 10)] == [
        [],
        ["cusp"],
        ["loop", "same_ends"],
        ["loop"],
        ["loop"],
        ["loop"],
    ]
    table = sections(run)[1]
    said = {row[0]: row[-1] for row in table.rows}
    # Shown though it is a loop.
    assert said["TS7"] == "loop, same ends"
    assert said["TS6"] == "cusp"
    assert not {"TS5", "TS8"} & set(said)
    assert [note.split(":")[0] for note in table.notes] == ["cusp", "same ends"]
    assert not sections(drawn_run())[1].notes


def test_the_graph_lists_every_transition_state_once() -> None:
    lines = graph_lines(drawn_run(), loops=True)
    text = "\n".join(lines)
    for number in range(6):
        assert text.count(f"TS{number} ") == 1
    assert lines[0] == "EQ0 (CH2–O)  0.0"
    assert "└─ TS5  650.0  → itself" in lines
    assert "├─ TS2  305.6  → DC0 (C–O + H2)" in lines
    assert "├─ barrierless  181.0  → DC0 (C–O + H2)" in lines
    # Where it was reached from is told though a complex is joined to it.
    way = lines[lines.index("EQ2 (CH2–O)  208.6") + 2]
    assert way == "└─ no direct step known  → DC1 (C–O + H2)"
    assert [node["origin"] for node in show_object(drawn_run())["dc"]] == ["EQ0", "EQ2"]
    loose = drawn_run(found=[eq(0, 0.0), dc(0, 181.0, "EQ0")])
    assert "└─ no TS known  → DC0 (C–O + H2)" in graph_lines(loose)
    # A channel is said to have no known TS below its EQ if the table says so, and only then.
    for run in (drawn_run(), loose):
        marked = {row[0] for row in sections(run)[2].rows if row[3] == "no TS known"}
        told = {line.split("→ ")[1].split()[0] for line in graph_lines(run) if "no TS" in line}
        assert told == marked


def test_a_report_of_many_structures_takes_no_look_at_each_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is superposed or looked up, and a molecule is named once, however often it is met."""
    named = []
    name = naming._name

    def counted(part: object) -> str:
        named.append(part)
        return name(part)  # type: ignore[arg-type]

    def refused(*_: object) -> None:
        raise AssertionError("a report looks nothing up")

    monkeypatch.setattr(naming, "_name", counted)
    monkeypatch.setattr(networks.graph.network, "fingerprint", refused)
    monkeypatch.setattr(networks.graph.identity, "same_labelled", refused)
    naming._names.cache_clear()
    found = [
        *(eq(i, 1.0 * i) for i in range(150)),
        dc(0, 200.0, "EQ3"),
        *(ts(i, 300.0 + i, f"EQ{i}", f"EQ{i + 1}") for i in range(149)),
    ]
    run = drawn_run(found=found)
    sections(run)
    graph_lines(run)
    show_object(run)
    assert len(named) == 3  # CH2O, CO and H2


def test_channels_are_compared_with_those_of_the_same_bonds_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []
    same = Bonding.same
    monkeypatch.setattr(
        Bonding, "same", lambda one, other: compared.append(one) or same(one, other)
    )
    molecule = Molecule.from_symbols(["He"] * 40)
    line = 5.0 * np.arange(40.0)[:, None] * [1.0, 0.0, 0.0]
    network = ReactionNetwork(molecule)
    for number in range(39):  # channels of one to 39 pairs and clusters
        x = line.copy()
        x[1 : number + 2] = x[0] + 0.5 * np.arange(1, number + 2)[:, None] * [0.0, 1.0, 0.0]
        network.add_dc(x, -1.0, origin="EQ0")
    assert len(network.dcs) == 39
    assert not compared
