"""Labelled data from the geometries that runs kept: chosen, evaluated, written.

The choice covers the structures as evenly as possible (farthest-point sampling), so that a few
hundred labels of an expensive surface hold as much information as possible.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from numpy.typing import NDArray

from afir.errors import InputError
from afir.geometry.superposition import far_apart
from afir.io.safe_write import writing
from afir.molecule import Molecule, Positions
from afir.pes.driver import Level
from networks.execution.base import Executor
from networks.execution.checked import answers
from networks.execution.frames import Frames, Kept
from networks.execution.tasks import Label, Labelled
from networks.graph.identity import fingerprint

NEAREST = 1e-3
"""Å⁻¹. Geometries that are closer to one that was chosen, in any inverse distance, are left out."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Geometries to choose from.

    Attributes
    ----------
    molecule
        The molecule.
    positions
        (m, n, 3) in Å.
    energies
        (m,) in eV, of the surface of their run.
    groups
        The run and the trial of each. Never split a group.
    stages
        The stage of the search that asked for each.
    """

    molecule: Molecule
    positions: Positions
    energies: NDArray[np.float64]
    groups: tuple[str, ...]
    stages: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.energies)


def pool(
    molecule: Molecule,
    kept: Sequence[tuple[str, Iterator[Kept]]],
    *,
    stages: Sequence[str] | None = None,
    ceiling: float | None = None,
) -> Pool:
    """All kept geometries of some runs.

    Parameters
    ----------
    molecule
        The molecule of all runs.
    kept
        The name of each run and its frames, see `networks.storage.base.ReadableStore.frames`.
    stages
        Only these stages; all if not given.
    ceiling
        Only geometries up to this above the lowest, in eV.

    Raises
    ------
    InputError
        If nothing is left.
    """
    parts: list[Frames] = []
    groups: list[str] = []
    for name, items in kept:
        for item in items:
            # Energies of a reference are those of another surface.
            frames = item.frames.but_level(Level.REFERENCE.value)
            parts.append(frames)
            groups += [f"{name}:{item.trial}"] * len(frames)
    seen = Counter(stage for part in parts for stage in part.stages)
    for stage in stages or ():
        if stage not in seen:
            known = ", ".join(sorted(seen)) or "none"
            raise InputError(f"`stages` must name stages of the runs ({known}), got {stage!r}")
    if not parts:
        raise InputError("the runs must hold frames, got none; explore with --keep-frames")
    energies = np.concatenate([part.energies for part in parts])
    names = [stage for part in parts for stage in part.stages]
    good = np.isfinite(energies)
    if stages is not None:
        good &= np.isin(names, list(stages))
    if ceiling is not None and good.any():
        good &= energies <= energies[good].min() + ceiling
    chosen = np.flatnonzero(good).tolist()
    if not chosen:
        raise InputError("`stages` and `ceiling` must leave some frames, they leave none")
    return Pool(
        molecule,
        np.concatenate([part.positions for part in parts])[chosen],
        energies[chosen],
        tuple(groups[index] for index in chosen),
        tuple(names[index] for index in chosen),
    )


def spread_out(pool: Pool, count: int) -> list[int]:
    """Indices of geometries that are as different as possible (farthest-point sampling).

    The first is the one of lowest energy; each next one is farthest from all chosen before, by
    the largest difference of sorted inverse distances. Mirror images and exchanges of like atoms
    do not count as different.

    Parameters
    ----------
    pool
        To choose from.
    count
        Maximum number; fewer if the rest is too similar.

    Returns
    -------
    list of int
        Indices, in the order of choice.
    """
    _check_count(count)
    marks = np.array([fingerprint(pool.molecule, x, 0.0).signature for x in pool.positions])
    return far_apart(marks, int(np.argmin(pool.energies)), count, nearest=NEAREST)


def _check_count(count: int) -> None:
    if count < 1:
        raise InputError(f"`count` must be 1 or more, got {count}")


def random_choice(pool: Pool, count: int, seed: int) -> list[int]:
    """Indices of geometries chosen at random.

    Parameters
    ----------
    pool
        To choose from.
    count
        How many at most.
    seed
        Seed of the choice.

    Returns
    -------
    list of int
        Indices, in the order of choice.
    """
    _check_count(count)
    if seed < 0:
        raise InputError(f"`seed` must be 0 or more, got {seed}")
    return [int(index) for index in np.random.default_rng(seed).permutation(len(pool))[:count]]


def label(
    pool: Pool,
    chosen: Sequence[int],
    executor: Executor,
    partial: Path,
    surface: str,
    options: Mapping[str, Any],
) -> Iterator[tuple[int, Labelled | str]]:
    """The labels of chosen geometries; those in `partial`, from a run that stopped, are read.

    Parameters
    ----------
    pool, chosen
        What to evaluate.
    executor
        Does the tasks.
    partial
        The file that keeps labels until all are there.
    surface, options
        The executor's surface, to recognise labels of another one.

    Returns
    -------
    Iterator
        Index in the pool and its label, or the error if the surface failed; in any order.

    Raises
    ------
    InputError
        If `partial` holds labels of another molecule or surface.
    AfirError
        If the executor answers anything but a result for each task.
    """
    molecule = pool.molecule
    state = [*molecule.numbers, molecule.charge, molecule.multiplicity]
    mark = json.dumps([state, surface, dict(options)], sort_keys=True)
    known = _read_partial(partial, mark)
    names = {index: _name(pool.positions[index]) for index in chosen}
    for index in chosen:
        if names[index] in known:
            yield index, known[names[index]]
    left = [index for index in chosen if names[index] not in known]
    with partial.open("a", encoding="utf-8") as stream:
        stream.truncate(_whole(partial))
        if not partial.stat().st_size:
            stream.write(json.dumps({"labels of": mark}) + "\n")
        tasks = [Label(pool.positions[index]) for index in left]
        for number, result in answers(executor, tasks):
            value = result.value if isinstance(result.value, Labelled) else result.error
            if isinstance(value, Labelled):  # a failure is not kept: it may not happen again
                row = {"of": names[left[number]], "energy": value.energy}
                stream.write(json.dumps(row | {"gradient": value.gradient.tolist()}) + "\n")
                stream.flush()
            yield left[number], value


def write_frames(
    path: Path,
    pool: Pool,
    labels: Mapping[int, Labelled],
    surface: str,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Write labelled geometries as extended XYZ: energies in eV, forces in eV/Å.

    ``group`` and ``stage`` of each frame are its origin, ``surface`` and, as JSON,
    ``surface_options`` the surface of its label.
    """
    frames = []
    untyped: Any = Atoms
    for index in sorted(labels):
        value = labels[index]
        atoms = untyped(numbers=pool.molecule.numbers, positions=pool.positions[index])
        atoms.calc = SinglePointCalculator(atoms, energy=value.energy, forces=-value.gradient)
        atoms.info.update(
            group=pool.groups[index],
            stage=pool.stages[index],
            surface=surface,
            charge=pool.molecule.charge,
            multiplicity=pool.molecule.multiplicity,
        )
        if options:
            # Quotes and backslashes in a value are not safe in this format.
            text = json.dumps(dict(options), sort_keys=True)
            atoms.info["surface_options"] = quote(text, safe="{}[]:, ")
        frames.append(atoms)
    with writing(path) as (target,):
        write(target, frames, format="extxyz")


def _name(positions: Positions) -> str:
    """A unique name for a geometry."""
    return hashlib.sha256(positions.tobytes()).hexdigest()[:32]


def _read_partial(path: Path, mark: str) -> dict[str, Labelled]:
    """The labels of earlier runs by the name of their geometry; empty if there was none."""
    if not path.exists():
        return {}
    wrong = (
        f"{path} must hold labels of the same molecule, surface and options, it holds others; "
        "delete it or choose another output"
    )
    try:
        head, *lines = path.read_bytes()[: _whole(path)].decode("utf-8").splitlines() or [""]
        if head and json.loads(head)["labels of"] != mark:
            raise InputError(wrong)
        rows = [json.loads(line) for line in lines]
        return {row["of"]: Labelled(row["energy"], np.array(row["gradient"])) for row in rows}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(wrong) from error


def _whole(path: Path) -> int:
    """Number of bytes in complete lines: a run may be killed while it writes one."""
    return path.read_bytes().rfind(b"\n") + 1
