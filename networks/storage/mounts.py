"""The type of file system that a file is on."""

from __future__ import annotations

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_SHARED = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "dvs",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "panfs",
    "prl_fs",
    "pvfs2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
    "wekafs",
}


def is_shared(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether other machines may see a file too, so that memory mapped from it is not shared.

    Parameters
    ----------
    path
        The file, absolute and without links.
    mounts
        The table of mounts, in the format of ``/proc/self/mountinfo``. Where there is none, a
        file counts as local.
    """
    kind = _kind(path, mounts)
    # FUSE is sshfs and the like; fuseblk is a disk of this machine.
    return kind in _SHARED or kind == "fuse" or kind.startswith("fuse.")


def _kind(path: Path, mounts: Path) -> str:
    """The type of the file system at a path, "" where it is not known."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    deepest, kind = -1, ""
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, types = left.split(), right.split()
        if len(fields) < 5 or not types:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4]))
        depth = len(point.parts)
        # The last mount at a place hides those before.
        if depth >= deepest and path.is_relative_to(point):
            deepest, kind = depth, types[0]
    return kind
