"""Job files: what is written comes back, and what is wrong is named."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afir.errors import InputError
from afir.searches.settings import SADDLE, StepSettings, TrustRegions
from networks.jobfile import KEYS, job_from, job_values, read_job_file, write_toml
from networks.settings import Settings

SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TABLES = st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=3), max_size=4)

VALUES: dict[str, Any] = {
    "input": "h2co.xyz",
    "output": "run.db",
    "wanted": "co_h2.xyz",
    "charge": 1,
    "multiplicity": 2,
    "workers": 2,
    "executor": "dask",
    "executor_options": {"cluster": "slurm", "extra": {"interface": "ib0"}, "walltime": "1h"},
    "gamma": 800.0,
    "surface": "gfn1",
    "surface_options": {"solvent": "water", "accuracy": 0.1},
    "reference": "gfn2",
    "reference_options": {"solvent": "water"},
    "learn": True,
    "learner": "delta",
    "seed": 7,
    "methods": ["sc-afir", "kick"],
    "method_options": {"sc-afir": {"cap": 32}},
    "policy": "stochastic",
    "policy_options": {"temperature": 1500.0},
    "target_atoms": [0, 2],
    "terms": 1,
    "window": 400.0,
    "bond_depth": 4,
    "max_trials": 100,
    "max_gradients": 5000,
    "max_seconds": 60.0,
    "patience": 20,
    "expand_complexes": True,
    "effort": "quick",
    "attempts": 2,
    "gamma_max": 1600.0,
    "keep_frames": True,
    "task_seconds": 30.0,
    "in_flight": 4,
    "step": {"push_steps": 99},
}


@given(st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=3) | TABLES, max_size=5))
def test_toml_comes_back(values: dict[str, Any]) -> None:
    text = write_toml(values)
    assert tomllib.loads(text) == values
    assert text.replace("\n", "").isprintable()  # whatever the names, it may be shown


def test_toml_has_no_null_and_no_objects() -> None:
    assert tomllib.loads(write_toml({"a": None, "t": {"b": None, "c": 1}})) == {"t": {"c": 1}}
    assert math.isnan(tomllib.loads(write_toml({"x": math.nan}))["x"])
    assert tomllib.loads(write_toml({"x": [{"y": 1}]})) == {"x": [{"y": 1}]}
    with pytest.raises(InputError, match="plain values"):
        write_toml({"x": object()})


def test_a_full_job_comes_back() -> None:
    assert set(VALUES) == set(KEYS)
    job = job_from(VALUES)
    assert job.settings == Settings(
        surface="gfn1",
        surface_options={"solvent": "water", "accuracy": 0.1},
        reference="gfn2",
        reference_options={"solvent": "water"},
        learn=True,
        learner="delta",
        step=StepSettings(gamma=800.0, push_steps=99),
        seed=7,
        methods=("sc-afir", "kick"),
        method_options={"sc-afir": {"cap": 32}},
        policy="stochastic",
        policy_options={"temperature": 1500.0},
        targets=(0, 2),
        terms=1,
        window_kj_mol=400.0,
        bond_depth=4,
        max_trials=100,
        max_gradients=5000,
        max_seconds=60.0,
        patience=20,
        expand_complexes=True,
        effort="quick",
        attempts=2,
        gamma_max=1600.0,
        keep_frames=True,
        task_seconds=30.0,
        in_flight=4,
    )
    assert (job.input, job.output, job.wanted) == (
        Path("h2co.xyz"),
        Path("run.db"),
        Path("co_h2.xyz"),
    )
    assert (job.charge, job.multiplicity, job.workers) == (1, 2, 2)
    assert (job.executor, job.executor_options) == ("dask", VALUES["executor_options"])
    assert job_from(tomllib.loads(write_toml(job_values(job)))) == job


def test_defaults_are_those_of_the_settings() -> None:
    job = job_from({"input": "a.xyz", "gamma": None})
    assert job.settings == Settings()
    assert job_from(tomllib.loads(write_toml(job_values(job)))) == job


@pytest.mark.parametrize(
    ("values", "gamma"),
    [
        ({}, 1000.0),
        ({"window": 300}, 750.0),
        ({"window": 500}, 1000.0),
        ({"window": 300, "gamma": 400}, 400.0),
        ({"window": 300, "step": {"push_steps": 99}}, 750.0),
    ],
)
def test_gamma_follows_the_window_and_stands_in_the_job(
    values: dict[str, Any], gamma: float
) -> None:
    job = job_from({"input": "a.xyz", **values})
    assert job.settings.step.gamma == gamma
    written = job_values(job)
    assert written["gamma"] == gamma
    # Whoever changes the window of a job that was printed keeps its γ.
    assert job_from({**written, "window": 100.0}).settings.step.gamma == gamma


def test_paths_are_relative_to_the_job_file(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('input = "a.xyz"\noutput = "/tmp/b.db"\n')
    values = read_job_file(path)
    assert values == {"input": str(tmp_path / "a.xyz"), "output": "/tmp/b.db"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "no structure to start from"),
        ({"gama": 100}, "unknown key `gama`; did you mean `gamma`?"),
        ({"zzz": 1}, "unknown key `zzz`; it knows input"),
        ({"step": {"push_step": 3}}, "[step] has the unknown key `push_step`; did you mean"),
        ({"step": {"gamma": 3}}, "[step] has the unknown key `gamma`"),
        ({"step": 3}, "`step` must be a table"),
        ({"input": 3}, "`input` must be the name of a file"),
        ({"gamma": "high"}, "`gamma` must be a number"),
        ({"gamma": -1.0}, "`gamma` must be"),
        ({"charge": 0.5}, "`charge` must be a whole number"),
        ({"workers": 0}, "`workers` must be a whole number from 1"),
        ({"workers": "two"}, "`workers` must be a whole number"),
        ({"window": -5}, "`window` must be a positive number"),
        ({"target_atoms": "C"}, "`target_atoms` must be a list of atoms"),
        ({"seed": -1}, "`seed` must be"),
        ({"expand_complexes": 1}, "`expand_complexes` must be true or false"),
        ({"surface_options": 1}, "`surface_options` must be a table"),
        ({"step": {"push_steps": "many"}}, "`"),
        ({"step": {"ladder": "ab"}}, "`ladder` must hold fractions in (0, 1], got 'ab'"),
        ({"step": {"push_steps": 2.5}}, "`push_steps` must be a whole number, got 2.5"),
        ({"step": {"push_steps": True}}, "`push_steps` must be a whole number, got True"),
        ({"step": {"max_step": 1e300}}, "`max_step` must be positive and 1e+09 at most"),
        ({"gamma": 10**400}, "`gamma` must be a number below 2**63"),
        ({"window": float("inf")}, "`window` must be a finite number, got inf"),
        ({"seed": 10**5000}, "`seed` must be a number below 2**63"),
        ({"workers": 10**8}, "`workers` must be a whole number from 1 to 1024"),
        ({"target_atoms": [0, 5, 0]}, "`target_atoms` must name each atom once, got 0 twice"),
        ({"effort": []}, "`effort` must be one of quick, normal, thorough, got []"),
        ({"output": "a\0b"}, "`output` must be the name of a file"),
    ],
)
def test_wrong_jobs_are_named(values: dict[str, Any], words: str) -> None:
    base = {"input": "a.xyz"} if values else {}
    with pytest.raises(InputError) as caught:
        job_from({**base, **values})
    assert words in str(caught.value)


def test_files_that_are_no_job(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    for text, words in [
        ("gamma = " + "[" * 100_000, "must not nest lists and tables so deep"),
        ("seed = " + "9" * 5000, "is not a TOML file"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            read_job_file(path)
    path.write_bytes(b"\xef\xbb\xbfseed = 3\n")
    assert read_job_file(path) == {"seed": 3}


def test_a_name_that_is_no_utf_8_is_no_part_of_a_job() -> None:
    with pytest.raises(InputError, match=r"names in UTF-8.*rename the folder or file"):
        write_toml({"input": "caf\udce9/a.xyz"})


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such job file"):
        read_job_file(tmp_path / "no.toml")
    path = tmp_path / "job.toml"
    path.write_text("gamma 1000")
    with pytest.raises(InputError, match="is not a TOML file"):
        read_job_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not a TOML file"):
        read_job_file(path)
    path.write_text("wrokers = 2")
    with pytest.raises(InputError, match="did you mean `workers`"):
        read_job_file(path)


def test_a_job_file_sets_numbers_of_a_trust_region() -> None:
    job = job_from({"input": "a.xyz", "step": {"trust": {"saddle": {"most": 0.2}}}})
    assert job.settings.step.trust == TrustRegions(saddle=replace(SADDLE, most=0.2))
    assert Settings.from_dict(job.settings.to_dict()) == job.settings
    assert job_from(tomllib.loads(write_toml(job_values(job)))) == job
