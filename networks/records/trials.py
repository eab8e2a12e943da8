"""Trials: how they are known, what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from afir.methods.base import Offer
from afir.molecule import Positions
from afir.stationary import Outcome
from networks.records.ids import Id
from networks.records.runs import Examined
from networks.records.structures import DC, EQ, TS, Dismissed


@dataclass(frozen=True)
class Trial:
    """One trial: what was tried and what it found.

    Attributes
    ----------
    number
        1, 2, … in the order of the run.
    known
        Number of trials that were judged when it was chosen.
    eq
        The EQ that was pushed.
    push
        The number of the offer on that EQ (`networks.scheduling.offers`), from 0. Numbers beyond
        the last start again: they are further attempts.
    method
        The name of the method.
    offer
        What it offered, as plain data (`afir.methods.base.Offer`); not to be changed.
    seed
        The seed of its random numbers.
    outcome
        The outcome.
    crossed
        Whether the artificial force alone carried the structure out of its basin.
    gamma
        γ in kJ/mol at which it did, a value of the ladder of the step; 0 if it did not.
    gradients
        Gradient evaluations by stage, its own and those it caused: verification of its transition
        states, optimisation of its minima.
    cpu_seconds
        Processor time of the same.
    found
        Ids of the nodes it added.
    met
        Ids of all verified structures that it reached, new or known: the TSs of its candidates,
        then the ends of its own new TSs, then the products of the push. Those in `found` are
        among them.
    error
        Why the push itself has no result, in words; empty when it has one.
    pushes_left
        Number of first attempts of the EQ left after this one.
    """

    number: int
    known: int
    eq: Id
    push: int
    method: str
    offer: Mapping[str, Any]
    seed: tuple[int, ...]
    outcome: Outcome
    crossed: bool
    gradients: Mapping[str, int]
    cpu_seconds: float
    found: tuple[Id, ...]
    pushes_left: int
    error: str = ""
    gamma: float = 0.0
    met: tuple[Id, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "eq", Id(self.eq))
        for name in ("found", "met"):
            object.__setattr__(self, name, tuple(map(Id, getattr(self, name))))

    @property
    def offered(self) -> Offer:
        """The offer with its method."""
        return Offer(self.method, self.offer)


FAILED = (
    Outcome.SURFACE_FAILED,
    Outcome.SEARCH_FAILED,
    Outcome.TIMED_OUT,
    Outcome.WORKER_DIED,
)
"""The outcomes of trials that failed for another reason than what they tried."""


class Item(NamedTuple):
    """One push of one EQ: its id, and the number of the push."""

    eq: Id
    push: int


class Result(Enum):
    """The result of a trial, which decides on another attempt."""

    MISSED = "it crossed a barrier and no saddle point was found"
    MOVED = "it crossed a barrier, and a saddle point was found or none is of interest"
    UNMOVED = "it crossed nothing"
    FAILED = "it has no result"
    DISPLACED = "it was no push"
    RUNNING = "it is in flight"


class Used(NamedTuple):
    """A trial in short form: the item, `Trial.pushes_left` after it, and the result."""

    item: Item
    left: int
    result: Result


KICKED = -1
"""The number of an attempt for random geometries, which are not repeated."""


class Known(NamedTuple):
    """What was known when a trial was planned: trials that were judged, and the structures then.

    The first `eqs` EQs were known, the first `tss` TSs, the first `dcs` channels, and the first
    `dismissed` structures that are no nodes of their own.
    """

    trials: int
    eqs: int
    tss: int
    dcs: int
    dismissed: int


@dataclass(frozen=True)
class Planned:
    """A trial that was chosen and is not judged yet.

    Attributes
    ----------
    stage
        The number of its stage.
    trial
        Its number.
    item
        What is tried, by its number.
    offer
        The same as the method offered it.
    left
        See `Trial.pushes_left`.
    ceiling
        Energy in eV above which what it finds is ignored, or None.
    gamma
        γ in kJ/mol; None for that of the settings.
    attempt
        Which attempt at this push it is: 0 is the first, KICKED stands for random geometries.
    known
        What was known.
    """

    stage: int
    trial: int
    item: Item
    offer: Offer
    left: int
    ceiling: float | None
    gamma: float | None
    attempt: int
    known: Known


@dataclass(frozen=True)
class Key:
    """The key of a task in a stage: a phase and a number within the phase."""

    phase: str
    index: int


@dataclass(frozen=True, eq=False)
class Absorbed:
    """The results of a stage, committed together.

    Attributes
    ----------
    stage
        Its number.
    eqs, tss, dcs
        The nodes it added.
    trial
        The trial; None for a stage without one.
    dismissed
        Structures it found that are no nodes of their own.
    gradients, cpu_seconds
        Gradients by stage of a search, and processor time, of tasks outside the trial: the start,
        labels, recalled structures, rechecks.
    wanted
        The wanted product: positions (n, 3) in Å and energy in eV.
    nodes
        The ids of the nodes that structures of the trial became, by the keys of their tasks; None
        for those that became none.
    examined
        The surfaces with the result of their check at the start.
    again
        The candidates that were rejected in earlier trials: reported as events, not stored.
    """

    stage: int
    eqs: tuple[EQ, ...] = ()
    tss: tuple[TS, ...] = ()
    dcs: tuple[DC, ...] = ()
    trial: Trial | None = None
    dismissed: tuple[Dismissed, ...] = ()
    gradients: Mapping[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    wanted: tuple[Positions, float] | None = None
    nodes: Mapping[Key, Id | None] = field(default_factory=dict)
    examined: tuple[Examined, ...] = ()
    again: tuple[Dismissed, ...] = ()
