"""Forests as plain arrays, and the file of a model, which runs nothing."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afir.errors import InputError
from mlpot.policies import features
from mlpot.policies.forest import Forest, planted
from mlpot.policies.model import NAMES, PolicyModel, is_model, load_model, shipped_model

sklearn_ensemble = pytest.importorskip("sklearn.ensemble")

WEIGHTS = np.array([1.0, 0.5, 0.3])
Arrays = dict[str, Any]


def grown(seed: int = 0, outputs: int = 2) -> tuple[Any, Forest, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 7)).astype(np.float32).astype(np.float64)
    y = np.column_stack([np.sin(x[:, k]) * x[:, k + 1] for k in range(outputs)])
    fitted = sklearn_ensemble.ExtraTreesRegressor(12, min_samples_leaf=3, random_state=seed)
    fitted.fit(x, y)
    return fitted, planted(fitted.estimators_), x


def test_a_forest_says_what_the_fitted_one_says() -> None:
    for seed in range(3):
        fitted, forest, x = grown(seed)
        assert forest.predict(x) == pytest.approx(fitted.predict(x), abs=1e-6)
        assert forest.depth == max(tree.get_depth() for tree in fitted.estimators_)
        each = np.stack([tree.predict(x) for tree in fitted.estimators_], axis=1)
        assert forest.each(x) == pytest.approx(each, abs=1e-6)
        # The mean of what was fitted stands above its leaves.
        roots = forest.value[forest.roots].mean(axis=0)
        assert roots == pytest.approx(fitted.predict(x).mean(axis=0), abs=0.05)


def test_a_feature_on_the_threshold_goes_left() -> None:
    forest = Forest(
        roots=np.array([0], np.int32),
        feature=np.array([0, 0, 0], np.uint8),
        threshold=np.array([1.5, np.inf, np.inf], np.float32),
        left=np.array([1, 1, 2], np.int32),
        value=np.array([[0.0], [1.0], [2.0]], np.float32),
        weight=np.array([1.0, 0.5, 0.5], np.float32),
    )
    x = np.array([[1.5], [np.nextafter(np.float32(1.5), np.float32(2.0))], [-1e30], [1e30]])
    assert forest.predict(x)[:, 0].tolist() == [1.0, 2.0, 1.0, 2.0]


def test_a_row_is_foretold_the_same_to_the_last_bit_whatever_other_rows_there_are() -> None:
    model = shipped_model()
    rng = np.random.default_rng(0)
    low, high = model.range.lowest, model.range.highest
    offers = rng.uniform(low - 0.3, high + 0.3, size=(700, len(low)))
    rows = np.hstack([offers, rng.integers(0, 5, size=(700, len(NAMES) - len(low)))])
    rows = rows.astype(np.float32).astype(np.float64)
    together = model.foretold(rows, WEIGHTS)
    for count in (1, 2, 3, 17, 255, 256, 257):
        apart = model.foretold(rows[:count], WEIGHTS)
        for one, other in zip(together, apart, strict=True):
            assert np.array_equal(one[:count], other)


def test_far_from_the_training_the_mean_is_foretold() -> None:
    model = shipped_model()
    middle = (model.range.lowest + model.range.highest) / 2
    row = np.zeros((3, len(NAMES)))
    row[:, : len(middle)] = middle
    row[1, 0] += 1e9 * model.range.scale[0]
    gains, _, costs = model.foretold(row, WEIGHTS)
    usual = float(model.gain.value[model.gain.roots].astype(float).mean(axis=0) @ WEIGHTS)
    assert gains[1] == pytest.approx(usual, rel=1e-3)
    assert gains[0] == gains[2]
    assert np.log(costs[1]) == pytest.approx(model.cost.value[model.cost.roots].mean(), rel=1e-3)
    assert model.range.distances(row[:, : len(middle)])[0] == 0.0


def test_the_shipped_model_is_small_and_says_what_it_was_trained_on() -> None:
    path = Path(features.__file__).parent / "default.npz"
    assert path.stat().st_size < 1_500_000
    about = shipped_model().about
    assert len(about["formulas"]) > 40
    held_out = about["held_out"]
    assert held_out["learned_gradients"] < held_out["table_gradients"] < 1.0


def small(tmp_path: Path) -> tuple[Path, Arrays]:
    """A stored model of small forests, and its arrays."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, len(NAMES)))
    parts = []
    for outputs in (3, 1):
        fitted = sklearn_ensemble.ExtraTreesRegressor(2, max_depth=3, random_state=0)
        y = np.abs(rng.normal(size=(60, outputs)))
        fitted.fit(x, y if outputs > 1 else y[:, 0])
        parts.append(planted(fitted.estimators_))
    box = shipped_model().range
    path = tmp_path / "model.npz"
    PolicyModel(parts[0], parts[1], box, {"formulas": ["CH2O"]}).save(path)
    with np.load(path) as stored:
        return path, dict(stored)


