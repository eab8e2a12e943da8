"""Steepest descent on a quadratic model: the local quadratic approximation.

In mass-weighted coordinates the line of steepest descent of a quadratic model is known in closed
form (10.1063/1.454172). The deviation of a step from the true line follows from the error of the
predicted gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from afir.hessians.modes import Matrix, Vector, vibrations
from afir.hessians.steps import longest
from afir.molecule import Positions

# Numerical limits: beyond them the series, or the overflow, is exact to the last digits.
_STRAIGHT = 1e-4  # λt below this: the curvature of the mode is negligible
_LEVEL = 1e-8  # λt below this: −(1 − exp(−λt))/λ is −t to the last digit
_FASTEST, _STEEPEST = 50.0, 30.0  # λt and −λt at most, against overflow


@dataclass(frozen=True)
class Line:
    """The line of steepest descent of a quadratic model, from one point.

    Attributes
    ----------
    values
        (m,) eigenvalues of the mass-weighted Hessian in eV/Å²/amu.
    vectors
        (3n, m) the normal modes.
    slopes
        (m,) the gradient along each in eV/Å/amu^½.
    root
        (3n,) square roots of the masses.
    """

    values: Vector
    vectors: Matrix
    slopes: Vector
    root: Vector

    @classmethod
    def of(cls, hessian: Matrix, gradient: Vector, x: Positions, root: Vector) -> Line:
        """The line from positions (n, 3) in Å, by a Hessian (3n, 3n) and gradient (3n,) there.

        Both are Cartesian, in eV/Å² and eV/Å.
        """
        values, vectors = vibrations(hessian, x, root[::3])
        return cls(values, vectors, vectors.T @ (gradient / root), root)

    @property
    def modes(self) -> tuple[Vector, Matrix]:
        """Eigenvalues (m,) in eV/Å²/amu and vectors (3n, m) in amu^½ that make up the Hessian."""
        return self.values, self.vectors * self.root[:, None]

    def step(self, length: float, atom: float) -> tuple[Vector, float]:
        """The step (3n,) in Å of mass-weighted `length`, and the time of dq/dt = −g there.

        Both are shorter if the minimum of the model is nearer, or in proportion if an atom would
        move more than `atom` Å.
        """
        amounts, time = self._reach(length)
        step: Vector = self.vectors @ amounts / self.root
        size = longest(step)
        if size > atom:
            amounts, time = self._reach(length * atom / size)
            step = self.vectors @ amounts / self.root
        return step, time

    def beside(self, missed: Vector, time: float) -> float:
        """The deviation of a step from the true line, in Å·amu^½.

        Parameters
        ----------
        missed
            (3n,) error of the predicted gradient there, in eV/Å.
        time
            As `step` gave it.

        Notes
        -----
        If the missed gradient grew evenly with time, it has displaced a mode of eigenvalue λ by
        (λt − 1 + exp(−λt))/(λ²t) times its part: t/2 where λ vanishes, hardly at all across a
        valley, where later gradients have brought it back.
        """
        exponent = np.minimum(np.maximum(self.values * time, -_STEEPEST), _FASTEST)
        bent = np.abs(exponent) > _STRAIGHT
        some, values = np.where(bent, exponent, 1.0), np.where(bent, self.values, 1.0)
        weights = np.where(bent, (some - 1.0 + np.exp(-some)) / (values * some), 0.5 * time)
        return float(np.linalg.norm((self.vectors.T @ (missed / self.root)) * weights))

    def minimum(self, softest: float) -> tuple[Vector, float]:
        """The step (3n,) in Å to the stationary point of the model, and its energy gain in eV.

        Curvatures count by their absolute value, at least `softest` (eV/Å²/amu).
        """
        stiffness = np.maximum(np.abs(self.values), softest)
        step: Vector = -(self.vectors @ (self.slopes / stiffness)) / self.root
        return step, 0.5 * float((self.slopes**2 / stiffness).sum())

    def _at(self, time: float) -> Vector:
        """The point of the line at a time, along each mode: dq/dt = −(g + λq)."""
        product = np.minimum(np.maximum(-time * self.values, -_FASTEST), _FASTEST)
        # Where the surface is flat along a mode, the slope stays what it is.
        bent = np.abs(product) > _LEVEL
        amounts = np.expm1(product) / np.where(bent, self.values, 1.0)
        return self.slopes * np.where(bent, amounts, -time)

    def _far(self, time: float) -> float:
        """The mass-weighted length of the line up to a time, as the crow flies."""
        amounts = self._at(time)
        return math.sqrt(amounts @ amounts)

    def _reach(self, length: float) -> tuple[Vector, float]:
        """The point at this distance on the line and its time; the last one if the line ends."""
        low, high = 0.0, length / max(float(np.linalg.norm(self.slopes)), 1e-12)
        for _ in range(60):
            if self._far(high) >= length:
                break
            low, high = high, 2.0 * high
            if high > 1e9:  # the model's minimum is nearer than `length`
                return self._at(high), high
        # By hand: SciPy's brentq takes up to a third longer, and the steps would change.
        for _ in range(40):
            time = 0.5 * (low + high)
            size = self._far(time)
            if abs(size - length) < 0.01 * length:
                break
            if size > length:
                high = time
            else:
                low = time
        return self._at(time), time
