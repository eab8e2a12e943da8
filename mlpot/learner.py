"""Learning on the fly during a run: a Gaussian process, or committees of networks.

Loading this module loads no torch: training networks does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from afir.errors import InputError, MissingPackageError
from afir.molecule import Molecule
from afir.pes.loading import load_surface
from afir.pes.named import Named, as_options, base_named, check_named
from mlpot.dataset import above, read_dataset, steady_split
from mlpot.packages import require
from mlpot.process import MOST_EXCHANGES, Correction, apart, suits

if TYPE_CHECKING:
    from mlpot.neural.potential import Potential

_NETWORKS = 4
_FEATURES = 32
_BATCH = 16
_VALIDATION = 0.12
_FIRST_STEPS, _FIRST_RATE = 2000, 5e-3
_NEXT_STEPS, _NEXT_RATE = 600, 5e-4
_PREFIX = "delta:"
_MEV = 1000.0


def automatic(molecule: Molecule) -> Gaussian | Delta:
    """The default learner: a Gaussian process if the molecule is small enough, else networks."""
    return Gaussian(molecule) if suits(molecule) else Delta(molecule)


@final
class Gaussian:
    """Learner of the difference between a surface and its labels: a Gaussian process.

    Parameters
    ----------
    molecule
        A small molecule.

    Raises
    ------
    InputError
        If its like atoms can be exchanged in too many ways.
    """

    samples = 0
    """Push geometries to label first: none, since it changes nothing far from labels."""
    attempts = 2
    """Attempts at each push: a second one uses the labels of the first."""
    share = 0.0
    """Fraction of the labels that must be new for another model, which takes seconds."""

    def __init__(self, molecule: Molecule) -> None:
        if not suits(molecule):
            raise InputError(
                f"`learner` must be delta for {molecule.name}: its like atoms can be exchanged in "
                f"more than {MOST_EXCHANGES} ways"
            )

    def surface(self, model: Path) -> str:
        """The name of the surface of a model."""
        return f"gaussian:{model}"

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
        """Make a model of all labels; see `Delta.__call__`. The model to start from has no effect.

        Returns
        -------
        dict
            Mean errors in meV and meV/Å on the labels of some tasks that are left out; empty if
            all labels come from one task.
        """
        data = read_dataset(labels)
        data = above(data, load_surface(surface, data.molecule, **options))
        data = apart(data)
        unfinished = output.with_name(f"{output.name}.partial")
        Correction(surface, options, data).save(unfinished)
        unfinished.replace(output)
        if len(set(data.groups)) < 2:
            return {}
        parts = steady_split(data, seed, validation=_VALIDATION)
        unseen = parts.validation
        said = Correction(surface, options, parts.train).process().predict(unseen.positions)
        return {
            "energy error / meV": _MEV * float(np.abs(said.energies - unseen.energies).mean()),
            "gradient error / meV/Å": _MEV
            * float(np.abs(said.gradients - unseen.gradients).mean()),
        }


@final
class Delta:
    """Learner of the difference between a surface and its labels: four small PaiNNs.

    Parameters
    ----------
    molecule
        Any molecule.

    Raises
    ------
    MissingPackageError
        If torch or schnetpack is not installed.
    """

    samples = 16
    """Push geometries to label first."""
    attempts = 1
    """Attempts at each push."""
    share = 0.25
    """Fraction of the labels that must be new for a model to be trained further."""

    def __init__(self, molecule: Molecule) -> None:
        try:
            require()
        except MissingPackageError as error:
            raise MissingPackageError(
                f"learning {molecule.name} needs networks, and {error}"
            ) from error

    def surface(self, model: Path) -> str:
        """The name of the surface of a model."""
        return f"{_PREFIX}{model}"

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
        """Train a model, or fine-tune one with old and new labels together.

        Parameters
        ----------
        labels
            Extended XYZ as `afir collect` writes it.
        output
            The model to write.
        surface, options
            The base surface, whose difference from the labels is learned; ``delta:MODEL`` is a
            potential to start from.
        start
            The model to start from.
        seed
            The random seed.

        Returns
        -------
        dict
            Mean absolute errors on the validation frames, in meV and meV/Å, and the limit of the
            spread in eV/Å.
        """
        from threadpoolctl import threadpool_limits

        from mlpot.neural.architecture import CORRECTION
        from mlpot.neural.potential import load_potential
        from mlpot.neural.recipe import Recipe, make
        from mlpot.neural.training import Training
        from mlpot.report import judge

        data = read_dataset(labels)
        base, base_options = surface, dict(options)
        before = None
        if surface.startswith(_PREFIX):
            start = start or Path(surface.removeprefix(_PREFIX))
        if start is not None:
            before = load_potential(start)
            below = _checked_base(start, before, Named(surface, options))
            base, base_options = below.name, dict(below.options)
        steps, rate = (_FIRST_STEPS, _FIRST_RATE) if before is None else (_NEXT_STEPS, _NEXT_RATE)
        recipe = Recipe(
            before.description.architecture if before else replace(CORRECTION, features=_FEATURES),
            Training(
                epochs=1,
                fewest_steps=steps,
                batch=_BATCH,
                rate=rate,
                average=0.99,
                patience=50,
                closing=0.0,  # searches follow gradients
            ),
            networks=len(before) if before else _NETWORKS,
            base=base,
            base_options=base_options,
            seed=seed,
            validation=_VALIDATION,
        )
        with threadpool_limits(limits=1):
            trained = make(data, recipe, start=before, steady=True)
        unfinished = output.with_name(f"{output.name}.partial")
        trained.potential.save(unfinished)
        unfinished.replace(output)
        (errors, *_) = judge(trained.potential, trained.parts.validation)
        return {
            "energy error / meV": _MEV * errors.energy,
            "gradient error / meV/Å": _MEV * errors.gradient,
            "trusted up to / eV/Å": trained.calibration.limit,
        }


def _checked_base(start: Path, before: Potential, over: Named) -> Named:
    """The base surface of a potential to start from, which must be one to trust.

    `over` is the surface of the run, whose own base is trusted too.
    """
    about = before.description
    below = Named(about.base, dict(about.base_options))
    trusted = [over, base_named(over.options)]
    check_named(below, trusted, where=str(start), how=as_options(below))
    if not below.name:
        raise InputError(f"{start} must be a correction of a surface, it has no base surface")
    return below
