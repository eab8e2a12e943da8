"""What tasks run on: a surface, settings, and a time limit."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from afir.errors import AfirError, BrokenSurfaceError, LostSurfaceError, SurfaceError
from afir.methods.artificial_force import alpha
from afir.molecule import Molecule, Positions
from afir.pes.driver import Asked, Search, referred, relayed, solve, stage
from afir.pes.loading import load_surface
from afir.pes.surface import Checked, Surface, limit
from afir.searches.settings import StepSettings
from afir.stationary import (
    Candidate,
    Minimum,
    Outcome,
    TrialResult,
)
from afir.units import KJ_PER_MOL
from networks.execution.frames import Recorder
from networks.execution.tasks import (
    Compare,
    Confirm,
    Examine,
    Failure,
    Label,
    Labelled,
    Push,
    Recall,
    Task,
    TaskResult,
    Value,
)

if TYPE_CHECKING:
    from afir.methods.base import Method

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Share of the artificial force: a smaller error of the surface rarely changes what a push finds.
# The reference verifies that in any case; using it at smaller doubts costs more than it saves.
_TOLERATED = 0.25

# eV/Å: no stationary point of a plain surface was found on so steep a slope of a better one.
_STEEPEST = 2.5


@dataclass(frozen=True)
class Bench:
    """Everything that tasks have in common; plain data to send to a worker.

    Attributes
    ----------
    molecule
        The molecule.
    surface, options
        Name and options for `afir.pes.loading.load_surface`.
    step
        The settings of one elementary step.
    seconds
        Wall time after which a task is aborted, checked between surface calls.
    keep_frames
        Whether results hold the evaluated geometries.
    reference, reference_options
        Name and options of the surface that verifies structures; "" for none. Its geometries are
        always kept.
    learned
        Whether `surface` was learned from the reference.
    methods
        The options of the methods of the run, by name.
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
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def load(self) -> Surface:
        """The surface, tested for paths too, with the reference if there is one.

        The methods are loaded too: a process without one of them must do no tasks, since its
        trials would fail and those of others not.

        Raises
        ------
        AfirError
            If that fails, whatever the surface raised.
        """
        for name, given in self.methods.items():
            _method(name, _as_text(given))
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
        """The bench with the step settings that are left to the surface filled in."""
        return replace(self, step=self.step.suited(surface))

    def recorder(self) -> Recorder | None:
        """The recorder for the geometries of one task; None if they are not kept."""
        if not self.keep_frames and not self.reference:
            return None
        return Recorder(self.molecule.n_atoms, only_reference=not self.keep_frames)

    def search(self, task: Task) -> Search[Value | Failure]:
        """The search of a task; any failure becomes a value."""
        # Only a process that does tasks loads the searches.
        from afir.multilevel.trust import doubting, trusting
        from afir.multilevel.verification import characterise_by_reference, confirm_by_reference
        from afir.searches.flat import flat_turn, flat_turn_by_reference
        from afir.verification.consistency import consistency
        from afir.verification.minima import characterise
        from afir.verification.transition_states import confirm

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
                known = None if task.recognised is None else task.recognised.of(self.molecule)
                search = confirm(self.molecule, task.candidate, self.step, known=known)
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
        """The search of an offer."""
        from afir.methods.base import checked_trial, searched_with

        name = task.offer.method
        step = self.step if task.gamma is None else replace(self.step, gamma=task.gamma)
        # Within the search, so that an error ends this trial only.
        method = _method(name, _as_text(task.options))
        known = None if task.recognised is None else task.recognised.of(self.molecule)
        search = method.search(
            self.molecule,
            task.start,
            deepcopy(task.offer.data),  # as one that was sent to another process
            step,
            ceiling=task.ceiling,
            rng=np.random.default_rng(task.seed),
            **searched_with(method, known),
        )
        return (yield from checked_trial(name, search, self.molecule.n_atoms))

    def open(self) -> Callable[[Task], TaskResult]:
        """The function that does a task, with the surface loaded."""
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


def _as_text(options: Mapping[str, Any]) -> str:
    """The same text for the same options."""
    return json.dumps(dict(options), sort_keys=True)


@lru_cache(maxsize=64)
def _method(name: str, options: str) -> Method:
    """The method with these options (JSON): to look it up takes as long as many gradients."""
    from afir.methods.base import load_method

    return load_method(name, json.loads(options))


def label(positions: Positions) -> Search[Labelled]:
    """The energy and the gradient of one geometry (n, 3) in Å."""
    evaluation = yield positions[None]
    return Labelled(float(evaluation.energies[0]), evaluation.gradients[0])


def recalled(molecule: Molecule, task: Recall, settings: StepSettings) -> Search[TrialResult]:
    """The search for a known structure on this surface: one candidate or minimum, or none."""
    from afir.searches.minimum import minimise
    from afir.searches.saddle import saddle

    point = task.point
    if task.kind == "here":
        said = yield from label(point.positions)
        nothing = np.zeros((point.positions.size, point.positions.size))
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
    """A search has exceeded its time."""


def guarded(search: Search[T], seconds: float) -> Search[T | Failure]:
    """The search with failures as values and a time limit.

    A failure or contract violation of the surface, a timeout and an error of the search itself
    end this one task and no other.
    """
    from afir.multilevel.trust import DoubtError
    from afir.verification.minima import NotAMinimum

    deadline = time.monotonic() + seconds

    def in_time(asked: Asked) -> Asked:
        if time.monotonic() > deadline:
            raise _TimeOverError
        return asked

    try:
        return (yield from relayed(search, in_time))
    except _TimeOverError:
        return Failure(Outcome.TIMED_OUT, f"aborted after {seconds:g} s")
    except NotAMinimum as error:
        return Failure(Outcome.NO_MINIMUM, str(error))
    except DoubtError as error:
        return Failure(Outcome.DOUBTED, str(error))
    except LostSurfaceError as error:
        logger.warning("%s", error)
        lost = Outcome.TIMED_OUT if error.timed_out else Outcome.WORKER_DIED
        return Failure(lost, str(error))
    except SurfaceError as error:
        return Failure(Outcome.SURFACE_FAILED, str(error))
    except BrokenSurfaceError as error:
        logger.warning("the surface broke its contract: %s", error)
        logger.debug("traceback", exc_info=error)
        return Failure(Outcome.SURFACE_FAILED, str(error))
    except AfirError as error:
        logger.warning("a search failed: %s", error)
        logger.debug("traceback", exc_info=error)
        return Failure(Outcome.SEARCH_FAILED, str(error))
    except (Exception, SystemExit) as error:
        # An error at one strange geometry must not end a week of work.
        logger.exception("a search failed with an internal error")
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
