"""Model Hessians: what is known of a molecule before its first gradient."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from ase.build import molecule as build
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from known import REFERENCES, gfn2
from scipy.spatial.transform import Rotation

from afir.geometry.bonds import bonds
from afir.geometry.superposition import rigid_motions
from afir.hessians.model import bond_tension, loosened, model_hessian, reacting_part
from afir.hessians.modes import vibrations
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.searches.hessian import hessian as exact_hessian
from afir.searches.minimum import minimise
from afir.verification.minima import characterise

SEEDS = st.integers(0, 2**32 - 1)
NAMES = ["H2O", "CH4", "C2H2", "HCN", "CO2", "H2CO", "CH3CHO", "SiH4", "C6H6", "H2"]


def example(name):
    atoms = build(name)
    return Molecule(tuple(atoms.numbers)), atoms.positions


# The model Hessian


@pytest.mark.parametrize("name", NAMES)
def test_the_model_has_no_negative_curvature_and_resists_no_rigid_motion(name):
    molecule, x = example(name)
    hessian = model_hessian(molecule, x)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
    assert np.linalg.eigvalsh(hessian)[0] > -1e-9
    np.testing.assert_allclose(hessian @ rigid_motions(x), 0.0, atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(NAMES), SEEDS)
def test_the_model_turns_with_the_molecule(name, seed):
    rng = np.random.default_rng(seed)
    molecule, x = example(name)
    turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    full = np.kron(np.eye(len(x)), turn)
    # A linear angle bends in two directions whose choice is free but whose sum is not.
    np.testing.assert_allclose(
        model_hessian(molecule, x @ turn.T + rng.normal(size=3)),
        full @ model_hessian(molecule, x) @ full.T,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", ["H2O", "NH3", "CH4", "SiH4"])
def test_the_model_knows_stretches_and_bends_within_a_factor_of_three(name):
    molecule, x = example(name)
    exact = solve(characterise(molecule, x), gfn2(molecule))
    truth = vibrations(exact.hessian, exact.positions)[0]
    guess = vibrations(model_hessian(molecule, exact.positions), exact.positions)[0]
    assert len(truth) == len(guess)
    assert (guess / truth < 3.0).all()
    assert (guess / truth > 1.0 / 3.0).all()


def star(centre, ends, length, angle=180.0):
    """A molecule of a centre and up to four ends, all as far from it; two enclose an angle."""
    if len(ends) == 1:
        arms = np.array([[0.0, 0.0, 1.0]])
    elif len(ends) == 2:
        half = np.radians(angle) / 2.0
        arms = np.array([[np.sin(half), np.cos(half), 0.0], [-np.sin(half), np.cos(half), 0.0]])
    else:
        arms = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])[: len(ends)] / 3**0.5
    lengths = np.broadcast_to(length, len(ends))[:, None]
    return Molecule.from_symbols([centre, *ends]), np.concatenate(
        [np.zeros((1, 3)), lengths * arms]
    )


# The first bond of each is looked at. Beyond the third row Lindh's model has no parameters, and
# those of the third row would make I2 sixteen times too soft.
HEAVY = {
    "Br2": star("Br", ["Br"], 2.28),
    "I2": star("I", ["I"], 2.66),
    "ICl": star("I", ["Cl"], 2.31),
    "HBr": star("Br", ["H"], 1.40),
    "HI": star("I", ["H"], 1.57),
    "As2": star("As", ["As"], 2.09),
    "CH3Br": star("C", ["Br", "H", "H", "H"], [1.94, 1.08, 1.08, 1.08]),
    "CH3I": star("C", ["I", "H", "H", "H"], [2.14, 1.08, 1.08, 1.08]),
    "CBr4": star("C", ["Br"] * 4, 1.94),
    "GeH4": star("Ge", ["H"] * 4, 1.48),
    "SnH4": star("Sn", ["H"] * 4, 1.64),
    "AsH3": star("As", ["H"] * 3, 1.50),
    "H2Se": star("Se", ["H"] * 2, 1.44, 92.0),
    "H2Te": star("Te", ["H"] * 2, 1.64, 91.0),
    "SeO2": star("Se", ["O"] * 2, 1.57, 114.0),
    "ZnH2": star("Zn", ["H"] * 2, 1.50, 175.0),
    "ZnCl2": star("Zn", ["Cl"] * 2, 2.12, 175.0),
    "CuCl": star("Cu", ["Cl"], 2.05),
    "TiCl4": star("Ti", ["Cl"] * 4, 2.11),
}
BENT = ("CH3Br", "CH3I", "CBr4", "GeH4", "AsH3", "H2Se", "H2Te", "SeO2")


def stretch(hessian, x):
    """The force constant in eV/Å² between the first two atoms along their bond.

    Bends of angles move the first atom across the bond, so that they have no part in it.
    """
    along = (x[1] - x[0]) / np.linalg.norm(x[1] - x[0])
    return -along @ hessian[:3, 3:6] @ along


@cache
def relaxed(name):
    molecule, x = HEAVY[name]
    found = solve(minimise(molecule, x), gfn2(molecule))
    return molecule, solve(exact_hessian(molecule, found.positions), gfn2(molecule))


@pytest.mark.parametrize("name", HEAVY)
def test_the_model_knows_stretches_of_every_row_within_a_factor_of_three(name):
    molecule, exact = relaxed(name)
    truth = stretch(exact.hessian, exact.positions)
    guess = stretch(model_hessian(molecule, exact.positions), exact.positions)
    assert 1.0 / 3.0 < guess / truth < 3.0


@pytest.mark.parametrize("name", BENT)
def test_the_model_knows_bends_at_heavy_atoms_too(name):
    molecule, exact = relaxed(name)
    truth = vibrations(exact.hessian, exact.positions)[0]
    guess = vibrations(model_hessian(molecule, exact.positions), exact.positions)[0]
    assert (guess / truth < 3.0).all()
    assert (guess / truth > 1.0 / 3.0).all()


def test_relaxed_hydrogen_is_a_spring_and_no_reaction():
    molecule = Molecule((1, 1))
    start = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.8]])
    found = solve(minimise(molecule, start), gfn2(molecule))
    exact = solve(exact_hessian(molecule, found.positions), gfn2(molecule))
    assert vibrations(exact.hessian, exact.positions)[0] == pytest.approx([52.5], abs=1.0)
    # The model as a saddle search takes it.
    model = model_hessian(molecule, exact.positions) + loosened(molecule, exact.positions)
    assert vibrations(model, exact.positions)[0] == pytest.approx([63.0], abs=2.0)
    pull = np.array([0.0, 0.0, 1.0, 0.0, 0.0, -1.0])
    assert not reacting_part(molecule, exact.positions, pull).any()


def test_the_model_of_one_atom_is_harmless():
    values, vectors = vibrations(model_hessian(Molecule((2,)), np.zeros((1, 3))), np.zeros((1, 3)))
    assert (values > 0.0).all()
    assert vectors.shape == (3, 3)


# Tension


def springs(x, pairs, lengths, stiffness=30.0):
    """Gradient and exact Hessian of harmonic bonds, and the Hessian's part along the bonds."""
    gradient, hessian, along = np.zeros_like(x), np.zeros((x.size, x.size)), np.zeros((x.size,) * 2)
    for (i, j), length in zip(pairs, lengths, strict=True):
        difference = x[i] - x[j]
        r = np.linalg.norm(difference)
        unit = difference / r
        pull = stiffness * (r - length)
        gradient[i] += pull * unit
        gradient[j] -= pull * unit
        place = np.zeros((len(x), 1))
        place[i], place[j] = 1.0, -1.0
        sign = place @ place.T
        straight = np.outer(unit, unit)
        along += np.kron(sign, stiffness * straight)
        hessian += np.kron(sign, stiffness * straight + pull / r * (np.eye(3) - straight))
    return gradient, hessian, along


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_strained_bonds_are_stiff_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    molecule, x = example("CH4")
    x = x + rng.normal(scale=0.05, size=x.shape)
    assume(bonds(molecule, x)[0, 1:].all())  # else it is no bond that is strained
    pairs = [(0, k) for k in range(1, 5)]
    gradient, hessian, along = springs(x, pairs, rng.uniform(0.9, 1.3, size=4))
    tension = bond_tension(molecule, x, gradient.ravel())
    np.testing.assert_allclose(hessian - tension, along, atol=1e-8)


