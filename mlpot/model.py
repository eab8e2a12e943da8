"""The network: energies of whole batches of geometries of one composition, and their gradients.

With `mlpot.training` the only user of torch and schnetpack; imported when a learned surface is
asked for, not before.
"""

from __future__ import annotations

from collections.abc import Sequence

import schnetpack.properties as keys
import torch
from schnetpack.nn import CosineCutoff, GaussianRBF
from schnetpack.nn.blocks import build_mlp
from schnetpack.representation import PaiNN, SchNet

from mlpot.architecture import Architecture


class Network(torch.nn.Module):
    """From positions to energies, without the reference energies of the elements.

    Parameters
    ----------
    architecture
        Its shape.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        shape = architecture
        kind = PaiNN if shape.representation == "painn" else SchNet
        self.representation = kind(
            shape.features,
            shape.interactions,
            GaussianRBF(shape.radial, shape.cutoff),
            CosineCutoff(shape.cutoff),
        )
        self.readout = build_mlp(shape.features, 1)

    def forward(self, numbers: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Energies (k,) of geometries (k, n, 3) of atoms with these numbers (n,).

        All pairs of atoms are neighbours; those beyond the cutoff weigh nothing.
        """
        count, n = positions.shape[:2]
        first, second = pairs(n, count, positions.device)
        flat = positions.reshape(-1, 3)
        inputs = {
            keys.Z: numbers.repeat(count),
            keys.Rij: flat[second] - flat[first],
            keys.idx_i: first,
            keys.idx_j: second,
        }
        atoms = self.representation(inputs)["scalar_representation"]
        energies: torch.Tensor = self.readout(atoms).reshape(count, n).sum(dim=1)
        return energies


def pairs(n: int, count: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Both atoms of every ordered pair within each of `count` geometries of n atoms."""
    first, second = torch.nonzero(~torch.eye(n, dtype=torch.bool, device=device), as_tuple=True)
    offsets = n * torch.arange(count, device=device)[:, None]
    return (first + offsets).reshape(-1), (second + offsets).reshape(-1)


def energies_and_gradients(
    network: torch.nn.Module, numbers: torch.Tensor, positions: torch.Tensor, *, train: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies (k,) and their derivatives (k, n, 3).

    Parameters
    ----------
    network
        A `Network`.
    numbers
        (n,).
    positions
        (k, n, 3).
    train
        Whether the gradients will be differentiated again.
    """
    x = positions.detach().requires_grad_(True)
    energies = network(numbers, x)
    (gradients,) = torch.autograd.grad(energies.sum(), x, create_graph=train)
    return energies, gradients


def hessians(
    network: torch.nn.Module, numbers: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Second derivatives (k, 3n, 3n) of the energies of a whole batch (k, n, 3)."""
    x = positions.detach().requires_grad_(True)
    (gradients,) = torch.autograd.grad(network(numbers, x).sum(), x, create_graph=True)
    flat = gradients.reshape(len(x), -1)
    rows = [
        torch.autograd.grad(flat[:, column].sum(), x, retain_graph=True)[0].reshape(len(x), -1)
        for column in range(flat.shape[1])
    ]
    return torch.stack(rows, dim=1)


def build(architecture: Architecture, states: Sequence[dict[str, torch.Tensor]]) -> list[Network]:
    """Networks with given weights, for evaluation only."""
    result = []
    for state in states:
        network = Network(architecture)
        network.load_state_dict(state)
        network.requires_grad_(False)
        network.eval()
        result.append(network)
    return result
