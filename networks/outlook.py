"""What is worth trying: which pushes there are, of which EQs, how often, up to which energy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from afir.bonds import bonds, bonds_changed
from afir.units import KJ_PER_MOL
from networks.attempts import further_attempts, further_kicks
from networks.dismissals import Dismissals
from networks.frontier import Frontier, PushTerms
from networks.network import ReactionNetwork
from networks.offers import KICKS, offers
from networks.records import COMPLEX, EQ, Item, Result
from networks.store import Store

CHOICE, PUSHES, TRIAL = 1, 2, 3
"""What random numbers are made from, after the seed: each purpose has its own stream."""

_SLACK = 0.3  # eV: what an energy may change by from one surface to another


class Outlook:
    """What is left to try in a run; follows from what is written and the settings.

    Parameters
    ----------
    store
        The run.
    network, dismissals
        What is known, kept up to date by others.
    """

    def __init__(self, store: Store, network: ReactionNetwork, dismissals: Dismissals) -> None:
        self._store = store
        self._settings = store.settings
        self._network = network
        self._dismissals = dismissals
        self._first = Frontier(lambda eq: dict(enumerate(self.pushes(eq))))
        self._again: Frontier | None = None
        self._exhausted = False

    def read(self) -> None:
        """Take in what has been tried so far."""
        used: dict[str, list[int]] = {}
        left: dict[str, int | None] = {}
        for item, others, _ in self._store.used():
            used.setdefault(item.eq, []).append(item.push)
            left[item.eq] = others
        for eq in self._network.eqs.values():
            self._expand(eq, used.get(eq.id, ()), left.get(eq.id))

    def take(self, eqs: Iterable[EQ]) -> None:
        """A round is over and has brought these EQs."""
        self._exhausted = False
        for eq in eqs:
            self._expand(eq)

    def frontier(self, attempts: int) -> Frontier:
        """What is chosen from: pushes never tried, then what is tried once more, and again.

        Which of them there are follows from what is written, so that a resumed run chooses from
        the same.

        Parameters
        ----------
        attempts
            How often a push is tried at most, as things are.
        """
        if self._exhausted or self._first.anything_left():
            self._again = None
            return self._first
        if self._again is None or not self._again.anything_left():
            further = (f for f in self._further(attempts) if f.anything_left())
            self._again = next(further, None)
        if self._again is None:
            self._exhausted = True
            return self._first
        return self._again

    def _further(self, attempts: int) -> Iterator[Frontier]:
        """What there may be when everything was tried once, worked out as it is asked for."""
        settings = self._settings
        effort = settings.tried
        enough = max(effort.kicks * sum(1 for _ in self._expanded()), effort.fewest_kicks)
        if settings.targets is None and self._store.barren_kicks(KICKS) < enough:
            yield further_kicks(self._store.used(), self._expanded())
        # Searches cost no gradient that counts where there is a reference.
        every = bool(settings.reference)
        attempt = 1
        while attempt < attempts or 2.0**attempt <= effort.gamma_factor:

            def due(result: Result, attempt: int = attempt) -> bool:
                again = attempt < attempts and (every or result is Result.MISSED)
                harder = 2.0**attempt <= effort.gamma_factor and result is Result.UNMOVED
                return again or harder

            yield further_attempts(attempt, self._store.used(), self._expanded(), self.pushes, due)
            attempt += 1

    def _expanded(self) -> Iterator[EQ]:
        """The EQs that are worth expanding."""
        return filter(self._worth_expanding, self._network.eqs.values())

    def is_first(self, frontier: Frontier) -> bool:
        """Whether it holds pushes that were never tried."""
        return frontier is self._first

    def pushes(self, eq: EQ) -> list[PushTerms]:
        """All pushes of an EQ, the same whenever they are worked out."""
        settings = self._settings
        return offers(
            self._network.molecule,
            eq,
            settings,
            np.random.default_rng([settings.seed, PUSHES, eq.number]),
        )

    def gamma(self, item: Item) -> float | None:
        """γ in kJ/mol of an item, where it is not that of the settings.

        What crossed nothing in the attempt before is pushed twice as hard, and what crossed as
        hard as then.
        """
        if item.push >= KICKS:
            return None
        gamma = self._settings.step.gamma
        count = len(self.pushes(self._network.eqs[item.eq]))
        attempt = item.push // count
        before = self._store.last_attempt(Item(item.eq, item.push - count)) if attempt else None
        if before is None:
            return None
        result, crossed_at = before
        factor = 2.0**attempt
        if result is Result.UNMOVED and factor <= self._settings.tried.gamma_factor:
            return factor * gamma
        return crossed_at if crossed_at > gamma else None

    @property
    def ceiling(self) -> float | None:
        """Energy in eV above which nothing is of interest; None if there is no limit."""
        window = self._settings.window_kj_mol
        if window is None:
            return None
        return self._network.eqs["EQ0"].energy + window * KJ_PER_MOL

    @property
    def searched_ceiling(self) -> float | None:
        """The ceiling as energies are on the surface that is searched, with room for its errors."""
        ceiling = self.ceiling
        if ceiling is None or not self._settings.reference:
            return ceiling
        zero = self._dismissals.zero
        if zero is None:
            return None  # the searched surface fails at EQ0: nothing can be compared
        return ceiling + _SLACK + zero - self._network.eqs["EQ0"].energy

    def _expand(self, eq: EQ, used: Sequence[int] = (), left: int | None = None) -> None:
        if self._worth_expanding(eq):
            self._first.add(eq, used, left)

    def _worth_expanding(self, eq: EQ) -> bool:
        settings, start = self._settings, self._network.eqs["EQ0"]
        if eq.id == start.id:
            return True
        if COMPLEX in eq.flags and not settings.expand_complexes:
            return False
        ceiling = self.ceiling
        if ceiling is not None and eq.energy > ceiling:
            return False
        if settings.bond_depth is None:
            return True
        molecule = self._network.molecule
        changed = bonds_changed(bonds(molecule, start.positions), bonds(molecule, eq.positions))
        return changed <= settings.bond_depth
