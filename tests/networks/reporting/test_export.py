"""Exports: read back by the libraries they are meant for, they say what the network says."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import ase.db
import ase.io
import networkx as nx
import numpy as np
import pytest
from drawn_network import drawn_run, network_of

from afir.errors import InputError
from afir.io.printable import printable
from afir.io.structures import read_structure
from afir.units import HARTREE
from networks.reporting.export import export, format_names

RUN = drawn_run()
BARRIER = (
    (RUN.network.tss["TS1"].energy - RUN.network.eqs["EQ2"].energy) / HARTREE * 2625.4996394799
)


def _same_graph(graph: nx.MultiGraph) -> None:
    assert sorted(graph.nodes) == ["DC0", "DC1", "EQ0", "EQ1", "EQ2", "EQ3"]
    edges = {key: {first, second} for first, second, key in graph.edges(keys=True)}
    every = {**RUN.network.tss, **RUN.network.barrierless}
    assert edges == {id: set(edge.ends) for id, edge in every.items()}
    assert set(RUN.network.barrierless) == {"EQ3–DC0", "EQ3–DC1"}
    joined = graph.edges["EQ3", "DC1", "EQ3–DC1"]
    assert joined["kind"] == "barrierless"
    assert joined["relative_kj_mol"] == pytest.approx(390.0)
    assert joined["barrier_from_first_kj_mol"] == pytest.approx(390.0 - 179.6)
    assert joined["barrier_from_second_kj_mol"] == pytest.approx(0.0)
    assert graph.edges["EQ0", "EQ0", "TS5"]["flags"] == "loop"
    assert graph.nodes["EQ1"]["relative_kj_mol"] == pytest.approx(216.5)
    assert graph.nodes["EQ3"]["flags"] == "complex"
    assert graph.nodes["DC1"]["fragments"] == "CO + H2"
    assert graph.nodes["DC1"]["name"] == "C–O + H2"
    facts = graph.edges["EQ1", "EQ2", "TS1"]
    assert facts["energy_hartree"] * HARTREE == pytest.approx(RUN.network.tss["TS1"].energy)
    assert facts["imaginary_cm1"] == 1001.0
    assert (facts["kind"], facts["flags"]) == ("TS", "")
    assert facts["first"] == "EQ2"
    assert facts["barrier_from_first_kj_mol"] == pytest.approx(BARRIER) == pytest.approx(115.9)
    assert graph.graph["formula"] == "CH2O"


def test_graphml(tmp_path: Path) -> None:
    (file,) = export(RUN, tmp_path / "net.graphml")
    _same_graph(nx.read_graphml(file, force_multigraph=True))


def test_json(tmp_path: Path) -> None:
    (file,) = export(RUN, tmp_path / "net.json")
    graph = nx.node_link_graph(json.loads(file.read_text()), edges="edges")
    _same_graph(graph)
    symbol, *xyz = graph.nodes["EQ2"]["xyz"][1]
    assert symbol == "O"
    np.testing.assert_allclose(xyz, RUN.network.eqs["EQ2"].positions[1])
    assert len(graph.edges["EQ0", "EQ0", "TS5"]["xyz"]) == 4


def test_csv(tmp_path: Path) -> None:
    files = export(RUN, tmp_path / "net.csv")
    assert [file.name for file in files] == [
        "net_eq.csv",
        "net_ts.csv",
        "net_dc.csv",
        "net_barrierless.csv",
    ]
    eqs, tss, dcs, barrierless = (
        list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) for file in files
    )
    assert [row["id"] for row in eqs] == ["EQ0", "EQ1", "EQ2", "EQ3"]
    assert float(eqs[2]["relative_kj_mol"]) == pytest.approx(208.6)
    assert [(row["first"], row["second"]) for row in tss][2] == ("EQ0", "DC0")
    assert float(tss[1]["barrier_from_first_kj_mol"]) == pytest.approx(BARRIER)
    assert dcs[1]["flags"] == "no_ts_known"
    assert [row["flags"] for row in tss] == ["", "", "", "", "", "loop"]
    assert [(row["first"], row["second"]) for row in barrierless] == [
        ("EQ3", "DC0"),
        ("EQ3", "DC1"),
    ]
    assert float(barrierless[0]["relative_kj_mol"]) == pytest.approx(181.0)


def test_extxyz(tmp_path: Path) -> None:
    (file,) = export(RUN, tmp_path / "net.extxyz")
    frames = ase.io.read(file, index=":")
    assert [frame.info["id"] for frame in frames] == [
        *RUN.network.eqs,
        *RUN.network.tss,
        *RUN.network.dcs,
    ]
    saddle = frames[5]
    assert saddle.info["kind"] == "TS"
    assert saddle.get_potential_energy() == pytest.approx(RUN.network.tss["TS1"].energy, abs=1e-12)
    assert (saddle.info["first"], saddle.info["second"]) == ("EQ2", "EQ1")
    np.testing.assert_allclose(saddle.positions, RUN.network.tss["TS1"].positions, atol=1e-9)
    assert read_structure(file)[0] == RUN.molecule


def test_ase_database(tmp_path: Path) -> None:
    (file,) = export(RUN, tmp_path / "structures.db")
    with ase.db.connect(file) as database:
        assert len(database) == 12
        (row,) = database.select(node="TS4")
        assert row.energy == pytest.approx(RUN.network.tss["TS4"].energy)
        assert row.kind == "TS"
        assert row.second == "EQ2"
        assert row.data["wavenumbers"][0] == -1004.0
        assert database.count(kind="EQ") == 4


def test_the_format_can_be_given(tmp_path: Path) -> None:
    assert export(RUN, tmp_path / "net", "json") == [tmp_path / "net"]
    assert export(RUN, tmp_path / "net", "csv")[0] == tmp_path / "net_eq.csv"
    assert {"graphml", "json", "csv", "extxyz", "ase-db"} <= set(format_names())


def test_wrong_output(tmp_path: Path) -> None:
    for name in ("a.graphml", "a.json", "a.extxyz", "a.db", "a_ts.csv"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(InputError, match="exists already"):
            export(RUN, tmp_path / name.replace("_ts", ""))
        assert (tmp_path / name).read_text() == "precious"
    assert not (tmp_path / "a_eq.csv").exists()
    with pytest.raises(InputError, match="is not clear"):
        export(RUN, tmp_path / "a.pdf")
    with pytest.raises(InputError, match="`format` must be one of"):
        export(RUN, tmp_path / "b.json", "yaml")
    with pytest.raises(InputError, match="does not exist"):
        export(RUN, tmp_path / "no" / "b.json")
    for name, format in (("b.json", "csv"), ("b.csv", "json"), ("b.DB", "extxyz")):
        with pytest.raises(
            InputError, match=f"^--output must end in .* for --format {format}, got"
        ):
            export(RUN, tmp_path / name, format)
    assert not list(tmp_path.glob("b*"))
    assert export(RUN, tmp_path / "b.txt", "json") == [tmp_path / "b.txt"]


def test_an_empty_network_is_exported_too(tmp_path: Path) -> None:
    run = drawn_run(found=[])
    for name in ("a.graphml", "a.json", "a.csv", "a.extxyz", "a.db"):
        assert export(run, tmp_path / name)


HOSTILE = 'ase:a\x1b[31m\x00\x9b"<&>$\\\n,\u202e\udcff\ufffe'


def test_any_name_of_a_surface_is_exported(tmp_path: Path) -> None:
    run = replace(RUN, settings=replace(RUN.settings, surface=HOSTILE))
    (graphml,) = export(run, tmp_path / "net.graphml")
    ElementTree.parse(graphml)
    shown = nx.read_graphml(graphml, force_multigraph=True).graph["surface"]
    assert r"\x1b[31m\x00\x9b" in shown
    assert shown == printable(HOSTILE)
    (as_json,) = export(run, tmp_path / "net.json")
    assert json.loads(as_json.read_text(encoding="utf-8"))["graph"]["surface"] == shown


def test_any_flag_is_exported(tmp_path: Path) -> None:
    """What a file of others holds is escaped, and read back as it was written."""
    flagged = replace(RUN.network.eqs["EQ1"], flags=(HOSTILE,))
    run = replace(RUN, network=network_of([RUN.network.eqs["EQ0"], flagged]))
    (graphml,) = export(run, tmp_path / "net.graphml")
    ElementTree.parse(graphml)
    flags = nx.read_graphml(graphml, force_multigraph=True).nodes["EQ1"]["flags"]
    assert flags.isprintable()
    assert r"\x1b[31m\x00" in flags
    table = export(run, tmp_path / "net.csv")[0].read_text(encoding="utf-8")
    assert [row["flags"] for row in csv.DictReader(table.splitlines())] == ["", flags]
    (extxyz,) = export(run, tmp_path / "net.extxyz")
    assert ase.io.read(extxyz).info["flags"] == flags
    assert len(extxyz.read_text(encoding="utf-8").splitlines()) == 2 * 6
    (as_json,) = export(run, tmp_path / "net.json")
    (_, node) = json.loads(as_json.read_text(encoding="utf-8"))["nodes"]
    assert node["flags"] == flags
    (database,) = export(run, tmp_path / "net.db")
    with ase.db.connect(database) as rows:
        assert [row.flags for row in rows.select(node="EQ1")] == [flags]
