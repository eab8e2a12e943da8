"""Networks for batches of geometries of one composition: one to train, several to evaluate.

With `mlpot.neural.dense` and `mlpot.neural.training` the only user of torch and schnetpack;
imported only when a learned surface is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from schnetpack.nn import CosineCutoff, GaussianRBF
from schnetpack.nn.blocks import build_mlp
from schnetpack.representation import PaiNN, SchNet

from mlpot.neural.architecture import Architecture
from mlpot.neural.dense import arranged, energies

_PASS = {"cpu": 6400}
"""Ordered pairs of atoms in one pass: more do not fit into the processor's cache."""
_LARGE_PASS = 400_000
"""The same on other devices, which need large batches; chosen."""
_BLOCK = 4  # rows that products of matrices take at once, see `Network._filled`


@lru_cache(maxsize=1)
def _keep_memory() -> None:
    """Make the C library of Linux keep memory from pass to pass, for the rest of the process.

    A pass allocates and frees arrays of megabytes. Once a block of the size here was freed, the
    memory of smaller ones is kept instead of being requested again each time, page by page.
    """
    torch.empty(31 << 20, dtype=torch.uint8)


class Network(torch.nn.Module):
    """The weights of one network from positions to energies, without the atomic energies.

    Schnetpack creates, names and initialises the weights; `mlpot.neural.dense.energies` evaluates
    them.

    Parameters
    ----------
    architecture
        Its architecture.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        _keep_memory()
        self.architecture = shape = architecture
        kind = PaiNN if shape.representation == "painn" else SchNet
        self.representation = kind(
            shape.features,
            shape.interactions,
            GaussianRBF(shape.radial, shape.cutoff),
            CosineCutoff(shape.cutoff),
        )
        self.readout = build_mlp(shape.features, 1)


def energies_and_gradients(
    networks: Sequence[Network],
    numbers: torch.Tensor,
    positions: torch.Tensor,
    *,
    train: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies (m, k) and derivatives (m, k, n, 3) of geometries, each network with its own.

    Parameters
    ----------
    networks
        m networks of one architecture.
    numbers
        (n,).
    positions
        (m, k, n, 3).
    train
        Whether the gradients will be differentiated again.
    """
    x = positions.detach().requires_grad_(True)
    architecture = networks[0].architecture
    weights = arranged(architecture, [network.state_dict(keep_vars=True) for network in networks])
    said = energies(architecture, weights, numbers, x)
    (gradients,) = torch.autograd.grad(said.sum(), x, create_graph=train)
    return said, gradients


class Committee:
    """Networks of one architecture side by side, for evaluation only.

    Parameters
    ----------
    architecture
        Their architecture.
    states
        The weights of each.
    device
        The device to evaluate on.
    dtype
        Precision of the evaluation; differences of positions are always taken in float64.

    Raises
    ------
    RuntimeError
        If weights do not fit the architecture.
    """

    def __init__(
        self,
        architecture: Architecture,
        states: Sequence[Mapping[str, torch.Tensor]],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        network = Network(architecture).to(dtype).requires_grad_(False)
        held = []
        for state in states:
            network.load_state_dict(state)
            held.append({key: value.clone() for key, value in network.state_dict().items()})
        weights = arranged(architecture, held)
        self._weights = {key: value.to(device) for key, value in weights.items()}
        self._architecture = architecture
        self._device = device
        self._dtype = dtype
        self._count = len(states)

    def __len__(self) -> int:
        return self._count

    def evaluate(
        self, numbers: Sequence[int], positions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Outputs (m, k) of each of m networks and their derivatives (m, k, n, 3) by Å.

        Parameters
        ----------
        numbers
            Of the n atoms.
        positions
            (k, n, 3) in Å.

        Returns
        -------
        (m, k) and (m, k, n, 3)
            In units of the scale of the potential, some eV.
        """
        z = torch.tensor(numbers, device=self._device)
        said = np.empty((len(self), len(positions)))
        slopes = np.empty((len(self), *positions.shape))
        most = _PASS.get(self._device.type, _LARGE_PASS)
        step = max(1, most // (len(self) * len(numbers) ** 2) // _BLOCK * _BLOCK)
        for start in range(0, len(positions), step):
            part = positions[start : start + step]
            x = torch.as_tensor(self._filled(part), device=self._device)
            x = x.repeat(len(self), 1, 1, 1).requires_grad_(True)
            energy = energies(self._architecture, self._weights, z, x)
            (gradient,) = torch.autograd.grad(energy.sum(), x)
            stop = start + len(part)
            said[:, start:stop] = energy.detach().cpu().numpy()[:, : len(part)]
            slopes[:, start:stop] = gradient.cpu().numpy()[:, : len(part)]
        return said, slopes

    def _filled(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The geometries, padded to whole blocks with copies of the last one.

        Matrix products treat rows that do not fill a block in another way. With whole blocks an
        energy hardly ever depends on the other geometries, not even in its last bit.
        """
        k, n, _ = positions.shape
        whole = self._dtype == torch.float32 and n >= _BLOCK and k * n >= 2 * _BLOCK
        missing = 0 if whole else -k % _BLOCK
        return np.concatenate([positions, np.repeat(positions[-1:], missing, axis=0)])

    def hessians(
        self, numbers: Sequence[int], positions: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Second derivatives (k, 3n, 3n) by Å of the mean output at (k, n, 3) in Å."""
        z = torch.tensor(numbers, device=self._device)
        x = torch.tensor(positions, device=self._device).requires_grad_(True)
        energy = energies(self._architecture, self._weights, z, x.expand(len(self), -1, -1, -1))
        (gradients,) = torch.autograd.grad(energy.mean(dim=0).sum(), x, create_graph=True)
        flat = gradients.reshape(len(x), -1)
        rows = [
            torch.autograd.grad(flat[:, column].sum(), x, retain_graph=True)[0].reshape(len(x), -1)
            for column in range(flat.shape[1])
        ]
        return np.asarray(torch.stack(rows, dim=1).cpu(), dtype=np.float64)
