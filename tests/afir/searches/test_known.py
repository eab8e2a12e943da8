"""Known structures: recognised near them, carried into place, and not taken for others."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from known import PAIR, gfn2, mapped, noise
from scipy.spatial.transform import Rotation

from afir.errors import InputError
from afir.geometry.superposition import internal_part, rmsd
from afir.molecule import Molecule
from afir.pes.driver import solve
from afir.searches.hessian import hessian as exact_hessian
from afir.searches.irc import irc
from afir.searches.known import KnownStructures
from afir.searches.minimum import PathPoint, minimise
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, Outcome, StationaryPoint
from afir.surfaces.analytic import AnalyticSurface
from afir.verification.transition_states import confirm

LIMITS = StepSettings()
PLAIN = StepSettings(recognise=False)
H2CO, MINIMUM, _ = mapped("H2CO", "EQ", 0.0)
_, SADDLE, _ = mapped("H2CO", "TS", 384.8)  # between formaldehyde and hydroxymethylene
_, OTHER, _ = mapped("H2CO", "TS", 324.5)


def exact(positions) -> StationaryPoint:
    return solve(exact_hessian(H2CO, np.array(positions)), gfn2(H2CO))


def elsewhere(x, seed=0):
    """The mirror image of a structure, turned, its hydrogens exchanged."""
    order = np.arange(len(x))
    first, second = np.flatnonzero(np.asarray(H2CO.numbers) == 1)
    order[[first, second]] = second, first
    return -Rotation.random(rng=np.random.default_rng(seed)).apply(np.array(x))[order] + 1.5


@pytest.fixture(scope="module")
def top() -> StationaryPoint:
    return exact(SADDLE)


@pytest.fixture(scope="module")
def bottom() -> StationaryPoint:
    return exact(MINIMUM)


@pytest.fixture(scope="module")
def ends(top) -> tuple[StationaryPoint, StationaryPoint]:
    first, second = (side.end.positions for side in solve(irc(H2CO, top), gfn2(H2CO)))
    return exact(first), exact(second)


@pytest.fixture(scope="module")
def known(top, ends) -> KnownStructures:
    """The saddle point and its ends as they lie elsewhere."""
    minima = [exact(elsewhere(end.positions)) for end in ends]
    return KnownStructures(H2CO, minima, [exact(elsewhere(top.positions))])


def gradients(search) -> tuple[object, int]:
    """The result of a search and the number of gradients it took."""
    counts: Counter[str] = Counter()
    found = solve(search, gfn2(H2CO), gradients=counts)
    return found, sum(counts.values())


def slope(positions) -> float:
    """The largest component of the gradient, in eV/Å."""
    answer = gfn2(H2CO).evaluate(positions[None])
    return float(np.abs(internal_part(positions, answer.gradients[0])).max())


# Searches


def test_a_minimisation_ends_at_a_known_minimum_in_its_own_frame(known, ends):
    for seed, end in enumerate(ends):
        start = end.positions + noise((4, 3), seed, 0.25)
        plain, many = gradients(minimise(H2CO, start))
        trace: list[PathPoint] = []
        told, few = gradients(minimise(H2CO, start, known=known, trace=trace))
        assert few < many
        assert told.outcome is Outcome.CONVERGED
        assert told.energy == pytest.approx(plain.energy, abs=1e-4)
        assert rmsd(told.positions, plain.positions) < 0.02
        assert slope(told.positions) < 2.0 * LIMITS.minimum_gradient
        assert trace[-1].positions is told.positions
        # Its Hessian is that of the place where it lies now.
        assert told.hessian == pytest.approx(exact(told.positions).hessian, abs=2e-2)


def test_a_climb_ends_at_a_known_saddle_point_in_its_own_frame(known, top):
    guess = top.positions + noise((4, 3), 3, 0.15)
    search = {"direction": top.mode, "hessian": top.hessian}
    plain, many = gradients(saddle(H2CO, guess, **search))
    told, few = gradients(saddle(H2CO, guess, **search, known=known))
    assert plain.outcome is told.outcome is Outcome.CONVERGED
    assert few < many
    assert rmsd(told.positions, plain.positions) < 0.02
    assert slope(told.positions) < 2.0 * LIMITS.saddle_gradient
    assert told.hessian == pytest.approx(exact(told.positions).hessian, abs=2e-2)


def test_a_reaction_path_ends_at_known_minima(known, top):
    plain, many = gradients(irc(H2CO, top))
    told, few = gradients(irc(H2CO, top, known=known))
    assert few < many
    for before, after in zip(plain, told, strict=True):
        assert after.monotone
        assert after.end.outcome is before.end.outcome
        assert rmsd(after.end.positions, before.end.positions) < 0.05
        assert after.end.energy == pytest.approx(before.end.energy, abs=1e-3)
        assert after.points[-1].energy == pytest.approx(after.end.energy, abs=1e-9)


def test_a_proof_with_known_ends_is_the_same_proof(known, top):
    candidate = Candidate(top.positions, top.energy, top.hessian, "path")
    plain, many = gradients(confirm(H2CO, candidate))
    told, few = gradients(confirm(H2CO, candidate, known=known))
    assert plain.outcome is told.outcome is Outcome.CONFIRMED
    assert few < many
    for before, after in zip(plain.ends, told.ends, strict=True):
        assert after.energy == pytest.approx(before.energy, abs=1e-3)
    assert told.irc_energies[[0, -1]] == pytest.approx([end.energy for end in told.ends])


def test_nothing_is_recognised_where_that_is_not_wanted(known, top, ends):
    start = ends[0].positions + noise((4, 3), 1, 0.25)
    plain, many = gradients(minimise(H2CO, start, PLAIN))
    told, as_many = gradients(minimise(H2CO, start, PLAIN, known=known))
    assert (many, plain.positions.tobytes()) == (as_many, told.positions.tobytes())
    search = {"direction": top.mode, "hessian": top.hessian}
    guess = top.positions + noise((4, 3), 3, 0.15)
    plain, many = gradients(saddle(H2CO, guess, PLAIN, **search))
    told, as_many = gradients(saddle(H2CO, guess, PLAIN, **search, known=known))
    assert (many, plain.positions.tobytes()) == (as_many, told.positions.tobytes())


def test_a_search_that_heads_elsewhere_is_not_changed(known):
    other = exact(OTHER)
    guess = other.positions + noise((4, 3), 2, 0.15)
    search = {"direction": other.mode, "hessian": other.hessian}
    plain, many = gradients(saddle(H2CO, guess, **search))
    told, as_many = gradients(saddle(H2CO, guess, **search, known=known))
    assert (many, plain.positions.tobytes()) == (as_many, told.positions.tobytes())


# What is compared


def beside(point: StationaryPoint, along, size: float):
    """A place beside a stationary point, and what its Hessian foretells there."""
    away = size * np.sqrt(len(point.positions)) * along.ravel() / np.linalg.norm(along)
    energy = point.energy + 0.5 * away @ point.hessian @ away
    return point.positions + away.reshape(-1, 3), float(energy), point.hessian @ away


def stretch(point: StationaryPoint, number: int):
    """A displacement that changes distances, by the number of its curvature."""
    internal = np.linalg.eigh(point.hessian)[1]
    return internal[:, number]


def test_a_minimum_is_told_by_distance_and_energy(bottom):
    known = KnownStructures(H2CO, [bottom])
    soft = stretch(bottom, 6)  # after the six rigid motions
    x, energy, _ = beside(bottom, soft, 0.1)
    assert known.minimum_at(x, energy) is not None
    assert known.minimum_at(x, energy + 0.04) is not None
    assert known.minimum_at(x, energy + 0.06) is None
    assert known.minimum_at(x, bottom.energy - 0.01) is None  # it leads to something lower
    x, energy, _ = beside(bottom, soft, 0.25)
    assert known.minimum_at(x, energy) is None
    assert known.saddle_at(bottom.positions, bottom.energy, np.zeros(12), soft) is None


def test_a_saddle_point_is_told_by_mode_and_gradient_too(top):
    known = KnownStructures(H2CO, (), [top])
    up, soft = stretch(top, 0), stretch(top, 7)
    x, energy, gradient = beside(top, up, 0.03)
    assert known.saddle_at(x, energy, gradient, up) is not None
    assert known.saddle_at(x, energy, gradient.reshape(-1, 3), -up) is not None
    assert known.saddle_at(x, energy, gradient, 0.9 * up + np.sqrt(0.19) * soft) is not None
    assert known.saddle_at(x, energy, gradient, 0.8 * up + 0.6 * soft) is None
    assert known.saddle_at(x, energy, 0.7 * gradient, up) is not None
    assert known.saddle_at(x, energy, 0.6 * gradient, up) is None
    assert known.saddle_at(x, energy + 1.0, gradient, up) is None
    assert known.saddle_below(x, energy + 0.09, up) is not None
    assert known.saddle_below(x, energy + 0.11, up) is None
    assert known.saddle_below(x, energy, 0.75 * up + np.sqrt(0.4375) * soft) is not None
    assert known.saddle_below(x, energy, 0.65 * up + np.sqrt(0.5775) * soft) is None
    assert known.minimum_at(x, energy) is None


def test_of_several_the_nearest_counts(bottom, top):
    x, energy, gradient = beside(top, stretch(top, 0), 0.02)
    shifted = exact(top.positions + noise((4, 3), 8, 0.15))
    known = KnownStructures(H2CO, [bottom], [shifted]).also(saddles=[top])
    met = known.saddle_at(x, energy, gradient, stretch(top, 0))
    assert met is not None
    assert met.energy == top.energy
    assert rmsd(met.positions, top.positions) < 1e-6


def test_a_structure_of_another_molecule_is_refused(bottom):
    with pytest.raises(InputError, match="known structures must have positions"):
        KnownStructures(Molecule((1, 1)), [bottom])


# Molecules that drift apart


def _attracting(positions):
    """A spring of 3.3 Å and 0.1 eV/Å² between two atoms: no saddle point anywhere."""
    arms = positions[:, 1] - positions[:, 0]
    lengths = np.linalg.norm(arms, axis=1)
    pull = (0.1 * (lengths - 3.3) / lengths)[:, None] * arms
    return 0.05 * (lengths - 3.3) ** 2, np.stack([-pull, pull], axis=1)


@pytest.mark.parametrize(("start", "patience"), [(3.5, 6), (3.5, 12), (2.4, 6)])
def test_a_climb_between_parted_molecules_is_given_up_when_it_drifts(start, patience):
    surface = AnalyticSurface(PAIR, _attracting)
    apart = np.array([[0.0, 0.0, 0.0], [start, 0.0, 0.0]])
    away = np.array([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    hessian = 0.1 * np.outer(away.ravel(), away.ravel())
    steps = {}
    for drift in (patience, LIMITS.saddle_steps):
        counts: Counter[str] = Counter()
        limits = StepSettings(drift_steps=drift, dissociation=50.0)
        search = saddle(PAIR, apart, limits, direction=away, hessian=hessian)
        found = solve(search, surface, gradients=counts)
        steps[drift] = sum(counts.values())
        parted = start > 3.1 and drift == patience
        assert found.outcome is (Outcome.DISSOCIATED if parted else Outcome.STEPS)
    assert steps[LIMITS.saddle_steps] == LIMITS.saddle_steps
    if start > 3.1:
        assert patience < steps[patience] < 3 * patience
