"""Confirmation: true transition states pass with the right ends, everything else does not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from ase.build import molecule as build
from known import BENT, PAIR, REFERENCES, SOFT, WATER, Unreliable, gfn2, mapped

from afir.errors import SurfaceError
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.pes.surface import Evaluation
from afir.searches.hessian import hessian as exact_hessian
from afir.searches.hessian import measure
from afir.searches.minimum import minimise
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, Outcome
from afir.surfaces.analytic import (
    DOUBLE_WELL_POINTS,
    MUELLER_BROWN_BENT_POINTS,
    AnalyticSurface,
    double_well,
    mueller_brown_bent,
)
from afir.units import HARTREE, KJ_PER_MOL
from afir.verification.minima import characterise
from afir.verification.transition_states import confirm, followed

WIDE = StepSettings(dissociation=50.0)


def candidate(molecule, x, surface):
    point = solve(exact_hessian(molecule, x), surface)
    return point, Candidate(x, point.energy, point.hessian, "path")


@pytest.mark.parametrize("case", ["hcn", "h2co", "h2cnh", "rx_silane", "rx_meoh"])
def test_known_transition_states_are_confirmed(case):
    known = REFERENCES[case]
    surface = gfn2(known.molecule)
    _, guess = candidate(known.molecule, known.saddle, surface)
    spent: Counter[str] = Counter()
    proof = solve(confirm(known.molecule, guess), surface, gradients=spent)
    assert proof.outcome is Outcome.CONFIRMED
    assert proof.point.order == 1
    assert proof.point.energy == pytest.approx(known.energy, abs=1e-6 * HARTREE)
    assert proof.point.wavenumbers[0] == pytest.approx(known.imaginary, abs=2.0)
    assert proof.monotone
    ends = sorted(end.energy for end in proof.ends)
    assert ends == pytest.approx(sorted(known.end_energies), abs=0.5 * KJ_PER_MOL)
    assert {"hessian", "irc", "irc ends"} <= set(spent)


def test_the_path_runs_from_one_end_over_the_top_to_the_other():
    molecule, x, _ = mapped("H2CO", "TS", 384.81)
    _, guess = candidate(molecule, x, gfn2(molecule))
    proof = solve(confirm(molecule, guess), gfn2(molecule))
    assert proof.irc_positions.shape == (len(proof.irc_energies), molecule.n_atoms, 3)
    np.testing.assert_allclose(proof.irc_positions[0], proof.ends[0].positions)
    np.testing.assert_allclose(proof.irc_positions[-1], proof.ends[1].positions)
    top = int(np.argmax(proof.irc_energies))
    assert proof.irc_energies[top] == proof.point.energy
    np.testing.assert_array_equal(proof.irc_positions[top], proof.point.positions)
    assert (np.diff(proof.irc_energies[: top + 1]) > -1e-4).all()
    assert (np.diff(proof.irc_energies[top:]) < 1e-4).all()


@pytest.mark.parametrize("label", ["A-C", "C-B"])
def test_the_saddle_points_of_mueller_and_brown_are_confirmed(label):
    points = {point.label: point for point in MUELLER_BROWN_BENT_POINTS}
    surface = mueller_brown_bent(BENT)
    _, guess = candidate(BENT, points[label].positions, surface)
    proof = solve(confirm(BENT, guess, WIDE), surface)
    assert proof.outcome is Outcome.CONFIRMED
    assert sorted(end.energy for end in proof.ends) == pytest.approx(
        sorted(points[end].energy for end in label.split("-")), abs=1e-4
    )


@pytest.mark.parametrize(
    ("formula", "relative"), [("HCN", 0.0), ("HCN", 83.77), ("H2CO", 0.0), ("H2CO", 208.64)]
)
def test_a_minimum_is_refuted(formula, relative):
    molecule, x, _ = mapped(formula, "EQ", relative)
    _, guess = candidate(molecule, x, gfn2(molecule))
    proof = solve(confirm(molecule, guess), gfn2(molecule))
    assert proof.outcome is Outcome.WRONG_ORDER
    assert proof.ends == ()
    assert not proof.monotone
    assert proof.irc_positions.shape == (0, molecule.n_atoms, 3)
    assert proof.irc_energies.shape == (0,)


def straight_water():
    """The linear form of water, a saddle point of second order by symmetry."""
    lengths = np.linspace(0.9, 1.0, 101)
    batch = np.zeros((101, 3, 3))
    batch[:, 1, 2], batch[:, 2, 2] = lengths, -lengths
    return batch[np.argmin(gfn2(WATER).evaluate(batch).energies)]


def ether():
    """Dimethyl ether at rest: the molecule and its positions."""
    atoms = build("CH3OCH3")
    molecule = Molecule(tuple(atoms.numbers))
    return molecule, solve(characterise(molecule, atoms.positions), gfn2(molecule)).positions


def eclipsed(molecule, relaxed, carbons):
    """The ether with some methyl groups turned by 180°, relaxed within its symmetry."""
    numbers = np.array(molecule.numbers)
    (oxygen,) = np.flatnonzero(numbers == 8)
    x = relaxed.copy()
    for carbon in carbons:
        near = np.linalg.norm(relaxed - relaxed[carbon], axis=1) < 1.3
        mine = np.flatnonzero(near & (numbers == 1))
        axis = relaxed[oxygen] - relaxed[carbon]
        axis = axis / np.linalg.norm(axis)
        arms = relaxed[mine] - relaxed[carbon]
        x[mine] = relaxed[carbon] + 2.0 * np.outer(arms @ axis, axis) - arms
    # A gradient cannot break a symmetry, so this ends on the top of both torsions.
    return solve(minimise(molecule, x), gfn2(molecule)).positions


def test_straight_water_is_no_transition_state():
    x = straight_water()
    point, guess = candidate(WATER, x, gfn2(WATER))
    # Bending is the same in all directions around the axis, so both modes are imaginary alike
    # and no saddle point of first order is near.
    assert point.order == 2
    assert point.wavenumbers[0] == pytest.approx(point.wavenumbers[1], abs=0.1)
    proof = solve(confirm(WATER, guess), gfn2(WATER))
    assert proof.outcome is Outcome.WRONG_ORDER
    assert proof.point.order == 2
    assert proof.ends == ()


def test_a_saddle_point_of_second_order_is_mended():
    molecule, relaxed = ether()
    surface = gfn2(molecule)
    lowest = surface.evaluate(relaxed[None]).energies[0]
    carbons = np.flatnonzero(np.array(molecule.numbers) == 6)
    # With one methyl group eclipsed the ether is at the top of one torsion, with both of two.
    single, _ = candidate(molecule, eclipsed(molecule, relaxed, carbons[:1]), surface)
    point, guess = candidate(molecule, eclipsed(molecule, relaxed, carbons), surface)
    assert (single.order, point.order) == (1, 2)
    assert lowest + 5.0 * KJ_PER_MOL < single.energy < point.energy - 5.0 * KJ_PER_MOL
    proof = solve(confirm(molecule, guess), surface)
    assert proof.outcome is Outcome.CONFIRMED
    assert proof.point.order == 1
    assert proof.point.energy == pytest.approx(single.energy, abs=0.001 * KJ_PER_MOL)
    assert proof.point.wavenumbers[0] == pytest.approx(single.wavenumbers[0], abs=1.0)
    for end in proof.ends:
        assert end.energy == pytest.approx(lowest, abs=0.001 * KJ_PER_MOL)


@pytest.mark.parametrize("seed", range(3))
def test_a_point_beside_a_transition_state_is_moved_there(seed):
    known = REFERENCES["rx_meoh"]
    rng = np.random.default_rng(seed)
    x = known.saddle + 0.03 * rng.normal(size=known.saddle.shape)
    point, guess = candidate(known.molecule, x, gfn2(known.molecule))
    # Its order is right, but it is no stationary point.
    assert point.order == 1
    assert point.gradient_max > 100.0 * StepSettings().saddle_gradient
    proof = solve(confirm(known.molecule, guess), gfn2(known.molecule))
    assert proof.outcome is Outcome.CONFIRMED
    assert proof.point.energy == pytest.approx(known.energy, abs=1e-6 * HARTREE)
    assert proof.point.gradient_max < 2.0 * StepSettings().saddle_gradient


def test_a_limit_on_softness_is_kept():
    molecule, x, _ = mapped("HCN", "TS", 306.38)
    _, guess = candidate(molecule, x, gfn2(molecule))
    proof = solve(confirm(molecule, guess, StepSettings(softest_imaginary=2000.0)), gfn2(molecule))
    assert proof.outcome is Outcome.TOO_SOFT


# Two turns of H2 about CO: its gradient is small, but the saddle point is 0.27 Å away (RMSD).
H2_BY_CO = np.array(
    [
        [1.45017, 0.56853, 0.117],
        [1.10375, 0.65096, 1.18665],
        [-1.63484, -0.30564, -0.75058],
        [-1.37292, -1.02364, -0.61098],
    ]
)


def test_on_a_flat_surface_the_saddle_point_itself_is_found():
    molecule = Molecule((6, 8, 1, 1))
    surface = gfn2(molecule)
    point, guess = candidate(molecule, H2_BY_CO, surface)
    assert point.gradient_max < StepSettings().saddle_gradient
    assert point.wavenumbers[0] < -100.0
    proof = solve(confirm(molecule, guess), surface)
    assert proof.outcome is Outcome.CONFIRMED
    again = solve(measure(molecule, proof.point.positions), surface)
    modes = np.linalg.eigh(again.point.hessian)
    amounts = modes.eigenvectors.T @ again.gradient.ravel()
    stiff = np.abs(modes.eigenvalues) > 1e-4
    newton = modes.eigenvectors[:, stiff] @ (amounts[stiff] / modes.eigenvalues[stiff])
    assert np.linalg.norm(newton) < 0.05
    assert proof.point.wavenumbers[0] == pytest.approx(-46.2, abs=3.0)


def barely(positions):
    """A double well along x with a barrier of 5e-5 eV and minima at ±0.22 Å, harmonic across."""
    q, across = positions[:, 0, 0], positions[:, 0, 1:]
    energies = -0.002 * q**2 + 0.02 * q**4 + 2.0 * (across**2).sum(axis=1)
    gradients = np.zeros_like(positions)
    gradients[:, 0, 0] = -0.004 * q + 0.08 * q**3
    gradients[:, 0, 1:] = 4.0 * across
    return energies, gradients


@pytest.mark.parametrize(("scale", "proven"), [(1.0, False), (10.0, True)])
def test_an_end_must_lie_below_the_transition_state(scale, proven):
    # Both ends are minima and the energy falls to them, but by less than energies are worth.
    molecule = Molecule((1,), charge=1)

    def scaled(positions):
        energies, gradients = barely(positions)
        return scale * energies, scale * gradients

    surface = AnalyticSurface(molecule, scaled)
    limits = StepSettings(minimum_gradient=1e-6, saddle_gradient=1e-6, softest_imaginary=1.0)
    point = solve(exact_hessian(molecule, np.zeros((1, 3))), surface)
    proof = solve(followed(molecule, point, limits), surface)
    assert [end.outcome for end in proof.ends] == [Outcome.CONVERGED] * 2
    assert proof.monotone
    for end in proof.ends:
        assert point.energy - end.energy == pytest.approx(5e-5 * scale, rel=0.05)
    assert (proof.outcome is Outcome.CONFIRMED) is proven


@dataclass(frozen=True)
class Sunk:
    """A double well, but for whoever has come far enough on a density of one stage: 1 eV lower."""

    inner: AnalyticSurface
    slid: set

    @property
    def molecule(self):
        return self.inner.molecule

    def evaluate(self, positions, owners=None):
        answer = self.inner.evaluate(positions, owners)
        energies = answer.energies.copy()
        for index, owner in enumerate(owners or [None] * len(positions)):
            energies[index] -= 1.0 if id(owner) in self.slid else 0.0
            if np.linalg.norm(positions[index][1] - positions[index][0]) > 2.2:
                self.slid.add(id(owner))
        return Evaluation(energies, answer.gradients, answer.failures)

    def for_paths(self):
        return self


def test_a_path_that_is_not_monotone_proves_nothing():
    # Both ends are minima below the top, yet one side got there by another solution of the SCF.
    top = DOUBLE_WELL_POINTS[2].positions
    point = solve(exact_hessian(PAIR, top), double_well(PAIR))
    proof = solve(followed(PAIR, point, StepSettings()), Sunk(double_well(PAIR), set()))
    assert [end.outcome for end in proof.ends] == [Outcome.CONVERGED] * 2
    assert all(end.energy < point.energy - 0.01 for end in proof.ends)
    assert not proof.monotone
    assert proof.outcome is Outcome.IRC_FAILED


@pytest.mark.parametrize("case", ["glycine", "butadiene"])
def test_the_ends_do_not_hang_on_where_the_proof_begins(case):
    molecule, x, energy = SOFT[case]
    top = solve(exact_hessian(molecule, x), gfn2(molecule))
    reached = []
    for seed in range(4):
        start = x + 0.02 * np.random.default_rng(seed).normal(size=x.shape)
        search = saddle(molecule, start, direction=top.mode, hessian=top.hessian)
        found = solve(search, gfn2(molecule))
        guess = Candidate(found.positions, found.energy, found.hessian, "path")
        proof = solve(confirm(molecule, guess), gfn2(molecule))
        assert proof.outcome is Outcome.CONFIRMED
        assert proof.point.energy == pytest.approx(energy, abs=0.001 * KJ_PER_MOL)
        reached.append(sorted(end.energy for end in proof.ends))
    np.testing.assert_allclose(reached, [reached[0]] * 4, atol=0.01 * KJ_PER_MOL)


def test_an_irc_cut_short_proves_nothing():
    limits = StepSettings(irc_steps=2)
    molecule, x, _ = mapped("HCN", "TS", 306.38)
    _, guess = candidate(molecule, x, gfn2(molecule))
    proof = solve(confirm(molecule, guess, limits), gfn2(molecule))
    assert proof.outcome is Outcome.IRC_FAILED
    assert len(proof.ends) == 2


@pytest.mark.parametrize("first", [12, 20, 30, 45])
def test_a_surface_that_fails_on_the_irc_proves_nothing(first):
    molecule, x, _ = mapped("HCN", "TS", 306.38)
    _, guess = candidate(molecule, x, gfn2(molecule))
    surface = Unreliable(gfn2(molecule), range(first, 10**6))
    proof = solve(confirm(molecule, guess), surface)
    assert proof.outcome is Outcome.IRC_FAILED


def test_without_a_hessian_there_is_no_proof():
    molecule, x, _ = mapped("HCN", "TS", 306.38)
    _, guess = candidate(molecule, x, gfn2(molecule))
    with pytest.raises(SurfaceError):
        solve(confirm(molecule, guess), Unreliable(gfn2(molecule), (3,)))


def test_the_candidate_stays_as_it_is():
    molecule, x, _ = mapped("HCN", "TS", 306.38)
    _, guess = candidate(molecule, x, gfn2(molecule))
    kept = guess.positions.copy(), guess.hessian.copy()
    solve(confirm(molecule, guess), gfn2(molecule))
    np.testing.assert_array_equal(guess.positions, kept[0])
    np.testing.assert_array_equal(guess.hessian, kept[1])
