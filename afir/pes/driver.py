"""Running searches: a search requests energies, a surface evaluates them in batches.

A search is a generator that yields geometries to evaluate, (k, n, 3) in Å, is sent their
`Evaluation`, and returns its result. It knows no backend. `solve` runs one search; `drive` keeps
many in flight and gathers their requests into one batch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from afir.errors import AfirError, BrokenSurfaceError, SurfaceError
from afir.molecule import Positions
from afir.pes.surface import Evaluation, Surface, traits_of

T = TypeVar("T")


class Level(Enum):
    """The accuracy level of an evaluation."""

    PATH = "path"
    """Far from stationary points: smooth rather than accurate."""
    POINT = "point"
    """Full accuracy, for all reported numbers."""
    BASE = "base"
    """The base surface, without a learned difference (`afir.pes.surface.Traits.base`)."""
    REFERENCE = "reference"
    """The reference calculation, of two surfaces (`afir.pes.surface.Checked`)."""


@dataclass(frozen=True)
class Request:
    """Geometries (k, n, 3) in Å to evaluate, labelled with a stage; see `stage`."""

    positions: Positions
    stage: str
    level: Level
    owner: object


Asked: TypeAlias = "Positions | Request"
Search: TypeAlias = Generator[Asked, Evaluation, T]


def geometries(asked: Asked) -> Positions:
    """The requested geometries (k, n, 3) in Å."""
    return asked.positions if isinstance(asked, Request) else asked


def stage(name: str, search: Search[T], level: Level = Level.POINT) -> Search[T]:
    """Label the requests of `search` with a stage name and a level.

    The stage is the unit of accounting (gradients by stage) and of SCF memory: a surface
    that remembers densities forgets them when the stage ends. Stages inside `search` keep
    their own labels.
    """

    def labelled(asked: Asked) -> Asked:
        return asked if isinstance(asked, Request) else Request(asked, name, level, search)

    return relayed(search, labelled)


def referred(search: Search[T]) -> Search[T]:
    """Have the reference surface answer all requests of `search`.

    The stages are counted apart: ``"saddle"`` becomes ``"reference saddle"``.
    """

    def handed_on(asked: Asked) -> Asked:
        request = _request(asked, search)
        return replace(request, stage=reference_stage(request.stage), level=Level.REFERENCE)

    return relayed(search, handed_on)


def unlearned(search: Search[T]) -> Search[T]:
    """Have the base surface, without the learned difference, answer the requests of `search`."""

    def handed_on(asked: Asked) -> Asked:
        return replace(_request(asked, search), level=Level.BASE)

    return relayed(search, handed_on)


def _request(asked: Asked, owner: object) -> Request:
    """The request with a stage, one without a name if it has none."""
    return asked if isinstance(asked, Request) else Request(asked, "other", Level.POINT, owner)


def reference_stage(name: str) -> str:
    """The stage name under which gradients of the reference are counted."""
    return f"reference {name}"


# Stages of verification; all others are searches, of our methods and of others.
_VERIFYING = ("hessian", "irc", "irc ends", "consistency", "same structure", "label", "refine")


def search_gradients(gradients: Mapping[str, int]) -> int:
    """The number of gradients of searches, without verification, among those counted by stage."""
    prefix = reference_stage("")
    return sum(
        count for stage, count in gradients.items() if stage.removeprefix(prefix) not in _VERIFYING
    )


def reference_gradients(gradients: Mapping[str, int]) -> int:
    """The number of reference gradients among gradients counted by stage."""
    first = reference_stage("")
    return sum(count for name, count in gradients.items() if name.startswith(first))


def relayed(
    search: Search[T],
    handle: Callable[[Asked], Asked] = lambda asked: asked,
    heard: Callable[[Asked, Evaluation], Evaluation] = lambda _, evaluation: evaluation,
) -> Search[T]:
    """Run `search` with each of its requests transformed by `handle`.

    An exception in `handle` ends the search. Answers to the search pass through `heard`.
    """
    try:
        asked = next(search)
        while True:
            try:
                evaluation = yield handle(asked)
            except SurfaceError as error:
                asked = search.throw(error)
            else:
                asked = search.send(heard(asked, evaluation))
    except StopIteration as stop:
        result: T = stop.value
        return result


@dataclass(frozen=True)
class Finished(Generic[T]):
    """The result of one search that ended.

    Attributes
    ----------
    key
        The key it was submitted with.
    value
        Its return value; None if it failed.
    error
        The surface error that ended it; None if it returned.
    gradients
        Gradient evaluations it requested, by stage.
    """

    key: object
    value: T | None
    error: SurfaceError | None
    gradients: Counter[str]


class _Flight(Generic[T]):
    """A search in flight and its pending request."""

    def __init__(self, key: object, search: Search[T]) -> None:
        self.key = key
        self.search = search
        self.gradients: Counter[str] = Counter()
        self.finished: Finished[T] | None = None
        self.request: Request
        self.advance(None)

    def advance(self, reply: Evaluation | AfirError | None) -> None:
        """Hand the reply to the search and take its next request, or its result."""
        try:
            if reply is None:
                asked = next(self.search)
            elif isinstance(reply, AfirError):
                asked = self.search.throw(reply)
            else:
                asked = self.search.send(reply)
        except StopIteration as stop:
            self.finished = Finished(self.key, stop.value, None, self.gradients)
            return
        except SurfaceError as error:
            self.finished = Finished(self.key, None, error, self.gradients)
            return
        self.request = _request(asked, self.search)
        self.gradients[self.request.stage] += len(self.request.positions)


def _answer(evaluation: Evaluation, start: int, stop: int) -> Evaluation | SurfaceError:
    """The slice of a batch that belongs to one request, or its first failure."""
    if evaluation.failures:
        for index in range(start, stop):
            if index in evaluation.failures:
                return evaluation.failures[index]
    part = evaluation.part(start, stop)
    # In a search a NaN would look like any other number. Sums of squares show it in one go.
    energies, gradients = part.energies, part.gradients
    if not math.isfinite(np.vdot(energies, energies) + np.vdot(gradients, gradients)):
        return SurfaceError("the surface returned an energy or gradient that is not finite")
    return part


def drive(
    searches: Iterable[tuple[object, Search[T]]], surface: Surface, *, width: int = 64
) -> Iterator[Finished[T]]:
    """Run many searches on one surface, with their requests in batches.

    Parameters
    ----------
    searches
        (key, search) pairs; taken lazily, as places become free.
    surface
        The surface; its `for_paths` answers requests of level PATH, the `base` and `reference` of
        its traits, if it has them, those of level BASE and REFERENCE.
    width
        Number of searches in flight.

    Yields
    ------
    Finished
        Each search as it ends, in the order of ending. A geometry that fails is raised
        inside the search that asked for it and never stops the others.

    Raises
    ------
    BrokenSurfaceError
        If the surface raises an error other than a SurfaceError, or returns arrays of wrong shapes.
        It too is raised inside the search that asked: one that turns it into a value stops no
        other.
    """
    traits = traits_of(surface)
    surfaces = {
        Level.PATH: surface.for_paths(),
        Level.POINT: surface,
        Level.BASE: surface if traits.base is None else traits.base,
        Level.REFERENCE: surface if traits.reference is None else traits.reference,
    }
    waiting = iter(searches)
    flights: list[_Flight[T]] = []
    while True:
        while len(flights) < width:
            item = next(waiting, None)
            if item is None:
                break
            flights.append(_Flight(*item))
        for flight in flights:
            if flight.finished is not None:
                yield flight.finished
        flights = [flight for flight in flights if flight.finished is None]
        if not flights:
            item = next(waiting, None)
            if item is None:
                return
            flights.append(_Flight(*item))
            continue
        for level, answering in surfaces.items():
            asking = [f for f in flights if f.finished is None and f.request.level is level]
            if asking:
                _serve(asking, answering)


def _serve(asking: list[_Flight[T]], surface: Surface) -> None:
    """Answer the pending request of every flight with one batch."""
    requests = [flight.request for flight in asking]
    try:
        evaluation = _evaluated(requests, surface)
    except Exception as error:
        if len(asking) == 1:
            asking[0].advance(_as_fault(error))
        else:
            # The error does not say which request caused it: each is evaluated alone.
            for flight in asking:
                _serve([flight], surface)
        return
    start = 0
    for flight, request in zip(asking, requests, strict=True):
        stop = start + len(request.positions)
        flight.advance(_answer(evaluation, start, stop))
        start = stop


def _evaluated(requests: list[Request], surface: Surface) -> Evaluation:
    """The evaluation of all these requests in one batch."""
    positions = (
        requests[0].positions
        if len(requests) == 1
        else np.concatenate([request.positions for request in requests])
    )
    owners = [request.owner for request in requests for _ in range(len(request.positions))]
    evaluation = surface.evaluate(positions, owners)
    shapes = np.shape(evaluation.energies), np.shape(evaluation.gradients)
    if shapes != (positions.shape[:1], positions.shape):
        raise BrokenSurfaceError(
            f"the surface must return energies {positions.shape[:1]} and gradients "
            f"{positions.shape}, got {shapes[0]} and {shapes[1]}"
        )
    return evaluation


def _as_fault(error: Exception) -> AfirError:
    """The error to raise inside the search whose request made the surface raise `error`."""
    if isinstance(error, SurfaceError | BrokenSurfaceError):
        return error
    name = "" if isinstance(error, AfirError) else f" with {type(error).__name__}"
    fault = BrokenSurfaceError(f"the surface failed{name}: {error}")
    fault.__cause__ = error
    return fault


def solve(search: Search[T], surface: Surface, *, gradients: Counter[str] | None = None) -> T:
    """Run one search to its end and return what it returns.

    Parameters
    ----------
    search
        The search.
    surface
        The surface.
    gradients
        Counter to which the gradient evaluations by stage are added, if given.

    Raises
    ------
    SurfaceError
        When a geometry failed and the search did not handle it.
    BrokenSurfaceError
        As `drive`.
    """
    for finished in drive([(None, search)], surface, width=1):
        if gradients is not None:
            gradients.update(finished.gradients)
        if finished.error is not None:
            raise finished.error
        return finished.value  # type: ignore[return-value]
    raise AssertionError("a driven search always finishes")
