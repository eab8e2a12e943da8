"""Policies and surfaces as strangers may write them, registered as a package would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np

from afir.errors import InputError
from afir.methods.base import Known
from afir.molecule import Molecule, Positions
from afir.pes.loading import load_surface
from afir.pes.surface import Evaluation, Surface
from afir.stationary import Candidate, Outcome, StationaryPoint, TrialResult
from networks.graph.network import ReactionNetwork
from networks.records.trials import Item, Trial
from networks.scheduling.queue import Frontier


def register(folder: Path) -> None:
    """Make a policy ``strange``, a method ``odd`` and a surface ``wrong`` known on the path."""
    package = folder / "strangers-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Name: strangers\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[afir.policies]\nstrange = strangers:strange\n[afir.surfaces]\nwrong = strangers:wrong\n"
        "[afir.methods]\nodd = strangers:Odd\n"
    )


@dataclass(frozen=True)
class Strange:
    """A policy that answers as it should until some trials are judged, then as `how` says."""

    how: str
    trials: int

    def choose(
        self, frontier: Frontier, network: ReactionNetwork, n: int, rng: np.random.Generator
    ) -> Any:
        """See `afir.policies.Policy`; what it may say wrongly."""
        eq = next(iter(frontier.by_energy()))
        left = [Item(eq.id, push) for push in frontier.left(eq.id)]
        if len(SEEN) < self.trials:
            return left[:n]
        if self.how == "exits":
            raise SystemExit(4)
        if self.how == "moves":
            x = network.eqs["EQ0"].positions
            x += 1.0
        return {
            "twice": lambda: [left[0], left[0]],
            "plain": lambda: [tuple(item) for item in left[:n]],
            "triples": lambda: [(*item, 1) for item in left[:n]],
            "too many": lambda: [
                Item(each.id, push)
                for each in frontier.by_energy()
                for push in frontier.left(each.id)
            ],
            "not left": lambda: [Item(eq.id, 10**9)],
            "unknown": lambda: [Item("EQ999", 0)],
            "no number": lambda: [Item(eq.id, "0")],  # type: ignore[arg-type]
            "no id": lambda: [Item("start", 0)],  # type: ignore[arg-type]
            "nothing": lambda: [],
            "None": lambda: None,
            "lazy": lambda: iter(left[:n]),
            "endless": lambda: repeat(left[0]),
            "raises": lambda: {}["a key"],
            "NumPy": lambda: [Item(eq.id, np.int64(item.push)) for item in left[:n]],  # type: ignore[arg-type]
        }[self.how]()

    def learn(self, trials: Iterable[Trial], network: ReactionNetwork) -> None:
        """Note the trials."""
        if self.how == "deaf" and list(trials):
            raise ValueError("no memory")
        if self.how == "deaf and gone" and list(trials):
            raise SystemExit(4)
        SEEN.update(trial.number for trial in trials)


SEEN: set[int] = set()
"""Trials that a policy of this process has heard of."""


def strange(how: str = "", trials: int = 0) -> Strange:
    """The policy ``strange``."""
    if how == "unbuilt":
        raise RuntimeError("no licence")
    SEEN.clear()
    return Strange(how, trials)


@dataclass(frozen=True)
class Odd:
    """A method that offers one trial, and does something wrong as `how` says."""

    how: str = ""

    def offers(self, known: Known, rng: np.random.Generator) -> Iterator[Any]:
        """See `afir.methods.base.Method`; what it may say wrongly."""
        if self.how == "raises":
            raise KeyError("a key")
        if self.how == "exits":
            raise SystemExit(3)
        force = {"sign": 2, "fragments": [[0], [1]]}
        yield {
            "NumPy": {"size": np.int64(3)},
            "NaN": {"size": float("nan")},
            "text": "rattle",
            "atoms": {"atoms": [0, known.molecule.n_atoms]},
            "sign": {"forces": [force]},
            "force": {"forces": ["+0|1"]},
            "half an atom": {"forces": [{"sign": 1, "fragments": [[0.5], [1]]}]},
            "no fragments": {"forces": [{"sign": 1, "fragments": ["01", [2]]}]},
            "one force": {"forces": force},
            "atom": {"atoms": 3},
            "true atom": {"atoms": [True]},
            "words": {"kind": ["odd"]},
            "soft": {"mode": "soft"},
            "late": {"late": "yes"},
        }.get(self.how, {"kind": "odd"})
        while self.how == "no end":
            yield {}

    def search(
        self, molecule: Molecule, start: StationaryPoint, data: Any, *_: Any, **__: Any
    ) -> Any:
        """See `afir.methods.base.Method`; what it may do wrongly."""
        if self.how == "exits in the search":
            raise SystemExit(3)
        if self.how == "misuse":
            raise InputError("`how` must be right")
        if self.how == "moves the start":
            x = start.positions
            x += 0.1
        if self.how == "changes the radii":
            radii = molecule.radii
            radii *= 1.1
        if self.how == "changes the offer":
            data["atoms"][0] = 2
            data["kind"] = "even"
        return {
            "changes the offer": lambda: _returning(_trial(start.positions)),
            "list": lambda: _returning(replace(_trial(start.positions), candidates=[])),
            "no search": lambda: TrialResult(Outcome.NO_SADDLE, (), (), False),
            "no result": lambda: _returning(None),
            "no geometry": lambda: _returning(_trial(start.positions[:1])),
            "one atom": lambda: _returning(None, start.positions[None, :1]),
            "right": lambda: _returning(_trial(start.positions), start.positions[None]),
        }[self.how]()


def _trial(x: Positions) -> TrialResult:
    """A trial that led to a geometry."""
    return TrialResult(Outcome.FOUND, (Candidate(x, 0.0, np.eye(x.size), "odd"),), (), False)


def _returning(result: Any, asked: Positions | None = None) -> Any:
    """A search that asks for geometries once, if at all, and returns something."""
    if asked is not None:
        yield asked
    return result


@dataclass(frozen=True)
class Wrong:
    """GFN2-xTB with something wrong about it.

    ``half`` of the gradient; ``missing``, that of the first atom; ``flat``, neither energy nor
    gradient; ``state``, the energies of another state; ``drift``, an energy that rises with every
    geometry by `size`; ``solutions``, an energy `size` higher in the first geometries of a search,
    as of an SCF that finds the lower solution from another one only; ``rough``, gradients a few
    per cent off; ``steep``, gradients far off; ``NaN``; ``short``, one atom left out; ``right``.
    """

    right: Surface
    how: str
    size: float
    asked: list[int] = field(default_factory=list)
    known: WeakSet[object] = field(default_factory=WeakSet)

    @property
    def molecule(self) -> Molecule:
        """As it is."""
        return self.right.molecule

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """See `afir.pes.surface.Surface`."""
        said = self.right.evaluate(positions, owners)
        energies, gradients = said.energies.copy(), said.gradients.copy()
        if self.how == "half":
            gradients *= 0.5
        elif self.how == "rough":
            gradients *= 1.1
        elif self.how == "missing":
            gradients[:, 0] = 0.0
        elif self.how == "flat":
            energies[:], gradients[:] = -5.0, 0.0
        elif self.how == "state":
            apart = np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)
            energies += 3.0 - 2.0 * apart
        elif self.how == "drift":
            energies += self.size * (sum(self.asked) + np.arange(len(positions)))
        elif self.how == "solutions":
            known = [owner in self.known for owner in owners or [None] * len(positions)]
            energies += np.where(known, 0.0, self.size)
            self.known.update(filter(None, owners or ()))
        elif self.how == "steep":
            gradients += 3.0
        elif self.how == "NaN":
            energies[:], gradients[:] = np.nan, np.nan
        elif self.how == "short":
            gradients = gradients[:, 1:]
        self.asked.append(len(positions))
        return replace(said, energies=energies, gradients=gradients)

    def for_paths(self) -> Surface:
        """Itself."""
        return self


def wrong(molecule: Molecule, *, how: str = "right", size: float = 0.0) -> Wrong:
    """The factory of the surface ``wrong``."""
    return Wrong(load_surface("gfn2", molecule), how, size)
