"""Policies: which trial comes next. What they are told, and what they answer.

A policy chooses among the offers of all methods of a run. It needs nothing but these views, so it
may live in any package; `networks.policies.base` finds it by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from afir.methods.base import Offer
from afir.molecule import Molecule, Positions
from afir.stationary import Outcome


class Structure(Protocol):
    """A known minimum (EQ)."""

    @property
    def id(self) -> str:
        """``"EQ0"`` is the start, ``"EQ1"``, … follow in the order of discovery."""
        ...

    @property
    def energy(self) -> float:
        """Energy in eV."""
        ...

    @property
    def positions(self) -> Positions:
        """(n, 3) in Å."""
        ...

    @property
    def wavenumbers(self) -> NDArray[np.float64]:
        """(m,) in cm⁻¹, ascending: the Hessian in short."""
        ...

    @property
    def hessian(self) -> NDArray[np.float64]:
        """(3n, 3n) in eV/Å²."""
        ...

    @property
    def flags(self) -> tuple[str, ...]:
        """``"complex"`` if it consists of several molecules."""
        ...


class Step(Protocol):
    """A verified transition state (TS)."""

    @property
    def id(self) -> str:
        """``"TS0"``, ``"TS1"``, … in the order of discovery."""
        ...

    @property
    def energy(self) -> float:
        """Energy in eV."""
        ...

    @property
    def positions(self) -> Positions:
        """(n, 3) in Å."""
        ...

    @property
    def imaginary_cm1(self) -> float:
        """Its imaginary wavenumber in cm⁻¹, as a positive number."""
        ...

    @property
    def ends(self) -> tuple[str, str]:
        """The ids of the structures that it connects."""
        ...


class Structures(Protocol):
    """The known structures; not to be changed."""

    @property
    def molecule(self) -> Molecule:
        """Elements, charge and multiplicity."""
        ...

    @property
    def eqs(self) -> Mapping[str, Structure]:
        """The minima by id, in the order of discovery."""
        ...

    @property
    def tss(self) -> Mapping[str, Step]:
        """The transition states by id, in the order of discovery."""
        ...


class Offers(Protocol):
    """The offers to choose from; not to be changed.

    An offer is known by the id of its structure and a number. The offers on a structure are worked
    out when they are first looked at, which takes up to 0.05 s.
    """

    @property
    def eqs(self) -> Mapping[str, Structure]:
        """The structures that may have offers left, by id, in the order of discovery."""
        ...

    @property
    def under_way(self) -> Mapping[Any, Offer]:
        """Offers that were chosen and have no result yet, by the id and the number."""
        ...

    def by_energy(self) -> Iterator[Structure]:
        """The same structures, lowest energy first."""
        ...

    def left(self, id: str) -> Mapping[int, Offer]:
        """The offers left on a structure, by number and in order; late ones if nothing else is."""
        ...

    def is_left(self, item: tuple[str, int]) -> bool:
        """Whether an offer, which must exist, is left."""
        ...


class Tried(Protocol):
    """A trial and what it met."""

    @property
    def number(self) -> int:
        """1, 2, … in the order of the run."""
        ...

    @property
    def eq(self) -> str:
        """The id of the structure."""
        ...

    @property
    def push(self) -> int:
        """The number of the offer."""
        ...

    @property
    def method(self) -> str:
        """The name of the method."""
        ...

    @property
    def offer(self) -> Mapping[str, Any]:
        """What it offered: `afir.methods.base.Offer.data`."""
        ...

    @property
    def outcome(self) -> Outcome:
        """The outcome."""
        ...

    @property
    def crossed(self) -> bool:
        """Whether an artificial force alone carried the structure out of its basin."""
        ...

    @property
    def gamma(self) -> float:
        """γ in kJ/mol at which it did; else 0."""
        ...

    @property
    def gradients(self) -> Mapping[str, int]:
        """Gradient evaluations by stage, with those of the verification of what it found."""
        ...

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the same."""
        ...

    @property
    def found(self) -> tuple[str, ...]:
        """The ids of the structures that it added: EQs, TSs and dissociation channels (DC)."""
        ...

    @property
    def met(self) -> tuple[str, ...]:
        """The ids of all verified structures that it reached, new or known."""
        ...


class Policy(Protocol):
    """Chooses offers, from its arguments alone."""

    def choose(
        self, offers: Offers, network: Structures, n: int, rng: np.random.Generator
    ) -> Sequence[tuple[str, int]]:
        """Up to `n` different offers that are left, in the order to try them.

        Parameters
        ----------
        offers
            The offers that are left.
        network
            The known structures.
        n
            Maximum number, 1 or more. Choose fewer only if fewer are left: offers that wait for
            others come another time.
        rng
            The only source of random numbers.

        Returns
        -------
        list or tuple of (str, int)
            The ids of structures with the numbers of offers.
        """
        ...

    def learn(self, trials: Iterable[Tried], network: Structures) -> None:
        """Take the results of trials into account.

        Parameters
        ----------
        trials
            In order, each once: all so far when a run is opened, then those that follow.
        network
            The known structures, those of the trials included.
        """
        ...


