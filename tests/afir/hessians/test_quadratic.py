"""Updates and steps: what holds for every quadratic model."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule as build
from hypothesis import given, settings
from hypothesis import strategies as st
from known import WATER, gfn2

from afir.geometry.superposition import rigid_motions
from afir.hessians.modes import vibrations
from afir.hessians.steps import downhill_step, longest, uphill_step
from afir.hessians.updates import bfgs, bofill, positive, ts_bfgs
from afir.pes.driver import solve
from afir.verification.minima import characterise

SEEDS = st.integers(0, 2**32 - 1)


def symmetric(rng, size):
    matrix = rng.normal(size=(size, size))
    return matrix + matrix.T


def definite(rng, size):
    matrix = rng.normal(size=(size, size))
    return matrix @ matrix.T + 0.1 * np.eye(size)


# Updates


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(3, 12))
def test_bofill_reproduces_the_last_change_and_stays_symmetric(seed, size):
    rng = np.random.default_rng(seed)
    hessian, step, change = symmetric(rng, size), rng.normal(size=size), rng.normal(size=size)
    kept = hessian.copy()
    updated = bofill(hessian, step, change)
    np.testing.assert_allclose(updated @ step, change, atol=1e-8)
    np.testing.assert_allclose(updated, updated.T, atol=1e-8)
    assert (hessian == kept).all()


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(3, 12))
def test_ts_bfgs_reproduces_the_last_change_and_stays_symmetric(seed, size):
    rng = np.random.default_rng(seed)
    hessian = symmetric(rng, size)
    step, change = rng.normal(size=(2, size))
    updated = ts_bfgs(hessian, step, change, np.linalg.eigh(hessian))
    scale = 1.0 + np.abs(updated).max()
    np.testing.assert_allclose(updated, updated.T, atol=1e-12 * scale)
    np.testing.assert_allclose(updated @ step, change, atol=1e-9 * scale)


def test_ts_bfgs_is_bfgs_where_the_surface_is_convex_and_known():
    # With |H| = H and the change foretold in direction, both add the same to the step's curvature.
    rng = np.random.default_rng(3)
    hessian = definite(rng, 6)
    step = rng.normal(size=6)
    change = 1.7 * hessian @ step
    expected = bfgs(hessian, step, change)
    updated = ts_bfgs(hessian, step, change, np.linalg.eigh(hessian))
    np.testing.assert_allclose(updated, expected, atol=1e-9 * np.abs(hessian).max())


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(3, 12))
def test_bfgs_stays_positive_and_reproduces_a_convex_change(seed, size):
    rng = np.random.default_rng(seed)
    hessian, step = definite(rng, size), rng.normal(size=size)
    kept = hessian.copy()
    change = definite(rng, size) @ step
    updated = bfgs(hessian, step, change)
    assert np.linalg.eigvalsh(updated)[0] > 0.0
    if change @ step > 0.2 * step @ hessian @ step:
        np.testing.assert_allclose(updated @ step, change, atol=1e-7)
    concave = bfgs(hessian, step, -change)
    assert np.linalg.eigvalsh(concave)[0] > 0.0
    np.testing.assert_allclose(concave, concave.T, atol=1e-8)
    # It learnt that the surface is softer along the step than it had thought.
    assert step @ concave @ step < step @ hessian @ step
    assert (hessian == kept).all()


@pytest.mark.parametrize("update", [bofill, bfgs])
def test_a_change_that_was_foretold_teaches_nothing(update):
    rng = np.random.default_rng(0)
    hessian, step = definite(rng, 6), rng.normal(size=6)
    np.testing.assert_allclose(update(hessian, step, hessian @ step), hessian, atol=1e-9)
    np.testing.assert_array_equal(update(hessian, np.zeros(6), np.zeros(6)), hessian)


def test_updates_learn_a_quadratic_surface_along_independent_steps():
    rng = np.random.default_rng(1)
    truth = definite(rng, 6)
    learnt = np.eye(6)
    for _ in range(10):
        for step in np.eye(6):
            learnt = bofill(learnt, step, truth @ step)
    np.testing.assert_allclose(learnt, truth, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_making_positive_keeps_directions_and_sizes(seed):
    rng = np.random.default_rng(seed)
    hessian = symmetric(rng, 6)
    made = positive(hessian, 0.1)
    expected = np.maximum(np.abs(np.linalg.eigvalsh(hessian)), 0.1)
    np.testing.assert_allclose(np.linalg.eigvalsh(made), np.sort(expected), atol=1e-9)
    np.testing.assert_allclose(made @ hessian, hessian @ made, atol=1e-8)


# Spectrum


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_vibrations_leave_out_rigid_motions(seed, n):
    rng = np.random.default_rng(seed)
    x, hessian = rng.normal(size=(n, 3)), symmetric(rng, 3 * n)
    values, vectors = vibrations(hessian, x)
    rigid = rigid_motions(x)
    assert len(values) == 3 * n - rigid.shape[1]
    assert (np.diff(values) >= 0.0).all()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-9)
    np.testing.assert_allclose(rigid.T @ vectors, 0.0, atol=1e-6)
    np.testing.assert_allclose(
        vectors.T @ hessian @ vectors, np.diag(values), atol=1e-6 * max(1.0, np.abs(values).max())
    )


# Steps


def model(seed, negative):
    """Eigenvalues of which some are negative, eigenvectors and a gradient."""
    rng = np.random.default_rng(seed)
    size = 9
    values = np.sort(rng.uniform(0.5, 40.0, size=size))
    values[:negative] = -rng.uniform(0.5, 20.0, size=negative)
    values.sort()
    vectors = np.linalg.qr(rng.normal(size=(size, size)))[0]
    return values, vectors, rng.normal(size=size) * 10.0 ** rng.uniform(-3, 1)


def test_the_longest_move_is_that_of_one_atom():
    assert longest(np.array([0.1, 0.0, 0.0, 0.0, 0.3, 0.4])) == pytest.approx(0.5)


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.integers(0, 3), st.floats(1e-3, 0.3))
def test_a_step_downhill_goes_downhill_and_not_too_far(seed, negative, limit):
    values, vectors, gradient = model(seed, negative)
    step = downhill_step(values, vectors, gradient, limit)
    assert longest(step) <= limit * (1.0 + 1e-9)
    assert gradient @ step < 0.0
    # Along every mode, the concave ones too.
    assert ((vectors.T @ gradient) * (vectors.T @ step) <= 1e-15).all()
    newton = -vectors @ ((vectors.T @ gradient) / values)
    if negative == 0 and longest(newton) <= limit:
        np.testing.assert_allclose(step, newton, atol=1e-10)
    elif negative == 0:
        assert longest(step) > 0.8 * limit


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.integers(0, 3), st.integers(0, 3), st.floats(1e-3, 0.3))
def test_a_step_uphill_climbs_one_mode_and_descends_the_others(seed, negative, mode, radius):
    values, vectors, gradient = model(seed, negative)
    kept = values.copy(), vectors.copy(), gradient.copy()
    step = uphill_step(values, vectors, gradient, mode, radius)
    for before, after in zip(kept, (values, vectors, gradient), strict=True):
        assert (before == after).all()
    assert np.linalg.norm(step) <= radius * (1.0 + 1e-6)
    along = (vectors.T @ gradient) * (vectors.T @ step)
    assert along[mode] > 0.0
    assert (np.delete(along, mode) <= 0.0).all()


@pytest.mark.parametrize(
    ("values", "slopes", "mode", "expected"),
    [
        # A saddle point already: Newton's step, −g/h for each mode.
        ((-2.0, 4.0, 8.0), (0.1, -0.2, 0.4), 0, (0.05, 0.05, -0.05)),
        # Convex where it climbs: the image, −1 there, is lifted to 0.02, and the rest with it.
        ((1.0, 2.98), (0.0003, 0.06), 0, (0.0003 / 0.02, -0.06 / 4.0)),
        ((1.0, 2.98), (0.012, 0.0006), 1, (-0.012 / 4.0, 0.0006 / 0.02)),
        # A second concave mode, −1: lifted to 0.02 it goes down; 2 is the image of the first.
        ((-2.0, -1.0), (0.302, 0.0002), 0, (0.1, -0.01)),
    ],
)
def test_a_step_uphill_that_is_short_enough_is_newtons_on_the_image(values, slopes, mode, expected):
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(len(values),) * 2))[0]
    step = uphill_step(np.array(values), turn, turn @ slopes, mode, 0.5)
    np.testing.assert_allclose(turn.T @ step, expected, rtol=1e-9)


@pytest.mark.parametrize("radius", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("values", [(-2.0, 4.0, 10.0), (3.0, 4.0, 10.0), (-2.0, -1.0, 10.0)])
def test_a_step_uphill_that_is_too_long_is_stiffened_alike_in_every_mode(values, radius):
    slopes = np.array([1.5, 2.0, -3.0])
    step = uphill_step(np.array(values), np.eye(3), slopes, 0, radius)
    assert 0.95 * radius <= np.linalg.norm(step) <= radius * (1.0 + 1e-9)
    # The image turns the first mode over; one shift of all three, and it leaves none concave.
    image, pull = np.array([-values[0], *values[1:]]), np.array([1.5, -2.0, 3.0])
    shifts = pull / step - image
    np.testing.assert_allclose(shifts, shifts[0], rtol=1e-9)
    assert (image + shifts > 0.0).all()


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_near_a_saddle_point_the_step_uphill_is_newtons(seed):
    values, vectors, gradient = model(seed, 1)
    gradient = 1e-3 * gradient
    newton = -vectors @ ((vectors.T @ gradient) / values)
    step = uphill_step(values, vectors, gradient, 0, 1.0)
    np.testing.assert_allclose(step, newton, rtol=1e-6, atol=1e-9)


def test_no_gradient_no_step():
    values, vectors, _ = model(0, 1)
    assert not downhill_step(values, vectors, np.zeros(9), 0.2).any()
    assert not uphill_step(values, vectors, np.zeros(9), 0, 0.2).any()


def test_a_step_downhill_on_water_is_a_newton_step():
    exact = solve(characterise(WATER, build("H2O").positions), gfn2(WATER))
    away = exact.positions + 1e-3 * np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    gradient = gfn2(WATER).evaluate(away[None]).gradients[0]
    values, vectors = vibrations(exact.hessian, away)
    there = away + downhill_step(values, vectors, gradient.ravel(), 0.2).reshape(3, 3)
    left = np.abs(gfn2(WATER).evaluate(there[None]).gradients[0]).max()
    assert left < 0.02 * np.abs(gradient).max()
