"""Saddle searches that begin at a minimum: they reach what no push reaches."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase.build import molecule as build
from known import BENT, Unreliable, gfn2, mapped
from offered import climbed, inverted, kicked

from afir.errors import SurfaceError
from afir.geometry.bonds import components, distances
from afir.methods.arrangements import apart, arrangement
from afir.methods.base import Offer, load_method, method_names, searched_with
from afir.methods.inversions import inversions
from afir.methods.mode_following import UPHILL, Climb, climbs, motion
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.searches.hessian import hessian
from afir.searches.known import KnownStructures
from afir.searches.settings import StepSettings
from afir.stationary import Outcome
from afir.surfaces.analytic import (
    MUELLER_BROWN_BENT_POINTS,
    AnalyticSurface,
    mueller_brown_bent,
)
from afir.units import KJ_PER_MOL
from afir.verification.minima import characterise
from afir.verification.transition_states import confirm

RNG = np.random.default_rng
# Å, to be relaxed: H-O-C-F, S-SH2 and H-N-O-O.
HOCF = [[-1.16, -0.75, -0.32], [0.44, -0.14, 0.46], [-0.53, -0.02, -0.41], [1.24, 0.91, 0.27]]
SSH2 = [[0.26, -1.23, 0.19], [0.58, 0.15, -1.12], [-0.36, 1.2, 1.17], [-0.47, -0.12, -0.24]]
HNOO = [[1.36, 0.44, 0.07], [0.46, 0.34, -0.42], [-0.32, -0.27, 0.36], [-1.5, -0.51, -0.01]]


def relaxed(name):
    atoms = build(name)
    molecule = Molecule(tuple(atoms.numbers))
    return molecule, solve(characterise(molecule, atoms.positions), gfn2(molecule))


def mapped_point(formula, relative):
    molecule, x, _ = mapped(formula, "EQ", relative)
    return molecule, solve(hessian(molecule, x), gfn2(molecule))


def searched(molecule, start, offer: Offer, *, ceiling=None, seed=0):
    """The search of an offer."""
    return load_method(offer.method).search(
        molecule, start, offer.data, StepSettings(), ceiling=ceiling, rng=RNG(seed)
    )


def test_symmetry_leaves_out_one_direction_of_a_mode():
    # Formaldehyde: out of the plane and the two asymmetric modes in it are the same either way,
    # the three symmetric ones are not.
    molecule, point = mapped_point("H2CO", 0.0)
    listed = climbs(molecule, point, 100)
    both = {climb.mode for climb in listed if climb.sign < 0}
    assert [climb.mode for climb in listed if climb.sign > 0] == list(range(6))
    assert len(both) == 3
    for mode in range(6):
        move = motion(molecule, point, Climb(mode, 1))
        # The distances from the hydrogen atoms, which come first, whichever of them it is.
        ends = [point.positions + sign * 0.1 * move for sign in (1, -1)]
        first, second = (np.sort(distances(x)[:2, 2:], axis=0) for x in ends)
        assert (mode in both) is bool(np.abs(first - second).max() > 5e-3)


def test_the_direction_of_a_mode_does_not_hang_on_the_sign_of_an_eigenvector():
    molecule, point = mapped_point("H2CO", 208.64)
    for mode in range(6):
        there, back = (motion(molecule, point, Climb(mode, sign)) for sign in (1, -1))
        np.testing.assert_array_equal(there, -back)
        assert np.linalg.norm(there) == pytest.approx(1.0)
        assert there.ravel()[np.argmax(np.abs(there))] > 0.0


def springs(molecule, rest):
    """Springs between all atoms, 1 eV/Å² each: one minimum, and uphill from there for ever."""
    first, second = np.triu_indices(molecule.n_atoms, 1)
    lengths = np.linalg.norm(rest[first] - rest[second], axis=1)

    def function(x):
        arms = x[:, first] - x[:, second]
        now = np.linalg.norm(arms, axis=2)
        pulls = ((now - lengths) / now)[..., None] * arms
        gradients = np.zeros_like(x)
        for pair, (i, j) in enumerate(zip(first, second, strict=True)):
            gradients[:, i] += pulls[:, pair]
            gradients[:, j] -= pulls[:, pair]
        return 0.5 * ((now - lengths) ** 2).sum(axis=1), gradients

    return AnalyticSurface(molecule, function)


def test_a_climb_ends_after_seventy_gradients():
    # Nothing is found up there, and the hundred steps of other saddle searches would be spent.
    molecule = Molecule((8, 6, 1), multiplicity=2)
    rest = np.array([[0.0, 0.0, 0.0], [1.4, 0.0, 0.0], [0.3, 1.2, 0.0]])
    surface = springs(molecule, rest)
    start = solve(characterise(molecule, rest), surface)
    spent: Counter[str] = Counter()
    search = searched(molecule, start, climbed(0, 1))
    found = solve(search, surface, gradients=spent)
    assert found.outcome is Outcome.NO_SADDLE
    assert sum(spent.values()) == 70


@pytest.mark.slow
def test_climbing_finds_the_second_way_between_the_hydroxymethylenes():
    # The path over 386.0 kJ/mol is an inversion that no push describes.
    molecule, point = mapped_point("H2CO", 208.64)
    _, lowest = mapped_point("H2CO", 0.0)
    reached = set()
    for climb in climbs(molecule, point, 6):
        found = solve(searched(molecule, point, climbed(*climb)), gfn2(molecule))
        reached |= {round((c.energy - lowest.energy) / KJ_PER_MOL) for c in found.candidates}
    assert {325, 386} <= reached


def test_climbing_the_softest_mode_of_hydrogen_peroxide_turns_it():
    # Both ways lead over the planar form; they are mirror images, so one of them is listed.
    molecule, point = relaxed("H2O2")
    assert [climb for climb in climbs(molecule, point, 6) if climb.mode == 0] == [Climb(0, 1)]
    for direction in (1, -1):
        found = solve(searched(molecule, point, climbed(0, direction)), gfn2(molecule))
        top = solve(hessian(molecule, found.candidates[0].positions), gfn2(molecule))
        assert top.order == 1
        x = top.positions - top.positions.mean(axis=0)
        assert np.linalg.svd(x, compute_uv=False)[2] < 0.01
        assert (top.energy - point.energy) / KJ_PER_MOL == pytest.approx(35.34, abs=0.05)


def test_the_saddle_points_of_mueller_and_brown_are_climbed_to():
    points = {point.label: point for point in MUELLER_BROWN_BENT_POINTS}
    surface = mueller_brown_bent(BENT)
    start = solve(hessian(BENT, points["C"].positions), surface)
    energies = [
        candidate.energy
        for climb in climbs(BENT, start, 2)
        for candidate in solve(searched(BENT, start, climbed(*climb), seed=1), surface).candidates
    ]
    for label in ("A-C", "C-B"):
        assert min(abs(energy - points[label].energy) for energy in energies) < 1e-4


def test_random_geometries_hold_together_and_let_no_atoms_clash():
    # In turn: displaced by 0.6 Å, arranged anew, one hydrogen moved, arranged anew.
    molecule, point = relaxed("CH3CHO")
    seen = []
    for number in range(40):
        search = searched(molecule, point, kicked(number), seed=number)
        x = next(search).positions[0]
        search.close()
        moved = np.linalg.norm(x - point.positions, axis=1)
        seen.append(np.sqrt((moved**2).mean()))
        nearest = distances(x) / (molecule.radii[:, None] + molecule.radii[None])
        np.fill_diagonal(nearest, np.inf)
        assert nearest.min() > (0.55 if number % 2 == 0 else 0.75)
        if number % 4 == 2:
            (atom,) = np.flatnonzero(moved)
            assert molecule.numbers[atom] == 1
            assert 1.0 < nearest[atom].min() < 2.2
        if number % 2:
            assert len(components(molecule, x, 1.51)) == 1
    assert np.mean(seen[::4]) == pytest.approx(0.6, abs=0.1)
    assert np.mean(seen[1::2]) > 1.2


def test_arrangements_of_many_atoms_hang_together():
    molecule = Molecule((6,) * 20 + (1,) * 42)
    for seed in range(5):
        x = arrangement(molecule, RNG(seed))
        assert apart(molecule, x, 0.749)
        assert len(components(molecule, x, 1.51)) == 1


def test_an_arrangement_that_falls_apart_is_no_channel():
    molecule, point = mapped_point("H2CO", 0.0)
    for number in range(3, 4 * 30, 4):
        search = searched(molecule, point, kicked(number), seed=number)
        for end in solve(search, gfn2(molecule)).minima:
            assert end.outcome is Outcome.CONVERGED
            assert not end.dissociated


def test_random_arrangements_relax_to_the_isomers():
    # Hydroxymethylene, cis and trans, beyond barriers of more than 300 kJ/mol.
    molecule, point = mapped_point("H2CO", 0.0)
    reached = set()
    for number in range(3, 4 * 25, 4):
        search = searched(molecule, point, kicked(number), seed=number)
        found = solve(search, gfn2(molecule))
        assert found.outcome is Outcome.RELAXED
        assert found.candidates == ()
        reached |= {round((end.energy - point.energy) / KJ_PER_MOL, 1) for end in found.minima}
    assert {0.0, 208.6, 216.5} <= reached


@pytest.mark.parametrize(
    ("name", "atoms"),
    [
        ("NH3", [0]),  # a pyramid
        ("H2O", [0]),  # bent
        ("H2O2", [0]),  # two equivalent bends, one of which is enough
        ("CO2", []),  # in line already
        ("C2H4", []),  # flat already
        ("CH4", []),  # four neighbours
        ("C3H4_C3v", []),  # propyne: in line, or four neighbours
        ("CH3NO2", []),  # flat
        ("C3H6_D3h", []),  # rings
        ("CH2NHCH2", [1]),  # aziridine: a pyramid in a ring
        ("CH3CHO", []),
    ],
)
def test_atoms_invert_that_are_bent_or_pyramidal(name, atoms):
    atoms_of = build(name)
    molecule = Molecule(tuple(atoms_of.numbers))
    assert inversions(molecule, atoms_of.positions) == atoms


def test_neighbours_in_line_or_in_a_cage_leave_no_room_to_invert():
    # Three neighbours in line have no plane, exactly or nearly.
    line = np.array([[-1.4, 0.0, 0.0], [0.0, 0.0, 0.0], [1.4, 0.0, 0.0], [0.0, 1.7, 0.0]])
    silicon = Molecule((6, 6, 6, 14))
    for bend in (0.0, 1e-4, 1e-2):
        line[1, 1] = bend
        assert all(atom != 3 for atom in inversions(silicon, line))
    cage = 0.78 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float)
    assert inversions(Molecule((15,) * 4), cage) == []


def test_any_of_the_equivalent_atoms_may_be_the_target_of_an_inversion():
    atoms = build("H2O2")
    molecule = Molecule(tuple(atoms.numbers))
    assert inversions(molecule, atoms.positions, [1, 2]) == [1]
    assert inversions(molecule, atoms.positions, [0, 1]) == [0]
    assert inversions(molecule, atoms.positions, [2, 3]) == []


def test_an_atom_of_a_ring_has_no_room_to_invert():
    atoms = build("CH2OCH2")
    assert inversions(Molecule(tuple(atoms.numbers)), atoms.positions) == []
    atoms = build("C2H6NH")  # dimethylamine: a pyramid of two chains
    listed = inversions(Molecule(tuple(atoms.numbers)), atoms.positions)
    assert [atoms.numbers[atom] for atom in listed] == [7]


@pytest.mark.parametrize(
    ("numbers", "rough", "element", "barrier"),
    [
        ((1, 6, 8, 9), HOCF, 6, 284.5),  # in the plane
        ((1, 1, 16, 16), SSH2, 16, 139.5),  # a pyramid
        ((1, 7, 8, 8), HNOO, 8, 194.2),  # the oxygen in the middle, in the plane
    ],
)
def test_inverting_finds_what_neither_pushes_nor_modes_do(numbers, rough, element, barrier):
    molecule = Molecule(numbers)
    surface = gfn2(molecule)
    point = solve(characterise(molecule, np.array(rough)), surface)
    found = [
        solve(searched(molecule, point, inverted(atom)), surface).candidates
        for atom in inversions(molecule, point.positions)
        if molecule.numbers[atom] == element
    ]
    ((candidate,),) = found
    assert (candidate.energy - point.energy) / KJ_PER_MOL == pytest.approx(barrier, abs=0.3)
    proven = solve(confirm(molecule, candidate), surface)
    assert proven.outcome is Outcome.CONFIRMED


def test_a_candidate_above_the_ceiling_is_left_alone():
    molecule, point = relaxed("H2O2")
    found = solve(
        searched(molecule, point, climbed(0, 1), ceiling=point.energy + 0.01),
        gfn2(molecule),
    )
    assert found.outcome is Outcome.OUTSIDE_WINDOW
    assert found.candidates == ()


@pytest.mark.parametrize("offer", [climbed(0, 1), inverted(0), kicked(0), kicked(1), kicked(3)])
def test_a_surface_that_fails_at_once_is_no_missing_saddle_point(offer):
    # Else a surface that has died would use up what is tried on it.
    molecule, point = relaxed("H2O2")
    surface = Unreliable(gfn2(molecule), range(10**6))
    with pytest.raises(SurfaceError):
        solve(searched(molecule, point, offer), surface)


def test_two_atoms_have_nothing_to_climb():
    molecule, point = relaxed("H2")
    assert climbs(molecule, point, 10) == []


def test_the_start_of_a_climb_is_as_far_as_it_says():
    molecule, point = relaxed("H2O2")
    search = searched(molecule, point, climbed(2, 1))
    first = next(search).positions[0]
    assert np.linalg.norm(first - point.positions) == pytest.approx(UPHILL)
    search.close()


class _Own:
    """A method that takes the known structures, or does not."""

    def offers(self, known, rng):
        return ()

    def search(self, molecule, start, data, step, *, ceiling, rng, known=None):
        return known


class _Older(_Own):
    def search(self, molecule, start, data, step, *, ceiling, rng):
        return None


def test_a_method_is_given_known_structures_if_it_takes_them():
    known = KnownStructures(Molecule((1, 1)))
    assert searched_with(_Own(), known) == {"known": known}
    assert searched_with(_Own(), None) == {"known": None}
    assert searched_with(_Older(), known) == {}
    for name in method_names():
        assert searched_with(load_method(name), known) == {"known": known}
