"""Learning the difference between the searched surface and the reference during a run.

Every gradient of the reference that a run needs to verify a structure is a label. When there are
enough labels, or nothing is left to try on the cheap surface, a first model of the difference is
trained; some learners first need labels of the most different geometries of all pushes. Then
searches run on the cheap surface plus the model, and repeat earlier trials too. Where a model
reports that it is unreliable, the reference is used. The next model is trained when there are
enough new labels. Models and labels are in a folder beside the run file, which holds all labels as
well.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from afir.errors import AfirError, InputError
from afir.geometry.superposition import displacement
from afir.molecule import Molecule
from afir.pes.named import Named, named_base
from afir.stationary import Candidate, Minimum, Outcome, StationaryPoint, TrialResult
from afir.units import KJ_PER_MOL
from networks.execution.tasks import Label, Labelled, Recall, TaskResult
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import ZERO, Dismissals, zero_record
from networks.learning.sampling import Pool, pool, spread_out, write_frames
from networks.records.structures import Absorbed, Dismissed, Key, Model
from networks.rounds.base import Question
from networks.storage.store import Store

ENTRY_POINT_GROUP = "afir.learners"
"""Packages register a learner under this entry-point group; see `Learner`."""

_ENOUGH = 300  # labels for a first model while trials are left
_CEILING = 800.0 * KJ_PER_MOL  # above the lowest: geometries beyond get no label
_FEWEST_TASKS = 4  # with labels, to train a first model
_FEWEST_NEW = 12  # new labels, to train the next model
_SAME = 0.15  # Å: a structure that moves further on another surface is a different one


SAMPLE = "sample"
"""The phase of tasks that label geometries of pushes."""

STAGES = ("push", "path")
"""The stages of those geometries."""


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
        """The name under which `afir.pes.surface.load_surface` knows a surface with the model."""
        ...


def load_learner(name: str, molecule: Molecule) -> Learner:
    """A registered learner; InputError for an unknown name or an unsuitable molecule."""
    known = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in known:
        raise InputError(f"`learner` must be one of {', '.join(sorted(known))}, got {name!r}")
    learner: Learner = known[name].load()(molecule)
    return learner


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

    @property
    def sampled(self) -> bool:
        """Whether the geometries of pushes for the first model are labelled, if it needs any."""
        if not self._learner.samples:
            return True
        return any(phase == SAMPLE for phase, _ in self._store.label_counts())

    def attempts(self, wanted: int) -> int:
        """Maximum attempts at a push now; `wanted` is their number without learning."""
        return wanted + self._learner.attempts if self.models else wanted

    @property
    def sampling(self) -> bool:
        """Whether to keep geometries of pushes, to choose those to label."""
        return bool(self._learner.samples) and not self.models

    def ready(self, anything_left: bool) -> bool:
        """Whether it is time for the first model, if there are enough labels.

        Parameters
        ----------
        anything_left
            Whether anything is left to try now.
        """
        return not self.models and (not anything_left or self.labels >= _ENOUGH)

    @property
    def to_come(self) -> bool:
        """Whether a first model would be trained if nothing were left to try."""
        return self.ready(False) and (not self.sampled or self.due(False))

    def due(self, anything_left: bool) -> bool:
        """Whether a model should be trained now; the argument is that of `ready`."""
        if not self.models:
            counts = [number for _, number in self._store.label_counts()]
            enough = sum(counts) >= _FEWEST_NEW and len(counts) >= _FEWEST_TASKS
            return enough and self.ready(anything_left)
        known = self.models[-1].labels
        return self.labels - known >= max(_FEWEST_NEW, self._learner.share * known)

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
        model = Model(number, store.rounds, count, seconds, errors)
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


class Sampled:
    """The stage that labels geometries of pushes for the first model.

    Parameters
    ----------
    number
        Its number among the rounds.
    tasks
        The geometries to label.
    """

    def __init__(self, number: int, tasks: list[Label]) -> None:
        self.number = number
        self._tasks = tasks
        self._answers: dict[Key, TaskResult] = {}

    def begin(self) -> list[Question]:
        """The tasks that label them all."""
        return [(Key(SAMPLE, index), task) for index, task in enumerate(self._tasks)]

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Nothing follows."""
        self._answers[key] = result
        return []

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Add nothing to the network; the labels are among the frames."""
        if not any(isinstance(answer.value, Labelled) for answer in self._answers.values()):
            errors = {answer.error for answer in self._answers.values()}
            raise AfirError(
                f"the reference gave no energy for any geometry of the pushes: {min(errors)}"
            )
        return _no_trials(self.number, self._answers, ())


class Recalled:
    """The stage that locates all known structures on a new model.

    Searches on the new model then recognise them.

    Parameters
    ----------
    number
        Its number among the rounds.
    network
        The known structures.
    """

    def __init__(self, number: int, network: ReactionNetwork) -> None:
        self.number = number
        start = network.eqs["EQ0"]
        self._points: list[tuple[str, StationaryPoint]] = [
            (ZERO, start.point()),
            *((eq.id, eq.point()) for eq in network.eqs.values()),
            *((ts.id, ts.point()) for ts in network.tss.values()),
        ]
        self._answers: dict[Key, TaskResult] = {}

    def begin(self) -> list[Question]:
        """The tasks that locate every structure."""
        return [
            (Key("recall", index), Recall("here" if id == ZERO else id[:2], point))
            for index, (id, point) in enumerate(self._points)
        ]

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Nothing follows."""
        self._answers[key] = result
        return []

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Record each structure as it is on the new model, unless it became another."""
        noted: list[Dismissed] = []
        for index, (id, point) in enumerate(self._points):
            value = self._answers[Key("recall", index)].value
            if not isinstance(value, TrialResult):
                continue
            every: tuple[Candidate | Minimum, ...] = (*value.candidates, *value.minima)
            for found in every:
                if id == ZERO:
                    noted.append(zero_record(found.positions, found.energy, trials))
                    dismissals.add(noted[-1])
                    continue
                if displacement(point.positions, found.positions) > _SAME:
                    continue
                outcome = Outcome.CONVERGED if id.startswith("EQ") else Outcome.CONFIRMED
                record = Dismissed(
                    id[:2],
                    found.positions,
                    found.energy,
                    outcome,
                    f"it is {id}",
                    id,
                    trials,
                )
                dismissals.add(record)
                noted.append(record)
        return _no_trials(self.number, self._answers, tuple(noted))


def _no_trials(
    number: int, answers: Mapping[Key, TaskResult], dismissed: tuple[Dismissed, ...]
) -> Absorbed:
    gradients: dict[str, int] = {}
    for answer in answers.values():
        for stage, count in answer.gradients.items():
            gradients[stage] = gradients.get(stage, 0) + count
    return Absorbed(
        round=number,
        eqs=(),
        tss=(),
        dcs=(),
        trials=(),
        dismissed=dismissed,
        gradients=gradients,
        cpu_seconds=sum(answer.cpu_seconds for answer in answers.values()),
        owners=dict.fromkeys(answers, 0),
    )
