"""The content of a structure file: its bytes, its text, and which format it has."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from afir.errors import InputError
from afir.io.formats.xyz import looks_like_xyz
from afir.io.shell import shell_command

_UNPACKERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_MOST_BYTES = 1 << 30  # 1 GiB, unpacked: a small archive may unpack to more than the memory

_DATABASES = (b"SQLite format 3\x00", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")  # and their logs
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
"""Byte order marks, longer ones before their own prefixes."""

_BY_SUFFIX = {
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".allxyz": "extxyz",
    ".pdb": "proteindatabank",
    ".ent": "proteindatabank",
    ".mol": "mol",
    ".mdl": "mol",
    ".sdf": "mol",
    ".sd": "mol",
    ".gjf": "gaussian-in",
    ".com": "gaussian-in",
    ".tmol": "turbomole",
    ".cif": "cif",
    ".traj": "traj",
}
"""Unambiguous suffixes; for others the content decides first."""


def read_bytes(path: Path) -> bytes:
    """The content of a structure file, unpacked.

    Raises
    ------
    InputError
        If the file does not exist, is not an ordinary file, cannot be read, is empty, or is a
        database.
    """
    try:
        if not path.exists():
            raise InputError(f"{path}: there is no such file; check the name")
        if path.is_dir():
            raise InputError(f"{path} is a directory, not a structure file; name a file in it")
        if not path.is_file():  # a pipe is empty when it is read again, a device never ends
            raise InputError(f"{path} must be an ordinary file; save the structure in one")
        unpacker: Callable[[Path], Any] | None = _UNPACKERS.get(path.suffix.lower())
        with path.open("rb") if unpacker is None else unpacker(path) as file:
            data: bytes = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}") from error
    if len(data) > _MOST_BYTES:
        raise InputError(f"{path} must hold 1 GiB at most; save the structure alone in a file")
    if data.startswith(_DATABASES):
        run = path.with_name(path.name.removesuffix("-wal"))
        written = shell_command("afir", "export", run, "--output", f"{run.stem}.extxyz")
        raise InputError(
            f"{path} is a database, not a structure file; if it is a run, {written} writes its "
            "structures"
        )
    if not data.strip():
        raise InputError(f"{path} is empty; it must hold a structure, e.g. in XYZ format")
    return data


def as_text(data: bytes) -> str | None:
    r"""The text of a file, with line ends ``\n``; None for binary content.

    A byte order mark decides; without one it is UTF-8, or else Latin-1, which differs in comments
    only: elements and numbers are ASCII.
    """
    mark, encoding = next(
        ((mark, encoding) for mark, encoding in _MARKS if data.startswith(mark)), (b"", "utf-8")
    )
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1") if not mark else "\0"
    if "\0" in text:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def format_of(path: Path, data: bytes, text: str | None) -> str | None:
    """The name in ASE of the format of a file; None if unknown.

    ASE is shown name and content, never the file.
    """
    name = Path(path.stem if path.suffix.lower() in _UNPACKERS else path.name)
    known = _BY_SUFFIX.get(name.suffix.lower())
    if known is not None:
        return known
    if text is not None and looks_like_xyz(text):
        return "extxyz"
    from ase.io.formats import UnknownFileTypeError, filetype

    shown = BytesIO(data)
    # ASE takes some names as addresses of database servers, none of which begins with a slash.
    shown.name = f"/{name.name}"
    try:
        return str(filetype(shown))
    except UnknownFileTypeError:
        return None
