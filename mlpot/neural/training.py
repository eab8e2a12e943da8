"""The training loop, over batches of one composition.

With `mlpot.neural.model` and `mlpot.neural.potential` the only user of torch and schnetpack.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from afir.errors import InputError
from mlpot.dataset import Dataset
from mlpot.neural.architecture import Architecture
from mlpot.neural.model import Network, energies_and_gradients

State = dict[str, torch.Tensor]

_SLOWER = 0.2
"""Learning rate of the second round in units of that of the first. With it the energy error of a
correction fell from 1.23 to 1.18 kcal/mol (100 labels), of whole energies from 4.4 to 3.5."""

_LONGEST = 10.0
"""Longest gradient of the loss of one network in a step, so that no frame throws it far; chosen."""

_LARGEST_GRADIENT = 10.0
"""Norm to which the gradient of the loss of one network is clipped. Chosen, not fitted."""


@dataclass(frozen=True)
class Training:
    """The training settings of a network.

    Attributes
    ----------
    epochs
        Epochs (passes over the training set), if they make at least `fewest_steps`.
    fewest_steps
        Minimum number of optimiser steps.
    batch
        Batch size in frames.
    rate
        Maximum learning rate of the one-cycle schedule (1708.07120).
    energy_weight
        Weight of the energies in the loss; the gradients have the rest.
    average
        Decay of the moving average of the weights; the averaged weights are kept.
    patience
        Early stopping after so many validations in a row without improvement.
    share
        Fraction of the trials that each network trains on, drawn for each; 1 for all.
    closing
        Steps of a second round as a fraction of those of the first, from its best weights and at a
        fifth of its learning rate; 0 for none. The first round fits gradients, the second energies.
    closing_energy_weight
        Weight of the energies in the loss of the second round.
    """

    epochs: int = 80
    fewest_steps: int = 4000
    batch: int = 16
    rate: float = 5e-3
    energy_weight: float = 0.05
    average: float = 0.999
    patience: int = 25
    share: float = 1.0
    closing: float = 0.25
    closing_energy_weight: float = 0.8

    def __post_init__(self) -> None:
        for name in ("epochs", "fewest_steps", "batch", "patience"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"`{name}` must be a whole number of 1 or more, got {value!r}")
        if not 0.0 < self.share <= 1.0:
            raise InputError(f"`share` must be above 0 and 1 at most, got {self.share}")
        if not 0.0 < self.rate < 1.0:
            raise InputError(f"`rate` must be between 0 and 1, got {self.rate}")
        for name in ("energy_weight", "average", "closing", "closing_energy_weight"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise InputError(f"`{name}` must be from 0 to below 1, got {getattr(self, name)}")

    def rounds(self) -> list[Training]:
        """The training rounds, in order."""
        if not self.closing:
            return [self]
        second = replace(
            self,
            epochs=max(1, round(self.closing * self.epochs)),
            fewest_steps=max(1, round(self.closing * self.fewest_steps)),
            rate=_SLOWER * self.rate,
            energy_weight=self.closing_energy_weight,
        )
        return [self, second]

    def steps(self, frames: int) -> int:
        """The maximum number of steps of one round."""
        return max(self.epochs * math.ceil(frames / self.batch), self.fewest_steps)


@dataclass(frozen=True)
class Progress:
    """The progress of a training.

    Attributes
    ----------
    step, steps
        Steps done, and the maximum.
    energy_error, gradient_error
        Mean absolute errors of the networks on the validation frames, in eV and eV/Å.
    best
        Whether one of the networks has its smallest error so far.
    """

    step: int
    steps: int
    energy_error: float
    gradient_error: float
    best: bool


def references(data: Dataset) -> dict[int, float]:
    """Atomic reference energies in eV, fitted to the mean energy of the frames."""
    numbers = sorted(set(data.molecule.numbers))
    counts = np.array([data.molecule.numbers.count(z) for z in numbers], dtype=float)
    # One equation: the solution of least norm.
    energies = float(data.energies.mean()) * counts / float(counts @ counts)
    return {z: float(energy) for z, energy in zip(numbers, energies, strict=True)}


def typical_gradient(data: Dataset) -> float:
    """Root mean square of the components of the gradients, in eV/Å; 1 if all are zero."""
    return float(np.sqrt((data.gradients**2).mean())) or 1.0


@dataclass(frozen=True, eq=False)
class Labels:
    """What networks are trained on.

    Attributes
    ----------
    data, validation
        Training frames and validation frames, with the atomic energies (`references`) and the base
        surface (`mlpot.dataset.above`) subtracted.
    scale
        eV per unit of the network output.
    device
        Device by its name in torch.
    """

    data: Dataset
    validation: Dataset
    scale: float
    device: str = "cpu"


def train(
    architecture: Architecture,
    training: Training,
    labels: Labels,
    seeds: Sequence[int],
    *,
    starts: Sequence[State] | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> list[State]:
    """Train networks side by side, each with its own order of frames.

    Parameters
    ----------
    architecture
        Their architecture.
    training
        The training settings.
    labels
        The frames.
    seeds
        Random seeds, one a network, for its initial weights and the order of the frames.
    starts
        Initial weights, or some of them.
    tell
        Called after each validation.

    Returns
    -------
    list of dict
        The averaged weights of each network at its smallest validation error.
    """
    rounds = training.rounds()
    count = len(labels.data)
    total, before = sum(each.steps(count) for each in rounds), 0
    states = starts
    for each in rounds:

        def told(progress: Progress, before: int = before) -> None:
            tell(replace(progress, step=before + progress.step, steps=total))

        states = _Round(architecture, each, labels, seeds, states).run(told)
        before += each.steps(count)
    return list(states or ())


class _Round:
    """One round with one learning-rate cycle; see `train`."""

    def __init__(
        self,
        architecture: Architecture,
        training: Training,
        labels: Labels,
        seeds: Sequence[int],
        starts: Sequence[State] | None,
    ) -> None:
        self._training, self._labels, self._fresh = training, labels, starts is None
        data, device = labels.data, labels.device
        self._orders = [_Order(data.groups, training.share, seed) for seed in seeds]
        self._networks = [
            _network(architecture, seed, None if starts is None else starts[number]).to(device)
            for number, seed in enumerate(seeds)
        ]
        self._averages = copy.deepcopy(self._networks)
        self._numbers = torch.tensor(data.molecule.numbers, device=device)
        self._x, self._energies, self._gradients = _tensors(data, labels.scale, device)
        self._steps = training.steps(len(data))
        self._weights = [list(network.parameters()) for network in self._networks]
        self._optimiser = torch.optim.AdamW(
            [weight for of_one in self._weights for weight in of_one],
            lr=training.rate,
            foreach=True,
        )
        self._cycle = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, training.rate, total_steps=self._steps
        )

    def run(self, tell: Callable[[Progress], None]) -> list[State]:
        """Train to the end, or until nothing improves; the best weights."""
        look = max(math.ceil(len(self._labels.data) / self._training.batch), self._steps // 100)
        best = _Best(self._averages, self._measured()[0])
        for step in range(1, self._steps + 1):
            self._learn(step)
            if step % look == 0 or step == self._steps:
                measure, of_energy, of_gradient = self._measured()
                better = best.compare(measure)
                tell(Progress(step, self._steps, of_energy, of_gradient, better))
                if min(best.stale) >= self._training.patience:
                    break
        if self._fresh and not best.learned:
            raise InputError(
                "training must reach finite errors, it diverged from the start; lower the learning "
                f"rate ({self._training.rate:g}) or look for wrong labels"
            )
        return best.weights

    def _learn(self, step: int) -> None:
        """One step of every network."""
        training = self._training
        size = min(training.batch, len(self._labels.data))
        chosen = [order.take(size) for order in self._orders]
        picked = torch.tensor(chosen, device=self._labels.device)
        x = self._x[picked]
        said, slopes = energies_and_gradients(self._networks, self._numbers, x, train=True)
        # The networks share no weights: the gradient of the sum is that of each one's own loss.
        loss = len(self._networks) * (
            training.energy_weight * ((said - self._energies[picked]) ** 2).mean()
            + (1.0 - training.energy_weight) * ((slopes - self._gradients[picked]) ** 2).mean()
        )
        self._optimiser.zero_grad()
        loss.backward()
        for of_one in self._weights:
            torch.nn.utils.clip_grad_norm_(of_one, _LONGEST)
        self._optimiser.step()
        self._cycle.step()
        decay = min(training.average, (1.0 + step) / (10.0 + step))
        for average, network in zip(self._averages, self._networks, strict=True):
            _follow(average, network, decay)

    def _measured(self) -> tuple[NDArray[np.float64], float, float]:
        """What each network is judged by, and the mean errors in eV and eV/Å."""
        labels, share = self._labels, self._training.energy_weight
        of_energy, of_gradient = errors(
            self._averages, labels.validation, labels.scale, labels.device
        )
        measure = share * of_energy + (1.0 - share) * of_gradient
        return measure, float(of_energy.mean()), float(of_gradient.mean())


class _Best:
    """The weights of each network at its smallest validation error so far."""

    def __init__(self, networks: Sequence[Network], measure: NDArray[np.float64]) -> None:
        self.weights = [_weights(network) for network in networks]
        self.stale = [0] * len(networks)
        self._networks = networks
        self._last = measure
        self._least = np.nan_to_num(measure, nan=np.inf)
        self._improved = np.zeros(len(networks), dtype=bool)

    def compare(self, measure: NDArray[np.float64]) -> bool:
        """Keep the weights of the networks that are better; whether one is."""
        self._last = measure
        better = measure < self._least
        self._improved |= better
        for number, network in enumerate(self._networks):
            self.stale[number] += 1
            if better[number]:
                self._least[number], self.stale[number] = measure[number], 0
                self.weights[number] = _weights(network)
        return bool(better.any())

    @property
    def learned(self) -> bool:
        """Whether every network has improved, or still has a finite error."""
        return bool((self._improved | np.isfinite(self._last)).all())


class _Order:
    """The order in which one network sees its frames."""

    def __init__(self, groups: Sequence[str], share: float, seed: int) -> None:
        self._own = _own_frames(groups, share, seed)
        self._generator = torch.Generator().manual_seed(seed)
        self._next: list[int] = []

    def take(self, size: int) -> list[int]:
        """The next frames, by their indices."""
        while len(self._next) < size:
            mixed = torch.randperm(len(self._own), generator=self._generator)
            self._next += self._own[mixed].tolist()
        taken = self._next[:size]
        del self._next[:size]
        return taken


def _network(architecture: Architecture, seed: int, start: State | None) -> Network:
    """A network with the weights to start from, or those of the seed.

    Raises
    ------
    InputError
        If other weights than those of the readout are missing, or there are unknown ones.
    """
    torch.manual_seed(seed)
    network = Network(architecture)
    if start is not None:
        differ = network.load_state_dict(start, strict=False)
        unknown = [key for key in differ.missing_keys if "readout" not in key]
        if unknown or differ.unexpected_keys:
            raise InputError(
                f"`starts` must hold all weights but those of the readout, got {', '.join(start)}"
            )
    return network


def errors(
    networks: Sequence[Network], data: Dataset, scale: float, device: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean absolute errors of each network, (m,) each: energies in eV, gradients in eV/Å."""
    numbers = torch.tensor(data.molecule.numbers, device=device)
    x, energies, gradients = _tensors(data, scale, device)
    wrong: list[NDArray[np.float64]] = []
    slopes_wrong: list[NDArray[np.float64]] = []
    for start in range(0, len(data), 64):
        part = slice(start, start + 64)
        everywhere = x[part].expand(len(networks), -1, -1, -1)
        said, slopes = energies_and_gradients(networks, numbers, everywhere)
        wrong.append((said.detach() - energies[part]).abs().cpu().numpy())
        slopes_wrong.append((slopes - gradients[part]).abs().mean(dim=(2, 3)).cpu().numpy())
    return (
        scale * np.concatenate(wrong, axis=1).mean(axis=1, dtype=np.float64),
        scale * np.concatenate(slopes_wrong, axis=1).mean(axis=1, dtype=np.float64),
    )


def _own_frames(groups: Sequence[str], share: float, seed: int) -> torch.Tensor:
    """Indices of the frames of a fraction of the groups, drawn by the seed."""
    names = sorted(set(groups))
    count = max(1, round(share * len(names)))
    drawn = np.random.default_rng([seed, 1]).permutation(len(names))[:count]
    own = {names[index] for index in drawn}
    return torch.tensor([index for index, group in enumerate(groups) if group in own])


def _weights(network: Network) -> State:
    return {key: value.cpu().clone() for key, value in network.state_dict().items()}


def _tensors(
    data: Dataset, scale: float, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    kind = torch.float32
    return (
        torch.as_tensor(data.positions, dtype=kind, device=device),
        torch.as_tensor(data.energies / scale, dtype=kind, device=device),
        torch.as_tensor(data.gradients / scale, dtype=kind, device=device),
    )


def _follow(average: Network, network: Network, decay: float) -> None:
    """Move the averaged weights a little towards the present ones."""
    with torch.no_grad():
        for mean, value in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)
