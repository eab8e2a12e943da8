"""The settings of an exploration, which decide the network that is found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypedDict, Unpack

import numpy as np

from afir.errors import InputError
from afir.molecule import Molecule, Positions
from afir.pes.driver import reference_gradients
from afir.searches.settings import StepSettings
from networks.effort import Effort, effort_named
from networks.numbers import IN_FLIGHT, NUMBERS, TASK_SECONDS, WINDOW

_REFERENCED = 3  # attempts at a push with a reference: searches do not count then

METHODS = ("mode-following", "inversion", "sc-afir", "kick")
"""The methods of a run unless others are chosen: those that cost least come first."""

MOST_WORKERS = 1024
"""Maximum number of worker processes. Chosen: more overload a machine."""


_BY_WINDOW = StepSettings()
"""Step settings that were not given: γ follows the window."""

Coordinates: TypeAlias = tuple[tuple[float, float, float], ...]


class Changes(TypedDict, total=False):
    """What may change when a run is resumed, by the names of `Settings`.

    What is left out stays as it is. None removes a limit. Limits count from the beginning of the
    run.
    """

    window_kj_mol: float | None
    bond_depth: int | None
    max_trials: int | None
    max_gradients: int | None
    max_seconds: float | None
    patience: int | None
    task_seconds: float
    policy: str
    policy_options: Mapping[str, Any]


def default_gamma(window_kj_mol: float | None) -> float:
    """γ in kJ/mol if none is given: 2.5 times the window, at most 1000; 1000 without a window.

    A push needs a γ of about 2.5 times the highest barrier of interest, and no barrier above the
    window is of interest.
    """
    most = _BY_WINDOW.gamma
    return most if window_kj_mol is None else min(2.5 * window_kj_mol, most)


@dataclass(frozen=True)
class Settings:
    """The surface, the search and the limits of an exploration.

    The same structure and settings give the same network with any number of workers, except with
    `max_seconds` and `task_seconds`, which depend on the clock.

    Attributes
    ----------
    surface
        A name `afir.pes.loading.load_surface` knows.
    surface_options
        Its options, plain JSON values.
    reference, reference_options
        The surface that verifies and reports everything; `surface` is then only searched. "" for
        none.
    learn
        Whether to learn the difference between `surface` and the reference during the run, and to
        search on `surface` plus that difference.
    learner
        The name of a learner, see `networks.learning.learner.load_learner`. ``"auto"`` chooses by
        the size of the molecule.
    step
        The settings of one elementary step, with γ. If none are given, γ follows the window
        (`default_gamma`). γ is fixed when the settings are made: `dataclasses.replace` with
        another window does not change it.
    seed
        Seed of the random numbers; 0 or more.
    methods
        Names that `afir.methods.base.load_method` knows: which trials there are on a structure, in
        this order.
    method_options
        Options by the name of the method, plain JSON values. `terms` and `effort` set those of
        SC-AFIR and mode following that are not given here.
    policy
        A name `networks.policies.base.load_policy` knows.
    policy_options
        Its options, plain JSON values.
    targets
        Atoms (0-based) between which pushes act, see `afir.methods.pushes.pushes`; None means all.
    terms
        Maximum number of force terms in a push: 1 or 2.
    window_kj_mol
        Energy window above the start. EQs above it are kept but not expanded, and candidates above
        it are ignored; with a reference such EQs and channels are ignored too, unless a transition
        state connects to them. None means no limit.
    bond_depth
        EQs that differ from the start by more bonds than this, formed and broken, are not
        expanded; None means no limit.
    max_trials, max_gradients, max_seconds
        Stop after this many trials, gradients (with a reference only its own), seconds of wall
        time; None means no limit. Checked before each trial; those in flight are finished.
    patience
        Stop after this many trials in a row that found no new EQ, TS or DC; None means never.
    wanted
        Positions (n, 3) in Å of a product, atoms in the order of the start: stop when it is
        found.
    expand_complexes
        Whether EQs of several molecules are pushed too. The start always is.
    effort
        How much to try before the run ends by itself: ``"quick"``, ``"normal"`` or
        ``"thorough"``, see `networks.effort`.
    attempts
        Maximum attempts at a push that crosses a barrier but finds no saddle point, each from
        another displacement, once nothing new is left. With a reference every push is repeated,
        and with learning more often, on the learned surface. None leaves it to the effort.
    gamma_max
        γ in kJ/mol up to which pushes that cross no barrier are repeated, with γ doubled each
        time; None leaves it to the effort.
    keep_frames
        Whether the run file keeps every evaluated geometry, with energy and gradient, except
        displacements of Hessians and checks of the surface.
    task_seconds
        A task that takes longer is aborted.
    in_flight
        Number of trials under way at a time: each new one is chosen when the oldest is finished,
        from what that one and all before it found. It decides the network, unlike the number of
        workers; about four for each worker keep these busy.

    Raises
    ------
    InputError
        For an invalid value.
    """

    surface: str = "gfn2"
    surface_options: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""
    reference_options: Mapping[str, Any] = field(default_factory=dict)
    learn: bool = False
    learner: str = "auto"
    step: StepSettings = _BY_WINDOW
    seed: int = 0
    methods: tuple[str, ...] = METHODS
    method_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    policy: str = "learned"
    policy_options: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[int, ...] | None = None
    terms: int = 2
    window_kj_mol: float | None = None
    bond_depth: int | None = None
    max_trials: int | None = None
    max_gradients: int | None = None
    max_seconds: float | None = None
    patience: int | None = None
    wanted: Coordinates | None = None
    expand_complexes: bool = False
    effort: str = "normal"
    attempts: int | None = None
    gamma_max: float | None = None
    keep_frames: bool = False
    task_seconds: float = TASK_SECONDS
    in_flight: int = IN_FLIGHT

    # By hand: the sentences are ours, so attrs and pydantic would call the same functions, to save
    # the lines that call them; and attrs makes no dataclass, pydantic needs its errors translated.
    def __post_init__(self) -> None:
        _text("surface", self.surface)
        _text("policy", self.policy)
        _text("learner", self.learner)
        if not isinstance(self.reference, str):
            raise InputError(f"`reference` must be a name, got {self.reference!r}")
        for name in ("surface_options", "reference_options", "policy_options"):
            object.__setattr__(self, name, _options(name, getattr(self, name)))
        object.__setattr__(self, "methods", _methods(self.methods))
        object.__setattr__(self, "method_options", _by_method(self.method_options, self.methods))
        if not isinstance(self.step, StepSettings):
            raise InputError(f"`step` must be StepSettings, got {self.step!r}")
        for number in NUMBERS:
            number.check(getattr(self, number.name))
        if self.step is _BY_WINDOW:
            object.__setattr__(self, "step", StepSettings(default_gamma(self.window_kj_mol)))
        if self.terms not in (1, 2) or isinstance(self.terms, bool):
            raise InputError(f"`terms` must be 1 or 2, got {self.terms!r}")
        effort_named(self.effort)
        if self.gamma_max is not None and self.gamma_max < self.step.gamma:
            raise InputError(
                f"`gamma_max` must be at least γ, {self.step.gamma:g} kJ/mol, got "
                f"{self.gamma_max:g}"
            )
        for name in ("expand_complexes", "keep_frames", "learn"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"`{name}` must be true or false, got {getattr(self, name)!r}")
        if self.learn and not self.reference:
            raise InputError("`learn` must go with a `reference` to learn from, got none")
        if self.learner != "auto" and not self.learn:
            raise InputError(f"`learner` must go with `learn`, got {self.learner!r} without it")
        if self.reference_options and not self.reference:
            raise InputError("`reference_options` must go with a `reference`, got none")
        if self.targets is not None:
            object.__setattr__(self, "targets", _targets(self.targets))
        if self.wanted is not None:
            object.__setattr__(self, "wanted", _coordinates(self.wanted))

    @property
    def tried(self) -> Effort:
        """The effort, with the settings `attempts` and `gamma_max` applied."""
        named = effort_named(self.effort)
        attempts = self.attempts
        if attempts is None:
            attempts = max(named.attempts, _REFERENCED) if self.reference else named.attempts
        factor = named.gamma_factor
        if self.gamma_max is not None:
            factor = self.gamma_max / self.step.gamma
        return replace(named, attempts=attempts, gamma_factor=factor)

    def options_of(self, method: str) -> dict[str, Any]:
        """The options of a method: those that were given, others by `terms` and the effort."""
        effort = self.tried
        # Few pairs of forces are left between named atoms.
        unlike = effort.unlike or self.targets is not None
        implied: dict[str, dict[str, Any]] = {
            "mode-following": {"modes": effort.modes},
            "sc-afir": {"terms": self.terms, "unlike": unlike},
        }
        return {**implied.get(method, {}), **self.method_options.get(method, {})}

    @property
    def searched(self) -> tuple[str, Mapping[str, Any]]:
        """Name and options of the searched surface."""
        return self.surface, self.surface_options

    @property
    def reported(self) -> tuple[str, Mapping[str, Any]]:
        """Name and options of the surface of all reported numbers."""
        if self.reference:
            return self.reference, self.reference_options
        return self.searched

    @property
    def surfaces(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """Name and options of the searched surface, then of the reference if there is one."""
        return (self.searched, self.reported) if self.reference else (self.searched,)

    def counted(self, gradients: Mapping[str, int]) -> int:
        """Number of gradients that count: with a reference only its own, else all."""
        return reference_gradients(gradients) if self.reference else sum(gradients.values())

    @property
    def recognises(self) -> bool:
        """Whether searches end at known structures: not where a reference has moved these."""
        return self.step.recognise and not self.reference

    @property
    def records(self) -> bool:
        """Whether the run file keeps any geometries."""
        return self.keep_frames or bool(self.reference)

    def check(self, molecule: Molecule) -> None:
        """Raise InputError if a setting does not fit the molecule."""
        n = molecule.n_atoms
        if self.reference and self.reported == self.searched:
            raise InputError(
                f"`reference` must be another surface than `surface`, both are {self.reference}; "
                "leave the reference out"
            )
        for atom in self.targets or ():
            if atom >= n:
                raise InputError(
                    f"`targets` must be from 0 to {n - 1} for {molecule.formula}, got {atom}"
                )
        if self.wanted is not None and len(self.wanted) != n:
            raise InputError(
                f"`wanted` must hold the {n} atoms of {molecule.formula}, got {len(self.wanted)}"
            )

    def changed(self, **changes: Unpack[Changes]) -> Settings:
        """The settings of a run that goes on with changes; see `Changes`.

        Options of the policy are laid over those of the run; another policy begins without any.

        Raises
        ------
        InputError
            For a setting that must not change, or an invalid value.
        """
        names = list(Changes.__annotations__)
        for name in changes:
            if name not in names:
                raise InputError(f"`changes` must be of {', '.join(names)}, got {name!r}")
        before = self.policy_options if changes.get("policy", self.policy) == self.policy else {}
        given = changes.get("policy_options", {})
        if isinstance(given, Mapping):  # what else it may be is refused
            changes = {**changes, "policy_options": {**before, **given}}
        return replace(self, **changes)

    def wanted_positions(self) -> Positions | None:
        """The wanted product as an array (n, 3) in Å."""
        return None if self.wanted is None else np.array(self.wanted, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON types; `from_dict` reads them back."""
        result = dataclasses.asdict(self)
        result["step"]["ladder"] = list(self.step.ladder)
        result["methods"] = list(self.methods)
        for name in ("targets", "wanted"):
            if result[name] is not None:
                result[name] = [list(x) if isinstance(x, tuple) else x for x in result[name]]
        return result

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """The settings from the values of `to_dict`; missing ones take their defaults.

        Raises
        ------
        InputError
            For an unknown name or a value that makes no sense.
        """
        values = dict(data)
        _known("settings", values, cls)
        step = values.get("step", {})
        if not isinstance(step, StepSettings):
            if not isinstance(step, Mapping):
                raise InputError(f"`step` must be a table of settings, got {step!r}")
            _known("step", step, StepSettings)
            window = values.get("window_kj_mol")
            WINDOW.check(window)
            try:
                step = StepSettings(**{"gamma": default_gamma(window), **step})
            except TypeError as error:
                raise InputError(f"`step` must hold numbers, got {dict(data['step'])}") from error
        values["step"] = step
        return cls(**values)


