"""The format ``csv``: tables of EQs, TSs, DCs and barrierless edges."""

from __future__ import annotations

import csv
from pathlib import Path

from networks.reporting.export import ExportFormat
from networks.reporting.formats.facts import edge_facts, node_facts, ts_facts
from networks.reporting.run import Run


def _csv(run: Run, files: list[Path]) -> None:
    network = run.network
    eqs, dcs = (
        [{"id": node.id, **node_facts(run, node)} for node in nodes.values()]
        for nodes in (network.eqs, network.dcs)
    )
    tss = [ts_facts(run, ts) for ts in network.tss.values()]
    barrierless = [edge_facts(run, edge) for edge in network.barrierless.values()]
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


CSV = ExportFormat(_csv, suffixes=(".csv",), parts=("eq", "ts", "dc", "barrierless"))
"""The format ``csv``."""
