"""Learning while a run goes on: small committees of corrections, trained again and again.

Loading this module loads no torch: that is done when something is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from afir.errors import InputError
from mlpot.packages import require

_NETWORKS = 4
_FEATURES = 32
_BATCH = 16
_VALIDATION = 0.12
_FIRST_STEPS, _FIRST_RATE = 2000, 5e-3
_NEXT_STEPS, _NEXT_RATE = 600, 5e-4
_PREFIX = "delta:"
_MEV = 1000.0


@final
class Delta:
    """Learns what separates a surface from its labels: four small PaiNNs.

    Raises
    ------
    MissingPackageError
        If torch or schnetpack is not installed.
    """

    def __init__(self) -> None:
        require()

    def surface(self, model: Path) -> str:
        """The name of the surface that a model makes."""
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
        """Train a model, or train one further with old and new labels together.

        Parameters
        ----------
        labels
            Extended XYZ as `afir collect` writes it.
        output
            The model to write.
        surface, options
            The surface whose difference from the labels is learned; ``delta:MODEL`` is a potential
            to begin with.
        start
            The model to begin with.
        seed
            For every random choice.

        Returns
        -------
        dict
            Mean errors on frames that were not learned from, in meV and meV/Å, and the limit of
            the spread in eV/Å.
        """
        from threadpoolctl import threadpool_limits

        from mlpot.architecture import CORRECTION
        from mlpot.dataset import read_dataset
        from mlpot.potential import load_potential
        from mlpot.recipe import Recipe, make
        from mlpot.report import judge
        from mlpot.training import Training

        data = read_dataset(labels)
        base, base_options = surface, dict(options)
        before = None
        if surface.startswith(_PREFIX):
            start = start or Path(surface.removeprefix(_PREFIX))
        if start is not None:
            before = load_potential(start)
            about = before.description
            base, base_options = about.base, dict(about.base_options)
            if not base:
                raise InputError(f"{start} must be a correction of a surface, it corrects none")
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
