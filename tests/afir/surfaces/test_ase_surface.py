"""ASE calculators as surfaces."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from afir.errors import InputError
from afir.molecule import Molecule, Positions
from afir.pes.contract import check_surface
from afir.pes.loading import load_surface
from afir.surfaces.ase import AseSurface, from_import_path
from afir.surfaces.tblite import gfn2

H2CO = Molecule((6, 8, 1, 1))
PLANAR = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.2], [0.94, 0.0, -0.59], [-0.94, 0.0, -0.59]])
PAIR = Molecule((1, 1))


class Owner:
    """Something that can own geometries."""


def distorted(positions: Positions, count: int, seed: int = 0) -> Positions:
    rng = np.random.default_rng(seed)
    return positions + rng.normal(scale=0.05, size=(count, *positions.shape))


class Spy(Calculator):
    """A calculator that does what it is told and notes what it is asked."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.resets = 0
        self.seen: list[Any] = []

    def reset(self) -> None:
        self.resets += 1
        super().reset()

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, changes)
        self.seen.append(atoms.copy())
        if self.error is not None and atoms.positions[0, 0] > 0.5:
            raise self.error
        self.results = {"energy": 2.0, "forces": -np.ones((len(atoms), 3))}


class Energyless(Spy):
    implemented_properties = ["forces"]  # noqa: RUF012


def test_ase_agrees_with_the_native_surface() -> None:
    positions = distorted(PLANAR, 2)
    options = {"method": "GFN2-xTB", "accuracy": 0.01, "verbosity": 0}
    for molecule in (H2CO, Molecule((6, 8, 1, 1), 1, 2), Molecule((6, 8, 1, 1), -2, 3)):
        there = load_surface("ase:tblite.ase.TBLite", molecule, options=options)
        answer = there.evaluate(positions)
        expected = gfn2(molecule).evaluate(positions)
        assert answer.energies == pytest.approx(expected.energies, abs=1e-5)
        assert answer.gradients == pytest.approx(expected.gradients, abs=1e-4)


def test_ase_gradients_are_minus_forces() -> None:
    answer = AseSurface(H2CO, Spy()).evaluate(distorted(PLANAR, 3))
    assert np.array_equal(answer.energies, [2.0, 2.0, 2.0])
    assert np.array_equal(answer.gradients, np.ones((3, 4, 3)))


def test_ase_atoms_carry_charge_and_spin_only_when_there_is_any() -> None:
    plain, charged = Spy(), Spy()
    AseSurface(H2CO, plain).evaluate(PLANAR[None])
    assert not plain.seen[0].has("initial_charges")
    assert not plain.seen[0].has("initial_magmoms")
    AseSurface(Molecule((6, 8, 1, 1), -1, 2), charged).evaluate(PLANAR[None])
    assert charged.seen[0].get_initial_charges().sum() == pytest.approx(-1.0)
    assert charged.seen[0].get_initial_magnetic_moments().sum() == pytest.approx(1.0)


@pytest.mark.parametrize("error", [RuntimeError("no SCF"), OSError("no disk"), ValueError("hm")])
def test_an_error_of_a_calculator_is_a_failure_of_one_geometry(error: Exception) -> None:
    surface = AseSurface(H2CO, Spy(error))
    answer = surface.evaluate(np.stack([PLANAR, PLANAR + 1.0, PLANAR - 1.0]))
    assert list(answer.failures) == [1]
    assert str(error) in str(answer.failures[1])


class Misshapen(Spy):
    """A calculator whose results are wrong where the first atom is far from the origin."""

    def __init__(self, **wrong: Any) -> None:
        super().__init__()
        self.wrong = wrong

    def calculate(self, atoms: Any = None, *args: Any) -> None:
        super().calculate(atoms, *args)
        if atoms.positions[0, 0] > 0.5:
            self.results.update(self.wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"forces": np.ones((1, 3))}, r"the gradient must have the shape \(4, 3\), got \(1, 3\)"),
        ({"forces": np.ones(3)}, r"shape \(4, 3\), got \(3,\)"),
        ({"forces": np.ones((5, 3))}, r"shape \(4, 3\), got \(5, 3\)"),
        ({"forces": np.ones((1, 4, 3))}, r"shape \(4, 3\), got \(1, 4, 3\)"),
        ({"forces": 0.0}, r"shape \(4, 3\), got \(\)"),
        ({"forces": [[0.0], [0.0, 1.0]]}, "inhomogeneous"),
        ({"energy": np.ones(4)}, r"the energy must be one number, got the shape \(4,\)"),
        ({"energy": np.ones(0)}, r"the energy must be one number, got the shape \(0,\)"),
        ({"energy": "low"}, "could not convert string to float: 'low'"),
    ],
)
def test_results_of_a_wrong_shape_are_a_failure(wrong: dict[str, Any], words: str) -> None:
    """Forces of one atom would else be those of all."""
    surface = AseSurface(H2CO, Misshapen(**wrong))
    answer = surface.evaluate(np.stack([PLANAR, PLANAR + 1.0]), [Owner(), Owner()])
    assert list(answer.failures) == [1]
    assert re.search(words, str(answer.failures[1]))
    assert np.array_equal(answer.energies, [2.0, np.nan], equal_nan=True)
    assert np.isnan(answer.gradients[1]).all()


