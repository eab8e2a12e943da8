"""Install what learned surfaces need on Python 3.11: ``python -m mlpot.install``.

schnetpack 2.2 declares Python 3.12, but runs on 3.11 too; left to itself, pip would take an older
schnetpack there, whose requirements replace torch by one of years ago. From Python 3.12 on the
extra ``afir[ml]`` is all there is to it.
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
"""What schnetpack imports besides torch, in the versions that were tested together."""


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
    print("Installed. What pip says of requirements of schnetpack that are missing is expected:")
    print("they are for its own way of training, which is not used here.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
