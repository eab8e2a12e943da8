"""Labelled geometries of one molecule, and how they are split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from afir.errors import InputError
from afir.molecule import Molecule, Positions
from afir.surface import Surface

_SAME_SPOT = 1e-3  # Å


@dataclass(frozen=True, eq=False)
class Dataset:
    """Geometries with energies and gradients.

    Attributes
    ----------
    molecule
        The molecule of all.
    positions
        (m, n, 3) in Å.
    energies
        (m,) in eV.
    gradients
        (m, n, 3) in eV/Å.
    groups
        What each belongs together with: frames of one trial are never split.
    stages
        Where each comes from, e.g. ``"push"``.
    surface, surface_options
        What labelled them; "" when that is not known.
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
        """Some of the frames, in that order."""
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
    """Read what `afir collect` writes, or any file of ASE with energies and forces.

    Without ``group`` in it, every frame is a group of its own.

    Raises
    ------
    InputError
        If the file cannot be read, a frame has no energy or forces or two atoms on one spot, or
        they are not all of one molecule with its atoms in one order, labelled by one surface.
    """
    from ase.io import read  # slow to load, and whoever uses labelled frames need not read any

    if not path.is_file():
        raise InputError(f"the data must be a file, got {path}, which is none")
    reader: Any = read
    try:
        frames = reader(path, index=":")
    # Readers of ASE raise what they like when a file is not theirs.
    except Exception as error:
        raise InputError(f"{path} must be a file of labelled frames: {error}") from error
    if not frames:
        raise InputError(f"{path} must hold frames, it holds none")
    first = frames[0]
    numbers = tuple(int(z) for z in first.numbers)
    origin = _origin(first)
    energies, gradients = [], []
    for index, atoms in enumerate(frames):
        if tuple(atoms.numbers) != numbers:
            raise InputError(
                f"{path} must hold one molecule with its atoms in one order, frame {index} is "
                "another than frame 0"
            )
        try:
            energies.append(float(atoms.get_potential_energy()))
            gradients.append(-np.asarray(atoms.get_forces(), dtype=np.float64))
        except (RuntimeError, NotImplementedError) as error:
            raise InputError(
                f"{path} must hold energies and forces, frame {index}: {error}"
            ) from error
        if _origin(atoms) != origin:
            raise InputError(
                f"{path} must hold labels of one charge, multiplicity and surface, those of frame "
                f"{index} are others than those of frame 0"
            )
    charge, multiplicity, surface, options = origin
    try:
        molecule = Molecule(numbers, _whole(charge), _whole(multiplicity))
        known_options = dict(json.loads(unquote(options)))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}, frame 0: {error}") from error
    data = Dataset(
        molecule,
        np.array([atoms.positions for atoms in frames], dtype=np.float64),
        np.array(energies),
        np.array(gradients),
        tuple(str(atoms.info.get("group", index)) for index, atoms in enumerate(frames)),
        tuple(str(atoms.info.get("stage", "")) for atoms in frames),
        surface,
        known_options,
    )
    _refuse_nonsense(path, data)
    return data


def _origin(atoms: Any) -> tuple[str, str, str, str]:
    """Charge, multiplicity, surface and its options of a frame, as text."""
    usual = {"charge": 0, "multiplicity": 1, "surface": "", "surface_options": {}}
    charge, multiplicity, surface, options = (
        atoms.info.get(key, value) for key, value in usual.items()
    )
    if isinstance(options, Mapping):  # ASE's reader may have made it of the text
        options = json.dumps(dict(options), sort_keys=True)
    return str(charge), str(multiplicity), str(surface), str(options)


def _whole(text: str) -> int:
    """A charge or multiplicity; some write them with a decimal point."""
    value = float(text)
    if not value.is_integer():
        raise ValueError(f"charge and multiplicity must be whole numbers, got {text}")
    return int(value)


def _refuse_nonsense(path: Path, data: Dataset) -> None:
    """Raise InputError for frames that nothing can be learned from, and that spoil all others."""
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
    """Split by group, so that no part holds frames of a trial that another part has seen.

    Parameters
    ----------
    data
        To be split.
    rng
        Draws the groups.
    validation, test
        Shares of the frames. Groups are taken in a random order as long as each brings a part
        closer to its share; each part gets a group at least, unless its share is 0.

    Raises
    ------
    InputError
        For shares that make no sense or too few groups.
    """
    if not (0.0 < validation < 1.0 and 0.0 <= test < 1.0 and validation + test < 1.0):
        raise InputError(
            "`validation` and `test` must be shares that leave something to train on, got "
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
            if share > 0.0 and sizes[group] < 2.0 * missing:  # closer to the share than without
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
    """Split by group so that frames keep their sides when others are added; no test part.

    Each group draws its lot from its own name, so the share is only reached on average. Where that
    would leave one side empty, the group with the lowest lot alone validates.

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
    """What a base surface leaves to be learned: its energies and gradients subtracted.

    Frames for which the base has no energy are left out.

    Raises
    ------
    InputError
        If it has none for any.
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
