"""The settings of an exploration: everything that decides which network is found."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from afir.driver import reference_gradients
from afir.errors import InputError
from afir.molecule import Molecule, Positions
from afir.options import check_value
from afir.searches.settings import StepSettings
from networks.effort import Effort, effort_named

_REFERENCED = 3  # attempts at a push where there is a reference: searches do not count then

MOST_WORKERS = 1024
"""Processes of a run at most: more bring a machine down before they help."""


class Keep(Enum):
    """The type of `KEEP`."""

    KEEP = "keep"


KEEP = Keep.KEEP
"""Stands for a setting that stays as it is, where None means no limit."""

_BY_WINDOW = StepSettings()
"""Stands for settings of a step that were not given: only γ, which follows the window, differs."""

Coordinates: TypeAlias = "tuple[tuple[float, float, float], ...]"


def default_gamma(window_kj_mol: float | None) -> float:
    """γ in kJ/mol where none is given: 2.5 times the window, at most 1000, which it is without.

    A push needs a γ of about 2.5 times the highest barrier of interest, and no barrier above the
    window is of interest.
    """
    most = _BY_WINDOW.gamma
    return most if window_kj_mol is None else min(2.5 * window_kj_mol, most)


def located(surface: str, folder: Path, *, moved: bool = False) -> str:
    """The name of a surface with the absolute path of the file in it, if the folder has it.

    With `moved` a file that is not where the name says is looked for in the folder itself.
    """
    name, _, argument = surface.partition(":")
    paths = [folder / argument, *([folder / Path(argument).name] if moved else [])]
    for path in paths:
        if argument and path.is_file():
            return f"{name}:{path.absolute()}"
    return surface


@dataclass(frozen=True)
class Settings:
    """What is explored, how, and when to stop.

    The same structure and the same settings give the same network, whatever the number of
    workers; `max_seconds` and `task_seconds` are the exceptions, since they depend on the
    clock.

    Attributes
    ----------
    surface
        A name `afir.surface.load_surface` knows.
    surface_options
        Its options, plain JSON values.
    reference, reference_options
        The surface on which everything found is examined and reported, where `surface` is only
        searched on; "" when it is `surface` itself.
    learn
        Whether what separates `surface` from the reference is learned on the way; searches then
        go on `surface` with the learned difference added.
    learner
        What learns it: a registered name, see `networks.learning.load_learner`. ``"auto"``
        leaves it to the size of the molecule.
    step
        How one elementary step is searched; holds γ. Where no step settings are given, γ follows
        the window (`default_gamma`); `StepSettings` that are given keep theirs. It is settled when
        the settings are made: `dataclasses.replace` with another window does not change it.
    seed
        For every random choice; 0 or more.
    policy
        A name `networks.policy.load_policy` knows.
    policy_options
        Its options, plain JSON values.
    targets
        Atoms (0-based) between which pushes act, see `afir.fragments.pushes`; None means all.
    terms
        The most force terms at once in a push: 1 or 2.
    window_kj_mol
        EQs higher than this above the start are kept but not expanded, and candidates above
        it are ignored; where there is a reference, such EQs and channels are left
        alone unless a transition state leads there. None means no limit.
    bond_depth
        EQs that differ from the start by more bonds than this, made and broken, are not
        expanded; None means no limit.
    max_trials, max_gradients, max_seconds
        Stop after this many pushes, gradients (those of the reference, where there is one),
        seconds of wall time; None means no limit.
        Looked at between rounds, with rounds cut short to fit.
    patience
        Stop after this many trials in a row that brought no new node (EQ, TS or DC); None means
        never.
    wanted
        Positions (n, 3) in Å of a product, atoms in the order of the start: stop when it is
        in the network.
    expand_complexes
        Whether EQs of several molecules are pushed too. The start always is.
    effort
        How much is tried before the run calls itself finished: ``"quick"``, ``"normal"`` or
        ``"thorough"``, see `networks.effort`.
    attempts
        How often a push that crosses a barrier but leads to no saddle point is tried at most, each
        time from another displacement, once nothing new is left. With a reference every push is,
        and with learning then on what was learned, too, as often as the learner wants. None leaves
        it to the effort.
    gamma_max
        γ in kJ/mol up to which pushes that cross nothing are tried again, twice as hard each time;
        None leaves it to the effort.
    keep_frames
        Whether the run file keeps every geometry that is evaluated, with its energy and gradient,
        except the displacements of Hessians and what only tells whether the surface is right.
    task_seconds
        A task that takes longer is given up.
    round_size
        How many trials are chosen at once, before their results are known.

    Raises
    ------
    InputError
        For a value that makes no sense.
    """

    surface: str = "gfn2"
    surface_options: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""
    reference_options: Mapping[str, Any] = field(default_factory=dict)
    learn: bool = False
    learner: str = "auto"
    step: StepSettings = _BY_WINDOW
    seed: int = 0
    policy: str = "productive"
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
    task_seconds: float = 1800.0
    round_size: int = 16

    def __post_init__(self) -> None:
        _text("surface", self.surface)
        _text("policy", self.policy)
        _text("learner", self.learner)
        if not isinstance(self.reference, str):
            raise InputError(f"`reference` must be a name, got {self.reference!r}")
        for name in ("surface_options", "reference_options", "policy_options"):
            object.__setattr__(self, name, _options(name, getattr(self, name)))
        if not isinstance(self.step, StepSettings):
            raise InputError(f"`step` must be StepSettings, got {self.step!r}")
        _positive("window_kj_mol", self.window_kj_mol, optional=True)
        if self.step is _BY_WINDOW:
            object.__setattr__(self, "step", StepSettings(default_gamma(self.window_kj_mol)))
        _whole("seed", self.seed, 0)
        if self.terms not in (1, 2) or isinstance(self.terms, bool):
            raise InputError(f"`terms` must be 1 or 2, got {self.terms!r}")
        _whole("round_size", self.round_size, 1)
        _whole("attempts", self.attempts, 1, optional=True)
        effort_named(self.effort)
        _positive("gamma_max", self.gamma_max, optional=True)
        if self.gamma_max is not None and self.gamma_max < self.step.gamma:
            raise InputError(
                f"`gamma_max` must be at least γ, {self.step.gamma:g} kJ/mol, got "
                f"{self.gamma_max:g}"
            )
        for name in ("bond_depth", "max_trials", "max_gradients"):
            _whole(name, getattr(self, name), 0, optional=True)
        _whole("patience", self.patience, 1, optional=True)
        _positive("task_seconds", self.task_seconds)
        _positive("max_seconds", self.max_seconds, optional=True)
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
        """How much is tried; what was said one by one wins over the effort."""
        named = effort_named(self.effort)
        attempts = self.attempts
        if attempts is None:
            attempts = max(named.attempts, _REFERENCED) if self.reference else named.attempts
        factor = named.gamma_factor
        if self.gamma_max is not None:
            factor = self.gamma_max / self.step.gamma
        return replace(named, attempts=attempts, gamma_factor=factor)

    @property
    def searched(self) -> tuple[str, Mapping[str, Any]]:
        """Name and options of the surface that is searched on."""
        return self.surface, self.surface_options

    @property
    def reported(self) -> tuple[str, Mapping[str, Any]]:
        """Name and options of the surface that all reported numbers are of."""
        if self.reference:
            return self.reference, self.reference_options
        return self.searched

    @property
    def surfaces(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """Name and options of the searched surface, then of the reference if there is one."""
        return (self.searched, self.reported) if self.reference else (self.searched,)

    def counted(self, gradients: Mapping[str, int]) -> int:
        """How many of the gradients by stage count: those of the reference, where there is one."""
        return reference_gradients(gradients) if self.reference else sum(gradients.values())

    @property
    def records(self) -> bool:
        """Whether any geometries are kept."""
        return self.keep_frames or bool(self.reference)

    def check(self, molecule: Molecule) -> None:
        """Raise InputError when something does not fit the molecule or makes no sense."""
        n = molecule.n_atoms
        if self.reference and self.reported == self.searched:
            raise InputError(
                f"`reference` must be another surface than `surface`, both are {self.reference}; "
                "leave the reference out"
            )
        for atom in self.targets or ():
            if atom >= n:
                raise InputError(
                    f"target atoms must be from 0 to {n - 1} for {molecule.formula}, got {atom}"
                )
        if self.wanted is not None and len(self.wanted) != n:
            raise InputError(
                f"`wanted` must hold the {n} atoms of {molecule.formula}, got {len(self.wanted)}"
            )

    def wanted_positions(self) -> Positions | None:
        """The wanted product as an array (n, 3) in Å."""
        return None if self.wanted is None else np.array(self.wanted, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads it back."""
        result = dataclasses.asdict(self)
        result["step"]["ladder"] = list(self.step.ladder)
        for name in ("targets", "wanted"):
            if result[name] is not None:
                result[name] = [list(x) if isinstance(x, tuple) else x for x in result[name]]
        return result

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """Read what `to_dict` writes; what is missing takes its default, γ that of the window.

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
            _positive("window_kj_mol", window, optional=True)
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


def _whole(name: str, value: object, least: int, *, optional: bool = False) -> None:
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"`{name}` must be a whole number of {least} or more, got {value!r}")
    check_value(name, value)


def _positive(name: str, value: object, *, optional: bool = False) -> None:
    if optional and value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= sys.float_info.max:  # type: ignore[operator]
        raise InputError(f"`{name}` must be a positive number, got {value!r}")


def _options(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"`{name}` must be a table of named options, got {value!r}")
    return dict(value)


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
