"""The potential energy surface: the protocol of all backends, and what one may say of itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError, SurfaceError
from afir.molecule import Molecule, Positions


@dataclass(frozen=True)
class Evaluation:
    """Energies and gradients of a batch of k geometries of n atoms.

    Attributes
    ----------
    energies
        (k,) in eV; NaN where the surface failed.
    gradients
        (k, n, 3), dE/dx in eV/Å (never forces); NaN where the surface failed.
    failures
        Batch index → error message. Searches never see these: the driver raises them inside the
        search that asked.
    spread
        (k,) expected error in eV/Å of the gradient on the worst atom, from a surface that estimates
        its error; else None.
    limit
        The `spread` in eV/Å above which the surface is not trusted.
    """

    energies: NDArray[np.float64]
    gradients: NDArray[np.float64]
    failures: Mapping[int, SurfaceError] = field(default_factory=dict)
    spread: NDArray[np.float64] | None = None
    limit: float = math.inf

    def part(self, start: int, stop: int) -> Evaluation:
        """Some geometries of a batch, none of which failed."""
        spread = None if self.spread is None else self.spread[start:stop]
        return Evaluation(
            self.energies[start:stop], self.gradients[start:stop], {}, spread, self.limit
        )


class Surface(Protocol):
    """A potential energy surface of one molecule.

    Implementations register a factory ``factory(molecule, **options) -> Surface`` as an entry
    point of the group ``afir.surfaces`` and must pass `afir.pes.contract.check_surface`.
    """

    @property
    def molecule(self) -> Molecule:
        """The molecule this surface belongs to."""
        ...

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """Energies and gradients of a batch.

        Parameters
        ----------
        positions
            (k, n, 3) in Å. Never changed.
        owners
            One object a geometry that identifies its search. A surface with a memory (an SCF
            density) may start from its last result for the same owner and must forget it with the
            owner (hold it weakly); owners never share memory. Without owners nothing is kept.

        Returns
        -------
        Evaluation
            A geometry that fails is reported in `Evaluation.failures`, and the rest of the
            batch is still evaluated.
        """
        ...

    def for_paths(self) -> Surface:
        """A smoother or cheaper form of the surface, for use far from stationary points.

        It is used for pushes and path relaxation, never for a reported number. A surface without
        such a form returns itself.
        """
        ...


def unfit_owner(owner: object) -> InputError:
    """The error for an owner of geometries that a surface with a memory cannot hold."""
    return InputError(
        "`owners` must hold objects that can be hashed and referenced weakly, "
        f"got {type(owner).__name__}"
    )


@runtime_checkable
class Batching(Protocol):
    """Optional protocol of a surface for which batches cost less than single geometries.

    For other surfaces one search is kept in flight.
    """

    @property
    def batch(self) -> int:
        """Number of searches to keep in flight, 1 or more."""
        ...


def batch_of(surface: Surface) -> int:
    """The number of searches to keep in flight on a surface: its `batch`, or 1."""
    return surface.batch if isinstance(surface, Batching) else 1


@runtime_checkable
class Expensive(Protocol):
    """Optional protocol of a surface whose gradients may take more than about half a second.

    Searches then compute for seconds to save a few gradients. It is declared, not measured: results
    must not depend on the speed of a machine.
    """

    @property
    def expensive(self) -> bool:
        """Whether gradients are costly."""
        ...


def is_expensive(surface: Surface) -> bool:
    """Whether gradients of a surface are costly: its `expensive`, or False."""
    return surface.expensive if isinstance(surface, Expensive) else False


@runtime_checkable
class Doubtful(Protocol):
    """Optional protocol of a surface that may be wrong about some molecules."""

    @property
    def doubt(self) -> str:
        """A sentence on why it may be wrong about its molecule; empty if it is made for it."""
        ...


def doubt_of(surface: Surface) -> str:
    """Why a surface may be wrong about its molecule: its `doubt`, or empty."""
    return surface.doubt if isinstance(surface, Doubtful) else ""


@runtime_checkable
class Based(Protocol):
    """Optional protocol of a surface that corrects another (Δ-learning)."""

    @property
    def base(self) -> Surface | None:
        """The base surface, if there is one."""
        ...


def base_of(surface: Surface) -> Surface:
    """The base surface of a correction; of others the surface itself."""
    base = surface.base if isinstance(surface, Based) else None
    return surface if base is None else base


@runtime_checkable
class Composed(Protocol):
    """Optional protocol of a surface that is composed of others."""

    @property
    def parts(self) -> tuple[Surface, ...]:
        """The component surfaces."""
        ...


@runtime_checkable
class Limited(Protocol):
    """Optional protocol of a surface with a time limit for evaluations."""

    def limit(self, seconds: float) -> None:
        """Set the time limit of all later evaluations."""
        ...


def limit(surface: Surface, seconds: float) -> None:
    """Set the time limit for evaluations of a surface and its parts, if they support one."""
    if isinstance(surface, Limited):
        surface.limit(seconds)
    if isinstance(surface, Composed):
        for part in surface.parts:
            limit(part, seconds)


@runtime_checkable
class Referenced(Protocol):
    """A search surface with a reference surface, on which results are examined."""

    @property
    def reference(self) -> Surface:
        """The reference, which answers requests of level REFERENCE (`afir.pes.driver.Level`)."""
        ...


@final
class Checked:
    """A cheap search surface together with the reference surface.

    Parameters
    ----------
    surface
        The search surface; answers all requests but those of level REFERENCE.
    reference
        The reference; answers those.
    """

    def __init__(self, surface: Surface, reference: Surface) -> None:
        self._surface = surface
        self._reference = reference

    @property
    def molecule(self) -> Molecule:
        """The molecule both belong to."""
        return self._surface.molecule

    @property
    def reference(self) -> Surface:
        """The reference surface."""
        return self._reference

    @property
    def base(self) -> Surface:
        """The base of the search surface, if it is a correction."""
        return base_of(self._surface)

    @property
    def parts(self) -> tuple[Surface, ...]:
        """Both."""
        return self._surface, self._reference

    @property
    def batch(self) -> int:
        """Number of searches to keep in flight: one if they would wait for a costly reference."""
        return 1 if is_expensive(self._reference) else batch_of(self._surface)

    @property
    def expensive(self) -> bool:
        """Whether gradients of the search surface are costly."""
        return is_expensive(self._surface)

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """The evaluation of the search surface; see `Surface.evaluate`."""
        return self._surface.evaluate(positions, owners)

    def for_paths(self) -> Surface:
        """The search surface in its form for paths."""
        return self._surface.for_paths()
