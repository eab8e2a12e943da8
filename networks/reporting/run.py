"""A run as it is read for reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from afir.errors import AfirError
from afir.geometry.naming import names
from afir.molecule import Molecule
from afir.pes.registry import described
from afir.stationary import ending
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.policies.abilities import doubt_of
from networks.policies.base import load_policy
from networks.records.ids import Id
from networks.records.runs import Model, RunSummary, StoppedBy
from networks.records.structures import COMPLEX, EQ
from networks.records.trials import FAILED, Trial
from networks.scheduling.history import History
from networks.scheduling.remains import Remains, remains_of
from networks.scheduling.scheduler import Outlook
from networks.settings import Settings
from networks.storage.base import ReadableStore
from networks.storage.run_file import RunFile

_NAMED = 6  # ids in a sentence or note: it stays on a line


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
        Warnings about the surfaces, and with `count_pushes` about the policy, as sentences without
        a full stop.
    failure
        The error of the first trial, if every trial has failed.
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
    failure: str = ""


def load_run(path: Path, *, count_pushes: bool = False) -> Run:
    """Read a run file, also while it is being written.

    Parameters
    ----------
    path
        The file.
    count_pushes
        Whether to count the pushes that are left, about 0.05 s for each EQ that was not pushed
        yet (`networks.scheduling.remains.remains_of`), and to ask the policy for its doubts.

    Raises
    ------
    InputError
        If there is no such file, or it is no run.
    StoreError
        If it is damaged or cannot be read.
    """
    with RunFile.open(path) as store, store.snapshot():
        network, summary, trials = store.load_network(), store.summary(), list(store.trials())
        over = summary.complete.stopped_by is StoppedBy.NOTHING_LEFT
        return Run(
            store.molecule,
            store.settings,
            network,
            summary,
            store.job,
            History(trials).barren(),
            _wanted(store, network),
            tuple(store.models()),
            remains_of(store.settings, network, trials, over=over, count_pushes=count_pushes),
            (
                *(f"the surface {e.surface}: {e.doubt}" for e in store.examined() if e.doubt),
                *(_doubt(store.settings, network) if count_pushes else ()),
            ),
            _failure(trials),
        )


def _doubt(settings: Settings, network: ReactionNetwork) -> tuple[str, ...]:
    """The warning about the policy; none if it is not installed here or cannot be asked."""
    if "EQ0" not in network.eqs:
        return ()
    outlook = Outlook(settings, network, Dismissals(network.molecule), History())
    try:
        policy = load_policy(settings.policy, settings.policy_options)
        doubt = doubt_of(settings.policy, policy, outlook.pushes, network)
    except AfirError:  # what was found must still be shown
        return ()
    return (f"the policy {settings.policy}: {doubt}",) if doubt else ()


def _failure(trials: Sequence[Trial]) -> str:
    """The error of the first trial, if every trial has failed."""
    if any(trial.outcome not in FAILED for trial in trials):
        return ""
    return ending(trials[0].outcome, trials[0].error) if trials else ""


def _wanted(store: ReadableStore, network: ReactionNetwork) -> str | None:
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


def node_name(run: Run, id: str) -> str:
    """The id of a node and the names of its molecules, joined by dots in a complex."""
    record = run.network.node(id)
    between = "…" if isinstance(record, EQ) and COMPLEX in record.flags else " + "
    return f"{id} ({between.join(names(run.molecule, record.positions))})"


def few_ids(ids: Sequence[str]) -> str:
    """The first ids, by number, and the count of the others."""
    ordered = sorted(map(Id, ids), key=Id.order)
    more = len(ordered) - _NAMED
    return " ".join(ordered[:_NAMED]) + (f" and {more} more" if more > 0 else "")


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
