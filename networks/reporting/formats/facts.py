"""The facts of a network as plain numbers and text, which any file can hold."""

from __future__ import annotations

from afir.geometry.naming import names
from afir.io.printable import printable
from afir.units import HARTREE, KJ_PER_MOL
from networks.graph.flags import BARRIERLESS, flags_of
from networks.graph.network import fragments
from networks.records.structures import DC, EQ, TS, Barrierless
from networks.reporting.run import Run, zero_of

Value = str | int | float | bool


def node_facts(run: Run, node: EQ | DC) -> dict[str, Value]:
    """The facts of a node: kind, energies, flags, fragments (Hill formulas) and name.

    The name is that of `afir.geometry.naming`.
    """
    parts = node.fragments if isinstance(node, DC) else fragments(run.molecule, node.positions)
    return {
        "kind": node.id.kind,
        **_energies(run, node),
        "flags": printable(" ".join(flags_of(node))),
        "fragments": printable(" + ".join(parts)),
        "name": " + ".join(names(run.molecule, node.positions)),
    }


def ts_facts(run: Run, ts: TS) -> dict[str, Value]:
    """The facts of a transition state: those of an edge, its imaginary wavenumber, its flags."""
    return {
        **edge_facts(run, ts),
        "imaginary_cm1": float(ts.imaginary_cm1),
        "flags": " ".join(flags_of(ts)),
    }


def edge_facts(run: Run, edge: TS | Barrierless) -> dict[str, Value]:
    """The facts of any edge: id, kind, energies, ends, and the barriers from both."""
    first, second = (run.network.node(end).energy for end in edge.ends)
    return {
        "id": str(edge.id),
        "kind": "TS" if isinstance(edge, TS) else BARRIERLESS,
        **_energies(run, edge),
        "first": str(edge.ends[0]),
        "second": str(edge.ends[1]),
        "barrier_from_first_kj_mol": (edge.energy - first) / KJ_PER_MOL,
        "barrier_from_second_kj_mol": (edge.energy - second) / KJ_PER_MOL,
    }


def _energies(run: Run, record: EQ | TS | DC | Barrierless) -> dict[str, Value]:
    """The energy in hartree, and relative to the lowest EQ in kJ/mol."""
    return {
        "energy_hartree": record.energy / HARTREE,
        "relative_kj_mol": (record.energy - zero_of(run.network)) / KJ_PER_MOL,
    }
