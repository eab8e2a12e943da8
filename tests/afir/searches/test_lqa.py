"""The local quadratic approximation: exact on a quadratic surface, and honest about errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from afir.searches.lqa import Line

ROOT = np.repeat(np.sqrt([1.0, 16.0, 12.0, 1.0]), 3)


def quadratic(seed, lowest=-0.3):
    """A Hessian with curvatures of all kinds, a gradient, and a geometry of four atoms."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4, 3)) * 1.5
    basis = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    hessian = (basis * np.linspace(lowest, 6.0, 12)) @ basis.T
    return hessian, rng.normal(size=12), x


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length", [0.02, 0.1, 0.3])
def test_a_step_ends_on_the_line_of_steepest_descent(seed, length):
    hessian, gradient, x = quadratic(seed)
    line = Line.of(hessian, gradient, x, ROOT)
    step, time = line.step(length, atom=9.0)
    assert np.linalg.norm(step * ROOT) == pytest.approx(length, rel=0.02)
    # The flow dq/dt = −(g + H·q) in the space of the vibrations.
    inside = line.vectors @ line.vectors.T
    weighted = inside @ (hessian / ROOT[:, None] / ROOT) @ inside
    slope = inside @ (gradient / ROOT)
    flow = solve_ivp(lambda _, q: -(slope + weighted @ q), (0.0, time), np.zeros(12), rtol=1e-9)
    np.testing.assert_allclose(step * ROOT, flow.y[:, -1], atol=1e-6)


def test_no_atom_moves_further_than_it_may():
    hessian, gradient, x = quadratic(1)
    step, _ = Line.of(hessian, gradient, x, ROOT).step(0.3, atom=0.05)
    moves = np.linalg.norm(step.reshape(-1, 3), axis=1)
    assert moves.max() == pytest.approx(0.05, rel=0.05)


def test_a_line_ends_in_the_minimum_of_the_model():
    hessian, gradient, x = quadratic(2, lowest=0.5)
    line = Line.of(hessian, gradient, x, ROOT)
    step, _ = line.step(50.0, atom=99.0)
    there, gain = line.minimum(1e-6)
    np.testing.assert_allclose(step, there, atol=1e-6)
    # What is gained is half of slope times way.
    assert gain == pytest.approx(-0.5 * float(gradient @ there), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_gradient_that_was_not_foretold_has_led_astray_by_what_the_flow_makes_of_it(seed):
    hessian, gradient, x = quadratic(seed)
    line = Line.of(hessian, gradient, x, ROOT)
    _, time = line.step(0.2, atom=9.0)
    missed = np.random.default_rng(seed + 9).normal(size=12) * 0.1
    parts = line.vectors.T @ (missed / ROOT)
    # An additional slope that grows evenly to `missed`: each mode obeys dq/dt = −(λ·q + m·t/T).
    astray = [
        quad(lambda t, k=k: parts[k] * t / time * np.exp(-line.values[k] * (time - t)), 0.0, time)[
            0
        ]
        for k in range(len(parts))
    ]
    assert line.beside(missed, time) == pytest.approx(np.linalg.norm(astray), rel=1e-6)
