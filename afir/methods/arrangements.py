"""Random geometries: atoms rearranged, a hydrogen moved, structures displaced.

For small molecules they lead to structures that no push and no mode reaches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afir.geometry.bonds import distances
from afir.molecule import Molecule, Positions

# In units of the sum of the radii: the least distance of an atom of an arrangement from all
# others, and the largest from one of them. Chosen, not fitted.
_CLOSEST, _FARTHEST = 0.75, 1.5
# Chosen: draws that fail so often are rare, and then a clash does no harm.
_DRAWS = 200

# The same for a hydrogen that is moved. From nearer it falls back; from here searches end at the
# transition states of hydrogens that are nearly gone: of 1,500 on HONO 12, 21 and 16 at those of
# 283, 353 and 354 kJ/mol, where displacements of all atoms end 4, 6 and 2 times.
_LOOSE, _GONE = 1.0, 2.2

CLASH = 0.55
"""In units of the sum of the radii: the least distance of two atoms of a displaced structure.

Chosen, not fitted: nearer atoms repel each other by many eV."""


def arrangement(molecule: Molecule, rng: np.random.Generator) -> Positions:
    """All atoms at random places, each beside an atom that is already placed.

    Returns
    -------
    ndarray
        (n, 3) in Å; no atoms are too close, and none is apart from all others.
    """
    x = np.zeros((molecule.n_atoms, 3))
    order = rng.permutation(molecule.n_atoms)
    for count, atom in enumerate(order[1:], start=1):
        placed = order[:count]
        reach = molecule.radii[placed] + molecule.radii[atom]
        x[atom] = _beside(x[placed], reach, (_CLOSEST, _FARTHEST), rng)
    return x


def shaken(molecule: Molecule, x: Positions, size: float, rng: np.random.Generator) -> Positions:
    """A structure displaced by `size` Å (root mean square of an atom), if possible without clashes.

    Returns
    -------
    ndarray
        (n, 3) in Å.
    """
    for _ in range(_DRAWS):
        there: Positions = x + size * rng.normal(size=x.shape) / np.sqrt(3.0)
        if apart(molecule, there, CLASH):
            break
    return there


def hydrogen_moved(molecule: Molecule, x: Positions, rng: np.random.Generator) -> Positions:
    """A structure with one hydrogen moved, or another atom if there is no hydrogen.

    Returns
    -------
    ndarray
        (n, 3) in Å.
    """
    numbers = np.array(molecule.numbers)
    atoms = np.flatnonzero(numbers == 1) if (numbers == 1).any() else np.arange(len(numbers))
    atom = rng.choice(atoms)
    others = np.flatnonzero(np.arange(len(numbers)) != atom)
    reach = molecule.radii[others] + molecule.radii[atom]
    there: Positions = x.copy()
    there[atom] = _beside(x[others], reach, (_LOOSE, _GONE), rng)
    return there


def _beside(
    x: Positions,
    reach: NDArray[np.float64],
    bounds: tuple[float, float],
    rng: np.random.Generator,
) -> Positions:
    """A random place (3,) beside one of some atoms (k, 3), if possible too close to none.

    Its largest distance from that atom and its least from all are in units of `reach` (k,).
    """
    for _ in range(_DRAWS):
        atom = rng.integers(len(x))
        way = rng.normal(size=3)
        way *= reach[atom] * rng.uniform(*bounds) / np.linalg.norm(way)
        place: Positions = x[atom] + way
        away: Positions = np.linalg.norm(x - place, axis=1)
        if (away >= bounds[0] * reach).all():
            break
    return place


def apart(molecule: Molecule, x: Positions, closest: float) -> bool:
    """Whether no two atoms, (n, 3) in Å, are closer than a part of the sum of their radii."""
    ratio = distances(x) / (molecule.radii[:, None] + molecule.radii[None])
    np.fill_diagonal(ratio, np.inf)
    return bool(ratio.min() > closest)
