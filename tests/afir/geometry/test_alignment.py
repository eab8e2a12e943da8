"""Alignment: copies that were turned, mirrored and renumbered, and their Hessians."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule as built
from known import gfn2
from scipy.spatial.transform import Rotation

from afir.geometry.alignment import align
from afir.geometry.signature import signature
from afir.geometry.symmetry import congruence
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.searches.hessian import hessian as exact_hessian

NAMES = ("HCOOH", "CH3CHO", "CH3CH2OH", "butadiene")


def shuffled(numbers, rng):
    """A permutation that exchanges like atoms only."""
    order = np.arange(len(numbers))
    for z in set(numbers):
        where = np.flatnonzero(np.asarray(numbers) == z)
        order[where] = rng.permutation(where)
    return order


def copied(numbers, x, rng, *, hand=1.0):
    """The same structure elsewhere, turned, perhaps mirrored, its like atoms in another order."""
    turned = hand * Rotation.random(rng=rng).apply(x) + rng.normal(size=3)
    return turned[shuffled(numbers, rng)]


def strained(name, rng, size=0.15):
    """A structure without any symmetry."""
    atoms = built(name)
    return tuple(map(int, atoms.numbers)), atoms.positions + size * rng.normal(size=(len(atoms), 3))


@pytest.mark.parametrize("hand", [1.0, -1.0])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_a_copy_is_brought_back_onto_the_structure(name, seed, hand):
    rng = np.random.default_rng(seed)
    numbers, x = strained(name, rng)
    y = copied(numbers, x, rng, hand=hand)
    found = align(numbers, x, y)
    assert found.rmsd < 1e-9
    assert found.positions == pytest.approx(x, abs=1e-8)
    assert np.linalg.det(found.rotation) == pytest.approx(hand)
    assert sorted(found.permutation) == list(range(len(numbers)))
    z = np.asarray(numbers)
    assert (z[found.permutation] == z).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_structure_nearby_is_brought_as_close_as_the_exhaustive_search_brings_it(name):
    rng = np.random.default_rng(5)
    numbers, x = strained(name, rng)
    for _ in range(5):
        away = rng.normal(size=x.shape)
        y = copied(numbers, x + 0.1 * away / np.sqrt((away**2).sum() / len(x)), rng)
        found, best = align(numbers, x, y), congruence(numbers, x, y, tolerance=0.15)
        assert best is not None
        assert found.rmsd <= best.rmsd + 1e-6
        assert found.rmsd == pytest.approx(np.sqrt(((found.positions - x) ** 2).mean() * 3.0))


@pytest.mark.parametrize("hand", [1.0, -1.0])
def test_the_hessian_moves_with_the_structure(hand):
    """That of the surface, computed at both places."""
    rng = np.random.default_rng(1)
    numbers, x = strained("H2CO", rng, 0.1)
    molecule = Molecule(numbers)
    surface = gfn2(molecule)
    y = copied(numbers, x, rng, hand=hand)
    here, there = (solve(exact_hessian(molecule, place), surface).hessian for place in (x, y))
    assert align(numbers, x, y).hessian(there) == pytest.approx(here, abs=2e-3)


def test_signatures_do_not_depend_on_place_order_or_hand():
    rng = np.random.default_rng(2)
    for name in NAMES:
        numbers, x = strained(name, rng)
        for hand in (1.0, -1.0):
            y = copied(numbers, x, rng, hand=hand)
            assert signature(numbers, y) == pytest.approx(signature(numbers, x), abs=1e-10)
        other = x + 0.05 * rng.normal(size=x.shape)
        assert np.abs(signature(numbers, other) - signature(numbers, x)).max() > 1e-3
