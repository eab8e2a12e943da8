"""What tests of learned surfaces share: untrained networks and geometries of butadiene."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from afir.io.structures import read_structure
from afir.molecule import Positions
from afir.pes.loading import load_surface
from mlpot.dataset import Dataset
from mlpot.neural.architecture import Architecture

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("schnetpack", reason="schnetpack is not installed")
model = pytest.importorskip("mlpot.neural.model")
potential = pytest.importorskip("mlpot.neural.potential")

if TYPE_CHECKING:
    from mlpot.neural.potential import Description, Potential

BUTADIENE, START = read_structure(Path(__file__).parents[2] / "examples" / "butadiene.xyz")


def geometries(count: int, seed: int = 0, width: float = 0.08) -> Positions:
    """Displaced geometries (count, 10, 3)."""
    rng = np.random.default_rng(seed)
    return START + width * rng.normal(size=(count, *START.shape))


def description(representation: str, **changes: Any) -> Description:
    architecture = Architecture(representation, features=16, interactions=2)
    return potential.Description(architecture, {1: -10.0, 6: -50.0, 7: -70.0}, **changes)


def random_potential(
    representation: str, networks: int, *, dtype: str = "float64", **changes: Any
) -> Potential:
    about = description(representation, **changes)
    states = []
    for seed in range(networks):
        torch.manual_seed(seed)
        states.append(model.Network(about.architecture).state_dict())
    return potential.Potential(about, states, dtype=dtype)


def labelled(surface: str, count: int, width: float = 0.08, seed: int = 0) -> Dataset:
    """Butadiene displaced at random, ten frames a trial."""
    x = geometries(count, seed, width)
    said = load_surface(surface, BUTADIENE).evaluate(x)
    return Dataset(
        BUTADIENE,
        x,
        said.energies,
        said.gradients,
        tuple(f"t{index // 10}" for index in range(count)),
        tuple("push" if index % 2 else "path" for index in range(count)),
        surface,
    )


def write_data(path: Path, data: Dataset, options: dict[str, Any] | None = None) -> None:
    from networks.execution.tasks import Labelled
    from networks.learning.sampling import Pool, write_frames

    labels = {k: Labelled(float(data.energies[k]), data.gradients[k]) for k in range(len(data))}
    held = Pool(data.molecule, data.positions, data.energies, data.groups, data.stages)
    write_frames(path, held, labels, data.surface, options)
