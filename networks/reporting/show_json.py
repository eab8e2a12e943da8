"""The JSON object of ``afir show --json``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from afir.geometry.naming import names
from afir.stationary import Outcome
from afir.units import HARTREE, KJ_PER_MOL
from networks.graph.flags import flags_of
from networks.records.structures import DC, EQ, TS
from networks.reporting.run import Run, zero_of

SCHEMA_VERSION = 1
"""The version of the object `show_object` returns."""


def show_object(run: Run) -> dict[str, Any]:
    """The object of ``afir show RUN --json``: plain JSON values only.

    Returns
    -------
    dict
        The keys are described in docs/show-json.md. Energies are totals in hartree and, as
        ``relative_kj_mol``, relative to the lowest EQ; coordinates are in Å.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "molecule": {
            "formula": run.molecule.formula,
            "charge": run.molecule.charge,
            "multiplicity": run.molecule.multiplicity,
        },
        "surface": run.settings.reported[0],
        "searched_on": run.settings.surface,
        "learned": bool(run.models),
        "seed": run.settings.seed,
        **_network(run),
        **_totals(run),
        "unseen": asdict(run.remains.unseen),
        "pushes": {"listed": run.remains.pushes, "left": run.remains.pushes_left},
        "window": {
            "kj_mol": run.settings.window_kj_mol,
            "trials_above": run.summary.trials.get(Outcome.OUTSIDE_WINDOW, 0),
            "eqs_above": run.remains.eqs_above,
        },
        "doubts": list(run.doubts),
    }


def _network(run: Run) -> dict[str, Any]:
    """The structures and the barrierless edges."""
    network = run.network
    return {
        "eq": [_node(run, eq) for eq in network.eqs.values()],
        "ts": [
            {
                **_structure(run, ts),
                "imaginary_cm1": float(ts.imaginary_cm1),
                "ends": list(map(str, ts.ends)),
                "verified": ts.verified,
                "proof": dict(ts.proof),
            }
            for ts in network.tss.values()
        ],
        "dc": [{**_node(run, dc), "origin": str(dc.origin)} for dc in network.dcs.values()],
        "barrierless": [
            {"ends": list(map(str, edge.ends)), **_energy(run, edge.energy)}
            for edge in network.barrierless.values()
        ],
    }


def _node(run: Run, record: EQ | DC) -> dict[str, Any]:
    """An EQ or DC, with the names of its molecules."""
    name = " + ".join(names(run.molecule, record.positions))
    return {**_structure(run, record), "name": name}


def _structure(run: Run, record: EQ | TS | DC) -> dict[str, Any]:
    """What every structure has."""
    return {
        "id": str(record.id),
        **_energy(run, record.energy),
        "flags": flags_of(record),
        "xyz": [
            [symbol, *(float(x) for x in row)]
            for symbol, row in zip(run.molecule.symbols, record.positions, strict=True)
        ],
    }


def _energy(run: Run, energy: float) -> dict[str, float]:
    """An energy in eV as a total in hartree, and relative to the lowest EQ."""
    return {
        "energy_hartree": energy / HARTREE,
        "relative_kj_mol": (energy - zero_of(run.network)) / KJ_PER_MOL,
    }


def _totals(run: Run) -> dict[str, Any]:
    """What the run took, and why it ended."""
    summary = run.summary
    return {
        "trials": {outcome.name.lower(): count for outcome, count in summary.trials.items()},
        "gradients": {
            "total": sum(summary.gradients.values()),
            "counted": run.settings.counted(summary.gradients),
            "stages": dict(summary.gradients),
        },
        "seconds": float(summary.seconds),
        "complete": {
            "anything_left": summary.complete.anything_left,
            "stopped_by": summary.complete.stopped_by.name.lower(),
        },
    }
