"""Install the packages of learned surfaces on Python 3.11: ``python -m mlpot.install``.

schnetpack 2.2 declares Python 3.12, but also runs on 3.11. By itself pip would install an older
schnetpack there, which requires a torch that is years old. From Python 3.12 on the extra
``afir[ml]`` suffices.
"""

from __future__ import annotations

import subprocess
import sys

TORCH = "torch==2.13.0"
SCHNETPACK = "schnetpack==2.2.0"
BESIDE = (
    "matscipy==1.3.1",
    "vesin==0.6.2",
    "dirsync==2.2.6",
    "fasteners==0.20",
    "tqdm",
    "h5py==3.16.0",
    "progressbar==2.5",
    "omegaconf==2.4.0",
    "torch-ema==0.3",
    "pytorch-lightning==2.6.6",
)
"""Imports of schnetpack besides torch, in the versions that were tested together."""


def commands(version: tuple[int, int]) -> list[list[str]]:
    """The arguments of the runs of pip for a version of Python, in order."""
    if version >= (3, 12):
        return [["install", TORCH, "schnetpack>=2.2"]]
    return [
        ["install", TORCH],
        ["install", "--no-deps", "--ignore-requires-python", SCHNETPACK],
        ["install", TORCH, *BESIDE],
    ]


def main() -> int:
    """Run pip for this Python; its exit code."""
    for arguments in commands(sys.version_info[:2]):
        print("pip", *arguments, flush=True)
        done = subprocess.run([sys.executable, "-m", "pip", *arguments], check=False)
        if done.returncode:
            return done.returncode
    print("Installed. Messages of pip about missing requirements of schnetpack are expected:")
    print("its own training code needs them, which is not used here.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
