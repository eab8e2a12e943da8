"""The potential energy surface: the protocol of all backends, and what one may say of itself."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from afir.errors import BrokenSurfaceError, InputError, SurfaceError
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
        """Geometries `start` to `stop` of a batch, none of which failed."""
        if not self.failures and stop - start == len(self.energies):
            return self
        spread = None if self.spread is None else self.spread[start:stop]
        return Evaluation(
            self.energies[start:stop], self.gradients[start:stop], {}, spread, self.limit
        )


class Surface(Protocol):
    """A potential energy surface of one molecule.

    Implementations register a factory ``factory(molecule, **options) -> Surface`` as an entry
    point of the group ``afir.surfaces`` and must pass `afir.pes.contract.check_surface`. A surface
    may have one property more, `traits`: what it says of itself (`Traits`).
    """

    @property
    def molecule(self) -> Molecule:
        """The molecule this surface belongs to."""
        ...

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """Energies (k,) in eV and gradients (k, n, 3) in eV/Å of a batch.

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


@dataclass(frozen=True)
class Traits:
    """What a surface says of itself; a surface without `traits` has the defaults.

    A surface that wraps another passes its traits on, with its own changes:
    ``replace(traits_of(below), doubt="...")``.

    Attributes
    ----------
    batch
        Number of searches to keep in flight, 1 or more: above 1 where many geometries at once cost
        less than one after the other.
    expensive
        Whether a gradient takes more than about half a second. Searches then compute for seconds to
        save a few gradients. It is declared and not measured: results must not depend on the speed
        of a machine.
    doubt
        Half a sentence on why the surface may be wrong about its molecule; empty if it is made for
        it.
    base
        The surface that is corrected, of a learned difference that may be left out; it answers
        requests of level BASE (`afir.pes.driver.Level`).
    reference
        The surface on which results are examined; it answers requests of level REFERENCE.
    limiters
        Functions that set the time limit in seconds of all later evaluations, for `limit`: those of
        all surfaces that take part. Longer evaluations raise LostSurfaceError.

    Raises
    ------
    BrokenSurfaceError
        If a value is none of these.
    """

    batch: int = 1
    expensive: bool = False
    doubt: str = ""
    base: Surface | None = None
    reference: Surface | None = None
    limiters: tuple[Callable[[float], None], ...] = ()

    def __post_init__(self) -> None:
        number = isinstance(self.batch, Integral) and not isinstance(self.batch, bool)
        right = number and self.batch >= 1
        check_said("batch", self.batch, right, "a whole number, 1 or more")
        right = isinstance(self.expensive, bool | np.bool_)
        check_said("expensive", self.expensive, right, "True or False")
        check_said("doubt", self.doubt, isinstance(self.doubt, str), "text")
        for name, other in (("base", self.base), ("reference", self.reference)):
            check_said(name, other, other is None or is_surface(other), "a surface")
        right = isinstance(self.limiters, tuple) and all(map(callable, self.limiters))
        check_said("limiters", self.limiters, right, "a tuple of functions")
        for name, kind in (("batch", int), ("expensive", bool), ("doubt", str)):
            object.__setattr__(self, name, kind(getattr(self, name)))  # of NumPy and subclasses


def is_surface(thing: object) -> bool:
    """Whether something can be evaluated, as a surface can."""
    return callable(getattr(thing, "evaluate", None))


def check_said(name: str, said: object, right: bool, wanted: str) -> None:
    """Raise BrokenSurfaceError for what a surface says of itself unless it is right."""
    if not right:
        got = "a method" if callable(said) else repr(said)
        raise BrokenSurfaceError(f"the `{name}` of the surface must be {wanted}, got {got}")


def traits_of(surface: Surface) -> Traits:
    """What a surface says of itself: its `traits`, or the defaults.

    Raises
    ------
    BrokenSurfaceError
        If its `traits` are something else.
    """
    said = getattr(surface, "traits", None)
    if said is None and inspect.getattr_static(surface, "traits", None) is None:
        return Traits()
    check_said("traits", said, isinstance(said, Traits), "a value of afir.Traits")
    assert isinstance(said, Traits)
    return said


def limit(surface: Surface, seconds: float) -> None:
    """Set the time limit in seconds for later evaluations of a surface, where it supports one."""
    for limiter in traits_of(surface).limiters:
        limiter(seconds)


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
    def traits(self) -> Traits:
        """Those of the search surface, except that no search waits for others' references."""
        searched, reference = traits_of(self._surface), traits_of(self._reference)
        return replace(
            searched,
            batch=1 if reference.expensive else searched.batch,
            doubt=searched.doubt or reference.doubt,
            reference=self._reference,
            limiters=(*searched.limiters, *reference.limiters),
        )

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """That of the search surface, of geometries (k, n, 3) in Å; see `Surface.evaluate`."""
        return self._surface.evaluate(positions, owners)

    def for_paths(self) -> Surface:
        """The search surface in its form for paths."""
        return self._surface.for_paths()
