"""Kinds of pushes: the same for equivalent ones."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from networkx.algorithms.isomorphism import categorical_node_match
from offered import climbed, forced, inverted, kicked, pushed

from afir.geometry.bonds import bonds
from afir.io.structures import read_structure
from afir.methods.artificial_force import ForceTerm
from afir.methods.base import Offer
from afir.methods.push_kinds import push_kinds
from afir.methods.pushes import pushes
from afir.molecule import Molecule, Positions

BUTADIENE = Path(__file__).parents[3] / "examples" / "butadiene.xyz"
PUSH = pushed(0, 3)
TERMS = ForceTerm((0,), (3,), 1), ForceTerm((0,), (1,), -1)
BOTH = forced(*TERMS)
NOTHING = Offer("sc-afir", {"forces": []})


@pytest.fixture(scope="module")
def butadiene() -> tuple[Molecule, Positions]:
    return read_structure(BUTADIENE)


def all_pushes(molecule: Molecule, positions: Positions) -> list[Offer]:
    return [forced(*terms) for terms in pushes(molecule, positions, rng=np.random.default_rng(0))]


def line(shift: float) -> Positions:
    """A bent chain C–N–O–H that `shift` makes another structure, not another molecule."""
    return np.array(
        [[0.0, 0.0, 0.0], [1.4, 0.0, 0.0], [2.0, 1.2, 0.0], [2.9, 1.2, 0.2 + 0.05 * shift]]
    )


def as_graph(molecule: Molecule, positions: Positions, offer: Offer) -> nx.Graph[object]:
    """The bonding graph with a node for each force and for each of its sides."""
    graph: nx.Graph[object] = nx.Graph()
    for atom, number in enumerate(molecule.numbers):
        graph.add_node(atom, what=number)
    graph.add_edges_from(np.argwhere(bonds(molecule, positions)).tolist())
    for index, force in enumerate(offer.forces):
        graph.add_node(("force", index), what=f"force {force['sign']}")
        for side, atoms in zip("ab", force["fragments"], strict=True):
            graph.add_node((side, index), what="side")
            graph.add_edge((side, index), ("force", index))
            graph.add_edges_from(((side, index), atom) for atom in atoms)
    return graph


def test_kinds_are_the_classes_of_isomorphic_pushes(butadiene: tuple[Molecule, Positions]) -> None:
    molecule, x = butadiene
    listed = all_pushes(molecule, x)
    pairs = [offer.forces for offer in listed if len(offer.forces) == 2]
    listed += [Offer("sc-afir", {"forces": forces[::-1]}) for forces in pairs]
    kinds = push_kinds(molecule, x, listed)
    graphs = [as_graph(molecule, x, push) for push in listed]
    same = categorical_node_match("what", 0)
    for i, j in combinations(range(len(listed)), 2):
        isomorphic = nx.faster_could_be_isomorphic(graphs[i], graphs[j]) and nx.is_isomorphic(
            graphs[i], graphs[j], node_match=same
        )
        assert (kinds[i] == kinds[j]) == isomorphic, (listed[i], listed[j])
    assert 20 < len(set(kinds)) < len(listed)


def test_inversions_and_modes_are_of_kinds_of_their_own(
    butadiene: tuple[Molecule, Positions],
) -> None:
    molecule, x = butadiene
    carbons = [i for i, number in enumerate(molecule.numbers) if number == 6]
    tried = [inverted(i) for i in carbons]
    tried += [climbed(0, 1), climbed(0, -1), climbed(1, 1), kicked(0), kicked(3)]
    kinds = push_kinds(molecule, x, tried)
    # Both ends of the chain are alike, and so are both atoms within; a mode is one either way.
    assert len(set(kinds[:4])) == 2
    assert len(set(kinds)) == 2 + 2 + 1
    assert set(kinds).isdisjoint(push_kinds(molecule, x, all_pushes(molecule, x)))


def test_kinds_do_not_depend_on_the_geometry_or_the_order_of_atoms(
    butadiene: tuple[Molecule, Positions],
) -> None:
    molecule, x = butadiene
    listed = all_pushes(molecule, x)
    kinds = push_kinds(molecule, x, listed)
    rng = np.random.default_rng(3)
    assert push_kinds(molecule, x + 0.03 * rng.normal(size=x.shape), listed) == kinds
    order = rng.permutation(molecule.n_atoms)
    place = {int(old): new for new, old in enumerate(order)}

    def moved(force: Mapping[str, Any]) -> ForceTerm:
        """The force with other numbers, and its sides changed."""
        a, b = (tuple(place[i] for i in side) for side in force["fragments"])
        return ForceTerm(b, a, force["sign"])

    others = [forced(*map(moved, offer.forces)) for offer in listed]
    permuted = Molecule(tuple(molecule.numbers[i] for i in order))
    assert push_kinds(permuted, x[order], others) == kinds


def test_kinds_are_the_same_in_every_session(butadiene: tuple[Molecule, Positions]) -> None:
    molecule, x = butadiene
    # Learned from a run file in another process, on another machine.
    assert push_kinds(molecule, x, [pushed(0, 3)]) == [158842062810901612]
    assert push_kinds(molecule, x, []) == []


def test_kinds_tell_pushes_of_no_terms_and_of_three_apart() -> None:
    molecule, x = Molecule.from_symbols(["C", "N", "O", "H"]), line(0)
    three = (*TERMS, ForceTerm((1,), (2,), 1))
    offers = [NOTHING, PUSH, forced(*three), forced(*three[::-1]), BOTH]
    kinds = push_kinds(molecule, x, offers)
    assert kinds[2] == kinds[3]
    assert len(set(kinds)) == 4
