from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import pytest

from afir.errors import InputError
from afir.molecule import Molecule
from afir.searches.settings import StepSettings
from networks.files import with_absolute_paths
from networks.numbers import NUMBERS, Number
from networks.settings import Changes, Settings

FULL = Settings(
    surface="gfn1",
    surface_options={"temperature": 300.0},
    step=StepSettings(gamma=300.0, ladder=(0.2, 0.6, 1.0)),
    seed=11,
    policy="stochastic",
    policy_options={"temperature": 1500.0},
    targets=(2, 0, 2),
    terms=1,
    window_kj_mol=250.0,
    bond_depth=3,
    max_trials=10,
    max_gradients=1000,
    max_seconds=60.0,
    patience=5,
    wanted=((0.0, 0.0, 0.0), (0.0, 0.0, 1.1), (0.0, 0.0, 2.2)),
    expand_complexes=True,
    task_seconds=20.0,
    in_flight=4,
)


@pytest.mark.parametrize("settings", [Settings(), FULL])
def test_settings_survive_json(settings: Settings) -> None:
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_targets_are_sorted_and_distinct() -> None:
    assert FULL.targets == (0, 2)


def test_what_is_missing_takes_its_default() -> None:
    assert Settings.from_dict({"seed": 3, "step": {"gamma": 50.0}}) == Settings(
        seed=3, step=StepSettings(gamma=50.0)
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("surface", ""),
        ("surface_options", ["accuracy"]),
        ("step", {"gama": 1.0}),
        ("step", {"gamma": -1.0}),
        ("step", {"gamma": "high"}),
        ("step", 3),
        ("seed", -1),
        ("seed", 1.5),
        ("seed", True),
        ("policy", None),
        ("methods", []),
        ("methods", "sc-afir"),
        ("methods", ["sc-afir", 3]),
        ("methods", ["sc-afir", "kick", "sc-afir"]),
        ("method_options", ["cap"]),
        ("method_options", {"sc-afir": 3}),
        ("method_options", {"rattle": {}}),
        ("targets", []),
        ("targets", [-1]),
        ("targets", "0,1"),
        ("terms", 3),
        ("window_kj_mol", 0.0),
        ("window_kj_mol", float("nan")),
        ("bond_depth", -1),
        ("max_trials", 2.0),
        ("max_seconds", -3.0),
        ("patience", 0),
        ("wanted", [[0.0, 1.0]]),
        ("wanted", "product.xyz"),
        ("wanted", [[0.0, 0.0, float("inf")]]),
        ("expand_complexes", 1),
        ("task_seconds", 0),
        ("in_flight", 0),
        ("in_flight", 100_001),
        ("rounds", 3),
    ],
)
def test_nonsense_is_refused_in_one_sentence(name: str, value: object) -> None:
    with pytest.raises(InputError, match=r"`\w+` must .*, got "):
        Settings.from_dict({name: value})


def test_atoms_outside_the_molecule_are_refused() -> None:
    water = Molecule.from_symbols("OHH")
    Settings(targets=(0, 2)).check(water)
    with pytest.raises(InputError, match="from 0 to 2"):
        Settings(targets=(3,)).check(water)
    with pytest.raises(InputError, match="3 atoms"):
        Settings(wanted=((0.0, 0.0, 0.0),)).check(water)


@pytest.mark.parametrize(
    ("window", "gamma"), [(None, 1000.0), (300.0, 750.0), (400.0, 1000.0), (500.0, 1000.0)]
)
def test_gamma_follows_the_window_unless_it_is_given(window: float | None, gamma: float) -> None:
    settings = Settings(window_kj_mol=window)
    assert settings.step == StepSettings(gamma=gamma)
    assert Settings.from_dict({"window_kj_mol": window}) == settings
    assert Settings.from_dict({"window_kj_mol": window, "step": {}}) == settings
    assert Settings.from_dict(settings.to_dict()) == settings
    # Whoever makes step settings in Python chooses γ with them.
    for given in (StepSettings(), StepSettings(gamma=600.0)):
        assert Settings(window_kj_mol=window, step=given).step is given
    given = {"window_kj_mol": window, "step": {"gamma": 600.0}}
    assert Settings.from_dict(given).step.gamma == 600.0
    few = Settings.from_dict({"window_kj_mol": window, "step": {"push_steps": 99}})
    assert few.step == StepSettings(gamma=gamma, push_steps=99)


def test_gamma_stays_when_the_window_is_changed() -> None:
    narrow = Settings(window_kj_mol=300.0)
    assert replace(narrow, window_kj_mol=None).step.gamma == 750.0
    assert replace(Settings(), window_kj_mol=100.0).step.gamma == 1000.0


def test_the_hardest_repeat_is_compared_with_the_gamma_of_the_window() -> None:
    assert Settings(window_kj_mol=200.0, gamma_max=600.0).tried.gamma_factor == 1.2
    with pytest.raises(InputError, match="at least γ, 500 kJ/mol"):
        Settings(window_kj_mol=200.0, gamma_max=400.0)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
def test_a_number_is_in_the_settings_what_its_table_says(number: Number) -> None:
    kind = number.kind | None if number.optional else number.kind
    assert get_type_hints(Settings)[number.name] == kind
    assert getattr(Settings(), number.name) == number.default
    assert (get_type_hints(Changes).get(number.name) == kind) is number.resumed


def test_changes_replace_what_they_name_and_nothing_else() -> None:
    longer = FULL.changed(max_trials=20, patience=None)
    assert longer == replace(FULL, max_trials=20, patience=None)
    assert FULL.changed() == FULL


def test_another_policy_does_not_get_the_options_of_the_old_one() -> None:
    assert FULL.changed(policy="stochastic") == FULL
    assert FULL.changed(policy="exhaustive").policy_options == {}
    cold = FULL.changed(policy="stochastic", policy_options={"temperature": 10.0})
    assert cold.policy_options == {"temperature": 10.0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 3}, r"`changes` must be of window_kj_mol, .*, policy_options, got 'seed'"),
        ({"max_trails": 3}, r"`changes` must be of .*, got 'max_trails'"),
        ({"max_trials": -1}, r"`max_trials` must be a whole number of 0 or more, got -1"),
        ({"task_seconds": None}, r"`task_seconds` must be a positive number, got None"),
    ],
)
def test_changes_that_make_no_sense_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=f"^{words}$"):
        FULL.changed(**changes)  # type: ignore[arg-type]


def test_options_of_a_policy_are_laid_over_those_of_the_run() -> None:
    run = replace(FULL, policy="learned", policy_options={"explore": "ucb", "low_weight": 2.0})
    more = run.changed(policy_options={"low_weight": 3.0})
    assert more.policy_options == {"explore": "ucb", "low_weight": 3.0}
    assert run.changed(policy="exhaustive", policy_options={"per_eq": 4}).policy_options == {
        "per_eq": 4
    }


def test_options_that_name_files_get_absolute_paths(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").touch()
    (tmp_path / "greedy").touch()
    options = {"model": "mine.npz", "explore": "greedy", "low_weight": 2}
    found = with_absolute_paths("learned", options, tmp_path)
    assert found == {**options, "model": str(tmp_path / "mine.npz")}
    assert with_absolute_paths("learned", options, tmp_path / "other") == options
    gone = {"model": str(tmp_path / "before" / "mine.npz")}
    assert with_absolute_paths("learned", gone, tmp_path, moved=True) == {
        "model": str(tmp_path / "mine.npz")
    }
    assert with_absolute_paths("nobody", options, tmp_path) == options
    assert with_absolute_paths("learned", ["no table"], tmp_path) == ["no table"]
