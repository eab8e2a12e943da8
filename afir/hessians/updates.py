"""Updates of a Hessian by what a step has shown."""

from __future__ import annotations

import numpy as np

from afir.hessians.modes import Matrix, Vector


def bofill(hessian: Matrix, step: Vector, change: Vector) -> Matrix:
    """Bofill's update, the mixture of SR1 and PSB that fits saddle points (10.1002/jcc.540150102).

    Allows negative curvature. `step` and `change` as in `bfgs`.
    """
    square = float(step @ step)
    if square < 1e-16:
        return hessian
    error = change - hessian @ step
    along = float(error @ step)
    size = float(error @ error)
    if size < 1e-20:
        return hessian
    mix = along**2 / (size * square)
    outer = error[:, None] * step
    powell = (outer + outer.T) / square - along / square**2 * step[:, None] * step
    updated = hessian + (1.0 - mix) * powell
    if mix > 1e-12:
        updated += mix / along * error[:, None] * error
    return updated


def ts_bfgs(hessian: Matrix, step: Vector, change: Vector, modes: tuple[Vector, Matrix]) -> Matrix:
    """The TS-BFGS update (10.1002/qua.10709).

    Allows negative curvature. Like BFGS it changes soft directions rather than stiff ones: the
    error is laid along the change of the gradient and along |H|·step.

    Parameters
    ----------
    hessian, step, change
        As in `bfgs`.
    modes
        Eigenvalues and eigenvectors of `hessian`, from `vibrations`.
    """
    values, vectors = modes
    product = vectors @ (np.abs(values) * (vectors.T @ step))
    direction = float(change @ step) * change + float(step @ product) * product
    size = float(direction @ step)
    if size < 1e-16:
        return hessian
    direction = direction / size
    error = change - hessian @ step
    outer = error[:, None] * direction
    result: Matrix = (
        hessian + outer + outer.T - float(error @ step) * direction[:, None] * direction
    )
    return result


def positive(hessian: Matrix, floor: float = 0.1) -> Matrix:
    """The Hessian with every eigenvalue replaced by its absolute value, at least `floor`."""
    values, vectors = np.linalg.eigh(hessian)
    result: Matrix = (vectors * np.maximum(np.abs(values), floor)) @ vectors.T
    return result


def bfgs(hessian: Matrix, step: Vector, change: Vector) -> Matrix:
    """The damped BFGS update for a gradient `change` after `step`.

    Keeps a positive definite Hessian positive definite: where the surface is not convex along
    the step, the change is mixed with the expected one until it is (Powell's damping).
    """
    product = hessian @ step
    expected = float(step @ product)
    curvature = float(change @ step)
    if expected < 1e-16:
        return hessian
    if curvature < 0.2 * expected:
        weight = 0.8 * expected / (expected - curvature)
        change = weight * change + (1.0 - weight) * product
        curvature = 0.2 * expected
    gained, lost = change / curvature, product / expected
    updated: Matrix = hessian + gained[:, None] * change - lost[:, None] * product
    return updated


def agreeing(estimate: Matrix, directions: Matrix, products: Matrix) -> Matrix:
    """The symmetric matrix (m, m) nearest to an estimate that agrees with measured products.

    Parameters
    ----------
    estimate
        (m, m) symmetric.
    directions
        (m, k) orthonormal.
    products
        (m, k) products of the true matrix with them; if these are not quite symmetric, the mean is
        used.
    """
    error = products - estimate @ directions
    outer = error @ directions.T
    inner = directions.T @ error
    result: Matrix = (
        estimate + outer + outer.T - directions @ (0.5 * (inner + inner.T)) @ directions.T
    )
    return result
