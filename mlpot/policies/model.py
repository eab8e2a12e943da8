"""A model of what offers bring: two forests, what they were trained on, and the file of both."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.io.safe_write import writing
from mlpot.policies import features, memory
from mlpot.policies.forest import Forest
from mlpot.policies.structure import Floats

NAMES: tuple[str, ...] = (*features.NAMES, *memory.NAMES)
"""The features of a model: of the offer, then of the run so far."""

OUTCOMES = ("TSs", "low TSs", "EQs")
"""What the first forest tells: the number of new structures of each sort."""

_OFFER = len(features.NAMES)
_BOUNDS = ("lowest", "highest", "scale")
_LARGEST = 1 << 26  # bytes that a file may unpack to; ours has some two million
_MOST = 30.0  # of the logarithm of gradients: far beyond any search
_MUST = "{} must be a model written by afir learn-policy"
_REMEDY = "train it anew, or leave model= out to use the packaged model"
_LEAST = 1e-3  # TSs: less is not expected of any offer, so that a correction can lift it


@dataclass(frozen=True, eq=False)
class Range:
    """Where in the space of features the training was.

    Attributes
    ----------
    lowest, highest
        (k,) of each feature of an offer.
    scale
        (k,) its standard deviation.
    limit
        The distance to all that lies between beyond which an offer is far from the training: 95 %
        of the offers on molecules that were held out lie nearer.
    """

    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]
    scale: NDArray[np.float32]
    limit: float

    def distances(self, described: Floats) -> Floats:
        """(m,) distances of offers (m, k), in units of the limit; 0 within."""
        outside = np.maximum(described - self.highest, self.lowest - described)
        result: Floats = np.sqrt(np.sum((np.maximum(outside, 0.0) / self.scale) ** 2, axis=1))
        return result / self.limit


@dataclass(frozen=True, eq=False)
class PolicyModel:
    """What was learned from runs about offers.

    Attributes
    ----------
    gain
        The forest of the numbers of new structures, in the order of `OUTCOMES`.
    cost
        The forest of the natural logarithm of the gradients of the search.
    range
        Where the training was.
    about
        What it was trained on and how well it did, plain JSON.
    """

    gain: Forest
    cost: Forest
    range: Range
    about: Mapping[str, Any] = field(default_factory=dict)

    def trust(self, described: Floats) -> Floats:
        """(m,) how much the forests count for offers (m, k): 1, less far from the training."""
        result: Floats = 1.0 / np.maximum(self.range.distances(described), 1.0)
        return result

    def foretold(
        self, rows: Floats, weights: Floats, trust: Floats | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """What offers are expected to bring, how unsure that is, and their gradients.

        Parameters
        ----------
        rows
            (m, len(NAMES)) features.
        weights
            (3,) the worth of each of the `OUTCOMES`.
        trust
            (m,) of `trust`, if it is known: it costs as much as a third of the forests.

        Returns
        -------
        gains, spreads : (m,)
            The worth of what is new, and its standard deviation among the trees.
        costs : (m,)
            Gradients. Far from the training gains and costs are drawn to the mean of it.
        """
        # Sums of few numbers, no products of matrices: the same to the last bit for a row, whatever
        # other rows there are.
        each = self.worth(self.gain.each(rows), weights)
        gains = np.maximum(each.mean(axis=1), _LEAST)
        logs = self.cost.predict(rows)[:, 0]
        trust = self.trust(rows[:, :_OFFER]) if trust is None else trust
        usual = max(float(self.worth(self.mean(self.gain), weights)), _LEAST)
        gains = usual ** (1.0 - trust) * gains**trust
        logs = (1.0 - trust) * float(self.mean(self.cost)[0]) + trust * logs
        return gains, each.std(axis=1), np.exp(logs)

    @staticmethod
    def worth(counts: Floats, weights: Floats) -> Floats:
        """The worth (…) of new structures (…, 3)."""
        result: Floats = sum(counts[..., k] * weights[k] for k in range(len(OUTCOMES)))
        return result

    @staticmethod
    def mean(forest: Forest) -> Floats:
        """What a forest says before it is asked anything."""
        result: Floats = forest.value[forest.roots].astype(np.float64).mean(axis=0)
        return result

    def save(self, path: Path) -> None:
        """Write it to a file of plain arrays.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        with writing(path) as (draft,), draft.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **self._arrays())

    def _arrays(self) -> dict[str, NDArray[Any]]:
        header = {"version": features.VERSION, "features": NAMES, "about": dict(self.about)}
        text = json.dumps(header, sort_keys=True).encode()
        return {
            "header": np.frombuffer(text, dtype=np.uint8),
            **self.gain.arrays("gain"),
            **self.cost.arrays("cost"),
            **{f"range.{name}": getattr(self.range, name) for name in _BOUNDS},
            "range.limit": np.array(self.range.limit),
        }


