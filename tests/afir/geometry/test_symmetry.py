"""Congruence and automorphisms against point groups, brute force and homometric sets."""

from itertools import permutations, product

import numpy as np
import pytest
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from afir.errors import InputError
from afir.geometry.superposition import rmsd
from afir.geometry.symmetry import automorphisms, congruence

CHFCLBR = (6, 1, 9, 17, 35)
CHFCLBR_POSITIONS = np.array(
    [
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 1.09],
        [1.27, 0.0, -0.45],
        [-0.83, 1.44, -0.58],
        [-0.9, -1.57, -0.62],
    ]
)


def moved(positions, seed, shift=3.0):
    turned = Rotation.from_quat(np.random.default_rng(seed).normal(size=4)).apply(positions)
    return turned + np.random.default_rng(seed).uniform(-shift, shift, 3)


def shuffle(numbers, rng):
    """A random permutation of like atoms."""
    numbers = np.asarray(numbers)
    order = np.arange(len(numbers))
    for z in np.unique(numbers):
        where = np.flatnonzero(numbers == z)
        order[where] = rng.permutation(where)
    return order


def brute_force(numbers, first, second):
    """The smallest RMSD over all permutations of like atoms and both hands."""
    numbers = np.asarray(numbers)
    groups = [np.flatnonzero(numbers == z) for z in np.unique(numbers)]
    best = np.inf
    for combination in product(*(permutations(group) for group in groups)):
        order = np.empty(len(numbers), dtype=int)
        for group, image in zip(groups, combination, strict=True):
            order[group] = image
        for hand in (1, -1):
            best = min(best, rmsd(first, hand * second[order]))
    return best


# The number of distinct permutations: half the order of the group where a mirror plane holds
# all atoms, and an infinite group leaves two.
@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("H2", 2),
        ("HCN", 1),
        ("CO2", 2),
        ("C2H2", 2),
        ("H2O", 2),
        ("HOCl", 1),
        ("H2CO", 2),
        ("NH3", 6),
        ("BF3", 6),
        ("C2H4", 4),
        ("bicyclobutane", 4),
        ("CH4", 24),
        ("C2H6", 12),
        ("C6H6", 12),
        ("CH3CHO", 2),
    ],
)
def test_operations_of_point_groups(name, operations):
    atoms = molecule(name)
    found = automorphisms(atoms.numbers, moved(atoms.positions, 1), tolerance=0.05)
    assert len(found) == operations
    assert found[0] == tuple(range(len(atoms)))


def test_icosahedron_has_120_operations():
    golden = (1 + 5**0.5) / 2
    corners = [(0, a, b * golden) for a in (1, -1) for b in (1, -1)]
    x = np.array([np.roll(c, k) for c in corners for k in range(3)]) * 0.9
    assert len(automorphisms([5] * 12, x)) == 120
    assert len(automorphisms([5] * 12, x, limit=10)) == 10


