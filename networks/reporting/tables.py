"""The results of a run as tables and as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from afir.geometry.bonds import brief_changes
from afir.geometry.naming import names
from afir.units import KJ_PER_MOL
from networks.graph.flags import (
    BARRIERLESS,
    MEANINGS,
    NO_STEP,
    NO_TS_KNOWN,
    WORDS,
    flags_of,
    in_words,
    told,
)
from networks.graph.network import ReactionNetwork, origin_alone
from networks.records.ids import Id
from networks.records.structures import DC, EQ, TS, Barrierless
from networks.reporting.run import Run, node_name, zero_of

_MOST_BONDS = 3  # of a transition state in a table: its row stays readable


@dataclass(frozen=True)
class Section:
    """A table; a column whose name starts with ``<`` holds text, others numbers.

    The notes are printed below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def sections(run: Run, *, limit: int | None = None, loops: bool = False) -> list[Section]:
    """The tables of ``afir show``.

    Parameters
    ----------
    run
        The run.
    limit
        Maximum number of structures in a table, the lowest first; None means all.
    loops
        Whether to list transition states from a structure to itself. Those with a warning are
        always listed, and all if there are no others.
    """
    return [
        _eq_section(run, limit),
        _ts_section(run, limit, loops),
        _dc_section(run, limit),
        Section(
            "Trials",
            ("<outcome", "count"),
            _counted((outcome.value, n) for outcome, n in run.summary.trials.items()),
        ),
        Section(
            "Rejected candidates",
            ("<reason", "count"),
            _counted((outcome.value, n) for outcome, n in run.summary.rejected.items()),
        ),
        Section("Gradients", ("<stage", "count"), _counted(run.summary.gradients.items())),
    ]


def _eq_section(run: Run, limit: int | None) -> Section:
    """The table of EQs, lowest energy first."""
    network = run.network
    eqs = sorted(network.eqs.values(), key=lambda eq: eq.energy)
    rows = [
        (
            eq.id,
            _relative(run, eq.energy),
            f"{eq.wavenumbers[0]:.0f}" if len(eq.wavenumbers) else "",
            " + ".join(names(run.molecule, eq.positions)),
            in_words(flags_of(eq)),
            " ".join(_sorted(network.neighbours(eq.id).keys() - {eq.id})),
        )
        for eq in eqs[:limit]
    ]
    return Section(
        _title("Equilibrium structures", eqs, limit),
        ("<EQ", "kJ/mol", "softest mode / cm⁻¹", "<molecules", "<", "<connected to"),
        tuple(rows),
    )


def _ts_section(run: Run, limit: int | None, loops: bool) -> Section:
    """The table of TSs, lowest energy first."""
    tss = sorted(run.network.tss.values(), key=lambda ts: ts.energy)
    listed = told(run.molecule, tss, loops=loops)
    rows = [
        (
            ts.id,
            *ts.ends,
            _relative(run, ts.energy),
            *(f"{(ts.energy - run.network.node(end).energy) / KJ_PER_MOL:.1f}" for end in ts.ends),
            f"{ts.imaginary_cm1:.0f}",
            _bonds(run, ts),
            str(ts.proof.get("irc", "")),
            in_words(flags_of(ts)),
        )
        for ts in listed[:limit]
    ]
    return Section(
        _title("Transition states", listed, limit, len(tss) - len(listed)),
        (
            "<TS",
            "<from",
            "<to",
            "kJ/mol",
            "forward barrier",
            "reverse",
            "imaginary / cm⁻¹",
            "<bonds",
            "<IRC",
            "<",
        ),
        tuple(rows),
        _warnings(listed[:limit]),
    )


def _dc_section(run: Run, limit: int | None) -> Section:
    """The table of DCs, lowest energy first."""
    network = run.network
    dcs = sorted(network.dcs.values(), key=lambda dc: dc.energy)
    rows = [
        (
            dc.id,
            _relative(run, dc.energy),
            " + ".join(names(run.molecule, dc.positions)),
            f"{BARRIERLESS} from {' '.join(joined)}" if joined else in_words(flags_of(dc)),
            " ".join(_sorted({*network.neighbours(dc.id), *_origin(network, dc)})),
        )
        for dc in dcs[:limit]
        for joined in [network.joined_to(dc.id)]
    ]
    return Section(
        _title("Dissociation channels", dcs, limit),
        ("<DC", "kJ/mol", "<fragments", "<", "<reached from"),
        tuple(rows),
    )


