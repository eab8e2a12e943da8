"""PySCF as a surface, against the literature, against PySCF itself and finite differences."""

from __future__ import annotations

import gc
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import afir.surfaces.pyscf as module
from afir.errors import InputError, MissingPackageError
from afir.molecule import Molecule, Positions
from afir.pes.catalogue import surface_catalogue
from afir.pes.contract import check_surface
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import traits_of
from afir.searches.hessian import hessian, normal_modes
from afir.searches.minimum import minimise
from afir.surfaces.pyscf import DFTSurface, dft
from afir.units import BOHR, HARTREE, HARTREE_PER_BOHR

needs_pyscf = pytest.mark.skipif(find_spec("pyscf") is None, reason="needs PySCF, the extra dft")

H2 = Molecule((1, 1))
H2O = Molecule((8, 1, 1))
HCN = Molecule((1, 6, 7))
BENT = np.array([[0.0, 0.02, 0.1], [0.0, 0.78, -0.47], [0.05, -0.75, -0.5]])
MINIMAL: dict[str, Any] = {"functional": "hf", "basis": "sto-3g", "grid": 1}  # what is fast


class Owner:
    """Something that can own geometries."""


def pair(distance: float) -> Positions:
    return np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]])


def hartree(molecule: Molecule, positions: Positions, **options: Any) -> float:
    return float(dft(molecule, **options).evaluate(positions[None]).energies[0]) / HARTREE


def distorted(count: int) -> Positions:
    return BENT + np.random.default_rng(0).normal(scale=0.05, size=(count, 3, 3))


# What holds without PySCF


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyscf", None)
    monkeypatch.setitem(sys.modules, "pyscf.dft", None)
    with pytest.raises(MissingPackageError, match=r"package pyscf: pip install \"afir\[dft\]\""):
        load_surface("dft", H2)
    (entry,) = (entry for entry in surface_catalogue() if entry.name == "dft")
    assert "afir[dft]" in entry.missing


