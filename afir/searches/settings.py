"""Settings of the search for one elementary step: thresholds and limits."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from numbers import Integral, Real

from afir.errors import InputError
from afir.pes.surface import Surface, traits_of
from afir.units import HARTREE_PER_BOHR

_LARGEST = 1e9  # of any setting: below any overflow, and above any useful value


@dataclass(frozen=True)
class StepSettings:
    """Limits and thresholds of push, path, saddle search and IRC.

    Attributes
    ----------
    gamma
        γ_max in kJ/mol, the largest collision energy parameter.
    ladder
        Fractions of γ_max, tried in order until the push crosses a barrier.
    push_steps, minimum_steps, saddle_steps, irc_steps
        Step limits (gradient calls) of each search; for the IRC, of each side.
    push_gradient
        Convergence of a push: largest gradient component in eV/Å.
    minimum_gradient
        The same for a minimum.
    saddle_gradient
        The same for a saddle point.
    max_step
        Largest displacement of one atom in a minimisation step, in Å.
    displacement
        Random displacement of the start of every push in Å, since the force alone cannot break a
        symmetry.
    dissociation
        Distance between fragments in Å above which they are a dissociation channel.
    path_spacing
        Distance between neighbouring images of a path in Å.
    path_rounds
        Largest number of relaxations of a path: three of the whole, then of its peaks.
    surrogate
        Whether paths relax on a Gaussian process, which needs few gradients but takes seconds.
        None: if the surface is costly (`suited`).
    path_gradients
        Largest number of gradients of such a path.
    peak_height
        Smallest height of a peak above both sides, in kJ/mol.
    peaks
        Largest number of peaks of one path that are followed to a saddle point, the highest first.
    softest_imaginary
        Smallest imaginary wavenumber of a transition state, in cm⁻¹.
    """

    gamma: float = 1000.0
    ladder: tuple[float, ...] = (0.5, 1.0)
    push_steps: int = 150
    minimum_steps: int = 250
    saddle_steps: int = 100
    irc_steps: int = 250
    push_gradient: float = 1e-3 * HARTREE_PER_BOHR
    minimum_gradient: float = 5e-5 * HARTREE_PER_BOHR
    saddle_gradient: float = 1e-5 * HARTREE_PER_BOHR
    max_step: float = 0.2
    displacement: float = 0.02
    dissociation: float = 4.0
    path_spacing: float = 0.5
    path_rounds: int = 6
    surrogate: bool | None = None
    path_gradients: int = 30
    peak_height: float = 2.0
    peaks: int = 4
    softest_imaginary: float = 30.0

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "ladder", tuple(float(x) for x in self.ladder))
        except (TypeError, ValueError):
            raise InputError(
                f"`ladder` must hold fractions in (0, 1], got {self.ladder!r}"
            ) from None
        if not self.ladder or not all(0 < x <= 1 for x in self.ladder):
            raise InputError(f"`ladder` must hold fractions in (0, 1], got {self.ladder}")
        if self.surrogate is not None and not isinstance(self.surrogate, bool):
            raise InputError(f"`surrogate` must be true or false, got {self.surrogate!r}")
        for field in fields(self):
            if field.name in ("ladder", "surrogate"):
                continue
            value = getattr(self, field.name)
            kind = Integral if field.type == "int" else Real
            if not isinstance(value, kind) or isinstance(value, bool):
                what = "a whole number" if field.type == "int" else "a number"
                raise InputError(f"`{field.name}` must be {what}, got {value!r}")
            if not 0 < float(value) <= _LARGEST:
                raise InputError(
                    f"`{field.name}` must be positive and {_LARGEST:g} at most, got {value}"
                )

    def suited(self, surface: Surface) -> StepSettings:
        """These settings, with defaults that depend on the surface filled in."""
        if self.surrogate is not None:
            return self
        return replace(self, surrogate=traits_of(surface).expensive)
