"""Training: forests fitted to what the trials of many runs would bring at many moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from afir.errors import InputError, MissingPackageError
from mlpot.policies import features
from mlpot.policies.forest import Forest, planted
from mlpot.policies.model import PolicyModel, Range
from mlpot.policies.replay import World
from mlpot.policies.rows import Rows, joined, rows_of
from mlpot.policies.structure import Floats

LEAST_FORMULAS, LEAST_TRIALS, LEAST_TSS = 3, 200, 40
"""Fewer different formulas, trials or TSs are too little data. Chosen: a model of two formulas
cannot be tested on a third, and with fewer trials held-out numbers are noise."""

# Chosen among 20 to 200 rows of a leaf and depths of 10 to 28, by replays of formulas held
# out; 100 trees are no better than 48 and cost twice the time.
_TREES = 40
_COST_TREES = 20
_DEPTH = 12
_LEAF = 100  # training rows, or this share of them: so a model stays small however many there are
_LEAF_SHARE = 6e-4
_FEATURES = 0.4  # share of the features that are compared at a node

# New TSs of a trial on average: a run that brings fewer counts as if it brought so many. Chosen.
_POOR = 0.05

_FAR = 0.95  # of the offers on formulas that are held out lie nearer
_CONSTANT = 1e-6  # a feature whose standard deviation is less never varied
_SPREAD = 1.0  # standard deviations of features: nearer is never far


def check_enough(worlds: Sequence[World], left_out: Mapping[str, str] | None = None) -> None:
    """Raise InputError if runs hold too little to learn from.

    Parameters
    ----------
    worlds
        The runs.
    left_out
        Other runs, and why each does not count, for the message.
    """
    formulas = {world.formula for world in worlds}
    trials, tss = sum(map(len, worlds)), sum(len(world.tss) for world in worlds)
    short = [
        f"{least} {what} (got {count})"
        for what, count, least in (
            ("different molecular formulas", len(formulas), LEAST_FORMULAS),
            ("trials", trials, LEAST_TRIALS),
            ("transition states", tss, LEAST_TSS),
        )
        if count < least
    ]
    if not short:
        return
    needed = " and ".join(filter(None, (", ".join(short[:-1]), short[-1])))
    remedy = "add runs of other molecules"
    if len(formulas) >= LEAST_FORMULAS:
        remedy += " or longer ones of the same"
    without = ", ".join(f"{name} ({why})" for name, why in (left_out or {}).items())
    raise InputError(
        f"the runs must hold at least {needed} to learn from; {remedy}"
        + (f"; left out: {without}" if without else "")
    )


def require() -> None:
    """Raise MissingPackageError without scikit-learn."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            'training a policy needs scikit-learn; install it with pip install "afir[policy]"'
        ) from error


def learned_from(
    worlds: Sequence[World], data: Sequence[Rows], seed: int, about: Mapping[str, Any]
) -> PolicyModel:
    """A model of runs.

    It meets other moments than random replays do: what is rich was tried first. So a first model
    leads replays of the same runs, and the model is fitted to these, too (DAgger, Ross, Gordon &
    Bagnell, AISTATS 2011, 627). Replays of formulas that were held out (three folds, 24 trees) took
    0.833 of the gradients of those in random order, 0.864 with random replays alone.

    Parameters
    ----------
    worlds
        The runs.
    data
        Their rows in random replays.
    seed
        Of all that is random.
    about
        What the model says of itself.

    Raises
    ------
    MissingPackageError
        Without scikit-learn.
    """
    first, rng = fit(data, seed, {}), np.random.default_rng(seed)
    led = [rows_of(world, rng, first) for world in worlds]
    return fit([joined(*pair) for pair in zip(data, led, strict=True)], seed, about)


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
        min_samples_leaf=max(_LEAF, round(_LEAF_SHARE * len(x))),
        max_depth=_DEPTH,
        max_features=_FEATURES,
        random_state=seed,
        n_jobs=-1,  # threads; the trees do not depend on their number
    ).fit(x, y if y.shape[1] > 1 else y[:, 0], sample_weight=weight)
    return planted(fitted.estimators_)


def _range(data: Sequence[Rows]) -> Range:
    """Where the rows are, and how far rows of formulas lie from those of all others."""
    count = len(features.NAMES)
    offers = [rows.features[:, :count] for rows in data]
    everything = np.vstack(offers)
    # What never varied says nothing about how much it may: one unit, not any tiny number.
    scale = everything.std(axis=0)
    scale[scale < _CONSTANT] = 1.0
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
