"""Export of a network to the formats of other programs.

========  ===============================================================================
format    content
========  ===============================================================================
graphml   one graph for Gephi, Cytoscape, yEd …: EQs and DCs as nodes, TSs and the
          barrierless links of complexes to channels as edges
json      the same graph as node-link JSON (`networkx.node_link_graph` reads it), with
          coordinates
csv       four tables: ``NAME.csv`` gives ``NAME_eq.csv``, ``NAME_ts.csv``, ``NAME_dc.csv`` and
          ``NAME_barrierless.csv``
extxyz    all structures with id, kind and energy in eV
ase-db    an ASE database: one row a structure, with energy in eV and key-value pairs
========  ===============================================================================

Energies are in kJ/mol relative to the lowest EQ and in hartree, except where ASE reads them:
extended XYZ and the ASE database hold eV.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import networkx as nx

from afir.errors import InputError
from afir.geometry.naming import names
from afir.io.printable import printable, printable_json
from afir.io.safe_write import new_file, writing
from afir.io.structures import xyz_text
from afir.units import HARTREE, KJ_PER_MOL
from networks.graph.flags import BARRIERLESS, flags_of
from networks.graph.network import Graph, fragments
from networks.records.structures import DC, EQ, TS, Barrierless
from networks.reporting.run import Run, zero_of

SUFFIXES: Mapping[str, str] = {
    ".graphml": "graphml",
    ".json": "json",
    ".csv": "csv",
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".db": "ase-db",
}
"""The format of each file suffix."""

Value = str | int | float | bool


def export(
    run: Run, output: Path, format: str | None = None, *, overwrite: bool = False
) -> list[Path]:
    """Write the network of a run for another program; returns the files.

    Parameters
    ----------
    run
        The run.
    output
        The file; for csv the stem of four files.
    format
        ``graphml``, ``json``, ``csv``, ``extxyz`` or ``ase-db``; None goes by the suffix.
    overwrite
        Whether to replace existing files.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    InputError
        If a file exists already (unless ``overwrite``) or cannot be written, or the format is not
        known.
    """
    writers: dict[str, Callable[[Run, list[Path]], None]] = {
        "graphml": _graphml,
        "json": _json,
        "csv": _csv,
        "extxyz": _extxyz,
        "ase-db": _ase_db,
    }
    chosen = format or SUFFIXES.get(output.suffix.lower())
    if chosen is None:
        raise InputError(
            f"the format of {output} is not clear; give --format {'|'.join(writers)} or one of "
            f"the suffixes {' '.join(SUFFIXES)}"
        )
    if chosen not in writers:
        raise InputError(f"`format` must be one of {', '.join(writers)}, got {chosen!r}")
    if not output.name or output.is_dir():
        raise InputError(f"--output must be a file, got the directory {output}")
    files = [output]
    if chosen == "csv":
        suffix = output.suffix or ".csv"
        files = [
            output.with_name(f"{output.stem}_{kind}{suffix}")
            for kind in ("eq", "ts", "dc", "barrierless")
        ]
    for file in files:
        new_file(file, force=overwrite, remedy="add --force")
    with writing(*files) as drafts:
        writers[chosen](run, drafts)
    return files


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
        graph.add_node(node.id, **_node_facts(run, node))
    for ts in run.network.tss.values():
        graph.add_edge(*ts.ends, key=ts.id, **_ts_facts(run, ts))
    for edge in run.network.barrierless.values():
        graph.add_edge(*edge.ends, key=edge.id, **_edge_facts(run, edge))
    return graph


def _energies(run: Run, record: EQ | TS | DC | Barrierless) -> dict[str, Value]:
    return {
        "energy_hartree": record.energy / HARTREE,
        "relative_kj_mol": (record.energy - zero_of(run.network)) / KJ_PER_MOL,
    }


def _node_facts(run: Run, node: EQ | DC) -> dict[str, Value]:
    """The attributes of a node, as plain values."""
    parts = node.fragments if isinstance(node, DC) else fragments(run.molecule, node.positions)
    return {
        "kind": node.id[:2],
        **_energies(run, node),
        "flags": printable(" ".join(flags_of(node))),
        "fragments": printable(" + ".join(parts)),
        "name": " + ".join(names(run.molecule, node.positions)),
    }


def _ts_facts(run: Run, ts: TS) -> dict[str, Value]:
    """The attributes of a transition state, as plain values."""
    return {
        **_edge_facts(run, ts),
        "imaginary_cm1": float(ts.imaginary_cm1),
        "flags": " ".join(flags_of(ts)),
    }


def _edge_facts(run: Run, edge: TS | Barrierless) -> dict[str, Value]:
    """The attributes of any edge, as plain values."""
    first, second = (run.network.node(end).energy for end in edge.ends)
    return {
        "id": edge.id,
        "kind": "TS" if isinstance(edge, TS) else BARRIERLESS,
        **_energies(run, edge),
        "first": edge.ends[0],
        "second": edge.ends[1],
        "barrier_from_first_kj_mol": (edge.energy - first) / KJ_PER_MOL,
        "barrier_from_second_kj_mol": (edge.energy - second) / KJ_PER_MOL,
    }


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


def _csv(run: Run, files: list[Path]) -> None:
    network = run.network
    eqs, dcs = (
        [{"id": node.id, **_node_facts(run, node)} for node in nodes.values()]
        for nodes in (network.eqs, network.dcs)
    )
    tss = [_ts_facts(run, ts) for ts in network.tss.values()]
    barrierless = [_edge_facts(run, edge) for edge in network.barrierless.values()]
    node_keys = ["id", "energy_hartree", "relative_kj_mol", "flags", "fragments", "name"]
    edge_keys = [
        "id",
        "first",
        "second",
        "energy_hartree",
        "relative_kj_mol",
        "barrier_from_first_kj_mol",
        "barrier_from_second_kj_mol",
    ]
    ts_keys = [*edge_keys, "imaginary_cm1", "flags"]
    tables = (
        (eqs, node_keys),
        (tss, ts_keys),
        (dcs, node_keys),
        (barrierless, edge_keys),
    )
    for file, (rows, keys) in zip(files, tables, strict=True):
        with file.open("x", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, keys, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


def _structures(run: Run) -> list[tuple[EQ | TS | DC, dict[str, str | int | float]]]:
    """All structures, each with its attributes as plain values that ASE accepts."""
    network = run.network
    found: list[tuple[EQ | TS | DC, dict[str, str | int | float]]] = []
    records: list[EQ | TS | DC] = [
        *network.eqs.values(),
        *network.tss.values(),
        *network.dcs.values(),
    ]
    for record in records:
        facts: dict[str, str | int | float] = {
            "kind": record.id[:2],
            "relative_kj_mol": (record.energy - zero_of(network)) / KJ_PER_MOL,
        }
        if isinstance(record, TS):
            facts |= {
                "first": record.ends[0],
                "second": record.ends[1],
                "imaginary_cm1": float(record.imaginary_cm1),
            }
        if flags_of(record):
            facts["flags"] = printable(" ".join(flags_of(record)))
        found.append((record, facts))
    return found


def _extxyz(run: Run, files: list[Path]) -> None:
    structures = _structures(run)
    text = xyz_text(
        run.molecule,
        [record.positions for record, _ in structures],
        energies=[record.energy for record, _ in structures],
        labels=[{"id": record.id, **facts} for record, facts in structures],
    )
    files[0].write_text(text, encoding="utf-8")


def _ase_db(run: Run, files: list[Path]) -> None:
    from ase import Atoms  # takes 0.2 s, so only here
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.db import connect

    try:
        # No lock file: no other process knows the new file, and ASE waits forever for a stale lock.
        with connect(files[0], type="db", use_lock_file=False) as database:
            for record, facts in _structures(run):
                atoms = Atoms(list(run.molecule.symbols), positions=record.positions)
                atoms.calc = SinglePointCalculator(atoms, energy=record.energy)
                data = {}
                if not isinstance(record, DC):
                    data["wavenumbers"] = record.wavenumbers
                database.write(
                    atoms,
                    key_value_pairs=facts
                    | {
                        "node": record.id,  # ASE keeps the name id for itself
                        "total_charge": run.molecule.charge,
                        "multiplicity": run.molecule.multiplicity,
                    },
                    data=data,
                )
    except sqlite3.Error as error:
        raise OSError(str(error)) from error
