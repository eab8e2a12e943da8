"""Contributions to forecasts against sums over all orders, and what the policy tells of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from math import exp, factorial, log, prod

import numpy as np
import pytest
from minima import made_eq
from offered import pulled, pushed

from afir.errors import InputError, MissingPackageError
from afir.methods.base import Known, load_method, offers_of
from afir.molecule import Molecule
from afir.policies import Doubts, Explains, Explanation, Proposes
from mlpot.policies import features, words
from mlpot.policies.correction import Correction, factors, terms
from mlpot.policies.explanation import contributions
from mlpot.policies.forest import Forest
from mlpot.policies.model import NAMES, PolicyModel, shipped_model
from mlpot.policies.policy import Learned, learned

WEIGHTS = np.array([1.0, 0.5, 0.3])
FORMALDEHYDE = Molecule((6, 8, 1, 1))
slow = pytest.mark.slow  # loading shap takes seconds

PLANAR = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [-0.6, 0.93, 0.0], [-0.6, -0.93, 0.0]])


def tiny() -> Forest:
    """Two trees of three features; the first asks about one of them twice on a way."""
    inf = np.inf
    # node:     0    1    2    3    4    5    6  |  7    8    9   10   11
    feature = [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]
    threshold = [0.5, 0.2, 0.8, inf, inf, inf, inf, 0.4, inf, 0.7, inf, inf]
    left = [1, 3, 5, 3, 4, 5, 6, 8, 8, 10, 10, 11]
    weight = [1.0, 0.4, 0.6, 0.3, 0.1, 0.45, 0.15, 1.0, 0.25, 0.75, 0.35, 0.4]
    value = np.zeros((12, 2))
    value[[3, 4, 5, 6, 8, 10, 11], 0] = [1.0, -2.0, 0.5, 4.0, 3.0, -1.0, 0.25]
    value[[3, 4, 5, 6, 8, 10, 11], 1] = [0.0, 1.0, 2.0, -1.0, 0.5, 0.5, -3.0]
    for node in (9, 7, 2, 1, 0):  # nodes hold the means of what is below
        parts = [left[node], left[node] + 1]
        shares = np.array([weight[part] for part in parts]) / weight[node]
        value[node] = shares @ value[parts]
    return Forest(
        np.array([0, 7], dtype=np.int32),
        np.array(feature, dtype=np.uint8),
        np.array(threshold, dtype=np.float32),
        np.array(left, dtype=np.int32),
        value.astype(np.float32),
        np.array(weight, dtype=np.float32),
    )


def averaged(forest: Forest, x: np.ndarray, known: frozenset[int], weights: np.ndarray) -> float:
    """The forecast if only some features are known: the others are averaged at each node."""

    def below(node: int) -> float:
        left = int(forest.left[node])
        if left == node:
            return float(forest.value[node] @ weights)
        if int(forest.feature[node]) in known:
            goes_right = x[forest.feature[node]] > forest.threshold[node]
            return below(left + int(goes_right))
        shares = forest.weight[[left, left + 1]].astype(float) / float(forest.weight[node])
        return float(shares[0] * below(left) + shares[1] * below(left + 1))

    return float(np.mean([below(int(root)) for root in forest.roots]))


def shapley(value: Callable[[frozenset[int]], float], count: int) -> np.ndarray:
    """Shapley's values by their definition."""
    result = np.zeros(count)
    for player in range(count):
        others = [other for other in range(count) if other != player]
        for size in range(count):
            share = factorial(size) * factorial(count - size - 1) / factorial(count)
            for some in combinations(others, size):
                without = frozenset(some)
                result[player] += share * (value(without | {player}) - value(without))
    return result


@slow
def test_contributions_are_those_of_shapley() -> None:
    forest, weights = tiny(), np.array([1.0, 0.3])
    rows = np.random.default_rng(0).uniform(0.0, 1.0, size=(25, 4))
    found = contributions(forest, rows, weights)
    for x, mine in zip(rows, found, strict=True):

        def value(known: frozenset[int], x: np.ndarray = x) -> float:
            return averaged(forest, x, known, weights)

        np.testing.assert_allclose(mine, shapley(value, 4), atol=1e-7)
    assert np.all(found[:, 3] == 0.0)  # nobody asks about it
    assert np.abs(found[:, :3]).max() > 0.1


def model_rows(count: int) -> tuple[PolicyModel, np.ndarray]:
    """The model of the package, and rows in the range of its training."""
    model, rng = shipped_model(), np.random.default_rng(3)
    low, high = model.range.lowest, model.range.highest
    offers = low + (high - low) * rng.random((count, len(low)))
    now = rng.integers(0, 6, size=(count, len(NAMES) - len(low)))
    return model, np.hstack([offers, now]).astype(np.float64)


