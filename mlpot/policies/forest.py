"""Forests of regression trees as plain arrays: fitted elsewhere, evaluated with NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from mlpot.policies.structure import Floats, Ints

_ROWS = 256  # evaluated together: what they need stays in the cache of a processor


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees whose leaves hold one or several values; a forest is the mean of its trees.

    Attributes
    ----------
    roots
        (t,) the first node of each tree.
    feature
        (k,) the feature that a node asks about; a leaf asks about the first.
    threshold
        (k,) values up to this go left; infinite for a leaf.
    left
        (k,) the node on the left; that on the right follows it. A leaf is on its own left.
    value
        (k, v) the mean of what was fitted, of leaves and of nodes above them.
    weight
        (k,) the share of the training rows of the tree, for the explanation of a prediction.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.uint8]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    value: NDArray[np.float32]
    weight: NDArray[np.float32]

    @property
    def depth(self) -> int:
        """The largest number of questions on the way to a leaf."""
        level, depth = self.roots.astype(np.int64), 0
        while True:
            level = level[self.left[level] != level]
            if not len(level):
                return depth
            level = np.concatenate([self.left[level], self.left[level] + 1])
            depth += 1

    @cached_property
    def _plain(self) -> tuple[Ints, Ints, Ints, int]:
        """The roots, questions and children as NumPy takes them fastest, and the depth."""
        roots, feature, left = (a.astype(np.intp) for a in (self.roots, self.feature, self.left))
        return roots, feature, left, self.depth

    def leaves(self, rows: Floats) -> Ints:
        """The leaf (m, t) of each tree for rows (m, k) of features."""
        roots, feature, left, depth = self._plain
        found = np.empty((len(rows), len(roots)), dtype=np.intp)
        for first in range(0, len(rows), _ROWS):
            x = np.ascontiguousarray(rows[first : first + _ROWS], dtype=np.float32)
            offsets = (np.arange(len(x)) * x.shape[1])[:, None]
            flat = x.ravel()
            node = np.tile(roots, (len(x), 1))
            for _ in range(depth):
                right = flat.take(feature.take(node) + offsets) > self.threshold.take(node)
                node = left.take(node)
                node += right
            found[first : first + _ROWS] = node
        return found

    def predict(self, rows: Floats) -> Floats:
        """The values (m, v) for rows (m, k) of features."""
        each = self.each(rows)
        return np.column_stack([each[:, :, k].mean(axis=1) for k in range(each.shape[2])])

    def each(self, rows: Floats) -> Floats:
        """The values (m, t, v) of each tree for rows (m, k) of features."""
        return self.value[self.leaves(rows)].astype(np.float64)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays by name, to be stored."""
        return {f"{prefix}.{name}": getattr(self, name) for name in _TYPES}

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[Any]], prefix: str, features: int) -> Forest:
        """A forest from its stored arrays.

        Parameters
        ----------
        arrays
            By name, as `arrays` gives them.
        prefix
            Of their names.
        features
            The number of features.

        Raises
        ------
        InputError
            If they are no forest: each node must lead to a leaf, each question be about a feature.
        """
        given = {}
        for name, kind in _TYPES.items():
            array = arrays.get(f"{prefix}.{name}")
            if array is None or array.dtype != kind:
                raise InputError(f"array {prefix}.{name} must be there as {np.dtype(kind)}")
            given[name] = array
        forest = cls(**given)
        forest._check(prefix, features)
        return forest

    def _check(self, prefix: str, features: int) -> None:
        count = len(self.feature)
        shapes = {
            "threshold": (count,),
            "left": (count,),
            "weight": (count,),
            "value": (count, self.value.shape[-1] if self.value.ndim == 2 else 0),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"array {prefix}.{name} must have the shape {shape}")
        index = np.arange(count)
        is_leaf = self.left == index
        inside = (self.left > index) & (self.left < count - 1)
        roots = self.roots
        sound = (
            roots.ndim == 1
            and len(roots) > 0
            and count > 0
            and bool((is_leaf | inside).all())  # hence no way is endless
            and _are_apart(roots, self.left[~is_leaf])
            and bool(((roots >= 0) & (roots < count)).all())
            and bool((self.feature < features).all())
            and bool(np.isfinite(self.value).all())
            and bool(np.isfinite(self.weight).all())
            and bool((self.weight > 0).all())
            and bool(np.isinf(self.threshold[is_leaf]).all())
            and bool((self.threshold[is_leaf] > 0).all())
            and bool(np.isfinite(self.threshold[~is_leaf]).all())
        )
        if not sound:
            raise InputError(f"arrays {prefix}.* must be trees")


def _are_apart(roots: NDArray[np.int32], left: NDArray[np.int32]) -> bool:
    """Whether no node is met twice, as a root or a child: trees that share one may be huge."""
    met = np.concatenate([roots, left, left + 1])
    return len(np.unique(met)) == len(met)


_TYPES: Mapping[str, type] = {
    "roots": np.int32,
    "feature": np.uint8,
    "threshold": np.float32,
    "left": np.int32,
    "value": np.float32,
    "weight": np.float32,
}


def planted(trees: list[Any]) -> Forest:
    """A forest of fitted trees of scikit-learn (``estimators_``), in breadth-first order."""
    roots, parts = [], []
    first = 0
    for fitted in trees:
        tree = fitted.tree_
        order, left = _breadth_first(tree.children_left, tree.children_right)
        is_leaf = tree.children_left[order] < 0
        roots.append(first)
        parts.append(
            (
                np.where(is_leaf, 0, tree.feature[order]),
                np.where(is_leaf, np.inf, tree.threshold[order]),
                left + first,
                tree.value[order, :, 0],
                tree.weighted_n_node_samples[order] / tree.weighted_n_node_samples[0],
            )
        )
        first += len(order)
    feature, threshold, left, value, weight = (
        np.concatenate([part[k] for part in parts]) for k in range(5)
    )
    return Forest(
        np.array(roots, dtype=np.int32),
        feature.astype(np.uint8),
        _rounded_down(threshold),
        left.astype(np.int32),
        value.astype(np.float32),
        weight.astype(np.float32),
    )


def _rounded_down(thresholds: Floats) -> NDArray[np.float32]:
    """Single precision, not above: features in single precision go the same way."""
    near = thresholds.astype(np.float32)
    above = near > thresholds
    near[above] = np.nextafter(near[above], np.float32(-np.inf))
    return near


def _breadth_first(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The nodes of a tree, children side by side, and the new number of each left child."""
    order, place = [0], [0]
    for number in order:
        if left[number] < 0:
            continue
        order += [int(left[number]), int(right[number])]
    places = {number: index for index, number in enumerate(order)}
    place = [
        index if left[number] < 0 else places[int(left[number])]
        for index, number in enumerate(order)
    ]
    return np.array(order), np.array(place)
