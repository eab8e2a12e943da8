"""The commands `afir explore` and `afir resume`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from afir.errors import InputError
from afir.interrupts import exit_code, terminable
from afir.shell import shell_command
from afir.terminal import (
    LiveLine,
    echo,
    messages,
    option_values,
    remark,
    state_options,
    surface_option_option,
)
from networks.arguments import limit_of, merged_values, named_surfaces
from networks.summary import print_end, print_sections

if TYPE_CHECKING:  # numpy is not needed for --help
    from collections.abc import Iterator

    from afir.molecule import Molecule, Positions
    from networks.display import Tally
    from networks.events import Event
    from networks.jobfile import Job
    from networks.report import Run
    from networks.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN = 15  # structures of a kind in the summary after a run
_STRUCTURES = (".xyz", ".extxyz")  # suffixes that promise something else than a run file
_FILE = click.Path(path_type=Path)


def _limits(command: F) -> F:
    """The options of `explore` and `resume` that say when to stop; ``none`` takes one away."""
    for flag, meaning in (
        ("--task-seconds", "Give a task up after this long.  [default: 1800]"),
        ("--patience", "Stop after so many trials in a row that brought nothing new."),
        ("--max-seconds", "Stop after this wall time."),
        ("--max-gradients", "Stop after so many gradients; of the reference, where there is one."),
        ("--max-trials", "Stop after so many trials."),
        (
            "--bond-depth",
            "Do not push structures that differ from the start by more bonds than this.",
        ),
        (
            "--window",
            "Do not push structures higher than this above the start, and ignore transition "
            "states above it, in kJ/mol. With --reference, what pushes lead to above it is left "
            "alone too, judged on --surface with 30 to spare: choose it wider by what both differ.",
        ),
    ):
        command = click.option(flag, metavar="N", help=meaning)(command)
    return command


_reference_options = click.option(
    "--reference-option",
    "reference_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the reference. Repeatable.",
)


@click.command(
    epilog="Example: afir explore h2co.xyz --surface gfn2 --gamma 1000 --seed 7 --workers 2 "
    "--output h2co.db",
    short_help="Explore the reaction paths of a molecule.",
)
@click.argument("input", metavar="[IN]", required=False)
@click.option("--job", type=_FILE, help="A TOML file with any of these options; flags win.")
@click.option("-o", "--output", help="The run file to make.  [default: IN with .db]")
@click.option("--surface", help="The surface, see `afir surfaces`.  [default: gfn2]")
@surface_option_option
@click.option(
    "--reference",
    metavar="SURFACE",
    help="The surface to examine and report everything on that was found on --surface, e.g. dft."
    "  [default: --surface itself]",
)
@_reference_options
@click.option(
    "--learn/--no-learn",
    default=None,
    help="Learn on the way what separates --surface from the reference, and search with it.  "
    "[default: do not]",
)
@click.option(
    "--learner",
    metavar="NAME",
    help="What learns: gaussian (a Gaussian process, for small molecules), delta (networks, for "
    "any) or auto (gaussian where it can).  [default: auto]",
)
@state_options
@click.option(
    "--gamma",
    type=float,
    help="The hardest push, γ in kJ/mol: about 2.5 times the highest barrier of interest.  "
    "[default: 2.5 times --window, at most 1000]",
)
@click.option("--seed", type=int, help="For every random choice.  [default: 0]")
@click.option("--workers", type=int, help="Worker processes.  [default: 1]")
@click.option(
    "--policy",
    help="What to push next: productive (what has brought most for its gradients so far), "
    "lowest-energy, exhaustive (in the order of discovery) or stochastic (EQs drawn with "
    "exp(-E/kT)).  [default: productive]",
)
@click.option(
    "--policy-option",
    "policy_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the policy; stochastic has temperature=2000 (K). Repeatable.",
)
@click.option(
    "--target-atoms",
    metavar="LIST",
    help="Push and pull these atoms among themselves, e.g. 0,2,5-8 (counting from 0); a single one "
    "with all others.  [default: all]",
)
@click.option("--terms", type=int, help="The most forces at once in a push.  [default: 2]")
@_limits
@click.option(
    "--wanted", metavar="FILE", help="Stop when the structure in this file has been found."
)
@click.option(
    "--expand-complexes/--keep-complexes",
    default=None,
    help="Push complexes of several molecules too.  [default: keep them as they are]",
)
@click.option(
    "--effort",
    help="How much is tried before the run ends by itself: quick, normal or thorough.  "
    "[default: normal]",
)
@click.option(
    "--attempts",
    type=int,
    help="How often a push that crosses a barrier without a saddle point is tried at most, once "
    "nothing new is left; with --reference every push is, and again on what --learn has learned.  "
    "[default: by effort 1, 1, 3; 3 with --reference]",
)
@click.option(
    "--gamma-max",
    type=float,
    help="In the end pushes that crossed nothing are tried again, twice as hard each time, up to "
    "this γ in kJ/mol.  [default: by effort 1, 2, 4 times --gamma]",
)
@click.option(
    "--keep-frames/--no-frames",
    default=None,
    help="Keep every geometry that is evaluated, for `afir collect`.  [default: do not]",
)
def explore(job: Path | None, **flags: Any) -> int:
    """Explore the reaction paths that start from the structure IN.

    Everything found goes into one run file at once: a run may be stopped or killed at any time,
    and `afir resume` goes on. The same seed gives the same network with any number of workers.

    Limits are looked at between rounds of 16 pushes, so a run may go past one by up to a round;
    --max-trials is kept to.
    """
    from afir.files import new_file
    from networks.display import Tally
    from networks.explorer import explore as exploration
    from networks.jobfile import job_from, read_job_file, resolved_job, write_toml
    from networks.trusted import check_trusted

    if flags.get("reference") == "":
        raise InputError("--reference must be the name of a surface, got ''")
    asked = job_from(merged_values(read_job_file(job) if job is not None else {}, flags))
    if job is not None:
        check_trusted(asked.settings, named_surfaces(flags), job)
    output = asked.output or Path(f"{asked.input.stem}.db")
    if output.suffix.lower() in _STRUCTURES:
        raise InputError(
            f"--output must be a run file such as {output.with_suffix('.db')}, got {output}; "
            f"`afir export` writes structures of a run"
        )
    new_file(output, remedy=f"go on with it by {shell_command('afir', 'resume', output)}")
    molecule, positions, settings = _read(asked)
    _try_surfaces(settings, molecule)
    resolved = write_toml(resolved_job(asked, molecule))
    events = exploration(molecule, positions, settings, output, workers=asked.workers, job=resolved)
    gamma, factor = settings.step.gamma, settings.tried.gamma_factor
    harder = f" and in the end {factor * gamma:g}" if factor > 1.0 else ""
    echo(
        f"Exploring {molecule.name} on {_surfaces(settings)} with γ up to {gamma:g}{harder} "
        f"kJ/mol, into {output}",
        err=True,
    )
    return _follow(events, output, settings, Tally(molecule, None, settings.reference))


@click.command(
    epilog="Example: afir resume h2co.db --max-trials 500", short_help="Go on with a run."
)
@click.argument("run", metavar="RUN", type=_FILE)
@click.option("--workers", type=int, help="Worker processes.  [default: as before]")
@click.option(
    "--surface",
    help="The surface of the run; needed where it runs code from outside, as `ase:` does.  "
    "[default: what RUN says]",
)
@surface_option_option
@click.option("--reference", metavar="SURFACE", help="The same of the reference of the run.")
@_reference_options
@click.option("--policy", help="Another policy to go on with, see `afir explore --help`.")
@click.option(
    "--policy-option",
    "policy_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the policy. Repeatable.",
)
@_limits
def resume(
    run: Path,
    workers: int | None,
    surface: str | None,
    surface_options: tuple[str, ...],
    reference: str | None,
    reference_options: tuple[str, ...],
    window: str | None,
    bond_depth: str | None,
    max_trials: str | None,
    max_gradients: str | None,
    max_seconds: str | None,
    patience: str | None,
    task_seconds: str | None,
    policy: str | None,
    policy_options: tuple[str, ...],
) -> int:
    """Go on with the run RUN that was stopped, interrupted or killed.

    Limits replace the old ones and count from the beginning of the run; `none` takes one away.
    They are looked at between rounds of 16 pushes. What was pushed below a narrower window is not
    pushed again: a new run with the wider one finds more. Another policy chooses from the next
    round on.
    """
    from networks.display import Tally
    from networks.explorer import resume as resumption
    from networks.jobfile import stored_job
    from networks.report import load_run
    from networks.settings import KEEP
    from networks.trusted import check_same, check_trusted

    def changed(key: str, text: str | None) -> Any:
        return KEEP if text is None else limit_of(key, text)

    before = load_run(run)
    given = {
        "surface": surface,
        "surface_options": surface_options,
        "reference": reference,
        "reference_options": reference_options,
    }
    for kind in ("surface", "reference"):
        if given[f"{kind}_options"] and not given[kind]:
            raise InputError(f"--{kind}-option must go with --{kind} here")
    trusted = named_surfaces(given)
    check_same(before.settings, trusted, run)
    check_trusted(before.settings, trusted, run)
    _try_surfaces(before.settings, before.molecule)
    start = before.network.eqs.get("EQ0")
    as_before = stored_job(before.job).get("workers", 1)
    try:
        with terminable(), LiveLine(messages(), "asking the surface for EQ0 once more"):
            events = resumption(
                run,
                workers=as_before if workers is None else workers,
                window_kj_mol=changed("window", window),
                bond_depth=changed("bond_depth", bond_depth),
                max_trials=changed("max_trials", max_trials),
                max_gradients=changed("max_gradients", max_gradients),
                max_seconds=changed("max_seconds", max_seconds),
                patience=changed("patience", patience),
                task_seconds=changed("task_seconds", task_seconds),
                trusted=trusted,
                policy=KEEP if policy is None else policy,
                policy_options=(
                    option_values(policy_options, "--policy-option") if policy_options else KEEP
                ),
            )
    except KeyboardInterrupt as stop:
        return _stopped(run, before.settings, stop)
    zero = None if start is None else start.energy
    tally = Tally(before.molecule, zero, before.settings.reference)
    return _follow(events, run, before.settings, tally, before)


def _try_surfaces(settings: Settings, molecule: Molecule) -> None:
    """Load the surfaces of a run once: what is wrong is said early, and so is what is doubtful."""
    from afir.surface import doubt_of, load_surface

    name, options = settings.searched
    surfaces = [load_surface(name, molecule, **options)]
    if settings.reference:
        try:
            name, options = settings.reported
            surfaces.append(load_surface(name, molecule, **options))
        except InputError as error:
            raise type(error)(str(error).replace("`surface`", "`reference`")) from error
    for doubt in filter(None, map(doubt_of, surfaces)):
        remark(f"Warning: {doubt}")


def _surfaces(settings: Settings) -> str:
    """What is searched on, and what examines what is found."""
    if not settings.reference:
        return settings.surface
    learned = " and what is learned" if settings.learn else ""
    return f"{settings.reference}, searching on {settings.surface}{learned},"


def _read(job: Job) -> tuple[Molecule, Positions, Settings]:
    """The molecule, the start and the settings of a job, wanted product included."""
    from afir.structures import read_structure

    molecule, positions = read_structure(
        job.input, charge=job.charge, multiplicity=job.multiplicity
    )
    if molecule.n_atoms < 2:
        raise InputError(f"{job.input} holds one atom; there is no reaction to look for")
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
    # Identity does not depend on which like atom is which, only the elements must line up.
    left = list(range(product.n_atoms))
    order = []
    for number in molecule.numbers:
        order.append(next(index for index in left if product.numbers[index] == number))
        left.remove(order[-1])
    coordinates = tuple((float(x), float(y), float(z)) for x, y, z in found[order])
    return molecule, positions, replace(job.settings, wanted=coordinates)


def _stopped(run: Path, settings: Settings, stop: KeyboardInterrupt) -> int:
    """Say that a run can go on; the exit code."""
    from networks.trusted import repeated

    again = shell_command("afir", "resume", run, *repeated(settings))
    found = shell_command("afir", "show", run)
    echo(
        f"Stopped. Nothing is lost: {again} goes on, {found} tells what was found so far.", err=True
    )
    return exit_code(stop)


def _follow(
    events: Iterator[Event],
    path: Path,
    settings: Settings,
    tally: Tally,
    before: Run | None = None,
) -> int:
    """Show a run until it ends, then sum up; Ctrl-C and SIGTERM lose nothing and say so.

    Where it is the run it was `before`, that is said.
    """
    from networks.display import watch
    from networks.report import load_run

    try:
        with terminable():
            watch(events, LiveLine(messages(), tally.line()), tally)
    except KeyboardInterrupt as stop:
        if isinstance(events, Generator):
            events.close()
        return _stopped(path, settings, stop)
    loaded = load_run(path, count_pushes=True)
    print_sections(loaded, _SHOWN, costs=False)
    if before is not None and replace(before.summary, seconds=0.0) == replace(
        loaded.summary, seconds=0.0
    ):
        left = loaded.summary.complete.anything_left
        more = "" if left else ", and other limits leave nothing more to try"
        echo(f"Nothing was done: the run had ended like this before{more}.")
    print_end(loaded, path)
    return 0
