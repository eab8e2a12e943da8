"""The network architecture of a learned potential, as plain data that needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from afir.errors import InputError

REPRESENTATIONS = ("painn", "schnet")
"""PaiNN (2102.03150) and SchNet (10.1063/1.5019779), as schnetpack builds them."""

# Ten times the usual values: even the largest network takes no more than about 1 GB.
_BOUNDS = {"features": (2, 1024), "interactions": (1, 16), "radial": (2, 1024)}
_FARTHEST = 1000.0  # Å: beyond any molecule


@dataclass(frozen=True)
class Architecture:
    """The hyperparameters of a network.

    Attributes
    ----------
    representation
        ``"painn"`` or ``"schnet"``.
    features
        Features per atom.
    interactions
        Number of interaction layers (message passing).
    cutoff
        Cutoff radius in Å.
    radial
        Number of radial basis functions (Gaussians).
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
            For an unknown name or an invalid value.
        """
        known = [field.name for field in fields(cls)]
        for name in data:
            if name not in known:
                raise InputError(f"`architecture` must hold {', '.join(known)}, got {name!r}")
        return cls(**data)


WHOLE = Architecture()
"""Default architecture for total energies."""

CORRECTION = Architecture(cutoff=3.5, radial=8)
"""Default architecture for the difference of two surfaces, which is smooth and short-ranged.

With 100 push frames of C4H6 the error is 1.9 kcal/mol; with `WHOLE` it is 2.4 kcal/mol.
"""
