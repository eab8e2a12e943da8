"""The results of a run: read from its file, and as one JSON object for scripts.

The object of ``afir show RUN --json`` has the keys below; ``docs/show-json.md`` describes each.
A key is never renamed or removed without a new ``schema_version``.

``schema_version``, ``molecule`` {``formula``, ``charge``, ``multiplicity``}, ``surface``,
``searched_on``, ``learned``, ``seed``, ``eq`` [{``id``, ``energy_hartree``, ``relative_kj_mol``,
``flags``, ``xyz``, ``name``}], ``dc`` (the same, with ``origin``), ``ts`` (the same without
``name`` and ``origin``, with ``imaginary_cm1``, ``ends``, ``verified``, ``proof``),
``barrierless`` [{``ends``, ``energy_hartree``, ``relative_kj_mol``}],
``trials`` {outcome: count}, ``gradients`` {``total``, ``counted``, ``stages`` {stage: count}},
``seconds``, ``complete`` {``anything_left``, ``stopped_by``}, ``unseen`` {``observed``,
``met_once``, ``met_twice``, ``trials``, ``estimate``, ``low``, ``high``}, ``pushes`` {``listed``,
``left``}, ``window`` {``kj_mol``, ``trials_above``, ``eqs_above``}, ``doubts`` [text].
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from afir.geometry.naming import names
from afir.molecule import Molecule
from afir.pes.surface import described
from afir.stationary import Outcome
from afir.units import HARTREE, KJ_PER_MOL
from networks.graph.flags import flags_of
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.structures import COMPLEX, DC, EQ, TS, Model, RunSummary
from networks.scheduling.remains import Remains, remains_of
from networks.settings import Settings
from networks.storage.store import Store

SCHEMA_VERSION = 1
"""The version of the object `show_object` returns."""


@dataclass(frozen=True)
class Run:
    """Everything a report needs of a run.

    Attributes
    ----------
    molecule
        The molecule.
    settings
        The settings as they are now.
    network
        The network.
    summary
        Totals.
    job
        The job text as it was resolved when the run was created.
    barren
        Number of trials since one last added a node.
    wanted
        The id of the wanted product, if it has been found.
    models
        The models that were trained.
    remains
        What is left.
    doubts
        Warnings about the surfaces, as sentences without a full stop.
    """

    molecule: Molecule
    settings: Settings
    network: ReactionNetwork
    summary: RunSummary
    job: str = ""
    barren: int = 0
    wanted: str | None = None
    models: tuple[Model, ...] = ()
    remains: Remains = field(default_factory=Remains)
    doubts: tuple[str, ...] = ()


def load_run(path: Path, *, count_pushes: bool = False) -> Run:
    """Read a run file, also while it is being written.

    Parameters
    ----------
    path
        The file.
    count_pushes
        Whether to count the pushes that are left: about 0.05 s for each EQ that was not pushed
        yet; see `networks.scheduling.remains.remains_of`.

    Raises
    ------
    InputError
        If there is no such file, or it is no run.
    StoreError
        If it is damaged or cannot be read.
    """
    with Store.open(path) as store, store.snapshot():
        network = store.load_network()
        return Run(
            store.molecule,
            store.settings,
            network,
            store.summary(),
            store.job,
            store.barren_trials(),
            _wanted(store, network),
            tuple(store.models()),
            remains_of(store, network, count_pushes=count_pushes),
            tuple(f"the surface {e.surface}: {e.doubt}" for e in store.examined() if e.doubt),
        )


def _wanted(store: Store, network: ReactionNetwork) -> str | None:
    """The id of the wanted product, if it has been found."""
    wanted = store.wanted()
    if wanted is None:
        return None
    known = network.find_eq(*wanted)
    if known is not None:
        return known
    dismissals = Dismissals(store.molecule)
    for record in store.dismissed():
        dismissals.add(record)
    return dismissals.node(*wanted)


def zero_of(network: ReactionNetwork) -> float:
    """The energy in eV that relative energies refer to: the lowest EQ, 0 if there is none."""
    return network.lowest.energy if network.eqs else 0.0


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


def node_name(run: Run, id: str) -> str:
    """The id of a node and the names of its molecules, joined by dots in a complex."""
    record = run.network.node(id)
    between = "…" if isinstance(record, EQ) and COMPLEX in record.flags else " + "
    return f"{id} ({between.join(names(run.molecule, record.positions))})"


def heading(run: Run) -> str:
    """The line above the tables: molecule, surfaces, and the zero of energy."""
    settings = run.settings
    text = f"{run.molecule.name} on {described(*settings.reported)}"
    if settings.reference:
        text += f", searched on {settings.surface}"
    if run.models:
        text += f" with a correction learned from {run.models[-1].labels} labels"
    elif settings.learn:
        text += ", nothing learned yet"
    if run.network.eqs:
        text += f"; energies in kJ/mol, relative to {run.network.lowest.id}, the lowest"
    return text
