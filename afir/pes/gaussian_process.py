"""Gaussian-process regression of energies and gradients on inverse distances.

The energy is modelled as a random function of q, the inverse distances 1/r_ij of all atom pairs,

    E ~ GP(m, σ²·k),    k(q, q') = (1 + u + u²/3) exp(−u),    u = √5 |q − q'| / l,

with a Matérn kernel. In q all bonds break and form alike, distant fragments hardly interact, and
the model is invariant to translation and rotation (10.1063/5.0009347). A gradient adds 3n values of
the same function, whose covariances are derivatives of the kernel (10.1063/1.4986787); with
gradients a few dozen points describe a whole reaction path.

For permutations of like atoms the kernel is summed over all of them, k(q, q') + k(q, Pq') + …, so
that every function drawn from it is invariant to them (10.1038/s41467-018-06169-2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular

from afir.molecule import Positions
from afir.pes.surface import Evaluation

Array = NDArray[np.float64]

_LENGTH = 1.0  # Å⁻¹; from 0.7 to 1.5 paths cost the same, and the likelihood chooses no better
# Chosen, not fitted. With σ of some 2 to 10 eV they are below 2 meV and 10 meV/Å: a tenth of the
# lowest peak that counts, and a thirtieth of the gradient at which a path is relaxed.
_ENERGY_NOISE = 2e-4  # of σ
_GRADIENT_NOISE = 1e-3  # Å⁻¹, times σ
_TINY = 1e-12  # against divisions by zero


class GaussianProcess:
    """A Gaussian process fitted to energies and gradients of a molecule.

    The scale σ follows from the fit in closed form.

    Parameters
    ----------
    positions
        (k, n, 3) in Å.
    energies
        (k,) in eV.
    gradients
        (k, n, 3) in eV/Å.
    mean
        Prior mean m in eV, the prediction far from all data. By default the highest of the
        energies, so that unknown regions are not attractive.
    exchanges
        (g, n) permutations of the atoms that leave the energy unchanged: a whole group, with the
        identity. By default only the identity.
    length
        Length scale l in Å⁻¹.
    noise
        Noise of energies, in units of σ, and of gradients, in Å⁻¹ times σ.
    """

    def __init__(
        self,
        positions: Positions,
        energies: Array,
        gradients: Array,
        *,
        mean: float | None = None,
        exchanges: NDArray[np.intp] | None = None,
        length: float = _LENGTH,
        noise: tuple[float, float] = (_ENERGY_NOISE, _GRADIENT_NOISE),
    ) -> None:
        n = positions.shape[1]
        self._mean = float(energies.max()) if mean is None else mean
        self._length = length
        self._noise = noise
        # How each exchange of atoms exchanges the pairs of them.
        place = np.zeros((n, n), dtype=np.intp)
        one, other = np.triu_indices(n, 1)
        place[one, other] = place[other, one] = np.arange(len(one))
        orders = np.arange(n)[None] if exchanges is None else exchanges
        self._orders = place[orders[:, one], orders[:, other]]
        self._q = np.empty((0, n * (n - 1) // 2))
        self._slopes = np.empty((0, n * (n - 1) // 2, 3 * n))
        self._known = np.empty((0, 1 + 3 * n))
        self._factor = np.empty((0, 0))
        self.learn(positions, energies, gradients)

    @property
    def scale(self) -> float:
        """σ in eV."""
        return float(np.sqrt(self._variance))

    def learn(self, positions: Positions, energies: Array, gradients: Array) -> None:
        """Add geometries (k, n, 3) in Å: energies (k,) in eV and gradients (k, n, 3) in eV/Å."""
        q, slopes = self._features(positions)
        new = np.column_stack([energies - self._mean, gradients.reshape(len(q), -1)])
        # The Cholesky factor of the old data is kept and gets more rows.
        across = self._covariance(self._q, self._slopes, q, slopes)
        across = across.reshape(len(self._factor), new.size)
        within = self._covariance(q, slopes, q, slopes).reshape(new.size, new.size)
        noise = np.full(new.shape, self._noise[1] ** 2)
        noise[:, 0] = self._noise[0] ** 2
        within[np.diag_indices(new.size)] += noise.ravel()
        lower = solve_triangular(self._factor, across, lower=True, check_finite=False).T
        corner = _factor(within - lower @ lower.T, float(within.diagonal().max()))
        above = np.zeros((len(self._factor), new.size))
        self._factor = np.block([[self._factor, above], [lower, corner]])
        self._q = np.concatenate([self._q, q])
        self._slopes = np.concatenate([self._slopes, slopes])
        self._known = np.concatenate([self._known, new])
        known = self._known.ravel()
        weights = cho_solve((self._factor, True), known, check_finite=False)
        self._variance = max(float(known @ weights) / known.size, _TINY)
        table = weights.reshape(self._known.shape)
        beta = np.einsum("api,ai->ap", self._slopes, table[:, 1:])
        # Data of a geometry hold for it with like atoms permuted, too.
        self._points = np.concatenate([self._q[:, order] for order in self._orders])
        self._alpha = np.tile(table[:, 0], len(self._orders))
        self._beta = np.concatenate([beta[:, order] for order in self._orders])

    def predict(self, positions: Positions) -> Evaluation:
        """Predicted energies (k,) in eV and gradients (k, n, 3) in eV/Å at (k, n, 3) in Å."""
        q, slopes = self._features(positions)
        apart, (value, first, second, _) = self._apart(q)
        along = np.einsum("abp,bp->ab", apart, self._beta)
        energies = self._mean + value @ self._alpha - 2.0 * (first * along).sum(axis=1)
        slope = self._slope(apart, along, first, second)
        gradients = np.einsum("ap,api->ai", slope, slopes).reshape(positions.shape)
        return Evaluation(energies, gradients)

    def deviations(self, positions: Positions) -> Array:
        """Standard deviations (k,) in eV of the predicted energies at (k, n, 3) in Å."""
        q, slopes = self._features(positions)
        rows = self._covariance(self._q, self._slopes, q, slopes[:, :, :0])
        rows = rows.reshape(len(self._factor), len(q))
        explained = solve_triangular(self._factor, rows, lower=True, check_finite=False)
        apart = q[:, None] - q[:, self._orders]
        before = _kernel((apart**2).sum(axis=2))[0].sum(axis=1)
        left = np.maximum(before - (explained**2).sum(axis=0), 0.0)
        result: Array = np.sqrt(self._variance * left)
        return result

    def hessians(self, positions: Positions) -> Array:
        """Hessians (k, 3n, 3n) in eV/Å² of the predicted energies at (k, n, 3) in Å."""
        q, slopes = self._features(positions)
        apart, (_, first, second, third) = self._apart(q)
        along = np.einsum("abp,bp->ab", apart, self._beta)
        curved = 4.0 * second * self._alpha - 8.0 * third * along
        mixed = np.swapaxes(apart * (-4.0 * second)[:, :, None], 1, 2) @ self._beta
        inner = np.swapaxes(apart * curved[:, :, None], 1, 2) @ apart
        inner += mixed + np.swapaxes(mixed, 1, 2)
        straight = (2.0 * first * self._alpha - 4.0 * second * along).sum(axis=1)
        inner += straight[:, None, None] * np.eye(q.shape[1])
        result: Array = np.swapaxes(slopes, 1, 2) @ inner @ slopes
        slope = self._slope(apart, along, first, second) / self._length
        return result + _bent(positions, slope)

    def _covariance(self, q: Array, slopes: Array, others: Array, their_slopes: Array) -> Array:
        """`_covariance`, summed over all exchanges of like atoms in the others."""
        first, *rest = self._orders
        result = _covariance(q, slopes, others[:, first], their_slopes[:, first])
        for order in rest:
            result += _covariance(q, slopes, others[:, order], their_slopes[:, order])
        return result

    def _features(self, positions: Positions) -> tuple[Array, Array]:
        """Inverse distances (k, p) in units of l and their derivatives (k, p, 3n) by Å."""
        q, slopes = _inverse_distances(positions)
        return q / self._length, slopes / self._length

    def _apart(self, q: Array) -> tuple[Array, tuple[Array, Array, Array, Array]]:
        """Steps q − q' (k, N, p) from all data; kernel and derivatives there (k, N)."""
        apart = q[:, None] - self._points
        return apart, _kernel((apart**2).sum(axis=2))

    def _slope(self, apart: Array, along: Array, first: Array, second: Array) -> Array:
        """dE/dq (k, p), for q in units of l."""
        pull = 2.0 * first * self._alpha - 4.0 * second * along
        slope: Array = np.einsum("ab,abp->ap", pull, apart) - 2.0 * first @ self._beta
        return slope


