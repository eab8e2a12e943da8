"""Learning while exploring: what separates the searched surface from the reference.

Every gradient of the reference that a run needs to examine what it found is a label. When they are
many enough, or nothing is left to try on the cheap surface, a first model of the difference is
made; some learners want the most different of all geometries that pushes have met labelled first.
From then on searches go on the cheap surface with the model added, also where they have been
before. Where a model says itself that it is not to be trusted the reference is asked, and the next
model is made when there are enough new labels. The models and the labels lie in a folder beside
the run file, in which all labels are kept as well.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from afir.errors import AfirError, InputError
from afir.geometry import displacement
from afir.molecule import Molecule
from afir.named import Named, named_base
from afir.stationary import Candidate, Minimum, Outcome, StationaryPoint, TrialResult
from afir.units import KJ_PER_MOL
from networks.collect import Pool, pool, spread_out, write_frames
from networks.dismissals import ZERO, Dismissals, zero_record
from networks.network import ReactionNetwork
from networks.records import Absorbed, Dismissed, Key, Model
from networks.stage import Question
from networks.store import Store
from networks.tasks import Label, Labelled, Recall, TaskResult

ENTRY_POINT_GROUP = "afir.learners"
"""Packages register a learner under this entry-point group; see `Learner`."""

_ENOUGH = 300  # labels with which a first model is trained, though something is left to try
_CEILING = 800.0 * KJ_PER_MOL  # above the lowest: geometries beyond are not worth a label
_FEWEST_TASKS = 4  # that labels come from, to train a first model
_FEWEST_NEW = 12  # labels that are new before the next model is made
_SAME = 0.15  # Å: a structure that moved further on the way to another surface is another


SAMPLE = "sample"
"""The phase of tasks that label geometries of pushes."""

STAGES = ("push", "path")
"""Where those geometries come from."""


class Learner(Protocol):
    """Trains a model of the difference between two surfaces from labelled geometries.

    Implementations register a factory ``factory(molecule) -> Learner``.
    """

    @property
    def samples(self) -> int:
        """How many geometries of pushes are labelled for the first model, 0 or more."""
        ...

    @property
    def attempts(self) -> int:
        """How often each push is to be tried on what was learned, 1 or more."""
        ...

    @property
    def share(self) -> float:
        """How large a share of the labels must be new before the next model is made."""
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
        """Train a model.

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
            For every random choice.

        Returns
        -------
        dict
            What is known of its errors, by name.
        """
        ...

    def surface(self, model: Path) -> str:
        """The name under which `afir.surface.load_surface` knows a surface with the model."""
        ...


def load_learner(name: str, molecule: Molecule) -> Learner:
    """A registered learner; raises InputError for an unknown name or a molecule it is not for."""
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
        raise InputError(f"`output` must not end in .models, got {run}: models will lie there")
    if folder.exists():
        raise InputError(
            f"{folder} must not exist: the models of this run will lie there; delete it or choose "
            "another output"
        )


class Learning:
    """The models of a run: which one is in use, when the next is due.

    Parameters
    ----------
    store
        The run.

    Raises
    ------
    InputError
        If models are missing that the run was made with, or packages to train them.
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
        """Name and options of the surface that searches go on now."""
        surface = Named(*self._settings.searched)
        if not self.models:
            return surface.name, surface.options
        return self._learner.surface(self.file(self.models[-1].number)), named_base(surface)

    @property
    def labels(self) -> int:
        """How many labels there are."""
        return sum(number for _, number in self._store.label_counts())

    @property
    def sampled(self) -> bool:
        """Whether geometries of pushes have been labelled for the first model, if any need be."""
        if not self._learner.samples:
            return True
        return any(phase == SAMPLE for phase, _ in self._store.label_counts())

    def attempts(self, wanted: int) -> int:
        """How often a push is tried at most as things are, of `wanted` times without learning."""
        return wanted + self._learner.attempts if self.models else wanted

    @property
    def sampling(self) -> bool:
        """Whether geometries of pushes are to be kept, to choose from them what is labelled."""
        return bool(self._learner.samples) and not self.models

    def ready(self, anything_left: bool) -> bool:
        """Whether it is time for the first model, if there is enough to train it on.

        Parameters
        ----------
        anything_left
            Whether anything is left to try as things are.
        """
        return not self.models and (not anything_left or self.labels >= _ENOUGH)

    @property
    def to_come(self) -> bool:
        """Whether a first model would be made, if nothing were left to try."""
        return self.ready(False) and (not self.sampled or self.due(False))

    def due(self, anything_left: bool) -> bool:
        """Whether a model is to be trained; the argument is that of `ready`."""
        if not self.models:
            counts = [number for _, number in self._store.label_counts()]
            enough = sum(counts) >= _FEWEST_NEW and len(counts) >= _FEWEST_TASKS
            return enough and self.ready(anything_left)
        known = self.models[-1].labels
        return self.labels - known >= max(_FEWEST_NEW, self._learner.share * known)

    def sample(self) -> list[Label]:
        """The most different geometries of all that pushes have met; none if they met none."""
        kept = list(self._store.frames())
        met = {stage for item in kept for stage in item.frames.stages}
        stages = [stage for stage in STAGES if stage in met]
        if not stages:
            return []
        runs = [("run", iter(kept))]
        found = pool(self._store.molecule, runs, stages=stages, ceiling=_CEILING)
        return [Label(found.positions[index]) for index in spread_out(found, self._learner.samples)]

    def train(self) -> Model:
        """Train the next model with all labels there are."""
        store, settings = self._store, self._settings
        self._folder.mkdir(exist_ok=True)
        labels = self._folder / "labels.extxyz"
        labels.unlink(missing_ok=True)
        count = self._write(labels)
        number = len(self.models) + 1
        target = self.file(number)
        target.unlink(missing_ok=True)  # of a run that was killed before it could note it
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
        """Write all labels there are; how many."""
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
    """The stage of a run that labels geometries before anything is learned.

    Parameters
    ----------
    number
        Its number among the rounds.
    tasks
        What to label.
    """

    def __init__(self, number: int, tasks: list[Label]) -> None:
        self.number = number
        self._tasks = tasks
        self._answers: dict[Key, TaskResult] = {}

    def begin(self) -> list[Question]:
        """Label them all."""
        return [(Key(SAMPLE, index), task) for index, task in enumerate(self._tasks)]

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Nothing follows."""
        self._answers[key] = result
        return []

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Nothing for the network; the labels are among the frames."""
        if not any(isinstance(answer.value, Labelled) for answer in self._answers.values()):
            errors = {answer.error for answer in self._answers.values()}
            raise AfirError(
                f"the reference gave no energy for any geometry of the pushes: {min(errors)}"
            )
        return _no_trials(self.number, self._answers, ())


class Recalled:
    """The stage of a run that finds all known structures again on a new model.

    What searches on the new model will meet is then known for what it is.

    Parameters
    ----------
    number
        Its number among the rounds.
    network
        What is known.
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
        """Ask for every structure."""
        return [
            (Key("recall", index), Recall("here" if id == ZERO else id[:2], point))
            for index, (id, point) in enumerate(self._points)
        ]

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Nothing follows."""
        self._answers[key] = result
        return []

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """Note where each structure lies now, unless it has become another."""
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
