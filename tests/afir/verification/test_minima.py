"""From any structure to a proven minimum."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase.build import molecule as build
from known import BENT, PAIR, WATER, Unreliable, gfn2, mapped, noise

from afir.errors import SurfaceError
from afir.geometry.superposition import superpose
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.pes.surface import Evaluation
from afir.searches.hessian import hessian as exact_hessian
from afir.searches.settings import StepSettings
from afir.surfaces.analytic import (
    DOUBLE_WELL_POINTS,
    MUELLER_BROWN_BENT_POINTS,
    AnalyticSurface,
    double_well,
    mueller_brown_bent,
)
from afir.units import HARTREE, KJ_PER_MOL
from afir.verification.minima import NotAMinimum, characterise


def found(molecule, x, settings=None, surface=None, **options):
    return solve(characterise(molecule, x, settings, **options), surface or gfn2(molecule))


def methanol(turn):
    """Methanol with its methyl group turned by an angle from the staggered form."""
    atoms = build("CH3OH")
    carbon, oxygen = (int(np.flatnonzero(atoms.numbers == z)[0]) for z in (6, 8))
    staggered = found(Molecule(tuple(atoms.numbers)), atoms.positions).positions
    atoms.positions = staggered
    mine = [i for i in range(6) if atoms.numbers[i] == 1 and atoms.get_distance(i, carbon) < 1.3]
    methyl = atoms[mine]
    methyl.rotate(turn, staggered[oxygen] - staggered[carbon], center=staggered[carbon])
    atoms.positions[mine] = methyl.positions
    return Molecule(tuple(atoms.numbers)), atoms.positions, staggered


def test_eclipsed_methanol_relaxes_to_staggered():
    molecule, eclipsed, staggered = methanol(60.0)
    spent: Counter[str] = Counter()
    point = solve(characterise(molecule, eclipsed), gfn2(molecule), gradients=spent)
    assert point.order == 0
    assert len(point.wavenumbers) == 12
    energy = found(molecule, staggered).energy
    assert point.energy == pytest.approx(energy, abs=2e-6 * HARTREE)
    assert {"minimum", "hessian"} <= set(spent)
    # It began as a saddle point, a little above.
    before = gfn2(molecule).evaluate(eclipsed[None]).energies[0]
    assert before > energy + 1.0 * KJ_PER_MOL


def test_the_top_of_a_double_well_is_left():
    point = found(PAIR, DOUBLE_WELL_POINTS[2].positions, surface=double_well(PAIR))
    assert point.order == 0
    assert point.energy == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("height", [1e-2, 1e-3, 3e-4])
def test_the_top_of_a_double_well_is_left_however_flat_it_is(height):
    inner = double_well(PAIR)

    def lower(positions):
        energies, gradients = (
            inner.evaluate(positions).energies,
            inner.evaluate(positions).gradients,
        )
        return height * energies, height * gradients

    point = found(PAIR, DOUBLE_WELL_POINTS[2].positions, surface=AnalyticSurface(PAIR, lower))
    assert point.order == 0
    # Wells at 1.5 and 2.5 Å, by construction.
    length = np.linalg.norm(point.positions[1] - point.positions[0])
    assert min(abs(length - 1.5), abs(length - 2.5)) < 0.05


@pytest.mark.parametrize("known", MUELLER_BROWN_BENT_POINTS)
def test_every_stationary_point_of_mueller_and_brown_leads_to_a_minimum(known):
    limits = StepSettings(dissociation=50.0)
    point = found(BENT, known.positions, limits, mueller_brown_bent(BENT))
    assert point.order == 0
    minima = [other.energy for other in MUELLER_BROWN_BENT_POINTS if other.order == 0]
    assert min(abs(point.energy - energy) for energy in minima) < 1e-5
    if known.order == 0:
        assert point.energy == pytest.approx(known.energy, abs=1e-5)


def test_planar_ammonia_becomes_a_pyramid():
    molecule = Molecule((7, 1, 1, 1))
    turns = 2.0 * np.pi * np.arange(3) / 3.0
    ring = 1.01 * np.stack([np.cos(turns), np.sin(turns), 0.0 * turns], axis=1)
    flat = np.concatenate([np.zeros((1, 3)), ring])
    point = found(molecule, flat)
    assert point.order == 0
    assert point.energy == pytest.approx(
        found(molecule, build("NH3").positions).energy, abs=2e-6 * HARTREE
    )


def test_straight_water_bends():
    line = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.93], [0.0, 0.0, -0.93]])
    point = found(WATER, line)
    assert point.order == 0
    assert len(point.wavenumbers) == 3


@pytest.mark.parametrize("size", [1e-4, 3e-4])
@pytest.mark.parametrize("seed", range(3))
def test_noise_does_not_keep_straight_water_from_bending(size, seed):
    class Noisy:
        molecule = WATER
        rng = np.random.default_rng(seed)

        def evaluate(self, positions, owners=None):
            said = gfn2(WATER).evaluate(positions, owners)
            noise = size * self.rng.normal(size=said.gradients.shape)
            return Evaluation(said.energies, said.gradients + noise, said.failures)

        def for_paths(self):
            return self

    line = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.93], [0.0, 0.0, -0.93]])
    assert found(WATER, line, surface=Noisy()).order == 0


@pytest.mark.parametrize("relative", [0.0, 208.64, 216.53, 667.29])
def test_minima_of_the_map_stay_what_they_are(relative):
    molecule, x, energy = mapped("H2CO", "EQ", relative)
    point = found(molecule, x + noise(x.shape, 0, 0.03))
    assert point.order == 0
    assert point.energy == pytest.approx(energy, abs=2e-6 * HARTREE)


def test_a_proven_minimum_needs_no_step_the_second_time():
    molecule, x, _ = mapped("H2CO", "EQ", 0.0)
    point = found(molecule, x)
    spent: Counter[str] = Counter()
    again = solve(
        characterise(molecule, point.positions, hessian=point.hessian),
        gfn2(molecule),
        gradients=spent,
    )
    np.testing.assert_allclose(again.positions, point.positions, atol=1e-3)
    assert spent["minimum"] <= 3


# Small, charged and open-shell


CORNERS = [[0, 0, 0], [0.6, 0.6, 0.6], [-0.6, -0.6, 0.6], [-0.6, 0.6, -0.6], [0.6, -0.6, -0.6]]
METHYL = [[0, 0, 0.1], [1.1, 0, 0], [-0.5, 0.9, 0], [-0.5, -0.9, 0]]


@pytest.mark.parametrize(
    ("symbols", "x", "state", "modes"),
    [
        ("He", [[0, 0, 0]], {}, 0),
        ("H", [[0, 0, 0]], {"multiplicity": 2}, 0),
        ("H H", [[0, 0, 0], [0, 0, 0.8]], {}, 1),
        ("O H", [[0, 0, 0], [0, 0, 1.0]], {"charge": -1}, 1),
        ("O H", [[0, 0, 0], [0, 0, 1.0]], {"multiplicity": 2}, 1),
        ("H C N", [[0, 0, -1.1], [0, 0, 0], [0, 0, 1.2]], {}, 4),
        ("O C O", [[0, 0, -1.2], [0, 0, 0], [0, 0, 1.2]], {}, 4),
        ("H C C H", [[0, 0, -1.7], [0, 0, -0.6], [0, 0, 0.6], [0, 0, 1.7]], {}, 7),
        ("C H H H", METHYL, {"multiplicity": 2}, 6),
        ("N H H H H", CORNERS, {"charge": 1}, 9),
    ],
)
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_odd_molecules(symbols, x, state, modes, seed):
    molecule = Molecule.from_symbols(symbols.split(), **state)
    x = np.array(x, dtype=float)
    if seed is not None:
        x = x + noise(x.shape, seed, 0.08)
    kept = x.copy()
    point = found(molecule, x)
    np.testing.assert_array_equal(x, kept)
    assert point.order == 0
    assert (np.abs(point.wavenumbers) > 100.0).sum() == modes
    if molecule.n_atoms > 1:
        assert len(point.wavenumbers) == modes


# No minimum


def test_fragments_that_leave_have_no_minimum():
    hydroxides = Molecule((8, 1, 8, 1), charge=-2)
    x = np.array([[0.0, 0.0, 0.0], [-0.9, 0.3, 0.0], [2.6, 0.0, 0.0], [3.5, 0.3, 0.0]])
    with pytest.raises(NotAMinimum, match="no minimum nearby"):
        found(hydroxides, x)


def test_too_few_steps_prove_nothing():
    molecule, x, _ = mapped("H2CO", "EQ", 0.0)
    with pytest.raises(NotAMinimum, match="no minimum nearby"):
        found(molecule, x + noise(x.shape, 0, 0.2), StepSettings(minimum_steps=2))


@pytest.mark.parametrize("first", [0, 1, 4, 8])
def test_a_surface_that_fails_for_good_raises(first):
    molecule, x, _ = mapped("H2CO", "EQ", 0.0)
    surface = Unreliable(gfn2(molecule), range(first, 10**6))
    with pytest.raises(SurfaceError):
        found(molecule, x + noise(x.shape, 0), surface=surface)


def test_the_proof_is_the_exact_hessian():
    molecule, x, _ = mapped("H2CO", "EQ", 0.0)
    point = found(molecule, x)
    again = solve(exact_hessian(molecule, point.positions), gfn2(molecule))
    assert point.wavenumbers == pytest.approx(again.wavenumbers, abs=0.5)


def test_a_flat_slope_is_no_minimum():
    # Two molecules side by side: the gradient is tiny long before they lie as they like.
    molecule, x, _ = mapped("H2CO", "EQ", 179.65)
    for seed in range(4):
        start = x + noise(x.shape, seed, 0.25)
        try:
            point = found(molecule, start)
        except NotAMinimum:
            continue
        tight = found(molecule, point.positions, StepSettings(minimum_gradient=2e-5))
        assert tight.energy == pytest.approx(point.energy, abs=1e-2 * KJ_PER_MOL)
        assert np.abs(superpose(point.positions, tight.positions) - point.positions).max() < 0.1
