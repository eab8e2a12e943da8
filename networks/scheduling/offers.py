"""The trials on a structure: climbs of its modes, inversions, pushes, random geometries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from afir.methods.displacements import Kick, climbs, motions
from afir.methods.inversions import inversions
from afir.methods.pushes import pushes
from afir.molecule import Molecule
from afir.stationary import StationaryPoint
from networks.records.structures import EQ
from networks.scheduling.queue import PushTerms
from networks.settings import Settings

KICKS = 1_000_000
"""The number of the first random geometry of an EQ, after those of all attempts."""

_SHARE = 0.3  # of a mode, mass-weighted: target atoms with more than this take part in it


def offers(
    molecule: Molecule, eq: EQ, settings: Settings, rng: np.random.Generator
) -> list[PushTerms]:
    """All trials on an EQ except random geometries, in the order of their numbers.

    Climbs and inversions come first, since they cost least, then pushes.

    Parameters
    ----------
    molecule
        The molecule.
    eq
        The structure.
    settings
        Of the run.
    rng
        Used only if there are more pairs of forces than are tried.
    """
    point = eq.point()
    climbing = climbs(molecule, point, settings.tried.modes)
    if settings.targets is not None:
        moving = _moving(molecule, point, settings.targets)
        climbing = [climb for climb in climbing if moving[climb.mode]]
    listed: list[PushTerms] = [(climb,) for climb in climbing]
    listed += [(found,) for found in inversions(molecule, eq.positions, settings.targets)]
    listed += pushes(
        molecule,
        eq.positions,
        targets=settings.targets,
        terms=settings.terms,
        # Few are left between named atoms.
        unlike=settings.tried.unlike or settings.targets is not None,
        rng=rng,
    )
    return listed


def offered(listed: Sequence[PushTerms], number: int) -> PushTerms:
    """The trial with a number, given the list of `offers`."""
    if number >= KICKS:
        return (Kick(number - KICKS),)
    return listed[number % len(listed)]


def _moving(molecule: Molecule, point: StationaryPoint, targets: Sequence[int]) -> list[bool]:
    """Whether target atoms take part in each mode, the softest first."""
    taken = [molecule.masses * (way**2).sum(axis=1) for way in motions(molecule, point)]
    return [bool(part[list(targets)].sum() > _SHARE * part.sum()) for part in taken]
