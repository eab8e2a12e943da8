"""A whole run on formaldehyde, looked at afresh: its structures and what is said about it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from ase.formula import Formula

from afir.geometry.bonds import distances
from afir.geometry.superposition import internal_part
from afir.io.structures import read_structure
from afir.molecule import Molecule
from afir.pes.loading import load_surface
from afir.pes.surface import Surface
from afir.searches.settings import StepSettings
from networks import ReactionNetwork, Settings, explore, open_run
from networks.records.structures import DC

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
LIMITS = StepSettings()
OPEN = ("C", "O", "CH2")  # fragments of an even number of electrons that are triplets


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("formaldehyde") / "run"
    molecule, start = read_structure(ROOT / "examples" / "h2co.xyz")
    for _ in explore(molecule, start, Settings(seed=0), path):
        pass
    return path


@pytest.fixture(scope="module")
def network(path: Path) -> ReactionNetwork:
    with open_run(path) as store:
        return store.load_network()


@pytest.fixture(scope="module")
def surface(network: ReactionNetwork) -> Surface:
    return load_surface("gfn2", network.molecule)


def fragments_of(molecule: Molecule, channel: DC) -> list[tuple[int, ...]]:
    """Atoms that hang together at 1.3 times the sum of their radii."""
    radii = molecule.radii
    near = distances(channel.positions) < 1.3 * (radii[:, None] + radii[None])
    reach = np.linalg.matrix_power(near.astype(int), molecule.n_atoms) > 0
    return sorted({tuple(np.flatnonzero(row).tolist()) for row in reach})


def test_stationary_points_are_stationary(network: ReactionNetwork, surface: Surface) -> None:
    for limit, nodes in (
        (LIMITS.minimum_gradient, network.eqs),
        (LIMITS.saddle_gradient, network.tss),
    ):
        for point in nodes.values():
            answer = surface.evaluate(point.positions[None])
            assert answer.energies[0] == pytest.approx(point.energy, abs=1e-6)
            assert np.abs(internal_part(point.positions, answer.gradients[0])).max() < limit


def test_fragments_of_channels_are_apart_and_relaxed(
    network: ReactionNetwork, surface: Surface
) -> None:
    molecule = network.molecule
    computed = []
    for channel in network.dcs.values():
        parts = fragments_of(molecule, channel)
        formulas = [Formula.from_list([molecule.symbols[i] for i in part]) for part in parts]
        assert sorted(f.format("hill") for f in formulas) == list(channel.fragments)
        r = distances(channel.positions)
        gaps = [r[np.ix_(a, b)].min() for a, b in combinations(parts, 2)]
        assert min(gaps) > 3.0
        assert max(gaps) > LIMITS.dissociation
        electrons = [sum(molecule.numbers[i] for i in part) for part in parts]
        if any(count % 2 for count in electrons) or any(part in OPEN for part in channel.fragments):
            # Open shells in a closed one: whether the SCF converges without a density to start
            # from, and to which of its solutions, is a matter of chance.
            continue
        answer = surface.evaluate(channel.positions[None])
        assert not answer.failures
        computed.append(channel.fragments)
        assert answer.energies[0] == pytest.approx(channel.energy, abs=1e-6)
        for part in parts:
            inside = internal_part(channel.positions[list(part)], answer.gradients[0][list(part)])
            assert np.abs(inside).max() < LIMITS.push_gradient
    assert ("CO", "H2") in computed
