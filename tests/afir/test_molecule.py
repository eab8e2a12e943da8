"""Composition, charge and multiplicity, and the element data behind them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afir.elements import SYMBOLS
from afir.errors import InputError
from afir.molecule import Molecule, hill_formula


def test_formaldehyde():
    molecule = Molecule.from_symbols(["H", "C", "O", "H"])
    assert molecule.numbers == (1, 6, 8, 1)
    assert molecule.symbols == ("H", "C", "O", "H")
    assert molecule.n_atoms == 4
    assert molecule.electrons == 16
    assert molecule.formula == "CH2O"
    assert molecule.masses == pytest.approx([1.008, 12.011, 15.999, 1.008])
    # Pyykkö and Atsumi, 10.1002/chem.200800987.
    assert molecule.radii == pytest.approx([0.32, 0.75, 0.63, 0.32])


@pytest.mark.parametrize(
    ("symbol", "radius"),
    [
        ("Li", 1.33),
        ("F", 0.64),
        ("Cl", 0.99),
        ("Fe", 1.16),
        ("Br", 1.14),
        ("I", 1.33),
        ("Au", 1.24),
    ],
)
def test_published_radii(symbol, radius):
    number = SYMBOLS.index(symbol)
    molecule = Molecule((number,), multiplicity=1 + number % 2)
    assert molecule.radii == pytest.approx([radius])


@pytest.mark.parametrize(
    ("symbols", "formula"),
    [
        (["C", "H", "H", "H", "C", "H", "H", "O", "H"], "C2H6O"),
        (["Br", "C", "F", "H", "Cl"], "CHBrClF"),
        (["O", "H", "H"], "H2O"),
        (["S", "H", "O", "H", "O", "O", "O"], "H2O4S"),
        (["Na", "Cl"], "ClNa"),
        (["C", "O"], "CO"),
    ],
)
def test_hill_order(symbols, formula):
    assert hill_formula(symbols) == formula
    assert hill_formula(symbols[::-1]) == formula


@given(
    numbers=st.lists(st.integers(1, 86), min_size=1, max_size=8),
    charge=st.integers(-3, 3),
    multiplicity=st.integers(1, 6),
)
def test_accepts_exactly_the_possible_spins(numbers, charge, multiplicity):
    electrons = sum(numbers) - charge
    possible = electrons >= multiplicity - 1 and (electrons - multiplicity + 1) % 2 == 0
    if possible:
        molecule = Molecule(tuple(numbers), charge, multiplicity)
        assert molecule.electrons == electrons
    else:
        with pytest.raises(InputError):
            Molecule(tuple(numbers), charge, multiplicity)


def test_is_a_value():
    one = Molecule((1, 9))
    assert one == Molecule.from_symbols(["H", "F"])
    assert hash(one) == hash(Molecule((1, 9)))
    assert one != Molecule((9, 1))
    assert all(type(z) is int for z in Molecule(tuple(np.array([1, 9]))).numbers)


def test_misuse_is_explained():
    with pytest.raises(InputError, match="`numbers` must name at least one atom"):
        Molecule(())
    with pytest.raises(InputError, match="got 0 for atom 1"):
        Molecule((1, 0))
    with pytest.raises(InputError, match="got 'Xx' for atom 1"):
        Molecule.from_symbols(["H", "Xx"])
    with pytest.raises(InputError, match="got 'X' for atom 0"):
        Molecule.from_symbols(["X"])
    with pytest.raises(InputError, match="`multiplicity` must be 1 or more, got 0"):
        Molecule((1, 1), multiplicity=0)
    with pytest.raises(
        InputError, match=r"must be odd for H2 with charge 0 \(2 electrons\), got 2"
    ):
        Molecule((1, 1), multiplicity=2)
    with pytest.raises(InputError, match=r"must be even for H2 with charge \+1"):
        Molecule((1, 1), charge=1)
    with pytest.raises(InputError, match=r"must be 3 at most for H2 with charge 0"):
        Molecule((1, 1), multiplicity=5)
    with pytest.raises(InputError, match=r"at least 0 electrons, got \+3"):
        Molecule((1, 1), charge=3)
    for charge in (-18, -9999999999999999998):
        with pytest.raises(InputError, match="must add 8 electrons to each atom at most"):
            Molecule((1, 1), charge=charge)