@slow
def test_contributions_add_up_to_the_forecast_minus_the_mean() -> None:
    model, rows = model_rows(20)
    worth = model.worth(model.gain.predict(rows), WEIGHTS)
    mean = model.worth(model.mean(model.gain), WEIGHTS)
    found = contributions(model.gain, rows, WEIGHTS)
    np.testing.assert_allclose(found.sum(axis=1), worth - mean, atol=1e-6)
    costs = contributions(model.cost, rows, np.ones(1))
    told = model.cost.predict(rows)[:, 0] - model.mean(model.cost)[0]
    np.testing.assert_allclose(costs.sum(axis=1), told, atol=1e-6)
    assert np.abs(worth - mean).max() > 0.05


def asked(policy: Learned) -> tuple[Explanation, ...]:
    """What a policy that knows nothing of a run explains of all offers on formaldehyde."""
    eq = made_eq(0, PLANAR, -100.0)
    network = Structures(FORMALDEHYDE, {"EQ0": eq}, {})
    offers = {}
    for name in ("mode-following", "inversion", "sc-afir"):
        listed = offers_of(
            name, load_method(name), Known(FORMALDEHYDE, eq), np.random.default_rng(0)
        )
        for offer in listed:
            offers["EQ0", len(offers)] = offer
    return tuple(policy.explain(offers, {("EQ0", 999): pushed(0, 1)}, network))


class Structures:
    """Structures that are known."""

    def __init__(self, molecule: Molecule, eqs: dict, tss: dict) -> None:
        self.molecule, self.eqs, self.tss = molecule, eqs, tss


def check_sums(told: Explanation) -> None:
    """What is told adds up, and multiplies, to the value that the policy chooses by."""
    worth = told.usual_gain + sum(part.gain for part in told.parts)
    gradients = exp(log(told.usual_gradients) + sum(part.cost for part in told.parts))
    assert gradients == pytest.approx(told.expected.gradients, rel=1e-6)
    factor = prod(told.factors.values())
    assert told.expected.value == pytest.approx(1000.0 * worth * factor / gradients, rel=1e-6)


@slow
def test_what_is_told_is_what_the_policy_chooses_by() -> None:
    near, far = shipped_model(), shipped_model()
    far = replace(far, range=replace(far.range, limit=far.range.limit / 40.0))
    outside = 0
    for model in (near, far):
        policy = Learned(model, "greedy", WEIGHTS)
        told = asked(policy)
        assert len(told) > 10
        for each in told:
            check_sums(each)
            sizes = [abs(p.gain / each.usual_gain) + abs(p.cost) for p in each.parts]
            assert sizes == sorted(sizes, reverse=True)
            assert len({part.text for part in each.parts}) == len(each.parts)
            texts = {part.text for part in each.parts if not part.shared}
            assert each.reason.removeprefix("cheap: ") in texts
            assert any(part.shared for part in each.parts)  # of one molecule and structure
        outside += sum(each.expected.distance > 1.0 for each in told)
    assert outside > 0  # where it is drawn to the mean, the sums hold as well


@slow
def test_nothing_is_worth_less_than_nothing_expected() -> None:
    told = asked(Learned(shipped_model(), "greedy", np.zeros(3)))
    for each in told:
        check_sums(each)
        assert each.expected.tss == each.expected.eqs == 0.0


@slow
def test_offers_before_in_the_list_count_as_under_way() -> None:
    told = asked(learned(explore="greedy"))
    shares = [each.factors["similar trials are under way"] for each in told]
    assert shares[-1] < shares[0] < 1.0


def test_every_feature_has_words_and_a_group() -> None:
    model, rows = model_rows(30)
    low, high = model.range.lowest, model.range.highest
    bounds = np.vstack([rows, *(np.append(bound, rows[0, len(low) :]) for bound in (low, high))])
    groups = set()
    for row in bounds:
        for name, value in zip(NAMES, row.tolist(), strict=True):
            text = words.told(name, value)
            assert text.isprintable()
            assert not any(wrong in text for wrong in ("{", "nan", ". "))
            groups.add(words.group_of(name, value))
    assert groups == {
        words.FORCES,
        words.ELEMENTS,
        words.BONDS,
        words.GEOMETRY,
        words.STIFFNESS,
        words.MOLECULE,
        words.TRIED,
        words.FOUND,
    }


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("pulled pair: unsaturation, higher", 0.02, "pulls a saturated pair"),
        ("pushed pair: period, lower", features.ABSENT, "pushes no pair"),
        ("equivalent offers tried", 0.0, "equivalent pushes were never tried"),
        ("equivalent offers tried", 1.0, "equivalent pushes were tried once"),
        ("equivalent offers tried", 3.0, "equivalent pushes were tried 4 to 7 times"),
        ("species found", 2.0, "trials on structures with these bonds found 2 or 3 new structures"),
        ("structure: energy", 1.0, "the structure lies 96 kJ/mol above the start"),
        ("forces", 1.0, "1 force acts"),
        ("pushed pair: bonds between", 8.0, "pushes atoms of different molecules"),
    ],
)
def test_words(name: str, value: float, text: str) -> None:
    assert words.told(name, value) == text