def _inverse_distances(positions: Positions) -> tuple[Array, Array]:
    """Inverse distances (k, p) in Å⁻¹ and their derivatives (k, p, 3n)."""
    count, n, _ = positions.shape
    one, other = np.triu_indices(n, 1)
    arms = positions[:, one] - positions[:, other]
    q = 1.0 / np.sqrt((arms**2).sum(axis=2))
    pull = -(q**3)[:, :, None] * arms
    slopes = np.zeros((count, len(one), n, 3))
    each = np.arange(len(one))
    slopes[:, each, one] = pull
    slopes[:, each, other] = -pull
    return q, slopes.reshape(count, len(one), 3 * n)


def _bent(positions: Positions, slope: Array) -> Array:
    """Σ dE/dq · d²q/dx², (k, 3n, 3n), for slopes (k, p)."""
    count, n, _ = positions.shape
    one, other = np.triu_indices(n, 1)
    arms = positions[:, one] - positions[:, other]
    q = 1.0 / np.sqrt((arms**2).sum(axis=2))
    outer = 3.0 * (q**5)[:, :, None, None] * arms[:, :, :, None] * arms[:, :, None, :]
    blocks = slope[:, :, None, None] * (outer - (q**3)[:, :, None, None] * np.eye(3))
    result = np.zeros((count, n, n, 3, 3))
    result[:, one, other] = -blocks
    result[:, other, one] = -blocks
    for atom in range(n):
        result[:, atom, atom] = -result[:, atom].sum(axis=1)
    return np.swapaxes(result, 2, 3).reshape(count, 3 * n, 3 * n)


