"""The fragments to push together or pull apart.

Inside one structure every pair of atoms in range becomes a force term between two fragments
that grow around the pair (SC-AFIR, 10.1002/jcc.23481), bonded pairs are pulled, and terms
are combined (SC-AFIR2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.geometry.bonds import CLEAR_FACTOR, bonds, distances
from afir.geometry.symmetry import automorphisms
from afir.methods.artificial_force import ForceTerm
from afir.molecule import Molecule, Positions

REACH_FACTOR = 5.0
"""Pairs farther apart than this times the sum of their radii are not pushed. Chosen, not fitted."""

SYMMETRY_TOLERANCE = 0.03
"""Å. Tighter than for telling structures apart: a near-symmetry may still matter to a push."""

# Chosen, not fitted.
_ROUNDS = 2  # bonds that a fragment grows away from its core atom
_TIE = 1.0017  # distances this close are equal by symmetry, and noise must not decide

Push = tuple[ForceTerm, ...]
"""Force terms that act together."""

_Key = tuple[int, tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class _Single:
    """A force term and the pair of atoms it was made for."""

    core: tuple[int, int]
    term: ForceTerm


def pushes(
    molecule: Molecule,
    positions: Positions,
    *,
    targets: Sequence[int] | None = None,
    terms: int = 2,
    cap: int = 64,
    unlike: bool = True,
    rng: np.random.Generator,
) -> list[Push]:
    """All pushes and pulls to try on one structure.

    Single terms come first: pushes from the nearest pair (relative to its radii) to the
    farthest, then pulls from the weakest bond to the tightest. Then pairs of terms:
    eliminations (two atoms on the same neighbour are pushed together and pulled off it),
    transfers (an atom is pushed to another and pulled off its neighbour, the nearest first), and
    pairs of single terms whose core pairs share no atom. Of what the symmetry of the
    structure makes equivalent, only one is kept.

    Parameters
    ----------
    molecule
        The molecule.
    positions
        (n, 3) in Å.
    targets
        Both atoms of every pair are among these, and two atoms of an elimination or a transfer;
        with a single one it is one of them. Named so, atoms are pushed without their neighbours:
        fragments do not grow, which hinders reactions of large molecules (the Claisen
        rearrangement of allyl phenyl ether). All atoms if not given.
    terms
        1 for single terms only, 2 for pairs of terms as well.
    cap
        At most so many pairs of terms, drawn with `rng`: eliminations before others. Besides them
        at most half as many transfers.
    unlike
        Whether a push and a pull that share no atom are paired too: the pairs that bring least for
        their gradients.
    rng
        Used only if the cap is exceeded.

    Raises
    ------
    InputError
        If `targets`, `terms` or `cap` are invalid.
    """
    if terms not in (1, 2):
        raise InputError(f"`terms` must be 1 or 2, got {terms}")
    if cap < 0:
        raise InputError(f"`cap` must be 0 or more, got {cap}")
    among = _targets(molecule, targets)
    singles = _singles(molecule, positions, among)
    symmetry = _symmetry(molecule, positions)
    result = _distinct(((single.term,) for single in singles), symmetry)
    if terms == 2:
        eliminations = _distinct(_eliminations(molecule, positions, among), symmetry)
        chosen = _drawn(eliminations, cap, rng)
        result += chosen + _distinct(_transfers(molecule, positions, among), symmetry)[: cap // 2]
        result += _disjoint_pairs(singles, symmetry, cap - len(chosen), unlike, rng)
    return result


def grown_fragments(
    positions: Positions,
    radii: NDArray[np.float64],
    bonded: NDArray[np.bool_],
    m: int,
    n: int,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The fragments that move with a pair of atoms.

    Both grow by their bonded neighbours, twice. A neighbour is left out where it would feel
    the force more than the pair itself: the weight ((R_i + R_j)/r_ij)^6 between it and an atom
    of the other side, grown or growing, must not exceed that of the pair, whatever the power.
    A neighbour of both sides belongs to neither (10.1002/jcc.23481).

    Parameters
    ----------
    positions
        (n, 3) in Å.
    radii
        (n,) radii in Å as in the weights.
    bonded
        (n, n) adjacency.
    m, n
        The pair.

    Returns
    -------
    tuple of tuple
        The fragments of m and of n, sorted.
    """
    r = distances(positions)
    np.fill_diagonal(r, np.inf)
    nearness = (radii[:, None] + radii[None]) / r
    limit = _TIE * nearness[m, n]
    a, b = {m}, {n}
    for _ in range(_ROUNDS):
        next_to_a = {int(c) for i in a for c in np.flatnonzero(bonded[i])} - a - b
        next_to_b = {int(c) for i in b for c in np.flatnonzero(bonded[i])} - a - b
        for_a = {c for c in next_to_a - next_to_b if nearness[c, list(b)].max() <= limit}
        for_b = {c for c in next_to_b - next_to_a if nearness[c, list(a)].max() <= limit}
        clash = {(c, d) for c in for_a for d in for_b if nearness[c, d] > limit}
        a |= for_a - {c for c, _ in clash}
        b |= for_b - {d for _, d in clash}
    return tuple(sorted(a)), tuple(sorted(b))


