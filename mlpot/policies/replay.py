"""Explorations that are replayed: their trials in another order, with what each brings then.

What is new depends on what was found before. Trials know all structures that they met, so a run
says what any order of its own trials would have brought, and for how many gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from afir.methods.base import Offer
from afir.pes.driver import search_gradients
from afir.policies import PastRun, Structures, Tried
from afir.units import KJ_PER_MOL
from mlpot.policies.memory import Grouping, Memory
from mlpot.policies.pool import Described, correction_terms
from mlpot.policies.structure import DescribedStructure, Floats, Ints

LOW = 300.0
"""kJ/mol above the start below which transition states count as low."""


class Brings(NamedTuple):
    """What a trial brings: new structures, and gradients.

    Attributes
    ----------
    tss, low, eqs
        The number of new TSs, of those the ones below `LOW`, and of new EQs.
    gradients
        Of the search and of the verification of what is new.
    """

    tss: int
    low: int
    eqs: int
    gradients: float


class World:
    """All that a run says about its trials.

    Attributes
    ----------
    name, surface, formula
        Of the run, and of its molecule.
    numbers
        The elements of its molecule.
    described
        (m, k) features of the offers.
    groups
        (m, 7) their groups (`memory.Grouping`).
    ways
        (m,) numbers of `correction.WAYS`.
    heights
        (m,) energies of their structures above the start in eV.
    searched
        (m,) gradients of each search.
    tss
        The ids of all TSs that its trials met.
    """

    def __init__(self, run: PastRun) -> None:
        self.name, self.surface = run.name, run.surface
        network = run.network
        self.formula = network.molecule.formula
        self.numbers = frozenset(network.molecule.numbers)
        start = network.eqs["EQ0"].energy
        trials = [trial for trial in run.trials if trial.eq in network.eqs and trial.gradients]
        grouping = Grouping()
        offers = self._offers(trials, network, grouping)
        self.described = np.array([each.features[0] for each in offers])
        self.groups: Ints = np.array([each.groups[0] for each in offers]).reshape(-1, 7)
        self.ways: Ints = np.array([each.ways[0] for each in offers], dtype=np.int64)
        self.heights: Floats = np.array([each.height for each in offers])
        self.eq = [str(trial.eq) for trial in trials]
        self.searched: Floats = np.array(
            [max(search_gradients(trial.gradients), 1) for trial in trials], float
        )
        self._proof = self._proofs(trials)
        self._low = {id for id, ts in network.tss.items() if (ts.energy - start) / KJ_PER_MOL < LOW}
        self._ends = {id: tuple(map(str, ts.ends)) for id, ts in network.tss.items()}
        self._met_tss = [{str(id) for id in t.met if id in network.tss} for t in trials]
        self._met_eqs = [{str(id) for id in t.met if id in network.eqs} for t in trials]
        self._species = {
            id: grouping.species_of(DescribedStructure(network.molecule, eq))
            for id, eq in network.eqs.items()
        }
        self.tss: set[str] = set().union(*self._met_tss)
        self.low_tss = self.tss & self._low

    def __len__(self) -> int:
        return len(self.eq)

    def start(self) -> Replay:
        """A replay from the beginning."""
        return Replay(self)

    @staticmethod
    def _offers(
        trials: Sequence[Tried], network: Structures, grouping: Grouping
    ) -> list[Described]:
        """The offer of each trial."""
        start = network.eqs["EQ0"].energy
        offers: list[Described] = []
        structures: dict[str, DescribedStructure] = {}
        for trial in trials:
            eq = network.eqs[trial.eq]
            if eq.id not in structures:
                structures[eq.id] = DescribedStructure(network.molecule, eq)
            offer = Offer(trial.method, trial.offer)
            offers.append(Described(structures[eq.id], [offer], eq.energy - start, grouping))
        return offers

    def _proofs(self, trials: Sequence[Tried]) -> dict[str, float]:
        """The gradients of the verification of each TS: an equal share of those of its trial."""
        proofs: dict[str, float] = {}
        for trial in trials:
            mine = [str(id) for id in trial.found if id.startswith("TS")]
            spent = sum(trial.gradients.values()) - search_gradients(trial.gradients)
            proofs |= dict.fromkeys(mine, spent / max(len(mine), 1))
        return proofs

    def new(self, trial: int, known: set[str]) -> tuple[set[str], set[str]]:
        """The TSs and EQs that a trial adds to those that are known."""
        tss = self._met_tss[trial] - known
        reached = self._met_eqs[trial].union(*(self._ends[ts] for ts in tss))
        return tss, {id for id in reached if id.startswith("EQ")} - known

    def gradients(self, trial: int, tss: set[str]) -> float:
        """The gradients of a trial that adds these TSs."""
        return float(self.searched[trial]) + sum(self._proof.get(ts, 0.0) for ts in tss)

    def low(self, tss: set[str]) -> int:
        """How many of these TSs are low."""
        return len(tss & self._low)

    def species(self, id: str) -> int:
        """The number of the species of an EQ."""
        return self._species[id]

    def links(self, tss: set[str]) -> list[tuple[int, int]]:
        """The species that these TSs connect."""
        ends = [self._ends[ts] for ts in tss]
        return [
            (self._species[a], self._species[b])
            for a, b in ends
            if a in self._species and b in self._species
        ]


class Replay:
    """A replay under way.

    Attributes
    ----------
    done
        The trials so far, in order.
    curve
        (gradients, TSs, low TSs) after each trial, from (0, 0, 0) on.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.memory = Memory()
        self.known: set[str] = {"EQ0"}
        self.memory.know([world.species("EQ0")])
        self.done: list[int] = []
        self.curve: list[tuple[float, int, int]] = [(0.0, 0, 0)]
        self._left = np.ones(len(world), dtype=bool)

    def available(self) -> Ints:
        """The trials whose structure is known and that were not done."""
        left = np.flatnonzero(self._left).tolist()
        return np.array([i for i in left if self.world.eq[i] in self.known], dtype=np.int64)

    def brings(self, trial: int) -> Brings:
        """What a trial would bring now."""
        tss, eqs = self.world.new(trial, self.known)
        return Brings(len(tss), self.world.low(tss), len(eqs), self.world.gradients(trial, tss))

    def do(self, trial: int) -> Brings:
        """Do a trial."""
        brings, (tss, eqs) = self.brings(trial), self.world.new(trial, self.known)
        self._left[trial] = False
        self.done.append(trial)
        self.known |= tss | eqs
        self.memory.add(self.world.groups[trial], brings.tss + brings.eqs)
        self.memory.know(map(self.world.species, eqs), self.world.links(tss))
        spent, found, low = self.curve[-1]
        self.curve.append((spent + brings.gradients, found + brings.tss, low + brings.low))
        return brings

    def rows(self, trials: Ints) -> Floats:
        """The features of trials now: of the offer, then of the run so far."""
        now = self.memory.features(self.world.groups[trials])
        return np.hstack([self.world.described[trials], now])

    def terms(self, trials: Ints) -> Floats:
        """The terms of the correction of trials now."""
        world = self.world
        groups = world.groups[trials]
        now = self.memory.features(groups)
        return correction_terms(groups, world.ways[trials], world.heights[trials], self.memory, now)