def _factor(matrix: Array, size: float) -> Array:
    """The Cholesky factor (m, m) of conditional covariances of some size.

    With more noise if rounding errors require it.
    """
    for noise in (0.0, 1e-12, 1e-10, 1e-8):
        more = matrix + noise * size * np.eye(len(matrix))
        try:
            factor: Array = cholesky(more, lower=True, check_finite=False)
        except LinAlgError:
            continue
        return factor
    raise LinAlgError("the covariances of the data are not positive definite")


def _kernel(squares: Array) -> tuple[Array, Array, Array, Array]:
    """The kernel and its first three derivatives by |q − q'|², all in units of l."""
    u = np.sqrt(5.0 * squares)
    decay = np.exp(-u)
    return (
        (1.0 + u + u * u / 3.0) * decay,
        -5.0 / 6.0 * (1.0 + u) * decay,
        25.0 / 12.0 * decay,
        # Infinite for equal points, but always multiplied by a third power that is 0 there.
        -125.0 / 24.0 * decay / np.maximum(u, _TINY),
    )


def _covariance(q: Array, slopes: Array, others: Array, their_slopes: Array) -> Array:
    """Covariances of (energy, gradient) of geometries with those of others.

    Parameters
    ----------
    q, slopes
        (a, p) and (a, p, w): the features of some, with w = 3n, or 0 for energies alone.
    others, their_slopes
        (b, p) and (b, p, v): those of others.

    Returns
    -------
    (a, 1 + w, b, 1 + v)
    """
    a, b = len(q), len(others)
    apart = q[:, None] - others
    value, first, second, _ = _kernel((apart**2).sum(axis=2))
    here = np.einsum("abp,api->abi", apart, slopes, optimize=True)
    there = np.einsum("abp,bpi->abi", apart, their_slopes, optimize=True)
    w, v = slopes.shape[2], their_slopes.shape[2]
    result = np.empty((a, 1 + w, b, 1 + v))
    result[:, 0, :, 0] = value
    result[:, 1:, :, 0] = np.swapaxes(2.0 * first[:, :, None] * here, 1, 2)
    result[:, 0, :, 1:] = -2.0 * first[:, :, None] * there
    left = np.swapaxes(slopes, 1, 2).reshape(a * w, q.shape[1])
    right = np.swapaxes(their_slopes, 0, 1).reshape(q.shape[1], b * v)
    both = (left @ right).reshape(a, w, b, v) * (-2.0 * first)[:, None, :, None]
    both -= np.swapaxes(4.0 * second[:, :, None] * here, 1, 2)[:, :, :, None] * there[:, None]
    result[:, 1:, :, 1:] = both
    return result
