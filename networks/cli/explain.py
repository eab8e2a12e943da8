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
    "--policy", help="Policy that explains.  [default: that of RUN if it can explain, else learned]"
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

    The worth is the expected number of new TSs + low_weight (1) × that of TSs below 300 kJ/mol
    above the start + eq_weight (0.3) × that of EQs. It begins at that of any push; each property of
    the push adds its part, an exact Shapley value, and multiplies the gradients of the search. Rows
    are sorted by their effect on the worth. What the run has found so far, and trials under way,
    multiply the worth.

    A trial is explained by what was known when it was planned. The option explore= of the policy
    learned is ignored: pushes are ranked by what is expected. The JSON object is described in
    docs/show-json.md. Needs scikit-learn and shap, see docs/policies.md.
    """
    from networks.reporting.consulting import Adviser, Consulted
    from networks.reporting.forecasts import (
        SCHEMA_VERSION,
        asked_line,
        explained_section,
        outcome_gradients,
        outcome_line,
        plain_explained,
    )

    _check(trial, count, plot, force)
    adviser = Adviser(policy or "", option_values(policy_options, "--policy-option"))
    asked = Consulted(run, adviser)
    facts: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "run": str(run)}
    explained: tuple[Explanation, ...]
    if trial is not None:
        told = asked.trial(trial)
        name, explained = told.name, (told.explained,)
        found = None if told.trial is None else list(map(str, told.trial.found))
        facts |= {"trial": trial, "found": found, "explained_by": told.by, "led_by": told.led_by}
        facts["trial_gradients"] = None if told.trial is None else outcome_gradients(told)
        last = list(filter(None, (outcome_line(told), asked_line(told))))
        heading = f"Trial {trial} of {run.name}"
    else:
        coming = asked.proposed(count or _NEXT, explaining=True)
        name, explained = coming.name, asked.explained(coming)
        facts |= {"under_way": coming.under_way}
        last = [] if explained else ["No push is left that could be chosen now."]
        heading = f"The next {len(explained)} pushes of {run.name}, mean"
        if len(explained) == 1:
            heading = f"The next push of {run.name}"
    facts |= {"policy": name, "explained": [plain_explained(each) for each in explained]}
    if plot is not None and explained:
        _draw(explained, heading, plot, force)
    if as_json:
        print_json(facts)
        return
    echo(f"{asked.molecule.name}, explained by the policy {name}", "")
    print_sections([explained_section(each) for each in explained])
    if last:
        echo(*last)
    if plot is not None and explained:
        echo(f"Written: {plot}")


def print_sections(sections: Sequence[Section]) -> None:
    """Print tables with their notes."""
    for section in sections:
        print_table(results(), section.title, section.columns, section.rows)
        echo(*section.notes, "")


def _check(trial: int | None, count: int | None, plot: Path | None, force: bool) -> None:
    """Raise InputError for options that exclude each other, or a drawing that exists."""
    from afir.io.safe_write import new_file

    if trial is not None and count is not None:
        raise InputError("--trial explains a past push and --next coming ones; give one of them")
    if count is not None and count < 1:
        raise InputError(f"--next must be 1 or more, got {count}")
    if plot is None and force:
        raise InputError("--force replaces the file of --plot; give --plot FILE too")
    if plot is not None:
        new_file(plot, option="--plot", force=force, remedy="add --force")


def _draw(explained: Sequence[Explanation], heading: str, plot: Path, force: bool) -> None:
    """Draw the groups of parts to a file, with the push and the sum if there is only one."""
    from afir.io.figures import save_figure
    from networks.reporting.bars import bars_figure
    from networks.reporting.forecasts import groups_of, sum_line

    note = ""
    if len(explained) == 1:
        expected, note = explained[0].expected, sum_line(explained[0])
        heading = f"{heading}: {expected.eq}, {expected.offer}"
    figure = bars_figure(groups_of(explained), heading, note)
    save_figure(figure, plot, overwrite=force, remedy="add --force")
