"""A surface that breaks its contract: what searches, tasks and runs make of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benches import FaultySurface
from offered import pushed

from afir.errors import AfirError, BrokenSurfaceError, SurfaceError
from afir.geometry.bonds import distances
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search, drive, solve, stage
from afir.searches.settings import StepSettings
from afir.stationary import Outcome, StationaryPoint
from afir.surfaces.analytic import double_well
from networks import Settings, explore, open_run
from networks.execution.base import Executor
from networks.execution.context import Bench
from networks.execution.local import BatchedExecutor, SerialExecutor
from networks.execution.processes import ProcessExecutor
from networks.execution.tasks import Characterise, Push
from networks.exploration.events import Stopped
from networks.records.runs import StoppedBy

PAIR = Molecule((1, 1))


def pair(length: float) -> Positions:
    """Two atoms so many Å apart."""
    return np.array([[0.0, 0.0, 0.0], [0.0, 0.0, length]])


# -- searches ------------------------------------------------------------------------------------

WORDS = {
    "raise": "the surface failed with ValueError: no such integral",
    "misuse": "the surface failed: `basis` must cover He",
    "fail": "no SCF",
    "shape": r"must return energies \(1,\) and gradients \(1, 2, 3\), got \(0,\) and \(1, 2, 3\)",
    "energy": "energy or gradient that is not finite",
    "gradient": "energy or gradient that is not finite",
}
FAULTS = {"raise": BrokenSurfaceError, "misuse": BrokenSurfaceError, "shape": BrokenSurfaceError}


def energies_at(*lengths: float) -> Search[list[float]]:
    """The energies at lengths asked for one after the other."""
    found = []
    for length in lengths:
        evaluation = yield pair(length)[None]
        found.append(float(evaluation.energies[0]))
    return found


@pytest.mark.parametrize("how", WORDS)
def test_a_surface_that_misbehaves_is_told_to_the_search_that_asked(how: str) -> None:
    def listening() -> Search[AfirError | None]:
        try:
            yield pair(3.2)[None]
        except AfirError as error:
            return error
        return None

    surface = FaultySurface(PAIR, how)
    searches: list[tuple[object, Search[object]]] = [
        ("before", energies_at(1.4, 1.6)),
        ("far", listening()),
        ("after", energies_at(2.0, 2.2, 2.4)),
    ]
    finished = {f.key: f.value for f in drive(searches, surface)}
    told = finished["far"]
    assert type(told) is FAULTS.get(how, SurfaceError)
    assert re.search(WORDS[how], str(told))
    for key, lengths in (("before", (1.4, 1.6)), ("after", (2.0, 2.2, 2.4))):
        alone = [double_well(PAIR).evaluate(pair(x)[None]).energies[0] for x in lengths]
        assert finished[key] == alone
    # Only what went wrong as a whole is asked again one by one.
    assert surface.sizes == ([3] if how in ("energy", "gradient") else [3, 1, 1, 1]) + [2, 1]


def test_no_search_steps_back_from_a_broken_surface() -> None:
    def careful() -> Search[str]:
        try:
            yield pair(3.2)[None]
        except SurfaceError:
            return "stepped back"
        return "no failure seen"

    with pytest.raises(BrokenSurfaceError, match=WORDS["raise"]) as caught:
        solve(stage("careful", careful()), FaultySurface(PAIR, "raise"))
    assert isinstance(caught.value.__cause__, ValueError)
    assert solve(stage("careful", careful()), FaultySurface(PAIR, "fail")) == "stepped back"


# -- tasks and runs ------------------------------------------------------------------------------

EXECUTORS: dict[str, Callable[[Bench], Executor]] = {
    "serial": SerialExecutor,
    "batched": lambda bench: BatchedExecutor(bench, 64),
    "processes": lambda bench: ProcessExecutor(bench, 1),
}


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The surface ``faulty`` of `benches`, registered as a package would, here and in workers."""
    package = tmp_path / "faulty-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Name: faulty\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[afir.surfaces]\nfaulty = benches:faulty\n")
    monkeypatch.syspath_prepend(tmp_path)


def stretched(length: float) -> Characterise:
    return Characterise(pair(length))


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("kind", EXECUTORS)
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raise", "the surface failed with ValueError: no such integral"),
        ("fail", "no SCF"),
        ("shape", "the surface must return energies (1,) and gradients (1, 2, 3), got (0,) and"),
        ("energy", "the surface returned an energy or gradient that is not finite"),
    ],
)
def test_a_broken_surface_costs_the_task_that_met_it(kind: str, how: str, words: str) -> None:
    bench = Bench(PAIR, "faulty", {"how": how})
    executor = EXECUTORS[kind](bench)
    try:
        told = dict(executor.run([stretched(1.6), stretched(3.2), stretched(2.4)]))
    finally:
        executor.close()
    assert told[1].value is None
    assert told[1].outcome is Outcome.SURFACE_FAILED
    assert told[1].error.startswith(words)
    assert told[1].gradients == {"minimum": 1}
    for index, length in ((0, 1.5), (2, 2.5)):
        point = told[index].value
        assert isinstance(point, StationaryPoint)
        assert distances(point.positions)[0, 1] == pytest.approx(length, abs=1e-3)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("how", WORDS)
def test_a_push_on_a_surface_that_is_dead_costs_one_gradient(how: str) -> None:
    perform = Bench(PAIR, "faulty", {"how": how}).open()
    start = perform(stretched(2.5)).value
    assert isinstance(start, StationaryPoint)
    push = Push(replace(start, positions=pair(3.2)), pushed(0, 1), None, (1,))
    told = perform(push)
    # As `networks.stages.surface_check` expects of a surface that has stopped working.
    assert told.outcome is Outcome.SURFACE_FAILED
    assert told.gradients == {"push": 1}


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("kind", EXECUTORS)
@pytest.mark.parametrize(
    ("how", "words"), [("build", "RuntimeError: no library"), ("for_paths", "RuntimeError: no pa")]
)
def test_a_surface_that_cannot_be_built_is_one_sentence(kind: str, how: str, words: str) -> None:
    bench = Bench(PAIR, "faulty", {"how": how})
    executor = EXECUTORS[kind](bench)
    try:
        with pytest.raises(AfirError, match=f"^the surface 'faulty' could not be built: {words}"):
            list(executor.run([stretched(1.6)]))
    finally:
        executor.close()


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("kind", EXECUTORS)
def test_a_run_goes_on_after_a_surface_has_broken_its_contract(kind: str, tmp_path: Path) -> None:
    iodine = Molecule((53, 53))  # whose atoms are bonded at both lengths, so that it is pulled
    settings = Settings(
        surface="faulty",
        surface_options={"how": "raise"},
        step=StepSettings(gamma=500.0),
        effort="quick",
    )
    path = tmp_path / "run"
    events = list(explore(iodine, pair(1.55), settings, path, executor=EXECUTORS[kind]))
    assert events[-1] == Stopped(StoppedBy.NOTHING_LEFT, False)
    with open_run(tmp_path / "run") as store:
        trials = list(store.trials())
    forced = [trial for trial in trials if trial.offered.forces]
    assert [(trial.eq, trial.outcome, trial.error) for trial in forced] == [
        ("EQ0", Outcome.FOUND, ""),
        ("EQ1", Outcome.SURFACE_FAILED, "the surface failed with ValueError: no such integral"),
    ]
