"""Random geometries: structures displaced along a direction, and mixtures of two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afir.geometry.superposition import superpose
from afir.hessians.steps import longest
from afir.methods.arrangements import CLASH, apart
from afir.molecule import Molecule, Positions

SHIFTS = (0.3, 0.8)  # Å: the atom that moves most, off a minimum
BENDS = (0.1, 0.6)  # Å: the same along a normal mode
BLUR = 0.05  # Å: standard deviation of what is added to a bend
DRAWS = 200  # geometries with atoms too close before one is taken as it is


def shifted(x: Positions, rng: np.random.Generator) -> tuple[Positions, Positions]:
    """A structure displaced at random, and the direction."""
    direction = rng.normal(size=x.shape)
    direction /= longest(direction.ravel())
    return x + rng.uniform(*SHIFTS) * direction, direction


def bent(
    x: Positions, modes: NDArray[np.float64], rng: np.random.Generator
) -> tuple[Positions, Positions]:
    """A structure displaced along one of its modes (3n, m), and the direction.

    The first modes, which should be the softest, are drawn most often.
    """
    count = modes.shape[1]
    mode = modes[:, min(int(rng.exponential(count / 2)), count - 1)]
    direction = (mode / longest(mode)).reshape(x.shape) * rng.choice([-1.0, 1.0])
    blur = rng.normal(scale=BLUR, size=x.shape)
    return x + rng.uniform(*BENDS) * direction + blur, direction


def mixed(
    molecule: Molecule, first: Positions, second: Positions, rng: np.random.Generator
) -> Positions:
    """Somewhere on the straight way between two structures, like atoms exchanged at random."""
    numbers = np.array(molecule.numbers)
    for _ in range(DRAWS):
        places = np.empty(len(numbers), dtype=int)
        places[np.argsort(numbers, kind="stable")] = np.lexsort((rng.random(len(numbers)), numbers))
        other = superpose(first, second[places] * rng.choice([-1.0, 1.0]))
        x: Positions = first + rng.uniform(0.2, 0.8) * (other - first)
        if apart(molecule, x, CLASH):
            break
    return x
