"""Exploring in a solvent, whose surface notices when the molecule is turned."""

import numpy as np
import pytest
from runs import HCN, HCN_START

from afir.geometry import internal_part
from afir.surface import load_surface
from afir.units import KJ_PER_MOL
from networks import Settings, explore
from networks.store import Store


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The map of HCN in water."""
    path = tmp_path_factory.mktemp("solvent") / "run"
    settings = Settings(surface="gfn2", surface_options={"solvent": "water"}, seed=1)
    for _ in explore(HCN, HCN_START, settings, path):
        pass
    with Store.open(path) as store:
        return store.load_network()


def test_both_isomers_and_the_way_between_them(network):
    # In the gas phase HNC lies 60.5 kJ/mol higher; water, as ever, prefers the larger dipole.
    energies = sorted(eq.energy for eq in network.eqs.values())
    assert len(energies) >= 2
    ways = [ts for ts in network.tss.values() if len(set(ts.ends)) == 2]
    assert ways
    for ts in network.tss.values():
        assert ts.proof["negative_eigenvalues"] == 1
        assert ts.energy > min(energies) + 100 * KJ_PER_MOL


def test_reported_points_are_stationary_in_any_orientation(network):
    surface = load_surface("gfn2", HCN, solvent="water")
    rng = np.random.default_rng(3)
    for point in (*network.eqs.values(), *network.tss.values()):
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        x = point.positions @ turn
        gradient = internal_part(x, surface.evaluate(x[None]).gradients[0])
        # What is left is the grid's: its gradient changes by some 5e-3 eV/Å from view to view.
        assert np.abs(gradient).max() < 1e-2, point.id
