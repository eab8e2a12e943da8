"""The command `afir collect`: labelled data from the geometries that runs kept."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afir.cli.terminal import (
    LiveLine,
    echo,
    messages,
    option_values,
    remark,
    surface_option_option,
)
from afir.errors import InputError
from afir.io.interrupts import exit_code, terminable
from afir.io.shell import shell_command

if TYPE_CHECKING:  # numpy is not needed for --help
    from collections.abc import Sequence

    from networks.storage.base import ReadableStore


@click.command(
    epilog="Example: afir collect h2co.db --surface gfn2 --count 400 --output h2co.extxyz",
    short_help="Label geometries of runs, to train a potential.",
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Extended XYZ file to write.",
)
@click.option(
    "--surface",
    help="Level of theory of the labels, see `afir surfaces`.  [default: that of the runs]",
)
@surface_option_option
@click.option(
    "--count", type=int, default=400, show_default=True, help="Number of geometries to label."
)
@click.option(
    "--stages",
    metavar="LIST",
    help="Use only geometries of these stages, e.g. push,path,saddle,irc.  [default: all]",
)
@click.option(
    "--ceiling",
    type=float,
    default=1500.0,
    show_default=True,
    help="Use only geometries up to this energy above the lowest, in kJ/mol.",
)
@click.option(
    "--by-chance",
    type=int,
    metavar="SEED",
    help="Choose geometries at random instead of the most different ones.",
)
@click.option(
    "--workers", type=int, default=1, show_default=True, help="Number of worker processes."
)
def collect(
    runs: tuple[Path, ...],
    output: Path,
    surface: str | None,
    surface_options: tuple[str, ...],
    count: int,
    stages: str | None,
    ceiling: float,
    by_chance: int | None,
    workers: int,
) -> int:
    """Choose geometries from the runs RUN..., label them, and write extended XYZ.

    The runs must have been made with --keep-frames, all of one molecule. Geometries are chosen to
    be as different as possible, or at random with --by-chance. Labels are saved as they come:
    repeat a command that was stopped to continue it.
    """
    from afir.io.safe_write import new_file
    from afir.pes.loading import load_surface
    from afir.pes.named import Named, check_named
    from afir.pes.surface import traits_of
    from afir.units import KJ_PER_MOL
    from networks.execution.base import Executor
    from networks.execution.context import Bench
    from networks.execution.local import SerialExecutor
    from networks.execution.processes import ProcessExecutor
    from networks.execution.tasks import Labelled
    from networks.exploration.run import open_run
    from networks.learning.sampling import label, pool, random_choice, spread_out, write_frames

    if workers < 1:
        raise InputError(f"--workers must be 1 or more, got {workers}")
    if not ceiling > 0:
        raise InputError(f"--ceiling must be positive, got {ceiling}")
    with ExitStack() as opened:
        stores = [opened.enter_context(open_run(run)) for run in runs]
        _check_alike(stores)
        first = stores[0]
        options: dict[str, Any] = option_values(surface_options, "--surface-option")
        if surface is None:
            surface = first.settings.surface
            options = {**first.settings.surface_options, **options}
            labelling = Named(surface, options)
            check_named(labelling, [], where=str(runs[0]), how=labelling.flags("surface"))
        built = load_surface(surface, first.molecule, **options)  # errors come early
        if doubt := traits_of(built).doubt:
            remark(f"Warning: {doubt}")
        names = [run.stem for run in runs]
        if len(set(names)) < len(names):
            names = [str(run) for run in runs]
        found = pool(
            first.molecule,
            [(name, store.frames()) for name, store in zip(names, stores, strict=True)],
            stages=None if stages is None else [name.strip() for name in stages.split(",")],
            ceiling=ceiling * KJ_PER_MOL,
        )
    if by_chance is None:
        chosen = spread_out(found, count)
    else:
        chosen = random_choice(found, count, by_chance)
    new_file(output)  # after all else: an existing file hides no other mistake
    sources = len({found.groups[index] for index in chosen})
    fewer = "" if len(chosen) in (count, len(found)) else "; the others are too similar"
    echo(
        f"Labelling {len(chosen)} of {len(found)} geometries of {first.molecule.name} from "
        f"{sources} trials (the start counts as one) on {surface}{fewer}",
        err=True,
    )
    bench = Bench(first.molecule, surface, options)
    executor: Executor = SerialExecutor(bench) if workers == 1 else ProcessExecutor(bench, workers)
    partial = output.with_name(f"{output.name}.partial")
    labels: dict[int, Labelled] = {}
    failures: list[str] = []
    try:
        with terminable(), LiveLine(messages(), "labelling") as line:
            for done, (index, value) in enumerate(
                label(found, chosen, executor, partial, surface, options), start=1
            ):
                if isinstance(value, str):
                    failures.append(value)
                else:
                    labels[index] = value
                line.show(f"{done} of {len(chosen)} labelled")
    except KeyboardInterrupt as stop:
        remark(f"Stopped: the labels so far are in {partial}; repeat the command to continue.")
        return exit_code(stop)
    finally:
        executor.close()
    if not labels:
        raise InputError(
            f"the surface {surface} labelled none of the geometries; first error: {failures[0]}"
        )
    write_frames(output, found, labels, surface, options)
    partial.unlink()
    echo(f"Written: {output} ({len(labels)} frames)")
    if failures:
        remark(
            f"The surface failed for {len(failures)} geometries, which are left out; first error: "
            f"{failures[0]}"
        )
    training = shell_command("afir", "train", output, "--output", "MODEL")
    echo(
        f"{training} trains a potential on it; --base SURFACE trains a correction of a cheaper "
        "surface, which needs fewer labels."
    )
    return 0


def _check_alike(stores: Sequence[ReadableStore]) -> None:
    """Raise InputError unless runs are of one molecule, on one surface, and hold frames."""
    from networks.learning.models import folder_of

    first = stores[0]
    for store in stores:
        run = store.path
        if store.molecule != first.molecule:
            raise InputError(
                f"all runs must be of one molecule, {first.path} is of {first.molecule.name} and "
                f"{run} of {store.molecule.name} or with its atoms in another order"
            )
        if (on := store.settings.searched) != first.settings.searched:
            raise InputError(
                f"all runs must be on one surface, {first.path} is on {first.settings.surface} and "
                f"{run} on {on[0]} or with other options; collect from each by itself"
            )
        if store.settings.learn:
            raise InputError(
                f"{run} was made with --learn, its labels are in {folder_of(run) / 'labels.extxyz'}"
            )
        if not store.settings.keep_frames:
            raise InputError(f"{run} must hold frames; make it with `afir explore --keep-frames`")
