"""Learned potentials as surfaces: by themselves, and as a correction of another surface.

Loading this module loads no torch: building a surface does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.molecule import Molecule, Positions
from afir.pes.named import Named, base_named, load_base
from afir.pes.surface import Evaluation, Surface, Traits, traits_of
from afir.surfaces.series import added, as_batch, at_once
from mlpot.packages import check_file, require

if TYPE_CHECKING:
    from mlpot.neural.potential import Potential

SMALLEST_DISTANCE = 0.5
"""Å. Closer atoms are refused: no training set has them."""

BATCH = 64
"""Searches to keep in flight: more hardly reduce the cost of a geometry."""


def learned(
    molecule: Molecule,
    *,
    argument: str,
    device: str = "cpu",
    dtype: str = "float32",
) -> LearnedSurface:
    """A potential trained by `afir train`, alone.

    Parameters
    ----------
    molecule
        The molecule.
    argument
        File of the potential: what follows the colon of ``learned:MODEL``.
    device
        Device to evaluate on: cpu, cuda.
    dtype
        Precision: float32, with gradients good to about 1e-5 eV/Å, or float64, which takes up to
        twice the time.

    Raises
    ------
    MissingPackageError
        If torch or schnetpack is not installed.
    InputError
        If the file is not a potential, is a correction, or does not fit the molecule.
    """
    potential = _load(argument, device, dtype)
    if potential.description.base:
        raise InputError(
            f"the potential {argument} is a correction of {potential.description.base}: use "
            f"delta:{argument}"
        )
    return LearnedSurface(molecule, potential)


def delta(
    molecule: Molecule,
    *,
    argument: str,
    device: str = "cpu",
    dtype: str = "float32",
    base: str = "",
    base_options: dict[str, Any] | None = None,
) -> LearnedSurface:
    """A cheap surface plus a correction trained by `afir train --base`.

    Parameters
    ----------
    molecule
        The molecule.
    argument
        File of the correction: what follows the colon of ``delta:MODEL``. It names the base
        surface.
    device
        Device to evaluate on: cpu, cuda.
    dtype
        Precision: float32, with gradients good to about 1e-5 eV/Å, or float64, which takes up to
        twice the time.
    base
        The base surface, which the file names; required if that runs code from outside.
    base_options
        Its options, in JSON.

    Raises
    ------
    MissingPackageError
        If torch or schnetpack is not installed.
    InputError
        If the file is not a potential or not a correction or does not fit the molecule, or the
        base surface runs code from outside and is not named.
    """
    potential = _load(argument, device, dtype)
    about = potential.description
    if not about.base:
        raise InputError(f"the potential {argument} corrects no surface: use learned:{argument}")
    below = load_base(
        Named(about.base, about.base_options),
        base_named({"base": base, "base_options": base_options}),
        molecule,
        where=argument,
    )
    return LearnedSurface(molecule, potential, below)


def _load(argument: str, device: str, dtype: str) -> Potential:
    require()
    path = Path(argument)
    check_file(path)  # before seconds are spent on loading torch
    from mlpot.neural.potential import load_potential

    return load_potential(path, device=device, dtype=dtype)


@final
class LearnedSurface:
    """A learned potential as a surface, alone or as a correction of a base surface.

    Parameters
    ----------
    molecule
        The molecule.
    potential
        The potential.
    base
        The surface whose energies are added.

    Raises
    ------
    InputError
        If the potential does not fit the molecule.
    """

    def __init__(
        self, molecule: Molecule, potential: Potential, base: Surface | None = None
    ) -> None:
        potential.check(molecule)
        self._molecule = molecule
        self.potential = potential
        self._base = base

    @property
    def molecule(self) -> Molecule:
        """The molecule this surface belongs to."""
        return self._molecule

    @property
    def traits(self) -> Traits:
        """Those of its base, in batches, with a warning for molecules it was not trained on."""
        below = Traits() if self._base is None else traits_of(self._base)
        return replace(below, batch=BATCH, base=self._base, doubt=self._doubt() or below.doubt)

    def _doubt(self) -> str:
        """The warning for a molecule outside the training set."""
        learned, asked = self.potential.description.formulas, self._molecule.formula
        if not learned or asked in learned:
            return ""
        return (
            f"the potential was trained on {', '.join(learned)} only, its error for {asked} "
            "is unknown; `afir test` measures it on labelled geometries"
        )

    def for_paths(self) -> LearnedSurface:
        """The same with its base made smoother."""
        if self._base is None:
            return self
        smoother = self._base.for_paths()
        if smoother is self._base:
            return self
        return LearnedSurface(self._molecule, self.potential, smoother)

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """The `Evaluation` of geometries (k, n, 3) in Å; see `afir.pes.surface.Surface`."""
        evaluation, spread = self.evaluate_with_spread(positions, owners)
        if len(self.potential) < 2:
            return evaluation
        limit = self.potential.description.limit
        return replace(evaluation, spread=spread.max(axis=1), limit=limit)

    def evaluate_with_spread(
        self, positions: Positions, owners: Sequence[object] | None = None
    ) -> tuple[Evaluation, NDArray[np.float64]]:
        """The same, with the spread (k, n) of the gradient on each atom in eV/Å.

        The spread is the standard deviation of the networks, calibrated; zero for a single one,
        NaN where the surface failed.
        """
        batch = as_batch(self._molecule, positions)
        spread = np.full(batch.shape[:2], np.nan)

        def predict(good: NDArray[np.intp]) -> tuple[NDArray[np.float64], Positions]:
            said = self.potential.predict(self._molecule, batch[good])
            spread[good] = self.potential.description.calibration * said.gradient_spread
            return said.energies, said.gradients

        evaluation = at_once(batch, predict, smallest_distance=SMALLEST_DISTANCE)
        if self._base is not None:
            evaluation = added(evaluation, self._base.evaluate(batch, owners))
        spread[list(evaluation.failures)] = np.nan
        return evaluation, spread

    def hessians(self, positions: Positions) -> NDArray[np.float64]:
        """Exact Hessians (k, 3n, 3n) in eV/Å² of the learned part at (k, n, 3) in Å."""
        return self.potential.hessians(self._molecule, as_batch(self._molecule, positions))