def _targets(molecule: Molecule, targets: Sequence[int] | None) -> frozenset[int]:
    """The target atoms as a set; all atoms if none were named."""
    if targets is None:
        return frozenset(range(molecule.n_atoms))
    chosen = frozenset(int(i) for i in targets)
    if not chosen or not all(0 <= i < molecule.n_atoms for i in chosen):
        raise InputError(
            f"`targets` must name atoms from 0 to {molecule.n_atoms - 1}, got {list(targets)}"
        )
    return chosen


def _between(targets: frozenset[int], atoms: tuple[int, ...]) -> bool:
    """Whether two of the atoms are targets, or one if there is only one target."""
    return len(targets.intersection(atoms)) >= min(len(targets), 2)


def _grow(molecule: Molecule, targets: frozenset[int]) -> bool:
    """Whether fragments grow around the atoms of a pair: not around named targets."""
    return len(targets) in (1, molecule.n_atoms)


def _pushed(
    molecule: Molecule,
    positions: Positions,
    bonded: NDArray[np.bool_],
    m: int,
    n: int,
    *,
    grow: bool,
) -> ForceTerm:
    """The push of two atoms, perhaps with the fragments around them."""
    if not grow:
        return ForceTerm((m,), (n,), 1)
    return ForceTerm(*grown_fragments(positions, molecule.radii, bonded, m, n), 1)


def _ratios(molecule: Molecule, positions: Positions) -> NDArray[np.float64]:
    """(n, n) distances in units of the sums of the covalent radii, as in the force."""
    radii = molecule.radii
    ratios: NDArray[np.float64] = distances(positions) / (radii[:, None] + radii[None])
    return ratios


def _singles(molecule: Molecule, positions: Positions, targets: frozenset[int]) -> list[_Single]:
    """Every single term, equivalent ones included: pushes, then pulls."""
    ratios = _ratios(molecule, positions)
    bonded = bonds(molecule, positions, CLEAR_FACTOR)
    pairs = [pair for pair in combinations(range(molecule.n_atoms), 2) if _between(targets, pair)]
    # Rounded, so that noise in equal distances does not decide the order.
    pairs.sort(key=lambda pair: (round(float(ratios[pair]), 2), pair))
    near = [pair for pair in pairs if not bonded[pair] and ratios[pair] <= REACH_FACTOR]
    grow = _grow(molecule, targets)
    singles = [
        _Single((i, j), _pushed(molecule, positions, bonded, i, j, grow=grow)) for i, j in near
    ]
    tied = [pair for pair in reversed(pairs) if bonded[pair]]
    return singles + [_Single((i, j), ForceTerm((i,), (j,), -1)) for i, j in tied]