def test_no_gradient_no_tension():
    molecule, x = example("CH3CHO")
    np.testing.assert_allclose(bond_tension(molecule, x, np.zeros(x.size)), 0.0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 3])
def test_without_bonds_there_is_no_tension(n):
    x = 10.0 * np.arange(3.0 * n).reshape(n, 3)
    tension = bond_tension(Molecule((2,) * n), x, np.ones(3 * n))
    np.testing.assert_array_equal(tension, np.zeros((3 * n, 3 * n)))


# Reacting bonds


@pytest.mark.parametrize(("length", "concave"), [(0.78, False), (1.2, True), (1.45, False)])
def test_only_a_stretched_bond_is_loose(length, concave):
    # Two hydrogens: bonded, half-way, apart.
    molecule = Molecule((1, 1))
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, length]])
    values = np.linalg.eigvalsh(model_hessian(molecule, x) + loosened(molecule, x))
    assert (values[0] < -1.0) == concave


@pytest.mark.parametrize(("length", "kept"), [(0.78, 0.0), (0.9, 1.0), (1.1, 1.0), (1.2, 0.0)])
def test_a_reacting_bond_keeps_the_whole_gradient_along_it(length, kept):
    # Two hydrogens, bonded, breaking, nearly broken, apart: only what stretches them counts.
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, length]])
    pull = np.array([0.0, 0.0, 1.5, 0.0, 0.0, -1.5])
    sideways = np.array([0.7, 0.0, 0.0, -0.7, 0.0, 0.0])
    part = reacting_part(Molecule((1, 1)), x, pull + sideways)
    np.testing.assert_allclose(part, kept * pull, atol=1e-12)


