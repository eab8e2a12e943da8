"""What is tried on a structure, and how the effort of a run decides it."""

from __future__ import annotations

import numpy as np
from ase.build import molecule as build

from afir.methods.artificial_force import ForceTerm
from afir.methods.displacements import Inversion, Kick, Uphill
from afir.molecule import Molecule
from networks.records.structures import EQ
from networks.scheduling.offers import KICKS, offered, offers
from networks.settings import Settings

ATOMS = build("H3CNH2")
MOLECULE = Molecule(tuple(ATOMS.numbers))
NITROGEN = MOLECULE.symbols.index("N")
EQ0 = EQ("EQ0", ATOMS.positions, 0.0, np.ones(15), np.eye(21))


def listed(**options):
    return offers(MOLECULE, EQ0, Settings(**options), np.random.default_rng(0))


def is_unlike(push) -> bool:
    """Whether a push and a pull act together that share no atom."""
    if len(push) != 2:
        return False
    first, second = ({*term.a, *term.b} for term in push)
    return push[0].direction != push[1].direction and first.isdisjoint(second)


def test_climbs_and_inversions_come_before_pushes():
    order = [type(terms[0]) for terms in listed()]
    assert order == sorted(order, key=[Uphill, Inversion, ForceTerm].index)
    assert [terms for terms in listed() if isinstance(terms[0], Inversion)] == [
        (Inversion(NITROGEN),)
    ]
    assert offered(listed(), KICKS + 7) == (Kick(7),)


def test_an_atom_that_is_no_target_is_not_inverted():
    carbon, hydrogen = MOLECULE.symbols.index("C"), MOLECULE.symbols.index("H")
    assert (Inversion(NITROGEN),) not in listed(targets=(carbon, hydrogen))
    assert (Inversion(NITROGEN),) in listed(targets=(NITROGEN,))


def test_the_effort_decides_which_modes_are_climbed_and_which_terms_act_together():
    modes = {
        effort: {t[0].mode for t in listed(effort=effort) if isinstance(t[0], Uphill)}
        for effort in ("quick", "normal", "thorough")
    }
    assert modes["quick"] == set(range(6))
    assert modes["normal"] == modes["thorough"] == set(range(15))
    assert not any(map(is_unlike, listed()))
    assert any(map(is_unlike, listed(effort="thorough")))
    assert set(listed()) < set(listed(effort="thorough"))
