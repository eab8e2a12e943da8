"""Exact Shapley values of forests: which feature moves a forecast away from the mean, by how much.

A feature that is not known is averaged over as the training rows were distributed at each node
(TreeSHAP, S. M. Lundberg et al., 10.1038/s42256-019-0138-9).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from afir.errors import MissingPackageError
from mlpot.policies.forest import Forest
from mlpot.policies.structure import Floats, Ints


def contributions(forest: Forest, rows: Floats, weights: Floats) -> Floats:
    """The contribution (m, k) of each feature to a forecast, for rows (m, k) of features.

    Those of a row add up to its forecast minus the mean of the forest.

    Parameters
    ----------
    forest
        The forest.
    rows
        (m, k) features.
    weights
        (v,) the forecast is the sum of the values of the forest, each times its weight.

    Raises
    ------
    MissingPackageError
        Without shap.
    """
    explainer = _shap().TreeExplainer(
        {"trees": _trees(forest, weights)}, feature_perturbation="tree_path_dependent"
    )
    # The forest compares single precision.
    x = rows.astype(np.float32).astype(np.float64)
    found = explainer.shap_values(x, check_additivity=False)
    return np.asarray(found, dtype=np.float64).reshape(rows.shape)


def _trees(forest: Forest, weights: Floats) -> list[dict[str, Any]]:
    """The trees of a forest as shap takes them."""
    worth = np.asarray(sum(forest.value[:, k] * weight for k, weight in enumerate(weights)))
    trees = []
    for root in forest.roots.tolist():
        mine = _nodes(forest, root)
        left = np.searchsorted(mine, forest.left[mine])
        leaf = forest.left[mine] == mine
        trees.append(
            {
                "children_left": np.where(leaf, -1, left),
                "children_right": np.where(leaf, -1, left + 1),
                "children_default": np.where(leaf, -1, left),
                "features": np.where(leaf, -2, forest.feature[mine].astype(np.int32)),
                "thresholds": np.where(leaf, 0.0, forest.threshold[mine]).astype(np.float64),
                "values": worth[mine, None] / len(forest.roots),
                "node_sample_weight": forest.weight[mine].astype(np.float64),
            }
        )
    return trees


def _nodes(forest: Forest, root: int) -> Ints:
    """The nodes of a tree, in the order of the forest."""
    level, found = np.array([root], dtype=np.int64), []
    while len(level):
        found.append(level)
        left = forest.left[level].astype(np.int64)
        left = left[left != level]
        level = np.unique(np.concatenate([left, left + 1]))
    return np.unique(np.concatenate(found))


def _shap() -> Any:
    """The package shap; it loads many others, which takes seconds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it imports for its own drawings
            import shap
    except ImportError as error:
        raise MissingPackageError(
            "explaining a policy needs shap; install it with "
            'pip install -c constraints.txt "afir[policy]"'
        ) from error
    return shap
