"""A surface of another package: GFN2-xTB in a soft cage, in which molecules stay together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from afir import Evaluation, InputError, Molecule, Surface, Traits, load_surface
from afir.pes.surface import traits_of


class Caged:
    """Another surface with a harmonic wall around the centre of the atoms."""

    def __init__(self, inner: Surface, radius: float, stiffness: float) -> None:
        self.inner, self.radius, self.stiffness = inner, radius, stiffness

    @property
    def molecule(self) -> Molecule:
        return self.inner.molecule

    @property
    def traits(self) -> Traits:
        doubt = f"beyond {self.radius:g} Å from the centre its energies are those of a cage"
        return replace(traits_of(self.inner), doubt=doubt)

    def evaluate(self, positions: np.ndarray, owners: Sequence[object] | None = None) -> Evaluation:
        said = self.inner.evaluate(positions, owners)
        arms = positions - positions.mean(axis=1, keepdims=True)
        away = np.linalg.norm(arms, axis=2)
        beyond = np.maximum(away - self.radius, 0.0)
        pull = self.stiffness * (beyond / np.maximum(away, self.radius))[:, :, None] * arms
        pull -= pull.mean(axis=1, keepdims=True)  # the centre follows the atoms
        wall = 0.5 * self.stiffness * (beyond**2).sum(axis=1)
        return replace(said, energies=said.energies + wall, gradients=said.gradients + pull)

    def for_paths(self) -> "Caged":
        return Caged(self.inner.for_paths(), self.radius, self.stiffness)


def caged(molecule: Molecule, *, radius: float = 4.0, stiffness: float = 1.0) -> Caged:
    """GFN2-xTB in a soft cage.

    Parameters
    ----------
    radius
        Radius of the cage in Å.
    stiffness
        Force constant of its wall in eV/Å².
    """
    if not radius > 0.0:
        raise InputError(f"`radius` must be more than 0 Å, got {radius}")
    return Caged(load_surface("gfn2", molecule), radius, stiffness)
