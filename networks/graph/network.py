"""The reaction-route network: equilibrium structures and their connections.

Nodes are EQs and DCs, edges are TSs. A structure that is added twice is one node; ids follow the
order of discovery and are never reused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import networkx as nx
import numpy as np

from afir.errors import InputError
from afir.geometry.bonds import components
from afir.molecule import Molecule, Positions, hill_formula
from afir.stationary import Confirmation, StationaryPoint
from afir.units import KJ_PER_MOL
from networks.graph.bonding import Bonding, Graph, Signature, bonding
from networks.graph.flags import reacting
from networks.graph.identity import IdentityIndex, fingerprint
from networks.records.ids import Id
from networks.records.structures import COMPLEX, DC, EQ, TS, Barrierless, Dismissed, Proof, content
from networks.records.trials import Trial

__all__ = [
    "COMPLEX",
    "DC",
    "EQ",
    "TS",
    "Barrierless",
    "Dismissed",
    "Graph",
    "Proof",
    "ReactionNetwork",
    "Trial",
    "fragments",
    "origin_alone",
    "proof_of",
]

Node: TypeAlias = EQ | DC
_ByBonding: TypeAlias = dict[Signature, list[tuple[Id, Bonding]]]
_ABOVE = 0.5  # kJ/mol: an end more than this above its EQ is reported; chosen, see `flags`


class ReactionNetwork:
    """The network of one molecule.

    Parameters
    ----------
    molecule
        The molecule of all structures.
    """

    def __init__(self, molecule: Molecule) -> None:
        self.molecule = molecule
        self._graph: Graph = nx.MultiGraph()
        self._eqs: dict[str, EQ] = {}
        self._tss: dict[str, TS] = {}
        self._dcs: dict[str, DC] = {}
        self._minima = IdentityIndex(molecule)
        self._saddles = IdentityIndex(molecule)
        # Records that are in no index yet: indexing takes time, and reports need none.
        self._waiting: list[EQ | TS] = []
        # Channels and complexes by their bonding, and the edges between them.
        self._apart: _ByBonding = {}
        self._loose: _ByBonding = {}
        self._barrierless: dict[str, Barrierless] = {}
        self._joined: dict[str, list[Id]] = {}
        self._lowest: EQ | None = None

    @property
    def eqs(self) -> Mapping[str, EQ]:
        """Equilibrium structures by id, in the order of discovery."""
        return MappingProxyType(self._eqs)

    @property
    def tss(self) -> Mapping[str, TS]:
        """Transition states by id, in the order of discovery."""
        return MappingProxyType(self._tss)

    @property
    def dcs(self) -> Mapping[str, DC]:
        """Dissociation channels by id, in the order of discovery."""
        return MappingProxyType(self._dcs)

    @property
    def barrierless(self) -> Mapping[str, Barrierless]:
        """The barrierless edges between each complex and the channel of its molecules, by id.

        They follow from the nodes: the molecules of a complex associate without a barrier, unless
        a transition state over which no bond changes is known to join the two.
        """
        order = sorted(self._barrierless.values(), key=lambda edge: [id.number for id in edge.ends])
        return {edge.id: edge for edge in order}

    def joined_to(self, id: str) -> tuple[Id, ...]:
        """The ids of the nodes connected to a complex or a channel without a barrier."""
        self.node(id)
        return tuple(sorted(self._joined.get(id, ()), key=Id.order))

    @property
    def graph(self) -> Graph:
        """The graph; do not change it.

        A node has the attributes ``kind`` (``"EQ"`` or ``"DC"``) and ``energy`` (eV); an edge
        has the TS id as its key and the attributes ``energy`` and ``barrierless`` (False). A
        rearrangement into an equivalent structure is a loop. The edges of `barrierless` have their
        own ids and True.
        """
        return self._graph

    @property
    def lowest(self) -> EQ:
        """The EQ of lowest energy; raises InputError when there is none."""
        if self._lowest is None:
            raise InputError("the network must hold at least one EQ, got an empty one")
        return self._lowest

    def node(self, id: str) -> EQ | DC:
        """The EQ or DC with this id; raises InputError when there is none."""
        found = self._eqs.get(id) or self._dcs.get(id)
        if found is None:
            raise InputError(f"`id` must be an EQ or DC of the network, got {id!r}")
        return found

    def neighbours(self, id: str) -> dict[Id, tuple[str, ...]]:
        """The neighbours of a node: node id → ids of the edges that connect both.

        These are transition states and `barrierless` edges.
        """
        self.node(id)
        return {other: tuple(edges) for other, edges in self._graph.adj[id].items()}

    def find_eq(
        self, positions: Positions, energy: float, *, first: int | None = None
    ) -> Id | None:
        """The id of the EQ with this structure (n, 3) in Å and energy in eV; None if it is new.

        With `first` only as many EQs are compared, the earliest ones.
        """
        self._take_in()
        mark = fingerprint(self.molecule, positions, energy)
        return _as_id(self._minima.find(mark, positions, _among(first)))

    def find_ts(
        self, positions: Positions, energy: float, *, first: int | None = None
    ) -> Id | None:
        """The id of the TS with this structure (n, 3) in Å and energy in eV; None if it is new.

        With `first` only as many TSs are compared, the earliest ones.
        """
        self._take_in()
        mark = fingerprint(self.molecule, positions, energy)
        return _as_id(self._saddles.find(mark, positions, _among(first)))

    def find_dc(self, positions: Positions, *, first: int | None = None) -> Id | None:
        """The id of the channel with the fragments of positions (n, 3) in Å; None if it is new.

        Channels are the same when their fragments have the same atoms bonded in the same way,
        whatever the distance between them. With `first` only as many channels are compared, the
        earliest ones.
        """
        found, among = bonding(self.molecule, positions), _among(first)
        alike = self._apart.get(found.signature, [])
        chosen = (pair for pair in alike if among is None or among(pair[0]))
        return next((id for id, known in chosen if known.same(found)), None)

    def add_eq(self, point: StationaryPoint) -> tuple[Id, bool]:
        """Add a minimum; the id of its node and whether it is new."""
        known = self.find_eq(point.positions, point.energy)
        if known is not None:
            return known, False
        parts = components(self.molecule, point.positions)
        flags = (COMPLEX,) if len(parts) > 1 else ()
        record = EQ(**content(point), id=Id.of("EQ", len(self._eqs)), flags=flags)
        self.insert(record)
        return record.id, True

    def add_ts(self, confirmation: Confirmation, ends: tuple[str, str]) -> tuple[Id, bool]:
        """Add a verified transition state between two nodes; its id and whether it is new.

        A channel at one of its ends loses the flag that no TS is known.
        """
        point = confirmation.point
        known = self.find_ts(point.positions, point.energy)
        if known is not None:
            return known, False
        path = confirmation.irc_positions
        labels = [
            str(self._label(end, x)) for end, x in zip(ends, (path[0], path[-1]), strict=True)
        ]
        proof: Proof = {
            **proof_of(confirmation),
            **self._above(confirmation, ends),
            "labelled_ends": labels,
        }
        record = TS(
            **content(point),
            id=Id.of("TS", len(self._tss)),
            ends=(Id(ends[0]), Id(ends[1])),
            proof=proof,
            irc_positions=confirmation.irc_positions,
            irc_energies=confirmation.irc_energies,
        )
        self.insert(record)
        return record.id, True

    def _above(self, confirmation: Confirmation, ends: tuple[str, str]) -> dict[str, list[float]]:
        """The energies of the ends of a path above their EQs in kJ/mol, if one is noticeable.

        Empty if the path was followed on another surface than that of the EQs.
        """
        if confirmation.checked_at:
            return {}
        gaps = [
            (end.energy - self._eqs[id].energy) / KJ_PER_MOL if id in self._eqs else 0.0
            for end, id in zip(confirmation.ends, ends, strict=True)
        ]
        return {"ends_above_kj_mol": gaps} if max(gaps) > _ABOVE else {}

    def add_dc(self, positions: Positions, energy: float, *, origin: str) -> tuple[Id, bool]:
        """Add a channel, positions (n, 3) in Å and energy in eV; its id and whether it is new."""
        known = self.find_dc(positions)
        if known is not None:
            return known, False
        record = DC(
            id=Id.of("DC", len(self._dcs)),
            positions=positions,
            energy=energy,
            fragments=fragments(self.molecule, positions),
            no_ts_known=True,
            origin=origin,
        )
        self.insert(record)
        return record.id, True

    def insert(self, record: EQ | TS | DC) -> None:
        """Add a record unchanged, e.g. from a run file; ids must be new and ends known.

        Raises
        ------
        InputError
            For an id that is taken, an end that is not in the network, or numbers that cannot be
            those of a structure.
        """
        if record.id in self._eqs or record.id in self._tss or record.id in self._dcs:
            raise InputError(f"`id` must be new, got {record.id!r} a second time")
        self._check(record)
        if isinstance(record, TS):
            for end in record.ends:
                self.node(end)
            self._waiting.append(record)
            self._tss[record.id] = record
            self._graph.add_edge(
                *record.ends, key=record.id, energy=record.energy, barrierless=False
            )
            for end in record.ends:
                if end in self._dcs:
                    self._dcs[end] = _reached(self._dcs[end])
            if not reacting(self.molecule, record):
                self._part(*record.ends)
            return
        self._graph.add_node(record.id, kind=record.id.kind, energy=record.energy)
        if isinstance(record, EQ):
            self._waiting.append(record)
            self._eqs[record.id] = record
            if self._lowest is None or record.energy < self._lowest.energy:
                self._lowest = record
            if COMPLEX in record.flags:
                self._join(record, self._loose, self._apart)
        else:
            self._dcs[record.id] = record
            self._join(record, self._apart, self._loose)

    def _check(self, record: EQ | TS | DC) -> None:
        """Raise InputError for a record whose numbers are not those of a structure."""
        shape = self.molecule.n_atoms, 3
        path = record.irc_positions if isinstance(record, TS) else record.positions[None]
        if np.shape(record.positions) != shape or not len(path) or path.shape[1:] != shape:
            raise InputError(f"`positions` of {record.id} must have the shape {shape}")
        if not np.isfinite(record.energy):
            raise InputError(f"the energy of {record.id} must be finite, got {record.energy}")

    def _take_in(self) -> None:
        """Add all waiting records to the indices, in the order in which they came."""
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            if isinstance(record, EQ):
                self._index(self._minima, record)
                continue
            for end, x in zip(record.ends, (0, -1), strict=True):
                self._label(end, record.irc_positions[x])
            self._index(self._saddles, record)

    def _join(self, record: EQ | DC, same: _ByBonding, others: _ByBonding) -> None:
        """Join a complex to the channels, or a channel to the complexes, of its molecules."""
        found = bonding(self.molecule, record.positions)
        same.setdefault(found.signature, []).append((record.id, found))
        for id, known in others.get(found.signature, []):
            if known.same(found):
                eq, dc = sorted((record.id, id), key=Id.order)
                energy = max(record.energy, self.node(id).energy)
                edge = Barrierless(f"{eq}–{dc}", (eq, dc), energy)
                self._barrierless[edge.id] = edge
                self._joined.setdefault(eq, []).append(dc)
                self._joined.setdefault(dc, []).append(eq)
                self._graph.add_edge(eq, dc, key=edge.id, energy=energy, barrierless=True)

    def _part(self, first: str, second: str) -> None:
        """Remove the barrierless edge between two nodes, if there is one."""
        for eq, dc in ((first, second), (second, first)):
            edge = self._barrierless.pop(f"{eq}–{dc}", None)
            if edge is not None:
                self._joined[eq].remove(edge.ends[1])
                self._joined[dc].remove(edge.ends[0])
                self._graph.remove_edge(eq, dc, key=edge.id)

    def _label(self, end: str, positions: Positions) -> Id:
        """The labelled id of an end, with its atom arrangement (`EQ3.1`); a DC keeps its id."""
        id = Id(end)
        return id.arranged(self._minima.arrangement(id, positions)) if end in self._eqs else id

    def _index(self, index: IdentityIndex, record: EQ | TS) -> None:
        mark = fingerprint(self.molecule, record.positions, record.energy)
        index.add(record.id, mark, record.positions)


def _among(first: int | None) -> Callable[[str], bool] | None:
    """Whether a node or a TS is one of the first; None for all of them."""
    return None if first is None else lambda id: Id(id).number < first


def _as_id(found: str | None) -> Id | None:
    return None if found is None else Id(found)


def proof_of(confirmation: Confirmation) -> Proof:
    """The verification of a transition state as plain JSON; see `TS.proof`."""
    point = confirmation.point
    more: dict[str, int | list[list[float]]] = {}
    if confirmation.checked_at:
        more["irc_checked_at"] = confirmation.checked_at
    if any(end.ridges for end in confirmation.ends):
        more["ridges_cm1"] = [list(end.ridges) for end in confirmation.ends]
    return {
        **more,
        "negative_eigenvalues": point.order,
        "imaginary_cm1": -float(point.wavenumbers[0]),
        "gradient_max": point.gradient_max,
        "irc": "monotone" if confirmation.monotone else "not monotone",
        "ends": [end.outcome.value for end in confirmation.ends],
    }


def fragments(molecule: Molecule, positions: Positions) -> tuple[str, ...]:
    """The Hill formulas of the molecules a geometry (n, 3) consists of, sorted."""
    symbols = molecule.symbols
    return tuple(
        sorted(hill_formula([symbols[i] for i in part]) for part in components(molecule, positions))
    )


def origin_alone(network: ReactionNetwork, channel: DC) -> bool:
    """Whether no known edge connects a channel with the EQ that first reached it."""
    reached = channel.no_ts_known and channel.origin in network.eqs
    return reached and channel.origin not in network.joined_to(channel.id)


def _reached(channel: DC) -> DC:
    """The channel without the flag that no transition state is known."""
    return DC(
        channel.id,
        channel.positions,
        channel.energy,
        channel.fragments,
        no_ts_known=False,
        origin=channel.origin,
    )
