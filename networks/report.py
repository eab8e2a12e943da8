"""What a run found, as one JSON object for scripts and as tables for people.

The object of ``afir show RUN --json`` has the keys below; ``docs/show-json.md`` describes each.
A key is never renamed or removed without a new ``schema_version``.

``schema_version``, ``molecule`` {``formula``, ``charge``, ``multiplicity``}, ``surface``,
``searched_on``, ``learned``, ``seed``, ``eq`` [{``id``, ``energy_hartree``, ``relative_kj_mol``,
``flags``, ``xyz``, ``name``}], ``dc`` (the same), ``ts`` (the same without ``name``, with
``imaginary_cm1``, ``ends``, ``verified``, ``proof``),
``trials`` {outcome: count}, ``gradients`` {``total``, ``counted``, ``stages`` {stage: count}},
``seconds``, ``complete`` {``anything_left``, ``stopped_by``}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from afir.errors import AfirError, InputError
from afir.molecule import Molecule
from afir.stationary import Outcome
from afir.units import HARTREE, KJ_PER_MOL
from networks.dismissals import Dismissals
from networks.naming import names
from networks.network import ReactionNetwork
from networks.records import COMPLEX, DC, EQ, TS, Model, RunSummary, StoppedBy
from networks.routes import lowest_route
from networks.settings import Settings
from networks.store import Store

SCHEMA_VERSION = 1
"""The version of the object `show_object` returns."""

NO_TS_KNOWN = "no_ts_known"
"""Flag of a DC that no known transition state leads to."""


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
        How many trials have passed since one last added a node.
    wanted
        The id of the wanted product, if it has been found.
    models
        What was learned on the way.
    """

    molecule: Molecule
    settings: Settings
    network: ReactionNetwork
    summary: RunSummary
    job: str = ""
    barren: int = 0
    wanted: str | None = None
    models: tuple[Model, ...] = ()


