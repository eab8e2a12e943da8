"""The model that a run names: kept by what it contains, refused when it was replaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afir.errors import InputError
from afir.molecule import Molecule
from mlpot.policies.model import load_model, shipped_model
from networks import Settings, explore, open_run, resume

ARGON = Molecule((18, 18, 18))
TRIANGLE = np.array([[0.0, 0.0, 0.0], [3.8, 0.0, 0.0], [1.9, 3.3, 0.0]])


def ended(events: Iterator[object]) -> None:
    for _ in events:
        pass


def test_a_model_that_was_replaced_is_refused_until_it_is_named_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, run = tmp_path / "mine.npz", tmp_path / "run"
    shipped_model().save(model)
    monkeypatch.chdir(tmp_path)
    settings = Settings("lennard-jones", policy_options={"model": "mine.npz"}, max_trials=1)
    ended(explore(ARGON, TRIANGLE, settings, run))
    with open_run(run) as store:
        assert store.settings.policy_options == {"model": str(model)}
    monkeypatch.chdir("/")
    ended(resume(run, max_trials=2))
    other = replace(load_model(model), about={"formulas": []})
    model.unlink()
    other.save(model)
    with pytest.raises(InputError, match="which the run names as `model` of its policy, has been"):
        resume(run, max_trials=3)
    ended(resume(run, max_trials=3, policy_options={"model": str(model)}))
    ended(resume(run, max_trials=4))
    with open_run(run) as store:
        assert len(list(store.trials())) == 4
