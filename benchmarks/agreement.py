"""Which searches came to the same transition state, when nobody knows which one is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from table import print_table

from afir.geometry.symmetry import congruence
from afir.molecule import Molecule, Positions

SAME_ENERGY = 1e-4  # hartree: the limit of the comparison leaves an end that far off
SAME_PLACE = 0.2  # Å, root mean square; up to the order of like atoms and inversion

End = tuple[Positions, float]
"""Positions (n, 3) in Å and energy in hartree."""


class Counts(Protocol):
    """What a search spent, and whether its end is a first-order saddle point."""

    @property
    def gradients(self) -> int:
        """Gradients spent."""

    @property
    def right(self) -> bool:
        """Whether it is a first-order saddle point."""


def letters(molecule: Molecule, ends: Sequence[End | None]) -> list[str]:
    """The same letter for the same transition state, a for the first; empty for None."""
    known: list[End] = []
    result = []
    for end in ends:
        if end is None:
            result.append("")
            continue
        for number, (x, energy) in enumerate(known):
            if abs(energy - end[1]) < SAME_ENERGY and (
                congruence(molecule.numbers, x, end[0], tolerance=SAME_PLACE) is not None
            ):
                result.append("abcdefghi"[number])
                break
        else:
            result.append("abcdefghi"[len(known)])
            known.append(end)
    return result


def agreement(
    names: Sequence[str],
    results: Mapping[str, Sequence[Counts]],
    labels: Mapping[str, Sequence[str]],
    *,
    markdown: bool,
) -> None:
    """Print how often searches agree and what they spend on the transition states in common.

    Parameters
    ----------
    names
        The searches.
    results, labels
        For each guess, in the order of the searches.
    """
    shared = {
        guess: {label for label in row if label and row.count(label) > 1}
        for guess, row in labels.items()
    }
    agreed = sum(bool(item) for item in shared.values())
    split = sum(len({label for label in row if label}) > 1 for row in labels.values())
    alone = sum(not any(row) for row in labels.values())
    everyone = [guess for guess, row in labels.items() if row[0] and len(set(row)) == 1]
    print(
        f"{len(labels)} guesses: two or more searches agree on {agreed}, all on {len(everyone)}; "
        f"more than one saddle point is found from {split}, none from {alone}."
    )
    means = [
        f"{name} {np.mean([results[guess][k].gradients for guess in everyone]):.1f}"
        for k, name in enumerate(names)
        if everyone
    ]
    print(f"Gradients where all agree: {', '.join(means)}.\n")
    rows = []
    for k, name in enumerate(names):
        failed = [row[k].gradients for row in results.values() if not row[k].right]
        row = [
            name,
            str(sum(labels[guess][k] in shared[guess] for guess in labels)),
            f"{len(failed)} ({sum(failed)})",
        ]
        for other in range(len(names)):
            both = [g for g, item in labels.items() if item[k] and item[k] == item[other]]
            spent = [results[guess][k].gradients for guess in both]
            theirs = [results[guess][other].gradients for guess in both]
            text = f"{len(both)}: {np.mean(spent):.1f} / {np.mean(theirs):.1f}" if both else "0"
            row.append("" if other == k else text)
        rows.append(row)
    columns = ("search", "shared", "failed (gradients)", *(f"with {name}" for name in names))
    print_table(columns, rows, markdown=markdown)
