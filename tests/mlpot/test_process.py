"""Corrections by a Gaussian process: surface, file, what is learned from. No torch is needed."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afir.errors import InputError
from afir.io.structures import read_structure
from afir.molecule import Molecule, Positions
from afir.pes.contract import check_surface
from afir.pes.loading import load_surface
from afir.pes.surface import Surface, traits_of
from mlpot import process
from mlpot.dataset import Dataset, above
from mlpot.learner import Gaussian, automatic
from mlpot.process import Correction, apart, exchanges, load_correction, suits
from networks.execution.tasks import Labelled
from networks.learning.learner import load_learner
from networks.learning.sampling import Pool, write_frames

EXAMPLES = Path(__file__).parents[2] / "examples"
H2CO, START = read_structure(EXAMPLES / "h2co.xyz")


def around(count: int, seed: int, width: float = 0.08) -> Positions:
    rng = np.random.default_rng(seed)
    return START + width * rng.normal(size=(count, *START.shape))


def labelled(count: int, seed: int = 0, width: float = 0.08) -> Dataset:
    """Displaced formaldehyde on GFN2-xTB."""
    x = around(count, seed, width)
    said = load_surface("gfn2", H2CO).evaluate(x)
    nothing = ("",) * count
    return Dataset(H2CO, x, said.energies, said.gradients, nothing, nothing, "gfn2")


def difference(data: Dataset) -> Dataset:
    return above(data, load_surface("gfn1", H2CO))


def written(path: Path, count: int) -> Path:
    Correction("gfn1", {}, difference(labelled(count))).save(path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return written(tmp_path / "1.model", 20)


def corrected(model: Path) -> Surface:
    return load_surface(f"gaussian:{model}", H2CO)


def test_it_keeps_the_contract(model: Path) -> None:
    check_surface(corrected(model), around(3, 1), rng=np.random.default_rng(0))


def test_it_is_nearer_to_the_truth_than_what_it_corrects(model: Path) -> None:
    """On geometries it was not told of; from 20 labels an eighth of the error is left."""
    unseen = labelled(30, seed=2)
    off = corrected(model).evaluate(unseen.positions).gradients - unseen.gradients
    before = difference(unseen).gradients
    assert np.abs(off).mean() < 0.15 * np.abs(before).mean()


def test_like_atoms_are_alike_to_it(model: Path) -> None:
    x = around(2, 3)
    other = x[:, [0, 1, 3, 2]]
    surface = corrected(model)
    here, there = surface.evaluate(x), surface.evaluate(other)
    assert there.energies == pytest.approx(here.energies, abs=1e-6)


def test_where_nothing_was_learned_it_changes_nothing(model: Path) -> None:
    """But for a constant: the gradients of widely separated atoms are those of GFN1-xTB."""
    apart = 3.0 * START[None]
    plain = load_surface("gfn1", H2CO).evaluate(apart)
    assert np.abs(corrected(model).evaluate(apart).gradients - plain.gradients).max() < 0.02


def test_paths_are_corrected_too(model: Path) -> None:
    surface = corrected(model)
    paths = surface.for_paths()
    assert paths.for_paths() is paths
    x = around(3, 4)
    smooth = load_surface("gfn1", H2CO).for_paths()
    added = surface.evaluate(x).energies - load_surface("gfn1", H2CO).evaluate(x).energies
    expected = smooth.evaluate(x).energies + added
    assert paths.evaluate(x).energies == pytest.approx(expected, abs=1e-4)
    # What is examined is refined on it, not on what it corrects.
    assert traits_of(surface).base is None


def test_atoms_on_top_of_each_other_are_refused_and_the_rest_is_not(model: Path) -> None:
    x = around(2, 5)
    x[0, 3] = x[0, 2] + np.array([0.0, 0.0, 0.1])
    said = corrected(model).evaluate(x)
    assert list(said.failures) == [0]
    assert np.isnan(said.energies[0])
    assert np.isfinite(said.energies[1])


def test_a_file_that_was_changed_is_refused(model: Path, tmp_path: Path) -> None:
    with np.load(model) as content:
        held = dict(content)
    held["energies"] = held["energies"] + 0.01
    changed = tmp_path / "changed.model"
    with changed.open("wb") as stream:
        np.savez(stream, **held)
    with pytest.raises(InputError, match="its checksum is wrong; make it again"):
        corrected(changed)
    other = tmp_path / "other.model"
    other.write_text("not a model")
    with pytest.raises(InputError, match=r"other\.model must be a correction by a Gaussian"):
        corrected(other)
    with pytest.raises(InputError, match="must be a file"):
        corrected(tmp_path / "none.model")
    with pytest.raises(InputError, match=r"must be one of .* with its atoms in this order"):
        load_surface(f"gaussian:{model}", Molecule((8, 6, 1, 1)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("positions", np.zeros((20, 3, 3))),
        ("energies", np.full(20, np.nan)),
        ("energies", np.zeros((20, 1))),
        ("energies", np.zeros(())),
        ("energies", np.zeros(20, dtype=complex)),
        ("about", np.array('{"format": "afir process 0"}')),
        ("about", np.array('{"format": "afir process 1"}')),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(
    model: Path, tmp_path: Path, name: str, value: np.ndarray
) -> None:
    with np.load(model) as content:
        held = dict(content) | {name: value}
    held["digest"] = np.array(
        process.digest(str(held["about"]), (held["positions"], held["energies"], held["gradients"]))
    )
    changed = tmp_path / "changed.model"
    with changed.open("wb") as stream:
        np.savez(stream, **held)
    with pytest.raises(InputError, match="must be a correction by a Gaussian process"):
        corrected(changed)


def test_a_file_that_unpacks_to_more_than_it_is_is_refused(model: Path, tmp_path: Path) -> None:
    """Before it is unpacked: 200 kB of it are 200 MB."""
    with np.load(model) as content:
        held = dict(content)
    packed = tmp_path / "packed.model"
    with packed.open("wb") as stream:
        np.savez_compressed(stream, **held | {"positions": np.zeros((2_000_000, 4, 3))})
    assert packed.stat().st_size < 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="must be a correction by a Gaussian process"):
            load_correction(packed)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10_000_000


@pytest.mark.parametrize("count", [1, 400])
def test_what_would_take_for_ever_is_refused(tmp_path: Path, count: int) -> None:
    """Six hydrogen atoms change places in 720 ways; 400 frames of H2CO are a matrix too large."""
    molecule = H2CO if count > 1 else Molecule((1,) * 6)
    x = np.random.default_rng(0).normal(size=(count, molecule.n_atoms, 3))
    nothing = ("",) * count
    data = Dataset(molecule, x, np.zeros(count), np.zeros_like(x), nothing, nothing)
    Correction("gfn1", {}, data).save(tmp_path / "large.model")
    with pytest.raises(InputError, match=r"too many like atoms|4000 energies and derivatives"):
        load_correction(tmp_path / "large.model")


@pytest.mark.slow
def test_a_correction_of_itself_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Correction("gaussian:a.model", {}, difference(labelled(2))).save(Path("a.model"))
    with pytest.raises(InputError, match="must correct another surface, got itself"):
        load_surface("gaussian:a.model", H2CO)


def test_a_file_gives_back_what_was_written(model: Path) -> None:
    again = load_correction(model)
    data = difference(labelled(20))
    assert (again.base, dict(again.base_options)) == ("gfn1", {})
    assert again.data.surface == "gfn2"
    np.testing.assert_array_equal(again.data.gradients, data.gradients)


def test_all_exchanges_of_like_atoms() -> None:
    assert sorted(exchanges(H2CO).tolist()) == [[0, 1, 2, 3], [0, 1, 3, 2]]
    # 3! of the hydrogen atoms times 2! of the carbon atoms.
    ethyl = exchanges(Molecule((6, 1, 6, 1, 1), multiplicity=2))
    assert len(ethyl) == len({tuple(order) for order in ethyl.tolist()}) == 12
    assert all(np.array((6, 1, 6, 1, 1))[order].tolist() == [6, 1, 6, 1, 1] for order in ethyl)


def test_frames_that_repeat_others_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = labelled(6)
    twice = data.part([0, 1, 2, 0, 3, 4, 5])
    twice = replace(twice, energies=twice.energies + np.array([1.0, 0, 0, 0, 0, 0, 0]))
    kept = apart(twice)
    # Of the two the later one.
    assert sorted(kept.energies.tolist()) == sorted(data.energies.tolist())
    monkeypatch.setattr(process, "MOST_NUMBERS", 3 * 13)
    few = apart(twice)
    assert len(few) == 3
    assert few.energies[-1] == data.energies[5]


def test_the_learner_is_chosen_by_the_molecule() -> None:
    butadiene, _ = read_structure(EXAMPLES / "butadiene.xyz")
    assert suits(H2CO)
    assert not suits(butadiene)
    assert isinstance(automatic(H2CO), Gaussian)
    assert isinstance(load_learner("auto", H2CO), Gaussian)
    with pytest.raises(InputError, match=r"`learner` must be delta for .* more than 24 ways"):
        load_learner("gaussian", butadiene)


def test_it_learns_from_what_a_run_wrote(tmp_path: Path) -> None:
    data = labelled(24)
    groups = tuple(f"confirm:{index // 3}" for index in range(24))
    known = {k: Labelled(float(data.energies[k]), data.gradients[k]) for k in range(24)}
    labels, model = tmp_path / "labels.extxyz", tmp_path / "1.model"
    held = Pool(H2CO, data.positions, data.energies, groups, ("reference refine",) * 24)
    write_frames(labels, held, known, "gfn2")
    learner = load_learner("gaussian", H2CO)
    told = learner(labels, model, surface="gfn1", options={}, start=None, seed=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.model", "labels.extxyz"]
    surface = load_surface(learner.surface(model), H2CO)
    np.testing.assert_allclose(
        surface.evaluate(data.positions).gradients, data.gradients, atol=5e-3
    )
    # On tasks that it was not told of it says itself how far it is off.
    unseen = labelled(30, seed=7)
    off = np.abs(surface.evaluate(unseen.positions).gradients - unseen.gradients).mean()
    assert 1000 * off == pytest.approx(told["gradient error / meV/Å"], rel=0.5)


def test_labels_of_one_task_make_a_model_that_is_not_judged(tmp_path: Path) -> None:
    data = labelled(6)
    known = {k: Labelled(float(data.energies[k]), data.gradients[k]) for k in range(6)}
    labels, model = tmp_path / "labels.extxyz", tmp_path / "1.model"
    held = Pool(H2CO, data.positions, data.energies, ("confirm:0",) * 6, ("reference refine",) * 6)
    write_frames(labels, held, known, "gfn2")
    learner = load_learner("gaussian", H2CO)
    assert learner(labels, model, surface="gfn1", options={}, start=None, seed=0) == {}
    assert len(load_correction(model).data) == 6
