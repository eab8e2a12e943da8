"""Steps on a quadratic model: down to a minimum, up to a saddle point."""

from __future__ import annotations

import math

import numpy as np

from afir.hessians.modes import Matrix, Vector

# eV/Å²: the least curvature a saddle step divides by. Chosen, not fitted; half and twice:
# benchmarks/RESULTS.md, "How much the numbers matter".
_SOFTEST = 0.02


def longest(step: Vector) -> float:
    """The largest displacement of one atom in Å in a step (3n,)."""
    moves = step.reshape(-1, 3)
    return math.sqrt(max(np.vecdot(moves, moves).tolist()))


def downhill_step(values: Vector, vectors: Matrix, gradient: Vector, limit: float) -> Vector:
    """A Newton step towards a minimum, no atom moving more than `limit` Å.

    Negative curvatures are followed downhill by their absolute value, and the whole model is
    stiffened (a level shift) until the step is short enough.

    Parameters
    ----------
    values, vectors
        (m,) in eV/Å² and (3n, m), from `vibrations`.
    gradient
        (3n,) in eV/Å.
    limit
        In Å.

    Returns
    -------
    (3n,)
        In Å.
    """
    g = vectors.T @ gradient
    stiffness = np.maximum(np.abs(values), 0.01)
    step: Vector = -(vectors @ (g / stiffness))
    size = longest(step)
    if size <= limit:
        return step
    low, high = 0.0, float(np.abs(g).max() / limit + 1e-12)
    while longest(vectors @ (g / (stiffness + high))) > limit:
        high *= 2.0
    # By hand: SciPy's brentq takes twice as long or more, and the steps would change.
    for _ in range(12):
        middle = 0.5 * (low + high)
        step = -(vectors @ (g / (stiffness + middle)))
        size = longest(step)
        if size > limit:
            low = middle
        elif size < 0.93 * limit:
            high = middle
        else:
            return step
    return step * min(1.0, limit / size)


def uphill_step(
    values: Vector, vectors: Matrix, gradient: Vector, mode: int, radius: float
) -> Vector:
    """A step to a saddle point: up along `mode`, down along the rest, within a trust radius.

    The image function turns the climbed mode over and makes the search a minimisation
    (10.1016/0009-2614(91)90115-P): a Newton step on the image, stiffened by a level shift
    where the image is not convex or the step would be longer than `radius`.

    Parameters
    ----------
    values, vectors
        (m,) in eV/Å² and (3n, m), from `vibrations`.
    gradient
        (3n,) in eV/Å.
    mode
        The column of `vectors` to climb.
    radius
        Trust radius in Å for the whole step (Euclidean norm).
    """
    g = vectors.T @ gradient
    image = values.copy()
    g[mode], image[mode] = -g[mode], -image[mode]
    squares = g * g

    def size(shift: float) -> float:
        return float(np.sqrt((squares / (image + shift) ** 2).sum()))

    lowest = float(image.min())
    shift = 0.0
    if lowest < _SOFTEST or size(0.0) > radius:
        low = max(0.0, _SOFTEST - lowest)
        shift = low
        if size(low) > radius:
            high = low + float(np.sqrt(squares.sum())) / radius
            for _ in range(40):  # by hand, as in `downhill_step`
                shift = 0.5 * (low + high)
                length = size(shift)
                if length > radius:
                    low = shift
                elif length < 0.95 * radius:
                    high = shift
                else:
                    break
    amounts = -g / (image + shift)
    step: Vector = vectors @ amounts
    return step
