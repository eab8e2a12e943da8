"""The artificial force against reference strengths, finite differences and invariance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from afir.errors import InputError
from afir.methods.artificial_force import ArtificialForce, ForceTerm, alpha
from afir.molecule import Molecule
from afir.units import KJ_PER_MOL

ETHANOL = Molecule((6, 6, 8, 1, 1, 1, 1, 1, 1))


def random_geometry(seed, n=9):
    """Points at least 0.7 Å apart, so that no weight explodes."""
    rng = np.random.default_rng(seed)
    points = []
    while len(points) < n:
        point = rng.uniform(-2.2, 2.2, 3)
        if all(np.linalg.norm(point - other) > 0.7 for other in points):
            points.append(point)
    return np.array(points)


@st.composite
def force_terms(draw, n=9):
    atoms = draw(st.permutations(range(n)))
    first = draw(st.integers(1, n - 1))
    second = draw(st.integers(1, n - first))
    direction = draw(st.sampled_from([1, -1]))
    return ForceTerm(tuple(atoms[:first]), tuple(atoms[first : first + second]), direction)


# kJ/mol → kJ/mol/Å: reference values of the formula in 10.1063/1.3457903.
@pytest.mark.parametrize(
    ("gamma", "strength"),
    [
        (100, 118.809911),
        (200, 205.452594),
        (300, 285.987268),
        (400, 363.067265),
        (1000, 791.052923),
    ],
)
def test_reference_strengths(gamma, strength):
    assert alpha(gamma) == pytest.approx(strength, abs=1e-6)


def test_no_gamma_no_force():
    assert alpha(0) == 0.0
    value, gradient = ArtificialForce(ETHANOL, [ForceTerm((0,), (1,), 1)], 0.0)(random_geometry(0))
    assert value == 0.0
    assert not gradient.any()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    terms=st.lists(force_terms(), min_size=1, max_size=3),
    gamma=st.floats(10, 2000),
)
def test_gradient_is_the_derivative(seed, terms, gamma):
    force = ArtificialForce(ETHANOL, terms, gamma)
    x = random_geometry(seed)
    direction = np.random.default_rng(seed).normal(size=x.shape)
    direction /= np.linalg.norm(direction)
    h = 1e-5
    slope = (force(x + h * direction)[0] - force(x - h * direction)[0]) / (2 * h)
    gradient = force(x)[1]
    assert (gradient * direction).sum() == pytest.approx(
        slope, rel=1e-6, abs=1e-7 * (1 + np.abs(gradient).max())
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), term=force_terms())
def test_rigid_motion_turns_the_gradient_only(seed, term):
    force = ArtificialForce(ETHANOL, [term], 300.0)
    x = random_geometry(seed)
    turn = Rotation.from_quat(np.random.default_rng(seed).normal(size=4)).as_matrix()
    value, gradient = force(x)
    other_value, other_gradient = force(x @ turn.T + [5.0, -3.0, 1.0])
    assert other_value == pytest.approx(value, rel=1e-10)
    assert other_gradient == pytest.approx(gradient @ turn.T, rel=1e-8, abs=1e-9)
    assert gradient.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)
    assert np.cross(x, gradient).sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-8)


def test_two_atoms_feel_a_constant_force():
    molecule = Molecule.from_symbols(["H", "H"])
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.5]])
    strength = alpha(200.0) * KJ_PER_MOL
    value, gradient = ArtificialForce(molecule, [ForceTerm((0,), (1,), 1)], 200.0)(x)
    assert value == pytest.approx(strength * 2.5)
    # Downhill is towards each other.
    assert gradient[:, 2] == pytest.approx([-strength, strength])
    pulled, outward = ArtificialForce(molecule, [ForceTerm((0,), (1,), -1)], 200.0)(x)
    assert pulled == pytest.approx(-value)
    assert outward == pytest.approx(-gradient)


def test_value_is_a_weighted_mean_distance():
    x = random_geometry(7)
    term = ForceTerm((0, 3), (2, 5, 8), 1)
    weights, lengths = [], []
    for i in term.a:
        for j in term.b:
            r = np.linalg.norm(x[i] - x[j])
            lengths.append(r)
            weights.append(((ETHANOL.radii[i] + ETHANOL.radii[j]) / r) ** 6)
    expected = alpha(150.0) * KJ_PER_MOL * np.average(lengths, weights=weights)
    assert ArtificialForce(ETHANOL, [term], 150.0)(x)[0] == pytest.approx(expected, rel=1e-12)


def test_far_pairs_are_pushed_apart():
    # The sign of a pair's force changes at 1.2 times the mean distance.
    molecule = Molecule.from_symbols(["H", "H", "H"], multiplicity=2)
    x = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 6.0, 0.0]])
    gradient = ArtificialForce(molecule, [ForceTerm((0,), (1, 2), 1)], 100.0)(x)[1]
    assert gradient[1, 0] > 0
    assert gradient[2, 1] < 0


def test_terms_add_up_and_sides_are_alike():
    x = random_geometry(11)
    one, two = ForceTerm((0,), (4, 5), 1), ForceTerm((1, 2), (0,), -1)
    value, gradient = ArtificialForce(ETHANOL, [one, two], 500.0)(x)
    parts = [ArtificialForce(ETHANOL, [term], 500.0)(x) for term in (one, two)]
    assert value == pytest.approx(sum(part[0] for part in parts))
    assert gradient == pytest.approx(sum(part[1] for part in parts))
    mirrored = ArtificialForce(ETHANOL, [ForceTerm(two.b, two.a, -1)], 500.0)(x)
    assert mirrored[0] == pytest.approx(parts[1][0])
    assert mirrored[1] == pytest.approx(parts[1][1])


@given(force_terms())
def test_text_round_trip(term):
    assert ForceTerm.parse(str(term)) == term


def test_text_is_the_documented_one():
    assert str(ForceTerm((4, 1), (0,), 1)) == "+1,4|0"
    assert ForceTerm.parse("-2|3") == ForceTerm((2,), (3,), -1)


@pytest.mark.parametrize("text", ["", "0|1", "+0", "+0|", "+|1", "+a|b", "+0|1|2", "*0|1"])
def test_unreadable_text_is_explained(text):
    with pytest.raises(InputError, match="a force term must look like"):
        ForceTerm.parse(text)


def test_misuse_is_explained():
    with pytest.raises(InputError, match="empty fragment"):
        ForceTerm((), (1,), 1)
    with pytest.raises(InputError, match=r"each atom once, got \+1,1\|2"):
        ForceTerm((1, 1), (2,), 1)
    with pytest.raises(InputError, match=r"must not share atoms, got \[1\]"):
        ForceTerm((0, 1), (1,), 1)
    for atom in (0.5, 1.0, "1", True):
        with pytest.raises(InputError, match=f"by whole numbers, got {atom!r}"):
            ForceTerm((atom,), (2,), 1)
    assert ForceTerm((np.int64(1),), (2,), 1) == ForceTerm((1,), (2,), 1)
    with pytest.raises(InputError, match="`direction` must be 1 or -1, got 0"):
        ForceTerm((0,), (1,), 0)
    for gamma in (-1.0, float("nan")):
        with pytest.raises(InputError, match="`gamma` must be 0 kJ/mol or more"):
            alpha(gamma)
    with pytest.raises(InputError, match="`terms` must hold at least one"):
        ArtificialForce(ETHANOL, [], 100.0)
    with pytest.raises(InputError, match="must name atoms from 0 to 8, got 9"):
        ArtificialForce(ETHANOL, [ForceTerm((0,), (9,), 1)], 100.0)
