"""Geometries drawn at random: atoms anywhere in a sphere, and structures displaced.

Where no push and no mode leads, chance does, as long as the molecule is small.
"""

from __future__ import annotations

import numpy as np

from afir.bonds import components, distances
from afir.molecule import Molecule, Positions

_CLOSEST = 0.75  # of the sum of the radii: how near two atoms of an arrangement may come
_CLASH = 0.55  # the same for a displaced structure
_LOOSEST = 1.6  # of the sum of the radii: an arrangement hangs together by bonds no longer
_DENSEST, _WIDEST = 0.7, 2.5  # of 8 times the cubes of the radii: the volume of the sphere
_DRAWS = 200


def arrangement(molecule: Molecule, rng: np.random.Generator) -> Positions:
    """All atoms at random in a sphere: (n, 3) in Å, none too close, none apart from all.

    The sphere grows with the draws.
    """
    volume = 8.0 * float((molecule.radii**3).sum())
    for draw in range(10 * _DRAWS):
        ball = rng.normal(size=(molecule.n_atoms, 3))
        ball *= (rng.random(len(ball)) ** (1 / 3) / np.linalg.norm(ball, axis=1))[:, None]
        room = volume * rng.uniform(_DENSEST, _WIDEST + draw / _DRAWS)
        x: Positions = ball * room ** (1 / 3)
        if apart(molecule, x, _CLOSEST) and len(components(molecule, x, _LOOSEST)) == 1:
            break
    return x


def shaken(molecule: Molecule, x: Positions, size: float, rng: np.random.Generator) -> Positions:
    """A structure displaced by `size` Å (root mean square of an atom), without clashes if it can.

    Returns
    -------
    ndarray
        (n, 3) in Å.
    """
    for _ in range(_DRAWS):
        there: Positions = x + size * rng.normal(size=x.shape) / np.sqrt(3.0)
        if apart(molecule, there, _CLASH):
            break
    return there


def apart(molecule: Molecule, x: Positions, closest: float) -> bool:
    """Whether no two atoms are closer than a part of the sum of their covalent radii."""
    ratio = distances(x) / (molecule.radii[:, None] + molecule.radii[None])
    np.fill_diagonal(ratio, np.inf)
    return bool(ratio.min() > closest)
