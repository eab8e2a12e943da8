"""Labelled geometries of one molecule, and their split into training, validation and test."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.io.formats.files import read_frames
from afir.io.formats.frame import Frame
from afir.io.structures import elements_of
from afir.molecule import Molecule, Positions
from afir.pes.surface import Surface

logger = logging.getLogger(__name__)


_SAME_SPOT = 1e-3  # Å: closer atoms were written twice, no surface has labels there


@dataclass(frozen=True, eq=False)
class Dataset:
    """Geometries with energies and gradients.

    Attributes
    ----------
    molecule
        The molecule of all frames.
    positions
        (m, n, 3) in Å.
    energies
        (m,) in eV.
    gradients
        (m, n, 3) in eV/Å.
    groups
        Group of each frame: frames of one group (trial) are never split.
    stages
        Search stage of each frame, e.g. ``"push"``.
    surface, surface_options
        Level of theory of the labels; "" if unknown.
    """

    molecule: Molecule
    positions: Positions
    energies: NDArray[np.float64]
    gradients: Positions
    groups: tuple[str, ...]
    stages: tuple[str, ...]
    surface: str = ""
    surface_options: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.energies)

    def part(self, indices: Sequence[int] | NDArray[np.int64]) -> Dataset:
        """The frames of the indices (m,), in that order."""
        chosen = [int(index) for index in indices]
        return replace(
            self,
            positions=self.positions[chosen],
            energies=self.energies[chosen],
            gradients=self.gradients[chosen],
            groups=tuple(self.groups[index] for index in chosen),
            stages=tuple(self.stages[index] for index in chosen),
        )


@dataclass(frozen=True, eq=False)
class Split:
    """Three parts of a dataset that share no group."""

    train: Dataset
    validation: Dataset
    test: Dataset


def read_dataset(path: Path) -> Dataset:
    """Read labelled frames: a file of `afir collect`, or any other with energies and forces.

    Without ``group`` in it, every frame is a group of its own.

    Raises
    ------
    InputError
        If the file cannot be read, a frame has no energy or forces or two atoms on one spot, or
        they are not all of one molecule with its atoms in one order, labelled by one surface.
    """
    if not path.is_file():
        raise InputError(f"the data must be a file, got {path}, which is not one")
    frames = read_frames(path)
    numbers = elements_of(frames[0].atoms, source=f"{path}, frame 0")
    origin = _origin(path, 0, frames[0], numbers)
    energies, gradients = [], []
    for index, frame in enumerate(frames):
        if tuple(frame.atoms.numbers) != numbers:
            raise InputError(
                f"{path} must hold one molecule with its atoms in one order, frame {index} is "
                "another than frame 0"
            )
        energy, gradient = _labels(path, index, frame)
        energies.append(energy)
        gradients.append(gradient)
        if _origin(path, index, frame, numbers) != origin:
            raise InputError(
                f"{path} must hold labels of one charge, multiplicity and surface, those of frame "
                f"{index} are others than those of frame 0"
            )
    molecule, surface, options = origin
    for assumption in frames[0].stated.assumptions(molecule, charge=None, multiplicity=None):
        logger.warning("%s: %s", path, assumption)
    try:
        known_options = dict(json.loads(unquote(options)))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}, frame 0: {error}") from error
    data = Dataset(
        molecule,
        np.array([frame.atoms.positions for frame in frames], dtype=np.float64),
        np.array(energies),
        np.array(gradients),
        tuple(str(frame.atoms.info.get("group", index)) for index, frame in enumerate(frames)),
        tuple(str(frame.atoms.info.get("stage", "")) for frame in frames),
        surface,
        known_options,
    )
    _refuse_nonsense(path, data)
    return data


def _labels(path: Path, index: int, frame: Frame) -> tuple[float, Positions]:
    """Energy in eV and gradient (n, 3) in eV/Å of a frame."""
    atoms = frame.atoms
    try:
        energy: Any = atoms.get_potential_energy()
        forces = np.asarray(atoms.get_forces(), dtype=np.float64)
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(f"{path} must hold energies and forces, frame {index}: {error}") from error
    if not isinstance(energy, float | int | np.floating | np.integer) or isinstance(energy, bool):
        raise InputError(f"{path} must hold energies in eV, frame {index} has {str(energy)[:40]!r}")
    if forces.shape != atoms.positions.shape:
        raise InputError(
            f"{path} must hold three components of the force on each atom, frame {index} does not"
        )
    return float(energy), -forces


def _origin(
    path: Path, index: int, frame: Frame, numbers: tuple[int, ...]
) -> tuple[Molecule, str, str]:
    """Molecule, surface and its options, as text, of a frame."""
    molecule = frame.stated.molecule(numbers, source=f"{path}, frame {index}")
    options = frame.atoms.info.get("surface_options", {})
    if isinstance(options, Mapping):  # ASE's reader may have made it of the text
        options = json.dumps(dict(options), sort_keys=True)
    return molecule, str(frame.atoms.info.get("surface", "")), str(options)


def _refuse_nonsense(path: Path, data: Dataset) -> None:
    """Raise InputError for invalid frames, which would spoil the training on all others."""
    for index in range(len(data)):
        x = data.positions[index]
        values = np.concatenate([x.ravel(), data.gradients[index].ravel(), data.energies[[index]]])
        if not np.isfinite(values).all():
            raise InputError(f"{path} must hold finite numbers, frame {index} does not; remove it")
        away = np.linalg.norm(x[:, None] - x, axis=2) + np.eye(len(x))
        if away.min() < _SAME_SPOT:
            raise InputError(f"{path}, frame {index} has two atoms on one spot; remove it")


def split(
    data: Dataset, rng: np.random.Generator, *, validation: float = 0.1, test: float = 0.1
) -> Split:
    """Split by group: no two parts hold frames of one trial.

    Parameters
    ----------
    data
        The frames to split.
    rng
        Draws the groups.
    validation, test
        Fractions of the frames. Groups are taken in random order as long as each brings a part
        closer to its fraction; each part gets at least one group, unless its fraction is 0.

    Raises
    ------
    InputError
        For invalid fractions or too few groups.
    """
    if not (0.0 < validation < 1.0 and 0.0 <= test < 1.0 and validation + test < 1.0):
        raise InputError(
            "`validation` and `test` must be fractions that leave a training set, got "
            f"{validation} and {test}"
        )
    groups = sorted(set(data.groups))
    parts = 2 + (test > 0.0)
    if len(groups) < parts:
        raise InputError(
            f"the data must come from {parts} trials or more to be split, got {len(groups)}"
        )
    sizes = {group: data.groups.count(group) for group in groups}
    order = [groups[index] for index in rng.permutation(len(groups))]
    taken: list[set[str]] = []
    for share in (validation, test):
        chosen: set[str] = set()
        missing = share * len(data)
        for group in reversed(order):
            if len(order) - len(chosen) <= parts - len(taken) - 1 and chosen:
                break
            if share > 0.0 and sizes[group] < 2.0 * missing:  # closer to the fraction than without
                chosen.add(group)
                missing -= sizes[group]
        if share > 0.0 and not chosen:
            chosen.add(min(order, key=lambda group: sizes[group]))
        order = [group for group in order if group not in chosen]
        taken.append(chosen)
    owner = np.array(
        [1 if group in taken[0] else 2 if group in taken[1] else 0 for group in data.groups]
    )
    return Split(*(data.part(np.flatnonzero(owner == part)) for part in range(3)))


def steady_split(data: Dataset, seed: int, *, validation: float) -> Split:
    """Split by group, so that frames keep their part when others are added; no test part.

    The name of a group decides its part, so the fraction is only reached on average. If one part
    would be empty, the group with the lowest number alone is the validation part.

    Raises
    ------
    InputError
        If there is only one group.
    """
    lots = {
        group: int.from_bytes(hashlib.sha256(f"{seed} {group}".encode()).digest()[:8]) / 2.0**64
        for group in sorted(set(data.groups))
    }
    if len(lots) < 2:
        raise InputError("the data must come from 2 groups or more to be split, got 1")
    bound = validation
    if all(lot <= bound for lot in lots.values()) or min(lots.values()) > bound:
        bound = min(lots.values())
    held = np.array([lots[group] <= bound for group in data.groups])
    return Split(data.part(np.flatnonzero(~held)), data.part(np.flatnonzero(held)), data.part([]))


def above(data: Dataset, base: Surface) -> Dataset:
    """The frames with the energies and gradients of a base surface subtracted.

    Frames on which the base surface fails are left out.

    Raises
    ------
    InputError
        If it fails on all frames.
    """
    below = base.evaluate(data.positions)
    good = [index for index in range(len(data)) if index not in below.failures]
    if not good:
        raise InputError("the base surface must give energies of the data, it fails on all frames")
    part = data.part(good)
    return replace(
        part,
        energies=part.energies - below.energies[good],
        gradients=part.gradients - below.gradients[good],
    )
