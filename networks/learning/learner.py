"""The protocol of learners, which make models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from afir.molecule import Molecule
from afir.options import load_entry

ENTRY_POINT_GROUP = "afir.learners"
"""Packages register a learner under this entry-point group; see `Learner`."""


class Learner(Protocol):
    """Trains a model of the difference between two surfaces from labelled geometries.

    Implementations register a factory ``factory(molecule) -> Learner``.
    """

    @property
    def samples(self) -> int:
        """Number of geometries of pushes to label for the first model, 0 or more."""
        ...

    @property
    def attempts(self) -> int:
        """Number of attempts at each push on the learned surface, 1 or more."""
        ...

    @property
    def share(self) -> float:
        """Share of new labels that is needed before the next model is trained."""
        ...

    def __call__(
        self,
        labels: Path,
        output: Path,
        *,
        surface: str,
        options: Mapping[str, Any],
        start: Path | None,
        seed: int,
    ) -> dict[str, float]:
        """Train a model; returns its errors.

        Parameters
        ----------
        labels
            Extended XYZ as `afir collect` writes it.
        output
            The model to write.
        surface, options
            The surface whose difference from the labels is learned.
        start
            The model to begin with.
        seed
            Seed of the random numbers.

        Returns
        -------
        dict
            The errors by name.
        """
        ...

    def surface(self, model: Path) -> str:
        """The name under which `afir.pes.loading.load_surface` knows a surface with the model."""
        ...


def load_learner(name: str, molecule: Molecule) -> Learner:
    """A registered learner; InputError for an unknown name or an unsuitable molecule."""
    learner: Learner = load_entry(ENTRY_POINT_GROUP, "learner", name, {}, molecule)
    return learner
