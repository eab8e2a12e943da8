"""Whether the surface of a run still is the one that the run began with.

A surface may be a file that was replaced, a calculator that was changed, a package that was
updated. Energies of two surfaces in one network would be wrong without anybody seeing it. What is
asked is the surface whose energies are reported, at EQ0: a change that leaves that as it is, or
another surface to search on, is not noticed.
"""

from __future__ import annotations

import numpy as np

from afir.errors import InputError
from afir.surface import load_surface
from afir.units import KJ_PER_MOL
from networks.store import Store

ENERGY = 1e-3
"""eV: far more than any surface differs from itself, be it on another machine."""
GRADIENT = 0.05
"""eV/Å: the same for a component of the gradient."""


def check_unchanged(store: Store) -> None:
    """Ask the surface again at the start of a run; that gradient is not counted.

    Raises
    ------
    InputError
        If the surface cannot be loaded or says something else than it did.
    """
    start = store.first_eq()
    if start is None:
        return
    name, options = store.settings.reported
    said = load_surface(name, store.molecule, **options).evaluate(start.positions[None])
    if said.failures:
        raise InputError(
            f"the surface {name} must still work for the start of {store.path}, it says: "
            f"{said.failures[0]}"
        )
    off = float(said.energies[0]) - start.energy
    if abs(off) > ENERGY or np.abs(said.gradients).max() > start.gradient_max + GRADIENT:
        raise InputError(
            f"the surface {name} must be the one that {store.path} began with; the energy of EQ0 "
            f"is {off / KJ_PER_MOL:+.2f} kJ/mol off: bring back what was changed or begin a new run"
        )
