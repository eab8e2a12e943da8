"""Surfaces against what is known of them from elsewhere."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from tblite.interface import Calculator
from threadpoolctl import threadpool_info

from afir.errors import InputError, MissingPackageError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.contract import check_surface
from afir.pes.loading import load_surface
from afir.pes.registry import surface_names
from afir.pes.surface import Evaluation
from afir.surfaces.analytic import (
    DOUBLE_WELL_POINTS,
    MUELLER_BROWN_BENT_POINTS,
)
from afir.surfaces.series import added, at_once, check_options
from afir.surfaces.tblite import gfn1, gfn2
from afir.units import HARTREE

REFERENCE = json.loads(
    (Path(__file__).parents[2] / "data" / "gfn2_stationary_points.json").read_text()
)
H2CO = Molecule((6, 8, 1, 1))
PLANAR = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.2], [0.94, 0.0, -0.59], [-0.94, 0.0, -0.59]])
ATOM = Molecule((1,), multiplicity=2)
BENT = Molecule((1, 6, 7))
PAIR = Molecule((1, 1))
PAIR_AT = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.74]])


def test_a_sum_of_surfaces_fails_where_one_of_them_does() -> None:
    """And is to be trusted as far as the one that says so."""
    x = np.array([PAIR_AT, PAIR_AT, PAIR_AT, np.zeros((2, 3))])

    def predict(good: NDArray[np.intp]) -> tuple[NDArray[np.float64], Positions]:
        assert good.tolist() == [0, 1, 2]  # atoms on top of each other are not asked about
        return np.array([1.0, np.inf, 1.0]), np.ones((3, 2, 3))

    over = at_once(x, predict)
    assert set(over.failures) == {1, 3}
    below = Evaluation(
        np.array([2.0, 2.0, np.nan, np.nan]),
        np.full((4, 2, 3), 2.0),
        {2: SurfaceError("no SCF"), 3: SurfaceError("too close")},
        np.full(4, 0.5),
        1.0,
    )
    both = added(over, below)
    assert both.energies[0] == 3.0
    assert (both.gradients[0] == 3.0).all()
    assert np.isnan(both.energies[1:]).all()
    assert set(both.failures) == {1, 2, 3}
    assert both.spread is not None
    assert (both.spread[0], both.limit) == (0.5, 1.0)


def distorted(positions: Positions, count: int, seed: int = 0) -> Positions:
    rng = np.random.default_rng(seed)
    return positions + rng.normal(scale=0.05, size=(count, *positions.shape))


# Every registered surface keeps the contract


@pytest.mark.parametrize(
    ("name", "molecule", "positions", "rigid"),
    [
        ("gfn1", H2CO, distorted(PLANAR, 2), True),
        ("gfn2", H2CO, distorted(PLANAR, 2), True),
        ("ase:ase.calculators.emt.EMT", H2CO, distorted(PLANAR, 2), True),
        ("mueller-brown", ATOM, distorted(np.zeros((1, 3)), 4), False),
        ("mueller-brown-bent", BENT, distorted(MUELLER_BROWN_BENT_POINTS[0].positions, 2), True),
        ("double-well", PAIR, distorted(DOUBLE_WELL_POINTS[0].positions, 2), True),
        ("lennard-jones", Molecule((18,) * 4), distorted(1.1 * PLANAR, 2), True),
        pytest.param(
            "xtb",
            H2CO,
            distorted(PLANAR, 2),
            True,
            marks=pytest.mark.skipif(find_spec("xtb") is None, reason="needs xtb-python"),
        ),
    ],
)
def test_registered_surfaces_keep_the_contract(
    name: str, molecule: Molecule, positions: Positions, rigid: bool
) -> None:
    surface = load_surface(name, molecule)
    check_surface(surface, positions, rng=np.random.default_rng(1), rigid=rigid)


def test_an_open_shell_and_a_solvent_keep_the_contract() -> None:
    rng = np.random.default_rng(1)
    surface = gfn2(Molecule((8, 1), -1), solvent="water")
    # The grid of the solvent model does not turn with the molecule.
    check_surface(surface, np.array([[0.0, 0, 0], [0.9, 0, 0.1]]), rng=rng, energy_tolerance=1e-3)
    surface = gfn2(Molecule((8, 8), multiplicity=3), spin_polarization=True)
    check_surface(surface, np.array([[0.0, 0, 0], [1.1, 0, 0.4]]), rng=rng)


def test_every_surface_is_registered() -> None:
    known = {"ase", "double-well", "gfn1", "gfn2", "lennard-jones", "mueller-brown", "xtb"}
    assert known | {"mueller-brown-bent"} <= set(surface_names())
    with pytest.raises(InputError, match=r"`surface` must be one of .*gfn2.*, got 'gfn9'"):
        load_surface("gfn9", H2CO)
    with pytest.raises(InputError, match="'gfn2' has no option 'bogus'; it has"):
        load_surface("gfn2", H2CO, bogus=1)


@pytest.mark.parametrize("name", ["double-well", "gfn2", "ase:ase.calculators.emt.EMT"])
def test_positions_of_another_shape_are_refused(name: str) -> None:
    surface = load_surface(name, PAIR)
    for shape in ((2, 3), (1, 3, 3), (1, 2, 2)):
        with pytest.raises(InputError, match=r"`positions` must have the shape \(k, 2, 3\)"):
            surface.evaluate(np.zeros(shape))


# GFN1-xTB and GFN2-xTB


@pytest.mark.parametrize("name", ["HCN", "H2CO", "C2H2"])
@pytest.mark.parametrize("kind", ["EQ", "TS"])
def test_gfn2_reference_energies(name: str, kind: str) -> None:
    points = REFERENCE[name][kind]
    surface = gfn2(Molecule(tuple(REFERENCE[name]["numbers"])))
    answer = surface.evaluate(np.array([point["positions"] for point in points]))
    expected = [point["energy_hartree"] for point in points]
    assert answer.energies / HARTREE == pytest.approx(expected, abs=1e-6)
    assert np.abs(answer.gradients).max() < 5e-3


def test_gfn1_differs_from_gfn2() -> None:
    first, second = (make(H2CO).evaluate(PLANAR[None]).energies[0] for make in (gfn1, gfn2))
    assert abs(first - second) > 1.0


@settings(max_examples=20, deadline=None)
@given(
    turn=arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1),
    shift=arrays(np.float64, 3, elements=st.floats(-20, 20)),
    order=st.permutations([2, 3]),
)
def test_gfn2_does_not_change_when_the_molecule_moves(
    turn: np.ndarray, shift: np.ndarray, order: list[int]
) -> None:
    positions = distorted(PLANAR, 1)
    rotation = Rotation.from_quat(turn).as_matrix()
    surface = gfn2(H2CO)
    still = surface.evaluate(positions)
    moved = surface.evaluate((positions @ rotation.T + shift)[:, [0, 1, *order]])
    assert moved.energies == pytest.approx(still.energies, abs=1e-7)
    expected = (still.gradients @ rotation.T)[:, [0, 1, *order]]
    assert moved.gradients == pytest.approx(expected, abs=1e-5)


def test_spin_polarization_puts_triplet_oxygen_below_singlet() -> None:
    bond = np.array([[[0.0, 0, 0], [1.2, 0, 0]]])

    def gap(polarized: bool) -> float:
        singlet, triplet = (
            gfn2(Molecule((8, 8), multiplicity=m), spin_polarization=polarized)
            .evaluate(bond)
            .energies[0]
            for m in (1, 3)
        )
        return float(singlet - triplet) / HARTREE * 627.5095

    assert gap(False) == pytest.approx(-1.7, abs=0.1)  # kcal/mol
    assert gap(True) == pytest.approx(15.8, abs=0.1)


def test_a_solvent_stabilises_an_ion() -> None:
    hydroxide = Molecule((8, 1), -1)
    bond = np.array([[[0.0, 0, 0], [0.97, 0, 0]]])
    gas = gfn2(hydroxide).evaluate(bond).energies[0]
    water = gfn2(hydroxide, solvent="water").evaluate(bond).energies[0]
    assert -6.0 < water - gas < -2.0


@pytest.mark.parametrize(
    ("molecule", "options", "sentence"),
    [
        (Molecule((92,)), {}, "elements must be up to radon for GFN2-xTB, got U for atom 0"),
        (H2CO, {"solvent": "vodka"}, "`solvent` must be an ALPB solvent .* got 'vodka'"),
        (H2CO, {"solvent": "wäter"}, "`solvent` must be an ALPB solvent"),
        (H2CO, {"solvent": 3}, "`solvent` must be text, got 3"),
        (H2CO, {"temperature": 0.0}, "`temperature` must be more than 0 K, got 0.0"),
        (H2CO, {"temperature": float("nan")}, "`temperature` must be a finite number, got nan"),
        (H2CO, {"accuracy": "high"}, "`accuracy` must be a number, got 'high'"),
        (H2CO, {"accuracy": True}, "`accuracy` must be a number"),
        (Molecule((8, 1, 1), charge=10), {}, r"`charge` must be \+8 at most for H2O with GFN2-xTB"),
        (Molecule((8, 1, 1), 0, 11), {}, "`multiplicity` must be 5 at most for H2O with GFN2-xTB"),
        (Molecule((8, 1, 1), -6), {}, "`charge` must be -4 at least for H2O with GFN2-xTB"),
        (Molecule((58,), 4), {}, r"`charge` must be \+3 at most for Ce with GFN2-xTB"),
        (Molecule((33, 1, 1, 1), 10), {}, r"`charge` must be \+8 at most for AsH3 with GFN2-xTB"),
        (Molecule((80,), 4), {}, r"`charge` must be \+2 at most for Hg with GFN2-xTB"),
        (H2CO, {"temperature": 10**400}, r"`temperature` must be a number below 2\*\*63"),
        (H2CO, {"spin_polarization": 1}, "`spin_polarization` must be true or false, got 1"),
    ],
)
def test_gfn2_refuses_bad_options(
    molecule: Molecule, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        load_surface("gfn2", molecule, **options)


@pytest.mark.parametrize("method", ["GFN1-xTB", "GFN2-xTB"])
def test_the_valence_shells_are_those_of_the_library(method: str) -> None:
    """The limits of the charge of each atom, which leave its shells empty and full."""
    for number in range(1, 87):
        library = Calculator(method, np.array([number]), np.zeros((1, 3)), uhf=number % 2)
        library.set("verbosity", 0)
        found = library.singlepoint()
        electrons = round(float(np.sum(found.get("orbital-occupations"))))
        holes = 2 * len(found.get("orbital-energies")) - electrons
        for charge, beyond in ((electrons, 1), (-holes, -1)):
            if charge >= -8:  # no molecule has more
                check_options(method, _ion(number, charge), 300.0, 1.0, None)
            if charge + beyond >= -8 and charge + beyond <= number:
                with pytest.raises(InputError, match="`charge` must be"):
                    check_options(method, _ion(number, charge + beyond), 300.0, 1.0, None)


def _ion(number: int, charge: int) -> Molecule:
    return Molecule((number,), charge, 1 + (number - charge) % 2)


def test_paths_are_hotter_and_coarser_but_close() -> None:
    surface = gfn2(H2CO)
    paths = surface.for_paths()
    assert paths is surface.for_paths()
    assert paths.for_paths() is paths
    assert gfn2(H2CO, temperature=3000.0, accuracy=1.0).for_paths().for_paths() is not surface
    fine = surface.evaluate(PLANAR[None]).energies[0]
    assert paths.evaluate(PLANAR[None]).energies[0] == pytest.approx(fine, abs=1e-5)
    hot = gfn2(H2CO, temperature=3000.0, accuracy=1.0)
    assert hot.for_paths() is hot


def test_threads_are_limited_to_one() -> None:
    gfn2(H2CO)
    assert {pool["num_threads"] for pool in threadpool_info()} == {1}


def test_impossible_geometries_fail_alone() -> None:
    close = PLANAR.copy()
    close[3] = close[2] + [0.0, 0.0, 0.2]
    broken = PLANAR.copy()
    broken[0, 1] = np.inf
    surface = gfn2(H2CO)
    answer = surface.evaluate(np.stack([PLANAR, close, broken, PLANAR]))
    assert sorted(answer.failures) == [1, 2]
    assert "two atoms are 0.200 Å apart" in str(answer.failures[1])
    assert "not a finite number" in str(answer.failures[2])
    assert np.isnan(answer.energies[[1, 2]]).all()
    assert answer.energies[0] == answer.energies[3]


def test_a_gradient_beyond_reason_is_a_failure() -> None:
    answer = gfn2(Molecule((53, 53))).evaluate(np.array([[[0.0, 0, 0], [0.4, 0, 0]]]))
    assert "gradient below 10000" in str(answer.failures[0])


def test_arrays_of_any_layout_are_read_right() -> None:
    positions = distorted(PLANAR, 3)
    expected = gfn2(H2CO).evaluate(positions)
    strided = np.asfortranarray(positions)
    assert gfn2(H2CO).evaluate(strided).gradients == pytest.approx(expected.gradients, abs=1e-12)
    whole = gfn2(PAIR).evaluate(np.array([[[0, 0, 0], [0, 0, 1]]]))
    assert np.isfinite(whole.energies).all()


# xtb-python


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xtb", None)
    monkeypatch.setitem(sys.modules, "xtb.interface", None)
    with pytest.raises(MissingPackageError, match=r"afir\[xtb\]"):
        load_surface("xtb", H2CO)
    with pytest.raises(InputError, match="`temperature` must be more than 0 K"):
        load_surface("xtb", H2CO, temperature=-5)


@pytest.mark.skipif(find_spec("xtb") is None, reason="needs xtb-python")
@pytest.mark.parametrize("name", ["HCN", "H2CO", "C2H2"])
def test_xtb_agrees_with_tblite(name: str) -> None:
    molecule = Molecule(tuple(REFERENCE[name]["numbers"]))
    positions = np.array([point["positions"] for point in REFERENCE[name]["TS"]])
    reference = load_surface("xtb", molecule).evaluate(positions)
    answer = gfn2(molecule).evaluate(positions)
    assert answer.energies / HARTREE == pytest.approx(reference.energies / HARTREE, abs=1e-7)
    assert answer.gradients == pytest.approx(reference.gradients, abs=1e-4)
    with pytest.raises(InputError, match="`solvent` must be a GBSA solvent"):
        load_surface("xtb", molecule, solvent="vodka")
