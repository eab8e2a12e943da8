"""The command `afir explain`: why a policy expects what it expects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afir.cli.terminal import (
    echo,
    force_option,
    json_option,
    option_values,
    print_json,
    print_table,
    results,
)
from afir.errors import InputError

if TYPE_CHECKING:  # numpy is not needed for --help
    from collections.abc import Sequence

    from afir.policies import Explanation
    from networks.reporting.tables import Section

_NEXT = 3  # coming pushes that are explained if nothing else is asked for

policy_options = click.option(
    "--policy-option",
    "policy_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set an option of the policy, e.g. model=mine.npz for learned. Repeatable.",
)
"""Gives a command ``--policy-option``."""


@click.command(
    epilog="Example: afir explain h2co.db --trial 17 --plot trial-17.svg",
    short_help="Explain why a push is expected to bring much.",
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--trial", type=int, metavar="N", help="Explain this trial, as it was planned.")
@click.option(
    "--next",
    "count",
    type=int,
    metavar="N",
    help=f"Explain the next pushes.  [default: {_NEXT}, without --trial]",
)
@click.option(
    "--policy", help="Policy to ask.  [default: that of RUN if it can explain, else learned]"
)
@policy_options
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the parts in groups as bars: .png, .svg or .pdf. Of several pushes the mean.",
)
@force_option
@json_option
def explain(
    run: Path,
    trial: int | None,
    count: int | None,
    policy: str | None,
    policy_options: tuple[str, ...],
    plot: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Explain why a policy expects much or little of a push of RUN.

    The worth is the expected number of new TSs and, with a weight, of new EQs. It begins at that of
    any offer; each property of the push adds its part, an exact Shapley value. The gradients of the
    search are multiplied. What the run has found so far, and pushes under way, multiply the worth.
    A trial is explained by what was known when it was planned. The JSON object is described in
    docs/show-json.md. Needs pip install "afir[policy]".
    """
    from networks.reporting.consulting import Adviser, Consulted
    from networks.reporting.forecasts import (
        explained_section,
        groups_of,
        outcome_line,
        plain_explained,
    )

    if trial is not None and count is not None:
        raise InputError("--trial must not go with --next; give one of them")
    if count is not None and count < 1:
        raise InputError(f"--next must be 1 or more, got {count}")
    adviser = Adviser(policy or "", option_values(policy_options, "--policy-option"))
    asked = Consulted(run, adviser)
    facts: dict[str, Any] = {"run": str(run)}
    explained: tuple[Explanation, ...]
    if trial is not None:
        told = asked.trial(trial)
        name, explained = told.name, (told.explained,)
        found = None if told.trial is None else list(map(str, told.trial.found))
        facts |= {"trial": trial, "found": found}
        last, heading = outcome_line(told), f"Trial {trial} of {run.name}"
    else:
        coming = asked.proposed(count or _NEXT, explaining=True)
        name, explained = coming.name, asked.explained(coming)
        facts |= {"under_way": coming.under_way}
        last = "" if explained else "No push is left that could be chosen now."
        heading = f"The next {len(explained)} pushes of {run.name}, mean"
    facts |= {"policy": name, "explained": [plain_explained(each) for each in explained]}
    if plot is not None and explained:
        _draw(groups_of(explained), heading, plot, force)
    if as_json:
        print_json(facts)
        return
    echo(f"{asked.molecule.name}, explained by the policy {name}", "")
    print_explained([explained_section(each) for each in explained])
    if last:
        echo(last)
    if plot is not None and explained:
        echo(f"Written: {plot}")


def print_explained(sections: Sequence[Section]) -> None:
    """Print tables with their notes."""
    for section in sections:
        print_table(results(), section.title, section.columns, section.rows)
        echo(*section.notes, "")


def _draw(groups: dict[str, tuple[float, float]], heading: str, plot: Path, force: bool) -> None:
    """Draw the groups of parts to a file."""
    from afir.io.figures import save_figure
    from networks.reporting.bars import bars_figure

    save_figure(bars_figure(groups, heading), plot, overwrite=force, remedy="add --force")
