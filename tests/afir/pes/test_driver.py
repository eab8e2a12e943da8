"""Running searches: results, batches, failures, accounting and width."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afir.errors import SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.driver import Finished, Level, Request, Search, drive, solve, stage
from afir.pes.surface import Evaluation, Surface
from afir.surfaces.analytic import (
    DOUBLE_WELL_POINTS,
    MUELLER_BROWN_POINTS,
    double_well,
    mueller_brown,
)

ATOM = Molecule((1,), multiplicity=2)
PAIR = Molecule((1, 1))
MINIMA = tuple(point for point in MUELLER_BROWN_POINTS if point.order == 0)


@dataclass(frozen=True)
class Call:
    """What a surface was asked in one call."""

    where: str
    positions: Positions
    owners: tuple[object, ...]


@dataclass(frozen=True)
class Recorder:
    """A surface that notes every call; geometries beyond 90 Å fail."""

    inner: Surface
    where: str = "point"
    calls: list[Call] = field(default_factory=list)

    @property
    def molecule(self) -> Molecule:
        return self.inner.molecule

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        assert owners is not None
        assert len(owners) == len(positions)
        # Ids only: what is noted here must not keep an owner alive.
        self.calls.append(Call(self.where, positions.copy(), tuple(map(id, owners))))
        return self.inner.evaluate(np.where(positions > 90.0, np.nan, positions), owners)

    def for_paths(self) -> Recorder:
        return Recorder(self.inner, "path", self.calls)

    def sizes(self, where: str = "point") -> list[int]:
        return [len(call.positions) for call in self.calls if call.where == where]


def at(x: float, y: float = 0.0) -> Positions:
    """One atom at (x, y) as a batch of one."""
    return np.array([[[x, y, 0.0]]])


FAR = at(100.0)


def descend(start: Positions, steps: int = 3000) -> Search[Positions]:
    """Steepest descent on the scale of Müller–Brown, for one structure (n, 3)."""
    x = start
    for _ in range(steps):
        evaluation = yield x[None]
        gradient = evaluation.gradients[0]
        if np.abs(gradient).max() < 1e-6:
            break
        x = x - 0.02 * gradient
    return x


def energies_at(*places: Positions) -> Search[list[float]]:
    """The energies at places asked for one after the other."""
    found = []
    for place in places:
        evaluation = yield place
        found.append(float(evaluation.energies[0]))
    return found


def test_solve_returns_what_the_search_returns() -> None:
    surface = mueller_brown(ATOM)
    for minimum in MINIMA:
        found = solve(descend(minimum.positions + 0.05), surface)
        assert found == pytest.approx(minimum.positions, abs=1e-5)


def test_a_search_that_asks_nothing_still_returns() -> None:
    def silent() -> Search[str]:
        return "done"
        yield at(0.0)

    surface = Recorder(mueller_brown(ATOM))
    assert solve(silent(), surface) == "done"
    assert [f.value for f in drive([(1, silent()), (2, silent())], surface)] == ["done", "done"]
    assert surface.calls == []
    assert list(drive([], surface)) == []


def test_each_search_gets_its_own_answer() -> None:
    surface = Recorder(mueller_brown(ATOM))
    places = [np.concatenate([at(0.1 * k), at(0.1 * k, 0.5)])[: 1 + k % 2] for k in range(7)]

    def ask(place: Positions) -> Search[Evaluation]:
        evaluation = yield place
        return evaluation

    finished = list(drive([(k, ask(place)) for k, place in enumerate(places)], surface))
    assert surface.sizes() == [sum(len(place) for place in places)]
    assert [f.key for f in finished] == list(range(7))
    for f in finished:
        expected = mueller_brown(ATOM).evaluate(places[f.key])  # type: ignore[call-overload]
        assert f.value is not None
        assert np.array_equal(f.value.energies, expected.energies)
        assert np.array_equal(f.value.gradients, expected.gradients)
        assert not f.value.failures


@settings(max_examples=25, deadline=None)
@given(
    starts=st.lists(st.tuples(st.floats(-1.2, 0.9), st.floats(-0.2, 1.8)), min_size=1, max_size=6),
    width=st.integers(1, 8),
)
def test_company_changes_no_result(starts: list[tuple[float, float]], width: int) -> None:
    surface = mueller_brown(ATOM)
    searches = [(k, descend(at(*start)[0], 30)) for k, start in enumerate(starts)]
    together = {f.key: f for f in drive(searches, surface, width=width)}
    assert sorted(together) == list(range(len(starts)))  # type: ignore[type-var]
    for k, start in enumerate(starts):
        gradients: Counter[str] = Counter()
        alone = solve(descend(at(*start)[0], 30), surface, gradients=gradients)
        assert np.array_equal(together[k].value, alone)  # type: ignore[arg-type]
        assert together[k].gradients == gradients


def test_no_more_searches_than_the_width_are_in_flight() -> None:
    surface = Recorder(mueller_brown(ATOM))
    taken: list[int] = []

    def queue() -> Iterator[tuple[int, Search[list[float]]]]:
        for k in range(10):
            taken.append(k)
            yield k, energies_at(*[at(0.0)] * (1 + k % 3))

    finished = []
    for f in drive(queue(), surface, width=4):
        finished.append(f.key)
        # Taken lazily: never more than the places there are beside what has ended.
        assert len(taken) <= len(finished) + 4 + 1
    assert sorted(finished) == list(range(10))  # type: ignore[type-var]
    assert max(surface.sizes()) == 4
    assert sum(surface.sizes()) == sum(1 + k % 3 for k in range(10))


def test_searches_come_back_in_the_order_they_end() -> None:
    searches = [(k, energies_at(*[at(0.0)] * count)) for k, count in enumerate((5, 1, 3))]
    assert [f.key for f in drive(searches, mueller_brown(ATOM))] == [1, 2, 0]


def test_a_width_of_one_runs_one_after_the_other() -> None:
    surface = Recorder(mueller_brown(ATOM))
    searches = [(k, energies_at(at(k), at(k + 0.5))) for k in range(3)]
    assert [f.key for f in drive(searches, surface, width=1)] == [0, 1, 2]
    assert [call.positions[0, 0, 0] for call in surface.calls] == [0, 0.5, 1, 1.5, 2, 2.5]


# Failures


def test_a_failure_is_thrown_into_the_search_that_asked() -> None:
    def careful() -> Search[str]:
        try:
            yield FAR
        except SurfaceError as error:
            evaluation = yield at(0.5)
            return f"{error}, stepped back to {evaluation.energies[0]:.3f}"
        return "no failure seen"

    surface = Recorder(mueller_brown(ATOM))
    searches: list[tuple[object, Search[object]]] = [
        ("before", energies_at(at(0.1), at(0.2))),
        ("careful", careful()),
        ("careless", energies_at(at(0.3), FAR, at(0.4))),
        ("after", energies_at(at(0.5), at(0.6), at(0.7))),
    ]
    finished = {f.key: f for f in drive(searches, surface)}
    energy = float(mueller_brown(ATOM).evaluate(at(0.5)).energies[0])
    assert finished["careful"].value == (
        f"the surface has no finite energy at this geometry, stepped back to {energy:.3f}"
    )
    assert finished["careful"].error is None
    assert finished["careless"].value is None
    assert isinstance(finished["careless"].error, SurfaceError)
    assert finished["careless"].gradients == {"other": 2}
    for key, count in (("before", 2), ("after", 3)):
        assert finished[key].error is None
        assert len(finished[key].value) == count  # type: ignore[arg-type]


def test_one_failed_geometry_fails_its_request_only() -> None:
    surface = Recorder(mueller_brown(ATOM))
    request = np.concatenate([at(0.1), FAR, at(0.2)])
    finished = {
        f.key: f for f in drive([(1, energies_at(at(0.0))), (2, energies_at(request))], surface)
    }
    assert surface.sizes() == [4]
    assert finished[1].error is None
    assert isinstance(finished[2].error, SurfaceError)


def test_solve_raises_the_failure_nobody_handled() -> None:
    gradients: Counter[str] = Counter()
    with pytest.raises(SurfaceError, match="no finite energy"):
        solve(energies_at(at(0.0), FAR), Recorder(mueller_brown(ATOM)), gradients=gradients)
    assert gradients == {"other": 2}


def test_a_search_may_fail_by_itself() -> None:
    def hopeless(ask: bool) -> Search[None]:
        if ask:
            yield at(0.0)
        raise SurfaceError("no way from here")

    surface = mueller_brown(ATOM)
    for ask in (False, True):
        with pytest.raises(SurfaceError, match="no way from here"):
            solve(hopeless(ask), surface)


def test_a_mistake_in_a_search_is_not_swallowed() -> None:
    def wrong() -> Search[None]:
        yield at(0.0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(drive([(0, wrong())], mueller_brown(ATOM)))


# Stages


def test_gradients_are_counted_by_stage() -> None:
    def inner() -> Search[int]:
        yield np.concatenate([at(0.0)] * 3)
        return 3

    def outer() -> Search[int]:
        yield at(0.1)
        count = yield from stage("inner", inner())
        yield at(0.2)
        return count

    def whole() -> Search[int]:
        yield at(0.3)
        first = yield from stage("outer", outer())
        second = yield from stage("outer", outer())
        return first + second

    gradients = Counter({"outer": 10})
    assert solve(whole(), mueller_brown(ATOM), gradients=gradients) == 6
    assert gradients == {"other": 1, "outer": 10 + 4, "inner": 6}


def test_a_stage_hands_failures_through() -> None:
    def careful() -> Search[str]:
        try:
            yield FAR
        except SurfaceError:
            return "handled inside"
        return "no failure seen"

    def outer() -> Search[str]:
        try:
            yield from stage("careless", energies_at(FAR))
        except SurfaceError:
            return (yield from stage("careful", careful()))
        return "no failure seen"

    gradients: Counter[str] = Counter()
    assert solve(outer(), Recorder(mueller_brown(ATOM)), gradients=gradients) == "handled inside"
    assert gradients == {"careless": 1, "careful": 1}


def test_path_requests_go_to_the_surface_for_paths() -> None:
    def mixed() -> Search[None]:
        yield from stage("push", energies_at(at(0.1), at(0.2)), Level.PATH)
        yield from stage("saddle", energies_at(at(0.3)))

    surface = Recorder(mueller_brown(ATOM))
    list(drive([(k, mixed()) for k in range(3)], surface))
    assert surface.sizes("path") == [3, 3]
    assert surface.sizes("point") == [3]


def test_searches_on_different_levels_fly_together() -> None:
    surface = Recorder(mueller_brown(ATOM))
    searches = [
        (k, stage("any", energies_at(at(0.1), at(0.2)), level))
        for k, level in enumerate((Level.PATH, Level.POINT, Level.PATH))
    ]
    assert len(list(drive(searches, surface))) == 3
    assert sorted(surface.sizes("path")) == [2, 2]
    assert sorted(surface.sizes("point")) == [1, 1]


def test_every_stage_owns_its_geometries() -> None:
    def whole() -> Search[None]:
        yield from stage("first", energies_at(at(0.1), at(0.2)))
        yield from stage("second", energies_at(np.concatenate([at(0.3), at(0.4)])))

    surface = Recorder(mueller_brown(ATOM))
    list(drive([("a", whole()), ("b", whole())], surface))
    first, again, second = (call.owners for call in surface.calls)
    assert len(set(first)) == 2
    assert first == again
    assert second[0] == second[1] != second[2] == second[3]


def test_an_owner_goes_when_its_stage_ends() -> None:
    owners: list[weakref.ref[object]] = []

    @dataclass(frozen=True)
    class Watcher:
        molecule: Molecule = ATOM

        def evaluate(
            self, positions: Positions, owners_asked: Sequence[object] | None = None
        ) -> Evaluation:
            for owner in owners_asked or ():
                if all(known() is not owner for known in owners):
                    owners.append(weakref.ref(owner))
            return mueller_brown(ATOM).evaluate(positions)

        def for_paths(self) -> Watcher:
            return self

    alive_in_second: list[bool] = []

    def whole() -> Search[None]:
        yield from stage("first", energies_at(at(0.1), at(0.2)))
        yield from stage("second", second())

    def second() -> Search[None]:
        yield at(0.3)
        gc.collect()
        alive_in_second.append(owners[0]() is not None)

    solve(whole(), Watcher())
    gc.collect()
    assert len(owners) == 2
    assert alive_in_second == [False]
    assert [owner() for owner in owners] == [None, None]


def test_a_request_may_name_everything_itself() -> None:
    owner = np.random.default_rng(0)

    def asks() -> Search[None]:
        yield Request(at(0.1), "special", Level.PATH, owner)

    surface = Recorder(mueller_brown(ATOM))
    gradients: Counter[str] = Counter()
    solve(stage("outer", asks()), surface, gradients=gradients)
    assert gradients == {"special": 1}
    assert surface.calls[0].where == "path"
    assert surface.calls[0].owners == (id(owner),)


def test_finished_is_a_value() -> None:
    (finished,) = drive([("key", energies_at(at(0.0)))], mueller_brown(ATOM))
    assert isinstance(finished, Finished)
    with pytest.raises(AttributeError):
        finished.key = "other"  # type: ignore[misc]


def test_the_surface_need_not_be_of_one_atom() -> None:
    surface = double_well(PAIR)
    start = DOUBLE_WELL_POINTS[2].positions * 1.01
    found = solve(descend(start), surface)
    assert np.linalg.norm(found[1] - found[0]) == pytest.approx(2.5, abs=1e-5)
