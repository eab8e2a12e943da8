"""What a learned potential is made of, as plain data: no torch is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from afir.errors import InputError

REPRESENTATIONS = ("painn", "schnet")
"""PaiNN (2102.03150) and SchNet (10.1063/1.5019779), as schnetpack builds them."""

# Ten times what is in use: with the largest a network takes a GB, not all the memory there is.
_BOUNDS = {"features": (2, 1024), "interactions": (1, 16), "radial": (2, 1024)}
_FARTHEST = 1000.0  # Å


@dataclass(frozen=True)
class Architecture:
    """The shape of a network.

    Attributes
    ----------
    representation
        ``"painn"`` or ``"schnet"``.
    features
        Numbers that describe an atom.
    interactions
        How many times atoms hear of their neighbours.
    cutoff
        Å beyond which they do not.
    radial
        Gaussians that a distance is expanded in.
    """

    representation: str = "painn"
    features: int = 64
    interactions: int = 3
    cutoff: float = 5.0
    radial: int = 20

    def __post_init__(self) -> None:
        if self.representation not in REPRESENTATIONS:
            raise InputError(
                f"`representation` must be one of {', '.join(REPRESENTATIONS)}, "
                f"got {self.representation!r}"
            )
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise InputError(
                    f"`{name}` must be a whole number from {least} to {most}, got {value!r}"
                )
        if type(self.cutoff) not in (int, float) or not 0.0 < self.cutoff <= _FARTHEST:
            raise InputError(
                f"`cutoff` must be a number of Å above 0 and up to {_FARTHEST:g}, "
                f"got {self.cutoff!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        """Read what `to_dict` writes.

        Raises
        ------
        InputError
            For an unknown name or a value that makes no sense.
        """
        known = [field.name for field in fields(cls)]
        for name in data:
            if name not in known:
                raise InputError(f"`architecture` must hold {', '.join(known)}, got {name!r}")
        return cls(**data)


WHOLE = Architecture()
"""What learns the whole energy, unless told otherwise."""

CORRECTION = Architecture(cutoff=3.5, radial=8)
"""What learns the difference of two surfaces: it is smooth and of short range.

With the shape of `WHOLE` 100 frames of pushes of C4H6 leave 2.4 instead of 1.9 kcal/mol.
"""