def test_nothing_is_loaded_on_import() -> None:
    code = "import sys, afir.surfaces.pyscf; sys.exit('pyscf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_options_are_explained() -> None:
    (entry,) = (entry for entry in surface_catalogue() if entry.name == "dft")
    names = [option["name"] for option in entry.options]
    assert names == ["functional", "basis", "grid", "density_fitting", "convergence"]
    assert all(option["help"] for option in entry.options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"functional": 3}, "`functional` must be text, got 3"),
        ({"functional": " "}, "`functional` must be a name, got ' '"),
        ({"basis": None}, "`basis` must be text, got None"),
        ({"grid": 0}, "`grid` must be a whole number from 1 to 9, got 0"),
        ({"grid": 3.0}, "`grid` must be a whole number, got 3.0"),
        ({"grid": True}, "`grid` must be a whole number"),
        ({"density_fitting": 1}, "`density_fitting` must be true or false, got 1"),
        ({"convergence": "tight"}, "`convergence` must be a number, got 'tight'"),
        ({"convergence": 0.0}, "`convergence` must be more than 0 hartree, got 0.0"),
        ({"convergence": float("nan")}, "`convergence` must be a finite number, got nan"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_surface("dft", H2, **options)


# What PySCF does not have


@needs_pyscf
@pytest.mark.parametrize(
    ("molecule", "options", "sentence"),
    [
        (H2, {"functional": "b4lyp"}, "must be the name of a functional in PySCF.* got 'b4lyp'"),
        (H2, {"functional": "a,b,c"}, "must be the name of a functional in PySCF"),
        (H2, {"functional": "b3lyp-d3bj"}, "without a correction for dispersion"),
        (H2, {"functional": "wB97X-D"}, "without a correction for dispersion"),
        (H2, {"functional": "wb97x-v"}, "without non-local correlation"),
        (H2, {"functional": "mgga_x_br89"}, "one that PySCF has gradients for"),
        (H2, {"basis": "6-32g"}, "basis set in PySCF that covers H, .* got '6-32g'"),
        (Molecule((1, 53)), {}, r"basis set in PySCF that covers I, .* got '6-31g\*'"),
        (H2, {"basis": "gth-szv"}, "no core potential or one of the same name, got 'gth-szv'"),
        (H2, {"basis": "def2-svp@1s"}, "must be that of a whole basis set, got 'def2-svp@1s'"),
    ],
)
def test_what_pyscf_does_not_have_is_refused(
    molecule: Molecule, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        load_surface("dft", molecule, **options)


@needs_pyscf
@pytest.mark.parametrize("where", ["text", "file"])
def test_no_expression_in_a_basis_set_is_evaluated(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = tmp_path / "touched"
    text = f"H S\n 1.0 __import__('pathlib').Path('{touched}').touch()\n"
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text(text)
    with pytest.raises(InputError, match="`basis` must be the name of a basis set in PySCF, got a"):
        load_surface("dft", H2, basis=text if where == "text" else "mine")
    assert not touched.exists()


# Energies


@needs_pyscf
def test_energies_of_the_literature() -> None:
    # Szabo and Ostlund, Modern Quantum Chemistry: H2 at 1.4 bohr with STO-3G.
    assert hartree(H2, pair(1.4 * BOHR), **MINIMAL) == pytest.approx(-1.1167, abs=5e-5)
    # What Gaussian prints with B3LYP/6-31G*, where there are no d functions; VWN5 gives -0.4969.
    atom = Molecule((1,), multiplicity=2)
    assert hartree(atom, np.zeros((1, 3))) == pytest.approx(-0.500273, abs=1e-6)
    assert hartree(H2, pair(0.7428)) == pytest.approx(-1.175482, abs=2e-6)


@needs_pyscf
@pytest.mark.parametrize(
    ("molecule", "distance", "exact"),
    [
        (Molecule((1,), multiplicity=2), 0.0, -0.5),
        (Molecule((2,), charge=1, multiplicity=2), 0.0, -2.0),
        (Molecule((1, 1), charge=1, multiplicity=2), 2.0, -0.602634),  # 10.1103/PhysRev.90.1120
        (Molecule((1,), charge=1), 0.0, 0.0),
    ],
)
def test_hartree_fock_is_exact_for_one_electron(
    molecule: Molecule, distance: float, exact: float
) -> None:
    positions = pair(distance * BOHR)[: molecule.n_atoms]
    energy = hartree(molecule, positions, functional="hf", basis="cc-pvqz", grid=1)
    assert energy == pytest.approx(exact, abs=3e-4)


@needs_pyscf
def test_a_triplet_comes_apart_into_atoms_and_a_restricted_singlet_does_not() -> None:
    atom = hartree(Molecule((1,), multiplicity=2), np.zeros((1, 3)), **MINIMAL)
    triplet = hartree(Molecule((1, 1), multiplicity=3), pair(6.0), **MINIMAL)
    assert triplet == pytest.approx(2 * atom, abs=1e-6)
    assert hartree(H2, pair(6.0), **MINIMAL) > 2 * atom + 0.2


@needs_pyscf
@pytest.mark.parametrize("density_fitting", [False, True])
@pytest.mark.parametrize("charge", [0, 1])
def test_pyscf_called_directly_gives_the_same(charge: int, density_fitting: bool) -> None:
    from pyscf import dft as theirs
    from pyscf import gto

    ours = dft(
        Molecule((8, 1, 1), charge, charge + 1), basis="sto-3g", density_fitting=density_fitting
    ).evaluate(BENT[None])
    atoms = [("OHH"[i], BENT[i]) for i in range(3)]
    molecule = gto.M(atom=atoms, basis="sto-3g", charge=charge, spin=charge, verbose=0)
    field = (theirs.UKS if charge else theirs.RKS)(molecule, xc="b3lyp")
    if density_fitting:
        field = field.density_fit()
    field.run(conv_tol=1e-12)
    gradient = field.nuc_grad_method().run(grid_response=True).de
    assert ours.energies[0] / HARTREE == pytest.approx(field.e_tot, abs=1e-8)
    assert ours.gradients[0] / HARTREE_PER_BOHR == pytest.approx(gradient, abs=1e-6)


@needs_pyscf
@pytest.mark.slow
def test_core_potentials_of_the_basis_are_used() -> None:
    # 26 electrons are left of 54; nature has a bond of 1.609 Å (Huber and Herzberg).
    surface = dft(Molecule((1, 53)), functional="hf", basis="def2-svp")
    found = solve(minimise(surface.molecule, pair(1.7)), surface)
    assert found.energy / HARTREE > -350.0
    assert np.linalg.norm(np.diff(found.positions, axis=0)) == pytest.approx(1.609, abs=0.02)


# The contract


@pytest.mark.slow
@needs_pyscf
@pytest.mark.parametrize(
    ("molecule", "positions", "options"),
    [
        (H2O, BENT, MINIMAL),
        (H2, pair(0.8), {"basis": "sto-3g"}),
        pytest.param(H2O, BENT, {"basis": "6-31g"}, marks=pytest.mark.slow),
        pytest.param(
            Molecule((8, 1, 1), 1, 2),
            BENT,
            {"functional": "pbe", "basis": "sto-3g", "density_fitting": True},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            Molecule((8, 1), -1),
            pair(1.0),
            {"functional": "tpss", "basis": "sto-3g"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_contract_is_kept(
    molecule: Molecule, positions: Positions, options: dict[str, Any]
) -> None:
    surface = load_surface("dft", molecule, **options)
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]  # out of the planes of the grid
    # The grid does not turn with the molecule.
    check_surface(surface, positions @ turn, rng=rng, energy_tolerance=1e-4)


@needs_pyscf
def test_the_molecule_is_not_pushed_as_a_whole() -> None:
    answer = dft(H2O, basis="sto-3g", grid=1).evaluate(distorted(1))
    assert np.abs(answer.gradients[0].sum(axis=0)).max() < 1e-9


@needs_pyscf
def test_paths_are_coarser_but_close() -> None:
    surface = dft(H2O, basis="sto-3g")
    paths = surface.for_paths()
    assert traits_of(surface).expensive
    assert traits_of(paths).expensive
    assert paths is surface.for_paths()
    assert paths.for_paths() is paths
    finest = dft(H2, basis="sto-3g", grid=9).for_paths()
    assert finest.for_paths() is finest
    coarse = dft(H2O, basis="sto-3g", grid=1, convergence=1e-4)
    assert coarse.for_paths() is coarse
    fine = surface.evaluate(BENT[None])
    rough = paths.evaluate(BENT[None])
    assert rough.energies != fine.energies
    assert rough.energies == pytest.approx(fine.energies, abs=1e-3)
    assert rough.gradients == pytest.approx(fine.gradients, abs=1e-2)


# Wavenumbers: gradients are exact enough to be differentiated


@needs_pyscf
@pytest.mark.parametrize(
    ("molecule", "start", "literature"),
    [
        # HF/STO-3G, Hehre, Radom, Schleyer and Pople, Ab Initio Molecular Orbital Theory.
        (H2O, BENT, [2170.0, 4140.0, 4391.0]),
        (HCN, np.array([[0.0, 0.0, -1.07], [0.0, 0.0, 0.0], [0.0, 0.1, 1.15]]), None),
    ],
)
def test_wavenumbers(molecule: Molecule, start: Positions, literature: list[float] | None) -> None:
    from pyscf import gto, scf

    surface = dft(molecule, **MINIMAL)
    positions = solve(minimise(molecule, start), surface).positions
    found = solve(hessian(molecule, positions), surface)
    atoms = list(zip(molecule.symbols, positions, strict=True))
    field = scf.RHF(gto.M(atom=atoms, basis="sto-3g", verbose=0)).run(conv_tol=1e-12)
    size = positions.size
    analytic = field.Hessian().kernel().transpose(0, 2, 1, 3).reshape(size, size)
    matrix = analytic * HARTREE / BOHR**2
    expected = normal_modes(molecule, positions, 0.0, 0.0, matrix).wavenumbers
    assert found.wavenumbers == pytest.approx(expected, abs=0.5)  # cm⁻¹
    if literature is not None:
        assert found.wavenumbers == pytest.approx(literature, abs=1.0)


@needs_pyscf
@pytest.mark.slow
def test_wavenumbers_of_a_functional() -> None:
    from pyscf import dft as theirs
    from pyscf import gto

    surface = dft(H2O, basis="6-31g")
    positions = solve(minimise(H2O, BENT), surface).positions
    found = solve(hessian(H2O, positions), surface)
    atoms = list(zip("OHH", positions, strict=True))
    field = theirs.RKS(gto.M(atom=atoms, basis="6-31g", verbose=0), xc="b3lyp").run(conv_tol=1e-12)
    analytic = field.Hessian().kernel().transpose(0, 2, 1, 3).reshape(9, 9)
    matrix = analytic * HARTREE / BOHR**2
    expected = normal_modes(H2O, positions, 0.0, 0.0, matrix).wavenumbers
    assert found.wavenumbers == pytest.approx(expected, abs=3.0)  # theirs leaves the grid behind


# The memory of the SCF


def memory_of(surface: DFTSurface, owner: object) -> Any:
    return surface._memory.recall(owner)


@needs_pyscf
def test_an_owner_is_remembered_weakly() -> None:
    surface, owner = dft(H2O, **MINIMAL), Owner()
    surface.evaluate(BENT[None])
    surface.evaluate(BENT[None], [owner])
    first = memory_of(surface, owner)
    surface.evaluate(1.01 * BENT[None], [owner])
    second = memory_of(surface, owner)
    assert type(second) is np.ndarray
    assert 1e-4 < np.abs(second - first).max() < 0.1
    surface.evaluate(np.zeros((1, 3, 3)), [owner])
    assert memory_of(surface, owner) is None
    surface.evaluate(BENT[None], [owner])
    assert len(surface._memory._states) == 1
    del owner
    gc.collect()
    assert len(surface._memory._states) == 0


@needs_pyscf
@pytest.mark.parametrize("multiplicity", [1, 3])
def test_a_batch_equals_single_geometries(multiplicity: int) -> None:
    molecule = Molecule((8, 1, 1), multiplicity=multiplicity)
    surface, owner, other = dft(molecule, **MINIMAL), Owner(), Owner()
    batch = distorted(3)
    alone = [surface.evaluate(geometry[None]) for geometry in batch]
    together = surface.evaluate(batch)
    assert np.array_equal(together.energies, [answer.energies[0] for answer in alone])
    surface.evaluate(BENT[None], [owner])
    kept = memory_of(surface, owner)
    copy = kept.copy()
    shared = surface.evaluate(batch, [owner, owner, other])
    assert memory_of(surface, owner) is kept
    assert np.array_equal(kept, copy)
    assert memory_of(surface, other) is not None
    reverse = surface.evaluate(batch[1::-1], [owner, owner])
    assert np.array_equal(shared.energies[:2], reverse.energies[::-1])
    assert shared.energies == pytest.approx(together.energies, abs=1e-8)
    assert shared.gradients == pytest.approx(together.gradients, abs=1e-4)


# Difficult SCFs


@needs_pyscf
def test_an_scf_that_fails_is_a_failure_of_its_geometry(monkeypatch: pytest.MonkeyPatch) -> None:
    surface, owner = dft(H2O, **MINIMAL), Owner()
    expected = surface.evaluate(BENT[None], [owner])
    monkeypatch.setattr(module, "_CYCLES", 1)
    monkeypatch.setattr(module, "_PATIENT_CYCLES", 0)
    answer = surface.evaluate(np.stack([1.1 * BENT, BENT]), [owner, None])
    assert sorted(answer.failures) == [0, 1]
    assert str(answer.failures[0]) == "hf: the SCF did not converge"
    assert np.isnan(answer.gradients).all()
    assert memory_of(surface, owner) is None
    monkeypatch.undo()
    assert surface.evaluate(BENT[None]).energies == pytest.approx(expected.energies, abs=1e-9)


@needs_pyscf
@pytest.mark.parametrize(("usual", "patient"), [(3, 60), (5, 3)])
@pytest.mark.parametrize("multiplicity", [1, 3])
def test_the_retries_are_real(
    usual: int, patient: int, multiplicity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    molecule = Molecule((8, 1, 1), multiplicity=multiplicity)
    surface, owner = dft(molecule, **MINIMAL), Owner()
    expected = surface.evaluate(1.1 * BENT[None])
    surface.evaluate(BENT[None], [owner])
    monkeypatch.setattr(module, "_CYCLES", usual)  # also of the last try, with second derivatives
    monkeypatch.setattr(module, "_PATIENT_CYCLES", patient)
    answer = surface.evaluate(1.1 * BENT[None], [owner])
    assert answer.energies == pytest.approx(expected.energies, abs=1e-8)
    assert answer.gradients == pytest.approx(expected.gradients, abs=1e-4)


@needs_pyscf
@pytest.mark.slow
def test_an_scf_that_is_difficult_converges() -> None:
    atoms = [[3.0, 1.7, 3.9], [1.7, 3.3, 0.1], [2.9, 1.6, 2.0], [0.8, 3.7, 0.8]]
    surface = dft(Molecule((6, 8, 1, 1)), basis="sto-3g", grid=1)
    assert not surface.evaluate(np.array([atoms])).failures


@needs_pyscf
def test_owners_must_be_held_weakly() -> None:
    with pytest.raises(InputError, match=r"`owners` must hold objects .* got int"):
        dft(H2, **MINIMAL).evaluate(pair(0.8)[None], [7])


@needs_pyscf
def test_impossible_geometries_fail_alone() -> None:
    close, broken = BENT.copy(), BENT.copy()
    close[2] = close[1] + [0.0, 0.0, 0.2]
    broken[0, 1] = np.inf
    answer = dft(H2O, **MINIMAL).evaluate(np.stack([BENT, close, broken, BENT]))
    assert sorted(answer.failures) == [1, 2]
    assert answer.energies[0] == answer.energies[3]


# What it leaves alone


@needs_pyscf
def test_no_output_no_files_and_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from pyscf import lib

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lib.param, "TMPDIR", str(tmp_path))
    lib.num_threads(2)
    for density_fitting in (False, True):
        surface = dft(H2O, basis="sto-3g", grid=1, density_fitting=density_fitting)
        assert lib.num_threads() == 1
        monkeypatch.setattr(module, "_CYCLES", 5)
        monkeypatch.setattr(module, "_PATIENT_CYCLES", 3)
        assert not surface.evaluate(BENT[None]).failures
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(lib.param, "TMPDIR", str(tmp_path))
        assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
