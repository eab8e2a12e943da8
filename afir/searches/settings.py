"""Settings of the search for one elementary step: thresholds and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any

from afir.errors import InputError
from afir.pes.surface import Surface, traits_of
from afir.units import BOHR, HARTREE_PER_BOHR

_LARGEST = 1e9  # of any setting: below any overflow, and above any useful value


def _check_numbers(settings: object, *, any_sign: Sequence[str] = ()) -> None:
    """Raise InputError unless the numbers of a dataclass are of the right kind and size.

    They must be positive, except for those that may have `any_sign`.
    """
    for field in fields(settings):  # type: ignore[arg-type]
        whole = field.type == "int"
        if not whole and field.type != "float":
            continue
        value = getattr(settings, field.name)
        if not isinstance(value, Integral if whole else Real) or isinstance(value, bool):
            what = "a whole number" if whole else "a number"
            raise InputError(f"`{field.name}` must be {what}, got {value!r}")
        if field.name in any_sign and abs(float(value)) <= _LARGEST:
            continue
        if not 0 < float(value) <= _LARGEST:
            raise InputError(
                f"`{field.name}` must be positive and {_LARGEST:g} at most, got {value}"
            )


@dataclass(frozen=True)
class TrustSettings:
    """The numbers of a trust region (`afir.searches.trust_region.TrustRegion`).

    Attributes
    ----------
    first, least, most
        Radius of the first step, and its bounds, in the unit of the search: Å for minimisations
        and saddle searches, amu^½ Å for IRCs.
    refused
        After a step that the surface refuses: the next radius, in units of its size.
    patience
        Number of such steps in a row that ends the search.
    rejected
        The same as `refused` for a step that is not taken since the energy or gradient rises.
    shorter
        The same for a step that is taken, yet was predicted badly.
    longer
        After a step that was predicted well: the next radius, in units of the last.
    used
        That only if the step was longer than this, in units of the radius.
    poor_below, poor_above
        Limits of the quality of a step outside of which the next one is shorter.
    good_above, good_below
        Limits of the quality within which the next one may be longer. For minimisations and
        saddle searches the quality is the ratio of the actual to the predicted change of the
        energy, for IRCs the deviation from the line in units of the step.
    largest_rise
        In eV, for minimisations: a step that rises by more is rejected. A smaller rise is
        accepted if the gradient decreases, for the curvature; such steps may cross shallow
        barriers.
    """

    first: float
    least: float
    most: float
    refused: float
    patience: int
    rejected: float
    shorter: float
    longer: float
    used: float
    poor_below: float
    good_above: float
    good_below: float
    poor_above: float
    largest_rise: float = 0.02

    def __post_init__(self) -> None:
        _check_numbers(self, any_sign=("used", "poor_below", "good_above"))
        for lower, upper in (("least", "first"), ("first", "most"), ("good_above", "good_below")):
            if getattr(self, lower) > getattr(self, upper):
                raise InputError(
                    f"`{lower}` must not exceed `{upper}`, got {getattr(self, lower):g} and "
                    f"{getattr(self, upper):g}"
                )
        for name in ("refused", "rejected", "shorter"):
            if getattr(self, name) >= 1.0:
                raise InputError(f"`{name}` must be below 1, got {getattr(self, name):g}")
        if self.longer < 1.0:
            raise InputError(f"`longer` must be 1 or more, got {self.longer:g}")


MINIMUM = TrustSettings(
    first=0.2,
    least=1e-6,
    most=0.2,
    refused=0.4,
    patience=4,
    rejected=0.35,
    shorter=0.5,
    longer=2.0,
    used=0.8,
    poor_below=0.25,
    good_above=0.6,
    good_below=_LARGEST,
    poor_above=_LARGEST,
)
"""Of minimisations: the largest displacement of an atom in Å. Bounds of the ratio and factors are
about those of Nocedal and Wright (Numerical Optimization, 2nd ed., algorithm 4.1: 1/4 and 3/4, a
quarter and twice), softened for gradients that cost more than a step that is a little too long.
Chosen, not fitted; half and twice: benchmarks/RESULTS.md, "How much the numbers matter". Below the
least radius energies are noise."""

END = replace(MINIMUM, first=0.1, most=0.1, largest_rise=1e-4)
"""Of minimisations at the end of a reaction path, which must not leave its basin: shorter steps,
and hardly a rise, since a step that rises may cross a shallow barrier."""

SADDLE = TrustSettings(
    first=0.1,
    least=0.01,
    most=0.3,
    refused=0.4,
    patience=4,
    rejected=0.4,
    shorter=0.5,
    longer=1.5,
    used=0.8,
    poor_below=0.0,
    good_above=0.5,
    good_below=1.5,
    poor_above=2.5,
)
"""Of saddle searches: the Euclidean norm of the step in Å. The radii are those usual for steps to
transition states, 0.15–0.2 a₀ and up to some 0.5 a₀; so are the bounds of the ratio. Chosen, not
fitted: half and twice of each change the gradients of 36 searches by 5 % at most
(benchmarks/RESULTS.md, "How much the numbers matter")."""

IRC = TrustSettings(
    first=0.15 * BOHR,
    least=0.03 * BOHR,
    most=0.5 * BOHR,
    refused=0.4,
    patience=5,
    rejected=0.4,
    shorter=0.6,
    longer=1.4,
    used=0.0,
    poor_below=0.0,
    good_above=-1.0,
    good_below=0.08,
    poor_above=0.2,
)
"""Of IRCs: the mass-weighted length of a step in amu^½ Å. Chosen, not fitted; with these numbers
all 39 IRCs of `benchmarks/ircs.py` end in the right minima on both sides. Half and twice of them
cost up to 14 % more gradients (benchmarks/RESULTS.md, "How much the numbers matter")."""

_UNUSED = {
    "minimum": {"first": "set `max_step`", "most": "set `max_step`"},
    "end": {"first": "set `most`"},
    "saddle": {"largest_rise": "leave it out"},
    "irc": {"largest_rise": "leave it out"},
}
"""Numbers of a trust region that its search does not use, and what to do instead."""


@dataclass(frozen=True)
class TrustRegions:
    """The trust regions of all searches; `MINIMUM`, `END`, `SADDLE` and `IRC` say of what they are.

    Attributes
    ----------
    minimum
        Of minimisations; the first and the largest radius are `StepSettings.max_step` instead.
    end
        Of minimisations at the ends of reaction paths; the first radius is the largest.
    saddle
        Of saddle searches.
    irc
        Of reaction paths.
    """

    minimum: TrustSettings = MINIMUM
    end: TrustSettings = END
    saddle: TrustSettings = SADDLE
    irc: TrustSettings = IRC


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
    drift_steps
        A saddle search between molecules that are more than 3.1 Å apart is given up when the
        mode that it climbs has had no negative curvature for this many steps in a row; never, if
        it is the limit of steps.
    recognise
        Whether a search that heads for a known structure ends there
        (`afir.searches.known.KnownStructures`). What the same trial has found counts as known.
    recognise_behind
        Whether the minimum behind a push is recognised, too. The path between is then relaxed from
        a slightly different end, so that a push may find other transition states.
    softest_imaginary
        Smallest imaginary wavenumber of a transition state, in cm⁻¹.
    trust
        How the length of the next step follows from the last, for each search.
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
    drift_steps: int = 6
    recognise: bool = True
    recognise_behind: bool = True
    softest_imaginary: float = 30.0
    trust: TrustRegions = TrustRegions()

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
        for name in ("recognise", "recognise_behind"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"`{name}` must be true or false, got {getattr(self, name)!r}")
        _check_numbers(self)
        if isinstance(self.trust, Mapping):
            object.__setattr__(self, "trust", _trust_regions(self.trust))
        if not isinstance(self.trust, TrustRegions):
            raise InputError(f"`trust` must be TrustRegions, got {self.trust!r}")

    def at_ends(self) -> StepSettings:
        """These settings for a minimisation at the end of a reaction path."""
        careful = replace(self.trust, minimum=self.trust.end)
        return replace(self, max_step=self.trust.end.most, trust=careful)

    def suited(self, surface: Surface) -> StepSettings:
        """These settings, with defaults that depend on the surface filled in."""
        if self.surrogate is not None:
            return self
        return replace(self, surrogate=traits_of(surface).expensive)


def _trust_regions(values: Mapping[str, Any]) -> TrustRegions:
    """The trust regions of a job file: tables of numbers; others are as by default."""
    usual = TrustRegions()
    names = [field.name for field in fields(usual)]
    for name, table in values.items():
        if name not in names:
            raise InputError(f"`trust` must hold {', '.join(names)}, got {name!r}")
        if not isinstance(table, Mapping):
            raise InputError(f"`{name}` of `trust` must be a table of numbers, got {table!r}")
        numbers = [field.name for field in fields(TrustSettings)]
        for key, value in table.items():
            if key not in numbers:
                raise InputError(f"`{name}` of `trust` must hold {', '.join(numbers)}, got {key!r}")
            if key in _UNUSED[name] and value != getattr(getattr(usual, name), key):
                raise InputError(f"`{key}` of `{name}` has no effect; {_UNUSED[name][key]}")
    changed = {name: replace(getattr(usual, name), **table) for name, table in values.items()}
    return replace(usual, **changed)
