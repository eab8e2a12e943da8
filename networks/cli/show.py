"""The commands that read a run: show, export, plot; and the list of all network commands."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from afir.cli.terminal import echo, force_option, json_option, print_json
from afir.errors import InputError
from networks.cli.summary import print_end, print_sections


def commands() -> list[click.Command]:
    """The commands of this package, for the entry point."""
    from networks.cli.collect import collect
    from networks.cli.explain import explain
    from networks.cli.explore import explore, resume
    from networks.cli.learn_policy import learn_policy
    from networks.cli.propose import propose

    return [explore, resume, show, export, plot, propose, explain, learn_policy, collect]


class _Formats(click.ParamType):  # type: ignore[type-arg]  # older clicks take no argument
    """The name of a format; the help lists them, and `export` checks it."""

    name = "format"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The formats that are installed."""
        from networks.reporting.export import format_names

        return f"[{'|'.join(format_names())}]"


_NARROWEST, _WIDEST = 2.0, 200.0  # inches of a drawing
_RUN = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
_FILE = click.Path(path_type=Path)


@click.command(
    epilog="Example: afir show h2co.db --json > h2co.json", short_help="Show what a run found."
)
@_RUN
@json_option
@click.option("--job", is_flag=True, help="Print the job as a TOML file instead.")
@click.option("--limit", type=click.IntRange(min=1), help="List only the N lowest structures.")
@click.option(
    "--loops",
    is_flag=True,
    help="Also list the loops in which no bond changes.",
)
def show(run: Path, as_json: bool, job: bool, limit: int | None, loops: bool) -> None:
    """Show the structures, the network and the costs of the run RUN.

    Works during a run, too. The JSON object is described in docs/show-json.md.
    """
    from networks.jobfile import current_job, write_toml
    from networks.reporting.run import load_run
    from networks.reporting.show_json import show_object
    from networks.reporting.tables import graph_lines

    if as_json and (job or limit is not None or loops):
        raise InputError("--json shows everything: it cannot go with --job, --limit or --loops")
    loaded = load_run(run, count_pushes=not job)
    if as_json:
        print_json(show_object(loaded))
        return
    if job:
        text = write_toml(current_job(loaded.job, loaded.molecule, loaded.settings))
        echo(*text.removesuffix("\n").split("\n"))
        return
    print_sections(loaded, limit, costs=True, loops=loops)
    lines = graph_lines(loaded, loops=loops)
    if lines and limit is None:
        echo("Network, kJ/mol", "", *(f"  {line}" for line in lines), "")
    print_end(loaded, run)


@click.command(
    epilog="Example: afir export h2co.db --output h2co.graphml",
    short_help="Write a network for another program.",
)
@_RUN
@click.option(
    "--format",
    "kind",
    type=_Formats(),
    help="File format.  [default: by the suffix of --output]",
)
@click.option(
    "-o",
    "--output",
    type=_FILE,
    required=True,
    help="File to write; csv writes four: NAME.csv gives NAME_eq.csv, NAME_ts.csv, "
    "NAME_dc.csv and NAME_barrierless.csv.",
)
@force_option
def export(run: Path, kind: str | None, output: Path, force: bool) -> None:
    """Write the network of RUN for another program.

    graphml: Gephi, Cytoscape, yEd. json: node-link, for networkx. csv: four tables. extxyz:
    all structures, energies in eV. ase-db: an ASE database, energies in eV. Installed packages
    may add formats.
    """
    from networks.reporting.export import export as write
    from networks.reporting.run import load_run

    loaded = load_run(run)
    if os.path.realpath(output) == os.path.realpath(run):
        raise InputError(f"--output must be another file than the run, got {output}")
    for file in write(loaded, output, kind, overwrite=force):
        echo(f"Written: {file}")


@click.command(
    epilog="Example: afir plot h2co.db --output profile.svg --from EQ0 --to EQ3",
    short_help="Draw a network or a reaction profile.",
)
@_RUN
@click.option(
    "-o", "--output", type=_FILE, required=True, help="File to write: .png, .svg or .pdf."
)
@click.option("--from", "start", metavar="ID", help="First structure of the route, e.g. EQ0.")
@click.option("--to", "end", metavar="ID", help="Last structure of the route, e.g. EQ3 or DC0.")
@click.option(
    "--mark", is_flag=True, help="Mark the route in the whole network instead of drawing a profile."
)
@click.option("--loops", is_flag=True, help="Also draw the loops in which no bond changes.")
@click.option(
    "--width",
    metavar="LENGTH",
    help="Width of the drawing, e.g. 17cm or 7in; the font size is fixed.  [default: as wide as "
    "needed]",
)
@click.option(
    "--dpi", type=float, default=150.0, show_default=True, help="Dots per inch, for .png."
)
@force_option
def plot(
    run: Path,
    output: Path,
    start: str | None,
    end: str | None,
    mark: bool,
    loops: bool,
    width: str | None,
    dpi: float,
    force: bool,
) -> None:
    """Draw the network of RUN, or the profile along the route of lowest barrier.

    The route from --from to --to is the one whose highest transition state is lowest.
    """
    from afir.io.figures import save_figure
    from networks.graph.routes import lowest_route
    from networks.reporting.energy_diagram import network_figure, profile_figure
    from networks.reporting.run import load_run

    if (start is None) != (end is None) or (mark and start is None):
        raise click.UsageError("--from and --to go together, and --mark needs them")
    if loops and start is not None and not mark:
        raise click.UsageError("--loops goes with --from and --to only together with --mark")
    inches = None if width is None else _inches(width)
    loaded = load_run(run)
    if start is None or end is None:
        figure = network_figure(loaded, width=inches, loops=loops)
    else:
        for flag, id in (("--from", start), ("--to", end)):
            if id not in loaded.network.eqs and id not in loaded.network.dcs:
                raise InputError(f"{flag} must be an EQ or DC of {run}, got {id}")
        route = lowest_route(loaded.network, start, end)
        figure = (
            network_figure(loaded, route, inches, loops=loops)
            if mark
            else profile_figure(loaded, route, inches)
        )
    save_figure(figure, output, dpi, overwrite=force, remedy="add --force")
    echo(f"Written: {output}")


def _inches(text: str) -> float:
    """The inches of a length given in cm or inches."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(cm|in)\s*", text)
    inches = 0.0 if found is None else float(found[1]) / (2.54 if found[2] == "cm" else 1.0)
    if not _NARROWEST <= inches <= _WIDEST:
        raise InputError(
            f"--width must be a length such as 17cm or 7in, from {_NARROWEST:g} to {_WIDEST:g} in, "
            f"got {text!r}"
        )
    return inches
