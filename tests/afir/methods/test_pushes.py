"""What to push: reference fragments, completeness on small molecules, symmetry, placement."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule as build
from ase.io import read
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from afir.errors import InputError
from afir.geometry.bonds import CLEAR_FACTOR, bonds, distances
from afir.methods.pushes import grown_fragments, pushes
from afir.molecule import Molecule

DATA = Path(__file__).parents[2] / "data"


def example(name):
    atoms = build(name)
    return Molecule(tuple(atoms.numbers)), atoms.positions


def texts(listed):
    return [" ".join(map(str, push)) for push in listed]


def choose(molecule, positions, **options):
    return pushes(molecule, positions, rng=np.random.default_rng(0), **options)


def brought_closer(x, pair, fraction):
    """Shorten one distance; the other atoms keep all distances as well as they can."""
    wanted = distances(x)
    fixed = np.zeros(len(x), dtype=bool)
    fixed[list(pair)] = True
    middle = x[fixed].mean(axis=0)
    start = np.where(fixed[:, None], middle + fraction * (x - middle), x)

    def stress(flat):
        y = np.where(fixed[:, None], start, flat.reshape(-1, 3))
        r = distances(y) + np.eye(len(y))
        error = r - wanted - np.eye(len(y))
        slope = 4 * np.einsum("ij,ijk->ik", error / r, y[:, None] - y[None])
        return (error**2).sum(), np.where(fixed[:, None], 0.0, slope).ravel()

    return minimize(stress, start.ravel(), jac=True, tol=1e-10).x.reshape(-1, 3)


def test_fragments_of_the_claisen_rearrangement():
    """Reference fragments {4, 13} | {5, 7}, with radii of zero for hydrogen."""
    atoms = read(DATA / "allyl_vinyl_ether.xyz")
    molecule = Molecule(tuple(atoms.numbers))
    radii = np.where(atoms.numbers == 1, 0.0, molecule.radii)
    # At rest both CH2 groups move as a whole.
    bonded = bonds(molecule, atoms.positions, CLEAR_FACTOR)
    assert grown_fragments(atoms.positions, radii, bonded, 4, 5) == ((4, 12, 13), (5, 7, 8))
    # The reference has the pair brought 20 % closer, where the inner hydrogens lag behind.
    closer = brought_closer(atoms.positions, (4, 5), 0.8)
    bonded = bonds(molecule, closer, CLEAR_FACTOR)
    assert grown_fragments(closer, radii, bonded, 4, 5) == ((4, 13), (5, 7))


def test_grown_atoms_feel_less_than_the_pair():
    molecule, x = example("CH3CH2OCH3")
    bonded = bonds(molecule, x, CLEAR_FACTOR)
    r = distances(x)
    np.fill_diagonal(r, np.inf)
    weights = ((molecule.radii[:, None] + molecule.radii[None]) / r) ** 6
    for m, n in combinations(range(molecule.n_atoms), 2):
        if bonded[m, n]:
            continue
        a, b = grown_fragments(x, molecule.radii, bonded, m, n)
        assert m in a
        assert n in b
        assert weights[np.ix_(a, b)].max() == pytest.approx(weights[m, n], rel=0.01)


def test_fragments_reach_two_bonds_far():
    # Two chains of five carbons, end to end: all others are farther apart than the pair.
    molecule = Molecule((6,) * 10)
    x = np.zeros((10, 3))
    x[:, 0] = [*np.arange(0.0, 7.0, 1.5), *np.arange(9.0, 16.0, 1.5)]
    bonded = bonds(molecule, x, CLEAR_FACTOR)
    assert bonded.sum() == 2 * 8
    assert grown_fragments(x, molecule.radii, bonded, 4, 5) == ((2, 3, 4), (5, 6, 7))


@pytest.mark.parametrize(("nearer", "together"), [(0.0, True), (0.0005, True), (0.004, False)])
def test_distances_that_symmetry_makes_equal_are_so_in_spite_of_noise(nearer, together):
    # O–O pushed on a third oxygen that is as far from both, to within so much of it.
    molecule = Molecule((8, 8, 8))
    half, r = 0.6, 3.0
    middle = np.sqrt(r**2 - half**2)
    x = np.array([[half, 0.0, 0.0], [-half, 0.0, 0.0], [0.0, middle, 0.0]])
    x[1] = x[2] + (x[1] - x[2]) * (1.0 - nearer)
    bonded = bonds(molecule, x)
    assert bonded[0, 1]
    assert grown_fragments(x, molecule.radii, bonded, 0, 2)[0] == ((0, 1) if together else (0,))


@pytest.mark.parametrize(("ratio", "pushed"), [(4.9, True), (5.1, False)])
def test_atoms_are_pushed_up_to_five_times_as_far_apart_as_if_they_were_bonded(ratio, pushed):
    molecule = Molecule((10, 18))
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, ratio * molecule.radii.sum()]])
    assert texts(choose(molecule, x)) == (["+0|1"] if pushed else [])


def test_formaldehyde_lists_what_a_chemist_would():
    molecule, x = example("H2CO")  # O, C, H, H
    assert texts(choose(molecule, x)) == [
        "+0|2",
        "+2|3",
        "-1|3",
        "-0|1",
        "+0|2 -0,2|1",
        "+2|3 -2,3|1",  # H2 + CO
        "+2|0 -2|1",  # HCOH
        "+0|2 -1|3",
        "+2|3 -0|1",
    ]
    assert choose(molecule, x, terms=1) == choose(molecule, x)[:4]


def test_benzene_pushes_six_kinds_of_pair_and_breaks_two_kinds_of_bond():
    molecule, x = example("C6H6")
    kinds = [
        (t.direction, molecule.symbols[t.a[0]] + molecule.symbols[t.b[0]])
        for (t,) in choose(molecule, x, terms=1)
    ]
    # Meta and para C…C; ortho, meta and para C…H; H…H only ortho, the others out of reach.
    pushed = [(1, "CC")] * 2 + [(1, "CH")] * 3 + [(1, "HH")]
    assert sorted(kinds) == sorted([*pushed, (-1, "CC"), (-1, "CH")])


def test_pairs_of_terms_share_no_atom_unless_they_eliminate_or_transfer():
    molecule, x = example("CH3CHO")
    centres = 0
    for push in choose(molecule, x, cap=10_000):
        if len(push) == 2 and len(push[1].a) == 2 and push[1].direction < 0:
            (centre,) = push[1].b
            m, n = push[1].a
            assert push[0].direction == 1
            assert {m, n} <= {*push[0].a, *push[0].b}
            assert bonds(molecule, x, CLEAR_FACTOR)[centre, [m, n]].all()
            centres += 1
    assert centres >= 5


def test_symmetry_leaves_out_equivalent_terms_only():
    molecule, x = example("C2H4")
    exact = choose(molecule, x, cap=10_000)
    bent = x + np.random.default_rng(2).uniform(-0.1, 0.1, x.shape)
    general = choose(molecule, bent, cap=10_000)
    # D2h acts on the six atoms as a group of four: the orbits have one, two or four members.
    assert len(general) / 4 < len(exact) < len(general) / 2
    assert len(set(texts(exact))) == len(exact)
    # A structure that a minimiser has left is symmetric enough.
    relaxed = x + np.random.default_rng(2).uniform(-0.01, 0.01, x.shape)
    assert len(choose(molecule, relaxed, cap=10_000)) == len(exact)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), name=st.sampled_from(["H2CO", "C2H4", "CH3CHO", "C2H2"]))
def test_number_of_pushes_is_invariant(seed, name):
    molecule, x = example(name)
    rng = np.random.default_rng(seed)
    order = rng.permutation(molecule.n_atoms)
    other = Molecule(tuple(np.array(molecule.numbers)[order]))
    turned = Rotation.from_quat(np.random.default_rng(seed).normal(size=4)).apply(
        x[order]
    ) + rng.normal(size=3)
    kinds = [
        sorted([(t.direction, sorted((len(t.a), len(t.b)))) for t in push] for push in found)
        for found in (choose(molecule, x, cap=10_000), choose(other, turned, cap=10_000))
    ]
    assert kinds[0] == kinds[1]


def test_targets_are_in_every_term():
    molecule, x = example("CH3CH2OCH3")
    oxygen = molecule.symbols.index("O")
    for push in choose(molecule, x, targets=[oxygen], terms=1):
        assert oxygen in push[0].a + push[0].b
    some = choose(molecule, x, targets=[oxygen], terms=1)
    assert len(some) < len(choose(molecule, x, terms=1))


def test_several_targets_are_pushed_and_pulled_among_themselves():
    # A chemist names the atoms that react: what they do with all others is left alone.
    molecule, x = example("CH3CH2OCH3")
    heavy = [index for index, number in enumerate(molecule.numbers) if number > 1]
    listed = choose(molecule, x, targets=heavy)
    singles = [push for push in listed if len(push) == 1]
    pulled = {(*term.a, *term.b) for (term,) in singles if term.direction < 0}
    assert len(pulled) == 3
    assert all(set(pair) <= set(heavy) for pair in pulled)
    assert len(singles) == 6  # every pair of the four
    # Named atoms go without their neighbours.
    assert all(len(term.a) == len(term.b) == 1 for (term,) in singles)
    assert singles == choose(molecule, x, targets=heavy, terms=1)
    for push in filter(is_transfer, listed):
        atoms = {*push[0].a, *push[0].b, *push[1].b}
        assert len(atoms & set(heavy)) >= 2


def is_transfer(push):
    """Whether one atom is pushed to another and pulled off a third."""
    if len(push) != 2:
        return False
    to, off = push
    alone = all(len(side) == 1 for term in push for side in (term.a, term.b))
    return alone and (to.direction, off.direction) == (1, -1) and to.a == off.a


def test_hydrogen_peroxide_is_pushed_to_shift_a_hydrogen():
    # H2O–O is reached by one push only that also pulls the hydrogen off its oxygen.
    molecule, x = example("H2O2")
    transfers = [push for push in choose(molecule, x) if is_transfer(push)]
    moved = [(molecule.symbols[to.a[0]], molecule.symbols[to.b[0]]) for to, _ in transfers]
    assert ("H", "O") in moved
    for to, off in transfers:
        # From a neighbour to an atom that is none, and never to a hydrogen.
        assert bonds(molecule, x)[to.a[0], off.b[0]]
        assert not bonds(molecule, x)[to.a[0], to.b[0]]
        assert molecule.symbols[to.b[0]] != "H"
    assert not any(is_transfer(push) for push in choose(molecule, x, terms=1))


def test_cap_is_kept_and_seeded():
    molecule, x = example("CH3CH2OCH3")
    singles = choose(molecule, x, terms=1)
    everything = choose(molecule, x, cap=100_000)
    assert choose(molecule, x, cap=0) == singles
    for cap in (5, 60):
        first = pushes(molecule, x, cap=cap, rng=np.random.default_rng(1))
        again = pushes(molecule, x, cap=cap, rng=np.random.default_rng(1))
        other = pushes(molecule, x, cap=cap, rng=np.random.default_rng(2))
        assert first == again
        assert first != other
        transfers = [push for push in first if is_transfer(push)]
        assert len(transfers) == min(cap // 2, len(list(filter(is_transfer, everything))))
        assert len(first) == len(singles) + cap + len(transfers)
        assert first[: len(singles)] == singles
    assert len(everything) > len(singles) + 60
    assert everything == pushes(molecule, x, cap=100_000, rng=np.random.default_rng(9))


def test_a_push_and_a_pull_that_share_no_atom_can_be_left_out():
    molecule, x = example("H2O2")
    everything, alike = choose(molecule, x), choose(molecule, x, unlike=False)
    left_out = [push for push in everything if push not in alike]
    assert left_out
    for to, off in left_out:
        assert {to.direction, off.direction} == {1, -1}
    # Two pulls, eliminations and transfers stay.
    assert [push for push in everything if push in alike] == alike
    assert {tuple(term.direction for term in push) for push in alike} >= {(-1, -1), (1, -1)}
    assert list(filter(is_transfer, alike)) == list(filter(is_transfer, everything))


def test_misuse_is_explained():
    molecule, x = example("H2CO")
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="`terms` must be 1 or 2, got 3"):
        pushes(molecule, x, terms=3, rng=rng)
    with pytest.raises(InputError, match="`cap` must be 0 or more, got -1"):
        pushes(molecule, x, cap=-1, rng=rng)
    for targets in ([], [4], [-1]):
        with pytest.raises(InputError, match="`targets` must name atoms from 0 to 3"):
            choose(molecule, x, targets=targets)


def test_hydrogen_cyanide_is_pushed_once_and_pulled_twice():
    molecule, x = example("HCN")  # C, N, H
    assert texts(choose(molecule, x, terms=1)) == ["+1|2", "-0|2", "-0|1"]
