"""The potential energy surface: what every backend must offer, and how to get one by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.options import check_options, options_of

ENTRY_POINT_GROUP = "afir.surfaces"
"""Packages register a surface under this entry-point group; see `load_surface`."""

_OURS = ("afir", "mlpot")  # packages whose surfaces are known not to run anything else
_IMPORTING = "afir.surfaces.ase:from_import_path"  # but for this, which imports what it is told to

ARGUMENT = "argument"
"""The argument of a factory that gets what follows a colon in the name of a surface."""


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
        Batch index → why there is no energy. Searches never see these: the driver raises
        them inside the search that asked.
    spread
        (k,) in eV/Å: the error to be expected of the gradient on the worst atom, from a surface
        that knows what it does not know; None from all others.
    limit
        The `spread` in eV/Å above which the surface is not to be trusted.
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
    point of the group ``afir.surfaces`` and must pass `afir.contract.check_surface`.
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
            One object a geometry, naming the search it belongs to. A surface with a memory
            (an SCF density) may start from what it last computed for the same owner and must
            forget it with the owner (hold it weakly); it never shares memory between owners.
            Without owners nothing is remembered.

        Returns
        -------
        Evaluation
            A geometry that fails is reported in `Evaluation.failures`, and the rest of the
            batch is still evaluated.
        """
        ...

    def for_paths(self) -> Surface:
        """The same surface made smoother or cheaper far from stationary points.

        Used while pushing and relaxing paths, never for a reported number. A surface with
        nothing to gain returns itself.
        """
        ...


@runtime_checkable
class Batching(Protocol):
    """What a surface offers besides when many geometries at once cost it less than one by one.

    Nothing else has to: who explores keeps one search in flight then.
    """

    @property
    def batch(self) -> int:
        """How many searches to keep in flight, 1 or more."""
        ...


def batch_of(surface: Surface) -> int:
    """How many searches to keep in flight on a surface: what it says itself, or 1."""
    return surface.batch if isinstance(surface, Batching) else 1


@runtime_checkable
class Expensive(Protocol):
    """What a surface offers besides when a gradient may cost it more than about half a second.

    Searches then think for seconds to save a few gradients. It is said, not measured: what is
    found must not depend on how fast a machine is.
    """

    @property
    def expensive(self) -> bool:
        """Whether gradients are dear."""
        ...


def is_expensive(surface: Surface) -> bool:
    """Whether gradients of a surface are dear: what it says itself, or not."""
    return surface.expensive if isinstance(surface, Expensive) else False


@runtime_checkable
class Doubtful(Protocol):
    """What a surface offers besides that was not made for every molecule it can be asked about."""

    @property
    def doubt(self) -> str:
        """Why it may be wrong about its molecule, as a sentence; empty when it was made for it."""
        ...


def doubt_of(surface: Surface) -> str:
    """Why a surface may be wrong about its molecule; empty when it says nothing."""
    return surface.doubt if isinstance(surface, Doubtful) else ""


@runtime_checkable
class Based(Protocol):
    """A surface that corrects another."""

    @property
    def base(self) -> Surface | None:
        """The one that is corrected, if there is one."""
        ...


def base_of(surface: Surface) -> Surface:
    """What a surface corrects; itself where it corrects nothing."""
    base = surface.base if isinstance(surface, Based) else None
    return surface if base is None else base


@runtime_checkable
class Composed(Protocol):
    """A surface made of others."""

    @property
    def parts(self) -> tuple[Surface, ...]:
        """The others."""
        ...


@runtime_checkable
class Limited(Protocol):
    """A surface that can give up an evaluation that takes too long."""

    def limit(self, seconds: float) -> None:
        """Give up any that takes longer, from now on."""
        ...


def limit(surface: Surface, seconds: float) -> None:
    """Have an evaluation given up that takes longer, wherever a surface or its parts can do so."""
    if isinstance(surface, Limited):
        surface.limit(seconds)
    if isinstance(surface, Composed):
        for part in surface.parts:
            limit(part, seconds)


@runtime_checkable
class Referenced(Protocol):
    """A surface to search on whose finds are examined on a better one."""

    @property
    def reference(self) -> Surface:
        """The better one: it answers requests of the level REFERENCE (`afir.driver.Level`)."""
        ...


