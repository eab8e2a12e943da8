"""Runs that examine what they find on a reference, and that learn from it on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from ase.io import read
from runs import HCN, HCN_START, snapshot

from afir.cli.main import main
from afir.errors import InputError
from afir.io.structures import read_structure
from afir.molecule import Molecule
from afir.pes.driver import reference_gradients
from afir.pes.loading import load_surface
from networks import Settings, explore, open_run, resume
from networks.exploration import run as explorer
from networks.exploration.events import Event, Found, Progress, Stopped, TaskDone, Trained
from networks.learning import models as learning
from networks.learning.learner import load_learner
from networks.learning.models import folder_of
from networks.records.runs import StoppedBy
from networks.scheduling.offers import KICKS

REFERENCED = Settings(surface="gfn1", reference="gfn2", seed=1)
LEARNING = Settings(surface="gfn1", reference="gfn2", learn=True, seed=1, in_flight=4)
EXAMPLES = Path(__file__).parents[3] / "examples"


class Perfect:
    """A learner whose model is the reference itself; notes what it is asked."""

    calls: ClassVar[list[dict[str, Any]]] = []
    samples = 16
    attempts = 1
    share = 0.25

    def __init__(self, name: str, molecule: Molecule) -> None:
        assert (name, molecule) == ("auto", HCN)

    def surface(self, model: Path) -> str:
        assert model.is_file()
        return "gfn2"

    def __call__(
        self,
        labels: Path,
        output: Path,
        *,
        surface: str,
        options: Mapping[str, Any],
        start: Path | None,
        seed: int,
    ) -> dict[str, float]:
        frames: Any = read(labels, index=":")
        self.calls.append({"labels": len(frames), "start": start, "surface": surface})
        output.write_text("a model")
        return {"error / meV": 1.5}


@pytest.fixture(autouse=True)
def perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "load_learner", Perfect)
    monkeypatch.setattr(explorer, "load_learner", Perfect)
    monkeypatch.setattr(Perfect, "calls", [])


def run(path: Path, settings: Settings) -> list[Event]:
    return list(explore(HCN, HCN_START, settings, path))


def energies(path: Path, kind: str) -> list[float]:
    with open_run(path) as store:
        network = store.load_network()
        nodes = network.eqs if kind == "EQ" else network.tss
        return sorted(node.energy for node in nodes.values())


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("direct") / "hcn.db"
    list(explore(HCN, HCN_START, Settings(surface="gfn2", seed=1), path))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("settings", [REFERENCED, LEARNING])
def test_everything_reported_is_that_of_the_reference(
    tmp_path: Path, direct: Path, settings: Settings
) -> None:
    """HCN: the two minima and the transition state of GFN2-xTB, at a tenth of the gradients."""
    path = tmp_path / "hcn.db"
    run(path, settings)
    for kind in ("EQ", "TS"):
        assert energies(path, kind) == pytest.approx(energies(direct, kind), abs=1e-4)
    with open_run(path) as store, open_run(direct) as other:
        cost = reference_gradients(store.summary().gradients)
        assert cost == store.gradients()
        assert 10 * cost < 1.3 * other.gradients()


@pytest.mark.slow
@pytest.mark.parametrize("learn", [False, True])
def test_formaldehyde_by_way_of_another_surface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learn: bool
) -> None:
    """The minima and transition states of GFN2-xTB below 400 kJ/mol, from GFN1-xTB.

    The reference is asked twenty times less than the 4000 to 5800 gradients of a direct run. A
    Gaussian process learns without torch, and has no gradient asked for nothing but learning.
    """
    for module in (learning, explorer):
        monkeypatch.setattr(module, "load_learner", load_learner)
    molecule, x = read_structure(EXAMPLES / "h2co.xyz")
    path = tmp_path / "h2co.db"
    settings = Settings(
        surface="gfn1", reference="gfn2", learn=learn, window_kj_mol=500.0, effort="quick"
    )
    events = list(explore(molecule, x, settings, path))
    assert any(isinstance(event, Trained) for event in events) == learn
    assert not any(event.kind == "sample" for event in events if isinstance(event, TaskDone))
    zero = energies(path, "EQ")[0]
    eqs, tss = ((np.array(energies(path, k)) - zero) * 96.4853 for k in ("EQ", "TS"))
    for known in (179.6, 208.6, 216.5):
        assert np.abs(eqs - known).min() < 0.5
    for known in (305.6, 324.5, 384.8):
        assert np.abs(tss - known).min() < 0.5
    with open_run(path) as store:
        # Inversions find two more, which must be proven: some twenty gradients each.
        assert reference_gradients(store.summary().gradients) < 280


@pytest.mark.slow
def test_channels_have_the_energy_of_the_reference(tmp_path: Path) -> None:
    molecule, x = read_structure(EXAMPLES / "h2co.xyz")
    path = tmp_path / "h2co.db"
    settings = Settings(surface="gfn1", reference="gfn2", max_trials=64)
    list(explore(molecule, x, settings, path))
    with open_run(path) as store:
        channels = list(store.load_network().dcs.values())
    assert channels
    said = load_surface("gfn2", molecule).evaluate(np.array([dc.positions for dc in channels]))
    assert [dc.energy for dc in channels] == pytest.approx(list(said.energies), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("window", [400.0, 290.0, 100.0])
def test_the_window_is_that_of_the_reference(tmp_path: Path, direct: Path, window: float) -> None:
    """The transition state of HCN lies 306 kJ/mol above the start."""
    path = tmp_path / "hcn.db"
    run(path, replace(REFERENCED, window_kj_mol=window))
    known = energies(direct, "TS") if window > 306.0 else []
    assert energies(path, "TS") == pytest.approx(known, abs=1e-4)


@pytest.mark.slow
def test_a_window_that_is_changed_holds_for_trials_in_flight(tmp_path: Path, direct: Path) -> None:
    settings = replace(REFERENCED, window_kj_mol=400.0)
    path = tmp_path / "hcn.db"
    stopped = explore(HCN, HCN_START, settings, path)
    for event in stopped:
        if isinstance(event, TaskDone) and event.kind == "confirm":
            break
    stopped.close()  # type: ignore[attr-defined]
    list(resume(path, window_kj_mol=290.0))
    assert energies(path, "TS") == []
    assert energies(direct, "TS")


@pytest.mark.slow
def test_a_wider_window_lets_in_what_was_outside(tmp_path: Path, direct: Path) -> None:
    path = tmp_path / "hcn.db"
    run(path, replace(REFERENCED, window_kj_mol=290.0, max_trials=3, in_flight=3))
    assert energies(path, "TS") == []
    list(resume(path, window_kj_mol=None, max_trials=None))
    assert energies(path, "TS") == pytest.approx(energies(direct, "TS"), abs=1e-4)


@pytest.mark.slow
def test_pushes_are_tried_once_more_on_what_was_learned(tmp_path: Path) -> None:
    path = tmp_path / "hcn.db"
    run(path, replace(LEARNING, attempts=3))
    with open_run(path) as store:
        trials = [t for t in store.trials() if t.push < KICKS and t.eq == "EQ0"]
    pushes = [trial.push for trial in trials]
    count = len({json.dumps(trial.offer) for trial in trials})
    # Attempts are numbered one behind the other: three on the plain surface, then one more.
    assert sorted(pushes[: 3 * count]) == list(range(3 * count))
    assert sorted(pushes[3 * count :]) == list(range(3 * count, 4 * count))


def test_a_limit_ends_a_run_before_it_learns_more(tmp_path: Path) -> None:
    path = tmp_path / "hcn.db"
    events = run(path, replace(LEARNING, max_gradients=10))
    assert not any(isinstance(event, Trained) for event in events)


@pytest.mark.slow
def test_a_limit_that_keeps_from_learning_is_told(tmp_path: Path) -> None:
    """All pushes are tried on the plain surface, as many as are allowed: more is to come."""
    plain = 0
    for event in run(tmp_path / "whole.db", LEARNING):
        if isinstance(event, Trained):
            break
        if isinstance(event, Progress):
            plain = event.trials
    path = tmp_path / "part.db"
    last = run(path, replace(LEARNING, max_trials=plain))[-1]
    assert isinstance(last, Stopped)
    assert (last.reason, last.anything_left) == (StoppedBy.TRIALS, True)
    list(resume(path, max_trials=None))
    assert snapshot(path) == snapshot(tmp_path / "whole.db")


@pytest.mark.slow
def test_with_next_to_nothing_to_learn_from_there_is_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def models(path: Path) -> int:
        return sum(isinstance(event, Trained) for event in run(path, LEARNING))

    assert models(tmp_path / "enough.db")
    monkeypatch.setattr(learning, "_FEWEST_NEW", 10_000)
    assert not models(tmp_path / "few.db")


@pytest.mark.slow
def test_what_is_learned_from_and_when(tmp_path: Path) -> None:
    """Trained when nothing is left on the cheap surface, on all that the reference has said."""
    path = tmp_path / "hcn.db"
    events = run(path, LEARNING)
    models = [event.model for event in events if isinstance(event, Trained)]
    assert models
    assert models[0].number == 1
    assert Perfect.calls[0] == {"labels": models[0].labels, "start": None, "surface": "gfn1"}
    before = events[: events.index(next(e for e in events if isinstance(e, Trained)))]
    done = [event for event in before if isinstance(event, TaskDone)]
    asked = sum(event.gradients for event in done if event.kind not in ("examine", "again"))
    # All that the reference was asked are labels, but for what only tells whether it is right.
    assert models[0].labels == asked
    assert any(event.kind == "sample" for event in before if isinstance(event, TaskDone))
    assert sorted(file.name for file in folder_of(path).iterdir()) == [
        *sorted(f"{model.number}.model" for model in models),
        "labels.extxyz",
    ]
    with open_run(path) as store:
        assert [model.labels for model in store.models()] == [m.labels for m in models]
    # Known structures are recognised on the new surface: nothing is found twice.
    found = [event.record.id for event in events if isinstance(event, Found)]
    assert len(found) == len(set(found))
    for kind in ("EQ", "TS"):
        values = np.array(energies(path, kind))
        assert (np.diff(values) > 1e-3).all()


@pytest.mark.slow
def test_a_run_that_learns_is_resumed_wherever_it_stopped(tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    count = len(run(whole, LEARNING))
    for stop in range(3, count, max(1, count // 7)):
        path = tmp_path / f"{stop}.db"
        events: Iterator[Event] = explore(HCN, HCN_START, LEARNING, path)
        for _ in range(stop):
            next(events)
        events.close()  # type: ignore[attr-defined]
        list(resume(path))
        assert snapshot(path) == snapshot(whole)


@pytest.mark.slow
def test_a_run_that_ends_with_its_sample_is_resumed_alike(tmp_path: Path) -> None:
    """The sample uses up the limit: no model is trained, whether or not it was interrupted."""
    count = 0
    for event in run(tmp_path / "first.db", LEARNING):
        if isinstance(event, TaskDone):
            count += event.gradients if event.kind != "sample" else 0
            if event.kind == "sample":
                break
    # EQ0 is asked for once more at the end of each part.
    settings = replace(LEARNING, max_gradients=count + 5)
    whole, path = tmp_path / "whole.db", tmp_path / "part.db"
    events = run(whole, settings)
    assert any(isinstance(event, TaskDone) and event.kind == "sample" for event in events)
    assert not any(isinstance(event, Trained) for event in events)
    stopped = explore(HCN, HCN_START, settings, path)
    sampled = False
    for event in stopped:
        sampled |= isinstance(event, TaskDone) and event.kind == "sample"
        if sampled and isinstance(event, Progress):
            break
    stopped.close()  # type: ignore[attr-defined]
    list(resume(path))
    assert snapshot(path) == snapshot(whole)


@pytest.mark.slow
def test_labels_are_counted_as_they_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "hcn.db"
    run(path, LEARNING)
    with open_run(path) as store:
        kept = [(phase, len(frames)) for phase, frames in store.labels()]
        assert sorted(store.label_counts()) == sorted(kept)


@pytest.mark.slow
def test_any_number_of_workers_finds_the_same(tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    run(one, REFERENCED)
    list(explore(HCN, HCN_START, REFERENCED, two, workers=2))
    assert snapshot(one) == snapshot(two)


def test_limits_count_gradients_of_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "hcn.db"
    settings = Settings(
        surface="gfn1", reference="gfn2", seed=1, in_flight=2, max_gradients=20, max_trials=40
    )
    run(path, settings)
    with open_run(path) as store:
        gradients = store.summary().gradients
        assert 20 <= reference_gradients(gradients) < 100 < sum(gradients.values())


@pytest.mark.slow
def test_models_that_are_gone_are_missed(tmp_path: Path) -> None:
    path = tmp_path / "hcn.db"
    run(path, LEARNING)
    with open_run(path) as store:
        last = store.models()[-1].number
    (folder_of(path) / f"{last}.model").unlink()
    with pytest.raises(InputError, match=r"beside the run file, as hcn\.models"):
        list(resume(path))


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`learn` must go with a `reference`"):
        Settings(learn=True)
    with pytest.raises(InputError, match="`learner` must go with `learn`, got 'gaussian'"):
        Settings(reference="gfn2", learner="gaussian")
    with pytest.raises(InputError, match="`reference_options` must go with a `reference`"):
        Settings(reference_options={"solvent": "water"})
    path = tmp_path / "hcn.db"
    with pytest.raises(InputError, match="must be another surface than `surface`, both are gfn2"):
        run(path, Settings(surface="gfn2", reference="gfn2"))
    Settings(reference="gfn2", reference_options={"solvent": "water"}).check(HCN)
    with pytest.raises(InputError, match=r"must not end in \.models"):
        explore(HCN, HCN_START, LEARNING, tmp_path / "hcn.models")
    folder_of(path).mkdir()
    with pytest.raises(InputError, match=r"hcn\.models must not exist"):
        explore(HCN, HCN_START, LEARNING, path)
    assert not path.exists()


def test_an_unknown_learner_is_named() -> None:
    with pytest.raises(InputError, match="one of auto, delta, gaussian, got 'none'"):
        load_learner("none", HCN)


def test_the_command_tells_both_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hcn = str(EXAMPLES / "hcn.xyz")
    asked = ["--surface", "gfn1", "--reference", "gfn2", "--max-trials", "2"]
    assert main(["explore", hcn, *asked]) == 0
    out, err = capsys.readouterr()
    assert "on gfn2, searching on gfn1, with γ" in err
    assert "HCN on gfn2" in out or "CHN on gfn2" in out
    assert " gradients on gfn2, " in out
    assert main(["show", "hcn.db", "--job"]) == 0
    assert 'reference = "gfn2"' in capsys.readouterr().out
    assert main(["explore", hcn, "--learn", "-o", "other.db"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("Error: --learn must go with")
    assert main(["explore", hcn, "--reference", "gfn3", "-o", "other.db"]) == 2
    assert "--reference must be one of" in capsys.readouterr().err