def made(**values: float) -> dict[str, float]:
    """The features of an offer, 0 but for these (``_`` stands for a blank)."""
    pairs = ("pushed pair", "pulled pair")
    absent = {name: features.ABSENT for name in NAMES if name.startswith(pairs)}
    given = {name.replace("_", " "): value for name, value in values.items()}
    return dict.fromkeys(NAMES, 0.0) | absent | {"atom 1: share": 1.0} | given


def test_each_fact_is_told_once() -> None:
    told = words.all_told(made(structure_tried=0.0, is_climb=1.0))
    texts = {text for text, _ in told.values()}
    assert told["structure found"] == told["structure tried"]
    assert not any("found nothing new" in text for text in texts)
    for name in ("forces", "pushes", "pulls", "pushed pair: approach", "is random", "is climb"):
        assert told[name] == ("climbs a normal mode", words.FORCES)
    assert told["atom 3: period"][0] == "only 1 atom takes part in the force or motion"
    for absent in ("pushes no pair", "pulls no pair", "no force acts", " 0 %", "+0.00"):
        assert not any(absent in text for text in texts)


def test_a_single_force_is_told_once() -> None:
    told = words.all_told(made(forces=1.0, pulls=1.0))
    assert told["forces"] == told["is climb"] == told["atoms in both pairs"]
    assert told["forces"][0] == "a single force acts"
    assert told["pushes"][0] == told["pushed pair: approach"][0] == "only pulls (1 pair)"
    assert told["force tried, less"][0] == told["force found, less"][0]
    assert told["force tried, less"][0] == "its force was never tried"


def test_without_shap_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(MissingPackageError, match=r'needs shap; .*pip install .*"afir\[policy\]"'):
        contributions(tiny(), np.zeros((1, 4)), np.ones(2))


def test_doubts_name_what_lies_farthest_outside() -> None:
    model = shipped_model()
    eq = made_eq(0, PLANAR, -100.0)
    network = Structures(FORMALDEHYDE, {"EQ0": eq}, {})
    offers = [pushed(0, 1), pulled(0, 2), pushed(2, 3)]
    assert Learned(model, "greedy", WEIGHTS).doubt(offers, network) == ""
    assert Learned(model, "greedy", WEIGHTS).doubt([], network) == ""
    bounds = model.range.lowest.copy(), model.range.highest.copy()
    atoms = features.NAMES.index("structure: atoms")
    bounds[0][atoms], bounds[1][atoms] = 60.0, 90.0
    far = replace(model, range=replace(model.range, lowest=bounds[0], highest=bounds[1]))
    told = Learned(far, "greedy", WEIGHTS).doubt(offers, network)
    assert "unlike those of its training (structure: atoms 4, there 60 to 90; distance" in told


def test_abilities_are_seen() -> None:
    policy = learned()
    assert isinstance(policy, Proposes)
    assert isinstance(policy, Explains)
    assert isinstance(policy, Doubts)


def test_a_model_with_impossible_weights_is_refused() -> None:
    forest = tiny()
    arrays = forest.arrays("gain")
    Forest.read(arrays, "gain", 4)
    for wrong in (0.0, np.nan, np.inf):
        weight = forest.weight.copy()
        weight[3] = wrong
        with pytest.raises(InputError, match=r"arrays gain\.\* must be trees"):
            Forest.read({**arrays, "gain.weight": weight}, "gain", 4)


def test_trees_that_share_nodes_are_refused() -> None:
    """Each level of such a chain would double: five kilobytes for 2^60 nodes."""
    count = 60
    left = np.minimum(np.arange(count, dtype=np.int32) + 1, count - 2)
    left[-2:] = count - 2, count - 1
    is_leaf = left == np.arange(count)
    arrays = {
        "gain.roots": np.zeros(1, np.int32),
        "gain.feature": np.zeros(count, np.uint8),
        "gain.threshold": np.where(is_leaf, np.inf, 0.5).astype(np.float32),
        "gain.left": left,
        "gain.value": np.ones((count, 1), np.float32),
        "gain.weight": np.ones(count, np.float32),
    }
    with pytest.raises(InputError, match=r"arrays gain\.\* must be trees"):
        Forest.read(arrays, "gain", 4)


def test_a_correction_beyond_its_limit_is_fitted_too() -> None:
    correction = Correction()
    for _ in range(40):
        correction.add(
            terms(np.array([0]), np.array([0]), np.array([0]), np.zeros(1))[0], 5.0, 5e-3
        )
    coefficients, _ = correction.fit()
    row = terms(np.array([0]), np.array([0]), np.array([0]), np.zeros(1))
    assert factors(row, coefficients)[0] == pytest.approx(np.exp(6.0))
