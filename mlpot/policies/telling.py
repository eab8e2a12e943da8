"""What the policy expects of single offers, in numbers and in words.

All follows from the features of an offer and from what the run has found: the forests tell what is
new in it and what it costs, far from the training that is drawn to the mean, and what this run has
found and what is under way multiply it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from afir.methods.base import Offer
from afir.policies import Contribution, Expectation, Explanation
from mlpot.policies import features, words
from mlpot.policies.explanation import contributions
from mlpot.policies.model import NAMES, OUTCOMES, PolicyModel, Range
from mlpot.policies.structure import Floats

_OFFER = len(features.NAMES)
_TRAINING = "distance from the training"
_NEGLIGIBLE = 1e-12  # of a part: what is left by rounding


@dataclass(frozen=True, eq=False)
class Asked:
    """Offers of which something is to be told.

    Attributes
    ----------
    items
        The structures and numbers.
    offers
        The offers.
    rows
        (m, len(NAMES)) their features.
    corrections
        (m,) the correction of each by what this run has found.
    likenesses
        (m,) what they are still worth beside what is under way.
    """

    items: Sequence[tuple[str, int]]
    offers: Sequence[Offer]
    rows: Floats
    corrections: Floats
    likenesses: Floats


def expected(model: PolicyModel, weights: Floats, asked: Asked) -> list[Expectation]:
    """What is expected of each offer; `weights` are those of `PolicyModel.foretold`."""
    gains, spreads, costs = model.foretold(asked.rows, weights)
    counts = model.gain.predict(asked.rows)
    raw = model.worth(counts, weights)
    factors = asked.corrections * asked.likenesses
    # The numbers of structures are drawn to the mean and corrected as their worth is.
    scale = np.where(raw > 0.0, gains * factors / np.where(raw > 0.0, raw, 1.0), 0.0)
    distances = model.range.distances(asked.rows[:, :_OFFER])
    return [
        Expectation(
            eq=eq,
            push=push,
            offer=offer,
            tss=float(counts[row, OUTCOMES.index("TSs")] * scale[row]),
            eqs=float(counts[row, OUTCOMES.index("EQs")] * scale[row]),
            gradients=float(costs[row]),
            value=float(1000.0 * gains[row] * factors[row] / costs[row]),
            spread=float(1000.0 * spreads[row] * factors[row] / costs[row]),
            distance=float(distances[row]),
            low=float(counts[row, OUTCOMES.index("low TSs")] * scale[row]),
        )
        for row, ((eq, push), offer) in enumerate(zip(asked.items, asked.offers, strict=True))
    ]


def explained(model: PolicyModel, weights: Floats, asked: Asked) -> list[Explanation]:
    """Why that is expected of each offer; `weights` are those of `PolicyModel.foretold`.

    Raises
    ------
    MissingPackageError
        Without shap.
    """
    if not asked.items:
        return []
    gains, _, costs = model.foretold(asked.rows, weights)
    usual = float(model.worth(model.mean(model.gain), weights)), float(model.mean(model.cost)[0])
    unit = usual[0] or 1.0  # of gains where they are compared with costs
    of_gain = contributions(model.gain, asked.rows, weights)
    of_cost = contributions(model.cost, asked.rows, np.ones(1))
    texts = [words.all_told(dict(zip(NAMES, row, strict=True))) for row in asked.rows.tolist()]
    shared = _shared(texts)
    result = []
    for row, told in enumerate(expected(model, weights, asked)):
        parts = _parts(texts[row], shared, of_gain[row], of_cost[row])
        # What the forests do not say themselves.
        more = (
            float(gains[row]) - usual[0] - float(of_gain[row].sum()),
            float(np.log(costs[row])) - usual[1] - float(of_cost[row].sum()),
        )
        if told.distance > 1.0:
            text = f"lies far outside of the training (distance {told.distance:.1f})"
            parts.append(Contribution(f"{text}: the mean counts more", _TRAINING, *more))
        elif abs(more[0]) > 1e-6:
            parts.append(
                Contribution("no push is expected to bring nothing at all", _TRAINING, *more)
            )
        parts.sort(key=lambda part: -abs(part.gain / unit) - abs(part.cost))
        result.append(
            Explanation(
                expected=told,
                usual_gain=usual[0],
                usual_gradients=float(np.exp(usual[1])),
                parts=tuple(parts),
                factors=_factors(asked, row),
                reason=_reason(parts, unit),
            )
        )
    return result


def _shared(texts: Sequence[Mapping[str, tuple[str, str]]]) -> set[str]:
    """What is said of all offers that are compared, and what holds for the molecule anyway."""
    shared = {of[name][0] for of in texts for name in words.OF_MOLECULE}
    if len(texts) > 1:
        shared |= set.intersection(*({text for text, _ in of.values()} for of in texts))
    return shared


def _parts(
    texts: Mapping[str, tuple[str, str]], shared: set[str], gains: Floats, costs: Floats
) -> list[Contribution]:
    """The parts of the features; those that say the same are one."""
    groups: dict[str, str] = {}
    sums: dict[str, list[float]] = {}
    for name, gain, cost in zip(NAMES, gains, costs, strict=True):
        if max(abs(gain), abs(cost)) < _NEGLIGIBLE:
            continue
        text, group = texts[name]
        groups.setdefault(text, group)
        total = sums.setdefault(text, [0.0, 0.0])
        total[0] += float(gain)
        total[1] += float(cost)
    return [
        Contribution(text, groups[text], gain, cost, text in shared)
        for text, (gain, cost) in sums.items()
    ]


def _factors(asked: Asked, row: int) -> dict[str, float]:
    """What multiplies the worth of an offer, by its cause in words."""
    factors = {"what this run has found so far": float(asked.corrections[row])}
    if asked.likenesses[row] < 1.0:
        factors["similar trials are under way"] = float(asked.likenesses[row])
    return factors


def _reason(parts: Sequence[Contribution], unit: float) -> str:
    """The weightiest property in the group that raises the worth for a gradient most.

    What all offers share, and that something is absent, is named only if there is nothing else.
    """
    if not parts:
        return "the usual expectation"

    def lift(part: Contribution) -> float:
        return part.gain / unit - part.cost

    groups: dict[str, float] = {}
    parts = [part for part in parts if not part.shared] or parts
    for part in parts:
        groups[part.group] = groups.get(part.group, 0.0) + lift(part)
    best = max(groups, key=lambda group: groups[group])
    named = [part for part in parts if part.group == best]
    there = [part for part in named if not part.text.startswith(words.ABSENT_THINGS)]
    chosen = max(there or named, key=lift)
    cheap = -chosen.cost > max(chosen.gain / unit, 0.0)
    return f"cheap: {chosen.text}" if cheap else chosen.text


def doubt_of(known: Range, described: Floats) -> str:
    """Why little is known about offers (m, k); "" if half of them lie near the training.

    The feature that lies farthest outside is named.
    """
    distance = float(np.median(known.distances(described)))
    if distance <= 1.0:
        return ""
    outside = np.maximum(described - known.highest, known.lowest - described)
    worst = int(np.argmax(np.mean(np.maximum(outside, 0.0) / known.scale, axis=0)))
    value = float(np.median(described[:, worst]))
    return (
        f"the molecule is unlike those of its training ({features.NAMES[worst]} {value:.3g}, there "
        f"{known.lowest[worst]:.3g} to {known.highest[worst]:.3g}; distance {distance:.1f}, where "
        "1 is far), so that at first it chooses hardly better than at random, and later by what "
        "this run has found; `afir learn-policy` can train it on runs of such molecules"
    )
