"""Molecules of which a part turns freely, or nearly so."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from afir.molecule import Molecule, Positions

BUTYNE = Molecule.from_symbols(["C"] * 4 + ["H"] * 6)
METHANE_AND_CO = Molecule.from_symbols("CHHHHCO")


def butyne(degrees: float) -> Positions:
    """2-butyne with one methyl group turned."""
    heights = [-2.06, -0.6, 0.6, 2.06]
    atoms = [[0.0, 0.0, z] for z in heights]
    for sign, offset in ((-1, 0.0), (1, degrees)):
        for number in range(3):
            angle = np.radians(120.0 * number + offset)
            atoms.append([1.02 * np.cos(angle), 1.02 * np.sin(angle), sign * 2.45])
    return np.array(atoms)


def loose(turned: Rotation, place: Positions) -> Positions:
    """Methane with CO beside it."""
    t = 1.09 / 3**0.5
    methane = [[0, 0, 0], [t, t, t], [-t, -t, t], [-t, t, -t], [t, -t, -t]]
    return np.concatenate([methane, turned.apply([[0, 0, -0.56], [0, 0, 0.56]]) + place])