def _eliminations(
    molecule: Molecule, positions: Positions, targets: frozenset[int]
) -> Iterator[Push]:
    """Two atoms leave their common neighbour and join each other.

    The 1,1-elimination, e.g. H2CO → H2 + CO: pushing the two together alone only closes
    the angle at the atom between them, so they are pulled off it at the same time.
    """
    bonded = bonds(molecule, positions, CLEAR_FACTOR)
    grow = _grow(molecule, targets)
    for centre in range(molecule.n_atoms):
        for m, n in combinations(np.flatnonzero(bonded[centre]).tolist(), 2):
            if not bonded[m, n] and _between(targets, (m, n, centre)):
                push = _pushed(molecule, positions, bonded, m, n, grow=grow)
                yield push, ForceTerm((m, n), (centre,), -1)


def _transfers(molecule: Molecule, positions: Positions, targets: frozenset[int]) -> Iterator[Push]:
    """An atom leaves a neighbour for another atom: shifts along and across a molecule.

    A push alone moves its neighbour too; a pull alone has no target. The shortest transfers come
    first. None goes to a hydrogen, which takes no second bond.
    """
    ratios = _ratios(molecule, positions)
    bonded = bonds(molecule, positions, CLEAR_FACTOR)
    n = molecule.n_atoms
    ways = [
        (round(float(ratios[m, goal]), 2), m, goal, left)
        for m, left in zip(*np.nonzero(bonded), strict=True)
        for goal in range(n)
        if molecule.numbers[goal] > 1
        and goal != m
        and not bonded[m, goal]
        and ratios[m, goal] <= REACH_FACTOR
    ]
    for _, m, goal, left in sorted(ways):
        if _between(targets, (m, goal, left)):
            yield ForceTerm((m,), (goal,), 1), ForceTerm((m,), (left,), -1)


def _drawn(every: list[Push], cap: int, rng: np.random.Generator) -> list[Push]:
    """At most `cap` of these, drawn only if there are more, in their order."""
    if len(every) <= cap:
        return every
    return [every[k] for k in sorted(rng.permutation(len(every))[:cap].tolist())]


def _disjoint_pairs(
    singles: list[_Single],
    symmetry: list[tuple[int, ...]],
    cap: int,
    unlike: bool,
    rng: np.random.Generator,
) -> list[Push]:
    """At most `cap` distinct pairs of terms whose core pairs share no atom."""
    first, second = np.triu_indices(len(singles), 1)
    cores = np.array([single.core for single in singles]).reshape(-1, 2)
    ways = np.array([single.term.direction for single in singles], dtype=int)
    one, two = cores[first], cores[second]
    wanted = (one[:, :, None] != two[:, None, :]).all(axis=(1, 2))
    wanted &= unlike | (ways[first] == ways[second])
    first, second = first[wanted], second[wanted]
    chosen: dict[tuple[_Key, ...], int] = {}
    for k in rng.permutation(len(first)).tolist():
        if len(chosen) >= cap:
            break
        key = _canonical((singles[first[k]].term, singles[second[k]].term), symmetry)
        # The earliest of an orbit stands for it, whichever was drawn first.
        chosen[key] = min(k, chosen.get(key, k))
    return [(singles[first[k]].term, singles[second[k]].term) for k in sorted(chosen.values())]


def _symmetry(molecule: Molecule, positions: Positions) -> list[tuple[int, ...]]:
    """The permutations under which pushes are equivalent."""
    return automorphisms(molecule.numbers, positions, tolerance=SYMMETRY_TOLERANCE)


def _canonical(push: Push, symmetry: list[tuple[int, ...]]) -> tuple[_Key, ...]:
    """The same value for all pushes that symmetry turns into one another."""
    return min(tuple(sorted(_relabelled(term, p) for term in push)) for p in symmetry)


def _relabelled(term: ForceTerm, permutation: tuple[int, ...]) -> _Key:
    """A term after a permutation of the atoms, the same whichever side comes first."""
    a = tuple(sorted(permutation[i] for i in term.a))
    b = tuple(sorted(permutation[i] for i in term.b))
    return (term.direction, *min((a, b), (b, a)))


def _distinct(candidates: Iterable[Push], symmetry: list[tuple[int, ...]]) -> list[Push]:
    """The first of each set of equivalent pushes, in their order."""
    seen: dict[tuple[_Key, ...], Push] = {}
    for push in candidates:
        seen.setdefault(_canonical(push, symmetry), push)
    return list(seen.values())