def _known(what: str, values: Mapping[str, Any], cls: type) -> None:
    names = [f.name for f in dataclasses.fields(cls)]
    for name in values:
        if name not in names:
            raise InputError(f"`{what}` must hold {', '.join(names)}, got {name!r}")


def _text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise InputError(f"`{name}` must be a name, got {value!r}")


def _options(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"`{name}` must be a table of named options, got {value!r}")
    return dict(value)


def _methods(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple) or not value:
        raise InputError(f"`methods` must be a list of names, got {value!r}")
    for name in value:
        _text("methods", name)
        if value.count(name) > 1:
            raise InputError(f"`methods` must name each method once, got {name!r} twice")
    return tuple(value)


def _by_method(value: object, methods: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    for name in _options("method_options", value):
        if name not in methods:
            raise InputError(
                f"`method_options` must be of the methods {', '.join(methods)}, got {name!r}"
            )
    return {
        name: _options("method_options", options)
        for name, options in _options("method_options", value).items()
    }


def _targets(value: object) -> tuple[int, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple) or not value:
        raise InputError(f"`targets` must be a list of atoms, got {value!r}")
    for atom in value:
        if not isinstance(atom, int) or isinstance(atom, bool) or atom < 0:
            raise InputError(f"`targets` must hold atom numbers of 0 or more, got {atom!r}")
    return tuple(sorted(set(value)))


def _coordinates(value: object) -> Coordinates:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"`wanted` must be coordinates (n, 3) in Å, got {value!r}") from None
    if array.ndim != 2 or array.shape[1] != 3 or not np.isfinite(array).all():
        raise InputError(f"`wanted` must be finite coordinates (n, 3) in Å, got {array.shape}")
    return tuple((float(x), float(y), float(z)) for x, y, z in array)
