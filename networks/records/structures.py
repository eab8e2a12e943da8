"""Equilibrium structures, transition states and dissociation channels.

An EQ and a TS are the stationary point that a search has proven, with the id of the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from afir.molecule import Positions
from afir.stationary import Outcome, ReadOnlyArrays, StationaryPoint
from networks.records.ids import Id

Proof: TypeAlias = "Mapping[str, int | float | str | list[str] | list[float] | list[list[float]]]"
"""The verification of a transition state: plain JSON, see `TS.proof`."""

COMPLEX = "complex"
"""Flag of an EQ made of two or more molecules that hold together."""


@dataclass(frozen=True, eq=False, kw_only=True)
class EQ(StationaryPoint):
    """An equilibrium structure: a `StationaryPoint` of order 0 with an id.

    Attributes
    ----------
    id
        ``"EQ0"``, ``"EQ1"``, … in the order of discovery; EQ0 is the start.
    flags
        ``"complex"`` when it consists of two or more molecules that hold together.
    """

    id: Id
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "id", Id(self.id))

    @property
    def number(self) -> int:
        """The number in the id."""
        return self.id.number


@dataclass(frozen=True, eq=False, kw_only=True)
class TS(StationaryPoint):
    """A verified transition state: a `StationaryPoint` of order 1 with an id.

    Attributes
    ----------
    id
        ``"TS0"``, ``"TS1"``, … in the order of discovery.
    ends
        Ids of the EQs or DCs that the path reaches against and along `mode`.
    proof
        ``negative_eigenvalues``, ``imaginary_cm1``, ``gradient_max`` (eV/Å), ``irc``
        (``"monotone"`` or ``"not monotone"``), ``ends`` (how both minimisations ended) and
        ``labelled_ends``: ids with the atoms told apart, ``EQ3.1`` being the second
        arrangement of the atoms of EQ3 that a path met, so that a path can be followed atom
        by atom. ``ridges_cm1``, where there are any: for each end the saddle points that the path
        ran into and was followed down from. ``ends_above_kj_mol``, where an end lies more than
        0.5 kJ/mol above its EQ: how far each does. With a reference
        ``irc_checked_at``: the number of points, of this path and of those followed before it,
        that the reference evaluated.
    irc_positions, irc_energies
        (m, n, 3) in Å and (m,) in eV, from the first end through the TS to the second.
    """

    id: Id
    ends: tuple[Id, Id]
    proof: Proof
    irc_positions: Positions
    irc_energies: NDArray[np.float64]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "id", Id(self.id))
        object.__setattr__(self, "ends", tuple(map(Id, self.ends)))

    @property
    def imaginary_cm1(self) -> float:
        """Size of the imaginary wavenumber in cm⁻¹, a positive number."""
        return -float(self.wavenumbers[0])

    @property
    def verified(self) -> bool:
        """True: only verified transition states become edges."""
        return True


def content(point: StationaryPoint) -> dict[str, Any]:
    """The fields of a stationary point by name, without those that a record adds."""
    return {field.name: getattr(point, field.name) for field in fields(StationaryPoint)}


def alone(point: StationaryPoint) -> StationaryPoint:
    """A stationary point without what a record adds, such as the path of a TS."""
    return StationaryPoint(**content(point))


@dataclass(frozen=True, eq=False)
class DC(ReadOnlyArrays):
    """A dissociation channel: separated fragments.

    Attributes
    ----------
    id
        ``"DC0"``, ``"DC1"``, … in the order of discovery.
    positions
        (n, 3) in Å.
    energy
        eV, with the fragments relaxed but not infinitely far apart.
    fragments
        Their Hill formulas, sorted.
    no_ts_known
        Whether no transition state is known that leads here (a UDC).
    origin
        The EQ whose push first reached it.
    """

    id: Id
    positions: Positions
    energy: float
    fragments: tuple[str, ...]
    no_ts_known: bool
    origin: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "id", Id(self.id))


@dataclass(frozen=True)
class Barrierless:
    """An edge between a complex and the channel of its molecules, without a barrier.

    Attributes
    ----------
    id
        Both ids, e.g. ``"EQ1–DC3"``.
    ends
        The complex and the channel.
    energy
        eV, that of the higher end.
    """

    id: str
    ends: tuple[Id, Id]
    energy: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "ends", tuple(map(Id, self.ends)))


@dataclass(frozen=True, eq=False)
class Dismissed:
    """A structure that was found and is no node of its own, so that it is not examined twice.

    Attributes
    ----------
    kind
        ``"TS"`` for a saddle point candidate, ``"EQ"`` for a rough minimum.
    positions
        (n, 3) in Å.
    energy
        eV.
    outcome
        Why it did not become a node; CONFIRMED or CONVERGED if it is `node`.
    reason
        The same in words, with the message of the search.
    node
        The id of the node that it is, or None if it was rejected.
    trial
        The number of the trial that found it.
    """

    kind: str
    positions: Positions
    energy: float
    outcome: Outcome
    reason: str
    node: Id | None
    trial: int

    def __post_init__(self) -> None:
        if self.node is not None:
            object.__setattr__(self, "node", Id(self.node))
