"""One trial: known transition states, pushes that bring nothing, surfaces that fail."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase.build import molecule as build
from ase.io import read
from known import DATA, WATER, Unreliable, gfn2, mapped

from afir.errors import SurfaceError
from afir.geometry.bonds import bonds, gap
from afir.geometry.superposition import rmsd
from afir.methods.artificial_force import ForceTerm
from afir.methods.sc_afir import try_push
from afir.molecule import Molecule
from afir.pes.driver import drive, solve
from afir.searches.known import KnownStructures
from afir.searches.path import Peak
from afir.searches.settings import StepSettings
from afir.stationary import Outcome, TrialResult
from afir.units import HARTREE, KJ_PER_MOL
from afir.verification.minima import characterise

HCN_PUSH = (ForceTerm((0,), (2,), 1),)
QUIET = tuple(outcome for outcome in Outcome if outcome is not Outcome.FOUND)


def start_of(formula, relative=0.0):
    molecule, x, _ = mapped(formula, "EQ", relative)
    return molecule, solve(characterise(molecule, x), gfn2(molecule))


@pytest.fixture(scope="module")
def hcn():
    return start_of("HCN")


@pytest.fixture(scope="module")
def h2co():
    return start_of("H2CO")


def tried(
    molecule, start, terms, *, surface=None, seed=0, ceiling=None, spent=None, known=None, **limits
):
    search = try_push(
        molecule,
        start,
        terms,
        StepSettings(**limits),
        ceiling=ceiling,
        rng=np.random.default_rng(seed),
        known=known,
    )
    return solve(search, surface or gfn2(molecule), gradients=spent)


@pytest.mark.parametrize("seed", range(3))
def test_hcn_to_hnc(hcn, seed):
    molecule, start = hcn
    _, saddle, energy = mapped("HCN", "TS", 306.38)
    spent: Counter[str] = Counter()
    result = tried(molecule, start, HCN_PUSH, seed=seed, spent=spent)
    assert result.outcome is Outcome.FOUND
    assert result.crossed
    (candidate,) = result.candidates
    assert candidate.energy == pytest.approx(energy, abs=1e-6 * HARTREE)
    assert rmsd(saddle, candidate.positions) < 0.01
    (minimum,) = result.minima
    assert minimum.energy == pytest.approx(mapped("HCN", "EQ", 83.77)[2], abs=1e-6 * HARTREE)
    assert {"push", "path", "saddle"} <= set(spent)
    # Plain prototypes of the same method needed some 4000 gradients for the whole map.
    assert spent.total() < 400


@pytest.mark.parametrize(
    ("term", "relative"),
    [
        # The hydrogen migrates to the oxygen; formula order of the map is H H C O.
        (ForceTerm((0,), (3,), 1), 384.81),
        # Both hydrogens are pushed together.
        (ForceTerm((0,), (1,), 1), 305.56),
    ],
)
def test_formaldehyde(h2co, term, relative):
    molecule, start = h2co
    energy = mapped("H2CO", "TS", relative)[2]
    found = []
    for seed in range(3):
        result = tried(molecule, start, (term,), seed=seed)
        assert np.isfinite([item.energy for item in result.candidates]).all()
        found += [item.energy for item in result.candidates]
    assert min(abs(item - energy) for item in found) < 1e-6 * HARTREE


def test_carbon_monoxide_and_hydrogen_come_together_again():
    molecule, start = start_of("H2CO", 179.65)
    both = (ForceTerm((0,), (2,), 1), ForceTerm((1,), (2,), 1))
    result = tried(molecule, start, both)
    assert result.outcome is Outcome.FOUND
    energy = mapped("H2CO", "TS", 305.56)[2]
    assert min(abs(item.energy - energy) for item in result.candidates) < 1e-6 * HARTREE
    assert result.minima[0].energy == pytest.approx(mapped("H2CO", "EQ", 0.0)[2], abs=1e-4)


def test_pulling_a_hydrogen_off_reports_fragments_and_no_equilibrium(h2co):
    molecule, start = h2co
    result = tried(molecule, start, (ForceTerm((0,), (2,), -1),), gamma=1500.0)
    assert result.outcome in Outcome
    for minimum in result.minima:
        if minimum.dissociated:
            assert minimum.outcome is Outcome.DISSOCIATED
            assert not bonds(molecule, minimum.positions)[0].any()


def test_peaks_between_parted_molecules_are_climbed_when_there_is_no_other(h2co, monkeypatch):
    molecule, start = h2co
    _, saddle, energy = mapped("H2CO", "TS", 384.81)
    apart = start.positions.copy()
    apart[molecule.symbols.index("O")] += 3.0 * (start.positions[3] - start.positions[2])
    assert gap(molecule, apart) > 3.0
    direction = np.zeros_like(saddle)
    direction[0, 0] = 1.0
    near = Peak(saddle, direction, energy, np.eye(12))
    far = Peak(apart, direction, energy + 1.0, np.eye(12))

    def tops(*peaks):
        def relaxed(molecule, points, hessian, settings, trace):
            return peaks
            yield  # a search that asks for nothing

        return relaxed

    class Watched:
        """Says whether anything was asked about molecules that far apart in a climb."""

        def __init__(self):
            self.inner, self.molecule, self.far = gfn2(molecule), molecule, 0

        def evaluate(self, positions, owners=None):
            self.far += sum(np.allclose(x, apart) for x in positions)
            return self.inner.evaluate(positions, owners)

        def for_paths(self):
            return self

    push = (ForceTerm((0,), (3,), 1),)
    for peaks, climbs in (((far, near), 0), ((far,), 1)):
        monkeypatch.setattr("afir.methods.sc_afir.relax_path", tops(*peaks))
        monkeypatch.setattr("afir.methods.sc_afir._fallback", lambda *args: ())
        surface = Watched()
        result = tried(molecule, start, push, surface=surface)
        assert surface.far == climbs
        assert (result.outcome is Outcome.FOUND) == (len(peaks) == 2)


def test_a_push_that_changes_nothing(h2co):
    molecule, start = h2co
    result = tried(molecule, start, (ForceTerm((0,), (1,), 1),), gamma=0.5)
    assert not result.crossed
    assert result.minima == ()
    for item in result.candidates:
        assert item.energy > start.energy


def test_a_push_that_cannot_change_anything():
    pair = Molecule((1, 1))
    start = solve(characterise(pair, build("H2").positions), gfn2(pair))
    result = tried(pair, start, (ForceTerm((0,), (1,), 1),), gamma=50.0)
    assert result.outcome in QUIET
    assert result.candidates == ()
    assert result.minima == ()


def test_nothing_above_the_ceiling_is_reported(h2co):
    molecule, start = h2co
    term = (ForceTerm((0,), (3,), 1),)
    for window in (50.0, 200.0, 350.0):
        ceiling = start.energy + window * KJ_PER_MOL
        result = tried(molecule, start, term, ceiling=ceiling)
        assert all(item.energy <= ceiling for item in result.candidates)
        if not result.candidates:
            assert result.outcome in QUIET
    assert tried(molecule, start, term, ceiling=ceiling + 10.0).outcome is Outcome.FOUND


def test_peaks_far_above_the_ceiling_cost_no_saddle_search(h2co):
    molecule, start = h2co
    spent: Counter[str] = Counter()
    term = (ForceTerm((0,), (3,), 1),)
    result = tried(molecule, start, term, ceiling=start.energy + 0.1, spent=spent)
    assert result.outcome is Outcome.OUTSIDE_WINDOW
    assert spent["saddle"] == 0


def test_the_same_trial_gives_the_same_result_wherever_it_runs(hcn):
    molecule, start = hcn
    kept = start.positions.copy(), start.hessian.copy()
    alone = tried(molecule, start, HCN_PUSH, seed=5)

    def search(seed):
        return try_push(molecule, start, HCN_PUSH, rng=np.random.default_rng(seed))

    together = {
        item.key: item.value for item in drive([(s, search(s)) for s in (4, 5)], gfn2(molecule))
    }
    assert len(together[5].candidates) == len(alone.candidates)
    for one, other in zip(together[5].candidates, alone.candidates, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
    np.testing.assert_array_equal(start.positions, kept[0])
    np.testing.assert_array_equal(start.hessian, kept[1])


def test_a_known_minimum_behind_a_push_ends_its_relaxation(hcn):
    molecule, start = hcn
    hnc = tried(molecule, start, HCN_PUSH).minima[0]
    known = KnownStructures(
        molecule, [solve(characterise(molecule, hnc.positions), gfn2(molecule))]
    )
    results, costs = [], []
    for behind in (True, False):
        spent: Counter[str] = Counter()
        results.append(
            tried(molecule, start, HCN_PUSH, spent=spent, known=known, recognise_behind=behind)
        )
        costs.append(spent["minimum"])
    told, plain = results
    assert costs[0] < costs[1]
    assert told.minima[0].energy == pytest.approx(plain.minima[0].energy, abs=1e-5)
    assert rmsd(told.minima[0].positions, plain.minima[0].positions) < 0.02
    assert told.crossed
    (one,), (two,) = told.candidates, plain.candidates
    assert one.energy == pytest.approx(two.energy, abs=1e-5)


# Surfaces that fail


def test_a_surface_that_fails_for_good_gives_an_outcome_whenever_it_does(hcn):
    molecule, start = hcn
    total: Counter[str] = Counter()
    tried(molecule, start, HCN_PUSH, spent=total)
    for first in [1, 2, 3, *range(5, total.total(), 6)]:
        surface = Unreliable(gfn2(molecule), range(first, 10**6))
        result = tried(molecule, start, HCN_PUSH, surface=surface)
        assert isinstance(result, TrialResult)
        assert result.outcome in Outcome
        for item in (*result.candidates, *result.minima):
            assert np.isfinite(item.energy)
            assert np.isfinite(item.positions).all()


def test_a_surface_that_fails_now_and_then_gives_an_outcome(hcn):
    molecule, start = hcn
    found = 0
    for seed in range(8):
        failing = np.flatnonzero(np.random.default_rng(seed).random(1000) < 0.02) + 1
        surface = Unreliable(gfn2(molecule), frozenset(failing.tolist()))
        result = tried(molecule, start, HCN_PUSH, surface=surface, seed=seed)
        found += result.outcome is Outcome.FOUND
    assert found >= 2


def test_without_an_energy_at_the_start_there_is_no_trial(hcn):
    molecule, start = hcn
    with pytest.raises(SurfaceError):
        tried(molecule, start, HCN_PUSH, surface=Unreliable(gfn2(molecule), range(1)))


def test_a_trial_of_water_stays_finite():
    start = solve(characterise(WATER, build("H2O").positions), gfn2(WATER))
    for term in (ForceTerm((1,), (2,), 1), ForceTerm((0,), (1,), -1), ForceTerm((0,), (1, 2), 1)):
        result = tried(WATER, start, (term,), gamma=800.0)
        assert isinstance(result, TrialResult)
        for item in (*result.candidates, *result.minima):
            assert np.isfinite(item.energy)


@pytest.mark.slow
def test_a_push_of_twenty_atoms_leads_to_the_claisen_transition_state():
    """Of allyl phenyl ether, from two of three displacements at least.

    None did when all but the peaks of a path stayed where one round had left them.
    """
    atoms = read(DATA / "allyl_phenyl_ether.xyz")
    molecule = Molecule(tuple(atoms.numbers))
    start = solve(characterise(molecule, atoms.positions), gfn2(molecule))
    reached = 0
    for seed in (1, 2, 3):
        push = (ForceTerm((0,), (9,), 1),)
        result = tried(molecule, start, push, seed=seed, gamma=750.0)
        for candidate in result.candidates:
            x = candidate.positions
            made, broken = np.linalg.norm(x[0] - x[9]), np.linalg.norm(x[2] - x[3])
            if 1.6 < made < 2.3 and 1.6 < broken < 2.3:
                barrier = (candidate.energy - start.energy) / KJ_PER_MOL
                assert barrier == pytest.approx(116.6, abs=1.0)
                reached += 1
                break
    assert reached >= 2
