"""The commands `afir explore` and `afir resume`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from afir.cli.terminal import (
    LiveLine,
    echo,
    messages,
    remark,
    state_options,
    surface_option_option,
)
from afir.errors import InputError, StoppedError, renamed
from afir.io.interrupts import exit_code, terminable
from afir.io.shell import shell_command
from networks.cli.arguments import (
    changes_of,
    led_by,
    merged_values,
    named_executor,
    named_surfaces,
    naming_job_file,
    of_options,
    workers_of,
)
from networks.cli.summary import print_end, print_sections
from networks.numbers import NUMBERS

if TYPE_CHECKING:  # numpy is not needed for --help
    from collections.abc import Iterator

    from afir.molecule import Molecule, Positions
    from networks.cli.progress import Tally
    from networks.exploration.events import Event
    from networks.jobfile import Job
    from networks.reporting.run import Run
    from networks.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN = 15  # rows of each table after a run
_STRUCTURES = (".xyz", ".extxyz")  # suffixes of structures, not of run files
_FILE = click.Path(path_type=Path)


def _numbers(*names: str) -> Callable[[F], F]:
    """Gives a command the options of these numbers, in the order of the table."""

    def decorated(command: F) -> F:
        for number in reversed(NUMBERS):
            if number.name in names:
                default = "" if number.default is None else f"  [default: {number.default:g}]"
                option = click.option(number.flag, metavar="N", help=number.help + default)
                command = option(command)
        return command

    return decorated


_limits = _numbers(*(number.name for number in NUMBERS if number.resumed))


_reference_options = click.option(
    "--reference-option",
    "reference_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set an option of the reference. Repeatable.",
)


_executor_options = click.option(
    "--executor-option",
    "executor_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set an option of the executor. Repeatable.",
)


def _one_job(context: click.Context, _: click.Parameter, files: tuple[Path, ...]) -> Path | None:
    if len(files) > 1:
        raise click.UsageError(f"--job must be one file, got {len(files)}", context)
    return files[0] if files else None


@click.command(
    epilog="Example: afir explore h2co.xyz --surface gfn2 --gamma 1000 --seed 7 --workers 2 "
    "--output h2co.db",
    short_help="Explore the reaction paths of a molecule.",
)
@click.argument("input", metavar="[IN]", required=False)
@click.option(
    "--job",
    type=_FILE,
    multiple=True,  # so that a second one is not dropped
    callback=_one_job,
    help="Read options from a TOML file; flags override it.",
)
@click.option("-o", "--output", help="Run file to create.  [default: IN with .db]")
@click.option("--surface", help="Level of theory, see `afir surfaces`.  [default: gfn2]")
@surface_option_option
@click.option(
    "--reference",
    metavar="SURFACE",
    help="Level of theory to verify and report what --surface finds, e.g. dft.  "
    "[default: that of --surface]",
)
@_reference_options
@click.option(
    "--learn/--no-learn",
    default=None,
    help="Learn the difference between --surface and --reference, and search with it.  "
    "[default: do not]",
)
@click.option(
    "--learner",
    metavar="NAME",
    help="Model for --learn: gaussian (Gaussian process, for small molecules), delta (neural "
    "networks, for any) or auto (gaussian where possible).  [default: auto]",
)
@state_options
@click.option(
    "--gamma",
    type=float,
    help="Strongest push, γ in kJ/mol: about 2.5 times the highest barrier of interest.  "
    "[default: 2.5 times --window, at most 1000]",
)
@_numbers("seed", "in_flight")
@click.option("--workers", type=int, help="Number of workers.  [default: 1]")
@click.option(
    "--executor",
    metavar="NAME",
    help="Where the searches are done: serial or batched (in this process), processes, or dask (a "
    "cluster).  [default: batched with 1 worker, else processes]",
)
@_executor_options
@click.option(
    "--method",
    "methods",
    metavar="NAME[,NAME]",
    help="What is tried on a structure: mode-following (climbs of normal modes), inversion (of "
    "atoms), sc-afir (pushes), kick (random geometries) or those of other packages.  "
    "[default: these four]",
)
@click.option(
    "--method-option",
    "method_options",
    multiple=True,
    metavar="NAME.KEY=VALUE",
    help="Set an option of a method, e.g. sc-afir.cap=32. Repeatable.",
)
@click.option(
    "--policy",
    help="Order of the pushes: learned (those expected to find most per gradient, by what other "
    "runs and this one have found), lowest-energy, exhaustive (in the order of discovery) or "
    "stochastic (EQs drawn with exp(-E/kT)).  [default: learned]",
)
@click.option(
    "--policy-option",
    "policy_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set an option of the policy: learned has model=FILE, explore=greedy, low_weight=1, "
    "eq_weight=0.3 (docs/policies.md), exhaustive per_eq=16, stochastic temperature=2000 (K). "
    "Repeatable.",
)
@click.option(
    "--target-atoms",
    metavar="LIST",
    help="Push and pull only these atoms against each other, e.g. 0,2,5-8 (counted from 0); a "
    "single atom against all others.  [default: all]",
)
@click.option("--terms", type=int, help="Maximum number of forces in a push.  [default: 2]")
@_limits
@click.option(
    "--wanted", metavar="FILE", help="Stop when the structure in this file has been found."
)
@click.option(
    "--expand-complexes/--keep-complexes",
    default=None,
    help="Push complexes of several molecules too.  [default: do not]",
)
@click.option(
    "--effort",
    help="How much to try before the run ends by itself: quick, normal or thorough.  "
    "[default: normal]",
)
@_numbers("attempts", "gamma_max")
@click.option(
    "--keep-frames/--no-frames",
    default=None,
    help="Keep every evaluated geometry, for `afir collect`.  [default: do not]",
)
@naming_job_file
def explore(job: Path | None, **flags: Any) -> int:
    """Explore the reaction paths that start from the structure IN.

    All results are written to one run file as they come: a run may be stopped or killed at any
    time, and `afir resume` continues it. The same seed gives the same network with any number of
    worker processes.

    Limits are checked before each trial, and trials that are under way are finished: a run may
    exceed a limit a little. --max-trials is exact.
    """
    from afir.io.safe_write import new_file
    from afir.pes.named import Named
    from networks.cli.progress import Tally
    from networks.execution.registry import executor_factory
    from networks.exploration.run import begin, check_start
    from networks.jobfile import KEY_OF, job_from, read_job_file, resolved_job, write_toml
    from networks.policies.base import load_policy
    from networks.trusted import check_executor, check_trusted

    if flags.get("reference") == "":
        raise InputError("--reference must be the name of a surface, got ''")
    asked = job_from(merged_values(read_job_file(job) if job is not None else {}, flags))
    if asked.executor is None and flags["executor_options"]:
        raise InputError("--executor-option must go with --executor")
    if job is not None:
        check_trusted(asked.settings, named_surfaces(flags), job)
        if asked.executor is not None:
            found = Named(asked.executor, asked.executor_options)
            check_executor(found, named_executor(flags), job)
    output = asked.output or Path(f"{asked.input.stem}.db")
    if output.suffix.lower() in _STRUCTURES:
        raise InputError(
            f"`output` must be a run file such as {output.with_suffix('.db')}, got {output}; "
            f"`afir export` writes structures of a run"
        )
    molecule, positions, settings = _read(asked)
    with of_options("executor", asked.executor_options):
        make = executor_factory(asked.executor, asked.workers, asked.executor_options)
    _try_surfaces(settings, molecule)
    with of_options("policy", settings.policy_options):
        load_policy(settings.policy, settings.policy_options)
    with renamed(KEY_OF):
        check_start(molecule, positions, settings)
    # After all else: an existing file hides no other mistake.
    new_file(output, remedy=f"continue it with {shell_command('afir', 'resume', output)}")
    resolved = write_toml(resolved_job(asked, molecule))
    events = begin(molecule, positions, settings, output, make, job=resolved)
    gamma, factor = settings.step.gamma, settings.tried.gamma_factor
    harder = f" ({factor * gamma:g} at the end)" if factor > 1.0 else ""
    echo(
        f"Exploring {molecule.name} on {_surfaces(settings)} with γ up to {gamma:g} kJ/mol{harder}"
        f"{led_by(settings)}, run file {output}",
        err=True,
    )
    _tell_executor(asked.executor)
    return _follow(events, output, settings, resolved, Tally(molecule, None, settings.reference))


@click.command(epilog="Example: afir resume h2co.db --max-trials 500", short_help="Continue a run.")
@click.argument("run", metavar="RUN", type=_FILE)
@click.option("--workers", type=int, help="Number of workers.  [default: as before]")
@click.option(
    "--executor",
    metavar="NAME",
    help="Where the searches are done, see `afir explore --help`; required, with its options, if "
    "RUN names one with options.  [default: as before]",
)
@_executor_options
@click.option(
    "--surface",
    help="Level of theory of the run; required if it runs code from outside, as `ase:` does.  "
    "[default: from RUN]",
)
@surface_option_option
@click.option("--reference", metavar="SURFACE", help="The same for the reference of the run.")
@_reference_options
@click.option("--policy", help="Continue with another policy, see `afir explore --help`.")
@click.option(
    "--policy-option",
    "policy_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set an option of the policy, beside those of the run. Repeatable.",
)
@_limits
def resume(
    run: Path,
    workers: int | None,
    executor: str | None,
    executor_options: tuple[str, ...],
    **flags: Any,
) -> int:
    """Continue the run RUN after it was stopped, interrupted or killed.

    New limits replace the old ones and count from the beginning of the run; `none` removes one.
    Pushes made with a narrower window are not repeated: a new run with the wider window finds
    more. A new policy chooses from now on; trials that were under way go on.
    """
    from networks.cli.progress import Tally
    from networks.execution.registry import executor_factory
    from networks.exploration.run import resume as resumption
    from networks.jobfile import KEY_OF
    from networks.reporting.run import load_run
    from networks.trusted import check_same, check_trusted

    before = load_run(run)
    for kind in ("surface", "reference"):
        if flags[f"{kind}_options"] and not flags[kind]:
            raise InputError(
                f"--{kind}-option must go with --{kind}, also where {run} names the {kind}"
            )
    trusted = named_surfaces(flags)
    check_same(before.settings, trusted, run)
    check_trusted(before.settings, trusted, run)
    hands = workers_of(before.job, run, workers, executor, executor_options)
    # Before anything is printed; `networks.resume` checks them, too.
    with of_options("executor", hands["executor_options"]):
        executor_factory(hands["executor"], hands["workers"], hands["executor_options"])
    _try_surfaces(before.settings, before.molecule)
    start = before.network.eqs.get("EQ0")
    changes = changes_of(flags)
    policy = of_options("policy", changes.get("policy_options", {}))
    try:
        line = LiveLine(messages(), "rechecking the energy of EQ0")
        with renamed(KEY_OF), policy, terminable(), line:
            events = resumption(run, **hands, trusted=trusted, **changes)
    except KeyboardInterrupt as stop:
        echo(_how_to_go_on(run, before.settings, before.job), err=True)
        return exit_code(stop)
    zero = None if start is None else start.energy
    tally = Tally(before.molecule, zero, before.settings.reference)
    _tell_executor(hands["executor"])
    return _follow(events, run, before.settings, before.job, tally, before)


def _try_surfaces(settings: Settings, molecule: Molecule) -> None:
    """Load the surfaces of a run once, so that errors and doubts are reported before the run."""
    from afir.pes.loading import load_surface
    from afir.pes.surface import traits_of
    from networks.trusted import surfaces

    loaded = []
    for flag, surface in surfaces(settings).items():
        with renamed({"surface": flag}), of_options(flag, surface.options):
            loaded.append(load_surface(surface.name, molecule, **surface.options))
    for each in loaded:
        if doubt := traits_of(each).doubt:
            remark(f"Warning: {doubt}")


def _tell_executor(name: str | None) -> None:
    """Print that an executor that was chosen is waited for: it may have to connect or to queue."""
    if name is not None:
        echo(f"Starting the executor {name}", err=True)


def _surfaces(settings: Settings) -> str:
    """The surfaces of a run in words: the reported one first."""
    if not settings.reference:
        return settings.surface
    learned = " with a learned correction" if settings.learn else ""
    return f"{settings.reference}, searching on {settings.surface}{learned},"


def _read(job: Job) -> tuple[Molecule, Positions, Settings]:
    """The molecule, the start and the settings of a job, wanted product included."""
    from afir.io.structures import read_structure

    molecule, positions = read_structure(
        job.input, charge=job.charge, multiplicity=job.multiplicity
    )
    if molecule.n_atoms < 2:
        raise InputError(f"{job.input} holds one atom; it has no reactions to explore")
    if job.wanted is None:
        return molecule, positions, job.settings
    product, found = read_structure(
        job.wanted, charge=molecule.charge, multiplicity=molecule.multiplicity
    )
    if sorted(product.numbers) != sorted(molecule.numbers):
        raise InputError(
            f"`wanted` must have the atoms of {molecule.formula}, got {product.formula} in "
            f"{job.wanted}"
        )
    # Structures are compared whatever the order of like atoms: only the elements must line up.
    left = list(range(product.n_atoms))
    order = []
    for number in molecule.numbers:
        order.append(next(index for index in left if product.numbers[index] == number))
        left.remove(order[-1])
    coordinates = tuple((float(x), float(y), float(z)) for x, y, z in found[order])
    return molecule, positions, replace(job.settings, wanted=coordinates)


def _how_to_go_on(run: Path, settings: Settings, job: str) -> str:
    """How to continue a run that was stopped, in a sentence."""
    from networks.jobfile import stored_job
    from networks.trusted import repeated

    again = shell_command("afir", "resume", run, *repeated(settings, stored_job(job)))
    found = shell_command("afir", "show", run)
    return f"Stopped. Nothing is lost: {again} continues, {found} lists what was found so far."


def _follow(
    events: Iterator[Event],
    path: Path,
    settings: Settings,
    job: str,
    tally: Tally,
    before: Run | None = None,
) -> int:
    """Show a run until it ends, then print its results; returns the exit code, 1 if all failed.

    Ctrl-C, SIGTERM and an executor that is gone lose nothing. `before` is the run as it was: if
    nothing changed, a line says so.
    """
    from networks.cli.progress import watch
    from networks.reporting.advice import nothing_done
    from networks.reporting.run import load_run

    try:
        with terminable():
            watch(events, LiveLine(messages(), tally.line()), tally)
    except KeyboardInterrupt as stop:
        if isinstance(events, Generator):
            events.close()
        echo(_how_to_go_on(path, settings, job), err=True)
        return exit_code(stop)
    except StoppedError as error:
        error.add_note(_how_to_go_on(path, settings, job))
        raise
    loaded = load_run(path, count_pushes=True)
    print_sections(loaded, _SHOWN, costs=False)
    if before is not None:
        # Another limit may be the reason now, and that took a moment to see.
        now = replace(loaded.summary, seconds=before.summary.seconds)
        if replace(now, complete=before.summary.complete) == before.summary:
            echo(nothing_done(loaded))
    print_end(loaded, path)
    return 1 if loaded.failure else 0
