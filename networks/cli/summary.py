"""Printing a run: its results, its cost and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from afir.cli.terminal import echo, print_table, results

if TYPE_CHECKING:  # numpy is not needed for --help
    from networks.reporting.run import Run


def print_sections(run: Run, limit: int | None, *, costs: bool, loops: bool = False) -> None:
    """Print the tables that have rows; those on trials and gradients only with ``costs``."""
    from networks.reporting.run import heading
    from networks.reporting.tables import sections

    console = results()
    echo(heading(run), "")
    chosen = sections(run, limit=limit, loops=loops)
    for section in chosen if costs else chosen[:3]:
        if section.rows:
            print_table(console, section.title, section.columns, section.rows)
        if section.notes:
            echo(*section.notes, "")


def print_end(run: Run, path: Path) -> None:
    """Print the cost of a run, why it ended, what is left and what to do next."""
    from networks.reporting.advice import advice
    from networks.reporting.ending import ending
    from networks.storage.lock import writer

    summary = run.summary
    trials = sum(summary.trials.values())
    holder = writer(path)
    reason = summary.complete.stopped_by.value
    sentences = advice(run, path)
    if holder is not None:
        reason = f"process {holder} is still running it"
        sentences = [sentence for sentence in sentences if "afir resume" not in sentence]
    more = f" and {summary.under_way} in flight" * (summary.under_way > 0)
    echo(
        f"{trials} trial{'s' * (trials != 1)}{more}, {_gradients(run)}, "
        f"{summary.seconds:.0f} s; {reason}."
    )
    echo(*ending(run), *sentences)


def _gradients(run: Run) -> str:
    """The gradient evaluations of a run, in words."""
    settings, gradients = run.settings, run.summary.gradients
    counted = settings.counted(gradients)
    if not settings.reference:
        return f"{counted} gradients"
    cheap = sum(gradients.values()) - counted
    return f"{counted} gradients on {settings.reference}, {cheap} on {settings.surface}"
