"""PaiNN and SchNet for batches of small molecules of one composition.

Schnetpack evaluates lists of pairs, so that molecules of any size fit in one batch. Here all
molecules have the same few atoms and every pair is a neighbour. So a sum over neighbours is a sum
over one axis of an array, without scattering; functions of a distance are computed once for both
atoms of a pair; and the networks of a committee are evaluated side by side.

Throughout m is the number of networks, k that of geometries, n that of atoms, p = n(n − 1)/2 that
of pairs, and F that of features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad, silu, softplus

from mlpot.neural.architecture import Architecture

Weights = Mapping[str, torch.Tensor]
"""Stacked weights (m, …) of networks by name."""

_REGISTER = 8  # products of matrices whose widths are no multiple of this are slower
_EPSILON = 1e-8  # under the root of PaiNN's norms, as in schnetpack
_HALF = math.log(2.0)  # subtracted from every softplus of SchNet, so that 0 gives 0


def arranged(architecture: Architecture, states: Sequence[Weights]) -> Weights:
    """Weights of m networks, named as schnetpack names them, stacked as `energies` takes them."""
    weights = {
        key.removeprefix("representation."): torch.stack([state[key] for state in states])
        for key in states[0]
    }
    offsets, widths = (weights[f"radial_basis.{name}"][0] for name in ("offsets", "widths"))
    # One more Gaussian, infinitely wide, is 1 everywhere: its weights are the bias. Others, whose
    # weights are zero, fill up the register.
    spare = _REGISTER - len(offsets) % _REGISTER
    weights["centres"] = pad(offsets, (0, spare))
    weights["exponents"] = pad(-0.5 / widths**2, (0, spare))

    def filters(layer: str) -> torch.Tensor:
        bias = pad(weights[f"{layer}.bias"][:, :, None], (0, spare - 1))
        return torch.cat([weights[f"{layer}.weight"], bias], dim=2).transpose(1, 2)

    if architecture.representation == "painn":
        parts = filters("filter_net").split(architecture.features, dim=2)
        return weights | {f"filters.{i}": part.contiguous() for i, part in enumerate(parts)}
    for i in range(architecture.interactions):
        name = f"interactions.{i}"
        weights[f"filters.{i}"] = filters(f"{name}.filter_network.0")
        for layer in (f"{name}.filter_network.1", f"{name}.f2out.1"):
            lowered = weights[f"{layer}.bias"] - _HALF * weights[f"{layer}.weight"].sum(dim=2)
            weights[f"{layer}.bias"] = lowered
    return weights


def energies(
    architecture: Architecture, weights: Weights, numbers: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """The energies of each network for its geometries, without the atomic energies.

    Parameters
    ----------
    architecture
        The architecture of all networks.
    weights
        From `arranged`.
    numbers
        (n,) atomic numbers.
    positions
        (m, k, n, 3) in Å: each network has its own. With a higher precision than the weights no
        digits are lost to where the molecule lies.

    Returns
    -------
    (m, k)
    """
    n = positions.shape[2]
    pairs = _pairs(n, positions.device)
    arms = positions.index_select(2, pairs.second) - positions.index_select(2, pairs.first)
    arms = arms.to(weights["centres"].dtype)
    # An atom and itself are a pair too, the last one: beyond the cutoff, so it contributes nothing.
    beyond = 2.0 * architecture.cutoff
    distances = pad((arms * arms).sum(dim=3).sqrt(), (0, 1), value=beyond)
    gaussians = torch.exp(weights["exponents"] * (distances[..., None] - weights["centres"]) ** 2)
    waves = torch.cos(distances * (math.pi / architecture.cutoff))
    cut = 0.5 * (waves + 1.0) * (distances < architecture.cutoff)
    atoms = weights["embedding.weight"].index_select(1, numbers)
    if architecture.representation == "painn":
        units = pad(arms, (0, 0, 0, 1)) / distances[..., None]
        atoms = _painn(architecture, weights, atoms, gaussians, cut, units, pairs)
    else:
        atoms = _schnet(architecture, weights, atoms, gaussians, cut, pairs)
    hidden = silu(_linear(weights, "readout.0", atoms)).sum(dim=2)
    # Linear, so that it may come after the sum over atoms.
    result: torch.Tensor = (hidden * weights["readout.1.weight"]).sum(dim=2)
    return result + n * weights["readout.1.bias"]


class _Pairs(NamedTuple):
    """The pairs of n atoms, each once, and where the n² ordered ones are found among them."""

    first: torch.Tensor
    second: torch.Tensor
    place: torch.Tensor
    sign: torch.Tensor

    def square(self, values: torch.Tensor) -> torch.Tensor:
        """Values of pairs and of none (m, k, p + 1, …) as those of ordered ones (m, k, n, n, …)."""
        m, k, _, last = values.shape
        n = len(self.sign)
        return values.index_select(2, self.place).reshape(m, k, n, n, last)


@lru_cache(maxsize=16)
def _pairs(n: int, device: torch.device) -> _Pairs:
    first, second = torch.triu_indices(n, n, 1, device=device)
    place = torch.full((n, n), len(first), device=device)
    place[first, second] = place[second, first] = torch.arange(len(first), device=device)
    sign = torch.ones((n, n, 1), dtype=torch.int8, device=device)
    sign[second, first] = -1
    return _Pairs(first, second, place.reshape(-1), sign)


def _linear(weights: Weights, layer: str, x: torch.Tensor) -> torch.Tensor:
    """A layer of each network: (m, …, in) to (m, …, out)."""
    matrix, bias = weights[f"{layer}.weight"].transpose(1, 2), weights.get(f"{layer}.bias")
    rows = x.reshape(len(matrix), -1, x.shape[-1])
    out = torch.bmm(rows, matrix) if bias is None else torch.baddbmm(bias[:, None], rows, matrix)
    return out.reshape(*x.shape[:-1], out.shape[-1])


def _heard(filters: torch.Tensor, atoms: torch.Tensor) -> torch.Tensor:
    """Messages from neighbours: (m, k, n, n, F) and (m, k, n, F) to the latter."""
    return (filters * atoms.unsqueeze(2)).sum(dim=3)


class _HeardVectors(torch.autograd.Function):
    """The same for vectors (m, k, n, 3, F), neighbour by neighbour.

    So the array of all products is not made. The derivatives of this sum and of that in `_Told`
    are sums of the same two kinds.
    """

    @staticmethod
    def forward(ctx: Any, filters: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(filters, vectors)
        heard = filters[:, :, :, 0].unsqueeze(3) * vectors[:, :, :1]
        for j in range(1, vectors.shape[2]):
            heard.addcmul_(filters[:, :, :, j].unsqueeze(3), vectors[:, :, j : j + 1])
        return heard

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        filters, vectors = ctx.saved_tensors
        of_vectors = _HeardVectors.apply(filters.transpose(2, 3), slope)
        return _Told.apply(slope, vectors), of_vectors


class _Told(torch.autograd.Function):
    """Vectors (m, k, n, 3, F) of atoms times those of their neighbours: (m, k, n, n, F)."""

    @staticmethod
    def forward(ctx: Any, vectors: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(vectors, others)
        x, y, z = zip(vectors.unsqueeze(3).unbind(4), others.unsqueeze(2).unbind(4), strict=True)
        return (x[0] * x[1]).addcmul_(*y).addcmul_(*z)

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        vectors, others = ctx.saved_tensors
        of_vectors = _HeardVectors.apply(slope, others)
        return of_vectors, _HeardVectors.apply(slope.transpose(2, 3), vectors)


def _painn(
    architecture: Architecture,
    weights: Weights,
    atoms: torch.Tensor,
    gaussians: torch.Tensor,
    cut: torch.Tensor,
    units: torch.Tensor,
    pairs: _Pairs,
) -> torch.Tensor:
    """Features (m, k, n, F) of atoms that are the same (m, n, F) to begin with (2102.03150)."""
    m, k, ordered, radial = gaussians.shape
    basis = (gaussians * cut[..., None]).reshape(m, -1, radial)
    directions = (pairs.square(units) * pairs.sign).transpose(3, 4)

    def filters(number: int) -> torch.Tensor:
        values = torch.bmm(basis, weights[f"filters.{number}"])
        return pairs.square(values.reshape(m, k, ordered, -1))

    atoms = atoms[:, None]  # the same in all geometries before the first interaction
    vectors = None
    for i in range(architecture.interactions):
        layer = f"interactions.{i}.interatomic_context_net"
        said = _linear(weights, f"{layer}.1", silu(_linear(weights, f"{layer}.0", atoms)))
        scalar, outward, along = said.split(architecture.features, dim=-1)
        atoms = atoms + _heard(filters(3 * i), scalar)
        moved = directions @ (filters(3 * i + 1) * outward.unsqueeze(2))
        if vectors is None:
            vectors = moved
        else:
            neighbours = along.unsqueeze(3) * vectors
            vectors = vectors + moved + _HeardVectors.apply(filters(3 * i + 2), neighbours)
        layer = f"mixing.{i}"
        mixed = _linear(weights, f"{layer}.mu_channel_mix", vectors)
        left, right = mixed.split(architecture.features, dim=-1)
        norms = ((left * left).sum(dim=3) + _EPSILON).sqrt()
        layer = f"{layer}.intraatomic_context_net"
        said = silu(_linear(weights, f"{layer}.0", torch.cat([atoms, norms], dim=-1)))
        said = _linear(weights, f"{layer}.1", said)
        scalar, along, product = said.split(architecture.features, dim=-1)
        atoms = torch.addcmul(atoms + scalar, product, (left * right).sum(dim=3))
        if i < architecture.interactions - 1:  # the last ones are not used
            vectors = torch.addcmul(vectors, along.unsqueeze(3), right)
    return atoms


def _schnet(
    architecture: Architecture,
    weights: Weights,
    atoms: torch.Tensor,
    gaussians: torch.Tensor,
    cut: torch.Tensor,
    pairs: _Pairs,
) -> torch.Tensor:
    """Features (m, k, n, F) of atoms that are the same (m, n, F) to begin with.

    10.1063/1.5019779
    """
    m, k, ordered, radial = gaussians.shape
    basis = gaussians.reshape(m, -1, radial)
    atoms = atoms[:, None]  # the same in all geometries before the first interaction
    for i in range(architecture.interactions):
        layer = f"interactions.{i}"
        values = softplus(torch.bmm(basis, weights[f"filters.{i}"]))
        values = _linear(weights, f"{layer}.filter_network.1", values)
        filters = pairs.square(values.reshape(m, k, ordered, -1) * cut[..., None])
        heard = _heard(filters, _linear(weights, f"{layer}.in2f", atoms))
        hidden = softplus(_linear(weights, f"{layer}.f2out.0", heard))
        atoms = atoms + _linear(weights, f"{layer}.f2out.1", hidden)
    return atoms