def _relative(run: Run, energy: float) -> str:
    """An energy in eV as kJ/mol above the lowest EQ."""
    return f"{(energy - zero_of(run.network)) / KJ_PER_MOL:.1f}"


def _bonds(run: Run, ts: TS) -> str:
    """The bonds broken and formed from the first end of a transition state to the second."""
    changes = brief_changes(run.molecule, ts.irc_positions[0], ts.irc_positions[-1])
    return " ".join(changes[:_MOST_BONDS]) + (" …" if len(changes) > _MOST_BONDS else "")


def _title(what: str, found: Sequence[object], limit: int | None, folded: int = 0) -> str:
    """A title with the number of structures and how many of them are shown."""
    shown = f", the lowest {limit}" if limit is not None and len(found) > limit else ""
    return f"{what}: {len(found) + folded}{shown}" + (f", {_not_shown(folded)}" if folded else "")


def _not_shown(loops: int) -> str:
    """The words on loops that are not listed, and how to list them."""
    if loops == 1:
        return "1 loop not shown; `show --loops` lists it"
    return f"{loops} loops not shown; `show --loops` lists them"


def _warnings(tss: Iterable[TS]) -> tuple[str, ...]:
    """The warnings about transition states, once each."""
    found = {flag for ts in tss for flag in flags_of(ts)}
    return tuple(f"{WORDS[flag]}: {text}" for flag, text in MEANINGS.items() if flag in found)


def _sorted(ids: Iterable[Id]) -> list[Id]:
    return sorted(ids, key=Id.order)


def _origin(network: ReactionNetwork, dc: DC) -> list[Id]:
    """The EQ that first reached a channel, if no known edge connects the two."""
    return [Id(dc.origin)] if origin_alone(network, dc) else []


def _counted(items: Iterable[tuple[str, int]]) -> tuple[tuple[str, str], ...]:
    """Rows of counts, largest first, and their sum."""
    rows = sorted(items, key=lambda item: (-item[1], item[0]))
    if not rows:
        return ()
    return (*((name, str(n)) for name, n in rows), ("total", str(sum(n for _, n in rows))))


def graph_lines(run: Run, *, loops: bool = False) -> list[str]:
    """The network as lines of text: every node, and below it the nodes connected to it.

    Each transition state is listed once, below the lower of its ends. Loops that the table leaves
    out are counted.
    """
    network = run.network
    zero = zero_of(network)
    listed = {ts.id for ts in told(run.molecule, network.tss.values(), loops=loops)}
    nodes: list[EQ | DC] = sorted(
        [*network.eqs.values(), *network.dcs.values()], key=lambda node: node.energy
    )
    place = {node.id: index for index, node in enumerate(nodes)}
    edges: dict[str, list[tuple[TS | Barrierless, str]]] = {node.id: [] for node in nodes}
    folded = dict.fromkeys(edges, 0)
    every: list[TS | Barrierless] = [*network.tss.values(), *network.barrierless.values()]
    for edge in sorted(every, key=lambda edge: edge.energy):
        lower, upper = sorted(edge.ends, key=place.__getitem__)
        if isinstance(edge, TS) and edge.id not in listed:
            folded[lower] += 1
        else:
            edges[lower].append((edge, upper))
    untold: dict[str, list[DC]] = {}  # channels reached from a node without a known edge
    for dc in network.dcs.values():
        if origin_alone(network, dc):
            untold.setdefault(dc.origin, []).append(dc)
    lines = []
    for node in nodes:
        lines.append(f"{node_name(run, node.id)}  {(node.energy - zero) / KJ_PER_MOL:.1f}")
        below = [
            f"{edge.id if isinstance(edge, TS) else BARRIERLESS}  "
            f"{(edge.energy - zero) / KJ_PER_MOL:.1f}  → "
            + ("itself" if other == node.id else node_name(run, other))
            for edge, other in edges[node.id]
        ]
        below += [
            f"{_unlinked(run, dc)}  → {node_name(run, dc.id)}" for dc in untold.get(node.id, ())
        ]
        if folded[node.id]:
            below.append(f"{folded[node.id]} loop{'s' * (folded[node.id] > 1)} not shown")
        last = len(below) - 1
        lines += [f"{'└─' if i == last else '├─'} {text}" for i, text in enumerate(below)]
    return lines


def _unlinked(run: Run, dc: DC) -> str:
    """The words for the way to a channel that was reached from an EQ without a known edge.

    Those of the table, unless a complex of its molecules is joined to the channel.
    """
    return NO_STEP if run.network.joined_to(dc.id) else WORDS[NO_TS_KNOWN]