def test_automorphisms_form_a_group():
    atoms = molecule("C2H6")
    group = set(automorphisms(atoms.numbers, atoms.positions))
    for p, q in product(group, repeat=2):
        assert tuple(p[i] for i in q) in group
    assert all(tuple(np.argsort(p).tolist()) in group for p in group)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(
        ["H2", "CO2", "C2H2", "H2O", "NH3", "CH4", "C2H6", "C6H6", "CH3CH2OCH3", "bicyclobutane"]
    ),
    seed=st.integers(0, 2**31),
    inverted=st.booleans(),
)
def test_finds_a_moved_and_permuted_copy(name, seed, inverted):
    atoms = molecule(name)
    rng = np.random.default_rng(seed)
    order = shuffle(atoms.numbers, rng)
    noisy = atoms.positions + rng.uniform(-0.004, 0.004, atoms.positions.shape)
    copy = moved((-noisy if inverted else noisy)[order], seed)
    match = congruence(atoms.numbers, atoms.positions, copy)
    assert match is not None
    assert match.rmsd < 0.01
    mapped = copy[match.permutation] * (-1 if match.mirrored else 1)
    assert (atoms.numbers[match.permutation] == atoms.numbers).all()
    # The permutation is the proof: superposing atom by atom gives the reported distance.
    assert rmsd(atoms.positions, mapped) == pytest.approx(match.rmsd, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    noise=st.sampled_from([0.02, 0.06, 0.1, 0.2]),
    kind=st.sampled_from(["cloud", "line", "thin", "ring", "apart"]),
)
def test_agrees_with_brute_force(seed, noise, kind):
    rng = np.random.default_rng(seed)
    numbers = rng.choice([1, 1, 6], 6)
    angle = np.arange(6) * np.pi / 3
    x = {
        "cloud": rng.normal(size=(6, 3)) * 1.3,
        "line": np.outer(np.arange(6) * 1.2, [0.0, 0.6, 0.8]),
        "thin": np.stack([np.arange(6) * 1.2, *(0.1 * rng.normal(size=(2, 6)))], axis=1),
        "ring": 1.2 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1),
        "apart": np.repeat(rng.normal(size=(3, 3)) * 4, 2, axis=0) + rng.normal(size=(6, 3)) * 0.5,
    }[kind]
    y = moved((x + noise * rng.normal(size=x.shape))[shuffle(numbers, rng)], seed)
    exact = brute_force(numbers, x, y)
    match = congruence(numbers, x, y)
    if exact > 0.1:
        assert match is None
    else:
        assert match is not None
        assert match.rmsd <= max(exact + 1e-6, 0.01)


def test_enantiomers_need_the_mirror():
    other = moved(CHFCLBR_POSITIONS * [1, 1, -1], 4)
    assert congruence(CHFCLBR, CHFCLBR_POSITIONS, other, mirror=False) is None
    match = congruence(CHFCLBR, CHFCLBR_POSITIONS, other)
    assert match is not None
    assert match.mirrored
    same = congruence(CHFCLBR, CHFCLBR_POSITIONS, moved(CHFCLBR_POSITIONS, 5))
    assert same is not None
    assert not same.mirrored


def test_equal_distances_are_no_proof():
    # Homometric point sets on a line: all distances agree, the sets do not.
    first, second = np.zeros((2, 6, 3))
    first[:, 0] = [0, 1, 4, 10, 12, 17]
    second[:, 0] = [0, 1, 8, 11, 13, 17]
    i, j = np.triu_indices(6, 1)
    assert sorted(abs(first[i, 0] - first[j, 0])) == sorted(abs(second[i, 0] - second[j, 0]))
    assert congruence([1] * 6, first, second) is None


def test_separated_molecules_in_exchanged_roles():
    numbers = [1, 1, 1, 1, 6, 8]
    x = np.array(
        [[0, 0, 0], [0.74, 0, 0], [3, 4, 0], [3, 4.74, 0], [-3, 1, 2], [-3, 1, 3.13]], dtype=float
    )
    y = moved(x[[3, 2, 0, 1, 4, 5]], 8)
    match = congruence(numbers, x, y)
    assert match is not None
    assert match.permutation.tolist() == [2, 3, 1, 0, 4, 5]
    far = x.copy()
    far[2:4] += [0, 0, 1.0]
    assert congruence(numbers, x, far) is None


def test_sixty_atoms_without_symmetry():
    rng = np.random.default_rng(3)
    numbers = np.repeat([6, 1, 8], [25, 30, 5])
    x = rng.uniform(-6, 6, (60, 3))
    order = shuffle(numbers, rng)
    match = congruence(numbers, x, moved(x[order], 2))
    assert match is not None
    assert match.permutation.tolist() == np.argsort(order).tolist()


def test_one_atom_maps_onto_itself():
    match = congruence([18], np.zeros((1, 3)), np.ones((1, 3)))
    assert match is not None
    assert match.rmsd == pytest.approx(0.0)
    assert automorphisms([18], np.zeros((1, 3))) == [(0,)]


def test_misuse_is_explained():
    x = np.zeros((2, 3))
    with pytest.raises(InputError, match="`second` must have the shape"):
        congruence([1, 1], x, np.zeros((3, 3)))
    with pytest.raises(InputError, match="`tolerance` must be positive"):
        automorphisms([1, 1], x, tolerance=0.0)
