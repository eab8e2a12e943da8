"""Energies compared with gradients: at one geometry, and along a path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from known import PAIR, REFERENCES, gfn2

from afir.errors import SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import Evaluation, Surface
from afir.searches.hessian import hessian
from afir.searches.settings import StepSettings
from afir.stationary import Consistency, Outcome
from afir.surfaces.analytic import double_well, lennard_jones
from afir.verification.consistency import ROUGH, consistency
from afir.verification.transition_states import followed

ETHANE = Molecule((6, 6, 1, 1, 1, 1, 1, 1))
START = np.array(
    [[0.0, 0.0, z] for z in (-0.77, 0.77)]
    + [
        [1.02 * np.cos(angle), 1.02 * np.sin(angle), sign * 1.16]
        for sign, turn in ((-1, 0.0), (1, np.pi / 3.0))
        for angle in turn + np.array([0.0, 2.0, 4.0]) * np.pi / 3.0
    ]
)
LEFT = REFERENCES["hcn"]


@dataclass(frozen=True)
class Altered:
    """A surface with something done to its answers."""

    surface: Surface
    change: Callable[[Evaluation, Positions], Evaluation]

    @property
    def molecule(self) -> Molecule:
        return self.surface.molecule

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        return self.change(self.surface.evaluate(positions, owners), positions)

    def for_paths(self) -> Surface:
        return self


def told(surface: Surface, x: Positions, seed: int = 0) -> Consistency:
    return solve(consistency(x, np.random.default_rng(seed)), surface)


def gradient_of(factor: float, *atoms: int) -> Callable[[Evaluation, Positions], Evaluation]:
    def change(said: Evaluation, positions: Positions) -> Evaluation:
        gradients = said.gradients.copy()
        gradients[:, list(atoms)] *= factor
        return replace(said, gradients=gradients)

    return change


def in_single_precision(said: Evaluation, positions: Positions) -> Evaluation:
    """As a learned potential of total energies answers: 2 keV in 24 bits."""
    return replace(
        said,
        energies=(said.energies - 2000.0).astype(np.float32).astype(float),
        gradients=said.gradients.astype(np.float32).astype(float),
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "options", [{}, {"solvent": "water"}, {"temperature": 5000.0}], ids=["gas", "water", "hot"]
)
def test_tight_binding_is_right(options: dict[str, object], seed: int) -> None:
    found = told(load_surface("gfn2", ETHANE, **options), START, seed)
    assert (found.problem, found.doubt) == ("", "")
    assert found.deviation < ROUGH
    assert found.ratio == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_rounded_energies_are_no_fault(seed: int) -> None:
    found = told(Altered(gfn2(ETHANE), in_single_precision), START, seed)
    assert (found.problem, found.doubt) == ("", "")


@pytest.mark.parametrize("atom", range(8))
def test_the_wrong_gradient_of_one_atom_of_eight_is_found(atom: int) -> None:
    for seed in range(4):
        found = told(Altered(gfn2(ETHANE), gradient_of(0.0, atom)), START, seed)
        assert "differ by" in found.problem
        numbers = {int(word) for word in found.problem.replace(",", "").split() if word.isdigit()}
        assert atom in numbers


@pytest.mark.parametrize("factor", [-1.0, 0.5, 0.8, 1.25, 2.0])
def test_a_factor_is_told(factor: float) -> None:
    found = told(Altered(gfn2(ETHANE), gradient_of(factor, *range(8))), START)
    assert found.ratio == pytest.approx(factor, rel=0.02)
    assert found.problem == f"its gradient is {found.ratio:.2f} times the slope of its energy"


def test_some_per_cent_are_doubted_and_no_more() -> None:
    found = told(Altered(gfn2(ETHANE), gradient_of(0.92, *range(8))), START)
    assert found.problem == ""
    assert found.doubt == "its gradient is 0.92 times the slope of its energy"


def test_soft_surfaces_are_asked_further_away() -> None:
    """Argon of 10 meV: within 0.03 Å nothing changes by more than single precision can tell."""
    argon = Molecule((18,) * 4)
    x = 3.8 * np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.87, 0.0], [0.5, 0.29, 0.82]])
    soft = lennard_jones(argon, epsilon=0.0104, sigma=3.4)
    gradients: Counter[str] = Counter()
    found = solve(consistency(x, np.random.default_rng(0)), soft, gradients=gradients)
    assert (found.problem, found.doubt) == ("", "")
    assert gradients == {"consistency": 14}
    for size in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0):  # times as stiff
        stiffer = lennard_jones(argon, epsilon=0.0104 * size, sigma=3.4)
        assert told(Altered(stiffer, gradient_of(0.5, *range(4))), x).problem
        assert told(stiffer, x).doubt == ""


@pytest.mark.parametrize("seed", range(2))
def test_a_jump_between_two_scf_solutions_is_no_factor(seed: int) -> None:
    """Of Mo2 at 2.2 Å, where solutions 3.6 eV apart cross."""
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.2]])
    found = told(gfn2(Molecule((42, 42))), x, seed)
    assert "times the slope" not in found.problem
    assert "or the energy jumps between neighbouring geometries" in found.problem


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("distance", [3.5, 3.8, 4.2])
def test_a_van_der_waals_complex_is_not_doubted(distance: float, seed: int) -> None:
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]])
    found = told(gfn2(Molecule((18, 18))), x, seed)
    assert (found.problem, found.doubt) == ("", "")


def test_a_flat_surface_is_refused_and_a_lone_atom_is_not_flat() -> None:
    def flat(said: Evaluation, positions: Positions) -> Evaluation:
        return replace(said, energies=0.0 * said.energies, gradients=0.0 * said.gradients)

    assert "does not change" in told(Altered(gfn2(ETHANE), flat), START).problem
    atom = Molecule((2,))
    assert told(Altered(load_surface("gfn2", atom), flat), np.zeros((1, 3))).problem == ""


def test_a_surface_that_fails_on_a_line_is_doubted_and_used() -> None:
    def near_only(said: Evaluation, positions: Positions) -> Evaluation:
        far = np.abs(positions - START).max(axis=(1, 2)) > 1e-6
        failures = {int(k): SurfaceError("no SCF") for k in np.flatnonzero(far)}
        energies = np.where(far, np.nan, said.energies)
        return replace(said, energies=energies, failures=failures)

    found = told(Altered(gfn2(ETHANE), near_only), START)
    assert found.problem == ""
    assert "0.03 Å away it gave no energy (no SCF)" in found.doubt


def test_the_energy_along_a_path_is_what_the_gradients_add_up_to() -> None:
    right = gfn2(LEFT.molecule)
    top = solve(hessian(LEFT.molecule, LEFT.saddle), right)
    for factor, outcome in ((1.0, Outcome.CONFIRMED), (0.5, Outcome.INCONSISTENT)):
        surface = Altered(right, gradient_of(factor, *range(3)))
        path = solve(followed(LEFT.molecule, top, StepSettings()), surface)
        assert path.outcome is outcome


def test_two_atoms_take_six_gradients() -> None:
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.7]])
    gradients: Counter[str] = Counter()
    found = solve(consistency(x, np.random.default_rng(0)), double_well(PAIR), gradients=gradients)
    assert (found.problem, found.doubt) == ("", "")
    assert gradients == {"consistency": 6}
