"""The command `afir learn-policy`: a policy that learns from run files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afir.cli.terminal import (
    LiveLine,
    echo,
    force_option,
    json_option,
    messages,
    print_json,
    print_table,
    remark,
    results,
)
from afir.errors import InputError
from afir.io.interrupts import exit_code, terminable
from afir.io.shell import shell_command

if TYPE_CHECKING:  # numpy is not needed for --help
    from afir.policies import PastRun

_TRAINER = "learned"
_FEW = 8  # formulas that are named

_HELD_OUT = (
    ("learned_gradients", "gradients to 80 % of the TSs, relative to random order"),
    ("table_gradients", "the same, ordered by the kind of push alone"),
    ("oracle_gradients", "the same, with what each trial brings known before"),
    ("better_than_random", "share of runs with fewer gradients than random order"),
    ("learned_area", "mean share of TSs found, over all gradients"),
    ("table_area", "the same, ordered by the kind of push alone"),
    ("random_area", "the same, random order"),
    ("oracle_area", "the same, with what each trial brings known before"),
    ("auc", "ROC AUC of pushes that bring a new TS"),
    ("table_auc", "the same, by the kind of push alone"),
    ("enrichment", "new TSs of the best tenth of the pushes, relative to all"),
)


@click.command(
    "learn-policy",
    epilog="Example: afir learn-policy *.db --output mine.npz",
    short_help="Train a policy on runs: where to push next.",
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write the model to.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@json_option
@force_option
def learn_policy(
    runs: tuple[Path, ...], output: Path, seed: int, as_json: bool, force: bool
) -> int:
    """Train the policy `learned` on the run files RUN..., of any molecules and surfaces.

    Models are tested on molecules whose formulas they were not trained on: the trials of each run
    are replayed in the order of the model. The model that is written is trained on all runs. Use it
    with --policy learned --policy-option model=MODEL.
    """
    from afir.io.safe_write import new_file
    from afir.options import find_entry
    from afir.policies import TRAINERS, Trainer

    if seed < 0:
        raise InputError(f"--seed must be 0 or more, got {seed}")
    new_file(output, force=force, remedy="add --force")
    train: Trainer = find_entry(TRAINERS, "trainer", _TRAINER).load("the trainer of policies")
    line = LiveLine(messages(), "reading runs")
    try:
        with terminable(), line:
            report = train(map(_past, runs), output, seed=seed, tell=line.show)
    except KeyboardInterrupt as stop:
        remark("Stopped; no model was written.")
        return exit_code(stop)
    if as_json:
        print_json({"model": str(output), **report})
        return 0
    _print(report)
    echo(f"Written: {output}")
    option = f"model={output}"
    use = shell_command("afir", "explore", "XYZ", "--policy", "learned", "--policy-option", option)
    echo(f"{use} explores with it.")
    return 0


def _past(path: Path) -> PastRun:
    """A run as a trainer is told of it."""
    from afir.pes.registry import described
    from afir.policies import PastRun
    from networks.exploration.run import open_run

    with open_run(path) as store, store.snapshot():
        surface = described(*store.settings.searched)
        return PastRun(path.stem, surface, store.load_network(), list(store.trials()))


def _print(report: Mapping[str, Any]) -> None:
    """Print a report of training as tables."""
    training, held = report["training"], report["held_out"]
    formulas: Sequence[str] = training["formulas"]
    more = f" and {len(formulas) - _FEW} more" if len(formulas) > _FEW else ""
    console = results()
    print_table(
        console,
        f"Trained on {training['runs']} runs of {len(formulas)} formulas "
        f"({', '.join(formulas[:_FEW])}{more}) on {', '.join(training['surfaces'])}: "
        f"{training['trials']} trials, {training['tss']} transition states",
        ("<kind of push", "share", "new TSs / trial", "new TSs / 1,000 gradients"),
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
    print_table(
        console,
        "Runs of formulas that were held out; gradients to 80 % of their TSs, relative to random",
        ("<run", "<formula", "TSs", "random", "learned", "by kind", "oracle", "AUC", "by kind"),
        [
            (
                *(row["run"], row["formula"], row["tss"]),
                _number(row["random_gradients"], 0),
                *(_number(row[f"{order}_gradients"]) for order in ("learned", "table", "oracle")),
                *(_number(row[name]) for name in ("auc", "table_auc")),
            )
            for row in report["runs"]
        ],
    )
    print_table(
        console,
        f"Means over {held['runs']} runs; gradients over the {held['runs_compared']} with enough "
        "TSs, geometric means",
        ("<measure", "value"),
        [(words, _number(held[name], 3)) for name, words in _HELD_OUT],
    )


def _number(value: float, digits: int = 2) -> str:
    """A number as text; empty if there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else ""