def test_the_strain_of_a_usual_bond_is_no_part_of_the_reaction():
    # FHF⁻ with a short and a long bond, the gradient a tension of each.
    molecule = Molecule((9, 1, 9), charge=-1)
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.85], [0.0, 0.0, 2.05]])
    usual = np.array([0.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    long = np.array([0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 1.0])
    part = reacting_part(molecule, x, 3.0 * usual + 0.4 * long)
    np.testing.assert_allclose(part, 0.4 * long, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(list(REFERENCES)), SEEDS)
def test_the_reacting_part_turns_with_the_molecule(name, seed):
    rng = np.random.default_rng(seed)
    known = REFERENCES[name]
    gradient = rng.normal(size=known.saddle.size)
    turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    full = np.kron(np.eye(len(known.saddle)), turn)
    part = reacting_part(known.molecule, known.saddle, gradient)
    np.testing.assert_allclose(
        reacting_part(known.molecule, known.saddle @ turn.T + rng.normal(size=3), full @ gradient),
        full @ part,
        atol=1e-8,
    )


def test_without_close_atoms_nothing_reacts():
    x = 10.0 * np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(reacting_part(Molecule((2,) * 3), x, np.ones(9)), np.zeros(9))


@pytest.mark.slow
def test_the_model_sees_the_reaction_in_known_transition_states():
    # The overlap of the softest mode of the model with the true imaginary one, not weighted.
    stiff, loose = [], []
    for known in REFERENCES.values():
        x = known.saddle
        point = solve(exact_hessian(known.molecule, x), gfn2(known.molecule))
        true = vibrations(point.hessian, x)[1][:, 0]
        springs = model_hessian(known.molecule, x) + np.eye(true.size)
        stiff.append(abs(vibrations(springs, x)[1][:, 0] @ true))
        springs += loosened(known.molecule, x)
        loose.append(abs(vibrations(springs, x)[1][:, 0] @ true))
    assert np.median(stiff) < 0.1
    assert np.median(loose) > 0.4
