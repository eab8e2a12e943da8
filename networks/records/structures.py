"""Records of a network and of its trials: plain frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from afir.methods.displacements import Term
from afir.molecule import Positions
from afir.stationary import Outcome, StationaryPoint

Proof: TypeAlias = "Mapping[str, int | float | str | list[str] | list[float] | list[list[float]]]"
"""The verification of a transition state: plain JSON, see `TS.proof`."""

COMPLEX = "complex"
"""Flag of an EQ made of two or more molecules that hold together."""


def _no_mode() -> NDArray[np.float64]:
    return np.empty((0, 3))


@dataclass(frozen=True, eq=False)
class EQ:
    """An equilibrium structure.

    Attributes
    ----------
    id
        ``"EQ0"``, ``"EQ1"``, … in the order of discovery; EQ0 is the start.
    positions
        (n, 3) in Å.
    energy
        eV.
    wavenumbers
        (m,) in cm⁻¹, ascending.
    hessian
        (3n, 3n) in eV/Å².
    flags
        ``"complex"`` when it consists of two or more molecules that hold together.
    gradient_max
        Largest gradient component in eV/Å.
    mode
        (n, 3) unit Cartesian displacement along the softest mode; (0, 3) when not known.
    """

    id: str
    positions: Positions
    energy: float
    wavenumbers: NDArray[np.float64]
    hessian: NDArray[np.float64]
    flags: tuple[str, ...] = ()
    gradient_max: float = 0.0
    mode: NDArray[np.float64] = field(default_factory=_no_mode)

    @property
    def number(self) -> int:
        """The number in the id."""
        return int(self.id[2:])

    def point(self) -> StationaryPoint:
        """The same structure as the searches know it."""
        return StationaryPoint(
            positions=self.positions,
            energy=self.energy,
            gradient_max=self.gradient_max,
            hessian=self.hessian,
            wavenumbers=self.wavenumbers,
            mode=self.mode,
            order=0,
        )


@dataclass(frozen=True, eq=False)
class TS:
    """A verified transition state.

    Attributes
    ----------
    id
        ``"TS0"``, ``"TS1"``, … in the order of discovery.
    positions
        (n, 3) in Å.
    energy
        eV.
    imaginary_cm1
        Size of the imaginary wavenumber in cm⁻¹, a positive number.
    wavenumbers
        (m,) in cm⁻¹, ascending; the imaginary one is negative.
    mode
        (n, 3) unit Cartesian displacement along the imaginary mode.
    hessian
        (3n, 3n) in eV/Å².
    ends
        Ids of the EQs or DCs that the path reaches against and along `mode`.
    verified
        True: only verified transition states become edges.
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

    id: str
    positions: Positions
    energy: float
    imaginary_cm1: float
    wavenumbers: NDArray[np.float64]
    mode: NDArray[np.float64]
    hessian: NDArray[np.float64]
    ends: tuple[str, str]
    verified: bool
    proof: Proof
    irc_positions: Positions
    irc_energies: NDArray[np.float64]

    def point(self) -> StationaryPoint:
        """The same structure as the searches know it."""
        return StationaryPoint(
            positions=self.positions,
            energy=self.energy,
            gradient_max=float(str(self.proof["gradient_max"])),
            hessian=self.hessian,
            wavenumbers=self.wavenumbers,
            mode=self.mode,
            order=1,
        )


@dataclass(frozen=True, eq=False)
class DC:
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

    id: str
    positions: Positions
    energy: float
    fragments: tuple[str, ...]
    no_ts_known: bool
    origin: str = ""


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
    ends: tuple[str, str]
    energy: float


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
        Which push of that EQ, in the order of `networks.scheduling.offers.offers`, from 0. Numbers
        beyond the last start again: they are further attempts.
    terms
        The force terms, or the displacement.
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
    terms: tuple[Term, ...]
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
    node: str | None
    trial: int


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


class StoppedBy(Enum):
    """Why an exploration is not running; the value says it in words."""

    NOTHING_LEFT = "nothing is left to try"
    WANTED = "the wanted product was found"
    TRIALS = "the trial limit was reached"
    GRADIENTS = "the gradient limit was reached"
    SECONDS = "the time limit was reached"
    PATIENCE = "the last trials found nothing new"
    INTERRUPTED = "the run was interrupted"


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


@dataclass(frozen=True)
class Model:
    """A model of the difference between two surfaces that was trained during a run.

    Attributes
    ----------
    number
        1, 2, …; its file is named after it.
    round
        Number of finished rounds when it was trained.
    labels
        Number of geometries it was trained on: the first ones of the run.
    seconds
        Wall time of the training.
    errors
        Its errors as the learner reports them, plain numbers by name.
    """

    number: int
    round: int
    labels: int
    seconds: float
    errors: Mapping[str, float]


@dataclass(frozen=True)
class Examined:
    """A surface of a run whose energies were compared with its gradients at the start.

    Attributes
    ----------
    surface
        Its name and options, for people.
    deviation, ratio, drift
        As in `afir.stationary.Consistency`.
    doubt
        A warning about it; may be empty.
    """

    surface: str
    deviation: float
    ratio: float
    drift: float
    doubt: str


@dataclass(frozen=True)
class Complete:
    """Whether an exploration is complete, and why it is not running."""

    anything_left: bool
    stopped_by: StoppedBy


@dataclass(frozen=True)
class RunSummary:
    """Totals of a run.

    Attributes
    ----------
    trials
        Number of trials by outcome.
    rejected
        Number of examined structures that did not become nodes, by reason.
    gradients
        Gradient evaluations by stage, those of unfinished rounds included.
    seconds, cpu_seconds
        Wall time of all parts of the run; processor time of its tasks.
    complete
        Whether anything is left.
    under_way
        Number of pushes done in an unfinished round.
    """

    trials: Mapping[Outcome, int]
    rejected: Mapping[Outcome, int]
    gradients: Mapping[str, int]
    seconds: float
    cpu_seconds: float
    complete: Complete
    under_way: int = 0


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
