"""What is handed to a worker: self-contained tasks, and the bench they are done on.

A task knows nothing of a network. Everything that stays the same during a run (molecule,
surface, settings) is in the bench and is sent to a worker once.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np

from afir.displacements import Term
from afir.driver import Asked, Search, referred, relayed, solve, stage
from afir.errors import AfirError, BrokenSurfaceError, LostSurfaceError
from afir.force import ForceTerm, alpha
from afir.molecule import Molecule, Positions
from afir.searches.settings import StepSettings
from afir.stationary import (
    Candidate,
    Confirmation,
    Consistency,
    Minimum,
    Outcome,
    Sameness,
    StationaryPoint,
    TrialResult,
)
from afir.surface import Checked, Surface, limit, load_surface
from afir.units import KJ_PER_MOL
from networks.frames import Frames, Recorder

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Of the artificial force: an error on the way that rarely changes what a push finds. That is
# examined on the reference in any case; asking at every smaller doubt costs more than it saves.
_TOLERATED = 0.25

# eV/Å: no stationary point of a plain surface was met on so steep a slope of a better one.
_STEEPEST = 2.5


@dataclass(frozen=True, eq=False)
class Push:
    """Push an EQ, or displace it, and look for transition states.

    Attributes
    ----------
    start
        The EQ.
    terms
        The force, or one displacement.
    ceiling
        Energy in eV above which candidates are ignored, or None.
    seed
        What the random numbers are made from.
    gamma
        The hardest push in kJ/mol, where it is not that of the settings.
    """

    start: StationaryPoint
    terms: tuple[Term, ...]
    ceiling: float | None
    seed: tuple[int, ...]
    gamma: float | None = None


@dataclass(frozen=True, eq=False)
class Confirm:
    """Prove a transition state candidate.

    Attributes
    ----------
    candidate
        The candidate.
    ceiling
        Energy in eV on the reference, if there is one, above which it is of no interest.
    known
        Transition states of the reference, if there is one, that it may turn out to be.
    """

    candidate: Candidate
    ceiling: float | None = None
    known: tuple[StationaryPoint, ...] = ()


@dataclass(frozen=True, eq=False)
class Characterise:
    """Refine a minimum.

    Attributes
    ----------
    positions
        (n, 3) in Å.
    hessian
        (3n, 3n) estimate in eV/Å², if there is one.
    known
        Minima of the reference, if there is one, that it may turn out to be.
    is_end
        Whether the path of a transition state that the reference has proven leads there: then
        there is one, however wrong a learned surface is.
    """

    positions: Positions
    hessian: Positions | None = None
    known: tuple[StationaryPoint, ...] = ()
    is_end: bool = False


@dataclass(frozen=True, eq=False)
class Label:
    """Evaluate one geometry (n, 3) in Å as well as the surface can; counted as the stage."""

    positions: Positions
    stage: str = "label"


@dataclass(frozen=True, eq=False)
class Recall:
    """Find a known structure again on the cheap surface: where it has come to lie there.

    Attributes
    ----------
    kind
        ``"EQ"`` or ``"TS"``; ``"here"`` only asks for the energy there.
    point
        The structure on the reference.
    """

    kind: str
    point: StationaryPoint


@dataclass(frozen=True, eq=False)
class Compare:
    """Find out whether a turn without a barrier makes a minimum one structure with another.

    Attributes
    ----------
    point
        The minimum.
    known
        Others, of the same bonding and nearly the same energy.
    """

    point: StationaryPoint
    known: tuple[StationaryPoint, ...]


@dataclass(frozen=True, eq=False)
class Examine:
    """Compare energies with gradients near a geometry (n, 3) in Å, or those of the reference."""

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


@dataclass(frozen=True, eq=False)
class TaskResult:
    """What became of a task.

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
        What it evaluated, if that is kept.
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


