"""The order of a stationary point from few modes: those of the exact Hessian."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from known import REFERENCES
from pairs import Dimer

from afir.geometry.bonds import components
from afir.geometry.torsions import rotations
from afir.hessians.model import model_hessian
from afir.hessians.updates import agreeing, positive
from afir.molecule import Molecule
from afir.pes.driver import (
    solve,
    stage,
)
from afir.pes.loading import load_surface
from afir.searches.hessian import hessian, normal_modes
from afir.searches.partial_hessian import loosest, softest
from afir.verification.minima import characterise


def test_a_matrix_agrees_with_what_was_measured() -> None:
    rng = np.random.default_rng(3)
    true, estimate = (m + m.T for m in rng.normal(size=(2, 8, 8)))
    directions = np.linalg.qr(rng.normal(size=(8, 3)))[0]
    better = agreeing(estimate, directions, true @ directions)
    assert np.allclose(better, better.T)
    assert np.allclose(better @ directions, true @ directions)
    # What lies wholly outside stays as it was.
    left = np.eye(8) - directions @ directions.T
    assert np.allclose(left @ better @ left, left @ estimate @ left)


@pytest.mark.parametrize("name", ["h2co", "vinyl_alcohol"])
def test_the_softest_modes_are_those_of_the_exact_hessian(name: str) -> None:
    """With the Hessian of GFN1-xTB to begin with, from few gradients of GFN2-xTB."""
    case = REFERENCES[name]
    surface = load_surface("gfn2", case.molecule)
    exact = solve(hessian(case.molecule, case.saddle), surface)
    cheap = solve(hessian(case.molecule, case.saddle), load_surface("gfn1", case.molecule))
    gradients: Counter[str] = Counter()
    search = softest(
        case.molecule,
        case.saddle,
        exact.energy,
        np.zeros_like(case.saddle),
        cheap.hessian,
    )
    found = solve(stage("softest", search), surface, gradients=gradients)
    assert found.order == exact.order == 1
    assert found.wavenumbers[:2] == pytest.approx(exact.wavenumbers[:2], rel=0.03, abs=3.0)
    assert abs(cheap.wavenumbers[0] - exact.wavenumbers[0]) > 10.0
    assert gradients["softest"] <= 8


def test_a_loose_molecule_is_turned_not_stretched() -> None:
    """Straight displacements stretch the bond of what they turn: soft modes would look stiff."""
    surface, stiffer = Dimer(), Dimer(depth=8e-4)
    start = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.74], [3.3, 0.1, 0.4], [3.3, 0.84, 0.4]])
    exact = solve(characterise(surface.molecule, start), surface)
    shifts = 1e-5 * np.eye(12).reshape(12, 4, 3)
    changes = [surface.evaluate(exact.positions + s * shifts).gradients for s in (1, -1)]
    columns = (changes[0] - changes[1]).reshape(12, 12) / 2e-5
    true = normal_modes(surface.molecule, exact.positions, 0.0, 0.0, 0.5 * (columns + columns.T))
    assert true.wavenumbers[0] < 10.0
    assert exact.wavenumbers[:2] == pytest.approx(true.wavenumbers[:2], abs=1.0)
    estimate = solve(hessian(surface.molecule, exact.positions), stiffer).hessian
    search = softest(surface.molecule, exact.positions, exact.energy, np.zeros((4, 3)), estimate)
    found = solve(search, surface)
    assert found.wavenumbers[:2] == pytest.approx(true.wavenumbers[:2], abs=1.0)


@pytest.mark.parametrize(
    "case", ["parentdieslalder", "zimmerman_08", "zimmerman_00", "vinyl_alcohol"]
)
def test_the_softest_mode_is_found_in_a_rough_estimate(case: str) -> None:
    """Complexes and rotors: the model knows no torsions and nothing of loose molecules."""
    known = REFERENCES[case]
    surface = load_surface("gfn2", known.molecule)
    for end in known.ends:
        exact = solve(hessian(known.molecule, end), surface)
        estimate = positive(model_hessian(known.molecule, end))
        gradients: Counter[str] = Counter()
        gradient = surface.evaluate(end[None]).gradients[0]
        search = loosest(known.molecule, end, gradient, estimate)
        found = solve(stage("loosest", search), surface, gradients=gradients)
        # What is concave must be seen to be, and nothing may be invented.
        assert found.wavenumber == pytest.approx(exact.wavenumbers[0], rel=0.25, abs=20.0)
        assert (found.wavenumber < -10.0) is bool(exact.wavenumbers[0] < -10.0)
        assert gradients["loosest"] < 2 * (
            _MOTIONS if len(components(known.molecule, end)) > 1 else 8
        )


_MOTIONS = 18  # of fragments against each other, rotations and what corrects them, at most


def test_internal_rotations_have_no_angular_momentum_about_their_axis() -> None:
    known = REFERENCES["vinyl_alcohol"]
    molecule, x = known.molecule, known.ends[0]
    found = rotations(molecule, x)
    assert found
    for motion in found:
        moved = np.flatnonzero(np.linalg.norm(motion, axis=1) > 1e-9)
        assert len(moved) > 1
        centre = molecule.masses @ motion
        turning = (molecule.masses[:, None] * np.cross(x, motion)).sum(axis=0)
        # Bond lengths of what turns rigidly do not change to first order.
        arms = x[:, None] - x[None]
        assert np.isfinite(centre).all()
        stretch = (arms * (motion[:, None] - motion[None])).sum(axis=2)
        near = np.linalg.norm(arms, axis=2) < 1.25
        assert np.abs(stretch[near]).max() < 1e-9
        assert np.isfinite(turning).all()


def test_a_straight_molecule_and_a_ring_have_no_internal_rotation() -> None:
    straight = Molecule((1, 6, 6, 1))
    line = np.array([[0.0, 0.0, z] for z in (-1.66, -0.6, 0.6, 1.66)])
    assert rotations(straight, line) == []
    ring = REFERENCES["rx_cycbut"]
    sizes = [len(rotations(ring.molecule, end)) for end in ring.ends]
    assert min(sizes) == 0
    assert max(sizes) == 3
