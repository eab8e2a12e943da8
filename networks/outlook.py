"""What is worth trying: which pushes there are, of which EQs, how often, up to which energy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from afir.bonds import bonds, bonds_changed
from afir.fragments import pushes
from afir.units import KJ_PER_MOL
from networks.attempts import further_attempts
from networks.dismissals import Dismissals
from networks.frontier import Frontier, PushTerms
from networks.network import ReactionNetwork
from networks.records import COMPLEX, EQ
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
        attempt = 1
        while self._again is None or not self._again.anything_left():
            if attempt >= attempts:
                self._exhausted = True
                return self._first
            eqs = filter(self._worth_expanding, self._network.eqs.values())
            # Searches cost no gradient that counts where there is a reference.
            tried = self._store.used(all_missed=bool(self._settings.reference))
            self._again = further_attempts(attempt, tried, eqs, self.pushes)
            attempt += 1
        return self._again

    def is_first(self, frontier: Frontier) -> bool:
        """Whether it holds pushes that were never tried."""
        return frontier is self._first

    def pushes(self, eq: EQ) -> list[PushTerms]:
        """All pushes of an EQ, the same whenever they are worked out."""
        settings = self._settings
        return pushes(
            self._network.molecule,
            eq.positions,
            targets=settings.targets,
            terms=settings.terms,
            rng=np.random.default_rng([settings.seed, PUSHES, eq.number]),
        )

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
