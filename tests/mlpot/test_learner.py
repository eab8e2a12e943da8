"""What a run that learns calls: small committees, trained further with each set of labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from learned import BUTADIENE, geometries

from afir.errors import InputError
from afir.pes.loading import load_surface
from afir.pes.surface import traits_of
from mlpot.dataset import Dataset, above, read_dataset, steady_split
from networks.execution.tasks import Labelled
from networks.learning.learner import Learner, load_learner
from networks.learning.sampling import Pool, write_frames

learner = pytest.importorskip("mlpot.learner")
potential = pytest.importorskip("mlpot.neural.potential")


def labels(path: Path, count: int) -> Path:
    """Displaced butadiene on GFN2-xTB, three frames a group."""
    x = geometries(count, 0, 0.08)
    said = load_surface("gfn2", BUTADIENE).evaluate(x)
    groups = tuple(f"confirm:{index // 3}" for index in range(count))
    known = {k: Labelled(float(said.energies[k]), said.gradients[k]) for k in range(count)}
    held = Pool(BUTADIENE, x, said.energies, groups, ("reference refine",) * count)
    write_frames(path, held, known, "gfn2")
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Learner:
    monkeypatch.setattr(learner, "_FIRST_STEPS", 120)
    monkeypatch.setattr(learner, "_NEXT_STEPS", 60)
    return load_learner("delta", BUTADIENE)


def test_no_frame_changes_sides(tmp_path: Path) -> None:
    few = read_dataset(labels(tmp_path / "few.extxyz", 30))
    many = read_dataset(labels(tmp_path / "many.extxyz", 90))

    def held(data: Dataset) -> set[str]:
        return set(steady_split(data, 3, validation=0.2).validation.groups)

    assert held(few) == held(many) & set(few.groups)
    assert 0.05 < len(steady_split(many, 3, validation=0.2).validation) / len(many) < 0.4
    assert not set(steady_split(many, 3, validation=0.2).train.groups) & held(many)
    assert len(steady_split(few, 3, validation=1e-9).validation) == 3
    with pytest.raises(InputError, match="2 groups or more"):
        steady_split(few.part([0, 1, 2]), 3, validation=0.2)


@pytest.mark.slow
def test_a_model_is_trained_further(tmp_path: Path, quick: Learner) -> None:
    first, second = tmp_path / "1.model", tmp_path / "2.model"
    few = labels(tmp_path / "few.extxyz", 30)
    told = quick(few, first, surface="gfn1", options={}, start=None, seed=0)
    assert all(np.isfinite(value) and value > 0.0 for value in told.values())
    many = labels(tmp_path / "many.extxyz", 60)
    quick(many, second, surface="gfn1", options={}, start=first, seed=0)
    assert sorted(path.name for path in tmp_path.glob("*.model*")) == ["1.model", "2.model"]
    old, new = (potential.load_potential(path).description for path in (first, second))
    assert (new.scale, new.references, new.base) == (old.scale, old.references, "gfn1")
    assert new.notes["frames"][0] > old.notes["frames"][0]
    surface = load_surface(quick.surface(second), BUTADIENE)
    assert traits_of(surface).base is not None
    # Half of what separates the two is learned after these few steps, and the rest is foreseen.
    data = read_dataset(many)
    left = above(data, load_surface("gfn1", BUTADIENE))
    said = surface.evaluate(data.positions)
    assert np.abs(said.gradients - data.gradients).mean() < 0.5 * np.abs(left.gradients).mean()
    assert said.spread is not None
    assert said.spread.shape == (60,)
    assert 0.0 < said.limit < np.inf
    # A potential of one's own is where learning may begin, too.
    other = tmp_path / "other.model"
    quick(few, other, surface=f"delta:{first}", options={}, start=None, seed=0)
    assert potential.load_potential(other).description.scale == old.scale
