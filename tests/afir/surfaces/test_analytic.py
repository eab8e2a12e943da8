"""Analytic surfaces against their published stationary points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from afir.errors import InputError
from afir.molecule import Molecule, Positions
from afir.pes.loading import load_surface
from afir.pes.surface import Surface
from afir.surfaces.analytic import (
    DOUBLE_WELL_POINTS,
    LENNARD_JONES_13,
    LENNARD_JONES_MINIMA,
    MUELLER_BROWN_BENT_POINTS,
    MUELLER_BROWN_POINTS,
    KnownPoint,
)

PLANAR = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.2], [0.94, 0.0, -0.59], [-0.94, 0.0, -0.59]])
ATOM = Molecule((1,), multiplicity=2)
BENT = Molecule((1, 6, 7))
PAIR = Molecule((1, 1))


def distorted(positions: Positions, count: int, seed: int = 0) -> Positions:
    rng = np.random.default_rng(seed)
    return positions + rng.normal(scale=0.05, size=(count, *positions.shape))


def eigenvalues(surface: Surface, positions: Positions) -> np.ndarray:
    """Of the Hessian by differences of gradients, ascending."""
    size = positions.size
    steps = 1e-4 * np.eye(size).reshape(size, *positions.shape)
    up = surface.evaluate(positions + steps).gradients
    down = surface.evaluate(positions - steps).gradients
    hessian = (up - down).reshape(size, size) / 2e-4
    return np.linalg.eigvalsh((hessian + hessian.T) / 2)


@pytest.mark.parametrize(
    ("name", "molecule", "point", "zeros"),
    [
        *(("mueller-brown", ATOM, point, 0) for point in MUELLER_BROWN_POINTS),
        *(("mueller-brown-bent", BENT, point, 6) for point in MUELLER_BROWN_BENT_POINTS),
        *(("double-well", PAIR, point, 5) for point in DOUBLE_WELL_POINTS),
    ],
)
def test_known_stationary_points(
    name: str, molecule: Molecule, point: KnownPoint, zeros: int
) -> None:
    surface = load_surface(name, molecule)
    answer = surface.evaluate(point.positions[None])
    assert answer.energies[0] == pytest.approx(point.energy, abs=1e-8)
    assert np.abs(answer.gradients).max() < 1e-6
    values = eigenvalues(surface, point.positions)
    assert (values < -0.1).sum() == point.order
    assert (np.abs(values) < 1e-5).sum() == zeros


def test_mueller_brown_points_are_the_published_ones() -> None:
    published = [  # 10.1007/BF00547608
        (-0.558, 1.442, -146.70),
        (0.623, 0.028, -108.17),
        (-0.050, 0.467, -80.77),
        (-0.822, 0.624, -40.66),
        (0.212, 0.293, -72.25),
    ]
    for point, (x, y, energy) in zip(MUELLER_BROWN_POINTS, published, strict=True):
        assert point.positions[0] == pytest.approx([x, y, 0.0], abs=6e-4)
        assert 100 * point.energy == pytest.approx(energy, abs=6e-3)


def relaxed(surface: Surface, start: Positions) -> float:
    """The energy of the minimum below `start`."""

    def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
        answer = surface.evaluate(flat.reshape(1, -1, 3))
        return float(answer.energies[0]), answer.gradients.ravel()

    found = minimize(function, start.ravel(), jac=True, method="BFGS", options={"gtol": 1e-7})
    return float(found.fun)


def test_lennard_jones_clusters_reach_their_known_minima() -> None:
    turn = 2 * np.pi * np.arange(5) / 5
    ring = np.stack([np.cos(turn), np.sin(turn), np.zeros(5)], axis=1)
    bipyramid = np.concatenate([ring, [[0, 0, 0.6], [0, 0, -0.6]]])
    energy = relaxed(load_surface("lennard-jones", Molecule((18,) * 7)), bipyramid)
    assert energy == pytest.approx(LENNARD_JONES_MINIMA[7][0], abs=1e-6)
    up = np.array([0.0, 0.0, 1.0])
    twisted = ring @ Rotation.from_euler("z", 36, degrees=True).as_matrix().T
    icosahedron = np.concatenate(
        [ring + 0.5 * up, twisted - 0.5 * up, [1.1 * up, -1.1 * up, 0.0 * up]]
    )
    energy = relaxed(load_surface("lennard-jones", Molecule((18,) * 13)), icosahedron)
    assert energy == pytest.approx(LENNARD_JONES_13, abs=1e-6)


def scattered(count: int, rng: np.random.Generator) -> Positions:
    """Atoms at random in a ball, none closer than 0.9."""
    atoms: list[np.ndarray] = []
    while len(atoms) < count:
        atom = rng.uniform(-1.2, 1.2, 3)
        if np.linalg.norm(atom) < 1.2 and all(np.linalg.norm(atom - a) > 0.9 for a in atoms):
            atoms.append(atom)
    return np.array(atoms)


@pytest.mark.parametrize(
    ("count", "starts"),
    [
        *((2, 3), (3, 5), (4, 8), (5, 8)),
        *(pytest.param(count, 80, marks=pytest.mark.slow) for count in (6, 7)),
    ],
)
def test_lennard_jones_minima_are_all_there_are(count: int, starts: int) -> None:
    surface = load_surface("lennard-jones", Molecule((18,) * count))
    rng = np.random.default_rng(1)
    found = {round(relaxed(surface, scattered(count, rng)), 4) for _ in range(starts)}
    assert found == {round(energy, 4) for energy in LENNARD_JONES_MINIMA[count]}


def test_lennard_jones_scales_with_its_parameters() -> None:
    positions = distorted(1.1 * PLANAR, 2)
    molecule = Molecule((18,) * 4)
    reduced = load_surface("lennard-jones", molecule).evaluate(positions)
    scaled = load_surface("lennard-jones", molecule, epsilon=0.5, sigma=3.0).evaluate(3 * positions)
    assert scaled.energies == pytest.approx(0.5 * reduced.energies)
    assert scaled.gradients == pytest.approx(0.5 / 3.0 * reduced.gradients)


@pytest.mark.parametrize("option", ["epsilon", "sigma"])
def test_lennard_jones_beyond_all_numbers_has_no_energy(option: str) -> None:
    surface = load_surface("lennard-jones", PAIR, **{option: 1e308})
    said = surface.evaluate(np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 0.1]]]))
    assert list(said.failures) == [0]
    assert np.isnan(said.energies).all()


@pytest.mark.parametrize(
    ("name", "molecule", "options", "sentence"),
    [
        ("mueller-brown", PAIR, {}, "`molecule` must have 1 atom for the surface mueller-brown"),
        ("double-well", ATOM, {}, "`molecule` must have 2 atoms"),
        ("mueller-brown-bent", PAIR, {}, "`molecule` must have 3 atoms"),
        ("mueller-brown-bent", Molecule((1, 8, 1)), {}, "three different elements"),
        ("lennard-jones", ATOM, {}, "two atoms or more"),
        ("lennard-jones", PAIR, {"sigma": 0.0}, "`sigma` must be more than 0"),
        ("lennard-jones", PAIR, {"epsilon": -1.0}, "`epsilon` must be more than 0"),
    ],
)
def test_analytic_surfaces_refuse_what_they_are_not_for(
    name: str, molecule: Molecule, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        load_surface(name, molecule, **options)
