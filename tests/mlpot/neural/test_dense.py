"""Networks in arrays say what schnetpack's own passes say, whatever the batch."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from learned import BUTADIENE, START, description, geometries, random_potential

from afir.molecule import Molecule, Positions
from mlpot.neural.architecture import CORRECTION, REPRESENTATIONS, WHOLE, Architecture

torch = pytest.importorskip("torch")
keys = pytest.importorskip("schnetpack.properties")
model = pytest.importorskip("mlpot.neural.model")

from mlpot.neural.dense import _HeardVectors, _Told  # noqa: E402 - they need torch
from mlpot.neural.potential import Potential  # noqa: E402


def by_schnetpack(network: Any, numbers: tuple[int, ...], x: Positions) -> tuple[Any, Any]:
    """Energy and gradient of one geometry by the passes that schnetpack has itself."""
    positions = torch.tensor(x, requires_grad=True)
    i, j = torch.nonzero(~torch.eye(len(x), dtype=torch.bool), as_tuple=True)
    inputs = {
        keys.Z: torch.tensor(numbers),
        keys.Rij: positions[j] - positions[i],
        keys.idx_i: i,
        keys.idx_j: j,
    }
    features = network.representation(inputs)["scalar_representation"]
    energy = network.readout(features).sum()
    return energy, torch.autograd.grad(energy, positions, create_graph=True)[0]


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("n", [2, 3, 7, 10])
def test_they_are_the_networks_of_schnetpack(representation: str, n: int) -> None:
    # An even number of radial functions, one that fills a register, one that is odd.
    for radial in (20, 16, 9):
        architecture = Architecture(representation, features=16, interactions=3, radial=radial)
        torch.manual_seed(n)
        network = model.Network(architecture).double()
        rng = np.random.default_rng(n)
        numbers = tuple(int(z) for z in rng.integers(1, 9, size=n))
        # Some atoms are beyond the cutoff of 5 Å.
        x = rng.uniform(-4.0, 4.0, size=(3, n, 3))
        energies, gradients = model.energies_and_gradients(
            [network], torch.tensor(numbers), torch.tensor(x)[None]
        )
        for index in range(3):
            energy, gradient = by_schnetpack(network, numbers, x[index])
            assert energies[0, index].item() == pytest.approx(energy.item(), abs=1e-11)
            assert torch.allclose(gradients[0, index], gradient, atol=1e-11)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_weights_learn_as_those_of_schnetpack_do(representation: str) -> None:
    """A loss of energies and gradients has the same derivative by every weight."""
    torch.manual_seed(0)
    network = model.Network(Architecture(representation, features=8, interactions=2)).double()
    numbers, x = BUTADIENE.numbers, geometries(2)
    energies, gradients = model.energies_and_gradients(
        [network], torch.tensor(numbers), torch.tensor(x)[None], train=True
    )
    (energies.sum() + (gradients**2).sum()).backward()
    seen = {name: value.grad.clone() for name, value in network.named_parameters()}
    network.zero_grad()
    for geometry in x:
        energy, gradient = by_schnetpack(network, numbers, geometry)
        (energy + (gradient**2).sum()).backward()
    for name, value in network.named_parameters():
        assert torch.allclose(seen[name], value.grad, rtol=1e-8, atol=1e-10), name


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_a_batch_says_what_each_of_its_geometries_says(
    monkeypatch: pytest.MonkeyPatch, representation: str, dtype: str, tolerance: float
) -> None:
    potential = random_potential(representation, 2, dtype=dtype)
    x = geometries(23)
    alone = [potential.predict(BUTADIENE, x[k : k + 1]) for k in range(len(x))]
    for pairs in (1, 1000, 6400):  # one geometry, five or all of them in a pass
        monkeypatch.setattr(model, "_PASS", {"cpu": pairs})
        together = potential.predict(BUTADIENE, x)
        for name in ("energies", "gradients", "energy_spread", "gradient_spread"):
            said = getattr(together, name)
            expected = np.concatenate([getattr(one, name) for one in alone])
            assert np.allclose(said, expected, atol=tolerance), name
    assert potential.predict(BUTADIENE, x[:0]).gradients.shape == (0, 10, 3)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7, 8, 10])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_geometry_alone_has_the_same_bits(representation: str, n: int, dtype: str) -> None:
    """So that a network does not depend on how many searches are in flight."""
    for architecture in (WHOLE, CORRECTION):
        shape = replace(architecture, representation=representation)
        for count in (1, 4):
            states = []
            for seed in range(count):
                torch.manual_seed(seed)
                states.append(model.Network(shape).state_dict())
            about = replace(description(representation), architecture=shape)
            potential = Potential(about, states, dtype=dtype)
            molecule = Molecule((6,) * n)
            x = np.random.default_rng(n).uniform(-2.0, 2.0, size=(13, n, 3))
            together = potential.predict(molecule, x)
            for k in (1, 2, 3):
                few = potential.predict(molecule, x[:k])
                assert np.array_equal(few.energies, together.energies[:k])
                assert np.array_equal(few.gradients, together.gradients[:k])


def test_sums_over_neighbours_have_the_derivatives_they_say() -> None:
    """Also where the filter of a pair depends on which of the two hears."""
    torch.manual_seed(0)
    filters = torch.randn(2, 2, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    vectors, others = (
        torch.randn(2, 2, 3, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)
    )
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(_HeardVectors.apply, (filters, vectors))
        assert check(_Told.apply, (vectors, others))


def test_where_a_molecule_lies_costs_no_digits() -> None:
    potential = random_potential("painn", 1, dtype="float32")
    here, far = (potential.predict(BUTADIENE, (START + shift)[None]) for shift in (0.0, 3000.0))
    assert np.allclose(here.energies, far.energies, atol=1e-6)
    assert np.allclose(here.gradients, far.gradients, atol=1e-6)


def test_single_precision_is_good_enough_for_searches() -> None:
    """Its noise is far below the tightest threshold of a search, 5e-4 eV/Å."""
    exact, single = (random_potential("painn", 1, dtype=d) for d in ("float64", "float32"))
    x = geometries(50)
    first, second = (potential.predict(BUTADIENE, x) for potential in (exact, single))
    assert np.abs(first.gradients - second.gradients).max() < 1e-5


def test_molecules_take_turns() -> None:
    """What is kept for one number of atoms does not get in the way of another."""
    potential = random_potential("schnet", 1)
    molecules = [Molecule((6,) * n) for n in (2, 5, 3)]
    rng = np.random.default_rng(0)
    x = [rng.uniform(-2.0, 2.0, size=(2, m.n_atoms, 3)) for m in molecules]
    first = [potential.predict(m, y).energies for m, y in zip(molecules, x, strict=True)]
    again = [potential.predict(m, y).energies for m, y in zip(molecules, x, strict=True)]
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert all(not np.allclose(one[0], other[0]) for one, other in pairwise(first))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_a_gpu_says_the_same(representation: str) -> None:
    here = random_potential(representation, 2)
    for dtype, tolerance in (("float64", 1e-9), ("float32", 1e-3)):
        there = type(here)(here.description, here.states, device="cuda", dtype=dtype)
        x = geometries(70)
        first, second = (potential.predict(BUTADIENE, x) for potential in (here, there))
        assert np.allclose(first.energies, second.energies, atol=tolerance)
        assert np.allclose(first.gradients, second.gradients, atol=tolerance)
        assert np.allclose(first.gradient_spread, second.gradient_spread, atol=tolerance)
        curved = [potential.hessians(BUTADIENE, x[:2]) for potential in (here, there)]
        assert np.allclose(*curved, atol=10 * tolerance)
