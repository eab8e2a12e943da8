"""Results of searches on one surface: minima, stationary points, and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afir.molecule import Positions, read_only


class Outcome(Enum):
    """The outcome of a search or a trial; the value is its text in reports."""

    CONVERGED = "converged"
    STEPS = "the step limit was reached"
    SURFACE_FAILED = "the surface gave no energy for a geometry on the way"
    DISSOCIATED = "the fragments went apart"
    # a trial
    FOUND = "at least one transition state candidate was found"
    NO_BARRIER = "the push changed nothing and left no barrier to climb"
    NO_SADDLE = "no first-order saddle point was found"
    RELAXED = "atoms arranged at random were relaxed; no saddle point was searched"
    OUTSIDE_WINDOW = "what it led to lies above the energy window"
    TIMED_OUT = "the task took longer than its time limit"
    SEARCH_FAILED = "the search ended with an error of its own"
    DOUBTED = "the surface was not to be trusted on the way"
    WORKER_DIED = "the worker process died"
    # a refinement
    NO_MINIMUM = "there is no minimum nearby"
    # a confirmation
    CONFIRMED = "one negative eigenvalue, and the IRC falls to a minimum on both sides"
    WRONG_ORDER = "the stationary point does not have exactly one negative eigenvalue"
    NOT_STATIONARY = "the gradient of the stationary point is not converged"
    TOO_SOFT = "the imaginary wavenumber is too small to be told from noise"
    IRC_FAILED = "the intrinsic reaction coordinate did not fall to a minimum on both sides"
    INCONSISTENT = "the energy along the reaction path is not what its gradients add up to"


def ending(outcome: Outcome, error: str) -> str:
    """The outcome of a search as text, with the error of the surface if it failed."""
    return f"{outcome.value}: {error}" if error else outcome.value


@dataclass(frozen=True)
class Minimum:
    """The result of a minimisation.

    Attributes
    ----------
    outcome
        CONVERGED, or why not.
    positions
        (n, 3) in Å.
    energy
        Energy in eV, without any bias.
    gradient
        (n, 3) gradient in eV/Å, without any bias.
    hessian
        (3n, 3n) quasi-Newton estimate of the Hessian in eV/Å².
    dissociated
        Whether two or more fragments are far apart: not an equilibrium structure.
    error
        Error message of the surface if the outcome is SURFACE_FAILED.
    ridges
        Imaginary wavenumbers, in cm⁻¹ and negative, of saddle points that a reaction path ran into
        and was followed down from, in order. Paths that keep a symmetry may have some.
    """

    outcome: Outcome
    positions: Positions
    energy: float
    gradient: NDArray[np.float64]
    hessian: NDArray[np.float64]
    dissociated: bool = False
    error: str = ""
    ridges: tuple[float, ...] = ()

    @property
    def ending(self) -> str:
        """The outcome as text, with the error of the surface if it failed."""
        return ending(self.outcome, self.error)


class ReadOnlyArrays:
    """A frozen record whose arrays cannot be written to, also after it was sent to a process.

    Methods and policies are given the records themselves: what they write by mistake raises an
    error there, and does not change what is known.
    """

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, read_only(value))

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take what was sent, whose arrays may have become writable on the way."""
        vars(self).update(state)
        ReadOnlyArrays.__post_init__(self)


@dataclass(frozen=True, eq=False)
class StationaryPoint(ReadOnlyArrays):
    """A stationary point with its exact normal modes; its arrays are read-only.

    Attributes
    ----------
    positions
        (n, 3) in Å.
    energy
        eV.
    gradient_max
        Largest gradient component in eV/Å.
    hessian
        (3n, 3n) in eV/Å², by differences of gradients (`afir.searches.hessian`).
    wavenumbers
        (m,) in cm⁻¹, ascending, translation and rotation projected out (m = 3n − 6, 3n − 5
        when linear); an imaginary one is given as a negative number.
    mode
        (n, 3) unit Cartesian displacement along the lowest mode.
    order
        The number of negative eigenvalues: 0 is a minimum, 1 a transition state.
    """

    positions: Positions
    energy: float
    gradient_max: float
    hessian: NDArray[np.float64]
    wavenumbers: NDArray[np.float64]
    mode: NDArray[np.float64]
    order: int


