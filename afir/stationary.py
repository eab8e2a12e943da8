"""Results of searches on one surface: minima, stationary points, and what became of a search."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from afir.molecule import Positions


class Outcome(Enum):
    """How a search or a trial ended; the value is a sentence for people."""

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
    """How a search ended, for people, with what the surface said where it failed."""
    return f"{outcome.value}: {error}" if error else outcome.value


@dataclass(frozen=True)
class Minimum:
    """Where a minimisation ended.

    Attributes
    ----------
    outcome
        CONVERGED, or why not.
    positions
        (n, 3) in Å.
    energy
        The true energy in eV, without any bias.
    gradient
        (n, 3) true gradient in eV/Å.
    hessian
        (3n, 3n) quasi-Newton estimate of the true Hessian in eV/Å².
    dissociated
        Whether it is two or more fragments far apart, so no equilibrium structure.
    error
        What the surface said where the outcome is SURFACE_FAILED.
    ridges
        At the end of a reaction path: the imaginary wavenumbers, in cm⁻¹ and negative, of the
        saddle points that the path ran into and was followed down from, in order. One that keeps a
        symmetry may.
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
        """How it ended, for people, with what the surface said where it failed."""
        return ending(self.outcome, self.error)


@dataclass(frozen=True)
class StationaryPoint:
    """A stationary point with its exact normal modes.

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
        Where the guess came from: ``"path"`` (a peak of the relaxed path) or ``"raw"`` (the
        path as it was pushed), or a name of the caller's own.
    """

    positions: Positions
    energy: float
    hessian: NDArray[np.float64]
    source: str


@dataclass(frozen=True)
class TrialResult:
    """What one push brought: the value of the task ``try_push``.

    Attributes
    ----------
    outcome
        FOUND, or why there is nothing.
    candidates
        Converged saddle points in the order of the path.
    minima
        The minimised end of the push, if it is not where it began.
    crossed
        Whether the artificial force alone carried the structure out of its basin.
    gamma
        γ in kJ/mol at which it did; 0 if it did not.
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
        CONFIRMED, or what is wrong with it.
    point
        The stationary point with its exact modes; of a refuted one stiff modes may be those of a
        model.
    ends
        The two minimised ends, backward and forward; empty when the IRC was not followed, or the
        energy of a reference falls along none.
    monotone
        Whether the energy fell all the way down on both sides, on one solution of the SCF.
    irc_positions, irc_energies
        (m, n, 3) in Å and (m,) in eV: the path from one end through the TS to the other;
        empty arrays where there are no ends.
    checked_at
        At how many points of the path, and of those followed before it, the reference was asked,
        where the path was followed on another surface; 0 where it was followed on the one that is
        reported.
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
    """Whether a minimum is one structure with another: the value of the task ``compare``.

    Attributes
    ----------
    number
        The place of that other among those it was compared with; None when it is none of them.
    rise
        How far, in eV, the turn that joins both rises above the higher one; None as well.
    """

    number: int | None
    rise: float | None


@dataclass(frozen=True)
class Consistency:
    """How well the energies and gradients of a surface belong together: of the task ``examine``.

    Attributes
    ----------
    deviation
        The difference between the change of the energy along a line and the integral of the
        gradient, as a part of the larger of both; that of the worst line, noise taken off.
    ratio
        The integral of the gradient over the change of the energy, all lines together.
    drift
        By how much, in eV, the energy of one geometry changed meanwhile.
    problem
        Why the surface must not be used; empty if nothing is wrong.
    doubt
        What is to be known about it, where it may be used; empty if nothing is.
    """

    deviation: float
    ratio: float
    drift: float
    problem: str = ""
    doubt: str = ""


def unusable(surface: str, problem: str) -> str:
    """Why a surface with such a problem (`Consistency.problem`) is not used, for people."""
    return (
        f"the surface {surface} must give one energy for one geometry and its slope as the "
        f"gradient, in eV and eV/Å, but {problem}; mend it: `afir.contract.check_surface` says more"
    )
