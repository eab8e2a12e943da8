"""Loading a surface by name."""

from __future__ import annotations

from typing import Any

from afir.molecule import Molecule
from afir.pes.registry import build_surface, is_foreign
from afir.pes.surface import Surface


def load_surface(name: str, molecule: Molecule, /, **options: Any) -> Surface:
    """Build a registered surface for a molecule.

    One that runs code from outside (`is_foreign`) is computed in a process of its own, with a
    working directory of its own, see `afir.pes.isolation`.

    Parameters
    ----------
    name
        A registered name such as ``"gfn2"``; what follows a colon is handed to the factory
        as its ``argument``, which is no option (``"delta:model.json"``).
    molecule
        The molecule.
    **options
        Options of that surface; `afir surfaces` lists them.

    Raises
    ------
    InputError
        For an unknown name or option.
    MissingPackageError
        When the package behind the surface is not installed.
    BrokenSurfaceError
        When a surface of another package says of itself what no surface may say.
    """
    if is_foreign(name):
        from afir.pes.isolation import IsolatedSurface  # most runs need no process for a surface

        return IsolatedSurface(name, molecule, options)
    return build_surface(name, molecule, options)
