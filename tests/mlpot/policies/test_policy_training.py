"""Models fitted to runs: enough data, held-out formulas, the same file for the same seed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from past import FORMULAS, past_run, past_runs, pulls_pay

from afir.errors import InputError, MissingPackageError
from afir.pes.driver import search_gradients
from mlpot.policies import evaluation, trainer
from mlpot.policies.directions import table_of
from mlpot.policies.evaluation import held_out, judged
from mlpot.policies.features import NAMES
from mlpot.policies.model import load_model
from mlpot.policies.replay import World
from mlpot.policies.rows import rows_of
from mlpot.policies.trainer import beside_packaged, different, train
from mlpot.policies.training import check_enough, fit, folds
from networks.graph.network import ReactionNetwork


def quiet(text: str) -> None:
    """Nobody is told."""


def test_each_formula_is_held_out_once_and_never_trained_on_then() -> None:
    formulas = [*"AABBBCDEFG", "A"]
    held: list[int] = []
    for rest, mine in folds(formulas, 5):
        assert sorted(rest + mine) == list(range(len(formulas)))
        assert not {formulas[k] for k in rest} & {formulas[k] for k in mine}
        held += mine
    assert sorted(held) == list(range(len(formulas)))


def test_no_run_is_judged_by_a_model_of_its_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the formulas are those of isomers, and of other runs of the same molecule."""
    worlds = [
        World(past_run(symbols, pulls_pay, seed))
        for symbols, seed in (("CNOH", 0), ("CNOH", 1), ("NCOH", 0), ("CCOO", 0), ("CCSO", 0))
    ]
    rng = np.random.default_rng(0)
    data = [rows_of(world, rng) for world in worlds]
    trained: list[set[str]] = []
    judged: list[tuple[str, set[str]]] = []
    monkeypatch.setattr(
        evaluation,
        "learned_from",
        lambda worlds, rows, *_: trained.append({each.formula for each in (*worlds, *rows)}),
    )
    monkeypatch.setattr(
        evaluation, "judged", lambda world, *_: judged.append((world.formula, trained[-1]))
    )
    held_out(worlds, data, 0, quiet)
    assert len(judged) == len(worlds)
    assert all(others and formula not in others for formula, others in judged)


def test_a_table_has_the_rates_that_were_made_up() -> None:
    rng = np.random.default_rng(0)
    data = [rows_of(World(run), rng) for run in past_runs(pulls_pay, FORMULAS[:3])]
    rows = {str(row["direction"]): row for row in table_of(data).rows()}
    assert set(rows) == {"push", "pull", "climb"}
    assert rows["pull"]["new_tss_per_trial"] == 1.0
    assert rows["push"]["new_tss_per_trial"] == rows["climb"]["new_tss_per_trial"] == 0.0
    # A search takes 40 to 59 gradients; those of the verification do not count.
    assert 1000 / 59 < float(rows["pull"]["new_tss_per_1000_gradients"]) < 1000 / 40
    assert sum(float(row["share_of_trials"]) for row in rows.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("runs", "what"),
    [
        (
            past_runs(pulls_pay, FORMULAS[:2]),
            r"least 3 different .* \(got 2\), 200 trials \(got 108\) and 40 ",
        ),
        (
            [past_run(symbols, pulls_pay, repeats=1) for symbols in FORMULAS[:3]],
            r"200 trials \(got 54\) and 40 transition states \(got 18\) to learn",
        ),
        (
            [past_run(symbols, lambda *_: 0, repeats=4) for symbols in FORMULAS[:3]],
            r"40 transition states \(got 0\) to learn from; add",
        ),
    ],
)
def test_too_little_is_refused_and_nothing_is_written(
    runs: list, what: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=what):
        train(runs, tmp_path / "model.npz", seed=0, tell=quiet)
    assert not list(tmp_path.iterdir())


def test_runs_without_trials_and_copies_are_left_out() -> None:
    run, other = past_run("CNOH", pulls_pay), past_run("CCOO", pulls_pay)
    empty = replace(other, name="empty", trials=[])
    begun = replace(empty, name="begun", network=ReactionNetwork(other.network.molecule))
    runs = [run, replace(run, name="copy"), other, empty, begun]
    worlds, left_out = different(runs)
    assert [world.formula for world in worlds] == ["CHNO", "C2O2"]
    assert left_out == {
        "copy": f"the same trials as {run.name}",
        "empty": "no trials",
        "begun": "no trials",
    }


