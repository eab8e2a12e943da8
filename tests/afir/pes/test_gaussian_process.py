"""The Gaussian process: its derivatives, what it knows, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from known import gfn2, mapped
from scipy.spatial.transform import Rotation

from afir.molecule import Positions
from afir.pes.gaussian_process import GaussianProcess

MOLECULE, X0, _ = mapped("H2CO", "EQ", 0.0)
SURFACE = gfn2(MOLECULE)
STEP = 1e-4  # Å


def around(seed: int, count: int, size: float = 0.1) -> Positions:
    """Geometries of formaldehyde, distorted by some `size` Å a coordinate."""
    return X0 + size * np.random.default_rng(seed).normal(size=(count, *X0.shape))


def taught(positions: Positions) -> GaussianProcess:
    told = SURFACE.evaluate(positions)
    return GaussianProcess(positions, told.energies, told.gradients)


@pytest.fixture(scope="module")
def process() -> GaussianProcess:
    return taught(around(0, 8))


def shifted() -> list[tuple[tuple[int, int], Positions]]:
    moves = []
    for index in np.ndindex(X0.shape):
        move = np.zeros(X0.shape)
        move[index] = STEP
        moves.append((index, move))
    return moves


def test_the_gradient_is_the_derivative_of_the_energy(process):
    x = around(1, 3)
    gradients = process.predict(x).gradients
    for (atom, axis), move in shifted():
        rise = process.predict(x + move).energies - process.predict(x - move).energies
        np.testing.assert_allclose(rise / (2 * STEP), gradients[:, atom, axis], atol=1e-5)


def test_the_hessian_is_the_derivative_of_the_gradient(process):
    x = np.concatenate([around(1, 2), around(0, 1)])  # the last is one that it has learnt
    hessians = process.hessians(x)
    np.testing.assert_allclose(hessians, np.swapaxes(hessians, 1, 2), atol=1e-9)
    for (atom, axis), move in shifted():
        change = process.predict(x + move).gradients - process.predict(x - move).gradients
        row = change.reshape(len(x), -1) / (2 * STEP)
        np.testing.assert_allclose(row, hessians[:, 3 * atom + axis], atol=1e-3)


def test_what_was_learnt_is_remembered(process):
    x = around(0, 8)
    told, said = SURFACE.evaluate(x), process.predict(x)
    np.testing.assert_allclose(said.energies, told.energies, atol=2e-3)
    np.testing.assert_allclose(said.gradients, told.gradients, atol=2e-2)
    assert process.deviations(x).max() < 5e-3


def test_it_foretells_the_energy_nearby_and_knows_how_well():
    """From 20 points, distortions of the same size: to a few hundredths of some eV."""
    process = taught(around(2, 20))
    x = around(3, 40)
    told = SURFACE.evaluate(x)
    off = process.predict(x).energies - told.energies
    assert np.std(told.energies) > 1.0
    assert np.median(np.abs(off)) < 0.05
    # A deviate is seldom beyond three deviations.
    assert np.mean(np.abs(off) < 3.0 * process.deviations(x)) > 0.9


def test_far_away_it_knows_nothing(process):
    told = SURFACE.evaluate(around(0, 8))
    far = X0 * 0.25
    assert process.predict(far[None]).energies[0] == pytest.approx(told.energies.max(), abs=0.5)
    assert process.deviations(far[None])[0] > 100 * process.deviations(around(0, 8)).max()


@pytest.mark.parametrize("mirrored", [False, True])
def test_nothing_depends_on_where_the_molecule_lies(process, mirrored):
    x = around(4, 5)
    turn = Rotation.random(random_state=np.random.default_rng(5)).as_matrix()
    if mirrored:
        turn = -turn
    there = x @ turn + np.array([1.0, -2.0, 0.5])
    here, moved = process.predict(x), process.predict(there)
    np.testing.assert_allclose(moved.energies, here.energies, atol=1e-9)
    np.testing.assert_allclose(moved.gradients, here.gradients @ turn, atol=1e-9)
    np.testing.assert_allclose(process.deviations(there), process.deviations(x), atol=1e-7)
    # Nor do gradients move or turn it.
    np.testing.assert_allclose(here.gradients.sum(axis=1), 0.0, atol=1e-9)
    np.testing.assert_allclose(np.cross(x, here.gradients).sum(axis=1), 0.0, atol=1e-9)


def test_points_learnt_where_they_lie_turned_teach_the_same():
    x, where = around(6, 6), around(7, 4)
    told = SURFACE.evaluate(x)
    turns = Rotation.random(6, random_state=np.random.default_rng(8)).as_matrix()
    turned = GaussianProcess(x @ turns, told.energies, told.gradients @ turns)
    np.testing.assert_allclose(
        turned.predict(where).energies, taught(x).predict(where).energies, atol=1e-7
    )


def test_learning_one_by_one_is_learning_at_once():
    x, where = around(9, 6), around(10, 4)
    told = SURFACE.evaluate(x)
    order = np.argsort(-told.energies)  # the highest first: it decides what is thought of the rest
    x, energies, gradients = x[order], told.energies[order], told.gradients[order]
    once = GaussianProcess(x, energies, gradients)
    slowly = GaussianProcess(x[:1], energies[:1], gradients[:1])
    for k in range(1, 6):
        slowly.learn(x[k : k + 1], energies[k : k + 1], gradients[k : k + 1])
    one, other = once.predict(where), slowly.predict(where)
    np.testing.assert_allclose(one.energies, other.energies, atol=1e-8)
    np.testing.assert_allclose(one.gradients, other.gradients, atol=1e-7)
    np.testing.assert_allclose(once.deviations(where), slowly.deviations(where), atol=1e-7)


SWAPPED = np.array([[0, 1, 2, 3], [0, 1, 3, 2]])
"""The two hydrogen atoms of formaldehyde change places."""


def test_like_atoms_may_change_places():
    """What was learnt of one order of the atoms is known of the other: they are one function."""
    x = around(11, 6)
    told = SURFACE.evaluate(x)
    process = GaussianProcess(x, told.energies, told.gradients, exchanges=SWAPPED, length=0.5)
    where = around(12, 4)
    here, there = process.predict(where), process.predict(where[:, SWAPPED[1]])
    np.testing.assert_allclose(there.energies, here.energies, atol=1e-9)
    np.testing.assert_allclose(there.gradients, here.gradients[:, SWAPPED[1]], atol=1e-9)
    np.testing.assert_allclose(
        process.deviations(where[:, SWAPPED[1]]), process.deviations(where), atol=1e-7
    )
    np.testing.assert_allclose(process.predict(x[:, SWAPPED[1]]).energies, told.energies, atol=5e-3)
    unaware = GaussianProcess(x, told.energies, told.gradients, length=0.5)
    assert unaware.deviations(x[:, SWAPPED[1]]).min() > 3.0 * process.deviations(x).max()
    # The same as having been told of both.
    both = np.concatenate([x, x[:, SWAPPED[1]]])
    twice = GaussianProcess(
        both,
        np.tile(told.energies, 2),
        np.concatenate([told.gradients, told.gradients[:, SWAPPED[1]]]),
        length=0.5,
    )
    np.testing.assert_allclose(twice.predict(where).energies, here.energies, atol=2e-3)


def test_derivatives_hold_for_any_length_and_exchange():
    x = around(13, 6)
    told = SURFACE.evaluate(x)
    process = GaussianProcess(
        x, told.energies, told.gradients, mean=0.0, exchanges=SWAPPED, length=0.6
    )
    where = around(14, 2)
    gradients, hessians = process.predict(where).gradients, process.hessians(where)
    for (atom, axis), move in shifted():
        up, down = process.predict(where + move), process.predict(where - move)
        rise = (up.energies - down.energies) / (2 * STEP)
        np.testing.assert_allclose(rise, gradients[:, atom, axis], atol=1e-4)
        row = (up.gradients - down.gradients).reshape(2, -1) / (2 * STEP)
        np.testing.assert_allclose(row, hessians[:, 3 * atom + axis], atol=3e-3)


def test_far_away_the_mean_is_what_was_given():
    x = around(15, 4)
    told = SURFACE.evaluate(x)
    mean = float(told.energies.min()) - 7.0
    process = GaussianProcess(x, told.energies, told.gradients, mean=mean, length=0.3)
    assert process.predict(5.0 * X0[None]).energies == pytest.approx(mean, abs=0.1)


def test_less_noise_is_nearer_to_what_was_told():
    x = around(16, 8)
    told = SURFACE.evaluate(x)
    wrong = [
        np.abs(
            GaussianProcess(x, told.energies, told.gradients, noise=(noise, noise))
            .predict(x)
            .gradients
            - told.gradients
        ).max()
        for noise in (1e-2, 1e-3, 1e-4)
    ]
    assert wrong[0] > 3.0 * wrong[1] > 9.0 * wrong[2]


def test_twins_are_no_hindrance():
    """The same geometry twice, almost without noise: singular to the last digit."""
    x = np.concatenate([around(17, 3), around(17, 3)])
    told = SURFACE.evaluate(x)
    process = GaussianProcess(x, told.energies, told.gradients, noise=(1e-9, 1e-9))
    np.testing.assert_allclose(process.predict(x).energies, told.energies, atol=1e-3)
    for seed in range(20):
        y = around(seed, 3)
        said = SURFACE.evaluate(y)
        slowly = GaussianProcess(y, said.energies, said.gradients, noise=(1e-9, 1e-9))
        slowly.learn(y, said.energies, said.gradients)
        np.testing.assert_allclose(slowly.predict(y).energies, said.energies, atol=1e-3)
