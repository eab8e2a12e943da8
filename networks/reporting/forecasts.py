"""What a policy expects, as rows of tables and as plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Any

from afir.policies import Expectation, Explanation
from networks.reporting.consulting import ToldTrial
from networks.reporting.tables import Section

_SHOWN = 12  # parts in a table, the weightiest; all others are one row


def proposed_section(proposed: Sequence[Expectation], reasons: Sequence[str]) -> Section:
    """The table of what a policy proposes.

    Parameters
    ----------
    proposed
        What it proposes, in order.
    reasons
        The main reason of each; empty if there are none to tell.
    """
    columns = ["<EQ", "<offer", "TSs", "EQs", "gradients", "worth per 1000", "±"]
    if reasons:
        columns.append("<main reason")
    rows = []
    for place, each in enumerate(proposed):
        row = [
            each.eq,
            str(each.offer),
            f"{each.tss:.2f}",
            f"{each.eqs:.2f}",
            f"{each.gradients:.0f}",
            f"{each.value:.2f}",
            f"{each.spread:.2f}",
        ]
        rows.append((*row, reasons[place]) if reasons else tuple(row))
    return Section("What is expected to bring most", tuple(columns), tuple(rows))


def explained_section(explained: Explanation) -> Section:
    """The table of an explanation: parts of the worth, and factors of the gradients."""
    expected = explained.expected
    shown, others = explained.parts[:_SHOWN], explained.parts[_SHOWN:]
    rows = [("any offer", f"{explained.usual_gain:.3f}", f"{explained.usual_gradients:.0f}")]
    rows += [(part.text, f"{part.gain:+.3f}", f"× {exp(part.cost):.2f}") for part in shown]
    if others:
        gain, cost = sum(part.gain for part in others), sum(part.cost for part in others)
        rows.append((f"{len(others)} others", f"{gain:+.3f}", f"× {exp(cost):.2f}"))
    rows += [(text, f"× {factor:.2f}", "") for text, factor in explained.factors.items()]
    worth = expected.value * expected.gradients / 1000.0
    rows.append(("in all", f"{worth:.3f}", f"{expected.gradients:.0f}"))
    note = (
        f"Expected: {expected.tss:.2f} TSs and {expected.eqs:.2f} EQs for "
        f"{expected.gradients:.0f} gradients, a worth of {expected.value:.2f} ± "
        f"{expected.spread:.2f} for 1000. Main reason: {explained.reason}."
    )
    title = f"{expected.eq}, {expected.offer}"
    return Section(title, ("<what", "worth", "gradients"), tuple(rows), (note,))


def outcome_line(told: ToldTrial) -> str:
    """What came of a trial, as a sentence."""
    trial = told.trial
    if trial is None:
        return f"Trial {told.number} is under way."
    found = f"found {' '.join(trial.found)}" if trial.found else "found nothing new"
    spent = sum(trial.gradients.values())
    return f"Trial {told.number} {found} for {spent} gradients, verification included."


def groups_of(explained: Sequence[Explanation]) -> dict[str, tuple[float, float]]:
    """The mean contribution of each group of parts to worth and logarithm of the gradients."""
    groups: dict[str, tuple[float, float]] = {}
    share = 1.0 / max(len(explained), 1)
    for each in explained:
        for part in each.parts:
            gain, cost = groups.get(part.group, (0.0, 0.0))
            groups[part.group] = gain + share * part.gain, cost + share * part.cost
    return groups


def plain_expected(expected: Expectation) -> dict[str, Any]:
    """An expectation as plain JSON."""
    return {
        "eq": str(expected.eq),
        "push": expected.push,
        "method": expected.offer.method,
        "offer": dict(expected.offer.data),
        "text": str(expected.offer),
        "tss": expected.tss,
        "eqs": expected.eqs,
        "gradients": expected.gradients,
        "worth_per_1000_gradients": expected.value,
        "spread": expected.spread,
        "distance": expected.distance,
    }


def plain_explained(explained: Explanation) -> dict[str, Any]:
    """An explanation as plain JSON."""
    return {
        **plain_expected(explained.expected),
        "reason": explained.reason,
        "usual_worth": explained.usual_gain,
        "usual_gradients": explained.usual_gradients,
        "parts": [
            {
                "text": part.text,
                "group": part.group,
                "worth": part.gain,
                "log_gradients": part.cost,
            }
            for part in explained.parts
        ],
        "factors": [{"text": text, "factor": factor} for text, factor in explained.factors.items()],
    }