@dataclass(frozen=True)
class Candidate:
    """A converged saddle search, not yet proven to be a transition state.

    Attributes
    ----------
    positions
        (n, 3) in Å.
    energy
        eV.
    hessian
        (3n, 3n) quasi-Newton estimate in eV/Å².
    source
        Origin of the guess: ``"path"`` (a peak of the relaxed path), ``"raw"`` (the unrelaxed
        path), or another name given by the caller.
    """

    positions: Positions
    energy: float
    hessian: NDArray[np.float64]
    source: str


@dataclass(frozen=True)
class TrialResult:
    """The result of one push: the value of the task ``try_push``.

    Attributes
    ----------
    outcome
        FOUND, or why no candidate was found.
    candidates
        Converged saddle points in the order of the path.
    minima
        The minimised end of the push, if it differs from the start.
    crossed
        Whether the artificial force alone moved the structure out of its basin.
    gamma
        γ in kJ/mol at which it did; else 0.
    """

    outcome: Outcome
    candidates: tuple[Candidate, ...]
    minima: tuple[Minimum, ...]
    crossed: bool
    gamma: float = 0.0


@dataclass(frozen=True)
class Confirmation:
    """The proof of one transition state: the value of the task ``confirm``.

    Attributes
    ----------
    outcome
        CONFIRMED, or why the proof failed.
    point
        The stationary point with its exact modes; of a refuted one stiff modes may be from a
        model.
    ends
        The two minimised ends, backward and forward; empty if the IRC was not followed, or the
        reference energy does not fall along it.
    monotone
        Whether the energy falls monotonically on both sides, on one SCF solution.
    irc_positions, irc_energies
        (m, n, 3) in Å and (m,) in eV: the path from one end through the TS to the other;
        empty arrays without ends.
    checked_at
        Number of reference calculations on points of the path and of earlier ones, if the path was
        followed on another surface; 0 if on the reported one.
    """

    outcome: Outcome
    point: StationaryPoint
    ends: tuple[Minimum, ...]
    monotone: bool
    irc_positions: Positions
    irc_energies: NDArray[np.float64]
    checked_at: int = 0


@dataclass(frozen=True)
class Sameness:
    """Whether two minima are one structure: the value of the task ``compare``.

    Attributes
    ----------
    number
        Index of the equal one among the minima compared with; None if there is none.
    rise
        Height in eV of the rotation that joins both above the higher one; None if there is none.
    """

    number: int | None
    rise: float | None


@dataclass(frozen=True)
class Consistency:
    """The consistency of energies and gradients of a surface: the value of the task ``examine``.

    Attributes
    ----------
    deviation
        Difference between the change of the energy along a line and the integral of the gradient,
        relative to the larger of both; of the worst line, with noise subtracted.
    ratio
        Integral of the gradient over the change of the energy, for all lines together.
    drift
        Change in eV of the energy of one geometry between two evaluations.
    problem
        Why the surface must not be used, or is doubted if it is one of this package; empty if it
        passed.
    doubt
        Warning about a surface that may be used; empty if there is none.
    """

    deviation: float
    ratio: float
    drift: float
    problem: str = ""
    doubt: str = ""


def unusable(surface: str, problem: str) -> str:
    """The message about a surface with such a problem (`Consistency.problem`)."""
    return (
        f"the surface {surface} must give one energy for one geometry and its slope as the "
        f"gradient, in eV and eV/Å, but {problem}; correct it, see "
        "`afir.pes.contract.check_surface`"
    )
