"""Minima that a turn without a barrier connects are one structure, and others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from torsion import CHAIN, chain, minimum, torsion
from turning import BUTYNE, METHANE_AND_CO, butyne, loose

from afir.molecule import Molecule
from afir.pes.driver import Search, solve
from afir.pes.loading import load_surface
from afir.pes.surface import Checked, Surface
from afir.searches.flat import flat_turn, flat_turn_by_reference
from afir.stationary import Sameness, StationaryPoint
from afir.units import KJ_PER_MOL
from afir.verification.minima import characterise

BUTANE = Molecule.from_symbols(["C"] * 4 + ["H"] * 10)
ETHANE = Molecule.from_symbols("CCHHHHHH")


def compared(
    surface: Surface, point: StationaryPoint, known: Sequence[StationaryPoint]
) -> tuple[Sameness, int]:
    """The answer and its gradients."""
    gradients: Counter[str] = Counter()
    found = solve(flat_turn(surface.molecule, point, known), surface, gradients=gradients)
    assert set(gradients) <= {"same structure"}
    return found, gradients.total()


def relaxed(surface: Surface, start: np.ndarray) -> StationaryPoint:
    search: Search[StationaryPoint] = characterise(surface.molecule, start)
    return solve(search, surface)


@pytest.fixture(scope="module")
def butynes() -> dict[float, StationaryPoint]:
    surface = load_surface("gfn2", BUTYNE)
    return {turn: relaxed(surface, butyne(turn)) for turn in (0.0, 20.0, 40.0, 60.0)}


@pytest.mark.parametrize("turn", [20.0, 40.0, 60.0])
def test_the_methyl_groups_of_2_butyne_turn_freely(
    butynes: dict[float, StationaryPoint], turn: float
) -> None:
    surface = load_surface("gfn2", BUTYNE)
    found, gradients = compared(surface, butynes[turn], [butynes[0.0]])
    assert found.number == 0
    assert found.rise is not None
    assert found.rise < 1e-3 * KJ_PER_MOL
    assert gradients == 3


@pytest.mark.parametrize(
    ("barrier", "one"), [(0.02, True), (0.1, True), (0.4, False), (1.0, False)]
)
@pytest.mark.parametrize("fold", [2, 3])
def test_two_equal_wells_are_one_without_a_barrier_only(
    fold: int, barrier: float, one: bool
) -> None:
    """Both ends on one side, or turned by 360°/fold: never mirror images of each other."""
    found, gradients = compared(torsion(fold, barrier), minimum(360.0 / fold), [minimum(0.0)])
    assert (found.number == 0) is one
    if one:
        assert found.rise == pytest.approx(barrier * KJ_PER_MOL, rel=0.1)
    assert gradients <= 20


def test_a_narrow_barrier_between_the_points_that_are_asked_is_seen() -> None:
    """Of a sixfold one they may all lie near the minima; the slopes there tell."""
    for degrees in (60.0, 120.0, 180.0):
        found, gradients = compared(torsion(6, 1.0), minimum(degrees), [minimum(0.0)])
        assert found.number is None
        assert gradients <= 20


def test_the_nearest_of_several_is_found_and_those_it_is_not_are_passed() -> None:
    surface = torsion(2, 1.0)
    known = [minimum(180.0), minimum(5.0)]
    assert compared(surface, minimum(0.0), known)[0].number == 1
    assert compared(surface, minimum(0.0), [])[0] == Sameness(None, None)


def test_a_surface_that_fails_on_the_way_proves_nothing() -> None:
    whole = torsion(2, 0.01)

    def function(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        said = whole.evaluate(x)
        normal = np.cross(x[:, 0] - x[:, 1], x[:, 2] - x[:, 1])
        height = np.vecdot(normal, x[:, 3] - x[:, 1]) / np.linalg.norm(normal, axis=1)
        middle = np.abs(height) > 0.5
        said.energies[middle] = np.nan
        return said.energies, said.gradients

    surface = type(whole)(CHAIN, function)
    assert compared(surface, minimum(180.0), [minimum(0.0)])[0].number is None


def test_points_that_are_too_high_are_moved_aside() -> None:
    """A bond that is 0.02 Å longer halfway round: straight on it would cost 0.58 kJ/mol."""
    surface = torsion(2, 0.01, longer=0.02)
    assert surface.evaluate(chain(90.0)[None]).energies[0] > 0.55 * KJ_PER_MOL
    ends = [relaxed(surface, chain(degrees)) for degrees in (0.0, 180.0)]
    found, gradients = compared(surface, ends[1], ends[:1])
    assert found.number == 0
    assert 7 < gradients <= 20


def test_a_structure_that_lies_on_another_needs_no_way() -> None:
    """Ethane, turned by 120°: its barrier is 11 kJ/mol, but like atoms count as one."""
    surface = load_surface("gfn2", ETHANE)
    staggered, again = relaxed(surface, _ethane(60.0)), relaxed(surface, _ethane(180.0))
    assert compared(surface, staggered, [again])[0].number == 0


def test_conformers_with_a_barrier_are_two() -> None:
    """Butane: anti and gauche, 12 kJ/mol on GFN2; enantiomers (gauche both ways) are one."""
    surface = load_surface("gfn2", BUTANE)
    anti, gauche, other = (relaxed(surface, _butane(turn)) for turn in (180.0, 65.0, -65.0))
    assert compared(surface, gauche, [anti])[0].number is None
    assert compared(surface, gauche, [other])[0].number == 0


def test_a_loose_complex_is_one_structure_where_a_flat_way_leads_round() -> None:
    """Methane and CO: two minima 0.01 kJ/mol apart whose softest modes have 6 and 8 cm⁻¹."""
    surface = load_surface("gfn2", METHANE_AND_CO)
    starts = [
        loose(Rotation.from_rotvec([0.0, angle, 0.0]), np.array([0.3, 0.1, 3.7]))
        for angle in (0.2, 0.7, 1.2, 1.9, 2.6)
    ]
    found = [relaxed(surface, start) for start in starts]
    pairs = [
        (one, other)
        for number, one in enumerate(found)
        for other in found[:number]
        if abs(one.energy - other.energy) < 0.1 * KJ_PER_MOL
    ]
    assert pairs
    for one, other in pairs:
        assert compared(surface, one, [other])[0].number == 0


def test_molecules_with_a_barrier_between_two_places_stay_two() -> None:
    """Acetylene and H2: side by side and in a line, more than 3 kJ/mol on the way."""
    molecule = Molecule.from_symbols("CCHHHH")
    surface = load_surface("gfn2", molecule)
    acetylene = [[0, 0, -0.6], [0, 0, 0.6], [0, 0, -1.66], [0, 0, 1.66]]
    side = np.array([*acetylene, [2.8, 0.0, 0.0], [3.6, 0.0, 0.0]])
    line = np.array([*acetylene, [0.4, 0.0, 4.4], [-0.35, 0.0, 4.4]])
    first, second = relaxed(surface, side), relaxed(surface, line)
    assert abs(first.energy - second.energy) > 0.5 * KJ_PER_MOL
    assert compared(surface, first, [second])[0].number is None


@pytest.mark.parametrize(("barrier", "one"), [(0.1, True), (1.0, False)])
def test_a_reference_is_asked_at_three_points(barrier: float, one: bool) -> None:
    gradients: Counter[str] = Counter()
    surface = Checked(torsion(2, 0.5), torsion(2, barrier))
    search = flat_turn_by_reference(CHAIN, minimum(180.0), [minimum(0.0)])
    found = solve(search, surface, gradients=gradients)
    assert (found.number == 0) is one
    assert gradients["reference same structure"] == (3 if one else 1)
    # Nothing is asked of it where the cheap surface has a high barrier.
    gradients.clear()
    surface = Checked(torsion(2, 10.0), torsion(2, barrier))
    search = flat_turn_by_reference(CHAIN, minimum(180.0), [minimum(0.0)])
    assert solve(search, surface, gradients=gradients).number is None
    assert set(gradients) == {"same structure"}


def _ethane(turn: float) -> np.ndarray:
    atoms = [[0.0, 0.0, -0.76], [0.0, 0.0, 0.76]]
    for sign, offset in ((-1, 0.0), (1, turn)):
        for number in range(3):
            angle = np.radians(120.0 * number + offset)
            atoms.append([1.02 * np.cos(angle), 1.02 * np.sin(angle), sign * 1.16])
    return np.array(atoms)


def _butane(turn: float) -> np.ndarray:
    """Carbons from internal coordinates, hydrogens where the others leave room."""
    a = np.radians(112.0)
    c = [
        np.array([1.53 * np.cos(a), 1.53 * np.sin(a), 0.0]),
        np.zeros(3),
        np.array([1.53, 0.0, 0.0]),
    ]
    t = np.radians(turn)
    c.append(
        np.array(
            [
                1.53 - 1.53 * np.cos(a),
                1.53 * np.sin(a) * np.cos(t),
                1.53 * np.sin(a) * np.sin(t),
            ]
        )
    )
    hydrogens = []
    for middle, one, other in ((1, 0, 2), (2, 1, 3)):
        u, v = ((c[k] - c[middle]) / np.linalg.norm(c[k] - c[middle]) for k in (one, other))
        bisector = -(u + v) / np.linalg.norm(u + v)
        normal = np.cross(u, v) / np.linalg.norm(np.cross(u, v))
        hydrogens += [c[middle] + 0.63 * bisector + sign * 0.89 * normal for sign in (1, -1)]
    for end, next_, after in ((0, 1, 2), (3, 2, 1)):
        axis = (c[end] - c[next_]) / np.linalg.norm(c[end] - c[next_])
        away = c[after] - c[next_]
        away -= (away @ axis) * axis
        away /= np.linalg.norm(away)
        for angle in (180.0, 60.0, -60.0):
            arm = Rotation.from_rotvec(np.radians(angle) * axis).apply(away)
            hydrogens.append(c[end] + 0.36 * axis + 1.03 * arm)
    return np.array([*c, *hydrogens])
