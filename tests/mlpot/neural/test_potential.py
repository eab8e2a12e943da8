"""The file of a potential: read back to the bit, refused when it is not what was written."""

from __future__ import annotations

import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learned import BUTADIENE, description, geometries, random_potential

from afir.errors import InputError
from mlpot.neural.potential import FORMAT, Description, Potential, digest, load_potential

torch = pytest.importorskip("torch")


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    potential = random_potential(
        "painn", 2, base="gfn2", base_options={"accuracy": 0.1}, limit=0.7, calibration=1.4
    )
    potential.save(tmp_path / "a.model")
    again = load_potential(tmp_path / "a.model", dtype="float64")
    assert again.description == potential.description
    first, second = (p.predict(BUTADIENE, geometries(3)) for p in (potential, again))
    assert np.array_equal(first.energies, second.energies)
    assert np.array_equal(first.gradients, second.gradients)
    assert np.array_equal(first.gradient_spread, second.gradient_spread)


def test_a_description_is_plain_text() -> None:
    about = description("schnet", notes={"seed": 3}, target="gfn2")
    assert Description.from_json(about.to_json()) == about
    with pytest.raises(InputError, match="that of a potential"):
        Description.from_json("{}")
    with pytest.raises(InputError, match="that of a potential"):
        Description.from_json("nonsense")


class Malice:
    """Would run code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": FORMAT, "description": Malice()}, "evil.model")
    Path("evil.pickle").write_bytes(pickle.dumps(Malice()))
    for name in ("evil.model", "evil.pickle"):
        with pytest.raises(InputError, match="must be a potential of afir"):
            load_potential(Path(name))
    assert not Path("ran").exists()


def test_a_tampered_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.model"
    random_potential("painn", 1).save(path)
    content = torch.load(path, weights_only=True)
    content["states"][0]["readout.0.weight"][0, 0] += 1e-3
    torch.save(content, tmp_path / "weights.model")
    content = torch.load(path, weights_only=True)
    content["description"] = content["description"].replace('"scale": 1.0', '"scale": 2.0')
    torch.save(content, tmp_path / "text.model")
    for name in ("weights.model", "text.model"):
        with pytest.raises(InputError, match="checksum"):
            load_potential(tmp_path / name)
    data = bytearray(path.read_bytes())
    (tmp_path / "half.model").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.model").write_bytes(b"")
    torch.save({"something": 1}, tmp_path / "other.model")
    with zipfile.ZipFile(tmp_path / "zip.model", "w") as archive:
        archive.writestr("readme", "no potential")
    for name in ("half", "empty", "other", "zip"):
        with pytest.raises(InputError, match="must be a potential of afir"):
            load_potential(tmp_path / f"{name}.model")


def test_a_file_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    """Before it is unpacked: a few MB of it might be gigabytes."""
    path = tmp_path / "a.model"
    random_potential("painn", 1).save(path)
    packed = tmp_path / "packed.model"
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(packed, "w") as other:
        for part in plain.infolist():
            other.writestr(part.filename, plain.read(part), zipfile.ZIP_DEFLATED)
    # All that is in it is right, and yet.
    assert torch.load(packed, weights_only=True)["format"] == FORMAT
    with pytest.raises(InputError, match="it is something else"):
        load_potential(packed)
    # A view of one number that says it is a hundred million of them.
    content = torch.load(path, weights_only=True)
    content["states"][0]["readout.0.weight"] = torch.zeros(1).expand(100_000_000)
    torch.save(content, tmp_path / "view.model")
    assert (tmp_path / "view.model").stat().st_size < 1_000_000
    with pytest.raises(InputError, match="it is something else"):
        load_potential(tmp_path / "view.model")


@pytest.mark.parametrize(
    "changes",
    [
        {"states": [[1.0]]},
        {"states": [{"readout.0.weight": 3}]},
        {"states": 3},
        {"description": None},
        {"digest": None, "states": None},
        {"format": "afir potential 0"},
    ],
)
def test_a_file_with_other_things_in_it_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    path = tmp_path / "a.model"
    random_potential("painn", 1).save(path)
    torch.save(torch.load(path, weights_only=True) | changes, path)
    with pytest.raises(InputError, match="must be a potential of afir"):
        load_potential(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base", 3),
        ("base_options", 1.5),
        ("base_options", []),
        ("charge", 0.5),
        ("charge", True),
        ("multiplicity", "x"),
        ("scale", 10**400),
        ("scale", float("nan")),
        ("calibration", "x"),
        ("limit", -1.0),
        ("references", {"1": None}),
        ("references", {"1": 1e999}),
        ("references", []),
        ("formulas", [3]),
        ("formulas", "\x1b[31m"),
        ("formulas", ["CH2O", "\x1b[31m"]),
        ("notes", "x"),
        ("architecture", {"features": 10**9}),
        ("architecture", {"features": True}),
        ("architecture", {"interactions": 10**9}),
        ("architecture", {"radial": 10**9}),
        ("architecture", {"cutoff": 1e300}),
        ("architecture", {"cutoff": None}),
        ("architecture", []),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(name: str, value: object) -> None:
    told = json.loads(description("schnet").to_json())
    with pytest.raises(InputError, match=r"the description must be|must be a"):
        Description.from_json(json.dumps(told | {name: value}))


def test_a_scale_that_is_a_whole_number_is_one(tmp_path: Path) -> None:
    about = replace(description("schnet"), scale=10**20)
    assert type(Description.from_json(about.to_json()).scale) is float


def test_weights_must_fit() -> None:
    potential = random_potential("painn", 1)
    with pytest.raises(InputError, match="must fit the architecture"):
        Potential(description("schnet"), potential.states)


def test_the_digest_sees_every_number() -> None:
    states = random_potential("painn", 1).states
    before = digest("a", states)
    assert digest("b", states) != before
    states[0]["readout.0.bias"] = states[0]["readout.0.bias"] + 1e-6
    assert digest("a", states) != before
