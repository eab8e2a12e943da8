"""Which bonds two geometries do not share, for people."""

from __future__ import annotations

import numpy as np

from afir.geometry import bonds, distances
from afir.molecule import Molecule, Positions


def bond_changes(molecule: Molecule, first: Positions, second: Positions) -> tuple[str, ...]:
    """The bonds that were made or broken between two geometries.

    Parameters
    ----------
    molecule
        The molecule.
    first, second
        (n, 3) in Å, in the same order of atoms.

    Returns
    -------
    tuple of str
        One text a bond, such as ``C0–O5 made (2.40 → 1.41 Å)``, in the order of the atoms; bonds
        are those of `afir.geometry.bonds`, by covalent radii.
    """
    after = bonds(molecule, second)
    was, now = distances(first), distances(second)
    return tuple(
        f"{molecule.symbols[i]}{i}–{molecule.symbols[j]}{j} {'made' if after[i, j] else 'broken'} "
        f"({was[i, j]:.2f} → {now[i, j]:.2f} Å)"
        for i, j in np.argwhere(np.triu(bonds(molecule, first) ^ after))
    )
