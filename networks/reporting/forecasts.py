"""What a policy expects, as rows of tables and as plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Any

from afir.methods.base import Offer
from afir.pes.driver import search_gradients
from afir.policies import Contribution, Expectation, Explanation
from networks.reporting.consulting import ToldTrial
from networks.reporting.tables import Section

SCHEMA_VERSION = 1
"""Of the JSON objects of `afir propose` and `afir explain`; a change of meaning raises it."""

_SHOWN = 20  # parts in a table, the weightiest; all others are one row


def proposed_sections(
    proposed: Sequence[Expectation], reasons: Sequence[str]
) -> tuple[Section, ...]:
    """The tables of what a policy proposes: the numbers, and the reasons if there are any.

    Both fit into 80 columns.

    Parameters
    ----------
    proposed
        What it proposes, in order.
    reasons
        The main reason of each; empty if there are none to tell.
    """
    rows = tuple(
        (
            each.eq,
            _short(each.offer),
            f"{each.tss:.2f}",
            f"{each.low:.2f}",
            f"{each.eqs:.2f}",
            f"{each.gradients:.0f}",
            f"{each.value:.2f}",
            f"{each.spread:.2f}",
        )
        for each in proposed
    )
    columns = ("<EQ", "<push", "TSs", "low", "EQs", "grad.", "worth", "±")
    far = max((each.distance for each in proposed), default=0.0)
    notes = (
        "low: those of the TSs below 300 kJ/mol; worth: per 1,000 gradients.",
        f"Distance from the training of the policy: {far:.1f} at most; above 1 the numbers say "
        "little.",
    )
    numbers = Section("The most promising pushes", columns, rows, notes)
    if not reasons:
        return (numbers,)
    told = tuple(
        (each.eq, _short(each.offer), reason)
        for each, reason in zip(proposed, reasons, strict=True)
    )
    return numbers, Section("Why", ("<EQ", "<push", "<main reason"), told)


def _short(offer: Offer) -> str:
    """An offer in few letters: ``climb, mode 4, sign -1`` says which method it is of."""
    text, kind = str(offer), offer.data.get("kind")
    return text.removeprefix(f"{offer.method}: kind ") if kind else text


def explained_section(explained: Explanation) -> Section:
    """The table of an explanation: parts of the worth, and factors of the gradients."""
    expected = explained.expected
    telling = [part for part in explained.parts if not part.shared]
    shown = sorted(telling[:_SHOWN], key=lambda part: -abs(part.gain))
    rows = [("any push", f"{explained.usual_gain:.3f}", f"{explained.usual_gradients:.0f}")]
    rows += [_row(part.text, [part]) for part in shown]
    if others := telling[_SHOWN:]:
        rows.append(_row(f"{len(others)} others", others))
    if shared := [part for part in explained.parts if part.shared]:
        rows.append(_row("what all pushes compared share, as the size of the molecule", shared))
    rows += [(text, f"× {factor:.2f}", "") for text, factor in explained.factors.items()]
    worth = expected.value * expected.gradients / 1000.0
    rows.append(("total", f"{worth:.3f}", f"{expected.gradients:.0f}"))
    notes = (
        f"Expected: {expected.tss:.2f} TSs, {expected.low:.2f} of them below 300 kJ/mol, and "
        f"{expected.eqs:.2f} EQs for {expected.gradients:.0f} gradients of the search: a worth of "
        f"{expected.value:.2f} ± {expected.spread:.2f} per 1,000 gradients.",
        f"Main reason: {explained.reason}.",
    )
    title = f"{expected.eq}, {_short(expected.offer)}"
    return Section(title, ("<what", "worth", "gradients"), tuple(rows), notes)


def _row(text: str, parts: Sequence[Contribution]) -> tuple[str, str, str]:
    """The row of parts in a table."""
    gain, cost = sum(part.gain for part in parts), sum(part.cost for part in parts)
    return text, f"{gain:+.3f}", f"× {exp(cost):.2f}"


def outcome_line(told: ToldTrial) -> str:
    """What came of a trial, as a sentence."""
    trial = told.trial
    if trial is None:
        return f"Trial {told.number} is under way."
    *some, last = trial.found or ("nothing new",)
    found = f"{', '.join(some)} and {last}" if some else last
    spent = outcome_gradients(told)
    return (
        f"Trial {told.number} found {found} with {spent['search']} gradients of "
        f"the search, {spent['total']} with verification."
    )


def outcome_gradients(told: ToldTrial) -> dict[str, int]:
    """The gradients of a trial: of the search, as a policy foretells them, and all."""
    spent = told.trial.gradients if told.trial else {}
    return {"search": search_gradients(spent), "total": sum(spent.values())}


def asked_line(told: ToldTrial) -> str:
    """Who explains a trial and who led the run, if that is not the same; else empty."""
    if told.by == told.led_by:
        return ""
    return f"Explained by the policy {told.by}; by its settings the run is led by {told.led_by}."


def groups_of(explained: Sequence[Explanation]) -> dict[str, tuple[float, float]]:
    """The mean contribution of each group of parts to worth and logarithm of the gradients."""
    groups: dict[str, tuple[float, float]] = {}
    share = 1.0 / max(len(explained), 1)
    for each in explained:
        for part in each.parts:
            gain, cost = groups.get(part.group, (0.0, 0.0))
            groups[part.group] = gain + share * part.gain, cost + share * part.cost
    return groups


def sum_line(explained: Explanation) -> str:
    """How the parts of an explanation add up to the worth and multiply to the gradients."""
    expected = explained.expected
    times = "".join(f" × {factor:.2f} ({text})" for text, factor in explained.factors.items())
    gain = explained.usual_gain + sum(part.gain for part in explained.parts)
    worth = expected.value * expected.gradients / 1000.0
    return (
        f"worth: {explained.usual_gain:.2f} (any push) + bars = {gain:.2f}{times} = {worth:.2f}\n"
        f"gradients: {explained.usual_gradients:.0f} (any push) × bars = {expected.gradients:.0f}"
    )


def plain_expected(expected: Expectation) -> dict[str, Any]:
    """An expectation as plain JSON."""
    return {
        "eq": str(expected.eq),
        "push": expected.push,
        "method": expected.offer.method,
        "offer": dict(expected.offer.data),
        "text": str(expected.offer),
        "tss": expected.tss,
        "low_tss": expected.low,
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
                "shared": part.shared,
            }
            for part in explained.parts
        ],
        "factors": [{"text": text, "factor": factor} for text, factor in explained.factors.items()],
    }
