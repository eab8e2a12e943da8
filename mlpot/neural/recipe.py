"""From labelled frames to a potential: base, split, committee, calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from afir.errors import InputError
from afir.pes.loading import load_surface
from mlpot.dataset import Dataset, Split, above, split, steady_split
from mlpot.neural.architecture import Architecture
from mlpot.neural.calibration import Calibration, calibrate
from mlpot.neural.potential import Description, Potential, torch_device
from mlpot.neural.training import (
    Labels,
    Progress,
    State,
    Training,
    references,
    train,
    typical_gradient,
)

_ELSEWHERE = (
    10.0  # chosen; Å times a typical gradient: the error of energies of another level of theory
)


@dataclass(frozen=True)
class Recipe:
    """All settings of a training.

    Attributes
    ----------
    architecture
        The architecture of each network.
    training
        The training settings of each.
    networks
        Number of networks in the committee, with different initial weights.
    base, base_options
        The base surface; "" to learn the total energy.
    seed
        Random seed of the split, the weights and the order of the frames.
    validation, test
        Fractions of the frames held out, by trial.
    """

    architecture: Architecture = field(default_factory=Architecture)
    training: Training = field(default_factory=Training)
    networks: int = 1
    base: str = ""
    base_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        if not isinstance(self.networks, int) or self.networks < 1:
            raise InputError(
                f"`networks` must be a whole number of 1 or more, got {self.networks!r}"
            )
        if self.training.share < 1.0 and self.networks == 1:
            raise InputError("`share` must be 1 for a single network, which trains on all trials")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"`seed` must be a whole number of 0 or more, got {self.seed!r}")


@dataclass(frozen=True, eq=False)
class Trained:
    """A new potential with its validation data.

    Attributes
    ----------
    potential
        The potential.
    parts
        The frames with the base surface subtracted.
    calibration
        Calibration of its spread, on the validation frames.
    """

    potential: Potential
    parts: Split
    calibration: Calibration


def make(
    data: Dataset,
    recipe: Recipe,
    *,
    start: Potential | None = None,
    steady: bool = False,
    device: str = "cpu",
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Trained:
    """Train a potential.

    Parameters
    ----------
    data
        Labelled frames.
    recipe
        The settings.
    start
        A potential of the same architecture to fine-tune, perhaps of another level of theory. If
        its base differs, the representation is kept and the readout is trained anew.
    steady
        Whether frames keep their part when others are added (`mlpot.dataset.steady_split`); there
        is no test part then.
    device
        Device by its name in torch.
    tell
        Called with the progress now and then.

    Raises
    ------
    InputError
        If the data cannot be split or the base surface fails on all frames.
    """
    torch_device(device)
    if start is not None:
        start.check(data.molecule)
    starts = None if start is None else _first_weights(recipe, start)
    if recipe.base:
        data = above(data, load_surface(recipe.base, data.molecule, **recipe.base_options))
    if steady:
        parts = steady_split(data, recipe.seed, validation=recipe.validation)
    else:
        rng = np.random.default_rng([recipe.seed, 0])
        parts = split(data, rng, validation=recipe.validation, test=recipe.test)
    about = _described(recipe, data, parts, start)
    shift = sum(about.references[z] for z in data.molecule.numbers)
    learn, check = (
        replace(part, energies=part.energies - shift) for part in (parts.train, parts.validation)
    )
    states = train(
        recipe.architecture,
        recipe.training,
        Labels(learn, check, about.scale, device),
        [1000 * recipe.seed + number for number in range(recipe.networks)],
        starts=starts,
        tell=tell,
    )
    judged = calibrate(Potential(about, states, device=device), parts.validation)
    about = replace(about, calibration=judged.factor, limit=judged.limit)
    return Trained(Potential(about, states, device=device), parts, judged)


def _described(recipe: Recipe, data: Dataset, parts: Split, start: Potential | None) -> Description:
    """The description of the potential to train, not yet calibrated."""
    known, scale = _units(recipe, data, parts, start)
    formulas: tuple[str, ...] = (data.molecule.formula,)
    if start is not None:  # which may not name its molecules: then they stay unknown
        earlier = start.description.formulas
        formulas = tuple(sorted({*formulas, *earlier})) if earlier else ()
    return Description(
        architecture=recipe.architecture,
        references=known,
        scale=scale,
        base=recipe.base,
        base_options=recipe.base_options,
        target=data.surface,
        formulas=_formulas(data.molecule.formula, start),
        charge=data.molecule.charge,
        multiplicity=data.molecule.multiplicity,
        notes={
            "training": asdict(recipe.training),
            "seed": recipe.seed,
            "frames": [len(parts.train), len(parts.validation), len(parts.test)],
        },
    )


def _units(
    recipe: Recipe, data: Dataset, parts: Split, start: Potential | None
) -> tuple[dict[int, float], float]:
    """The atomic energies in eV by number, and the eV per unit of the network output.

    A potential keeps those that its weights were trained with.
    """
    if start is None or not _goes_on(recipe, start):
        return references(parts.train), typical_gradient(parts.train)
    before = start.description
    moved, off = _moved(start, parts.train)
    # One name may stand for several levels of theory, or for none.
    if before.target != data.surface or off > _ELSEWHERE * before.scale:
        return moved, before.scale
    return dict(before.references), before.scale


def _formulas(formula: str, start: Potential | None) -> tuple[str, ...]:
    """The molecules that a potential was trained for, those of its start included."""
    if start is None:
        return (formula,)
    earlier = start.description.formulas
    # Which may not name its molecules: then they stay unknown.
    return tuple(sorted({formula, *earlier})) if earlier else ()


def _zero_and_unit(
    recipe: Recipe, start: Potential | None, data: Dataset, target: str
) -> tuple[dict[int, float], float]:
    """Atomic reference energies in eV, and eV per unit of the network output.

    A potential keeps those that its weights were trained with.
    """
    if start is None or not _goes_on(recipe, start):
        return references(data), typical_gradient(data)
    before = start.description
    moved, off = _moved(start, data)
    # One name may stand for several levels of theory, or for none.
    elsewhere = before.target != target or off > _ELSEWHERE * before.scale
    return (moved if elsewhere else dict(before.references)), before.scale


def _goes_on(recipe: Recipe, start: Potential) -> bool:
    """Whether a recipe has the base surface of the potential to start from."""
    about = start.description
    return (recipe.base, dict(recipe.base_options)) == (about.base, dict(about.base_options))


def _first_weights(recipe: Recipe, start: Potential) -> list[State]:
    """The initial weights of each network, from a potential with one network or as many.

    Raises
    ------
    InputError
        If the potential has another architecture or number of networks.
    """
    about = start.description
    if about.architecture != recipe.architecture:
        raise InputError(
            f"`architecture` must be that of the potential to start from, {about.architecture}, "
            f"got {recipe.architecture}"
        )
    if len(start) not in (1, recipe.networks):
        raise InputError(
            f"`networks` must be as many as the potential to start from has, {len(start)}, got "
            f"{recipe.networks}"
        )
    states = start.states * (recipe.networks // len(start))
    if _goes_on(recipe, start):
        return states
    return [
        {key: value for key, value in state.items() if "readout" not in key} for state in states
    ]


def _moved(start: Potential, data: Dataset) -> tuple[dict[int, float], float]:
    """Atomic reference energies that fit a potential to the mean energy of other labels.

    Also the mean error in eV without them.
    """
    wrong = data.energies - start.predict(data.molecule, data.positions).energies
    extra = references(replace(data, energies=wrong))
    known = start.description.references
    return {z: energy + extra.get(z, 0.0) for z, energy in known.items()}, abs(float(wrong.mean()))
