"""Updates of a Hessian by what a step has shown."""

from __future__ import annotations

import numpy as np

from afir.hessians.modes import Matrix, Vector

_NO_MIX = 1e-12  # a smaller share of SR1 would divide zero by zero


def bofill(hessian: Matrix, step: Vector, change: Vector) -> Matrix:
    """Bofill's update, the mixture of SR1 and PSB that fits saddle points (10.1002/jcc.540150102).

    Allows negative curvature.

    Parameters
    ----------
    hessian, step, change
        As in `bfgs`: (3n, 3n) in eV/Å², (3n,) in Å and (3n,) in eV/Å.
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
    # Half of the update: PSB along the step, SR1 along the error.
    half = ((1.0 - mix) / square * (error - (0.5 * along / square) * step))[:, None] * step
    if mix > _NO_MIX:
        half += (0.5 * mix / along * error)[:, None] * error
    updated: Matrix = hessian + half
    updated += half.T
    return updated


def ts_bfgs(hessian: Matrix, step: Vector, change: Vector, modes: tuple[Vector, Matrix]) -> Matrix:
    """The TS-BFGS update (10.1002/qua.10709).

    Allows negative curvature. Like BFGS it changes soft directions rather than stiff ones: the
    error is laid along the change of the gradient and along |H|·step.

    Parameters
    ----------
    hessian, step, change
        As in `bfgs`: (3n, 3n) in eV/Å², (3n,) in Å and (3n,) in eV/Å.
    modes
        Eigenvalues (m,) and eigenvectors (3n, m) of `hessian`, from `vibrations`; or those of the
        mass-weighted one, the vectors times the square roots of the masses.
    """
    values, vectors = modes
    product = vectors @ (np.abs(values) * (vectors.T @ step))
    direction = float(change @ step) * change + float(step @ product) * product
    size = float(direction @ step)
    if size < 1e-16:
        return hessian
    direction = direction / size
    error = change - hessian @ step
    half = (error - (0.5 * float(error @ step)) * direction)[:, None] * direction
    result: Matrix = hessian + half
    result += half.T
    return result


def stiffer(hessian: Matrix, limit: float) -> bool:
    """Whether a curvature of a Hessian (m, m) exceeds a limit, both in eV/Å².

    By a Cholesky factorisation, which takes a quarter of the time of the eigenvalues.
    """
    softer = -hessian
    softer.flat[:: len(hessian) + 1] += limit
    try:
        np.linalg.cholesky(softer)
    except np.linalg.LinAlgError:
        return True
    return False


def positive(hessian: Matrix, floor: float = 0.1) -> Matrix:
    """A Hessian (m, m) with each eigenvalue as its absolute value, at least `floor`, in eV/Å²."""
    values, vectors = np.linalg.eigh(hessian)
    result: Matrix = (vectors * np.maximum(np.abs(values), floor)) @ vectors.T
    return result


def bfgs(hessian: Matrix, step: Vector, change: Vector) -> Matrix:
    """The damped BFGS update for a gradient `change` after `step`.

    Keeps a positive definite Hessian positive definite: where the surface is not convex along
    the step, the change is mixed with the expected one until it is (Powell's damping).

    Parameters
    ----------
    hessian
        (3n, 3n) in eV/Å².
    step
        (3n,) in Å.
    change
        (3n,) in eV/Å.
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

    In any unit.

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
