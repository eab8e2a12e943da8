"""One way to count and time what any program asks of a surface."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from afir.molecule import Molecule, Positions
from afir.pes.surface import Evaluation, Surface, Traits, traits_of


@dataclass
class Meter:
    """Geometries evaluated, in how many calls, and CPU seconds spent inside a surface."""

    gradients: int = 0
    calls: int = 0
    seconds: float = 0.0


class CapReached(Exception):  # noqa: N818 - it is no error
    """A search has spent all the gradients it was given."""


class CountedSurface:
    """A surface that adds its calls to a meter, and refuses more than `cap` of them."""

    def __init__(self, surface: Surface, meter: Meter, cap: float = float("inf")) -> None:
        self._surface = surface
        self._meter = meter
        self._cap = cap

    @property
    def molecule(self) -> Molecule:
        """The molecule of the surface."""
        return self._surface.molecule

    @property
    def traits(self) -> Traits:
        """Those of the surface; what is below it has no meter."""
        return replace(traits_of(self._surface), base=None, reference=None)

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """Ask the surface, count and take the time."""
        if self._meter.gradients + len(positions) > self._cap:
            raise CapReached
        start = time.process_time()
        evaluation = self._surface.evaluate(positions, owners)
        self._meter.seconds += time.process_time() - start
        self._meter.gradients += len(positions)
        self._meter.calls += 1
        return evaluation

    def for_paths(self) -> Surface:
        """The surface for paths, on the same meter."""
        return CountedSurface(self._surface.for_paths(), self._meter, self._cap)