def test_an_energy_may_be_an_array_of_one_value() -> None:
    surface = AseSurface(H2CO, Misshapen(energy=np.array([[3.0]])))
    assert surface.evaluate(PLANAR[None] + 1.0).energies == pytest.approx([3.0])


def test_a_calculator_is_reset_between_owners() -> None:
    spy = Spy()
    surface, first, second = AseSurface(H2CO, spy), Owner(), Owner()

    resets = []
    for owners in ([first], [first], [second], [second], [first], None, None, [first, first]):
        before = spy.resets
        surface.evaluate(distorted(PLANAR, 1 if owners is None else len(owners)), owners)
        resets.append(spy.resets - before)
    assert resets == [1, 0, 1, 0, 1, 1, 1, 2]


def test_an_owner_must_be_one_that_can_be_forgotten() -> None:
    with pytest.raises(InputError, match=r"`owners` must hold objects .* weakly, got int"):
        AseSurface(H2CO, Spy()).evaluate(PLANAR[None], [7])


class Maker:
    """No calculator, but a folder."""

    def __init__(self, path: str) -> None:
        Path(path).mkdir()


def test_a_calculator_must_be_one_and_give_forces() -> None:
    with pytest.raises(InputError, match="`calculator` must be an ASE calculator, got str"):
        AseSurface(H2CO, "EMT")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`calculator` must give energy, got Energyless"):
        AseSurface(H2CO, Energyless())
    uranium = AseSurface(Molecule((92, 92)), EMT())
    with pytest.raises(InputError, match="`calculator` must support U2, got EMT"):
        uranium.evaluate(np.array([[[0.0, 0, 0], [2.0, 0, 0]]]))


@pytest.mark.parametrize(
    ("argument", "options", "sentence"),
    [
        ("", None, "needs the import path of an ASE calculator behind a colon"),
        ("EMT", None, "needs the import path of an ASE calculator behind a colon"),
        (".EMT", None, "needs the import path of an ASE calculator"),
        ("no.such.module.EMT", None, "No module named 'no'"),
        ("ase.calculators.emt.NoSuch", None, "has no attribute 'NoSuch'"),
        ("ase.calculators.emt.parameters", None, "needs an ASE calculator or a function"),
        (
            "ase.Atoms",
            None,
            "function that makes one, got 'ase.Atoms'",
        ),
        ("ase.calculators.lj.LennardJones", {"smooth": {}, 3: 4}, "must be a table of named"),
        ("ase.calculators.emt.EMT", [1], "`options` must be a table of named values"),
        ("ase.calculators.tip3p.TIP3P", {"a": 1}, "`options` must be what .* takes"),
    ],
)
def test_an_import_path_that_does_not_work(argument: str, options: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        from_import_path(H2CO, argument=argument, options=options)


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("os.mkdir", {"path": "made"}),
        ("pathlib.os.mkdir", {"path": "made"}),
        (f"{__name__}.Maker", {"path": "made"}),
    ],
)
def test_nothing_is_called_that_makes_no_calculator(
    argument: str, options: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of somebody else's may say that it corrects this."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="needs an ASE calculator or a function that makes one"):
        from_import_path(H2CO, argument=argument, options=options)
    assert not (tmp_path / "made").exists()


def test_options_reach_the_calculator() -> None:
    bond = np.array([[[0.0, 0, 0], [1.2, 0, 0]]])
    path = "ase:ase.calculators.lj.LennardJones"
    weak, strong = (
        load_surface(path, PAIR, options={"epsilon": epsilon, "rc": 100.0}) for epsilon in (1, 2)
    )
    assert strong.evaluate(bond).energies == pytest.approx(2 * weak.evaluate(bond).energies)
    ours = load_surface("lennard-jones", PAIR).evaluate(bond)
    assert weak.evaluate(bond).energies == pytest.approx(ours.energies, abs=1e-9)
    assert weak.evaluate(bond).gradients == pytest.approx(ours.gradients, abs=1e-9)


def soft_pair(depth: float = 1.0) -> LennardJones:
    """A function that makes a calculator, as packages of learned potentials have them."""
    return LennardJones(epsilon=depth, rc=100.0)


def test_a_function_may_make_the_calculator() -> None:
    bond = np.array([[[0.0, 0, 0], [1.2, 0, 0]]])
    path = f"ase:{__name__}.soft_pair"
    half = load_surface(path, PAIR, options={"depth": 0.5}).evaluate(bond)
    assert 2 * half.energies == pytest.approx(load_surface(path, PAIR).evaluate(bond).energies)


@pytest.mark.skipif(find_spec("torchani") is None, reason="needs TorchANI, the extra ani")
@pytest.mark.filterwarnings("ignore")
def test_a_potential_that_others_trained_keeps_the_contract(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "examples")
    surface = load_surface("ase:ani.ani1ccx", H2CO)
    check_surface(surface, distorted(PLANAR, 2), rng=np.random.default_rng(0))
