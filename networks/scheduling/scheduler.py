"""The trials of a run: which pushes, of which EQs, how often, up to which energy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from functools import cached_property

from afir.geometry.bonds import bonds, bonds_changed
from afir.methods.base import Offer
from afir.units import KJ_PER_MOL
from networks.graph.flags import LOOP, flags_of
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.structures import COMPLEX, EQ
from networks.records.trials import KICKED, Item, Result
from networks.scheduling.history import History
from networks.scheduling.offers import KICKS, Mixture
from networks.scheduling.queue import Frontier
from networks.scheduling.retries import further_attempts, further_kicks
from networks.settings import Settings

CHOICE, PUSHES, TRIAL, LINES = 1, 2, 3, 4
"""The streams of random numbers: each purpose has its own, beside the seed."""

_SLACK = 0.3  # eV: allowed change of an energy from one surface to another


class KeptBack(Enum):
    """Why an EQ is not pushed."""

    WINDOW = "it lies above the window"
    COMPLEX = "it is a complex"
    DEPTH = "too many bonds have changed"


class Outlook:
    """The trials that are left in a run; they follow from the settings and the trials so far.

    Parameters
    ----------
    settings
        Of the run.
    network, dismissals
        The known structures, updated by the exploration.
    history
        The trials so far, updated by the exploration.
    """

    def __init__(
        self,
        settings: Settings,
        network: ReactionNetwork,
        dismissals: Dismissals,
        history: History,
    ) -> None:
        self._settings = settings
        self._network = network
        self._dismissals = dismissals
        self._history = history
        self._several = len(settings.targets or ()) > 1  # atoms are named
        self._first = Frontier(
            lambda eq: dict(enumerate(self.pushes(eq))),
            late=lambda offer: offer.late,
        )
        self._ahead = Frontier(self._forces)  # of those, the pushes that come before all others
        self._none = Frontier(lambda eq: {})
        self._again: Frontier | None = None
        self._attempt = 0  # of `_again`; KICKED for random geometries
        self._attempts = 0  # the maximum when `_again` was worked out
        self._exhausted = False
        self._dull: tuple[tuple[int, int], set[str]] = (0, 0), set()

    def read(self) -> None:
        """Take in the trials so far."""
        used: dict[str, list[int]] = {}
        left: dict[str, int] = {}
        for item, others, _ in self._history.used():
            used.setdefault(item.eq, []).append(item.push)
            left[item.eq] = others
        for eq in self._network.eqs.values():
            self._expand(eq, used.get(eq.id, ()), left.get(eq.id))

    def take(self, eqs: Iterable[EQ]) -> None:
        """Take in the new EQs of a stage, after which other pushes may be due."""
        self._exhausted = False
        for eq in eqs:
            self._again = None  # as a resumed run would see it
            self._expand(eq)

    def frontier(self, attempts: int) -> Frontier:
        """The pushes to choose from: those never tried, then further attempts.

        With several target atoms, single forces between them on the start come before all others,
        and pairs of forces come last on each EQ: the target atoms are meant to react.

        Further attempts begin when all trials before are judged, and so does each next attempt:
        until then the frontier is empty. All of this follows from the trials so far and those in
        flight, so that a resumed run chooses from the same pushes.

        Parameters
        ----------
        attempts
            Maximum attempts at a push now.
        """
        if self._ahead.anything_left():
            return self._ahead
        if self._exhausted or self._first.anything_left():
            self._again = None
            return self._first
        flying = Counter(planned.attempt for planned in self._history.in_flight())
        wanted = self._kicks_wanted()
        kicking = wanted > 0
        if any(attempt == 0 or kicking is not (attempt == KICKED) for attempt in flying):
            return self._none
        if kicking and flying[KICKED] >= wanted:
            return self._none  # enough, if none of them finds anything
        over = self._again is None or not self._again.anything_left()
        if over or kicking is not (self._attempt == KICKED) or attempts != self._attempts:
            self._again, self._attempts = None, attempts
            for attempt, further in self._further(attempts, kicking):
                if attempt in flying or further.anything_left():
                    self._again, self._attempt = further, attempt
                    break
        if self._again is not None and set(flying) <= {self._attempt}:
            return self._again
        if flying:
            return self._none
        self._exhausted = True
        return self._first

    def _kicks_wanted(self) -> int:
        """How many more offers without an end are due, when everything was tried once."""
        effort = self._settings.tried
        if self._mixture.has_end:
            return 0
        enough = max(effort.kicks * sum(1 for _ in self._expanded()), effort.fewest_kicks)
        return max(0, enough - self._history.barren_kicks(KICKS, self._known_as_dull()))

    def _known_as_dull(self) -> set[str]:
        """Ids that do not count as new: EQs that are not worth expanding, loops."""
        eqs, tss = self._network.eqs, self._network.tss
        size = len(eqs), len(tss)
        if self._dull[0] != size:
            dull = {eq.id for eq in eqs.values() if not self.worth_expanding(eq)}
            self._dull = size, dull | {ts.id for ts in tss.values() if LOOP in flags_of(ts)}
        return self._dull[1]

    def _further(self, attempts: int, kicking: bool) -> Iterator[tuple[int, Frontier]]:
        """The frontiers of further attempts with their numbers, worked out one by one."""
        effort = self._settings.tried
        if kicking:
            used = self._history.used()
            yield KICKED, further_kicks(used, self._expanded(), self._mixture.first_endless)
        # With a reference the gradients of searches do not count.
        every = bool(self._settings.reference)
        attempt = 1
        while attempt < attempts or 2.0 ** (attempt - 1) < effort.gamma_factor:

            def due(result: Result, attempt: int = attempt) -> bool:
                # A climb starts from the same geometry; only a learned surface makes it different.
                if result is Result.RUNNING:
                    return False
                same = result is Result.DISPLACED and not self._settings.learn
                again = result is Result.MISSED or (every and not same)
                harder = result is Result.UNMOVED and 2.0 ** (attempt - 1) < effort.gamma_factor
                return (attempt < attempts and again) or harder

            used = self._history.used()
            yield attempt, further_attempts(attempt, used, self._expanded(), self.pushes, due)
            attempt += 1

    def _expanded(self) -> Iterator[EQ]:
        """The EQs that are worth expanding."""
        return filter(self.worth_expanding, self._network.eqs.values())

    def is_first(self, frontier: Frontier) -> bool:
        """Whether it holds pushes that were never tried."""
        return frontier is self._first or frontier is self._ahead

    def attempt(self, frontier: Frontier) -> int:
        """Which attempt its pushes are, see `networks.records.trials.Planned.attempt`."""
        return 0 if self.is_first(frontier) else self._attempt

    def use(self, frontier: Frontier, item: Item) -> Offer:
        """A chosen offer, which is used up."""
        if frontier is self._ahead:
            self._first.take(item)
        return frontier.take(item)

    def never_tried(self, eq: str) -> int:
        """Number of pushes of an EQ that were never tried."""
        return self._first.count(eq)

    def all_never_tried(self) -> int:
        """Number of pushes that were never tried."""
        return sum(self.never_tried(id) for id in list(self._first.eqs))

    def pushes(self, eq: EQ) -> list[Offer]:
        """All pushes of an EQ, the same each time."""
        return self._mixture.offers(eq)

    @cached_property
    def _mixture(self) -> Mixture:
        """The methods: only those who ask for offers need them."""
        return Mixture(self._network.molecule, self._settings, PUSHES)

    def gamma(self, item: Item) -> float | None:
        """γ in kJ/mol of a push; None if it is that of the settings.

        It is doubled if the attempt before crossed no barrier, and stays the same if it did.
        """
        if item.push >= KICKS:
            return None
        gamma = self._settings.step.gamma
        count = len(self.pushes(self._network.eqs[item.eq]))
        attempt = item.push // count
        before = self._history.last(Item(item.eq, item.push - count)) if attempt else None
        if before is None:
            return None
        result, crossed_at = before
        most = self._settings.tried.gamma_factor
        if result is Result.UNMOVED and 2.0 ** (attempt - 1) < most:
            return min(2.0**attempt, most) * gamma
        return crossed_at if crossed_at > gamma else None

    @property
    def ceiling(self) -> float | None:
        """Energy in eV of the upper end of the window; None without a window."""
        window = self._settings.window_kj_mol
        if window is None:
            return None
        return self._network.eqs["EQ0"].energy + window * KJ_PER_MOL

    @property
    def searched_ceiling(self) -> float | None:
        """The ceiling on the searched surface, with a margin for its errors."""
        ceiling = self.ceiling
        if ceiling is None or not self._settings.reference:
            return ceiling
        zero = self._dismissals.zero
        if zero is None:
            return None  # the searched surface fails at EQ0: nothing can be compared
        return ceiling + _SLACK + zero - self._network.eqs["EQ0"].energy

    def _expand(self, eq: EQ, used: Sequence[int] = (), left: int | None = None) -> None:
        if self.worth_expanding(eq):
            self._first.add(eq, used, left)
            if eq.id == "EQ0" and self._several:
                self._ahead.add(eq, used)

    def _forces(self, eq: EQ) -> dict[int, Offer]:
        """The single forces on an EQ, by number."""
        listed = enumerate(self.pushes(eq))
        return {number: offer for number, offer in listed if len(offer.forces) == 1}

    def worth_expanding(self, eq: EQ) -> bool:
        """Whether an EQ is pushed."""
        return next(self._reasons(eq), None) is None

    def kept_back(self, eq: EQ) -> tuple[KeptBack, ...]:
        """The reasons not to expand an EQ; none if it is worth expanding."""
        return tuple(self._reasons(eq))

    def _reasons(self, eq: EQ) -> Iterator[KeptBack]:
        """The reasons not to expand an EQ, one after the other."""
        if eq.id == "EQ0":
            return
        if COMPLEX in eq.flags and not self._settings.expand_complexes:
            yield KeptBack.COMPLEX
        if self._above_ceiling(eq):
            yield KeptBack.WINDOW
        if self._too_deep(eq):
            yield KeptBack.DEPTH

    def _above_ceiling(self, eq: EQ) -> bool:
        ceiling = self.ceiling
        return ceiling is not None and eq.energy > ceiling

    def _too_deep(self, eq: EQ) -> bool:
        settings, start = self._settings, self._network.eqs["EQ0"]
        if settings.bond_depth is None:
            return False
        molecule = self._network.molecule
        changed = bonds_changed(bonds(molecule, start.positions), bonds(molecule, eq.positions))
        return changed > settings.bond_depth
