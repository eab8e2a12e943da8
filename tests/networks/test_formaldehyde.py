"""The run that the README shows, looked at afresh: its structures and what is said about it."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from ase.formula import Formula

from afir.bonds import distances
from afir.geometry import internal_part
from afir.molecule import Molecule
from afir.searches.settings import StepSettings
from afir.structures import read_structure
from afir.surface import Surface, load_surface
from afir.units import KJ_PER_MOL
from networks import ReactionNetwork, Settings, explore, open_run
from networks.records import DC

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
LIMITS = StepSettings()
# kJ/mol, from a random search of the same surface: what lies below 500 and is met by any seed.
ALWAYS = {"EQ": (0.0, 179.6, 208.6, 216.5), "TS": (305.6, 324.5, 384.8, 492.1)}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("formaldehyde") / "run"
    molecule, start = read_structure(ROOT / "examples" / "h2co.xyz")
    for _ in explore(molecule, start, Settings(seed=7), path):
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
    computed = 0
    for channel in network.dcs.values():
        parts = fragments_of(molecule, channel)
        formulas = [Formula.from_list([molecule.symbols[i] for i in part]) for part in parts]
        assert sorted(f.format("hill") for f in formulas) == list(channel.fragments)
        r = distances(channel.positions)
        gaps = [r[np.ix_(a, b)].min() for a, b in combinations(parts, 2)]
        assert min(gaps) > 3.0
        assert max(gaps) > LIMITS.dissociation
        electrons = [sum(molecule.numbers[i] for i in part) for part in parts]
        if any(count % 2 for count in electrons):
            # Two radicals in a closed shell: whether the SCF converges without a density to start
            # from, and to which of its solutions, is a matter of chance.
            continue
        answer = surface.evaluate(channel.positions[None])
        assert not answer.failures
        computed += 1
        assert answer.energies[0] == pytest.approx(channel.energy, abs=1e-6)
        for part in parts:
            inside = internal_part(channel.positions[list(part)], answer.gradients[0][list(part)])
            assert np.abs(inside).max() < LIMITS.push_gradient
    assert computed >= 2


def test_the_readme_shows_what_is_found(network: ReactionNetwork) -> None:
    """What every processor finds; the rest (soft complexes, high saddles) turns on rounding."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = text.split("## What you see")[1].split("```")[1]
    zero = network.lowest.energy

    def rows(kind: str) -> list[float]:
        return [float(row) for row in re.findall(rf"^ {kind}\d+ [^.]* (\d+\.\d) ", shown, re.M)]

    def relative(energies: list[float]) -> list[float]:
        return [(energy - zero) / KJ_PER_MOL for energy in energies]

    found = {
        "EQ": relative([eq.energy for eq in network.eqs.values()]),
        "TS": relative([ts.energy for ts in network.tss.values()]),
    }
    for kind, known in ALWAYS.items():
        for energy in known:
            for energies in (rows(kind), found[kind]):
                assert any(abs(each - energy) < 0.2 for each in energies), (kind, energy)
    for kind, what in (("EQ", "Equilibrium structures"), ("DC", "Dissociation channels")):
        assert f"{what}: {len(rows(kind))}\n" in shown
    # Relative to the lowest and in order, as `afir show` prints them.
    for kind in ("EQ", "TS", "DC"):
        assert rows(kind) == sorted(rows(kind))
    waves = dict(re.findall(r" (\d+\.\d)  +[\d.]+ +[\d.]+ +(\d+) +monotone$", shown, re.M))
    for ts in network.tss.values():
        energy = (ts.energy - zero) / KJ_PER_MOL
        if any(abs(energy - known) < 0.2 for known in ALWAYS["TS"]):
            assert float(waves[f"{energy:.1f}"]) == pytest.approx(ts.imaginary_cm1, abs=1.0)