@dataclass(frozen=True)
class Bench:
    """Everything tasks have in common; plain data that can be sent to a worker.

    Attributes
    ----------
    molecule
        The molecule.
    surface, options
        Name and options for `afir.surface.load_surface`.
    step
        How one elementary step is searched.
    seconds
        Wall time after which a task is given up, looked at between surface calls.
    keep_frames
        Whether results hold the geometries that were evaluated.
    reference, reference_options
        Name and options of the surface that examines what is found; "" when `surface` does. The
        geometries it evaluates are always kept.
    learned
        Whether `surface` was learned from that.
    """

    molecule: Molecule
    surface: str
    options: Mapping[str, Any] = field(default_factory=dict)
    step: StepSettings = field(default_factory=StepSettings)
    seconds: float = float("inf")
    keep_frames: bool = False
    reference: str = ""
    reference_options: Mapping[str, Any] = field(default_factory=dict)
    learned: bool = False

    def load(self) -> Surface:
        """Build the surface, also as it is on paths, and the reference if there is one.

        Raises
        ------
        AfirError
            When that is not possible, whatever the surface raised.
        """
        surface = self._built(self.surface, self.options)
        if self.reference:
            surface = Checked(surface, self._built(self.reference, self.reference_options))
        limit(surface, self.seconds)
        return surface

    def _built(self, name: str, options: Mapping[str, Any]) -> Surface:
        try:
            surface = load_surface(name, self.molecule, **options)
            surface.for_paths()
        except AfirError:
            raise
        except Exception as error:
            raise AfirError(
                f"the surface {name!r} could not be built: {type(error).__name__}: {error}"
            ) from error
        return surface

    def suited(self, surface: Surface) -> Bench:
        """The bench with what its settings leave to the surface decided."""
        return replace(self, step=self.step.suited(surface))

    def recorder(self) -> Recorder | None:
        """What keeps the geometries of one task; None if they are not kept."""
        if not self.keep_frames and not self.reference:
            return None
        return Recorder(self.molecule.n_atoms, only_reference=not self.keep_frames)

    def search(self, task: Task) -> Search[Value | Failure]:
        """The search of a task; whatever goes wrong becomes a value."""
        # Only who does tasks pays for loading the searches, not who hands them out.
        from afir.searches.characterise import characterise
        from afir.searches.confirm import confirm
        from afir.searches.consistency import consistency
        from afir.searches.flat import flat_turn, flat_turn_by_reference
        from afir.searches.reference import characterise_by_reference, confirm_by_reference
        from afir.searches.trust import doubting, trusting

        search: Search[Any]
        if isinstance(task, Push):
            search = self._trial(task)
            if self.reference:
                strength = alpha(self.step.gamma) * KJ_PER_MOL
                search = trusting(search, _TOLERATED * strength)
        elif isinstance(task, Confirm):
            if self.reference:
                search = confirm_by_reference(
                    self.molecule,
                    task.candidate,
                    self.step,
                    ceiling=task.ceiling,
                    known=task.known,
                )
                if self.learned:
                    search = doubting(search, _STEEPEST, at_once=True)
            else:
                search = confirm(self.molecule, task.candidate, self.step)
        elif isinstance(task, Compare):
            compare = flat_turn_by_reference if self.reference else flat_turn
            search = compare(self.molecule, task.point, task.known)
        elif isinstance(task, Label):
            search = stage(task.stage, label(task.positions))
            if self.reference:
                search = referred(search)
        elif isinstance(task, Examine):
            search = consistency(task.positions, np.random.default_rng(task.seed))
            if task.reference:
                search = referred(search)
        elif isinstance(task, Recall):
            search = stage("recall", recalled(self.molecule, task, self.step))
        elif self.reference:
            search = characterise_by_reference(
                self.molecule, task.positions, self.step, hessian=task.hessian, known=task.known
            )
            if self.learned and not task.is_end:
                search = doubting(search, _STEEPEST)
        else:
            search = characterise(self.molecule, task.positions, self.step, hessian=task.hessian)
        return guarded(search, self.seconds)

    def _trial(self, task: Push) -> Search[TrialResult]:
        """The push or the displacement of a task."""
        from afir.searches.displaced import try_displacement
        from afir.searches.step import try_push

        rng = np.random.default_rng(task.seed)
        forces = [term for term in task.terms if isinstance(term, ForceTerm)]
        displacements = [term for term in task.terms if not isinstance(term, ForceTerm)]
        step = self.step if task.gamma is None else replace(self.step, gamma=task.gamma)
        if forces:
            return try_push(self.molecule, task.start, forces, step, ceiling=task.ceiling, rng=rng)
        return try_displacement(
            self.molecule, task.start, displacements[0], self.step, ceiling=task.ceiling, rng=rng
        )

    def open(self) -> Callable[[Task], TaskResult]:
        """Build the surface and return the function that does one task after the other."""
        surface = self.load()
        bench = self.suited(surface)

        def perform(task: Task) -> TaskResult:
            gradients: Counter[str] = Counter()
            start = time.process_time()
            recorder = bench.recorder()
            search = bench.search(task)
            if recorder is not None:
                search = recorder.listen(search)
            value = solve(search, surface, gradients=gradients)
            return as_result(value, gradients, time.process_time() - start, recorder)

        return perform


