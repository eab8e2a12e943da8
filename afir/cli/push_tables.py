"""The tables of ``afir push``: the energy along its paths, and their peaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from afir.cli.terminal import print_table, results

if TYPE_CHECKING:  # numpy is not needed for --help
    from afir.molecule import Positions
    from afir.searches.minimum import PathPoint
    from afir.searches.path import Peak

_AT = 0.001  # Å: a peak this close to a point of the path is that point; steps are far longer
_BAR = 40  # characters of the longest bar
_ROWS = 16  # of a path that is relaxed: its images are close to each other


def print_path(
    title: str, kinds: Sequence[str], energies: Sequence[float], needed: Iterable[int]
) -> None:
    """Print the points of a path with bars, without the flat tails of its parts.

    Parameters
    ----------
    title
        Above the table.
    kinds
        The part of the path that each point belongs to.
    energies
        kJ/mol.
    needed
        Points that are shown in any case.
    """
    span = max(energies) - min(energies)
    shown = {0, len(energies) - 1, *needed}
    for _, part in groupby(range(len(energies)), key=kinds.__getitem__):
        points = list(part)
        last = points[-1]
        # What changes by less than a character of the bars is flat to the eye.
        rough = [at for at in points if abs(energies[at] - energies[last]) > span / _BAR]
        shown |= {*range(points[0], rough[-1] + 2 if rough else points[0] + 1), last}
    _print(title, kinds, energies, shown)


def print_relaxed(title: str, energies: Sequence[float], needed: Iterable[int]) -> None:
    """Print some images of a relaxed path with bars; energies in kJ/mol, rest as `print_path`."""
    every = range(0, len(energies), ceil(len(energies) / _ROWS))
    _print(title, [""] * len(energies), energies, {*every, len(energies) - 1, *needed})


def _print(title: str, kinds: Sequence[str], energies: Sequence[float], shown: set[int]) -> None:
    """Print these points of a path."""
    low, high = min(energies), max(energies)
    rows: list[tuple[object, ...]] = []
    for at, following in pairwise([*sorted(shown), None]):
        if at is None:
            break
        bar = "█" * round(_BAR * (energies[at] - low) / ((high - low) or 1.0))
        rows.append((at, kinds[at], f"{energies[at]:.1f}", bar))
        if following is not None and following > at + 1:
            rows.append(("…", "", "", ""))
    print_table(results(), title, ["point", "<", "kJ/mol", "<"], rows)


def print_peaks(
    where: Sequence[str],
    heights: Sequence[float],
    unrelaxed: Sequence[float],
    files: Mapping[int, Path],
) -> None:
    """Print peaks and their files.

    Parameters
    ----------
    where
        The places of the peaks.
    heights
        kJ/mol.
    unrelaxed
        The heights of the peaks before the path was relaxed; empty if it was not.
    files
        The files that were written, by the index of the peak.
    """
    rows: list[tuple[object, ...]] = [
        (at + 1, place, f"{height:.1f}", f"in {files[at]}" if at in files else "")
        for at, (place, height) in enumerate(zip(where, heights, strict=True))
    ]
    if unrelaxed:
        before = f"before the path was relaxed: {len(unrelaxed)}, up to"
        rows.append(("", before, f"{max(unrelaxed):.1f}", ""))
    if rows:
        print_table(results(), "Peaks of the path", ["peak", "<", "kJ/mol", "<"], rows)


def place(points: Sequence[PathPoint], peak: Peak) -> tuple[int, ...]:
    """The position of a peak on a path: the number of a point, or of the two around it."""
    import numpy as np

    x: Positions = peak.positions
    path = np.array([point.positions for point in points])
    away = np.sqrt(((path - x) ** 2).sum(axis=(1, 2)))
    nearest = int(np.argmin(away))
    if away[nearest] < _AT:
        return (nearest,)
    detour = away[:-1] + away[1:] - np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=(1, 2)))
    first = int(np.argmin(detour))
    return (first, first + 1)


def in_words(at: tuple[int, ...], *, relaxed: bool) -> str:
    """A position on a path in words."""
    if len(at) == 1:
        where = f"at point {at[0]}"
    else:  # of a relaxed path a peak may have been climbed to
        where = f"{'' if relaxed else 'interpolated '}between points {at[0]} and {at[1]}"
    return where + " of the relaxed path" * relaxed