def test_the_packaged_model_is_judged_on_formulas_that_are_new_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = past_runs(pulls_pay, FORMULAS[:2])
    worlds = [World(run) for run in runs]
    rng = np.random.default_rng(0)
    data = [rows_of(world, rng) for world in worlds]
    model = fit(data, 0, {"formulas": [worlds[0].formula]})
    held = [judged(w, d, model, table_of(data)) for w, d in zip(worlds, data, strict=True)]
    monkeypatch.setattr(trainer, "shipped_model", lambda: model)
    beside = beside_packaged(worlds, held)
    assert beside["formulas_known"] == [worlds[0].formula]
    assert beside["runs_compared"] == 1
    assert beside["packaged_gradients_ratio"] == beside["learned_gradients_ratio"] < 1.0


def test_enough_is_enough() -> None:
    check_enough([World(past_run(symbols, pulls_pay, repeats=4)) for symbols in FORMULAS[:3]])


def test_a_missing_package_is_named_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)

    def runs():
        raise AssertionError
        yield

    with pytest.raises(MissingPackageError, match=r'pip install "afir\[policy\]"'):
        train(runs(), tmp_path / "model.npz", seed=0, tell=quiet)


@pytest.mark.slow
def test_the_same_seed_makes_the_same_file(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.npz" for name in ("first", "again", "other")]
    for file, seed in zip(files, (3, 3, 4), strict=True):
        runs = [past_run(symbols, pulls_pay, repeats=4) for symbols in FORMULAS[:3]]
        report = train(runs, file, seed=seed, tell=quiet)
    first, again, other = (file.read_bytes() for file in files)
    assert first == again != other
    about = load_model(files[-1]).about
    assert list(about["held_out"].values()) == [
        report["held_out"][name + "_ratio" * name.endswith("_gradients")]
        for name in about["held_out"]
    ]
    assert {key: about[key] for key in report["training"]} == report["training"]
    assert (about["runs"], about["trials"], about["surfaces"]) == (3, 216, ["made-up"])


def test_at_moments_that_a_model_leads_to_what_pays_was_tried() -> None:
    worlds = [World(run) for run in past_runs(pulls_pay, FORMULAS[:3])]
    rng = np.random.default_rng(0)
    data = [rows_of(world, rng) for world in worlds]
    model = fit(data, 0, {})
    for world, rows in zip(worlds, data, strict=True):
        led = rows_of(world, rng, model)
        assert led.gains[:, 0].mean() < 0.8 * rows.gains[:, 0].mean()


def test_what_never_varied_is_far_only_when_it_is_a_unit_away() -> None:
    rng = np.random.default_rng(0)
    data = [rows_of(World(past_run(symbols, pulls_pay)), rng) for symbols in FORMULAS[:3]]
    known = fit(data, 0, {}).range
    constant = np.flatnonzero(known.lowest == known.highest)
    assert len(constant)
    offer = data[0].features[:1, : len(NAMES)].copy()
    assert known.distances(offer) == 0.0
    offer[0, constant[0]] += 1.0
    assert known.distances(offer) == pytest.approx(1.0 / known.limit)


def test_runs_count_alike_however_long_they_are() -> None:
    """A run whose rows are all there twice says no more than before."""
    rng = np.random.default_rng(0)
    data = [rows_of(World(past_run(symbols, pulls_pay)), rng) for symbols in FORMULAS[:3]]
    model = fit(data, 0, {})
    mean = np.mean([rows.gains[:, 0].mean() for rows in data])
    roots = model.gain.value[model.gain.roots, 0]
    assert float(roots.mean()) == pytest.approx(mean, rel=1e-5)


def test_gradients_of_verification_are_no_search_on_any_surface() -> None:
    spent = {"saddle": 100, "hessian": 7, "reference hessian": 24, "reference irc": 60}
    assert search_gradients({**spent, "reference saddle": 5, "irc ends": 3}) == 105