def label(positions: Positions) -> Search[Labelled]:
    """The energy and the gradient of one geometry (n, 3) in Å."""
    evaluation = yield positions[None]
    return Labelled(float(evaluation.energies[0]), evaluation.gradients[0])


def recalled(molecule: Molecule, task: Recall, settings: StepSettings) -> Search[TrialResult]:
    """A known structure on this surface: the one candidate or minimum of the result, if any."""
    from afir.searches.minimum import minimise
    from afir.searches.saddle import saddle

    point = task.point
    if task.kind == "here":
        said = yield from label(point.positions)
        nothing = np.empty((0, 0))
        here = Minimum(
            Outcome.CONVERGED, point.positions, said.energy, said.gradient, nothing, False
        )
        return TrialResult(Outcome.CONVERGED, (), (here,), False)
    if task.kind == "EQ":
        end = yield from minimise(molecule, point.positions, settings, hessian=point.hessian)
        found = end.outcome is Outcome.CONVERGED
        return TrialResult(end.outcome, (), (end,) if found else (), False)
    top = yield from saddle(
        molecule, point.positions, settings, direction=point.mode, hessian=point.hessian
    )
    candidate = Candidate(top.positions, top.energy, top.hessian, "recall")
    found = top.outcome is Outcome.CONVERGED
    return TrialResult(top.outcome, (candidate,) if found else (), (), False)


class _TimeOverError(Exception):
    """A search has used up its time."""


def guarded(search: Search[T], seconds: float) -> Search[T | Failure]:
    """Run a search so that its failure is a value and it ends in time.

    A surface that fails or breaks its contract, a search that runs out of time and a mistake in
    the search itself cost this one task, never its neighbours.
    """
    from afir.searches.characterise import NotAMinimum
    from afir.searches.trust import DoubtError

    deadline = time.monotonic() + seconds

    def in_time(asked: Asked) -> Asked:
        if time.monotonic() > deadline:
            raise _TimeOverError
        return asked

    try:
        return (yield from relayed(search, in_time))
    except _TimeOverError:
        return Failure(Outcome.TIMED_OUT, f"gave up after {seconds:g} s")
    except NotAMinimum as error:
        return Failure(Outcome.NO_MINIMUM, str(error))
    except DoubtError as error:
        return Failure(Outcome.DOUBTED, str(error))
    except LostSurfaceError as error:
        logger.warning("%s", error)
        lost = Outcome.TIMED_OUT if error.timed_out else Outcome.WORKER_DIED
        return Failure(lost, str(error))
    except AfirError as error:
        if isinstance(error, BrokenSurfaceError):
            logger.warning("the surface broke its contract: %s", error)
            logger.debug("as follows", exc_info=error)
        return Failure(Outcome.SURFACE_FAILED, str(error))
    except Exception as error:
        # An accident in one strange geometry must not end a week of work.
        logger.exception("a search failed by its own fault")
        return Failure(Outcome.SEARCH_FAILED, f"{type(error).__name__}: {error}")


def as_result(
    value: Value | Failure,
    gradients: Counter[str],
    cpu_seconds: float,
    recorder: Recorder | None = None,
) -> TaskResult:
    """The result of a guarded search."""
    frames = None if recorder is None else recorder.frames()
    if isinstance(value, Failure):
        return TaskResult(None, value.outcome, value.error, gradients, cpu_seconds, frames)
    return TaskResult(value, None, "", gradients, cpu_seconds, frames)
