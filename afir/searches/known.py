"""Structures that are known already, recognised by searches that head for them.

A search that comes close to a known stationary point and finds there what the exact Hessian of
that point foretells would end there. Its last steps, and the proof of what it finds, are saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.geometry.alignment import align
from afir.geometry.signature import signature
from afir.geometry.superposition import internal_part
from afir.molecule import Molecule, Positions

# Fitted on 750 trials of five molecules: with these numbers no end of a path and none of 680
# transition states is lost, with a gradient that may deviate twice as far one of them is
# (benchmarks/RESULTS.md, "Known structures").
_NEAR = 0.2  # Å: root mean square distance after superposition
_OFF = 0.05  # eV: deviation of the energy from what the Hessian foretells
_MISSED = 0.5  # of the gradient: deviation from what the Hessian of a saddle point foretells
_ALONG = 0.85  # overlap of the climbed mode with that of a saddle point
# Peaks of paths, whose gradients are not compared.
_OFF_PATH = 0.1  # eV
_ALONG_PATH = 0.7

# Chosen: they decide which known structures are superposed.
_ALIKE = 0.2  # Å: root mean square difference of the sorted distances
_LEVEL = 0.4  # eV: difference of the energies; at 0.7 a climb that passed by was stopped once
_MOST = 3  # of the structures most alike


class Located(Protocol):
    """A stationary point with its Hessian, whatever class it is of."""

    @property
    def positions(self) -> Positions:
        """(n, 3) in Å."""
        ...

    @property
    def energy(self) -> float:
        """In eV."""
        ...

    @property
    def hessian(self) -> NDArray[np.float64]:
        """(3n, 3n) in eV/Å²."""
        ...


@dataclass(frozen=True, eq=False)
class Met:
    """A known structure in the place of a geometry close to it, its atoms in the same order.

    Attributes
    ----------
    positions
        (n, 3) in Å.
    energy
        eV.
    hessian
        (3n, 3n) in eV/Å².
    """

    positions: Positions
    energy: float
    hessian: NDArray[np.float64]

    @property
    def flat(self) -> NDArray[np.float64]:
        """(n, 3) the gradient there in eV/Å, which is zero."""
        return np.zeros_like(self.positions)

    @property
    def mode(self) -> NDArray[np.float64]:
        """(3n,) the unit displacement along the lowest curvature, not mass-weighted."""
        mode: NDArray[np.float64] = np.linalg.eigh(self.hessian)[1][:, 0]
        return mode


class KnownStructures:
    """Known minima and saddle points of one molecule on one surface.

    Searches that are given them end where they reach one: the structure found is the known one,
    turned, mirrored and with like atoms exchanged so that it lies where the search was.

    Parameters
    ----------
    molecule
        The molecule.
    minima, saddles
        Stationary points with exact Hessians (`afir.StationaryPoint`) on the surface that is
        searched; energies in eV.

    Raises
    ------
    InputError
        For a structure with another number of atoms.
    """

    def __init__(
        self,
        molecule: Molecule,
        minima: Iterable[Located] = (),
        saddles: Iterable[Located] = (),
    ) -> None:
        self._molecule = molecule
        self._minima = _Kept(molecule, tuple(minima))
        self._saddles = _Kept(molecule, tuple(saddles))

    def also(
        self, minima: Sequence[Located] = (), saddles: Sequence[Located] = ()
    ) -> KnownStructures:
        """These structures and some more."""
        return KnownStructures(
            self._molecule,
            (*self._minima.points, *minima),
            (*self._saddles.points, *saddles),
        )

    def minimum_at(self, positions: Positions, energy: float) -> Met | None:
        """The known minimum to which a relaxation leads; None if that cannot be told.

        Parameters
        ----------
        positions
            (n, 3) in Å, close to the minimum and not below it.
        energy
            eV, about as the Hessian of the minimum foretells.
        """
        near = self._minima.near(positions, energy, _OFF)
        return next((met for met in near if energy >= met.energy), None)

    def saddle_at(
        self,
        positions: Positions,
        energy: float,
        gradient: NDArray[np.float64],
        followed: NDArray[np.float64],
    ) -> Met | None:
        """The known saddle point to which a climb leads; None if that cannot be told.

        Parameters
        ----------
        positions
            (n, 3) in Å, close to the saddle point.
        energy
            eV, about as the Hessian of the saddle point foretells.
        gradient
            (n, 3) or (3n,) in eV/Å, about as that foretells, too.
        followed
            (n, 3) or (3n,), the direction that is climbed, as it is there.
        """
        slope = gradient.ravel()
        for met in self._saddles.near(positions, energy, _OFF):
            off = (positions - met.positions).ravel()
            foretold = internal_part(positions, (met.hessian @ off).reshape(positions.shape))
            missed = slope - foretold.ravel()
            close = missed @ missed < _MISSED**2 * float(slope @ slope)
            if close and _along(met, followed, _ALONG):
                return met
        return None

    def saddle_below(
        self, positions: Positions, energy: float, tangent: NDArray[np.float64]
    ) -> Met | None:
        """The known saddle point at the peak of a path; None if that cannot be told.

        Parameters
        ----------
        positions
            (n, 3) in Å, the peak.
        energy
            eV, about as the Hessian of the saddle point foretells.
        tangent
            (n, 3) or (3n,), the direction of the path there.
        """
        met = self._saddles.near(positions, energy, _OFF_PATH)
        return next((each for each in met if _along(each, tangent, _ALONG_PATH)), None)


class _Kept:
    """Known structures of one kind, with what is compared first."""

    def __init__(self, molecule: Molecule, points: tuple[Located, ...]) -> None:
        shape = (molecule.n_atoms, 3)
        for point in points:
            if np.shape(point.positions) != shape:
                raise InputError(
                    f"known structures must have positions {shape}, got {np.shape(point.positions)}"
                )
        self.points = points
        self._numbers = molecule.numbers
        self._energies = np.array([point.energy for point in points])
        pairs = molecule.n_atoms * (molecule.n_atoms - 1) // 2
        self._distances = np.array(
            [_sorted(molecule.numbers, _bytes(point.positions)) for point in points]
        ).reshape(len(points), pairs)

    def near(self, positions: Positions, energy: float, off: float) -> Iterator[Met]:
        """Those close to a geometry (n, 3) in Å that foretell its energy in eV, the nearest first.

        Each is in its place there. The energy may be `off` by so much, in eV.
        """
        level = np.flatnonzero(np.abs(self._energies - energy) < _LEVEL)
        if not level.size or len(positions) < 2:
            return
        differences = self._distances[level] - 1.0 / signature(self._numbers, positions)
        unlike = np.sqrt(np.einsum("ij,ij->i", differences, differences) / differences.shape[1])
        order = np.argsort(unlike, kind="stable")[:_MOST]
        chosen = level[order[unlike[order] < _ALIKE]].tolist()
        aligned = [
            (align(self._numbers, positions, point.positions), point)
            for point in (self.points[number] for number in chosen)
        ]
        for found, point in sorted(aligned, key=lambda pair: pair[0].rmsd):
            if found.rmsd >= _NEAR:
                return
            met = Met(found.positions, point.energy, found.hessian(point.hessian))
            away = (positions - met.positions).ravel()
            rise = 0.5 * float(away @ met.hessian @ away)
            if abs(energy - met.energy - rise) < off:
                yield met


def _along(met: Met, direction: NDArray[np.float64], least: float) -> bool:
    """Whether a direction is about that of the lowest curvature: their least overlap."""
    way = direction.ravel()
    return abs(float(met.mode @ way)) > least * float(np.linalg.norm(way))


def _bytes(positions: Positions) -> bytes:
    return np.asarray(positions, np.float64).tobytes()


@lru_cache(maxsize=4096)
def _sorted(numbers: tuple[int, ...], place: bytes) -> NDArray[np.float64]:
    """The sorted distances in Å of positions as bytes, cached: each task is told of all again."""
    result = 1.0 / signature(numbers, np.frombuffer(place).reshape(-1, 3))
    result.setflags(write=False)
    return result
