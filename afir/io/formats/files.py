"""The structures of a file, in any format that is read."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from afir.errors import InputError
from afir.io.electronic_state import UNREADABLE, Stated
from afir.io.formats.content import as_text, format_of, read_bytes
from afir.io.formats.frame import FormatError, Frame, told_by
from afir.io.formats.inputs import (
    STATED_OUTPUTS,
    cjson_state,
    gaussian_frames,
    output_state,
    turbomole_frames,
)
from afir.io.formats.mdl import mdl_frames
from afir.io.formats.pdb import pdb_frames
from afir.io.formats.xyz import xyz_frames

logger = logging.getLogger(__name__)

_READERS: dict[str, tuple[str, Callable[[str], list[Frame]]]] = {
    "extxyz": ("an XYZ file", xyz_frames),
    "mol": ("a MOL or SDF file", mdl_frames),
    "sdf": ("a MOL or SDF file", mdl_frames),
    "proteindatabank": ("a PDB file", pdb_frames),
    "gaussian-in": ("a Gaussian input file", gaussian_frames),
    "turbomole": ("a Turbomole file", turbomole_frames),
}
"""Common names of the formats that are read here, by their name in ASE."""

_STATELESS = ("cif", "cube", "gen", "vasp", "xsd", "xsf")
"""Formats of ASE without a charge or multiplicity of the whole structure."""

_OF_ATOMS = ("aims", "json", "traj")
"""Formats in which ASE reads charges and magnetic moments of the atoms."""

_UNSAID = (
    "aims-output",
    "cp2k-restart",
    "dmol-car",
    "espresso-in",
    "espresso-out",
    "gamess-us-out",
    "gamess-us-punch",
    "gpaw-out",
    "nwchem-in",
    "nwchem-out",
    "qbox",
    "siesta-xv",
    "turbomole-gradient",
    "vasp-out",
    "vasp-xdatcar",
    "vasp-xml",
)
"""Formats that may hold a charge and multiplicity that are not read."""

_FROM_ASE = (*_STATELESS, *_OF_ATOMS, *_UNSAID, *STATED_OUTPUTS, "cjson")
"""All formats that ASE reads. Others are refused: some of its readers guess elements from atom
names, write into the file, start programs, or open addresses that are not files."""

_BINARY = ("traj",)


def read_frames(path: Path) -> list[Frame]:
    """All structures of a file; neither the file nor anything beside it changes.

    Returns
    -------
    list of Frame
        One at least, each with one atom at least.

    Raises
    ------
    InputError
        If the file cannot be read as structures: one sentence.
    """
    data = read_bytes(path)
    text = as_text(data)
    name = format_of(path, data, text)
    if name not in _READERS and name not in _FROM_ASE:
        raise InputError(
            f"{path} is of a format that is not read; save the structure as XYZ, with the suffix "
            ".xyz"
        )
    if text is None and name not in _BINARY:
        raise InputError(f"{path} must be a text file, but its content is binary")
    what, reader = _READERS.get(name, (f"a file of the format {name}", None))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ASE's readers, about unused data
            frames = reader(text or "") if reader else _by_ase(name, data, text)
    except FormatError as error:
        raise InputError(f"{path} is not {what}: {error}") from error
    except Exception as error:  # ASE's readers raise any kind of error
        said = " ".join(str(error).split()) or "its content breaks the format"
        if len(said) > 120:
            said = f"{said[:117]}..."
        other = "" if name == "extxyz" else ", or save the structure as XYZ, with the suffix .xyz"
        raise InputError(f"{path} cannot be read as {what} ({said}); correct it{other}") from error
    frames = [frame for frame in frames if len(frame.atoms)]
    if not frames:
        raise InputError(f"{path} holds no atoms; it must hold a structure, e.g. in XYZ format")
    return frames


def _by_ase(name: str, data: bytes, text: str | None) -> list[Frame]:
    """The structures as ASE reads them, from a copy of the content."""
    from ase import Atoms
    from ase.io import read
    from ase.io.formats import ioformats

    if ioformats[name].acceptsfd:
        copy = BytesIO(data) if ioformats[name].isbinary else StringIO(text)
        found = read(copy, index=":", format=name)
    else:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "structure"
            file.write_text(text or "", encoding="utf-8")
            found = read(file, index=":", format=name)
    said: Stated | None = None
    if name in STATED_OUTPUTS:
        said = output_state(name, text or "")
    elif name == "cjson":
        said = cjson_state(text or "")
    elif name in _UNSAID:
        said = UNREADABLE
    elif name in _STATELESS:
        said = Stated()
    return [
        Frame(atoms, told_by(atoms) if said is None else said)
        for atoms in found
        if isinstance(atoms, Atoms)
    ]