@dataclass(frozen=True)
class Section:
    """A table for people; a column whose name starts with ``<`` holds text, others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def load_run(path: Path) -> Run:
    """Read a run file, also while it is being written.

    Raises
    ------
    InputError
        If there is no such file, it is no run, or what is in it makes no sense.
    """
    try:
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
            )
    except AfirError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # SQLite has checked its own structure, not the numbers and texts in it.
        raise InputError(f"the run file {path} is damaged; go back to a copy of it") from error


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


def flags_of(record: EQ | TS | DC) -> list[str]:
    """The flags of a record: ``complex`` for an EQ, ``no_ts_known`` for a DC."""
    if isinstance(record, EQ):
        return list(record.flags)
    return [NO_TS_KNOWN] if isinstance(record, DC) and record.no_ts_known else []


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
        "dc": [node(dc) for dc in network.dcs.values()],
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


def node_name(run: Run, id: str) -> str:
    """A node for people: its id, and its molecules by name, with dots where they hold together."""
    record = run.network.node(id)
    between = "…" if isinstance(record, EQ) and COMPLEX in record.flags else " + "
    return f"{id} ({between.join(names(run.molecule, record.positions))})"


def heading(run: Run) -> str:
    """What was explored, and what energies in tables are relative to."""
    settings = run.settings
    surface, values = settings.reported
    options = ", ".join(f"{key}={value}" for key, value in values.items())
    text = f"{run.molecule.name} on {surface}" + (f" ({options})" if options else "")
    if settings.reference:
        text += f", searched on {settings.surface}"
    if run.models:
        text += f" and what was learned from {run.models[-1].labels} labels"
    elif settings.learn:
        text += ", for nothing was learned yet"
    if run.network.eqs:
        text += f"; energies in kJ/mol, relative to {run.network.lowest.id}, the lowest"
    return text


def sections(run: Run, *, limit: int | None = None) -> list[Section]:
    """The tables of ``afir show``.

    Parameters
    ----------
    run
        The run.
    limit
        The most structures a table lists, the lowest first; None means all.
    """
    return [
        *_structures(run, limit),
        Section(
            "Trials",
            ("<outcome", "count"),
            _counted((outcome.value, n) for outcome, n in run.summary.trials.items()),
        ),
        Section(
            "Structures examined and rejected",
            ("<why", "count"),
            _counted((outcome.value, n) for outcome, n in run.summary.rejected.items()),
        ),
        Section("Gradients", ("<stage", "count"), _counted(run.summary.gradients.items())),
    ]


def _structures(run: Run, limit: int | None) -> list[Section]:
    """The tables of EQs, TSs and DCs, lowest energy first."""
    network = run.network
    zero = zero_of(network)

    def relative(energy: float) -> str:
        return f"{(energy - zero) / KJ_PER_MOL:.1f}"

    eqs = sorted(network.eqs.values(), key=lambda eq: eq.energy)
    dcs = sorted(network.dcs.values(), key=lambda dc: dc.energy)
    tss = sorted(network.tss.values(), key=lambda ts: ts.energy)
    eq_rows = [
        (
            eq.id,
            relative(eq.energy),
            f"{eq.wavenumbers[0]:.0f}" if len(eq.wavenumbers) else "",
            " + ".join(names(run.molecule, eq.positions)),
            " ".join(eq.flags),
            " ".join(_neighbours(network, eq.id)),
        )
        for eq in eqs[:limit]
    ]
    ts_rows = [
        (
            ts.id,
            ts.ends[0],
            ts.ends[1],
            relative(ts.energy),
            f"{(ts.energy - network.node(ts.ends[0]).energy) / KJ_PER_MOL:.1f}",
            f"{(ts.energy - network.node(ts.ends[1]).energy) / KJ_PER_MOL:.1f}",
            f"{ts.imaginary_cm1:.0f}",
            str(ts.proof.get("irc", "")),
        )
        for ts in tss[:limit]
    ]
    dc_rows = [
        (
            dc.id,
            relative(dc.energy),
            " + ".join(names(run.molecule, dc.positions)),
            "no TS known" if dc.no_ts_known else "",
            " ".join(_neighbours(network, dc.id)) or dc.origin,
        )
        for dc in dcs[:limit]
    ]
    return [
        Section(
            _title("Equilibrium structures", eqs, limit),
            ("<EQ", "kJ/mol", "softest / cm⁻¹", "<molecules", "<", "<leads to"),
            tuple(eq_rows),
        ),
        Section(
            _title("Transition states", tss, limit),
            (
                "<TS",
                "<from",
                "<to",
                "kJ/mol",
                "barrier forth",
                "and back",
                "imaginary / cm⁻¹",
                "<IRC",
            ),
            tuple(ts_rows),
        ),
        Section(
            _title("Dissociation channels", dcs, limit),
            ("<DC", "kJ/mol", "<fragments", "<", "<reached from"),
            tuple(dc_rows),
        ),
    ]


def _title(what: str, found: Sequence[object], limit: int | None) -> str:
    """A title that says how many there are and how many of them are shown."""
    shown = f", the lowest {limit}" if limit is not None and len(found) > limit else ""
    return f"{what}: {len(found)}{shown}"


def _neighbours(network: ReactionNetwork, id: str) -> list[str]:
    """The ids one step away, itself left out, in the order of their numbers."""
    return sorted(
        (other for other in network.neighbours(id) if other != id),
        key=lambda other: (other[:2] != "EQ", int(other[2:])),
    )


def _counted(items: Iterable[tuple[str, int]]) -> tuple[tuple[str, str], ...]:
    """Counts, largest first, with their sum."""
    rows = sorted(items, key=lambda item: (-item[1], item[0]))
    if not rows:
        return ()
    return (*((name, str(n)) for name, n in rows), ("in all", str(sum(n for _, n in rows))))


def graph_lines(run: Run) -> list[str]:
    """The network as text: every node, below it the transition states that lead on.

    Each transition state is listed once, below the lower of its ends.
    """
    network = run.network
    zero = zero_of(network)
    nodes: list[EQ | DC] = sorted(
        [*network.eqs.values(), *network.dcs.values()], key=lambda node: node.energy
    )
    place = {node.id: index for index, node in enumerate(nodes)}
    edges: dict[str, list[tuple[TS, str]]] = {node.id: [] for node in nodes}
    for ts in sorted(network.tss.values(), key=lambda ts: ts.energy):
        lower, upper = sorted(ts.ends, key=place.__getitem__)
        edges[lower].append((ts, upper))
    lines = []
    for node in nodes:
        lines.append(f"{node_name(run, node.id)}  {(node.energy - zero) / KJ_PER_MOL:.1f}")
        below = [
            f"{ts.id}  {(ts.energy - zero) / KJ_PER_MOL:.1f}  → "
            + ("itself" if other == node.id else node_name(run, other))
            for ts, other in edges[node.id]
        ]
        below += [
            f"no TS known  → {node_name(run, dc.id)}"
            for dc in network.dcs.values()
            if dc.no_ts_known and dc.origin == node.id
        ]
        last = len(below) - 1
        lines += [f"{'└─' if i == last else '├─'} {text}" for i, text in enumerate(below)]
    return lines


def advice(run: Run, path: Path) -> list[str]:
    """What to do next with a run: sentences with commands that can be copied.

    Parameters
    ----------
    run
        The run.
    path
        Its file.
    """
    summary, settings = run.summary, run.settings
    stopped = summary.complete.stopped_by
    trials = sum(summary.trials.values())
    resume = f"`afir resume {path}"
    found: list[str] = []
    if stopped is StoppedBy.INTERRUPTED:
        found.append(f"Nothing is lost; {resume}` goes on.")
    elif stopped in _LIMITS:
        found.append(f"{resume} {' '.join(_raised(run))}` goes on.")
    elif stopped is StoppedBy.WANTED:
        found += _way_to_wanted(run, path)
    else:
        choices = [f"γ above {settings.step.gamma:g} kJ/mol", "another seed"]
        if settings.window_kj_mol is not None:
            choices.insert(0, f"--window above {settings.window_kj_mol:g}")
        if settings.terms == 1:
            choices.append("--terms 2")
        if not settings.expand_complexes:
            choices.append("--expand-complexes")
        failed = summary.trials.get(Outcome.SURFACE_FAILED, 0)
        but = f", but in {failed} of {trials} trials the surface gave no energy" if failed else ""
        found.append(f"Every push was tried{but}.")
        found.append(f"A new run with {_either(choices)} may find more.")
    return [
        *found,
        f"`afir show {path}` lists everything.",
        f"`afir plot {path} --output network.png` draws it.",
        f"`afir export {path} --output network.graphml` hands it on.",
    ]


_LIMITS = {
    StoppedBy.TRIALS: "--max-trials",
    StoppedBy.GRADIENTS: "--max-gradients",
    StoppedBy.SECONDS: "--max-seconds",
    StoppedBy.PATIENCE: "--patience",
}


def _raised(run: Run) -> list[str]:
    """Options that lift every limit a run has reached: twice what it was and what was used."""
    settings, summary = run.settings, run.summary
    limits: list[tuple[StoppedBy, float | None, float]] = [
        (StoppedBy.TRIALS, settings.max_trials, sum(summary.trials.values())),
        (StoppedBy.GRADIENTS, settings.max_gradients, settings.counted(summary.gradients)),
        (StoppedBy.SECONDS, settings.max_seconds, summary.seconds),
        (StoppedBy.PATIENCE, settings.patience, run.barren),
    ]
    return [
        f"{_LIMITS[kind]} {2 * ceil(max(limit or 0, used, 1))}"
        for kind, limit, used in limits
        # The clock and the gradients of a round that was cut may be a little below their limit.
        if kind is summary.complete.stopped_by or (limit is not None and used >= limit)
    ]


def _way_to_wanted(run: Run, path: Path) -> list[str]:
    """What to do with a wanted product that was found, if it can be reached."""
    if run.wanted == "EQ0":
        return ["The wanted product is the start itself, EQ0."]
    try:
        lowest_route(run.network, "EQ0", run.wanted or "")
    except InputError:
        return []  # e.g. fragments met again, to which no transition states lead
    return [
        f"`afir plot {path} --output profile.png --from EQ0 --to {run.wanted}` draws the way to it."
    ]


def _either(choices: list[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return " or ".join([", ".join(choices[:-1]), choices[-1]] if choices[1:] else choices)
