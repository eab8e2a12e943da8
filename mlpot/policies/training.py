"""Training: forests fitted to what the trials of many runs would bring at random moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from afir.errors import InputError, MissingPackageError
from mlpot.policies import features
from mlpot.policies.forest import Forest, planted
from mlpot.policies.model import PolicyModel, Range
from mlpot.policies.replay import World
from mlpot.policies.structure import Floats, Ints

LEAST_FORMULAS, LEAST_TRIALS, LEAST_TSS = 3, 200, 40
"""Fewer different formulas, trials or TSs are too little data. Chosen: a model of two formulas
cannot be tested on a third, and with fewer trials held-out numbers are noise."""

# Chosen among 20 to 200 rows of a leaf and depths of 10 to 28, by replays of formulas held
# out; 100 trees are no better than 48 and cost twice the time.
_TREES = 40
_COST_TREES = 20
_DEPTH = 12
_LEAF = 100  # training rows
_FEATURES = 0.4  # share of the features that are compared at a node

# New TSs of a trial on average: a run that brings fewer counts as if it brought so many. Chosen.
_POOR = 0.05

_ORDERS = 6  # random replays of each run
_SAMPLE = 24  # trials that are looked at at a moment
_STRIDES = (2, 4, 8, 16)  # trials between such moments
_FAR = 0.95  # of the offers on formulas that are held out lie nearer
_SPREAD = 1.0  # standard deviations of features: nearer is never far


@dataclass(frozen=True, eq=False)
class Rows:
    """What trials of a run would bring at random moments of random replays.

    Attributes
    ----------
    formula
        Of the molecule.
    ways
        (m,) their numbers in `mlpot.policies.correction.WAYS`.
    features
        (m, k) in the order of `mlpot.policies.model.NAMES`.
    gains
        (m, 3) new structures, in the order of `OUTCOMES`.
    logs
        (m,) the natural logarithm of the gradients of the search.
    """

    formula: str
    ways: Ints
    features: Floats
    gains: Floats
    logs: Floats


def rows_of(world: World, rng: np.random.Generator) -> Rows:
    """The rows of a run."""
    ways, known, gains, logs = [], [], [], []
    for _ in range(_ORDERS):
        replay = world.start()
        while len(available := replay.available()):
            sample = rng.permutation(available)[:_SAMPLE]
            ways.append(world.ways[sample])
            known.append(replay.rows(sample))
            for trial in sample.tolist():
                brings = replay.brings(trial)
                gains.append((brings.tss, brings.low, brings.eqs))
                logs.append(np.log(world.searched[trial]))
            for trial in rng.permutation(available)[: int(rng.choice(_STRIDES))].tolist():
                replay.do(trial)
    return Rows(
        world.formula,
        np.concatenate(ways),
        np.vstack(known),
        np.array(gains, float),
        np.array(logs),
    )


def check_enough(worlds: Sequence[World]) -> None:
    """Raise InputError if runs hold too little to learn from."""
    formulas = {world.formula for world in worlds}
    trials, tss = sum(map(len, worlds)), sum(len(world.tss) for world in worlds)
    for what, count, least in (
        ("different molecular formulas", len(formulas), LEAST_FORMULAS),
        ("trials", trials, LEAST_TRIALS),
        ("transition states", tss, LEAST_TSS),
    ):
        if count < least:
            raise InputError(
                f"the runs must hold at least {least} {what} to learn from, got {count}; add runs "
                "of other molecules, or longer ones"
            )


def require() -> None:
    """Raise MissingPackageError without scikit-learn."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            'training a policy needs scikit-learn; install it with pip install "afir[policy]"'
        ) from error


def fit(data: Sequence[Rows], seed: int, about: Mapping[str, Any]) -> PolicyModel:
    """A model fitted to rows; each run counts alike.

    What offers bring is learned relative to the mean of their run, and told for a usual run: a run
    itself soon says how rich it is. Replays of formulas that were held out (three folds, 24 trees)
    took fewer gradients so, 0.844 of those in random order instead of 0.866.

    Raises
    ------
    MissingPackageError
        Without scikit-learn.
    """
    require()
    x = np.vstack([rows.features for rows in data])
    weight = np.concatenate([np.full(len(rows.logs), 1.0 / len(rows.logs)) for rows in data])
    levels = [max(float(rows.gains[:, 0].mean()), _POOR) for rows in data]
    usual = float(np.mean(levels))
    gains = np.vstack(
        [rows.gains * usual / level for rows, level in zip(data, levels, strict=True)]
    )
    logs = np.concatenate([rows.logs for rows in data])
    return PolicyModel(
        _forest(x, gains, weight, _TREES, seed),
        _forest(x, logs[:, None], weight, _COST_TREES, seed + 1),
        _range(data),
        about,
    )


def _forest(x: Floats, y: Floats, weight: Floats, trees: int, seed: int) -> Forest:
    from sklearn.ensemble import ExtraTreesRegressor

    fitted = ExtraTreesRegressor(
        trees,
        min_samples_leaf=_LEAF,
        max_depth=_DEPTH,
        max_features=_FEATURES,
        random_state=seed,
        n_jobs=1,
    ).fit(x, y if y.shape[1] > 1 else y[:, 0], sample_weight=weight)
    return planted(fitted.estimators_)


def _range(data: Sequence[Rows]) -> Range:
    """Where the rows are, and how far rows of formulas lie from those of all others."""
    count = len(features.NAMES)
    offers = [rows.features[:, :count] for rows in data]
    everything = np.vstack(offers)
    scale = np.maximum(everything.std(axis=0), 1e-3)
    away = []
    for rest, held in folds([rows.formula for rows in data], len({r.formula for r in data})):
        others = np.vstack([offers[k] for k in rest])
        box = Range(others.min(axis=0), others.max(axis=0), scale, 1.0)
        away += [box.distances(offers[k]) for k in held]
    limit = float(np.quantile(np.concatenate(away), _FAR))
    return Range(
        everything.min(axis=0).astype(np.float32),
        everything.max(axis=0).astype(np.float32),
        scale.astype(np.float32),
        max(limit, _SPREAD),
    )


def folds(formulas: Sequence[str], count: int) -> Iterator[tuple[list[int], list[int]]]:
    """Splits by formula: the indices of those to train on, and of those that are held out."""
    different = sorted(set(formulas))
    count = min(count, len(different))
    # By a fixed permutation, since formulas in order are alike.
    place = {
        formula: k for k, formula in enumerate(np.random.default_rng(0).permutation(different))
    }
    for fold in range(count):
        held = [k for k, formula in enumerate(formulas) if place[formula] % count == fold]
        yield [k for k in range(len(formulas)) if k not in held], held
