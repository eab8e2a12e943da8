"""Names of structures: known molecules, isomers told apart, the order of atoms without effect."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule as build

from afir.geometry.naming import names
from afir.molecule import Molecule

KNOWN = {
    "H2": "H2",
    "H": "H",
    "H2O": "H2O",
    "HCl": "HCl",
    "NH3": "NH3",
    "CO2": "O–C–O",
    "HCN": "CH–N",
    "H2CO": "CH2–O",
    "CH3COOH": "CH3–C(–O)–OH",
    "CH3CH2OH": "CH3–CH2–OH",
    "CH3OCH3": "CH3–O–CH3",
    "trans-butane": "CH3–CH2–CH2–CH3",
    "isobutane": "CH3–CH(–CH3)–CH3",
    "C2H4": "CH2–CH2",
    "cyclobutane": "CH2¹–CH2–CH2–CH2¹",
    "bicyclobutane": "CH2²–CH¹–CH²–CH2¹",
    "C5H5N": "CH¹–CH–CH–CH–CH–N¹",
    "methylenecyclopropane": "CH2–C¹–CH2–CH2¹",
}


@pytest.mark.parametrize("formula", KNOWN)
def test_known_molecules_in_any_order(formula: str) -> None:
    atoms = build(formula)
    rng = np.random.default_rng(3)
    for _ in range(4):
        order = rng.permutation(len(atoms))
        molecule = Molecule(tuple(atoms.numbers[order]), multiplicity=1 + (formula == "H"))
        assert names(molecule, atoms.positions[order]) == (KNOWN[formula],)


def test_several_molecules_and_a_shared_hydrogen() -> None:
    both = build("H2O") + build("CO")
    both.positions[3:] += 9.0
    assert names(Molecule(tuple(both.numbers)), both.positions) == ("C–O", "H2O")
    # Bifluoride: the hydrogen is bonded to both.
    x = np.array([[0.0, 0.0, -1.15], [0.0, 0.0, 0.0], [0.0, 0.0, 1.15]])
    assert names(Molecule.from_symbols("FHF", charge=-1), x) == ("F–H–F",)


def test_a_long_chain_is_named_at_once() -> None:
    n = 60
    x = np.column_stack([1.26 * np.arange(n), 0.45 * (-1.0) ** np.arange(n), np.zeros(n)])
    assert names(Molecule((6,) * n), x) == ("–".join("C" * n),)