# -- optional abilities: a policy that has none of them is a policy all the same ---------------


@dataclass(frozen=True)
class Expectation:
    """What a policy expects of an offer.

    Attributes
    ----------
    eq, push
        The id of the structure, and the number of the offer.
    offer
        The offer.
    tss, eqs
        Expected numbers of new transition states and of new minima.
    gradients
        Expected gradients of the search, without the verification of what it finds.
    value
        What the policy chooses by: the worth of what is new for 1,000 gradients.
    spread
        The standard deviation of `value`; 0 if the policy does not know it.
    distance
        How far the offer lies outside of the training: 0 within or without any, above 1 far away.
    low
        The part of `tss` that is low in energy; 0 if they do not count apart.
    """

    eq: str
    push: int
    offer: Offer
    tss: float
    eqs: float
    gradients: float
    value: float
    spread: float = 0.0
    distance: float = 0.0
    low: float = 0.0


@dataclass(frozen=True)
class Contribution:
    """The part that one property of an offer has in what is expected of it.

    Attributes
    ----------
    text
        The property in words, without a full stop.
    group
        What the property is about, in a word or two: parts of one group say similar things.
    gain
        By how much it raises the expected worth.
    cost
        By how much it raises the natural logarithm of the expected gradients.
    shared
        Whether all offers that are compared have this property: it ranks none above another.
    """

    text: str
    group: str
    gain: float
    cost: float
    shared: bool = False


@dataclass(frozen=True)
class Explanation:
    """Why a policy expects what it expects of an offer.

    The value of `expected` is 1,000 times the worth, times all factors, divided by the gradients.

    Attributes
    ----------
    expected
        What it expects.
    usual_gain, usual_gradients
        What is expected of an offer of which nothing is known. The worth is `usual_gain` and the
        sum of all gains, the logarithm of the gradients that of `usual_gradients` and of all costs.
    parts
        The parts, the weightiest first.
    factors
        What multiplies the worth, by its cause in words without a full stop.
    reason
        The main reason in words without a full stop; "cheap: …" if it is the price.
    """

    expected: Expectation
    usual_gain: float
    usual_gradients: float
    parts: tuple[Contribution, ...]
    factors: Mapping[str, float]
    reason: str


@runtime_checkable
class Proposes(Protocol):
    """A policy that tells what it expects of the offers that it would choose."""

    def propose(
        self, offers: Offers, network: Structures, n: int, rng: np.random.Generator
    ) -> Sequence[Expectation]:
        """The best offers by what is expected of them, diverse, in the order to try them.

        Nothing is used up. The arguments are those of `Policy.choose`. What is expected of an
        offer takes those before it in the list as under way.
        """
        ...


@runtime_checkable
class Explains(Protocol):
    """A policy that explains what it expects of offers."""

    def explain(
        self,
        offers: Mapping[tuple[str, int], Offer],
        under_way: Mapping[tuple[str, int], Offer],
        network: Structures,
    ) -> Sequence[Explanation]:
        """Why it expects what it expects of offers, in their order.

        Parameters
        ----------
        offers
            By the id of the structure and the number. Each counts as under way for those after it.
        under_way
            Offers that have no result yet.
        network
            The known structures.

        Raises
        ------
        MissingPackageError
            If an optional package is needed and not installed.
        """
        ...


@runtime_checkable
class Doubts(Protocol):
    """A policy that says where it knows little."""

    def doubt(self, offers: Sequence[Offer], network: Structures) -> str:
        """Why it knows little about a molecule, as half a sentence; "" if it knows enough.

        Parameters
        ----------
        offers
            All offers on EQ0.
        network
            The known structures, EQ0 at least.
        """
        ...


TRAINERS = "afir.policy_trainers"
"""Packages register a trainer of policies under this entry-point group; see `Trainer`."""


@dataclass(frozen=True)
class PastRun:
    """A run to learn from.

    Attributes
    ----------
    name
        Of the run, for reports.
    surface
        The surface that it was searched on, as text.
    network
        Its structures.
    trials
        Its trials, in order.
    """

    name: str
    surface: str
    network: Structures
    trials: Sequence[Tried]


class Trainer(Protocol):
    """Trains the model of a policy from runs. Implementations register the function itself."""

    def __call__(
        self, runs: Iterable[PastRun], output: Path, *, seed: int, tell: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Train a model; returns a report, plain JSON.

        Parameters
        ----------
        runs
            The runs, of any molecules and surfaces. They are asked for one after another.
        output
            The file of the model. It is written when all else is done.
        seed
            Seed of the random numbers.
        tell
            Is told what is being done.

        Returns
        -------
        dict
            ``"training"`` (what the model was trained on), ``"left_out"`` (runs that do not count,
            and why), ``"held_out"`` (how well models did on molecules that they were not trained
            on), ``"packaged"`` (the packaged model on the same), ``"runs"`` (each run) and
            ``"directions"`` (what each kind of push brought). `docs/policies.md` names all keys.

        Raises
        ------
        InputError
            If the runs hold too little, or a file that is no model would be replaced.
        """
        ...
