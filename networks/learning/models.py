"""When a run learns, and from what."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from afir.errors import InputError
from afir.pes.named import Named, named_base
from afir.units import KJ_PER_MOL
from networks.execution.tasks import Label, Labelled
from networks.learning.learner import load_learner
from networks.learning.sampling import Pool, pool, spread_out, write_frames
from networks.learning.stages import SAMPLE, STAGES
from networks.records.runs import Model
from networks.storage.base import Store

_ENOUGH = 300  # labels for a first model while trials are left
_CEILING = 800.0 * KJ_PER_MOL  # above the lowest: geometries beyond get no label
_FEWEST_TASKS = 4  # with labels, to train a first model
_FEWEST_NEW = 12  # new labels, to train the next model


def folder_of(run: Path) -> Path:
    """The folder beside a run file with its models and labels."""
    return run.with_name(f"{run.stem}.models")


def check_folder(run: Path) -> None:
    """Raise InputError if models could not be kept beside a new run file."""
    folder = folder_of(run)
    if folder == run:
        raise InputError(f"`output` must not end in .models, got {run}: its models need that name")
    if folder.exists():
        raise InputError(
            f"{folder} must not exist: the models of this run go there; delete it or choose "
            "another output"
        )


class Phase(Enum):
    """What a run that learns does now; it follows from the run file."""

    COLLECTING = "trials on the plain surface, whose verification gives labels"
    SAMPLING = "geometries of pushes are labelled for the first model"
    TRAINING = "a model is trained"
    RECALLING = "known structures are located on a new surface"
    SEARCHING = "trials on a learned surface"

    @property
    def is_preparation(self) -> bool:
        """Whether no trial begins in it."""
        return self in (Phase.SAMPLING, Phase.TRAINING, Phase.RECALLING)


class Learning:
    """The models of a run: the current one, and when the next is due.

    Parameters
    ----------
    store
        The run.

    Raises
    ------
    InputError
        If models of the run are missing, or packages to train them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._settings = store.settings
        self._folder = folder_of(store.path)
        self._learner = load_learner(store.settings.learner, store.molecule)
        self.models = store.models()
        if self.models and not self.file(self.models[-1].number).is_file():
            raise InputError(
                f"{self.file(self.models[-1].number)} must be where the run left it, it is "
                f"missing; put the folder of its models beside the run file, as {self._folder.name}"
            )

    def file(self, number: int) -> Path:
        """The file of a model."""
        return self._folder / f"{number}.model"

    @property
    def surface(self) -> tuple[str, Mapping[str, Any]]:
        """Name and options of the surface that is searched now."""
        surface = Named(*self._settings.searched)
        if not self.models:
            return surface.name, surface.options
        return self._learner.surface(self.file(self.models[-1].number)), named_base(surface)

    @property
    def labels(self) -> int:
        """Number of labels."""
        return sum(number for _, number in self._store.label_counts())

    def attempts(self, wanted: int) -> int:
        """Maximum attempts at a push now; `wanted` is their number without learning."""
        return wanted + self._learner.attempts if self.models else wanted

    @property
    def sampling(self) -> bool:
        """Whether to keep geometries of pushes, to choose those to label."""
        return bool(self._learner.samples) and not self.models

    def phase(self, anything_left: bool) -> Phase:
        """What comes next.

        Parameters
        ----------
        anything_left
            Whether anything is left to try now.
        """
        store, models = self._store, self.models
        if store.stages == max([1, *(model.stage for model in models)]):
            return Phase.RECALLING
        if models:
            known = models[-1].labels
            enough = self.labels - known >= max(_FEWEST_NEW, self._learner.share * known)
            return Phase.TRAINING if enough else Phase.SEARCHING
        if anything_left and self.labels < _ENOUGH:
            return Phase.COLLECTING
        if not self._sampled:
            return Phase.SAMPLING
        counts = [number for _, number in store.label_counts()]
        enough = sum(counts) >= _FEWEST_NEW and len(counts) >= _FEWEST_TASKS
        return Phase.TRAINING if enough else Phase.COLLECTING

    @property
    def to_come(self) -> bool:
        """Whether a first model would be trained if nothing were left to try."""
        return not self.models and self.phase(False).is_preparation

    @property
    def _sampled(self) -> bool:
        """Whether geometries of pushes are labelled, if the learner needs any and there are any."""
        if not self._learner.samples:
            return True
        if any(phase == SAMPLE for phase, _ in self._store.label_counts()):
            return True
        return not any(set(STAGES) & set(kept.frames.stages) for kept in self._store.frames())

    def sample(self) -> list[Label]:
        """The tasks that label the most different geometries of all pushes; may be empty."""
        kept = list(self._store.frames())
        met = {stage for item in kept for stage in item.frames.stages}
        stages = [stage for stage in STAGES if stage in met]
        if not stages:
            return []
        runs = [("run", iter(kept))]
        found = pool(self._store.molecule, runs, stages=stages, ceiling=_CEILING)
        return [Label(found.positions[index]) for index in spread_out(found, self._learner.samples)]

    def train(self) -> Model:
        """Train the next model with all labels; returns it."""
        store, settings = self._store, self._settings
        self._folder.mkdir(exist_ok=True)
        labels = self._folder / "labels.extxyz"
        labels.unlink(missing_ok=True)
        count = self._write(labels)
        number = len(self.models) + 1
        target = self.file(number)
        target.unlink(missing_ok=True)  # left by a run that was killed before it stored the model
        began = time.monotonic()
        errors = self._learner(
            labels,
            target,
            surface=settings.surface,
            options=settings.surface_options,
            start=self.file(number - 1) if self.models else None,
            seed=settings.seed,
        )
        seconds = time.monotonic() - began
        model = Model(number, store.stages, count, seconds, errors)
        store.add_model(model)
        self.models.append(model)
        return model

    def _write(self, path: Path) -> int:
        """Write all labels; returns their number."""
        parts, groups = [], []
        for number, (where, frames) in enumerate(self._store.labels()):
            parts.append(frames)
            groups += [f"{where}:{number}"] * len(frames)
        positions = np.concatenate([part.positions for part in parts])
        energies = np.concatenate([part.energies for part in parts])
        gradients = np.concatenate([part.gradients for part in parts])
        stages = tuple(stage for part in parts for stage in part.stages)
        everything = Pool(self._store.molecule, positions, energies, tuple(groups), stages)
        known = {
            index: Labelled(float(energy), gradient)
            for index, (energy, gradient) in enumerate(zip(energies, gradients, strict=True))
        }
        write_frames(path, everything, known, *self._settings.reported)
        return len(known)
