"""Kept geometries: what a run evaluated, all of it and nothing else, and data made of it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from runs import HCN, HCN_START

from afir.cli.main import main
from afir.errors import AfirError, InputError
from afir.pes.loading import load_surface
from afir.stationary import Outcome
from networks import Settings, explore, open_run
from networks.cli.collect import collect
from networks.execution.context import Bench
from networks.execution.local import SerialExecutor
from networks.execution.tasks import Labelled, Task, TaskResult
from networks.graph.identity import fingerprint
from networks.learning.sampling import Pool, label, pool, random_choice, spread_out

SETTINGS = Settings(seed=1, keep_frames=True, max_trials=10)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "hcn.db"
    for _ in explore(HCN, HCN_START, SETTINGS, path):
        pass
    return path


def found(run: Path) -> Pool:
    with open_run(run) as store:
        return pool(HCN, [("hcn", store.frames())])


def test_every_gradient_but_those_of_hessians_and_checks_is_kept(run: Path) -> None:
    counts: Counter[tuple[int, str]] = Counter()
    with open_run(run) as store:
        for kept in store.frames():
            assert kept.frames.positions.shape == (len(kept.frames), 3, 3)
            counts.update((kept.trial, stage) for stage in kept.frames.stages)
        spent = {
            (trial.number, stage): count
            for trial in store.trials()
            for stage, count in trial.gradients.items()
            if stage != "hessian"
        }
        trials = sum(sum(trial.gradients.values()) for trial in store.trials())
        stages = store.summary().gradients
        start = sum(stages.values()) - trials - stages["consistency"] - stages["again"]
    # The exact Hessian of the start has 4 internal directions.
    assert sum(count for key, count in counts.items() if not key[0]) == start - (1 + 2 * 4)
    assert {key: count for key, count in counts.items() if key[0]} == spent


def test_what_is_kept_is_what_the_surface_says(run: Path) -> None:
    surface = load_surface("gfn2", HCN)
    with open_run(run) as store:
        kept = list(store.frames())
    for level, exact in (("point", surface), ("path", surface.for_paths())):
        picked = [
            (item.frames, index)
            for item in kept
            for index in np.flatnonzero(np.array(item.frames.levels) == level)[::7]
        ]
        assert len(picked) > 5
        for frames, index in picked:
            again = exact.evaluate(frames.positions[index][None])
            assert again.energies[0] == pytest.approx(frames.energies[index], abs=1e-4)
            assert np.allclose(again.gradients[0], frames.gradients[index], atol=1e-2)


@pytest.mark.slow
def test_how_it_is_done_makes_no_difference(run: Path, tmp_path: Path) -> None:
    for name, workers in (("processes", 2), ("serial", 1)):
        path = tmp_path / f"{name}.db"
        for _ in explore(HCN, HCN_START, SETTINGS, path, workers=workers, executor=name):
            pass
        first, second = found(run), found(path)
        assert first.groups == second.groups
        assert first.stages == second.stages
        assert np.allclose(first.energies, second.energies, atol=1e-6)


def test_a_run_without_frames_has_none(tmp_path: Path) -> None:
    settings = replace(SETTINGS, keep_frames=False, max_trials=1)
    for _ in explore(HCN, HCN_START, settings, tmp_path / "run.db"):
        pass
    with open_run(tmp_path / "run.db") as store:
        assert list(store.frames()) == []
        with pytest.raises(InputError, match="--keep-frames"):
            pool(HCN, [("run", store.frames())])


def test_what_is_chosen_is_spread_out(run: Path) -> None:
    everything = found(run)
    chosen = spread_out(everything, 20)
    assert len(set(chosen)) == 20
    assert everything.energies[chosen[0]] == everything.energies.min()
    marks = np.array([fingerprint(HCN, x, 0.0).signature for x in everything.positions])

    def nearest(indices: Sequence[int]) -> float:
        some = marks[list(indices)]
        gaps = np.abs(some[:, None] - some[None]).max(axis=2)
        return float(gaps[np.triu_indices(len(some), 1)].min())

    rng = np.random.default_rng(0)
    drawn = [nearest(rng.permutation(len(marks))[:20].tolist()) for _ in range(20)]
    assert nearest(chosen) > 2.0 * max(drawn)
    # The first few are the same whatever comes after, and near copies are never taken.
    assert spread_out(everything, 5) == chosen[:5]
    assert len(spread_out(everything, 10**6)) < len(everything)


class Interrupted(SerialExecutor):
    """Stops after some tasks."""

    def __init__(self, count: int) -> None:
        super().__init__(Bench(HCN, "gfn2"))
        self._stop_after = count
        self.done = 0

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        for item in super().run(tasks):
            if self.done == self._stop_after:
                raise KeyboardInterrupt
            self.done += 1
            yield item


def test_labelling_goes_on_where_it_was_stopped(run: Path, tmp_path: Path) -> None:
    everything, partial = found(run), tmp_path / "labels"
    chosen = spread_out(everything, 12)
    partial.write_text('{"labels of": "85')  # killed while it wrote, here and after each part
    for count in (5, 3):
        with pytest.raises(KeyboardInterrupt):
            list(label(everything, chosen, Interrupted(count), partial, "gfn2", {}))
        with partial.open("a") as stream:
            stream.write('{"of": "3", "ener')
    rest = Interrupted(99)
    again = dict(label(everything, chosen, rest, partial, "gfn2", {}))
    assert rest.done == 12 - 5 - 3
    assert set(again) == set(chosen)
    exact = load_surface("gfn2", HCN).evaluate(everything.positions[chosen])
    for index, energy, gradient in zip(chosen, exact.energies, exact.gradients, strict=True):
        value = again[index]
        assert isinstance(value, Labelled)
        assert value.energy == pytest.approx(energy, abs=1e-8)
        assert np.allclose(value.gradient, gradient, atol=1e-6)
    more = spread_out(everything, 15)  # fifteen of which twelve are known
    assert set(dict(label(everything, more, rest, partial, "gfn2", {}))) == set(more)
    assert rest.done == 12 - 5 - 3 + 3
    with pytest.raises(InputError, match="it holds others"):
        list(label(everything, chosen, rest, partial, "gfn2", {"accuracy": 0.1}))
    cation = replace(everything, molecule=replace(HCN, charge=1, multiplicity=2))
    with pytest.raises(InputError, match="it holds others"):
        list(label(cation, chosen, rest, partial, "gfn2", {}))


class Full(SerialExecutor):
    """Has a surface that fails while a disk is full."""

    full = True

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        for number, result in super().run(tasks):
            if self.full and number == 1:
                failed = Outcome.SURFACE_FAILED
                yield number, replace(result, value=None, outcome=failed, error="the disk is full")
            else:
                yield number, result


def test_a_failure_says_why_and_is_tried_again(run: Path, tmp_path: Path) -> None:
    everything, partial = found(run), tmp_path / "labels"
    executor = Full(Bench(HCN, "gfn2"))
    said = dict(label(everything, [0, 1, 2], executor, partial, "gfn2", {}))
    assert [isinstance(said[index], Labelled) for index in range(3)] == [True, False, True]
    assert said[1] == "the disk is full"
    executor.full = False
    again = dict(label(everything, [0, 1, 2], executor, partial, "gfn2", {}))
    assert isinstance(again[1], Labelled)


class Forgetful(SerialExecutor):
    """Leaves its first task out."""

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        return islice(super().run(tasks), 1, None)


def test_a_label_that_an_executor_leaves_out_is_missed(run: Path, tmp_path: Path) -> None:
    forgetful = Forgetful(Bench(HCN, "gfn2"))
    with pytest.raises(AfirError, match="the executor Forgetful must do every task"):
        list(label(found(run), [0, 1, 2], forgetful, tmp_path / "labels", "gfn2", {}))


@pytest.mark.parametrize("text", ["{}\n", "what\n", '["labels of"]\n', "\u00e9\n"])
def test_unfinished_labels_that_are_none(run: Path, tmp_path: Path, text: str) -> None:
    everything, partial = found(run), tmp_path / "labels"
    partial.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="it holds others; delete it"):
        list(label(everything, [0], Interrupted(1), partial, "gfn2", {}))


def test_chance_favours_nothing(run: Path) -> None:
    """The geometries are as high as all there are; those that differ most are higher."""
    with open_run(run) as store:
        everything = pool(store.molecule, [("hcn", store.frames())])
    half = len(everything) // 2
    chosen = random_choice(everything, half, 1)
    assert chosen == random_choice(everything, half, 1) != random_choice(everything, half, 2)
    assert len(set(chosen)) == half
    assert sorted(random_choice(everything, 10 * half, 1)) == list(range(len(everything)))
    energies = everything.energies
    error = energies.std() / np.sqrt(half)
    assert energies[chosen].mean() == pytest.approx(energies.mean(), abs=3.0 * error)
    assert energies[spread_out(everything, half // 4)].mean() > energies.mean()


def test_collect_writes_what_ase_reads(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "data.extxyz"
    arguments = ["collect", str(run), "-o", str(output), "--count", "8", "--surface", "gfn1"]
    assert main([*arguments, "--stages", "push,saddle"]) == 0
    frames = read(output, index=":")
    assert len(frames) == 8
    surface = load_surface("gfn1", HCN)
    for atoms in frames:
        assert atoms.info["stage"] in ("push", "saddle")
        assert atoms.info["group"].startswith("hcn:")
        assert atoms.info["surface"] == "gfn1"
        exact = surface.evaluate(atoms.positions[None])
        assert atoms.get_potential_energy() == pytest.approx(exact.energies[0], abs=1e-6)
        assert np.allclose(atoms.get_forces(), -exact.gradients[0], atol=1e-5)
    assert not list(tmp_path.glob("*.partial"))
    assert "afir train" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--count", "0"], "--count must be 1"),
        (["--by-chance", "-1"], "`seed` must be 0 or more"),
        (["--workers", "0"], "--workers must be"),
        (["--ceiling", "-1"], "--ceiling must be positive"),
        (["--stages", "nonsense"], "must name stages of the runs"),
        (["--surface", "nonsense"], "--surface must be one of"),
        (["--surface-option", "a=1"], "no option 'a'"),
    ],
)
def test_misuse_is_one_sentence(
    run: Path,
    tmp_path: Path,
    more: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["collect", str(run), "-o", str(tmp_path / "x.extxyz"), *more]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_frames_are_in_the_job(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_run(run) as store:
        assert json.loads(json.dumps(store.settings.to_dict()))["keep_frames"] is True


def test_a_refused_collection_leaves_no_run_open(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must name stages of the runs") as refused:
        collect.main(
            [str(run), "-o", str(tmp_path / "x.extxyz"), "--stages", "nonsense"],
            standalone_mode=False,
        )
    open_now = {os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()}
    assert str(run) not in open_now
    assert refused.tb is not None  # what it refers to would stay open with it
