"""Whether two machines round alike: one minimisation, compared to the last digit.

A processor for which a numerical library has other kernels adds in another order. After some
hundred steps its searches end elsewhere.
"""

from __future__ import annotations

import hashlib

import numpy as np

from afir.hessians.model import model_hessian
from afir.molecule import Molecule
from afir.stationary import StationaryPoint, TrialResult
from networks.execution.tasks import Recall, Task, TaskResult, positions_of

_NUDGE = 0.1  # Å: from a stationary point there would be nothing to minimise


def comparison(molecule: Molecule, task: Task) -> Recall:
    """The minimisation that is compared: from near the geometry that a task begins with."""
    x = positions_of(task)
    x = x + _NUDGE * np.random.default_rng(0).uniform(-1.0, 1.0, x.shape)
    nothing = np.zeros_like(x)
    start = StationaryPoint(x, 0.0, 0.0, model_hessian(molecule, x), np.zeros(0), nothing, 0)
    return Recall("EQ", start)


def fingerprint(result: TaskResult) -> str:
    """A digest of a minimisation, to the last digit of energy, geometry and gradient."""
    digest = hashlib.sha256(repr((result.outcome, sorted(result.gradients.items()))).encode())
    if isinstance(result.value, TrialResult):
        for point in result.value.minima:
            digest.update(repr(point.energy).encode())
            digest.update(point.positions.tobytes() + point.gradient.tobytes())
    return digest.hexdigest()
