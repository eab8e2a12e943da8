"""The features of an offer on a structure: invariant under rotations and the order of the atoms.

No gradient is asked for. Elements count by their descriptors (`structure.ELEMENT`), so that a
forest is told something about elements that it never saw. The atoms that take part in an offer are
sorted by their share in the force, or in the motion of a mode, and their descriptors are multiplied
by that share.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from afir.methods.artificial_force import ArtificialForce, ForceTerm
from afir.methods.base import Offer
from mlpot.policies.structure import (
    BONDING,
    ELEMENT,
    FARTHEST,
    DescribedStructure,
    Floats,
    Ints,
    elements_of,
)

VERSION = 1
"""Changes with the meaning of a feature: a model belongs to one version."""

ABSENT = -9.0
"""Stands for a feature of pushed, or pulled, pairs where there are none: below all others."""

_TAKING_PART = 4  # atoms that are told apart by their share; the rest has a tenth of it. Chosen
_GAMMA = 1000.0  # kJ/mol: the direction of a force does not depend on it
_TINY = 1e-12  # against a division by zero

_PAIR = (
    *(f"{name}, {which}" for name in (*ELEMENT, *BONDING) for which in ("lower", "higher")),
    "difference of electronegativities",
    "relative distance",
    "bond order",
    "bonds between",
    "smaller fragment",
    "larger fragment",
    "open side, less",
    "open side, more",
    "angle at the atom between",
    "bond order at the atom between",
    "bond in a ring",
    "compliance",
    "approach",
)
_KINDS = ("climb", "inversion", "random")
_STATE = (
    "energy",
    "atoms",
    "heavy atoms",
    "rings",
    "molecules",
    "softest wavenumber",
    "unsaturation",
    "free valence",
)

NAMES: tuple[str, ...] = (
    "forces",
    "pushes",
    "pulls",
    *(f"pushed pair: {name}" for name in (*_PAIR, "largest relative distance")),
    *(f"pulled pair: {name}" for name in (*_PAIR, "largest relative distance")),
    "atoms left with too many bonds",
    "atoms left with too few bonds",
    "change of free valence",
    "worst valence",
    "atoms in both pairs",
    "bonds between the pairs",
    "atoms in fragments of both forces",
    *(f"atom {k + 1}: {name}" for k in range(_TAKING_PART) for name in ("share", *ELEMENT)),
    "compliance",
    "largest motion",
    *(f"is {name}" for name in _KINDS),
    "number of the mode",
    "wavenumber of the mode",
    *(f"structure: {name}" for name in _STATE),
)
"""The names of the features."""


def features(
    structure: DescribedStructure, offers: Sequence[Offer], terms: Terms, height: float
) -> Floats:
    """The features (m, len(NAMES)) of offers on a structure.

    Parameters
    ----------
    structure
        The structure.
    offers
        The offers.
    terms
        Their forces.
    height
        The energy of the structure above the start in eV.
    """
    ways = _ways(structure, offers, terms)
    shares = np.linalg.norm(ways, axis=2)
    columns = [
        terms.counts,
        terms.pairs(1),
        terms.pairs(-1),
        terms.after(),
        terms.together(),
        _taking_part(structure, shares),
        _giving_way(structure, ways),
        _other_ways(structure, offers),
        np.tile(_state(structure, height), (len(offers), 1)),
    ]
    return np.hstack(columns)


class Terms:
    """The different forces of offers, each with its features, and which offer has which.

    Attributes
    ----------
    terms
        The forces.
    of
        The numbers of the forces of each offer.
    index, acts
        (m, j) the same as arrays of equal length, and which places are used.
    cores
        (k, 2) the pair of atoms that each force is about.
    forces
        (k, n, 3) the force on each atom; the largest is of length 1.
    """

    def __init__(self, structure: DescribedStructure, offers: Sequence[Offer]) -> None:
        self.structure = structure
        numbers: dict[tuple[object, ...], int] = {}
        terms: list[ForceTerm] = []
        self.of: list[list[int]] = []  # the terms of each offer
        for offer in offers:
            mine = []
            for force in offer.forces:
                first, second = force["fragments"]
                key = force["sign"], tuple(first), tuple(second)
                if key not in numbers:
                    numbers[key] = len(terms)
                    terms.append(ForceTerm.from_plain(force))
                mine.append(numbers[key])
            self.of.append(mine)
        self.terms = terms
        # The same with equal lengths. Sums over forces are made so, not as products of matrices:
        # they are the same to the last bit whatever other offers there are.
        most = max(map(len, self.of), default=0)
        self.index: Ints = np.zeros((len(offers), most), dtype=np.int64)
        self.acts = np.zeros((len(offers), most), dtype=bool)
        for row, mine in enumerate(self.of):
            self.index[row, : len(mine)] = mine
            self.acts[row, : len(mine)] = True
        self.cores = np.array([self._core(term) for term in terms], dtype=np.int64).reshape(-1, 2)
        self.forces = self._forces()

    def _core(self, term: ForceTerm) -> tuple[int, int]:
        """The nearest two atoms of both fragments: the pair that the force is about."""
        near = self.structure.relative[np.ix_(term.a, term.b)]
        i, j = divmod(int(np.argmin(near)), len(term.b))
        return term.a[i], term.b[j]

    def _forces(self) -> Floats:
        """(k, n, 3) the force on each atom, the largest of length 1: α(γ) does not matter."""
        x = self.structure.x
        forces = np.zeros((len(self.terms), *x.shape))
        for row, term in enumerate(self.terms):
            gradient = ArtificialForce(self.structure.molecule, (term,), _GAMMA)(x)[1]
            forces[row] = -gradient / max(float(np.linalg.norm(gradient, axis=1).max()), _TINY)
        return forces

    @property
    def counts(self) -> Floats:
        """(m, 3) how many forces act, and of which sign."""
        pushes, pulls = self._with(1), self._with(-1)
        return np.column_stack([each.sum(axis=1) for each in (self.acts, pushes, pulls)]).astype(
            np.float64
        )

    def _with(self, sign: int) -> NDArray[np.bool_]:
        """(m, k) which forces of an offer have this sign."""
        signs = np.array([term.direction for term in self.terms] or [0])
        result: NDArray[np.bool_] = self.acts & (signs[self.index] == sign)
        return result

    def total(self, of_terms: Floats, which: NDArray[np.bool_] | None = None) -> Floats:
        """The sum (m, …) over the forces of each offer of something (k, …) of each force."""
        chosen = self.acts if which is None else which
        result = np.zeros((len(self.of), *of_terms.shape[1:]))
        for place in range(self.index.shape[1]):
            row = np.flatnonzero(chosen[:, place])
            result[row] += of_terms[self.index[row, place]]
        return result

    def pairs(self, sign: int) -> Floats:
        """(m, k) the features of the pairs that are pushed, or pulled, by each offer: the mean."""
        mine = self._with(sign)
        number = mine.sum(axis=1)
        known = self._of_pairs
        mean = self.total(known, mine) / np.maximum(number, 1)[:, None]
        distance = known[:, _PAIR.index("relative distance")]
        farthest = np.full(len(mean), -np.inf)
        for place in range(self.index.shape[1]):
            row = np.flatnonzero(mine[:, place])
            farthest[row] = np.maximum(farthest[row], distance[self.index[row, place]])
        result: Floats = np.column_stack([mean, farthest])
        result[number == 0] = ABSENT
        return result

    @cached_property
    def _of_pairs(self) -> Floats:
        """(k, len(_PAIR)) the features of the pair of each term."""
        s = self.structure
        i, j = self.cores.T
        each = np.hstack([elements_of(s.molecule), s.atoms])
        low, high = np.minimum(each[i], each[j]), np.maximum(each[i], each[j])
        sides = np.stack([low, high], axis=2).reshape(len(i), 2 * each.shape[1])
        sizes = np.array([sorted((len(t.a), len(t.b))) for t in self.terms]).reshape(-1, 2)
        angle, order = self._between(i, j)
        first, second = self._open(i, j), self._open(j, i)
        flat = self.forces.reshape(len(i), s.x.size)
        moves = s.moved(flat)
        size = np.maximum(np.sum(flat**2, axis=1), _TINY)
        arms = moves.reshape(len(i), *s.x.shape)
        apart = arms[np.arange(len(i)), j] - arms[np.arange(len(i)), i]
        signs = np.array([term.direction for term in self.terms])
        approach = -signs * np.vecdot(apart, s.towards[i, j]) / s.lengths[i, j]
        return np.column_stack(
            [
                sides,
                np.abs(each[i, 0] - each[j, 0]),
                s.relative[i, j],
                s.orders[i, j],
                s.graph[i, j],
                sizes,
                np.minimum(first, second),
                np.maximum(first, second),
                angle,
                order,
                s.in_ring[i, j],
                np.sum(flat * moves, axis=1) / size,
                approach,
            ]
        )

    def _between(self, i: Ints, j: Ints) -> tuple[Floats, Floats]:
        """The angle in degrees at an atom bonded to both, 180 without one, and its bond order."""
        s = self.structure
        common = s.adjacency[i] & s.adjacency[j]
        middle = np.argmax(common, axis=1)
        cosine = np.vecdot(s.towards[middle, i], s.towards[middle, j])
        angle = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
        there = common.any(axis=1)
        order = s.orders.max(axis=1, initial=0.0)[middle]
        return np.where(there, angle, 180.0), np.where(there, order, 0.0)

    def _open(self, at: Ints, towards: Ints) -> Floats:
        """How far an atom lies on the side of another without bonds: 1 opposite to them, to −1."""
        s = self.structure
        bonds = s.adjacency[:, :, None] * s.towards
        others = bonds.sum(axis=1)[at] - bonds[at, towards]
        length = np.linalg.norm(others, axis=1)
        result = -np.vecdot(s.towards[at, towards], others) / np.maximum(length, 0.3)
        return np.where(length > _TINY, result, 1.0)

    def after(self) -> Floats:
        """(m, 4) the free valence of atoms if each pushed pair is bonded and no pulled one is."""
        s = self.structure
        change = np.zeros((len(self.terms), len(s.x)))
        for row, (term, (i, j)) in enumerate(zip(self.terms, self.cores, strict=True)):
            if term.direction > 0:
                change[row, [i, j]] += 1.0
            else:
                cut = s.orders[np.ix_(term.a, term.b)]
                change[row, list(term.a)] -= cut.sum(axis=1)
                change[row, list(term.b)] -= cut.sum(axis=0)
        before = -s.atoms[:, BONDING.index("free valence")]
        after = before + self.total(change)
        return np.column_stack(
            [
                np.maximum(after, 0.0).sum(axis=1),
                np.maximum(-after, 0.0).sum(axis=1),
                np.abs(after).sum(axis=1) - np.abs(before).sum(),
                np.abs(after).max(axis=1),
            ]
        )

    def together(self) -> Floats:
        """(m, 3) what the pairs of forces have in common."""
        result = np.tile([0.0, ABSENT, 0.0], (len(self.of), 1))
        for row, mine in enumerate(self.of):
            if len(mine) < 2:
                continue
            first, second = mine[0], mine[-1]
            one, other = self.cores[first], self.cores[second]
            shared = len({*one.tolist()} & {*other.tolist()})
            near = self.structure.graph[np.ix_(one, other)].min()
            a, b = self.terms[first], self.terms[second]
            touched = len({*a.a, *a.b} & {*b.a, *b.b})
            result[row] = shared, min(float(near), FARTHEST), touched
        return result

    def products(self) -> NDArray[np.bool_]:
        """(m, n, n) the bonds after each offer: pushed pairs bonded, pulled fragments not."""
        bonded = np.repeat(self.structure.adjacency[None], len(self.of), axis=0)
        for row, mine in enumerate(self.of):
            for number in mine:
                term, (i, j) = self.terms[number], self.cores[number]
                if term.direction > 0:
                    bonded[row, [i, j], [j, i]] = True
                else:
                    bonded[row][np.ix_(term.a, term.b)] = False
                    bonded[row][np.ix_(term.b, term.a)] = False
        return bonded


def _ways(structure: DescribedStructure, offers: Sequence[Offer], terms: Terms) -> Floats:
    """(m, n, 3) the force of each offer, or the motion of its mode, or of its atoms off others."""
    ways = terms.total(terms.forces)
    modes = structure.modes
    away = -(structure.adjacency[:, :, None] * structure.towards).sum(axis=1)
    for row, offer in enumerate(offers):
        if offer.forces:
            continue
        mode, atoms = offer.data.get("mode"), list(offer.data.get("atoms") or ())
        if mode is not None and 0 <= mode < len(modes):
            ways[row] = modes[mode]
        else:
            ways[row, atoms] = away[atoms]
    return ways


def _taking_part(structure: DescribedStructure, shares: Floats) -> Floats:
    """The largest shares (m, 4) and the descriptors of their elements times the share."""
    total = np.maximum(shares.sum(axis=1, keepdims=True), _TINY)
    share = shares / total
    described = elements_of(structure.molecule)
    count = min(_TAKING_PART, share.shape[1])
    # Equal shares are told apart by the elements: the order of the atoms must not matter.
    order = np.lexsort(
        (np.broadcast_to(-described[:, 0], share.shape), -np.round(share, 6)), axis=1
    )
    order = order[:, :count]
    mine = np.take_along_axis(share, order, axis=1)
    result = np.zeros((len(share), _TAKING_PART, 1 + len(ELEMENT)))
    result[:, :count, 0] = mine
    result[:, :count, 1:] = mine[:, :, None] * described[order]
    return result.reshape(len(share), -1)


def _giving_way(structure: DescribedStructure, ways: Floats) -> Floats:
    """(m, 2) how far the structure gives way to the force of an offer, in the harmonic picture."""
    flat = ways.reshape(len(ways), -1)
    moves = structure.moved(flat)
    size = np.maximum(np.sum(flat**2, axis=1), _TINY)
    along = np.sum(flat * moves, axis=1) / size
    farthest = np.linalg.norm(moves.reshape(ways.shape), axis=2).max(axis=1, initial=0.0)
    return np.column_stack([along, farthest / np.sqrt(size)])


def _other_ways(structure: DescribedStructure, offers: Sequence[Offer]) -> Floats:
    """(m, 5) what kind of trial it is, and of which mode."""
    result = np.zeros((len(offers), len(_KINDS) + 2))
    result[:, len(_KINDS)] = ABSENT
    known = structure.eq.wavenumbers
    for row, offer in enumerate(offers):
        kind, mode = offer.data.get("kind"), offer.data.get("mode")
        if not offer.forces and kind in _KINDS:
            result[row, _KINDS.index(kind)] = 1.0
        if mode is not None and 0 <= mode < len(known):
            result[row, len(_KINDS) :] = mode, known[mode]
    return result


def _state(structure: DescribedStructure, height: float) -> list[float]:
    """The features of the structure alone."""
    numbers = np.asarray(structure.molecule.numbers)
    apart = structure.graph >= FARTHEST
    molecules = len({tuple(row) for row in (~apart).tolist()})
    edges = int(structure.adjacency.sum()) // 2
    known = structure.eq.wavenumbers
    return [
        height,
        float(len(numbers)),
        float((numbers > 1).sum()),
        float(edges - len(numbers) + molecules),
        float(molecules),
        float(known[0]) if len(known) else 0.0,
        float(structure.atoms[:, BONDING.index("unsaturation")].sum()),
        float(np.abs(structure.atoms[:, BONDING.index("free valence")]).sum()),
    ]
