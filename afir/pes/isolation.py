"""Surfaces in a process of their own: all that run code from outside.

A calculator that crashes, exits, hangs or prints then costs one evaluation and not the run, and one
that works through files has its own working directory.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final
from weakref import WeakKeyDictionary, finalize

import numpy as np

from afir.errors import (
    AfirError,
    BrokenSurfaceError,
    InputError,
    LostSurfaceError,
    SurfaceError,
    plain,
)
from afir.molecule import Molecule, Positions
from afir.pes.child import START_SECONDS, Child, Place
from afir.pes.registry import build_surface
from afir.pes.surface import (
    Evaluation,
    Surface,
    Traits,
    check_said,
    is_surface,
    traits_of,
    unfit_owner,
)

logger = logging.getLogger(__name__)

_POINT, _PATH, _BASE = "point", "path", "base"  # the surface, its form for paths, and its base


@dataclass(frozen=True)
class _About:
    """What a surface says of itself as plain values, and which of its forms differ."""

    traits: Traits
    forms: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Request:
    """Geometries to evaluate on a form of the surface; owners by number."""

    form: str
    positions: Positions
    owners: tuple[int | None, ...] | None
    forgotten: tuple[int, ...]


@dataclass(frozen=True)
class _Fault:
    """An error of a surface that breaks its contract."""

    words: str
    trace: str


class _Owner:
    """Stand-in for the owner of geometries."""


class _Host:
    """A surface in its process; answers requests."""

    def __init__(self, surface: Surface) -> None:
        self._traits = traits_of(surface)
        paths, base = surface.for_paths(), self._traits.base
        check_said("for_paths", paths, is_surface(paths), "a surface")
        self._forms = {_POINT: surface}
        if paths is not surface:
            self._forms[_PATH] = paths
        if base is not None and base is not surface:
            self._forms[_BASE] = base
        self._owners: dict[int, _Owner] = {}

    def __call__(self, request: _Request | None) -> _About | Evaluation | AfirError | _Fault:
        """The properties of the surface, an evaluation, or an error."""
        try:
            if request is None:
                return self._about()
            return self._evaluated(request)
        except AfirError as error:
            return plain(error)
        except (Exception, SystemExit) as error:
            return _Fault(f"{type(error).__name__}: {error}", traceback.format_exc())

    def _about(self) -> _About:
        # Surfaces and functions stay in this process, and so do classes of other packages.
        said = self._traits
        return _About(Traits(said.batch, said.expensive, said.doubt), tuple(self._forms))

    def _evaluated(self, request: _Request) -> Evaluation:
        for number in request.forgotten:
            self._owners.pop(number, None)
        owners = None
        if request.owners is not None:
            owners = [
                None if number is None else self._owners.setdefault(number, _Owner())
                for number in request.owners
            ]
        said = self._forms[request.form].evaluate(request.positions, owners)
        # Errors and arrays of other packages may not be picklable.
        return Evaluation(
            np.asarray(said.energies, dtype=np.float64),
            np.asarray(said.gradients, dtype=np.float64),
            {k: SurfaceError(str(error)) for k, error in said.failures.items()},
            None if said.spread is None else np.asarray(said.spread, dtype=np.float64),
            float(said.limit),
        )


@dataclass(frozen=True)
class _Opening:
    """The first message to the process of a surface; see `afir.pes.child.Opening`."""

    molecule: Molecule
    name: str
    options: Mapping[str, Any]

    def open(self) -> Callable[[_Request | None], Any]:
        """Build the surface."""
        return _Host(build_surface(self.name, self.molecule, self.options))


class _Remote:
    """The process of a surface, which is restarted when it has ended."""

    def __init__(self, opening: _Opening) -> None:
        self.molecule = opening.molecule
        self.seconds = math.inf
        self._opening = opening
        self._place = Place()
        self._child: Child | None = None
        self._numbers: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._count = 0
        self._forgotten: list[int] = []
        try:
            self.about: _About = self._ask(None)
        except LostSurfaceError as error:
            raise InputError(f"the surface {opening.name!r} could not be loaded: {error}") from None

    def limit(self, seconds: float) -> None:
        """Set the time limit of evaluations; longer ones raise LostSurfaceError."""
        self.seconds = seconds

    def evaluate(
        self, form: str, positions: Positions, owners: Sequence[object] | None
    ) -> Evaluation:
        """The evaluation of geometries on a form of the surface."""
        numbers = None if owners is None else tuple(map(self._number, owners))
        forgotten = tuple(self._forgotten.pop() for _ in range(len(self._forgotten)))
        answer: Evaluation = self._ask(_Request(form, positions, numbers, forgotten))
        return answer

    def _number(self, owner: object | None) -> int | None:
        """The number that stands for an owner; forgotten with it."""
        if owner is None:
            return None
        try:
            number = self._numbers.get(owner)
            if number is None:
                self._count += 1
                number = self._numbers[owner] = self._count
                finalize(owner, self._forgotten.append, number).atexit = False
        except TypeError:
            raise unfit_owner(owner) from None
        return number

    def _ask(self, request: _Request | None) -> Any:
        """The answer of the process, which is started if necessary.

        Raises
        ------
        AfirError
            The error of the surface; LostSurfaceError if its process has ended or is late.
        """
        if self._child is None:
            self._child = Child(self._opening, self._place, quiet=True)
            self._exchange(None, START_SECONDS, "ready")
        seconds = START_SECONDS if request is None else self.seconds
        _, answer = self._exchange((0, request), seconds, "done")
        if isinstance(answer, _Fault) or (isinstance(answer, Evaluation) and answer.failures):
            logger.debug("last output of the surface: %s", self._child.last_words())
        if isinstance(answer, _Fault):
            logger.debug("the surface failed:\n%s", answer.trace)
            raise BrokenSurfaceError(f"the surface failed with {answer.words}")
        if isinstance(answer, AfirError):
            raise answer
        return answer

    def _exchange(self, message: object | None, seconds: float, what: str) -> Any:
        """Send a message, if any, and receive the next one.

        Any error ends the process, since its answer would come too late.
        """
        child = self._child
        assert child is not None
        try:
            if message is not None:
                child.send(message)
            if not child.wait(seconds):
                raise LostSurfaceError(
                    f"the surface was not {what} after {seconds:g} s", timed_out=True
                )
            answer = child.receive()
            if isinstance(answer, str):
                raise AfirError(f"the surface {self._opening.name!r} could not be built: {answer}")
            if isinstance(answer, AfirError):
                raise answer
            return answer
        except (EOFError, OSError):
            words = child.last_words()
            said = f"; it printed last: {words}" if words else ""
            self._child = None
            raise LostSurfaceError(f"the process of the surface {child.ending()}{said}") from None
        except BaseException:
            self._child = None
            child.kill()
            raise


@final
class IsolatedSurface:
    """A surface that another process computes.

    The process is restarted when it has ended, and then remembers no owner.

    Parameters
    ----------
    name, molecule, options
        As for `afir.pes.loading.load_surface`.

    Raises
    ------
    InputError
        If the surface cannot be built.
    BrokenSurfaceError
        If it says of itself what no surface may say.
    """

    def __init__(self, name: str, molecule: Molecule, options: Mapping[str, Any]) -> None:
        self._remote = _Remote(_Opening(molecule, name, dict(options)))
        self._form = _POINT

    @property
    def molecule(self) -> Molecule:
        """The molecule this surface belongs to."""
        return self._remote.molecule

    @property
    def traits(self) -> Traits:
        """What it says of itself, with a time limit for its process."""
        base = self._as(_BASE) if self._form == _POINT else None
        return replace(self._remote.about.traits, base=base, limiters=(self._remote.limit,))

    def for_paths(self) -> Surface:
        """The form of the surface for paths."""
        return (self._as(_PATH) if self._form == _POINT else None) or self

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """The `Evaluation` of geometries (k, n, 3) in Å; see `afir.pes.surface.Surface`.

        Raises
        ------
        LostSurfaceError
            If the process ended or took too long.
        BrokenSurfaceError
            If the surface raised an error other than an AfirError.
        """
        return self._remote.evaluate(self._form, positions, owners)

    def _as(self, form: str) -> IsolatedSurface | None:
        """Another form of the surface in the same process, if it differs."""
        if form not in self._remote.about.forms:
            return None
        other = object.__new__(IsolatedSurface)
        other._remote, other._form = self._remote, form
        return other