def test_a_stored_model_is_the_same(tmp_path: Path) -> None:
    path, arrays = small(tmp_path)
    model = load_model(path)
    assert model.about == {"formulas": ["CH2O"]}
    again = tmp_path / "again.npz"
    model.save(again)
    assert again.read_bytes() == path.read_bytes()
    assert np.array_equal(arrays["gain.left"], model.gain.left)


def endless(arrays: Arrays) -> None:
    arrays["gain.left"][3] = 0


def outside(arrays: Arrays) -> None:
    arrays["cost.left"][0] = len(arrays["cost.left"])


def unknown_feature(arrays: Arrays) -> None:
    arrays["gain.feature"][0] = 255


def not_finite(arrays: Arrays) -> None:
    arrays["cost.value"][1] = np.nan


def shorter(arrays: Arrays) -> None:
    arrays["gain.threshold"] = arrays["gain.threshold"][:-1]


def no_roots(arrays: Arrays) -> None:
    arrays["gain.roots"] = arrays["gain.roots"][:0]


def negative_root(arrays: Arrays) -> None:
    arrays["gain.roots"][0] = -1


def other_type(arrays: Arrays) -> None:
    arrays["gain.left"] = arrays["gain.left"].astype(float)


def missing(arrays: Arrays) -> None:
    del arrays["range.scale"]


def no_scale(arrays: Arrays) -> None:
    arrays["range.scale"] = 0.0 * arrays["range.scale"]


def other_outcomes(arrays: Arrays) -> None:
    arrays["gain.value"] = arrays["gain.value"][:, :2]


def other_header(arrays: Arrays) -> None:
    arrays["header"] = np.frombuffer(b"[1, 2]", dtype=np.uint8)


def other_version(arrays: Arrays) -> None:
    text = arrays["header"].tobytes().replace(b'"version": ', b'"version": 9')
    arrays["header"] = np.frombuffer(text, dtype=np.uint8)


def other_names(arrays: Arrays) -> None:
    text = arrays["header"].tobytes().replace(b"forces", b"sources")
    arrays["header"] = np.frombuffer(text, dtype=np.uint8)


def nested(arrays: Arrays) -> None:
    arrays["header"] = np.frombuffer(b"[" * 100_000, dtype=np.uint8)


def turned_ranges(arrays: Arrays) -> None:
    arrays["range.lowest"] = arrays["range.highest"] + 1.0


def negative_counts(arrays: Arrays) -> None:
    arrays["gain.value"] = -1.0 - arrays["gain.value"]


def endless_gradients(arrays: Arrays) -> None:
    arrays["cost.value"] = 1e5 + arrays["cost.value"]


@pytest.mark.parametrize(
    "spoil",
    [
        *(nested, turned_ranges, negative_counts, endless_gradients),
        *(endless, outside, unknown_feature, not_finite, shorter, no_roots, negative_root),
        *(other_type, missing, no_scale, other_outcomes, other_header, other_version, other_names),
    ],
)
def test_a_model_that_was_tampered_with_is_refused(
    spoil: Callable[[Arrays], None], tmp_path: Path
) -> None:
    path, arrays = small(tmp_path)
    spoil(arrays)
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="model") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


class Trap:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("sprung").touch, ())


def test_a_pickle_in_a_model_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path, arrays = small(tmp_path)
    arrays["header"] = np.array([Trap()], dtype=object)
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="must be a model"):
        load_model(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="must be a model"):
        load_model(path)
    assert not Path("sprung").exists()


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    path, _ = small(tmp_path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        parts = [part for part in archive.infolist() if part.compress_size > 200]
    for number, content in enumerate([b"", b"text", whole[:200], whole[: len(whole) // 2]]):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(content)
        with pytest.raises(InputError, match="must be a model written by afir learn-policy, but"):
            load_model(path)
        assert not is_model(path)
    assert parts
    for part in parts:
        place = part.header_offset + 30 + len(part.filename) + part.compress_size // 2
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        assert is_model(path)
        with pytest.raises(InputError, match="but it is damaged; train it anew, or leave model="):
            load_model(path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_model(tmp_path / "none.npz")
    with pytest.raises(InputError, match="cannot be read"):
        load_model(tmp_path)


def test_a_model_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", bytes(100_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(InputError, match="unpacks to more"):
        load_model(path)
