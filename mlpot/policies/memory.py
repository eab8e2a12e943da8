"""What a run has tried and found, as features of the offers that are left.

Offers are grouped: equivalent ones, those on one structure, on one species (a bonding graph), those
with the same elements in the same relation, those towards one product, those with a force in
common. Of each group the trials and what they found are counted, in powers of two: so a feature
changes seldom, and what was worked out with it need not be worked out again.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afir.methods.base import Offer
from afir.methods.push_kinds import bonding_kinds, push_kinds
from mlpot.policies.features import Terms
from mlpot.policies.structure import DescribedStructure, Ints

NAMES: tuple[str, ...] = (
    "equivalent offers tried",
    "equivalent offers found",
    "structure tried",
    "structure found",
    "species tried",
    "species found",
    "like offers tried",
    "like offers found",
    "product tried",
    "product is known",
    "product is linked",
    "force tried, less",
    "force tried, more",
    "force found, less",
)
"""The names of the features; numbers are powers of two: 0, 1, 2 for 2 or 3, 3 for 4 to 7, …"""

KIND, STRUCTURE, SPECIES, LIKE, PRODUCT, FIRST_FORCE, LAST_FORCE = range(7)
"""The columns of the groups of offers."""

_NEIGHBOURS = 3  # bonds between two atoms that are told apart in what is like; chosen


class Numbers:
    """Numbers for things, as they come."""

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, things: Iterable[Hashable]) -> list[int]:
        """The numbers of things, new ones included."""
        return [self._known.setdefault(thing, len(self._known)) for thing in things]


@dataclass
class Grouping:
    """Numbers for the groups of a run.

    Attributes
    ----------
    kinds
        Equivalent offers (`afir.methods.push_kinds`); single forces are among them.
    structures, species, likes
        Ids of structures, their bonding graphs, relations of elements.
    """

    kinds: Numbers = field(default_factory=Numbers)
    structures: Numbers = field(default_factory=Numbers)
    species: Numbers = field(default_factory=Numbers)
    likes: Numbers = field(default_factory=Numbers)

    def of(self, structure: DescribedStructure, offers: Sequence[Offer], terms: Terms) -> Ints:
        """The groups (m, 7) of offers on a structure; a force that is not there is −1."""
        result = np.full((len(offers), 7), -1, dtype=np.int64)
        molecule, x = structure.molecule, structure.x
        single = [
            Offer("", {"forces": [force]}) for force in (term.plain() for term in terms.terms)
        ]
        kinds = self.kinds.of(push_kinds(molecule, x, [*offers, *single]))
        result[:, KIND] = kinds[: len(offers)]
        forces = kinds[len(offers) :]
        for row, mine in enumerate(terms.of):
            if mine:
                result[row, FIRST_FORCE], result[row, LAST_FORCE] = (
                    forces[mine[0]],
                    forces[mine[-1]],
                )
        result[:, STRUCTURE] = self.structures.of([structure.eq.id])[0]
        result[:, SPECIES] = self.species_of(structure)
        result[:, LIKE] = self.likes.of(_likes(structure, offers, terms))
        result[:, PRODUCT] = self.species.of(bonding_kinds(molecule, terms.products()))
        return result

    def species_of(self, structure: DescribedStructure) -> int:
        """The number of the bonding graph of a structure."""
        (kind,) = bonding_kinds(structure.molecule, structure.adjacency[None])
        return self.species.of([kind])[0]


def _likes(structure: DescribedStructure, offers: Sequence[Offer], terms: Terms) -> list[Hashable]:
    """What the pairs of each offer are: signs, elements, and how many bonds lie between."""
    numbers = structure.molecule.numbers
    of_terms = []
    for term, (i, j) in zip(terms.terms, terms.cores.tolist(), strict=True):
        low, high = sorted((numbers[i], numbers[j]))
        between = min(int(structure.graph[i, j]), _NEIGHBOURS)
        of_terms.append((term.direction, low, high, between))
    likes: list[Hashable] = []
    for offer, mine in zip(offers, terms.of, strict=True):
        data = offer.data
        other = () if mine else (offer.method, data.get("kind"), data.get("mode"))
        likes.append((tuple(sorted(of_terms[number] for number in mine)), *other))
    return likes


class Memory:
    """The trials of a run and what they found, counted by group."""

    def __init__(self) -> None:
        self._tried = _Counts()
        self._found = _Counts()
        self._known: Ints = np.zeros(0, dtype=np.int64)  # 1 for species that were found
        self._linked: set[int] = set()  # pairs of species that a transition state connects
        self._links: Ints = np.zeros(0, dtype=np.int64)  # the same, sorted
        self._dirty: set[tuple[int, int]] = set()  # columns and numbers of groups that changed

    def know(self, species: Iterable[int], links: Iterable[tuple[int, int]] = ()) -> None:
        """Add species that were found, and those that a transition state connects."""
        for number in species:
            self._known = grown(self._known, number + 1)
            if not self._known[number]:
                self._known[number] = 1
                self._dirty.add((PRODUCT, number))
        before = len(self._linked)
        for first, second in links:
            self._linked |= {_pair(first, second), _pair(second, first)}
            self._dirty |= {(PRODUCT, first), (PRODUCT, second)}
        if len(self._linked) > before:
            self._links = np.array(sorted(self._linked), dtype=np.int64)

    def add(self, groups: Ints, found: int) -> None:
        """Add a trial with its groups (7,) and the number of structures that it found."""
        for column, number in enumerate(groups.tolist()):
            if number < 0 or (column == LAST_FORCE and number == groups[FIRST_FORCE]):
                continue
            at = _column(column)
            self._tried.add(at, number, 1)
            self._found.add(at, number, found)
            self._dirty.add((at, number))

    def tries(self, numbers: Ints, column: int) -> Ints:
        """The number of trials in groups (m,) of a column."""
        return self._tried.of(column, numbers)

    def changed(self, groups: Ints) -> NDArray[np.bool_]:
        """Which offers (m,) have a group that was tried or found since this was last asked."""
        result = np.zeros(len(groups), dtype=bool)
        for column, number in self._dirty:
            result |= groups[:, column] == number
            if column == FIRST_FORCE:
                result |= groups[:, LAST_FORCE] == number
        self._dirty.clear()
        return result

    def features(self, groups: Ints) -> Ints:
        """The features (m, len(NAMES)) of offers with these groups (m, 7)."""
        both = self._tried, self._found
        columns = [
            _level(counts.of(column, groups[:, column]))
            for column in (KIND, STRUCTURE, SPECIES, LIKE)
            for counts in both
        ]
        product = groups[:, PRODUCT]
        columns.append(_level(self._tried.of(PRODUCT, product)))
        self._known = grown(self._known, int(product.max(initial=-1)) + 1)
        columns += [self._known[product], self._is_linked(groups)]
        forces = groups[:, [FIRST_FORCE, LAST_FORCE]]
        tried, found = (counts.of(FIRST_FORCE, forces) for counts in both)
        columns += [_level(tried.min(axis=1)), _level(tried.max(axis=1)), _level(found.min(axis=1))]
        return np.column_stack(columns)

    def _is_linked(self, groups: Ints) -> Ints:
        """1 for offers (m,) whose species and product a transition state connects."""
        pairs = _pair(groups[:, SPECIES], groups[:, PRODUCT])
        if not len(self._links):
            return np.zeros_like(pairs)
        at = np.minimum(np.searchsorted(self._links, pairs), len(self._links) - 1)
        result: Ints = (self._links[at] == pairs).astype(np.int64)
        return result


class _Counts:
    """Counts of groups, by column and number."""

    def __init__(self) -> None:
        self._counts = [np.zeros(0, dtype=np.int64) for _ in range(7)]

    def add(self, column: int, number: int, more: int) -> None:
        self._counts[column] = grown(self._counts[column], number + 1)
        self._counts[column][number] += more

    def of(self, column: int, numbers: Ints) -> Ints:
        """The counts of groups of any shape; 0 for those that are not there."""
        self._counts[column] = grown(self._counts[column], int(numbers.max(initial=-1)) + 1)
        counts = self._counts[column]
        return np.where(numbers >= 0, counts[numbers], 0) if len(counts) else np.zeros_like(numbers)


def _column(column: int) -> int:
    """Both forces of an offer count alike."""
    return FIRST_FORCE if column == LAST_FORCE else column


def _pair(first: Ints | int, second: Ints | int) -> Any:
    """A number for two species in this order."""
    return first * 2**31 + second


def grown(counts: Ints, least: int) -> Ints:
    """The counts, extended by zeros if there are fewer than `least`."""
    if len(counts) >= least:
        return counts
    return np.concatenate([counts, np.zeros(max(least, 2 * len(counts)) - len(counts), np.int64)])


def _level(counts: Ints) -> Ints:
    """The number of binary digits of counts: 0, 1, 2 for 2 and 3, 3 for 4 to 7, …"""
    result: Ints = np.frexp(counts.astype(np.float64))[1].astype(np.int64)
    return result
