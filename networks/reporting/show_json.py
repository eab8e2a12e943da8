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
        The keys are listed at the top of this module. Energies are totals in hartree and, as
        ``relative_kj_mol``, relative to the lowest EQ; coordinates are in Å.
    """
    network = run.network
    zero = zero_of(network)

    def plain(record: EQ | TS | DC) -> dict[str, Any]:
        return {
            "id": record.id,
            "energy_hartree": record.energy / HARTREE,
            "relative_kj_mol": (record.energy - zero) / KJ_PER_MOL,
            "flags": flags_of(record),
            "xyz": [
                [symbol, *(float(x) for x in row)]
                for symbol, row in zip(run.molecule.symbols, record.positions, strict=True)
            ],
        }

    def node(record: EQ | DC) -> dict[str, Any]:
        return {**plain(record), "name": " + ".join(names(run.molecule, record.positions))}

    summary = run.summary
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
        "eq": [node(eq) for eq in network.eqs.values()],
        "ts": [
            {
                **plain(ts),
                "imaginary_cm1": float(ts.imaginary_cm1),
                "ends": list(ts.ends),
                "verified": ts.verified,
                "proof": dict(ts.proof),
            }
            for ts in network.tss.values()
        ],
        "dc": [{**node(dc), "origin": dc.origin} for dc in network.dcs.values()],
        "barrierless": [
            {
                "ends": list(edge.ends),
                "energy_hartree": edge.energy / HARTREE,
                "relative_kj_mol": (edge.energy - zero) / KJ_PER_MOL,
            }
            for edge in network.barrierless.values()
        ],
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
        "unseen": asdict(run.remains.unseen),
        "pushes": {"listed": run.remains.pushes, "left": run.remains.pushes_left},
        "window": {
            "kj_mol": run.settings.window_kj_mol,
            "trials_above": summary.trials.get(Outcome.OUTSIDE_WINDOW, 0),
            "eqs_above": run.remains.eqs_above,
        },
        "doubts": list(run.doubts),
    }
