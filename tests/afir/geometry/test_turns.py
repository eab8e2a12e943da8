"""Ways between structures of one bonding: only turns, and nothing is stretched."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from torsion import CHAIN, chain
from turning import BUTYNE, METHANE_AND_CO, butyne, loose

from afir.geometry.bonds import bonds, distances
from afir.geometry.superposition import rmsd
from afir.geometry.turns import bonded_alike, motion
from afir.molecule import Molecule, Positions


def bonded(molecule: Molecule, x: Positions) -> np.ndarray:
    return np.argwhere(np.triu(bonds(molecule, x)))


@pytest.mark.parametrize("symbols", ["HOOH", "CHHHH", "CCHHHH"])
def test_maps_are_those_of_all_permutations_that_keep_the_bonds(symbols: str) -> None:
    rng = np.random.default_rng(7)
    n = len(symbols)
    numbers = Molecule.from_symbols(symbols).numbers
    first = np.triu(rng.random((n, n)) < 0.4, 1)
    first |= first.T
    order = rng.permutation(n)
    # Atoms in another order, elements where they were: only some orders fit the elements.
    like = [p for p in permutations(range(n)) if all(numbers[i] == numbers[p[i]] for i in range(n))]
    second = first[np.ix_(order, order)] if tuple(order) in like else first
    wanted = {p for p in like if np.array_equal(second[np.ix_(p, p)], first)}
    found = [tuple(int(i) for i in p) for p in bonded_alike(numbers, first, second)]
    assert len(found) == len(set(found))
    assert set(found) == wanted


def test_one_atom_in_a_field_has_no_way() -> None:
    atom = Molecule.from_symbols(["He"])
    assert motion(atom, np.zeros((1, 3)), np.ones((1, 3))) is None


def test_other_bonds_have_no_way() -> None:
    water = Molecule.from_symbols("OHH")
    whole = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    broken = whole + np.array([[0.0] * 3, [0.0] * 3, [0.0, 3.0, 0.0]])
    assert motion(water, whole, broken) is None


@pytest.mark.parametrize(("degrees", "turned"), [(20.0, 20.0), (60.0, 60.0), (100.0, 20.0)])
def test_a_methyl_group_turns_the_short_way(degrees: float, turned: float) -> None:
    """Like atoms count as one: 100° are 20° back. It goes on an arc of 1.02 Å."""
    way = motion(BUTYNE, butyne(0.0), butyne(degrees))
    assert way is not None
    assert way.length == pytest.approx(1.02 * np.radians(turned) / 2.0, abs=0.01)


def test_ends_are_the_structures_and_bonds_keep_their_lengths() -> None:
    cases = [
        (BUTYNE, butyne(0.0), butyne(50.0)),
        (CHAIN, chain(0.0), chain(170.0)),
        (
            METHANE_AND_CO,
            loose(Rotation.identity(), np.array([0.0, 0.0, 3.8])),
            loose(Rotation.from_rotvec([0.5, 0.9, 0.0]), np.array([2.0, 0.5, 3.4])),
        ),
    ]
    for molecule, first, last in cases:
        rng = np.random.default_rng(3)
        moved = Rotation.random(rng=rng).apply(last) + rng.normal(size=3)
        way = motion(molecule, first, moved)
        assert way is not None
        assert rmsd(way.at(0.0), first) < 1e-9
        gaps = np.sort(distances(way.at(1.0)).ravel()) - np.sort(distances(last).ravel())
        assert np.abs(gaps).max() < 1e-9
        i, j = bonded(molecule, first).T
        for share in (0.25, 0.5, 0.75):
            change = distances(way.at(share))[i, j] - distances(first)[i, j]
            assert np.abs(change).max() < 0.01


@pytest.mark.parametrize("seed", range(5))
def test_half_a_turn_goes_one_way_round(seed: int) -> None:
    """Superposed, a planar chain is turned over as a whole too, which rounding leaves open."""
    turned = Rotation.random(rng=np.random.default_rng(seed))
    way = motion(CHAIN, turned.apply(chain(180.0)), turned.apply(chain(0.0)))
    assert way is not None
    points = np.array([way.at(share) for share in np.linspace(0.0, 1.0, 65)])
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2).max(axis=1)
    assert steps.max() < 2.0 * way.length / len(steps)


def test_order_place_and_hand_do_not_matter() -> None:
    first, last = butyne(0.0), butyne(50.0)
    order = [3, 2, 1, 0, 9, 7, 8, 4, 6, 5]
    mirrored = -Rotation.random(rng=np.random.default_rng(4)).apply(last[order])
    way, other = motion(BUTYNE, first, last), motion(BUTYNE, first, mirrored)
    assert way is not None
    assert other is not None
    assert other.length == pytest.approx(way.length, abs=1e-6)
