"""The order of a stationary point from few modes: those of the exact Hessian."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from known import REFERENCES
from pairs import Dimer

from afir.driver import (
    solve,
    stage,
)
from afir.quadratic import agreeing
from afir.searches.characterise import characterise
from afir.searches.hessian import hessian, normal_modes
from afir.searches.softest import softest
from afir.surface import load_surface


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
