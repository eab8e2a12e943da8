"""What models are fitted to: what the trials of runs would bring at many moments of replays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlpot.policies.led import Led
from mlpot.policies.model import PolicyModel
from mlpot.policies.replay import World
from mlpot.policies.structure import Floats, Ints

_ORDERS = 3  # replays of each run; chosen
_SAMPLE = 24  # trials that are looked at at a moment
_STRIDES = (2, 4, 8, 16)  # trials between such moments


@dataclass(frozen=True, eq=False)
class Rows:
    """What trials of a run would bring at random moments of replays.

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


def joined(first: Rows, second: Rows) -> Rows:
    """Rows of the same run as one."""
    return Rows(
        first.formula,
        np.concatenate([first.ways, second.ways]),
        np.vstack([first.features, second.features]),
        np.vstack([first.gains, second.gains]),
        np.concatenate([first.logs, second.logs]),
    )


def rows_of(world: World, rng: np.random.Generator, model: PolicyModel | None = None) -> Rows:
    """The rows of a run at random moments of replays in random order, or in that of a model."""
    ways, known, gains, logs = [], [], [], []
    for _ in range(_ORDERS):
        replay = world.start()
        led = Led(replay, model, rng) if model else None
        while len(available := replay.available()):
            sample = rng.permutation(available)[:_SAMPLE]
            ways.append(world.ways[sample])
            known.append(replay.rows(sample))
            for trial in sample.tolist():
                brings = replay.brings(trial)
                gains.append((brings.tss, brings.low, brings.eqs))
                logs.append(np.log(world.searched[trial]))
            stride = int(rng.choice(_STRIDES))
            if led:
                led.go(available, stride)
            else:
                for trial in rng.permutation(available)[:stride].tolist():
                    replay.do(trial)
    return Rows(
        world.formula,
        np.concatenate(ways),
        np.vstack(known),
        np.array(gains, float),
        np.array(logs),
    )
