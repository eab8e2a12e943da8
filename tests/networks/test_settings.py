from __future__ import annotations

import json

import pytest

from afir.errors import InputError
from afir.molecule import Molecule
from afir.searches.settings import StepSettings
from networks.settings import Settings

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
    round_size=4,
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
        ("round_size", 0),
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
