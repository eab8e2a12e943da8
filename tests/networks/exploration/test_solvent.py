"""Exploring in a solvent, whose surface notices when the molecule is turned."""

import numpy as np
import pytest
from runs import HCN, HCN_START
from scipy.optimize import minimize

from afir.geometry.bonds import bonds
from afir.geometry.superposition import internal_part
from afir.pes.loading import load_surface
from afir.units import KJ_PER_MOL
from networks import Settings, explore
from networks.storage.run_file import RunFile


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The map of HCN in water."""
    path = tmp_path_factory.mktemp("solvent") / "run"
    settings = Settings(surface="gfn2", surface_options={"solvent": "water"}, seed=1)
    for _ in explore(HCN, HCN_START, settings, path):
        pass
    with RunFile.open(path) as store:
        return store.load_network()


def isomerisation(**options):
    """How far HNC lies above HCN in kJ/mol: both bond lengths varied, nothing searched for."""
    surface = load_surface("gfn2", HCN, **options)

    def lowest(order):
        def energy(lengths):
            x = np.zeros((3, 3))
            x[order, 2] = 0.0, lengths[0], lengths.sum()
            return float(surface.evaluate(x[None]).energies[0])

        tight = {"xatol": 1e-4, "fatol": 1e-6}
        return minimize(energy, [1.0, 1.16], method="Nelder-Mead", options=tight).fun

    return (lowest([0, 2, 1]) - lowest([0, 1, 2])) / KJ_PER_MOL


@pytest.mark.slow
def test_each_isomer_is_found_once_and_as_far_from_the_other_as_water_makes_it(network):
    # Atoms H, C, N: which heavy atom hydrogen sits on, for each structure.
    found = {tuple(bonds(HCN, eq.positions)[0, 1:]): eq.energy for eq in network.eqs.values()}
    assert len(network.eqs) == 2
    assert set(found) == {(True, False), (False, True)}
    apart = (found[False, True] - found[True, False]) / KJ_PER_MOL
    assert apart == pytest.approx(isomerisation(solvent="water"), abs=0.3)
    # Water holds on to HNC more than to HCN, by more than the noise of its grid.
    assert apart < isomerisation() - 0.8


def test_one_way_leads_from_one_isomer_to_the_other(network):
    assert [set(ts.ends) for ts in network.tss.values()].count({"EQ0", "EQ1"}) == 1
    assert all(ts.proof["negative_eigenvalues"] == 1 for ts in network.tss.values())


def test_reported_points_are_stationary_in_any_orientation(network):
    surface = load_surface("gfn2", HCN, solvent="water")
    rng = np.random.default_rng(3)
    for point in (*network.eqs.values(), *network.tss.values()):
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        x = point.positions @ turn
        gradient = internal_part(x, surface.evaluate(x[None]).gradients[0])
        # What is left is the grid's: its gradient changes by some 5e-3 eV/Å from view to view.
        assert np.abs(gradient).max() < 1e-2, point.id
