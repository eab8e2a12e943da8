"""Superposition, rigid motions and rigid steps."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule as build
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from afir.geometry.bonds import distances
from afir.geometry.superposition import (
    cumulative_length,
    internal_part,
    linear,
    local_turns,
    rigid_motions,
    rigid_step,
    rmsd,
    superpose,
    turned_back,
    turned_hessian,
)
from afir.hessians.model import closeness
from afir.molecule import Molecule

SEEDS = st.integers(0, 2**32 - 1)
WATER = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
PAIR_OF_WATERS = np.concatenate([WATER, WATER + np.array([0.0, 0.0, 3.0])])
WATERS = Molecule((8, 1, 1, 8, 1, 1))


def drawn(seed, n=6):
    rng = np.random.default_rng(seed)
    return rng, rng.normal(scale=1.5, size=(n, 3))


def turned(rng, positions):
    turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    return positions @ turn.T + rng.normal(scale=5.0, size=3)


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(1, 8))
def test_superposing_undoes_any_rigid_motion(seed, n):
    rng, x = drawn(seed, n)
    moved = turned(rng, x)
    kept = moved.copy(), x.copy()
    np.testing.assert_allclose(superpose(x, moved), x, atol=1e-8)
    assert rmsd(x, moved) < 1e-8
    assert (moved == kept[0]).all()
    assert (x == kept[1]).all()


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_superposition_is_the_best_there_is(seed):
    rng, x = drawn(seed)
    other = x + rng.normal(scale=0.3, size=x.shape)
    best = rmsd(x, other)
    assert rmsd(other, x) == pytest.approx(best, abs=1e-10)
    placed = superpose(x, other)
    np.testing.assert_allclose(distances(placed), distances(other), atol=1e-10)
    for _ in range(20):
        near = placed - placed.mean(0)
        near = near @ Rotation.from_rotvec(rng.normal(scale=0.05, size=3)).as_matrix().T
        assert np.sqrt(((near + x.mean(0) - x) ** 2).sum() / len(x)) >= best - 1e-12


def test_superposition_never_reflects():
    hand = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 2.0]])
    assert rmsd(hand, hand * [1, 1, -1]) > 0.3


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(2, 8), st.booleans(), st.booleans())
def test_rigid_motions_are_orthonormal_and_complete(seed, n, straight, weighted):
    rng, x = drawn(seed, n)
    if straight:
        x = rng.normal(size=3) * rng.normal(size=(n, 1)) + rng.normal(size=3)
    weights = rng.uniform(1.0, 5.0, size=n) if weighted else None
    w = np.ones(n) if weights is None else weights
    basis = rigid_motions(x, weights)
    assert basis.shape == (3 * n, 5 if straight or n == 2 else 6)
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-10)
    shift = np.tile(rng.normal(size=3), n)
    turn = np.cross(rng.normal(size=3), x).ravel()
    motion = (shift + turn) * np.repeat(w, 3)
    np.testing.assert_allclose(basis @ (basis.T @ motion), motion, atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("tilt", [0.0, 1e-6, 1e-3, 0.1])
@pytest.mark.parametrize("bend", [0.0, 1e-5, 1e-3, 0.01])
def test_a_molecule_that_is_all_but_straight_is_linear(axis, tilt, bend):
    x = np.zeros((4, 3))
    x[:, axis] = [-1.66, -0.6, 0.6, 1.66]
    x[0, axis - 1] = bend
    x = x @ Rotation.from_rotvec(tilt * np.array([1.0, 0.5, -0.3])).as_matrix().T
    assert linear(x)
    basis = rigid_motions(x, np.sqrt([1.0, 12.0, 12.0, 1.0]))
    assert basis.shape == (12, 5)
    np.testing.assert_allclose(basis.T @ basis, np.eye(5), atol=1e-10)


def test_a_bent_molecule_is_not_linear():
    assert not linear(WATER)
    assert linear(WATER[:2])
    assert not linear(WATER[:1])


def test_one_atom_has_no_rigid_motion():
    assert rigid_motions(np.ones((1, 3))).shape == (3, 0)


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.floats(0.0, 1.0))
def test_a_rigid_step_turns_fragments_without_stretching_them(seed, angle):
    rng = np.random.default_rng(seed)
    step = np.zeros_like(PAIR_OF_WATERS)
    for part in (slice(0, 3), slice(3, 6)):
        x = PAIR_OF_WATERS[part]
        omega = angle * rng.normal(size=3)
        step[part] = np.cross(omega, x - x.mean(0)) + rng.normal(scale=0.3, size=3)
    moved = rigid_step(PAIR_OF_WATERS, step, [(0, 1, 2), (3, 4, 5)])
    for part in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(
            distances(moved[part]), distances(PAIR_OF_WATERS[part]), atol=1e-9
        )


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_a_rigid_step_is_the_step_to_first_order(seed):
    rng = np.random.default_rng(seed)
    step = rng.normal(size=PAIR_OF_WATERS.shape)
    parts = [(0, 1, 2), (3, 4), (5,)]  # a linear fragment and an atom among them
    errors = []
    for scale in (1e-2, 1e-3):
        moved = rigid_step(PAIR_OF_WATERS, scale * step, parts)
        errors.append(np.abs(moved - PAIR_OF_WATERS - scale * step).max())
    assert errors[0] < 30 * 1e-4
    assert errors[1] < 0.02 * errors[0] + 1e-12


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_a_rigid_turn_turns_the_surroundings_of_every_atom(seed):
    rng, x = drawn(seed)
    turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    weights = rng.uniform(0.5, 1.0, size=(6, 6))
    # What stands in for the turns that cannot be seen costs the last digit of the others.
    for found in local_turns(1e6 * weights, x, x @ turn.T + 3.0):
        np.testing.assert_allclose(found, turn, atol=1e-4)


@pytest.mark.parametrize("angle", [0.1, 0.5, 1.0])
def test_a_methyl_group_turns_alone(angle):
    atoms = build("C2H6")
    x = atoms.positions
    molecule = Molecule(tuple(atoms.numbers))
    axis = (x[1] - x[0]) / np.linalg.norm(x[1] - x[0])
    turn = Rotation.from_rotvec(angle * axis)
    group = [k for k in range(2, 8) if np.linalg.norm(x[k] - x[0]) < 1.3]
    after = x.copy()
    after[group] = x[0] + turn.apply(x[group] - x[0])
    found = local_turns(closeness(molecule, x), x, after)
    for atom in range(2, 8):
        turned_by = Rotation.from_matrix(found[atom]).as_rotvec() @ axis
        if atom in group:
            assert turned_by == pytest.approx(angle, rel=0.2)
        else:
            assert abs(turned_by) < 0.2 * angle


def test_a_straight_molecule_turns_without_spinning():
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.2], [0.0, 0.0, 2.4]])
    weights = np.ones((3, 3)) - np.eye(3)
    turn = Rotation.from_rotvec([0.3, 0.0, 0.0])
    for found in local_turns(weights, x, turn.apply(x)):
        np.testing.assert_allclose(found, turn.as_matrix(), atol=1e-2)
    stretched = local_turns(weights, x, 1.1 * x)
    np.testing.assert_allclose(stretched, np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)


def test_turning_back_is_the_inverse_of_turning():
    rng = np.random.default_rng(0)
    turns = Rotation.from_quat(rng.normal(size=(4, 4))).as_matrix()
    gradient = rng.normal(size=(4, 3))
    forward = np.einsum("nab,nb->na", turns, gradient)
    np.testing.assert_allclose(turned_back(turns, forward), gradient, atol=1e-12)
    hessian = rng.normal(size=(12, 12))
    hessian += hessian.T
    full = np.zeros((12, 12))
    for i, turn in enumerate(turns):
        full[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] = turn
    np.testing.assert_allclose(turned_hessian(turns, hessian), full @ hessian @ full.T, atol=1e-12)


def test_cumulative_length_of_a_staircase():
    path = np.array([[[0.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]], [[1.0, 2.0, 0.0]], [[1.0, 2.0, 3.0]]])
    np.testing.assert_allclose(cumulative_length(path), [0.0, 1.0, 3.0, 6.0])


@given(seed=st.integers(0, 2**31), n=st.integers(2, 7))
def test_the_internal_part_neither_pushes_nor_turns_the_molecule(seed, n):
    rng = np.random.default_rng(seed)
    x, gradient = rng.normal(size=(2, n, 3))
    inner = internal_part(x, gradient)
    np.testing.assert_allclose(inner.sum(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.cross(x, inner).sum(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(internal_part(x, inner), inner, atol=1e-9)
    # The gradient of distances alone has nothing to lose.
    arms = x[:, None] - x
    pair = (rng.normal(size=(n, n)) * (1 - np.eye(n)))[..., None]
    forces = ((pair + pair.transpose(1, 0, 2)) * arms).sum(axis=1)
    np.testing.assert_allclose(internal_part(x, forces), forces, atol=1e-9)
