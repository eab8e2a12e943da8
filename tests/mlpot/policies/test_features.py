"""Features of offers: what they say of a structure, and what they must not depend on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from minima import made_eq
from numpy.typing import NDArray
from offered import climbed, forced, inverted, kicked, pulled, pushed
from scipy.stats import ortho_group

from afir.elements import ELECTRONEGATIVITIES, SYMBOLS, period, valence_electrons
from afir.geometry.superposition import projectors
from afir.io.structures import read_structure
from afir.methods.artificial_force import ForceTerm
from afir.methods.base import Offer
from afir.methods.pushes import pushes
from afir.molecule import Molecule, Positions
from mlpot.policies.features import ABSENT, NAMES, Terms, features
from mlpot.policies.structure import FARTHEST, DescribedStructure
from networks.records.structures import EQ, content

EXAMPLES = Path(__file__).parents[3] / "examples"
Features = NDArray[np.float64]


def told(molecule: Molecule, eq: EQ, offers: list[Offer], height: float = 0.5) -> Features:
    structure = DescribedStructure(molecule, eq)
    return features(structure, offers, Terms(structure, offers), height)


def springs(molecule: Molecule, x: Positions, number: int = 0) -> EQ:
    """An EQ whose atoms are joined by springs, stiffer between near ones: an invariant Hessian."""
    n = len(x)
    hessian = np.zeros((3 * n, 3 * n))
    for i in range(n):
        for j in range(i):
            arm = x[i] - x[j]
            r = float(np.linalg.norm(arm))
            block = np.outer(arm, arm) / r**2 * 40.0 * np.exp(-1.5 * r)
            way = np.zeros((3 * n, 3))
            way[3 * i : 3 * i + 3], way[3 * j : 3 * j + 3] = np.eye(3), -np.eye(3)
            hessian += way @ block @ way.T
    inside, _, _ = projectors(x, None)
    point = made_eq(number, x, 0.0)
    given = {**content(point), "hessian": inside @ hessian @ inside}
    return EQ(**given, id=point.id)


def all_offers(molecule: Molecule, x: Positions) -> list[Offer]:
    listed = [forced(*terms) for terms in pushes(molecule, x, rng=np.random.default_rng(0))]
    return [*listed, climbed(0, 1), climbed(3, -1), inverted(1), kicked(0)]


def renamed(offer: Offer, place: list[int]) -> Offer:
    """The same offer when atom i is called place[i]."""
    data = dict(offer.data)
    if "forces" in data:
        data["forces"] = [
            {
                "sign": force["sign"],
                "fragments": [[place[a] for a in side] for side in force["fragments"]],
            }
            for force in data["forces"]
        ]
    if "atoms" in data:
        data["atoms"] = [place[a] for a in data["atoms"]]
    return Offer(offer.method, data)


@pytest.mark.parametrize("name", ["butadiene", "cyclopropene", "h2co"])
def test_features_ignore_where_the_molecule_lies_and_the_order_of_its_atoms(name: str) -> None:
    molecule, x = read_structure(EXAMPLES / f"{name}.xyz")
    rng = np.random.default_rng(3)
    x = x + 0.05 * rng.normal(size=x.shape)  # no two distances are equal
    offers = [offer for offer in all_offers(molecule, x) if "mode" not in offer.data]
    expected = told(molecule, springs(molecule, x), offers)
    turned = x @ ortho_group.rvs(3, random_state=1) + [3.0, -2.0, 1.0]  # mirror images too
    assert told(molecule, springs(molecule, turned), offers) == pytest.approx(expected, abs=1e-4)
    order = rng.permutation(len(x))
    place = np.argsort(order).tolist()
    other = Molecule(tuple(molecule.numbers[k] for k in order))
    again = told(other, springs(other, x[order]), [renamed(offer, place) for offer in offers])
    assert again == pytest.approx(expected, abs=1e-4)


def test_features_of_an_offer_do_not_depend_on_what_else_is_offered() -> None:
    molecule, x = read_structure(EXAMPLES / "butadiene.xyz")
    offers, eq = all_offers(molecule, x), springs(molecule, x)
    together = told(molecule, eq, offers)
    assert together.shape == (len(offers), len(NAMES))
    assert np.isfinite(together).all()
    for row, offer in enumerate(offers):
        assert np.array_equal(told(molecule, eq, [offer])[0], together[row])


def test_features_say_what_is_pushed_and_pulled() -> None:
    molecule, x = read_structure(EXAMPLES / "h2co.xyz")
    carbon, oxygen = molecule.symbols.index("C"), molecule.symbols.index("O")
    first, second = (k for k, symbol in enumerate(molecule.symbols) if symbol == "H")
    h_to_o, h2 = pushed(first, oxygen), pushed(first, second)
    both = forced(ForceTerm((first,), (second,), 1), ForceTerm((carbon,), (first, second), -1))
    rows = told(molecule, springs(molecule, x), [h_to_o, h2, pulled(carbon, oxygen), both])
    value = {name: rows[:, k] for k, name in enumerate(NAMES)}
    assert value["pushes"].tolist() == [1, 1, 0, 1]
    assert value["pulls"].tolist() == [0, 0, 1, 1]
    assert value["pushed pair: bonds between"].tolist() == [2, 2, ABSENT, 2]
    assert value["pulled pair: bonds between"].tolist() == [ABSENT, ABSENT, 1, 1]
    assert value["pulled pair: bond order"][2] == pytest.approx(1.7, abs=0.2)  # C=O
    assert value["pushed pair: electronegativity, higher"][:2] == pytest.approx([3.44, 2.20])
    # H2 and CO: the hydrogen atoms are saturated, the carbon atom has lost two bonds.
    assert value["atoms left with too many bonds"][3] < 0.5
    assert value["atoms left with too few bonds"][3] > 1.0
    assert value["atoms left with too many bonds"][0] > 0.8  # a second bond of hydrogen
    # A hydrogen atom that is pushed feels all of the force that acts on it.
    assert value["atom 1: share"][:3] == pytest.approx([0.5] * 3, abs=0.01)
    assert value["structure: energy"].tolist() == [0.5] * 4


def test_molecules_apart_are_as_far_as_can_be() -> None:
    molecule = Molecule.from_symbols(["H", "H", "H", "H"])
    x = np.array([[0.0, 0, 0], [0.74, 0, 0], [0.0, 4, 0], [0.74, 4, 0]])
    structure = DescribedStructure(molecule, made_eq(0, x, 0.0))
    assert structure.graph[0, 2] == FARTHEST
    assert structure.graph[0, 1] == 1
    row = told(molecule, made_eq(0, x, 0.0), [pushed(0, 2)])[0]
    assert row[NAMES.index("structure: molecules")] == 2
    assert row[NAMES.index("structure: rings")] == 0


def test_a_long_chain_is_one_molecule() -> None:
    molecule = Molecule.from_symbols(["C"] * 12)
    x = np.array([[1.26 * k, 0.4 * (k % 2), 0.0] for k in range(12)])
    structure = DescribedStructure(molecule, made_eq(0, x, 0.0))
    assert structure.graph[0, 7] == 7
    assert structure.graph[0, 11] < FARTHEST
    row = told(molecule, made_eq(0, x, 0.0), [pushed(0, 11)])[0]
    assert row[NAMES.index("structure: molecules")] == 1
    assert row[NAMES.index("structure: rings")] == 0


@pytest.mark.parametrize(
    ("symbol", "row", "electrons"),
    [
        *(("H", 1, 1), ("He", 1, 2), ("C", 2, 4), ("F", 2, 7), ("Al", 3, 3), ("S", 3, 6)),
        *(("K", 4, 1), ("Fe", 4, 8), ("Zn", 4, 12), ("Br", 4, 7), ("Ag", 5, 11), ("La", 6, 3)),
        *(("Hf", 6, 4), ("Hg", 6, 12), ("Pb", 6, 4), ("U", 7, 3)),
    ],
)
def test_periods_and_valence_electrons(symbol: str, row: int, electrons: int) -> None:
    number = SYMBOLS.index(symbol)
    assert (period(number), valence_electrons(number)) == (row, electrons)


def test_electronegativity_rises_along_a_period_and_falls_down_a_group() -> None:
    def of(*symbols: str) -> NDArray[np.float64]:
        return ELECTRONEGATIVITIES[[SYMBOLS.index(symbol) for symbol in symbols]]

    assert (np.diff(of("Li", "Be", "B", "C", "N", "O", "F")) > 0).all()
    assert (np.diff(of("F", "Cl", "Br", "I", "At")) < 0).all()
    assert (np.diff(of("Li", "Na", "K", "Cs")) < 0).all()
    assert np.isfinite(ELECTRONEGATIVITIES[1:]).all()


def test_an_atom_alone_and_elements_without_a_usual_valence_have_features() -> None:
    for symbols in (["Ar", "Ar", "Ar"], ["Fe", "O", "C"], ["Xe", "F", "F"]):
        molecule = Molecule.from_symbols(symbols)
        x = np.array([[0.0, 0, 0], [2.1, 0, 0], [0.0, 2.3, 0]])
        rows = told(molecule, made_eq(0, x, 0.0), [pushed(0, 1), climbed(0, 1), kicked(1)])
        assert np.isfinite(rows).all()
