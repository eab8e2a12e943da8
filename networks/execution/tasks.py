"""Tasks and their results, as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from afir.methods.base import Offer
from afir.molecule import Molecule, Positions
from afir.stationary import (
    Candidate,
    Confirmation,
    Consistency,
    Outcome,
    Sameness,
    StationaryPoint,
    TrialResult,
)
from networks.execution.frames import Frames

if TYPE_CHECKING:
    from afir.searches.known import KnownStructures


@dataclass(frozen=True, eq=False)
class KnownPoints:
    """Structures of the network that the searches of a task recognise.

    Tasks share them: an executor that sends tasks elsewhere need not send each one again
    (`networks.execution.parcels`).

    Attributes
    ----------
    minima, saddles
        EQs and TSs with their exact Hessians.
    """

    minima: tuple[StationaryPoint, ...]
    saddles: tuple[StationaryPoint, ...] = ()

    def of(self, molecule: Molecule) -> KnownStructures:
        """The same as searches take them."""
        # Only a process that does tasks loads the searches.
        from afir.searches.known import KnownStructures

        return KnownStructures(molecule, self.minima, self.saddles)


@dataclass(frozen=True, eq=False)
class Push:
    """Do what a method offers on an EQ, and look for transition states.

    Attributes
    ----------
    start
        The EQ.
    offer
        The offer, with the name of its method.
    ceiling
        Energy in eV above which candidates are ignored, or None.
    seed
        Seed of the random numbers.
    gamma
        γ in kJ/mol; None for that of the settings.
    options
        The options of the method.
    recognised
        Known structures at which its searches end, if there is no reference.
    """

    start: StationaryPoint
    offer: Offer
    ceiling: float | None
    seed: tuple[int, ...]
    gamma: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    recognised: KnownPoints | None = None


@dataclass(frozen=True, eq=False)
class Confirm:
    """Verify a transition state candidate.

    Attributes
    ----------
    candidate
        The candidate.
    ceiling
        Energy in eV on the reference, if there is one, above which it is ignored.
    known
        Known transition states that it may be, if there is a reference.
    recognised
        Known minima at which its path may end, if there is none.
    """

    candidate: Candidate
    ceiling: float | None = None
    known: tuple[StationaryPoint, ...] = ()
    recognised: KnownPoints | None = None


@dataclass(frozen=True, eq=False)
class Characterise:
    """Optimise a minimum.

    Attributes
    ----------
    positions
        (n, 3) in Å.
    hessian
        (3n, 3n) estimate in eV/Å², if there is one.
    known
        Known minima that it may be, if there is a reference.
    is_end
        Whether it is an end of the path of a transition state that the reference verified: then
        there is a minimum, even if a learned surface is unreliable.
    """

    positions: Positions
    hessian: Positions | None = None
    known: tuple[StationaryPoint, ...] = ()
    is_end: bool = False


@dataclass(frozen=True, eq=False)
class Label:
    """Evaluate one geometry (n, 3) in Å on the best surface; counted as `stage`."""

    positions: Positions
    stage: str = "label"


@dataclass(frozen=True, eq=False)
class Recall:
    """Locate a known structure on the searched surface.

    Attributes
    ----------
    kind
        ``"EQ"`` or ``"TS"``; ``"here"`` evaluates the energy only.
    point
        The structure on the reference.
    """

    kind: str
    point: StationaryPoint


@dataclass(frozen=True, eq=False)
class Compare:
    """Check whether a rotation without a barrier connects a minimum with another.

    Attributes
    ----------
    point
        The minimum.
    known
        Other minima with the same bonding and nearly the same energy.
    """

    point: StationaryPoint
    known: tuple[StationaryPoint, ...]


@dataclass(frozen=True, eq=False)
class Examine:
    """Compare energies with gradients near a geometry (n, 3) in Å, perhaps on the reference."""

    positions: Positions
    seed: tuple[int, ...]
    reference: bool = False


@dataclass(frozen=True, eq=False)
class Labelled:
    """The energy of a geometry in eV and its gradient (n, 3) in eV/Å."""

    energy: float
    gradient: Positions


Task: TypeAlias = Push | Confirm | Characterise | Compare | Label | Recall | Examine
Value: TypeAlias = TrialResult | Confirmation | StationaryPoint | Sameness | Labelled | Consistency


def positions_of(task: Task) -> Positions:
    """The geometry (n, 3) in Å that a task begins with."""
    if isinstance(task, Push):
        return task.start.positions
    if isinstance(task, Confirm):
        return task.candidate.positions
    if isinstance(task, Compare | Recall):
        return task.point.positions
    return task.positions


@dataclass(frozen=True, eq=False)
class TaskResult:
    """The result of a task.

    Attributes
    ----------
    value
        What the search returned; None when there is none.
    outcome
        Why there is no value (SURFACE_FAILED, NO_MINIMUM, DOUBTED, SEARCH_FAILED, TIMED_OUT,
        WORKER_DIED); None when there is one.
    error
        The same in words; empty when there is a value.
    gradients
        Gradient evaluations by stage.
    cpu_seconds
        Processor time.
    frames
        The evaluated geometries, if they are kept.
    """

    value: Value | None
    outcome: Outcome | None
    error: str
    gradients: Counter[str]
    cpu_seconds: float
    frames: Frames | None = None


@dataclass(frozen=True)
class Failure:
    """Why a search has no result."""

    outcome: Outcome
    error: str
