"""Training: what is learned holds on trials that were held out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learned import BUTADIENE, geometries, labelled, random_potential, write_data

from afir.cli.main import main
from afir.errors import InputError
from afir.pes.contract import check_surface
from afir.pes.loading import load_surface
from mlpot.dataset import Dataset
from mlpot.neural.architecture import Architecture
from mlpot.neural.calibration import BAD, calibrate, spearman, trust

training = pytest.importorskip("mlpot.neural.training")
model = pytest.importorskip("mlpot.neural.model")
recipe = pytest.importorskip("mlpot.neural.recipe")
report = pytest.importorskip("mlpot.report")
potential = pytest.importorskip("mlpot.neural.potential")

SMALL = Architecture("painn", features=16, interactions=2)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return labelled("gfn2", 120)


def test_training_that_diverges_is_no_potential(data: Dataset) -> None:
    part = data.part(range(40))
    energies = part.energies.copy()
    energies[0] = 1e60  # more than float32 can hold
    asked = recipe.Recipe(SMALL, training.Training(fewest_steps=3, epochs=1), test=0.0)
    with pytest.raises(InputError, match="it diverged from the start"):
        recipe.make(replace(part, energies=energies), asked)


def test_references_give_the_mean_energy(data: Dataset) -> None:
    known = training.references(data)
    assert sum(known[z] for z in BUTADIENE.numbers) == pytest.approx(data.energies.mean())
    assert training.typical_gradient(data) == pytest.approx(np.sqrt((data.gradients**2).mean()))


@pytest.mark.slow
def test_a_correction_is_learned_and_holds_on_held_out_trials(data: Dataset) -> None:
    """GFN1 → GFN2 from a hundred frames: far better than no correction, and a sound surface."""
    asked = recipe.Recipe(
        SMALL, training.Training(fewest_steps=600), networks=2, base="gfn1", validation=0.2
    )
    trained = recipe.make(data, asked)
    untrained = trained.parts.test
    before = np.abs(untrained.gradients).mean()
    (errors, *_) = report.judge(trained.potential, untrained)
    assert errors.gradient < 0.35 * before
    spread_of_difference = np.abs(untrained.energies - untrained.energies.mean()).mean()
    assert errors.relative_energy < 0.5 * spread_of_difference
    about = trained.potential.description
    assert about.base == "gfn1"
    assert about.target == "gfn2"
    assert trained.calibration.coverage > 0.7
    assert 0.0 < about.limit < np.inf
    surface = pytest.importorskip("mlpot.surface").LearnedSurface(
        BUTADIENE, trained.potential, load_surface("gfn1", BUTADIENE)
    )
    check_surface(surface, geometries(2), rng=np.random.default_rng(0))
    # The same again gives the same weights.
    once_more = recipe.make(data, replace(asked, networks=1))
    first, second = trained.potential.states[0], once_more.potential.states[0]
    assert all(np.array_equal(first[key].numpy(), second[key].numpy()) for key in first)


def test_training_goes_down_from_where_it_starts(data: Dataset) -> None:
    part = data.part(range(40))
    shift = part.energies.mean()
    learn = replace(part, energies=part.energies - shift)
    scale = training.typical_gradient(part)
    seen = []
    states = training.train(
        SMALL,
        training.Training(epochs=1, fewest_steps=60),
        training.Labels(learn, learn, scale),
        [0, 1],
        tell=seen.append,
    )
    assert seen[-1].gradient_error < 0.8 * np.abs(part.gradients).mean()
    assert [progress.step for progress in seen] == sorted({p.step for p in seen})
    warm = []
    training.train(
        SMALL,
        training.Training(epochs=1, fewest_steps=20, rate=1e-4),
        training.Labels(learn, learn, scale),
        [0, 1],
        starts=states,
        tell=warm.append,
    )
    assert warm[0].gradient_error < 1.1 * min(progress.gradient_error for progress in seen)


@pytest.mark.slow
def test_the_second_round_is_for_energies(data: Dataset) -> None:
    part = data.part(range(40))
    learn = replace(part, energies=part.energies - part.energies.mean())
    scale = training.typical_gradient(part)

    def energy_error(closing: float) -> float:
        seen = []
        plan = training.Training(epochs=1, fewest_steps=200, closing=closing)
        states = training.train(
            SMALL, plan, training.Labels(learn, learn, scale), [0], tell=seen.append
        )
        assert seen[-1].step == seen[-1].steps == round(200 * (1.0 + closing))
        network = model.Network(SMALL)
        network.load_state_dict(states[0])
        of_energy, _ = training.errors([network], learn, scale, "cpu")
        return float(of_energy[0])

    assert energy_error(0.5) < 0.95 * energy_error(0.0)
    with pytest.raises(InputError, match="`closing` must be from 0"):
        training.Training(closing=1.0)


@pytest.mark.slow
def test_what_a_cheap_surface_taught_saves_labels(data: Dataset) -> None:
    """Forty labels of GFN2: by themselves, and after frames of other trials on GFN1."""
    few, unseen = data.part(range(40)), data.part(range(80, 120))
    cheap = labelled("gfn1", 400, seed=1)
    short = training.Training(fewest_steps=500, rate=2e-3)
    alone = recipe.make(few, recipe.Recipe(SMALL, short, validation=0.2, test=0.0))
    begun = recipe.make(
        cheap, recipe.Recipe(SMALL, replace(short, fewest_steps=1500), validation=0.1, test=0.0)
    )
    asked = recipe.Recipe(SMALL, short, validation=0.2, test=0.0)
    further = recipe.make(few, asked, start=begun.potential)
    (without, *_), (errors, *_) = (
        report.judge(made.potential, unseen) for made in (alone, further)
    )
    assert errors.gradient < 0.8 * without.gradient
    assert errors.relative_energy < without.relative_energy
    assert further.potential.description.target == "gfn2"


def test_a_start_gives_what_it_knows(data: Dataset) -> None:
    """Of the same surface all, of another the weights with its mean energy moved."""
    none = training.Training(epochs=1, fewest_steps=1, rate=1e-9)
    asked = recipe.Recipe(SMALL, none, validation=0.2, test=0.0)
    first = recipe.make(data.part(range(60)), asked).potential
    again = recipe.make(data, asked, start=first).potential
    assert again.description.references == first.description.references
    before, after = (made.predict(BUTADIENE, data.positions) for made in (first, again))
    assert np.allclose(before.energies, after.energies, atol=1e-4)
    moved = replace(data, energies=data.energies + 30.0, surface="another")
    made = recipe.make(moved, asked, start=first)
    said = made.potential.predict(BUTADIENE, made.parts.train.positions)
    assert said.energies.mean() == pytest.approx(made.parts.train.energies.mean(), abs=0.01)
    assert np.allclose(
        made.potential.predict(BUTADIENE, data.positions).gradients, before.gradients, atol=1e-4
    )
    # With another base only what geometries look like is taken over.
    corrected = recipe.make(data, replace(asked, base="gfn1", networks=2), start=first).potential
    for key, value in corrected.states[1].items():
        same = np.allclose(value.numpy(), first.states[0][key].numpy(), atol=1e-5)
        assert same == (not key.startswith("readout")) or key.endswith("bias")
    assert corrected.description.base == "gfn1"
    with pytest.raises(InputError, match="`architecture` must be that of the potential"):
        recipe.make(data, replace(asked, architecture=Architecture()), start=first)
    with pytest.raises(InputError, match="`networks` must be as many"):
        recipe.make(data, replace(asked, networks=3), start=corrected)
    other = replace(data, molecule=replace(BUTADIENE, numbers=(8, *BUTADIENE.numbers[1:])))
    with pytest.raises(InputError, match="it does not know O"):
        recipe.make(other, asked, start=first)


@pytest.mark.slow
def test_each_network_learns_from_trials_of_its_own(data: Dataset) -> None:
    """What a network never sees has no say in its weights."""
    part = replace(data, energies=data.energies - data.energies.mean())
    scale = training.typical_gradient(part)
    half = training.Training(epochs=1, fewest_steps=20, share=0.5)

    def trained(learn: Dataset, *seeds: int) -> list[dict[str, np.ndarray]]:
        states = training.train(SMALL, half, training.Labels(learn, part, scale), seeds)
        return [{key: value.numpy() for key, value in state.items()} for state in states]

    def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
        return all(np.array_equal(one[key], other[key]) for key in one)

    plain, other = trained(part, 3, 4)
    asked_for = []
    for group in sorted(set(part.groups)):
        wrong = part.energies + np.where(np.array(part.groups) == group, 5.0, 0.0)
        first, second = trained(replace(part, energies=wrong), 3, 4)
        asked_for.append((not same(first, plain), not same(second, other)))
    assert [sum(column) for column in zip(*asked_for, strict=True)] == [6, 6]
    assert any(one != two for one, two in asked_for)
    # Fewer frames than make a batch, and not as many for each.
    few = part.part([0, 1, 2, 3, 4, 5, 6, len(part) - 1])
    assert len(trained(few, 1, 2, 3)) == 3
    with pytest.raises(InputError, match="`share` must be above 0"):
        training.Training(share=0.0)
    with pytest.raises(InputError, match="`share` must be 1 for a single network"):
        recipe.Recipe(SMALL, half)


def test_calibration_makes_the_spread_as_large_as_the_error(data: Dataset) -> None:
    potential = random_potential("painn", 4)
    said = potential.predict(BUTADIENE, data.positions)
    rng = np.random.default_rng(0)
    # Errors drawn with 2.5 times the spread of each atom.
    sizes = 2.5 * said.gradient_spread[:, :, None] / np.sqrt(3.0)
    wrong = sizes * rng.normal(size=said.gradients.shape)
    bent = replace(data, energies=said.energies, gradients=said.gradients + wrong)
    judged = calibrate(potential, bent)
    assert judged.factor == pytest.approx(2.5, rel=0.05)
    assert 0.9 < judged.coverage < 1.0
    assert judged.ranking > 0.0
    alone = calibrate(random_potential("painn", 1), data)
    assert alone.factor == 1.0
    assert alone.limit == np.inf


def test_the_limit_catches_bad_frames(data: Dataset) -> None:
    potential = random_potential("painn", 4)
    said = potential.predict(BUTADIENE, data.positions)
    largest = said.gradient_spread.max(axis=1)
    bad = largest > np.quantile(largest, 0.6)
    energies = said.energies + np.where(bad, 2.0 * BAD, 0.0)
    judged = calibrate(potential, replace(data, energies=energies, gradients=said.gradients + 0.1))
    caught = judged.factor * largest[bad] >= judged.limit
    assert caught.mean() >= 0.95


def test_without_bad_frames_the_limit_follows_from_the_others(data: Dataset) -> None:
    """Errors in proportion to the spread, of 8 kcal/mol at most: 10 are to be feared beyond."""
    potential = random_potential("painn", 4)
    said = potential.predict(BUTADIENE, data.positions)
    right = replace(data, energies=said.energies, gradients=said.gradients + 0.1)
    largest = calibrate(potential, right).factor * said.gradient_spread.max(axis=1)
    wrong = 0.8 * BAD * largest / largest.max()
    judged = calibrate(potential, replace(right, energies=said.energies + wrong))
    assert judged.limit == pytest.approx(largest.max() / 0.8, rel=1e-4)
    # Of spreads that were never met little is known, small as the errors may be.
    judged = calibrate(potential, replace(right, energies=said.energies + 1e-3 * wrong))
    assert judged.limit == pytest.approx(2.0 * np.quantile(largest, 0.98), rel=1e-4)


def test_trust_is_that_in_what_a_potential_has() -> None:
    """Its own factor and limit are judged, not better ones for the frames at hand."""
    made = random_potential("painn", 3)
    x = geometries(40)
    said = made.predict(BUTADIENE, x)
    largest = said.gradient_spread.max(axis=1)
    energies = said.energies + np.where(largest > np.median(largest), 2.0, 0.5) * BAD
    nothing = ("",) * len(x)
    frames = Dataset(BUTADIENE, x, energies, said.gradients, nothing, nothing)
    for limit, trusted, caught in ((0.0, 0.0, 20), (np.inf, 1.0, 0), (np.median(largest), 0.5, 20)):
        about = replace(made.description, calibration=1.0, limit=float(limit))
        judged = trust(potential.Potential(about, made.states, dtype="float64"), frames)
        assert (judged.trusted, judged.bad, judged.caught) == (trusted, 20, caught)
        assert judged.coverage == 1.0
    off = replace(frames, gradients=said.gradients + 3.0 * said.gradient_spread[:, :, None])
    judged = trust(made, off)  # errors of 3 √3 spreads
    assert judged.coverage == 0.0
    about = replace(made.description, calibration=3.0)
    assert trust(potential.Potential(about, made.states, dtype="float64"), off).coverage == 1.0


def test_rank_correlation() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(a, a**3) == pytest.approx(1.0)
    assert spearman(a, -a) == pytest.approx(-1.0)
    assert np.isnan(spearman(a, np.ones(4)))


@pytest.mark.slow
def test_from_the_command_line(
    tmp_path: Path, data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, model = tmp_path / "data.extxyz", tmp_path / "a.model"
    write_data(frames, data)
    small = {"features": 8, "interactions": 1, "epochs": 1, "fewest-steps": 10, "networks": 2}
    options = [text for name, value in small.items() for text in (f"--{name}", str(value))]
    assert main(["train", str(frames), "-o", str(model), "--base", "gfn1", *options, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(told["frames"]) == len(data)
    assert {row["origin"] for row in told["errors"]["validation"]} >= {"all"}
    shape = potential.load_potential(model).description.architecture
    assert (shape.cutoff, shape.radial) == (3.5, 8)
    correction = shape
    whole = [str(frames), "-o", str(tmp_path / "whole.model"), *options, "--radial", "12"]
    assert main(["train", *whole]) == 0
    shape = potential.load_potential(tmp_path / "whole.model").description.architecture
    assert (shape.cutoff, shape.radial) == (5.0, 12)
    # Further, from what there is: a correction for a whole energy, with two networks as before.
    further = [str(frames), "-o", str(tmp_path / "further.model"), "--start", str(model)]
    assert main(["train", *further, "--share", "0.5", "--epochs", "1", "--fewest-steps", "5"]) == 0
    assert "without --base gfn1 the training goes on with total energies" in capsys.readouterr().err
    begun = potential.load_potential(tmp_path / "further.model")
    assert (len(begun), begun.description.architecture) == (2, correction)
    assert begun.description.base == ""
    assert begun.description.notes["training"]["share"] == 0.5
    refused = [str(frames), "-o", str(tmp_path / "b"), "--start", str(model), "--features", "8"]
    capsys.readouterr()
    assert main(["train", *refused]) == 2
    assert "--start keeps its architecture" in capsys.readouterr().err
    figure = tmp_path / "errors.png"
    assert main(["test", str(model), str(frames), "--plot", str(figure)]) == 0
    assert "rank correlation" in " ".join(capsys.readouterr().out.split())
    other = tmp_path / "other.extxyz"
    write_data(other, replace(data, surface="gfn1"))
    assert main(["test", str(model), str(other), "--json"]) == 0
    captured = capsys.readouterr()
    assert f"{model} was trained on gfn2, the labels in {other} are of gfn1" in captured.err
    about = potential.load_potential(model).description
    assert json.loads(captured.out)["calibration"] == about.calibration
    assert figure.stat().st_size > 10_000
    assert main(["train", str(frames), "-o", str(model)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["train", str(frames), "-o", str(tmp_path / "b"), "--representation", "x"]) == 2
    assert "--representation must be one of" in capsys.readouterr().err
    assert main(["test", str(frames), str(frames)]) == 2
    told_off = capsys.readouterr().err
    assert "must be a potential of afir" in told_off
    assert "weights_only" not in told_off
    more = [str(frames), "-o", str(tmp_path / "c")]
    assert main(["train", *more, "--device", "nowhere"]) == 2
    assert "--device must be available here, such as cpu, got 'nowhere'" in (
        capsys.readouterr().err
    )
    assert main(["train", *more, "--base", data.surface]) == 2
    assert "--base must differ from the level of theory of the labels" in capsys.readouterr().err
