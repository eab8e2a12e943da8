"""Labelled frames: read, refused where they spoil the others, split by trial."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read, write
from learned import BUTADIENE, labelled, write_data

from afir.errors import InputError
from afir.pes.loading import load_surface
from mlpot.dataset import Dataset, above, read_dataset, split


@pytest.fixture(scope="module")
def data() -> Dataset:
    return labelled("gfn2", 120)


def test_what_is_collected_is_read(tmp_path: Path, data: Dataset) -> None:
    write_data(tmp_path / "data.extxyz", data)
    again = read_dataset(tmp_path / "data.extxyz")
    assert again.molecule == data.molecule
    assert again.groups == data.groups
    assert again.stages == data.stages
    assert again.surface == "gfn2"
    assert np.allclose(again.positions, data.positions, atol=1e-7)
    assert np.allclose(again.energies, data.energies, atol=1e-7)
    assert np.allclose(again.gradients, data.gradients, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("charge", 2, "one charge, multiplicity and surface, those of frame 2"),
        ("surface", "dft", "one charge, multiplicity and surface, those of frame 2"),
        ("surface_options", '{"solvent": "water"}', "those of frame 2"),
        ("energy", np.nan, "finite numbers, frame 2 does not"),
        ("gap", 0.0, "frame 2 has two atoms on one spot"),
    ],
)
def test_frames_that_spoil_the_others_are_refused(
    tmp_path: Path, data: Dataset, key: str, value: Any, said: str
) -> None:
    energies, positions = data.energies[:4].copy(), data.positions[:4].copy()
    if key == "energy":
        energies[2] = value
    if key == "gap":
        positions[2, 1] = positions[2, 0]
    changed = replace(data.part(range(4)), energies=energies, positions=positions)
    write_data(tmp_path / "data.extxyz", changed)
    if key not in ("energy", "gap"):
        frames = read(tmp_path / "data.extxyz", index=":")
        frames[2].info[key] = value
        write(tmp_path / "data.extxyz", frames)
    with pytest.raises(InputError, match=said):
        read_dataset(tmp_path / "data.extxyz")


def test_a_charge_that_is_none(tmp_path: Path, data: Dataset) -> None:
    write_data(tmp_path / "data.extxyz", data.part(range(2)))
    text = (tmp_path / "data.extxyz").read_text().replace("charge=0", "charge=neutral")
    (tmp_path / "data.extxyz").write_text(text)
    with pytest.raises(InputError, match="frame 0"):
        read_dataset(tmp_path / "data.extxyz")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"energy=\S+", "energy=Q", "must hold energies in eV, frame 0 has 'Q'"),
        (r"energy=\S+", 'energy="1 2"', "must hold energies in eV, frame 0 has '[1 2]'"),
        (r"energy=\S+", "energy=T", "must hold energies in eV, frame 0 has 'True'"),
        ("forces:R:3", "forces:R:2:tag:R:1", "three components of the force on each atom, frame 0"),
        ("charge=0", "Charge=2 total_charge=4", "frame 0: `charge` must be said once"),
        ("charge=0", "charge=0 spin=2", "frame 0: `spin=2` may mean S, 2S or 2S + 1"),
    ],
)
def test_labels_that_are_none(
    tmp_path: Path, data: Dataset, old: str, new: str, words: str
) -> None:
    path = tmp_path / "data.extxyz"
    write_data(path, data.part(range(2)))
    text = re.sub(old, new, path.read_text())
    text = re.sub("multiplicity=1", "", text) if "spin" in new else text
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_dataset(path)
    assert words in str(caught.value)


def test_the_spin_of_data_sets_is_2s_plus_1_and_that_is_said_once(
    tmp_path: Path, data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "data.extxyz"
    write_data(path, data.part(range(2)))
    path.write_text(path.read_text().replace("multiplicity=1", "spin=1"))
    with caplog.at_level(logging.WARNING):
        assert read_dataset(path).molecule.multiplicity == 1
    assert caplog.text.count("`spin=1` is taken as 2S + 1: multiplicity 1") == 1


def test_a_charge_in_another_spelling(tmp_path: Path, data: Dataset) -> None:
    write_data(tmp_path / "data.extxyz", data.part(range(2)))
    text = (tmp_path / "data.extxyz").read_text().replace("charge=0", "total_charge=2")
    (tmp_path / "data.extxyz").write_text(text)
    assert read_dataset(tmp_path / "data.extxyz").molecule.charge == 2


@pytest.mark.parametrize(
    ("text", "charge"), [("charge=0.0 multiplicity=1.0", 0), ("charge=-2.0 multiplicity=1", -2)]
)
def test_charges_with_a_decimal_point(
    tmp_path: Path, data: Dataset, text: str, charge: int
) -> None:
    write_data(tmp_path / "data.extxyz", data.part(range(2)))
    written = (tmp_path / "data.extxyz").read_text()
    assert "charge=0 multiplicity=1" in written
    (tmp_path / "data.extxyz").write_text(written.replace("charge=0 multiplicity=1", text))
    assert read_dataset(tmp_path / "data.extxyz").molecule.charge == charge


@pytest.mark.parametrize("options", ["3", "null", '"[1, 2]"', "T", "what"])
def test_options_that_are_none(tmp_path: Path, data: Dataset, options: str) -> None:
    write_data(tmp_path / "data.extxyz", data.part(range(2)))
    written = (tmp_path / "data.extxyz").read_text()
    changed = written.replace("charge=0", f"surface_options={options} charge=0")
    (tmp_path / "data.extxyz").write_text(changed)
    with pytest.raises(InputError, match="frame 0"):
        read_dataset(tmp_path / "data.extxyz")


def test_options_of_the_surface_are_kept(tmp_path: Path, data: Dataset) -> None:
    options = {
        "solvent": "water",
        "accuracy": 0.1,
        "command": 'a "b" c\\d %22 \n wäßrig',
        "more": {"a": [1, None]},
    }
    write_data(tmp_path / "data.extxyz", data.part(range(2)), options)
    assert read_dataset(tmp_path / "data.extxyz").surface_options == options


def test_a_large_trial_does_not_become_a_small_share(data: Dataset) -> None:
    """Each part is as near to its share as half of the trial that comes next."""
    sizes = [8, 80, *[1] * 12]
    groups = tuple(str(number) for number, size in enumerate(sizes) for _ in range(size))
    uneven = replace(data.part(range(100)), groups=groups)
    for seed in range(12):
        parts = split(uneven, np.random.default_rng(seed), validation=0.1, test=0.1)
        assert len(parts.train) >= 80
        assert 1 <= len(parts.validation) <= 14
        assert 1 <= len(parts.test) <= 14


def test_no_trial_is_in_two_parts(data: Dataset) -> None:
    for seed in range(10):
        parts = split(data, np.random.default_rng(seed), validation=0.2, test=0.1)
        groups = [set(part.groups) for part in (parts.train, parts.validation, parts.test)]
        for one, other in combinations(groups, 2):
            assert not one & other
        assert sum(map(len, (parts.train, parts.validation, parts.test))) == len(data)
        assert len(parts.validation) == pytest.approx(0.2 * len(data), abs=10)
        assert len(parts.test) == pytest.approx(0.1 * len(data), abs=10)
    few = data.part(range(20))
    with pytest.raises(InputError, match="3 trials or more"):
        split(few, np.random.default_rng(0))
    with pytest.raises(InputError, match="`validation` and `test` must be fractions"):
        split(data, np.random.default_rng(0), validation=0.6, test=0.5)


def test_what_a_base_leaves(data: Dataset) -> None:
    base = load_surface("gfn1", BUTADIENE)
    part = data.part(range(5))
    left = above(part, base)
    below = base.evaluate(part.positions)
    assert np.allclose(left.energies + below.energies, part.energies)
    assert np.allclose(left.gradients + below.gradients, part.gradients)
    broken = part.positions.copy()
    broken[2, 1] = broken[2, 0] + 0.01
    assert len(above(replace(part, positions=broken), base)) == 4


def test_data_that_is_none(tmp_path: Path, data: Dataset) -> None:
    with pytest.raises(InputError, match="which is not one"):
        read_dataset(tmp_path / "missing.extxyz")
    (tmp_path / "empty.extxyz").write_text("")
    with pytest.raises(InputError, match="must"):
        read_dataset(tmp_path / "empty.extxyz")
    write_data(tmp_path / "data.extxyz", data.part(range(3)))
    frames = read(tmp_path / "data.extxyz", index=":")
    frames[1].numbers = frames[1].numbers[::-1]
    write(tmp_path / "mixed.extxyz", frames)
    with pytest.raises(InputError, match="frame 1 is another"):
        read_dataset(tmp_path / "mixed.extxyz")
    frames[0].calc = None
    write(tmp_path / "bare.extxyz", frames[:1])
    with pytest.raises(InputError, match="energies and forces"):
        read_dataset(tmp_path / "bare.extxyz")
