"""What is tried on a structure, and how the effort of a run decides it."""

from __future__ import annotations

from itertools import chain

import pytest
from ase.build import molecule as build
from minima import made_eq
from offered import inverted, kicked

from afir.errors import InputError
from afir.methods.base import Offer
from afir.molecule import Molecule
from networks.scheduling.offers import KICKS, Mixture
from networks.settings import Settings

ATOMS = build("H3CNH2")
MOLECULE = Molecule(tuple(ATOMS.numbers))
NITROGEN = MOLECULE.symbols.index("N")
EQ0 = made_eq(0, ATOMS.positions, 0.0)


def mixture(**options) -> Mixture:
    return Mixture(MOLECULE, Settings(**options), 0)


def listed(**options) -> list[Offer]:
    return mixture(**options).offers(EQ0)


def is_unlike(offer: Offer) -> bool:
    """Whether a push and a pull act together that share no atom."""
    if len(offer.forces) != 2:
        return False
    first, second = ({*chain(*force["fragments"])} for force in offer.forces)
    return offer.forces[0]["sign"] != offer.forces[1]["sign"] and first.isdisjoint(second)


def test_climbs_and_inversions_come_before_pushes():
    order = [offer.method for offer in listed()]
    assert order == sorted(order, key=["mode-following", "inversion", "sc-afir"].index)
    assert [offer for offer in listed() if offer.method == "inversion"] == [inverted(NITROGEN)]
    assert mixture().first_endless(EQ0, 8)[KICKS + 7] == kicked(7)


def test_the_methods_of_a_run_are_listed_in_their_order_and_depend_on_no_others():
    turned = listed(methods=("sc-afir", "inversion"))
    names = [offer.method for offer in turned]
    assert names == ["sc-afir"] * (len(turned) - 1) + ["inversion"]
    for name in ("sc-afir", "inversion", "mode-following"):
        assert listed(methods=(name,)) == [offer for offer in listed() if offer.method == name]


def test_offers_without_an_end_are_numbered_apart_and_come_in_pieces():
    first, more = (mixture().first_endless(EQ0, count) for count in (3, 6))
    assert first == {KICKS + number: kicked(number) for number in range(3)}
    assert list(more.items())[:3] == list(first.items())
    assert mixture(targets=(0,)).first_endless(EQ0, 3) == {}
    assert mixture(methods=("sc-afir",)).has_end


def test_what_cannot_be_a_mixture_is_refused():
    with pytest.raises(InputError, match=r"`method` must be one of .*kick.*, got 'addf'"):
        mixture(methods=("addf",))
    with pytest.raises(InputError, match="the method 'sc-afir' has no option 'kap'; did you mean"):
        mixture(method_options={"sc-afir": {"kap": 3}})
    with pytest.raises(InputError, match="`effort` must be normal or thorough"):
        mixture(methods=("kick",), effort="quick")


def test_an_atom_that_is_no_target_is_not_inverted():
    carbon, hydrogen = MOLECULE.symbols.index("C"), MOLECULE.symbols.index("H")
    assert inverted(NITROGEN) not in listed(targets=(carbon, hydrogen))
    assert inverted(NITROGEN) in listed(targets=(NITROGEN,))


def test_the_effort_decides_which_modes_are_climbed_and_which_terms_act_together():
    modes = {
        effort: {offer.data["mode"] for offer in listed(effort=effort) if "mode" in offer.data}
        for effort in ("quick", "normal", "thorough")
    }
    assert modes["quick"] == set(range(6))
    assert modes["normal"] == modes["thorough"] == set(range(15))
    assert not any(map(is_unlike, listed()))
    assert any(map(is_unlike, listed(effort="thorough")))
    texts = {effort: {offer.text for offer in listed(effort=effort)} for effort in modes}
    assert texts["normal"] < texts["thorough"]


def test_an_option_of_a_method_goes_before_the_effort():
    two = listed(method_options={"mode-following": {"modes": 2}})
    assert {offer.data.get("mode") for offer in two} == {0, 1, None}
    single = listed(method_options={"sc-afir": {"terms": 1}})
    assert {len(offer.forces) for offer in single} == {0, 1}
