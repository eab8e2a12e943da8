"""Trials: how they are known, what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from afir.methods.base import Offer
from afir.molecule import Positions
from afir.stationary import Outcome
from networks.records.runs import Examined
from networks.records.structures import DC, EQ, TS, Dismissed


@dataclass(frozen=True)
class Trial:
    """One trial: what was tried and what it found.

    Attributes
    ----------
    number
        1, 2, … in the order of the run.
    round
        The round it belonged to.
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
        Number of first attempts of the EQ left after this one; None if not known, because a limit
        had closed the EQ meanwhile.
    """

    number: int
    round: int
    eq: str
    push: int
    method: str
    offer: Mapping[str, Any]
    seed: tuple[int, ...]
    outcome: Outcome
    crossed: bool
    gradients: Mapping[str, int]
    cpu_seconds: float
    found: tuple[str, ...]
    error: str = ""
    pushes_left: int | None = None
    gamma: float = 0.0
    met: tuple[str, ...] = ()

    @property
    def offered(self) -> Offer:
        """The offer with its method."""
        return Offer(self.method, self.offer)


class Item(NamedTuple):
    """One push of one EQ: its id, and the number of the push."""

    eq: str
    push: int


class Result(Enum):
    """The result of a trial, which decides on another attempt."""

    MISSED = "it crossed a barrier and no saddle point was found"
    MOVED = "it crossed a barrier, and a saddle point was found or none is of interest"
    UNMOVED = "it crossed nothing"
    FAILED = "it has no result"
    DISPLACED = "it was no push"


class Used(NamedTuple):
    """A trial in short form: the item, `Trial.pushes_left` after it, and the result."""

    item: Item
    left: int | None
    result: Result


@dataclass(frozen=True)
class Plan:
    """The pushes of a round, chosen before any of them is done."""

    round: int
    ceiling: float | None
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Key:
    """The key of a task in a round: a phase and a number within the phase."""

    phase: str
    index: int


@dataclass(frozen=True, eq=False)
class Absorbed:
    """The results of a finished round, committed together."""

    round: int
    eqs: tuple[EQ, ...]
    tss: tuple[TS, ...]
    dcs: tuple[DC, ...]
    trials: tuple[Trial, ...]
    dismissed: tuple[Dismissed, ...]
    gradients: Mapping[str, int]
    """By stage, of tasks outside trials: the start, labels, recalled structures, rechecks."""
    cpu_seconds: float
    wanted: tuple[Positions, float] | None = None
    owners: Mapping[Key, int] = field(default_factory=dict)
    """The number of the trial that each task belonged to."""
    examined: tuple[Examined, ...] = ()
    """The surfaces with the result of their check at the start."""
    again: Mapping[int, tuple[Dismissed, ...]] = field(default_factory=dict)
    """By trial its candidates that were rejected before: reported as events, not stored."""
