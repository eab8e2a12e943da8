"""From distorted guesses back to 36 known transition states, and down to their ends.

Every guess is displaced at random by 0.1 Å an atom. Finding the state again means its energy to
1e-6 Eh and its imaginary wavenumber to 2 cm⁻¹. Ends must have the known energies to 0.5 kJ/mol or
be another conformer: the same atoms bonded to the same neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from known import REFERENCES, Reference, bond_graph, gfn2, noise

from afir.errors import AfirError
from afir.pes.driver import solve
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, Minimum, Outcome
from afir.units import HARTREE, KJ_PER_MOL
from afir.verification.transition_states import confirm

LIMITS = StepSettings(saddle_steps=200)
SMALL = ("hcn", "hcch", "h2co", "h2cnh", "rx_silane", "rx_meoh", "vinyl_alcohol", "hconhoh")


@dataclass(frozen=True)
class Landing:
    """Where one guess led; `ends` holds a word for each end of the known reaction."""

    case: str
    found: bool
    ends: tuple[str, ...]
    story: str

    @property
    def ends_agree(self) -> bool:
        return len(self.ends) == 2 and all(word != "another species" for word in self.ends)


def end_word(known: Reference, side: int, end: Minimum) -> str:
    """How an end compares with one of the known ends."""
    away = (end.energy - known.end_energies[side]) / KJ_PER_MOL
    if abs(away) < 0.5:
        return "the same"
    mine = bond_graph(known.molecule, end.positions)
    if mine == bond_graph(known.molecule, known.ends[side]):
        return f"another conformer ({away:+.1f} kJ/mol)"
    return "another species"


def paired(known: Reference, ends: tuple[Minimum, ...]) -> tuple[str, ...]:
    """The better of both ways to match the ends found with the ends known."""
    if len(ends) != 2:
        return ()
    ways = [
        (end_word(known, 0, ends[0]), end_word(known, 1, ends[1])),
        (end_word(known, 0, ends[1]), end_word(known, 1, ends[0])),
    ]
    return min(
        ways,
        key=lambda way: (
            [word != "the same" for word in way].count(True) + 10 * way.count("another species")
        ),
    )


def landing(case: str, seed: int) -> Landing:
    known = REFERENCES[case]
    surface = gfn2(known.molecule)
    guess = known.saddle + noise(known.saddle.shape, seed)
    try:
        top = solve(saddle(known.molecule, guess, LIMITS), surface)
        candidate = Candidate(top.positions, top.energy, top.hessian, "guess")
        proof = solve(confirm(known.molecule, candidate, LIMITS), surface)
    except AfirError as error:
        return Landing(case, False, (), f"{case}: {error}")
    away = proof.point.energy - known.energy
    wavenumber = float(proof.point.wavenumbers[0])
    found = (
        proof.outcome is Outcome.CONFIRMED
        and abs(away) < 1e-6 * HARTREE
        and abs(wavenumber - known.imaginary) < 2.0
    )
    ends = paired(known, proof.ends)
    story = (
        f"{case}: {top.outcome.name}, {proof.outcome.name}, {away / KJ_PER_MOL:+.3f} kJ/mol from "
        f"the known state, {wavenumber:.1f} cm⁻¹ (known {known.imaginary:.1f}), "
        f"ends: {'; '.join(ends) or 'none'}"
    )
    return Landing(case, found, ends, story)


@pytest.mark.parametrize("case", SMALL)
@pytest.mark.parametrize("seed", range(2))
def test_small_reactions_are_found_again_with_their_ends(case, seed):
    result = landing(case, seed)
    assert result.found, result.story
    assert result.ends == ("the same", "the same"), result.story


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_nearly_all_reactions_are_found_again(seed):
    landings = [landing(case, seed) for case in REFERENCES]
    lost = [item.story for item in landings if not item.found]
    astray = [item.story for item in landings if item.found and not item.ends_agree]
    print("\n".join(item.story for item in landings))
    found = sum(item.found for item in landings)
    agreeing = sum(item.found and item.ends_agree for item in landings)
    assert len(landings) == 36
    assert found >= 34, "\n".join(lost)
    assert agreeing >= 32, "\n".join(lost + astray)
