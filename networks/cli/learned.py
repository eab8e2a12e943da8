"""The report of `afir learn-policy` as tables, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from afir.cli.terminal import echo, print_table, results
from afir.io.shell import shell_command

_FEW = 8  # formulas that are named

_HELD_OUT = (
    ("random order (by definition)", "", "random_area", ""),
    ("the model", "learned_gradients_ratio", "learned_area", "auc"),
    ("kinds of push alone", "table_gradients_ratio", "table_area", "table_auc"),
    ("all known before", "oracle_gradients_ratio", "oracle_area", ""),
)

_ABOUT_KINDS = (
    "Kinds of push: an elimination pushes two atoms together and pulls them off their common "
    "neighbour; a transfer pushes an atom to another and pulls it off its neighbour; a climb "
    "follows a normal mode uphill, an inversion takes a bent or pyramidal atom to its other side; "
    "other is all else."
)
_ABOUT_ORDERS = (
    "Ratios: gradients until 80 % of the transition states of a run are found, relative to random "
    "order; less than 1 is better than random. The orders: of the model; by what each kind of push "
    "brings on average; and by what each trial will bring, all known before, which no model can "
    "surpass by much. Area: mean share of the transition states found, over all gradients. AUC: "
    "how often a push that brings a new transition state is ranked above one that does not, 0.5 by "
    "chance, 1 at best. A dash: the run has fewer than 5 transition states, or the number does not "
    "exist."
)


def print_report(report: Mapping[str, Any], output: Path) -> None:
    """Print a report of training as tables, and whether the model is good."""
    _print_kinds(report)
    _print_runs(report)
    echo(_ABOUT_KINDS)
    echo(_ABOUT_ORDERS)
    echo(f"Written: {output}")
    ratio: float = report["held_out"]["learned_gradients_ratio"]
    echo(verdict(ratio))
    echo(beside(report["packaged"]))
    if ratio < 1.0:
        option = f"model={output}"
        use = ("afir", "explore", "XYZ", "--policy", "learned", "--policy-option", option)
        echo(f"{shell_command(*use)} explores with it.")


def verdict(ratio: float) -> str:
    """Whether a model is better than random order on formulas that were held out."""
    if not math.isfinite(ratio):
        return (
            "Whether the model is better than random order is not known: no run has enough "
            "transition states. Longer runs are needed."
        )
    if ratio < 1.0:
        return (
            f"On molecules that were held out, models needed {ratio:.2f} of the gradients of "
            "random order: better than random order."
        )
    return (
        f"On molecules that were held out, models needed {ratio:.2f} times the gradients of random "
        "order: the model is no better than random order there. More runs of other molecules are "
        "needed; until then leave model= out and use the packaged model."
    )


def beside(packaged: Mapping[str, Any]) -> str:
    """The packaged model on the same runs, or why it is not compared."""
    known: Sequence[str] = packaged["formulas_known"]
    count: int = packaged["runs_compared"]
    trained = f"the packaged model was trained on {_some(known)} of these formulas"
    if not count:
        few = "run has enough transition states"
        why = f"{trained}, and no other {few}" if known else f"no {few}"
        return f"Not compared with the packaged model: {why}."
    theirs, mine = packaged["packaged_gradients_ratio"], packaged["learned_gradients_ratio"]
    without = f" ({trained}; their runs do not count here)" if known else ""
    return (
        f"On the same runs ({count}) the packaged model needs {theirs:.2f} of the gradients of "
        f"random order, models of your runs {mine:.2f}{without}."
    )


def _print_kinds(report: Mapping[str, Any]) -> None:
    training = report["training"]
    formulas: Sequence[str] = training["formulas"]
    print_table(
        results(),
        f"Trained on {training['runs']} runs of {len(formulas)} formulas ({_some(formulas)}) on "
        f"{', '.join(training['surfaces'])}: {training['trials']} trials, {training['tss']} "
        "transition states",
        ("<kind of push", "share of trials", "new TSs / trial", "new TSs / 1,000 gradients"),
        [
            (
                row["direction"],
                _number(row["share_of_trials"]),
                _number(row["new_tss_per_trial"]),
                _number(row["new_tss_per_1000_gradients"]),
            )
            for row in report["directions"]
        ],
    )


def _print_runs(report: Mapping[str, Any]) -> None:
    held = report["held_out"]
    ratios = ("learned_gradients_ratio", "table_gradients_ratio", "oracle_gradients_ratio")
    print_table(
        results(),
        "Each run, by a model that was not trained on its formula: gradients to 80 % of its TSs",
        (
            *("<run", "<formula", "TSs", "gradients, random order", "ratio, model"),
            *("ratio, kinds of push", "ratio, all known before", "AUC, model", "AUC, kinds"),
        ),
        [
            (
                *(row["run"], row["formula"], row["tss"]),
                _number(row["random_gradients"], 0),
                *(_number(row[name]) for name in (*ratios, "auc", "table_auc")),
            )
            for row in report["runs"]
        ],
    )
    print_table(
        results(),
        f"Means over {held['runs']} runs; ratios: geometric means over the "
        f"{held['runs_compared']} with at least 5 TSs",
        ("<order of the trials", "ratio of gradients", "area", "AUC"),
        [
            (words, _value(held, ratio, "1"), _value(held, area), _value(held, auc))
            for words, ratio, area, auc in _HELD_OUT
        ],
    )
    echo(
        f"Share of runs where the model is better than random order: "
        f"{_number(held['better_than_random'])}. New TSs of the tenth of the pushes that it ranks "
        f"first, relative to all: {_number(held['enrichment'])}."
    )


def _value(held: Mapping[str, float], name: str, otherwise: str = "–") -> str:
    return _number(held[name], 3) if name else otherwise


def _some(formulas: Sequence[str]) -> str:
    """Some formulas by name, the others by number."""
    more = f" and {len(formulas) - _FEW} more" if len(formulas) > _FEW else ""
    return ", ".join(formulas[:_FEW]) + more


def _number(value: float, digits: int = 2) -> str:
    """A number as text; a dash if there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"
