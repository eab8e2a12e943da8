"""Same or different: enantiomers, conformers, isomers, labels, and many structures at once."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from ase.build import molecule as build
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from afir.errors import InputError
from afir.molecule import Molecule
from afir.pes.loading import load_surface
from networks.graph.identity import (
    ENERGY_TOLERANCE,
    NOISE_TOLERANCE,
    SIGNATURE_TOLERANCE,
    IdentityIndex,
    fingerprint,
    may_be_same,
    same_labelled,
    same_structure,
)

CHFCLBR = Molecule.from_symbols(["C", "H", "F", "Cl", "Br"])
HAND = np.array(
    [
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 1.09],
        [1.27, 0.0, -0.45],
        [-0.83, 1.44, -0.58],
        [-0.9, -1.57, -0.62],
    ]
)


def example(name):
    atoms = build(name)
    return Molecule(tuple(atoms.numbers)), atoms.positions


def turned(positions, seed):
    rotation = Rotation.from_quat(np.random.default_rng(seed).normal(size=4))
    return rotation.apply(positions) + np.array([0.3, -2.0, 1.0])


def hydrogen_peroxide(angle):
    """HOOH with a dihedral angle in degrees."""
    oxygens = np.array([[0.0, 0.0, 0.73], [0.0, 0.0, -0.73]])
    half = np.radians(angle) / 2
    up = [0.95 * np.cos(half), 0.95 * np.sin(half), 0.85]
    down = [0.95 * np.cos(half), -0.95 * np.sin(half), -0.85]
    return np.vstack([oxygens, up, down])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    name=st.sampled_from(["H2CO", "C2H4", "CH3CHO", "C6H6", "CH3CH2OCH3", "CO2", "bicyclobutane"]),
    hand=st.sampled_from([1, -1]),
)
def test_motion_order_and_hand_do_not_matter(seed, name, hand):
    molecule, x = example(name)
    rng = np.random.default_rng(seed)
    numbers = np.array(molecule.numbers)
    order = np.arange(len(x))
    for z in set(molecule.numbers):
        order[numbers == z] = rng.permutation(order[numbers == z])
    noisy = x + rng.uniform(-1e-3, 1e-3, x.shape)
    y = turned(hand * noisy[order], seed)
    one, two = fingerprint(molecule, x, -100.0), fingerprint(molecule, y, -100.0001)
    assert np.abs(one.signature - two.signature).max() < SIGNATURE_TOLERANCE
    assert may_be_same(one, two)
    assert same_structure(molecule, (x, -100.0), (y, -100.0001))
    index = IdentityIndex(molecule)
    index.add("EQ0", one, x)
    assert index.find(two, y) == "EQ0"


def test_enantiomers_are_one():
    image = turned(HAND * [1, 1, -1], 3)
    assert same_structure(CHFCLBR, (HAND, 0.0), (image, 0.0))


def test_energy_tells_apart():
    moved = HAND * 1.008  # within the tolerances, but not on top of the first
    assert not same_structure(CHFCLBR, (HAND, 0.0), (moved, 1.01 * ENERGY_TOLERANCE))
    assert same_structure(CHFCLBR, (HAND, 0.0), (moved, 0.99 * ENERGY_TOLERANCE))


def test_one_structure_is_one_at_the_noise_of_a_grid():
    assert same_structure(CHFCLBR, (HAND, 0.0), (turned(HAND, 3), 0.99 * NOISE_TOLERANCE))
    assert not same_structure(CHFCLBR, (HAND, 0.0), (HAND, 1.01 * NOISE_TOLERANCE))


def test_a_cluster_in_water_is_one_from_every_side():
    # The surface that water touches is summed on a grid that does not turn along.
    water, x = example("H2O")
    corners = 2.9 * np.array([(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    molecule = Molecule(8 * water.numbers)
    x = np.vstack([turned(x, seed) + corner for seed, corner in enumerate(corners)])
    surface = load_surface("gfn2", molecule, solvent="water")
    views = np.array([turned(x, seed) for seed in range(20)])
    energies = surface.evaluate(views).energies
    # Too far apart to be one by the tolerance for surfaces that turn along.
    assert np.ptp(energies) > 3 * ENERGY_TOLERANCE
    assert np.ptp(energies) < NOISE_TOLERANCE
    index = IdentityIndex(molecule)
    index.add("EQ0", fingerprint(molecule, views[0], energies[0]), views[0])
    for view, energy in zip(views, energies, strict=True):
        assert index.find(fingerprint(molecule, view, energy), view) == "EQ0"


def test_conformers_and_isomers_of_equal_energy_are_two():
    peroxide = Molecule((8, 8, 1, 1))
    for angle in (0, 60, 180):
        assert not same_structure(
            peroxide, (hydrogen_peroxide(112), 0.0), (hydrogen_peroxide(angle), 0.0)
        )
    # The other hand of the same twist is the same node.
    assert same_structure(peroxide, (hydrogen_peroxide(112), 0.0), (hydrogen_peroxide(-112), 0.0))
    molecule, ether = example("CH3OCH3")
    atoms = build("CH3CH2OH")
    order = np.argsort(-atoms.numbers, kind="stable")
    alcohol = atoms.positions[order]
    sorted_ether = ether[np.argsort(-np.array(molecule.numbers), kind="stable")]
    sorted_molecule = Molecule(tuple(atoms.numbers[order]))
    assert not same_structure(sorted_molecule, (sorted_ether, 0.0), (alcohol, 0.0))


def test_agreement_of_distances_is_not_enough():
    # Homometric sets: every distance agrees, and still they are two structures.
    molecule = Molecule((10,) * 6)
    first, second = np.zeros((2, 6, 3))
    first[:, 0] = [0, 1, 4, 10, 12, 17]
    second[:, 0] = [0, 1, 8, 11, 13, 17]
    assert may_be_same(fingerprint(molecule, first, 0.0), fingerprint(molecule, second, 0.0))
    assert not same_structure(molecule, (first, 0.0), (second, 0.0))
    index = IdentityIndex(molecule)
    index.add("TS0", fingerprint(molecule, first, 0.0), first)
    assert index.find(fingerprint(molecule, second, 0.0), second) is None


def test_two_saddles_between_the_same_minima_stay_two():
    # Saddles of equal energy for a syn and an anti turn of HOOH: both connect its two hands.
    peroxide = Molecule((8, 8, 1, 1))
    index = IdentityIndex(peroxide)
    for name, angle in (("TS0", 0.0), ("TS1", 180.0)):
        x = hydrogen_peroxide(angle)
        mark = fingerprint(peroxide, x, -1.0)
        assert index.find(mark, x) is None
        index.add(name, mark, x)
    for name, angle in (("TS0", 0.0), ("TS1", 180.0)):
        x = turned(hydrogen_peroxide(angle), 9)
        assert index.find(fingerprint(peroxide, x, -1.0), x) == name


def test_labels_keep_the_atoms_apart():
    molecule, x = example("CH4")  # C, H, H, H, H
    index = IdentityIndex(molecule)
    index.add("EQ3", fingerprint(molecule, x, 0.0), x)
    even, odd = x[[0, 2, 3, 1, 4]], x[[0, 2, 1, 3, 4]]
    # A threefold rotation carries the even permutation back; only an inversion the odd one.
    assert same_labelled(x, turned(even, 1))
    assert not same_labelled(x, turned(odd, 1))
    assert index.arrangement("EQ3", turned(x, 2)) == 0
    assert index.arrangement("EQ3", turned(odd, 3)) == 1
    assert index.arrangement("EQ3", even) == 0
    assert index.arrangement("EQ3", odd) == 1
    assert index.find(fingerprint(molecule, odd, 0.0), odd) == "EQ3"
    enantiomer = HAND * [1, 1, -1]
    assert not same_labelled(HAND, enantiomer)


def test_every_one_of_many_is_found_again():
    molecule, x = example("CH3CHO")
    rng = np.random.default_rng(0)
    index = IdentityIndex(molecule)
    known = []
    for k in range(1500):
        y = x + 0.3 * rng.normal(size=x.shape)
        energy = rng.uniform(0.0, 0.2)  # about eight share each energy
        assert index.find(fingerprint(molecule, y, energy), y) is None
        index.add(f"EQ{k}", fingerprint(molecule, y, energy), y)
        known.append((y, energy))
    assert len(index) == 1500
    for k in range(0, 1500, 50):
        y, energy = known[k]
        assert index.find(fingerprint(molecule, turned(y, k), energy + 1e-4), -y) == f"EQ{k}"


@pytest.mark.parametrize("name", ["CH3CHO", "H2CO", "N2", "O"])
def test_the_index_finds_what_comparing_one_by_one_finds(name):
    molecule, x = example(name)
    rng = np.random.default_rng(1)
    known = {}
    index = IdentityIndex(molecule)
    # Distortions from none to beyond the tolerances, energies on both sides of theirs.
    for k in range(60):
        y = x + rng.choice([0.0, 0.01, 0.03, 0.1]) * rng.normal(size=x.shape)
        energy = rng.uniform(0.0, 3.0 * NOISE_TOLERANCE)
        known[f"EQ{k}"] = y, energy
        index.add(f"EQ{k}", fingerprint(molecule, y, energy), y)
    answers = set()
    for k in range(60):
        y = turned(x + rng.choice([0.0, 0.02, 0.1]) * rng.normal(size=x.shape), k)
        energy = rng.uniform(0.0, 3.0 * NOISE_TOLERANCE)
        same = [id for id, one in known.items() if same_structure(molecule, one, (y, energy))]
        nearest = min(same, key=lambda id: abs(known[id][1] - energy), default=None)
        assert index.find(fingerprint(molecule, y, energy), y) == nearest
        answers.add(nearest)
    assert len(answers) > 5


def test_every_order_of_the_atoms_has_its_label():
    molecule, x = example("CH4")
    index = IdentityIndex(molecule)
    index.add("EQ0", fingerprint(molecule, x, 0.0), x)
    labels = {}
    for order in permutations(range(1, 5)):
        y = turned(x[[0, *order]], len(labels))
        labels[order] = index.arrangement("EQ0", y)
        kin = [other for other, label in labels.items() if label == labels[order]]
        assert all(same_labelled(x[[0, *other]], y) for other in kin)
    # Of 24 permutations the twelve even ones are rotations.
    assert sorted(Counter(labels.values()).values()) == [12, 12]


def test_misuse_is_explained():
    mark = fingerprint(CHFCLBR, HAND, 0.0)
    index = IdentityIndex(CHFCLBR)
    index.add("EQ0", mark, HAND)
    with pytest.raises(InputError, match="`id` must be new to the index, got 'EQ0' again"):
        index.add("EQ0", mark, HAND)
    with pytest.raises(InputError, match="finite energy, got nan"):
        index.add("EQ1", fingerprint(CHFCLBR, HAND, float("nan")), HAND)
    with pytest.raises(InputError, match="`id` must be known to the index, got 'EQ7'"):
        index.arrangement("EQ7", HAND)
    with pytest.raises(InputError, match=r"must have the shape \(5, 3\), got \(4, 3\)"):
        fingerprint(CHFCLBR, HAND[:4], 0.0)
