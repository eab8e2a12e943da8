"""Distances, bonds, and what hangs together."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ase.build import molecule as build
from hypothesis import given, settings
from hypothesis import strategies as st
from known import MAPS, REFERENCES, gfn2

from afir.geometry.bonds import (
    APART_FACTOR,
    BOND_FACTOR,
    BREAKING_FACTOR,
    CLEAR_FACTOR,
    GONE_FACTOR,
    OVERLAP_FACTOR,
    STRETCHED_FACTOR,
    bond_changes,
    bond_lengths,
    bonds,
    bonds_changed,
    brief_changes,
    components,
    dissociated,
    distances,
    gap,
    rebonded,
    relative_distances,
)
from afir.geometry.naming import names
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.searches.minimum import minimise

SEEDS = st.integers(0, 2**32 - 1)
WATER = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
PAIR_OF_WATERS = np.concatenate([WATER, WATER + np.array([0.0, 0.0, 3.0])])
WATERS = Molecule((8, 1, 1, 8, 1, 1))


def drawn(seed, n=6):
    rng = np.random.default_rng(seed)
    return rng, rng.normal(scale=1.5, size=(n, 3))


def test_distances_of_a_right_angle():
    found = distances(np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]))
    np.testing.assert_allclose(found, [[0, 3, 4], [3, 0, 5], [4, 5, 0]], atol=1e-15)


@pytest.mark.parametrize(
    ("name", "count"), [("H2O", 2), ("CH4", 4), ("C2H2", 3), ("C6H6", 12), ("CH3CHO", 6)]
)
def test_bonds_are_those_of_the_textbook(name, count):
    atoms = build(name)
    molecule = Molecule(tuple(atoms.numbers))
    adjacency = bonds(molecule, atoms.positions)
    assert adjacency.sum() == 2 * count
    assert (adjacency == adjacency.T).all()
    assert components(molecule, atoms.positions) == [tuple(range(molecule.n_atoms))]
    assert gap(molecule, atoms.positions) == np.inf
    assert not dissociated(molecule, atoms.positions, 4.0)


@pytest.mark.parametrize(("length", "bonded"), [(0.78, True), (0.9, True), (1.05, False)])
def test_a_coordinated_h2_is_one_molecule(length, bonded):
    molecule = Molecule((1, 1))
    assert bonds(molecule, np.array([[0.0, 0.0, 0.0], [0.0, 0.0, length]]))[0, 1] == bonded


@pytest.mark.parametrize(
    ("charge", "multiplicity", "start", "count"),
    [
        (1, 1, [[0.0, 0.0, 0.0], [0.9, 0.0, 0.0], [0.45, 0.78, 0.0]], 3),  # H3+, a triangle
        (1, 2, [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], 1),  # H2+
        (
            1,
            1,
            [
                [0.0, 0.0, 0.0],
                [0.1, 0.38, 1.05],
                [0.0, -0.38, 1.05],
                [0.38, 0.0, -1.05],
                [-0.38, 0.0, -1.05],
            ],
            4,  # H5+: a proton between two molecules
        ),
    ],
)
def test_cations_of_hydrogen_hold_together(charge, multiplicity, start, count):
    molecule = Molecule((1,) * len(start), charge, multiplicity)
    relaxed = solve(minimise(molecule, np.array(start)), gfn2(molecule)).positions
    assert len(components(molecule, relaxed)) == 1
    assert bonds_changed(bonds(molecule, relaxed), np.zeros((len(start),) * 2, bool)) == count
    assert (bonds(molecule, relaxed) == bonds(molecule, relaxed, CLEAR_FACTOR)).all()


def test_hydrogen_that_has_its_electrons_is_bonded_as_in_h2():
    between = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.05], [0.0, 0.0, 4.0]])
    for molecule in (
        Molecule((1, 1, 1), 0, 2),
        Molecule((1, 1, 1), -1, 1),
        Molecule((1, 1, 8), 1, 2),
    ):
        assert not bonds(molecule, between)[0, 1]


def test_components_are_sorted_and_ordered_by_their_first_atom():
    order = [3, 0, 4, 1, 5, 2]
    molecule = Molecule(tuple(WATERS.numbers[i] for i in order))
    assert components(molecule, PAIR_OF_WATERS[order]) == [(0, 2, 4), (1, 3, 5)]


def test_a_larger_factor_joins_components():
    assert len(components(WATERS, PAIR_OF_WATERS)) == 2
    assert len(components(WATERS, PAIR_OF_WATERS, 3.0)) == 1


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(1, 12))
def test_components_partition_the_atoms_and_no_bond_crosses_them(seed, n):
    _, x = drawn(seed, n)
    molecule = Molecule((6,) * n)
    parts = components(molecule, x)
    assert sorted(i for part in parts for i in part) == list(range(n))
    adjacency = bonds(molecule, x)
    label = np.empty(n, dtype=int)
    for number, part in enumerate(parts):
        label[list(part)] = number
    assert not adjacency[label[:, None] != label[None]].any()
    for part in parts:  # every part hangs together
        inner = np.linalg.matrix_power(
            adjacency[np.ix_(part, part)].astype(float) + np.eye(len(part)), n
        )
        assert (inner > 0).all()


def test_the_gap_is_the_widest_that_must_be_bridged():
    argon = Molecule((18, 18, 18))
    line = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [11.0, 0.0, 0.0]])
    assert gap(argon, line) == pytest.approx(7.0)
    assert dissociated(argon, line, 6.9)
    assert not dissociated(argon, line, 7.1)
    assert gap(WATERS, PAIR_OF_WATERS) == pytest.approx(np.hypot(2.4, 0.76))


def test_one_atom_is_one_component():
    helium = Molecule((2,))
    assert components(helium, np.zeros((1, 3))) == [(0,)]
    assert gap(helium, np.zeros((1, 3))) == np.inf


# Usual lengths


def test_a_single_bond_is_as_long_as_the_radii_say():
    # Ethane, methanol, chloromethane; measured lengths in Å.
    for numbers, measured in (((6, 6), 1.535), ((6, 8), 1.43), ((6, 17), 1.78), ((6, 1), 1.09)):
        length = bond_lengths(Molecule(numbers, multiplicity=1 + sum(numbers) % 2))[0, 1]
        assert length == pytest.approx(measured, rel=0.04)


def test_relaxed_hydrogen_is_a_usual_bond():
    molecule = Molecule((1, 1))
    found = solve(minimise(molecule, np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.8]])), gfn2(molecule))
    ratio = relative_distances(molecule, found.positions)
    assert ratio[0, 1] == pytest.approx(1.0, abs=0.02)
    assert ratio[0, 0] == 0.0


def test_usual_lengths_are_symmetric_and_kept():
    molecule = Molecule((8, 1, 1))
    lengths = bond_lengths(molecule)
    np.testing.assert_array_equal(lengths, lengths.T)
    assert bond_lengths(Molecule((8, 1, 1))) is lengths
    with pytest.raises(ValueError, match="read-only"):
        lengths[0, 1] = 1.0


def test_limits_stand_in_their_order():
    ordered = [
        OVERLAP_FACTOR,
        1.0,
        STRETCHED_FACTOR,
        CLEAR_FACTOR,
        BOND_FACTOR,
        BREAKING_FACTOR,
        GONE_FACTOR,
        APART_FACTOR,
    ]
    assert all(first < second for first, second in pairwise(ordered))


def relaxed_structures():
    for known in REFERENCES.values():
        yield from ((known.molecule, end) for end in known.ends)
    for formula in ("HCN", "C2H2", "H2CO"):
        molecule = Molecule(tuple(MAPS[formula]["numbers"]))
        yield from ((molecule, np.array(point["positions"])) for point in MAPS[formula]["EQ"])


def test_in_equilibrium_structures_no_bond_is_in_doubt():
    ratios = []
    for molecule, x in relaxed_structures():
        first, second = np.triu_indices(molecule.n_atoms, 1)
        ratios.append(relative_distances(molecule, x)[first, second])
    found = np.concatenate(ratios)
    bonded = found[found < BOND_FACTOR]
    assert len(bonded) > 500
    assert bonded.max() < CLEAR_FACTOR
    assert (bonded > STRETCHED_FACTOR).mean() < 0.01
    apart = found[found >= BOND_FACTOR]
    assert apart.min() > BOND_FACTOR + 0.05
    assert (apart < GONE_FACTOR).mean() < 0.01


def test_what_reacts_in_transition_states_is_neither_a_bond_nor_apart():
    ratios = []
    for known in REFERENCES.values():
        first, second = (bonds(known.molecule, end) for end in known.ends)
        ratios.append(relative_distances(known.molecule, known.saddle)[np.triu(first ^ second)])
    found = np.concatenate(ratios)
    assert len(found) > 80
    assert (found > STRETCHED_FACTOR).mean() > 0.8
    assert (found < BREAKING_FACTOR).mean() > 0.7
    assert (found < APART_FACTOR).mean() > 0.9


# Changes


def test_bonds_count_as_changed_only_when_it_is_clear():
    carbon = Molecule((6, 6))
    pair = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    bond = carbon.radii.sum()
    assert not rebonded(carbon, pair * bond, pair * bond * 1.5)
    assert rebonded(carbon, pair * bond, pair * bond * 1.7)
    assert rebonded(carbon, pair * bond * 1.7, pair * bond)
    assert not rebonded(carbon, pair * bond * 1.3, pair * bond * 2.0)


def test_a_hydrogen_that_moves_breaks_a_bond_and_makes_one():
    molecule = Molecule((1, 6, 7))
    before = np.array([[0.0, 0.0, -1.07], [0.0, 0.0, 0.0], [0.0, 0.0, 1.15]])
    after = before.copy()
    after[0] = 0.0, 0.0, 2.15
    assert bond_changes(molecule, before, after) == (
        "H0–C1 broken (1.07 → 2.15 Å)",
        "H0–N2 made (2.22 → 1.00 Å)",
    )
    assert bonds_changed(bonds(molecule, before), bonds(molecule, after)) == 2
    assert bond_changes(molecule, before, before) == ()
    assert bonds_changed(bonds(molecule, before), bonds(molecule, before)) == 0


@pytest.mark.parametrize("stretch", [1.2, 1.29, 1.31, 1.4, 1.5, 1.59, 1.7])
def test_bonds_are_said_to_change_where_names_change(stretch):
    molecule = Molecule((6, 6))
    short, long = (
        np.array([[0.0, 0.0, 0.0], [factor * molecule.radii.sum(), 0.0, 0.0]])
        for factor in (1.0, stretch)
    )
    other = names(molecule, short) != names(molecule, long)
    assert other == (stretch > BOND_FACTOR)
    assert brief_changes(molecule, short, long) == (("-C0–C1",) if other else ())
    assert brief_changes(molecule, long, short) == (("+C0–C1",) if other else ())
    assert bool(bond_changes(molecule, short, long)) == other


def test_hydrogens_that_meet_as_h2_make_a_bond():
    # Half-way of H2CO → H2 + CO they are still 1.2 Å apart, which is no bond of theirs.
    molecule = Molecule((1, 1))
    pair = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert bond_changes(molecule, 1.2 * pair, 0.78 * pair) == ("H0–H1 made (1.20 → 0.78 Å)",)
