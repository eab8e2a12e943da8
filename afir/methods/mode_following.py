"""Mode following: saddle searches that climb a normal mode of a minimum.

Following an eigenvector uphill finds internal rotations and rearrangements that begin along a mode
(10.1063/1.442352). For a small molecule it costs less than a push.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from afir.geometry.signature import signature
from afir.hessians.modes import vibrations
from afir.hessians.steps import longest
from afir.methods.base import Known
from afir.methods.saddle_trial import climb_limits, saddle_trial
from afir.molecule import Molecule, Positions
from afir.options import check_whole
from afir.pes.driver import Search
from afir.searches.known import KnownStructures
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import StationaryPoint, TrialResult

UPHILL = 0.15
"""Å (norm): displacement along a mode from which a search starts."""

FEWEST_ATOMS = 3
"""Two atoms have no saddle point."""

_ALIKE = 2e-3  # Å⁻¹: both ways of a mode are equivalent when no inverse distance differs more
_SHARE = 0.3  # of a mode, mass-weighted: target atoms with more than this take part in it


class Climb(NamedTuple):
    """A climb along a normal mode.

    Attributes
    ----------
    mode
        Number of the mode, from 0 for the softest.
    sign
        +1 or −1: along the mode or against it.
    """

    mode: int
    sign: int


@dataclass(frozen=True)
class ModeFollowing:
    """Climbs the softest normal modes, along and against each.

    Parameters
    ----------
    modes
        How many modes at most.

    Raises
    ------
    InputError
        For an invalid value.
    """

    modes: int = 24

    def __post_init__(self) -> None:
        check_whole("modes", self.modes)

    def offers(self, known: Known, rng: np.random.Generator) -> Iterator[Mapping[str, Any]]:
        """One for each climb; of the modes in which target atoms take part if there are some."""
        listed = climbs(known.molecule, known.start, self.modes)
        if known.targets is not None:
            moving = _moving(known.molecule, known.start, known.targets)
            listed = [climb for climb in listed if moving[climb.mode]]
        for climb in listed:
            yield {"kind": "climb", "mode": climb.mode, "sign": climb.sign}

    def search(
        self,
        molecule: Molecule,
        start: StationaryPoint,
        data: Mapping[str, Any],
        step: StepSettings,
        *,
        ceiling: float | None,
        rng: np.random.Generator,
        known: KnownStructures | None = None,
    ) -> Search[TrialResult]:
        """The saddle search from a small displacement up the mode, which it follows."""
        way = motion(molecule, start, Climb(data["mode"], data["sign"]))
        guess = start.positions + UPHILL * way
        search = saddle(
            molecule,
            guess,
            climb_limits(step),
            direction=way,
            hessian=start.hessian,
            known=known,
        )
        return saddle_trial(search, "mode", ceiling)


def climbs(molecule: Molecule, point: StationaryPoint, most: int) -> list[Climb]:
    """The modes of a minimum to climb, both ways unless symmetry makes them equivalent.

    Parameters
    ----------
    molecule
        The molecule.
    point
        A minimum with its exact Hessian.
    most
        How many modes at most, the softest.
    """
    if molecule.n_atoms < FEWEST_ATOMS:
        return []
    found = []
    # One diagonalisation for all modes; the reverse direction has the opposite sign.
    for mode, way in enumerate(motions(molecule, point)[:most]):
        both = [Climb(mode, sign) for sign in (1, -1)]
        # As far in large molecules as in small ones.
        far = UPHILL * way / longest(way.ravel())
        there = [point.positions + sign * far for sign in (1, -1)]
        first, second = (signature(molecule.numbers, x) for x in there)
        found += both[:1] if np.abs(first - second).max(initial=0.0) < _ALIKE else both
    return found


def motion(molecule: Molecule, point: StationaryPoint, climb: Climb) -> Positions:
    """The dimensionless unit displacement (n, 3) along a mode, in the direction of a climb."""
    return climb.sign * motions(molecule, point)[climb.mode]


def motions(molecule: Molecule, point: StationaryPoint) -> list[Positions]:
    """The dimensionless unit displacement (n, 3) along each mode, the softest first."""
    weights = np.sqrt(molecule.masses)
    _, vectors = vibrations(point.hessian, point.positions, weights)
    found = []
    for vector in vectors.T:
        mode = vector.reshape(point.positions.shape) / weights[:, None]
        # The sign of an eigenvector is arbitrary: its largest component decides.
        largest = mode.ravel()[int(np.argmax(np.abs(mode)))]
        found.append(mode * (np.sign(largest) / np.linalg.norm(mode)))
    return found


def _moving(molecule: Molecule, point: StationaryPoint, targets: Sequence[int]) -> list[bool]:
    """Whether target atoms take part in each mode, the softest first."""
    taken = [molecule.masses * (way**2).sum(axis=1) for way in motions(molecule, point)]
    return [bool(part[list(targets)].sum() > _SHARE * part.sum()) for part in taken]