def load_model(path: Path) -> PolicyModel:
    """Read a model from a file.

    Nothing in the file is run: it holds arrays of numbers, and all of them are checked.

    Raises
    ------
    InputError
        If it cannot be read, is no model, or belongs to other features than these.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > _LARGEST:
                raise InputError("it unpacks to more than any model")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return _model(arrays)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"the policy model {path} cannot be read: {reason}; name another with "
            "`--policy-option model=FILE`, or take that of the package, `model=packaged`"
        ) from error
    except InputError as error:
        raise InputError(f"{_MUST.format(path)}: {error}; {_REMEDY}") from error
    except Exception as error:  # of many kinds: zipfile, NumPy and JSON raise what they like
        what = "it is damaged" if is_model(path) else "it is none, or cut short"
        raise InputError(f"{_MUST.format(path)}, but {what}; {_REMEDY}") from error


def is_model(path: Path) -> bool:
    """Whether a file has the parts of a model, of whatever version and however damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"header.npy", "range.limit.npy"} <= set(archive.namelist())
    except Exception:  # what zipfile raises for a damaged file is of many kinds
        return False


def _model(arrays: Mapping[str, NDArray[Any]]) -> PolicyModel:
    """A model from its stored arrays, checked."""
    header = json.loads(arrays["header"].astype(np.uint8).tobytes())
    if header["version"] != features.VERSION or tuple(header["features"]) != NAMES:
        raise InputError(
            f"it has other features (version {header['version']}, this afir has {features.VERSION})"
        )
    if not isinstance(header["about"], dict):
        raise InputError("its description must be a table")
    bounds = [arrays[f"range.{name}"].astype(np.float32) for name in _BOUNDS]
    limit = float(arrays["range.limit"])
    if any(bound.shape != (_OFFER,) or not np.isfinite(bound).all() for bound in bounds):
        raise InputError(f"its ranges must be finite, of {_OFFER} features")
    ordered = (bounds[0] <= bounds[1]).all() and (bounds[2] > 0).all()
    if not (ordered and 0 < limit < np.inf):
        raise InputError("its ranges must have positive scales, and ends in order")
    gain = Forest.read(arrays, "gain", len(NAMES))
    cost = Forest.read(arrays, "cost", len(NAMES))
    if (gain.value.shape[1], cost.value.shape[1]) != (len(OUTCOMES), 1):
        raise InputError(f"its forests must tell {len(OUTCOMES)} numbers and 1")
    if gain.value.min() < 0.0 or np.abs(cost.value).max() > _MOST:
        raise InputError("its forests must tell counts, and gradients that a search can cost")
    return PolicyModel(gain, cost, Range(bounds[0], bounds[1], bounds[2], limit), header["about"])


@lru_cache(maxsize=1)
def shipped_model() -> PolicyModel:
    """The model that is part of this package; `about` says what it was trained on."""
    with as_file(files("mlpot.policies") / "default.npz") as path:
        return load_model(path)
