"""Made-up runs to learn from: bent chains of atoms whose trials bring what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
from minima import made_eq
from offered import climbed, pulled, pushed

from afir.methods.base import Offer
from afir.molecule import Molecule
from afir.policies import PastRun

FORMULAS = ("CNOH", "CCOO", "CNSH", "CCSO", "CCCO", "NNOS")
"""Atoms of chains, each of another formula."""

Found = Callable[[Offer, np.random.Generator], int]
"""How many new TSs a trial brings."""


@dataclass
class Known:
    """The known structures of a run (`afir.policies.Structures`)."""

    molecule: Molecule
    eqs: dict[str, Any]
    tss: dict[str, Any] = field(default_factory=dict)


def chain(length: int) -> np.ndarray:
    """A bent chain of atoms in Å."""
    steps = [(1.3 * np.cos(0.9 * (k % 2)), 1.3 * np.sin(0.9 * (k % 2)), 0.1) for k in range(length)]
    return np.cumsum(steps, axis=0)


def offers(size: int) -> list[Offer]:
    """Pushes and pulls of all pairs, and climbs."""
    pairs = list(combinations(range(size), 2))
    climbs = [climbed(mode, sign) for mode in range(3) for sign in (1, -1)]
    return [*(pushed(i, j) for i, j in pairs), *(pulled(i, j) for i, j in pairs), *climbs]


def past_run(symbols: str, found: Found, seed: int = 0, repeats: int = 3) -> PastRun:
    """A run of a chain: its offers several times, in random order, on one structure."""
    rng = np.random.default_rng([seed, *map(ord, symbols)])
    known = Known(
        Molecule.from_symbols(list(symbols)), {"EQ0": made_eq(0, chain(len(symbols)), -1.0)}
    )
    every = offers(len(symbols)) * repeats
    trials = []
    for number, k in enumerate(rng.permutation(len(every)).tolist(), start=1):
        offer = every[k]
        new = [f"TS{len(known.tss) + place}" for place in range(found(offer, rng))]
        known.tss |= {id: SimpleNamespace(id=id, energy=1.0, ends=("EQ0", "EQ0")) for id in new}
        trials.append(
            SimpleNamespace(
                number=number,
                eq="EQ0",
                push=k,
                method=offer.method,
                offer=offer.data,
                gradients={"push": 40 + int(rng.integers(20)), "irc": 30 * len(new)},
                found=tuple(new),
                met=("EQ0", *new),
            )
        )
    return PastRun(f"{symbols}-{seed}", "made-up", known, trials)


def past_runs(found: Found, formulas: Iterable[str] = FORMULAS) -> list[PastRun]:
    """A run of each formula."""
    return [past_run(symbols, found) for symbols in formulas]


def pulls_pay(offer: Offer, rng: np.random.Generator) -> int:
    """Only pulls bring something."""
    return int(any(force["sign"] < 0 for force in offer.forces))


def by_chance(offer: Offer, rng: np.random.Generator) -> int:
    """Every trial may bring something, whatever it is."""
    return int(rng.random() < 0.4)
