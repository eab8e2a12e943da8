"""The formats ``graphml`` and ``json``: one graph of nodes and edges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx

from afir.io.printable import printable, printable_json
from networks.graph.network import Graph
from networks.records.structures import DC, EQ, TS
from networks.reporting.export import ExportFormat
from networks.reporting.formats.facts import edge_facts, node_facts, ts_facts
from networks.reporting.run import Run


def plain_graph(run: Run) -> Graph:
    """The network as a graph whose attributes are plain numbers and text.

    Nodes have ``kind``, ``energy_hartree``, ``relative_kj_mol``, ``flags``, ``fragments`` (Hill
    formulas) and ``name`` (see `afir.geometry.naming`); edges have ``kind`` (``TS`` or
    ``barrierless``), ``energy_hartree``, ``relative_kj_mol``, ``first`` and ``second`` (the ends),
    ``barrier_from_first_kj_mol`` and ``barrier_from_second_kj_mol``, and those of TSs, whose ids
    are their keys, ``imaginary_cm1`` and ``flags``. The graph has ``formula``, ``charge``,
    ``multiplicity`` and ``surface``.
    """
    molecule = run.molecule
    graph: Graph = nx.MultiGraph(
        formula=molecule.formula,
        charge=molecule.charge,
        multiplicity=molecule.multiplicity,
        surface=printable(run.settings.reported[0]),
    )
    nodes: list[EQ | DC] = [*run.network.eqs.values(), *run.network.dcs.values()]
    for node in nodes:
        graph.add_node(str(node.id), **node_facts(run, node))
    for ts in run.network.tss.values():
        graph.add_edge(*map(str, ts.ends), key=str(ts.id), **ts_facts(run, ts))
    for edge in run.network.barrierless.values():
        graph.add_edge(*map(str, edge.ends), key=edge.id, **edge_facts(run, edge))
    return graph


def _graphml(run: Run, files: list[Path]) -> None:
    nx.write_graphml_xml(plain_graph(run), files[0])


def _json(run: Run, files: list[Path]) -> None:
    data = nx.node_link_data(plain_graph(run), edges="edges")

    def coordinates(record: EQ | TS | DC) -> list[list[Any]]:
        return [
            [symbol, *(float(x) for x in row)]
            for symbol, row in zip(run.molecule.symbols, record.positions, strict=True)
        ]

    for node in data["nodes"]:
        node["xyz"] = coordinates(run.network.node(node["id"]))
    for edge in data["edges"]:
        if edge["key"] in run.network.tss:
            edge["xyz"] = coordinates(run.network.tss[edge["key"]])
    text = printable_json(json.dumps(data, indent=1, ensure_ascii=False))
    files[0].write_text(text + "\n", encoding="utf-8")


GRAPHML = ExportFormat(_graphml, suffixes=(".graphml",))
"""The format ``graphml``."""

NODE_LINK = ExportFormat(_json, suffixes=(".json",))
"""The format ``json``."""
