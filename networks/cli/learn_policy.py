"""The command `afir learn-policy`: a policy that learns from run files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from afir.cli.terminal import (
    LiveLine,
    force_option,
    json_option,
    messages,
    print_json,
    remark,
)
from afir.errors import InputError
from afir.io.interrupts import exit_code, terminable
from networks.cli.learned import print_report

if TYPE_CHECKING:  # numpy is not needed for --help
    from afir.policies import PastRun

_TRAINER = "learned"
SCHEMA_VERSION = 1
"""Of the object of ``--json``; see `docs/policies.md`."""


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

    The runs must hold at least 3 different molecular formulas, 200 trials and 40 transition states
    together. Models are tested on molecules whose formulas they were not trained on: the trials of
    each run are replayed in the order of the model. The model that is written is trained on all
    runs. Use it with --policy learned --policy-option model=MODEL.
    """
    from afir.io.safe_write import new_file
    from afir.options import find_entry
    from afir.policies import TRAINERS, Trainer

    if seed < 0:
        raise InputError(f"--seed must be 0 or more, got {seed}")
    _check_inputs(runs, output)
    new_file(output, force=force, remedy="add --force")
    train: Trainer = find_entry(TRAINERS, "trainer", _TRAINER).load("the trainer of policies")
    console = messages()
    line = LiveLine(console, "reading runs")
    try:
        with terminable(), line:
            # Without a terminal each of the few steps is a line, the runs only if reading is slow.
            tell = line.show if console.is_terminal else line.say
            report = train(_read(runs, line), output, seed=seed, tell=tell)
    except KeyboardInterrupt as stop:
        remark("Stopped; no model was written.")
        return exit_code(stop)
    for row in report["left_out"]:
        remark(f"{row['run']} is left out: {row['why']}.")
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "model": str(output), **report})
        return 0
    print_report(report, output)
    return 0


def _check_inputs(runs: Sequence[Path], output: Path) -> None:
    """Raise InputError if the model would replace a run."""
    for run in runs:
        if output.exists() and run.exists() and run.samefile(output):
            raise InputError(
                f"--output {output} is one of the runs to learn from, which it would overwrite; "
                "choose another --output, such as model.npz"
            )


def _read(runs: Sequence[Path], line: LiveLine) -> Iterator[PastRun]:
    """The runs as a trainer is told of them."""
    for number, path in enumerate(runs, start=1):
        line.show(f"reading {path}, {number} of {len(runs)} runs")
        yield _past(path)


def _past(path: Path) -> PastRun:
    """A run as a trainer is told of it."""
    from afir.pes.registry import described
    from afir.policies import PastRun
    from networks.exploration.run import open_run

    with open_run(path) as store, store.snapshot():
        surface = described(*store.settings.searched)
        return PastRun(str(path), surface, store.load_network(), list(store.trials()))