@final
class Checked:
    """A cheap surface to search on, together with the one that has the last word.

    Parameters
    ----------
    surface
        Answers everything but requests of the level REFERENCE.
    reference
        Answers those.
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
        """The surface that has the last word."""
        return self._reference

    @property
    def base(self) -> Surface:
        """What the cheap surface corrects, if it does."""
        return base_of(self._surface)

    @property
    def parts(self) -> tuple[Surface, ...]:
        """Both."""
        return self._surface, self._reference

    @property
    def batch(self) -> int:
        """How many searches to keep in flight: one where they would wait for a dear reference."""
        return 1 if is_expensive(self._reference) else batch_of(self._surface)

    @property
    def expensive(self) -> bool:
        """Whether gradients of the cheap surface are dear, after all."""
        return is_expensive(self._surface)

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """What the cheap surface says; see `Surface.evaluate`."""
        return self._surface.evaluate(positions, owners)

    def for_paths(self) -> Surface:
        """The cheap surface as it is on paths."""
        return self._surface.for_paths()


def surface_names() -> tuple[str, ...]:
    """The names `load_surface` knows, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)}))


def described(name: str, options: Mapping[str, Any]) -> str:
    """A surface for people: its name and the options that were given, ``gfn2 (solvent=water)``."""
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{name} ({given})" if given else name


def is_foreign(name: str) -> bool:
    """Whether a surface runs code from outside: another package's, or what its name imports.

    One that is not registered runs nothing.
    """
    base = name.partition(":")[0]
    if base not in surface_names():
        return False
    return not _is_ours(_registered(base))


def _is_ours(point: EntryPoint) -> bool:
    package = point.module.partition(".")[0]
    return package in _OURS and point.value != _IMPORTING


def _registered(base: str) -> EntryPoint:
    """The entry point of a surface; ours where another package has taken the name too."""
    points = [point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name == base]
    if not points:
        raise InputError(f"`surface` must be one of {', '.join(surface_names())}, got {base!r}")
    return max(points, key=_is_ours)


def load_surface(name: str, molecule: Molecule, /, **options: Any) -> Surface:
    """Build a registered surface for a molecule.

    One that runs code from outside (`is_foreign`) is computed in a process of its own, with a
    working directory of its own, see `afir.isolation`.

    Parameters
    ----------
    name
        A registered name such as ``"gfn2"``; what follows a colon is handed to the factory
        as its ``argument``, which is no option (``"delta:model.json"``).
    molecule
        The molecule.
    **options
        Options of that surface; `afir surfaces` lists them.

    Raises
    ------
    InputError
        For an unknown name or option.
    MissingPackageError
        When the package behind the surface is not installed.
    """
    if is_foreign(name):
        from afir.isolation import IsolatedSurface  # most runs need no other process

        return IsolatedSurface(name, molecule, options)
    return build_surface(name, molecule, options)


def build_surface(name: str, molecule: Molecule, options: Mapping[str, Any]) -> Surface:
    """Build a registered surface in this process; see `load_surface`."""
    base, colon, argument = name.partition(":")
    factory = _registered(base).load()
    wanted = options_of(factory, 1).get(ARGUMENT)
    if colon and wanted is None:
        raise InputError(f"the surface {base!r} takes nothing behind a colon, got {name!r}")
    if wanted is not None and ARGUMENT in options:
        raise InputError(
            f"the surface {base!r} has no option {ARGUMENT!r}; write it behind a colon, "
            f"{base}:{options[ARGUMENT]}"
        )
    if wanted is not None and wanted.default is wanted.empty and not argument:
        raise InputError(
            f"the surface {base!r} needs something behind a colon, {base}:…; see "
            f"`afir surfaces {base}`"
        )
    check_options(f"the surface {base!r}", factory, options, given=1, without=(ARGUMENT,))
    if colon:
        options = {ARGUMENT: argument, **options}
    try:
        surface: Surface = factory(molecule, **options)
    except TypeError as error:
        if not options:
            raise  # nothing that was given can be the reason
        values = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise InputError(
            f"the surface {base!r} cannot use an option as it is given ({values}); see "
            f"`afir surfaces {base}`"
        ) from error
    return surface
