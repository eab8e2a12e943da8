"""One way to count and time what any program asks of a surface."""

from __future__ import annotations

import time
from collections.abc import Sequence

from afir.molecule import Molecule, Positions
from afir.surface import Evaluation, Surface


class CountedSurface:
    """A surface that counts its gradients and the CPU seconds spent in them.

    Attributes
    ----------
    gradients
        Geometries evaluated so far.
    seconds
        CPU seconds spent inside the surface.
    """

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self.gradients = 0
        self.seconds = 0.0

    @property
    def molecule(self) -> Molecule:
        """The molecule of the surface."""
        return self._surface.molecule

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """Ask the surface, count and take the time."""
        start = time.process_time()
        evaluation = self._surface.evaluate(positions, owners)
        self.seconds += time.process_time() - start
        self.gradients += len(positions)
        return evaluation

    def for_paths(self) -> Surface:
        """Itself: everything is counted at one accuracy."""
        return self
