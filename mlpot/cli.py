"""The commands for learned surfaces: train, test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afir.cli.terminal import (
    LiveLine,
    echo,
    json_option,
    messages,
    option_values,
    print_json,
    print_table,
    remark,
    results,
)
from afir.errors import InputError, renamed
from afir.io.interrupts import exit_code, terminable
from afir.io.shell import shell_command

if TYPE_CHECKING:
    from mlpot.neural.calibration import Trust
    from mlpot.neural.potential import Potential
    from mlpot.neural.training import Progress
    from mlpot.report import Errors

_FILE = click.Path(path_type=Path)
_MEV = 1000.0  # meV in eV


def commands() -> list[click.Command]:
    """The commands of this package, for the entry point."""
    return [train, test]


@click.command(
    epilog="Example: afir train h2co.extxyz --base gfn1 --networks 4 --output h2co.model",
    short_help="Train a potential on labelled geometries.",
)
@click.argument("data", metavar="DATA", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="File to write the potential to.")
@click.option(
    "--base", default="", help="Base surface: train on the difference from it (Δ-learning)."
)
@click.option(
    "--base-option",
    "base_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the base surface, see `afir surfaces`. Repeatable.",
)
@click.option(
    "--start",
    type=_FILE,
    help="Pretrained potential to fine-tune; its architecture is kept. It may be of another level "
    "of theory: one pretrained on many cheap labels needs fewer new ones.",
)
@click.option("--representation", help="Network architecture: painn or schnet.  [default: painn]")
@click.option("--features", type=int, help="Features per atom.  [default: 64]")
@click.option("--interactions", type=int, help="Interaction layers.  [default: 3]")
@click.option(
    "--cutoff",
    type=float,
    help="Cutoff radius in Å.  [default: 5, with --base 3.5]",
)
@click.option("--radial", type=int, help="Radial basis functions.  [default: 20, with --base 8]")
@click.option(
    "--networks",
    type=int,
    help="Number of networks in the committee (ensemble); their spread estimates the error.  "
    "[default: 1, or as in --start]",
)
@click.option(
    "--share",
    type=float,
    default=1.0,
    show_default=True,
    help="Fraction of the trials that each network of a committee trains on, drawn at random for "
    "each. Below 1 the spread ranks errors better.",
)
@click.option(
    "--epochs",
    type=int,
    default=80,
    show_default=True,
    help="Epochs (passes over the training set), more if --fewest-steps requires it.",
)
@click.option(
    "--fewest-steps",
    type=int,
    default=4000,
    show_default=True,
    help="Minimum number of optimiser steps.",
)
@click.option(
    "--rate",
    type=float,
    default=5e-3,
    show_default=True,
    help="Learning rate: the maximum of the one-cycle schedule.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@click.option(
    "--validation",
    type=float,
    default=0.1,
    show_default=True,
    help="Validation fraction, for early stopping.",
)
@click.option(
    "--test",
    "held_out",
    type=float,
    default=0.1,
    show_default=True,
    help="Test fraction, for the reported errors.",
)
@click.option("--device", default="cpu", show_default=True, help="Device: cpu or cuda.")
@json_option
def train(
    data: Path,
    output: Path,
    base: str,
    base_options: tuple[str, ...],
    start: Path | None,
    representation: str | None,
    features: int | None,
    interactions: int | None,
    cutoff: float | None,
    radial: int | None,
    networks: int | None,
    share: float,
    epochs: int,
    fewest_steps: int,
    rate: float,
    seed: int,
    validation: float,
    held_out: float,
    device: str,
    as_json: bool,
) -> int:
    """Train a potential on the labelled geometries in DATA, as `afir collect` writes them.

    Frames are split by trial: training, validation and test frames share no trial. The trained
    surface is learned:MODEL, or delta:MODEL with --base.
    """
    from mlpot.packages import require

    require()
    from afir.io.safe_write import new_file, writing
    from afir.pes.loading import load_surface
    from afir.pes.surface import traits_of
    from mlpot.dataset import read_dataset
    from mlpot.neural.architecture import CORRECTION, WHOLE, Architecture
    from mlpot.neural.calibration import trust
    from mlpot.neural.potential import load_potential
    from mlpot.neural.recipe import Recipe, make
    from mlpot.neural.training import Training
    from mlpot.report import judge

    new_file(output)
    before = None if start is None else load_potential(start)
    asked = {
        "representation": representation,
        "features": features,
        "interactions": interactions,
        "cutoff": cutoff,
        "radial": radial,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if before is not None and given:
        raise InputError(f"--start keeps its architecture, got --{next(iter(given))} too")
    usual = before.description.architecture if before else CORRECTION if base else WHOLE
    recipe = Recipe(
        Architecture.from_dict(usual.to_dict() | given),
        Training(epochs=epochs, fewest_steps=fewest_steps, rate=rate, share=share),
        networks if networks is not None else len(before) if before else 1,
        base,
        option_values(base_options, "--base-option"),
        seed,
        validation,
        held_out,
    )
    frames = read_dataset(data)
    below = base, recipe.base_options
    if base and below == (frames.surface, frames.surface_options):
        raise InputError(f"--base must differ from the level of theory of the labels, got {base!r}")
    if before is not None and before.description.base and not base:
        remark(
            f"Warning: {start} is a correction of {before.description.base}; without --base "
            f"{before.description.base} the training goes on with total energies"
        )
    if base:
        with renamed({"surface": "base"}):
            corrected = load_surface(base, frames.molecule, **recipe.base_options)
        if doubt := traits_of(corrected).doubt:
            remark(f"Warning: base surface: {doubt}")
    line = LiveLine(messages(), f"{len(frames)} frames of {frames.molecule.name}")

    def tell(progress: Progress) -> None:
        line.show(
            f"step {progress.step} of {progress.steps}: validation error "
            f"{_MEV * progress.energy_error:.1f} meV, {_MEV * progress.gradient_error:.1f} meV/Å"
        )

    try:
        with terminable(), line:
            trained = make(frames, recipe, start=before, device=device, tell=tell)
            with writing(output) as (draft,):
                trained.potential.save(draft)
    except KeyboardInterrupt as stop:
        remark("Stopped; no potential was written.")
        return exit_code(stop)
    held = None
    judged = {"validation": judge(trained.potential, trained.parts.validation)}
    if len(trained.parts.test):
        judged["test"] = judge(trained.potential, trained.parts.test)
        held = trust(trained.potential, trained.parts.test)
    if as_json:
        print_json(
            {
                "output": str(output),
                "frames": trained.potential.description.notes["frames"],
                "errors": {part: [row.plain() for row in rows] for part, rows in judged.items()},
                "calibration": trained.calibration.plain(),
                "trust": None if held is None else vars(held),
            }
        )
        return 0
    for part, rows in judged.items():
        _print_errors(f"{part.capitalize()}: {rows[0].frames} frames", rows)
    _print_calibration(trained.calibration, recipe.networks)
    if held is not None:
        _print_trust(held, trained.potential)
    kind = "delta" if base else "learned"
    echo(f"Written: {output}")
    written = shell_command("afir", "explore", "IN.xyz", "--surface", f"{kind}:{output}")
    echo(f"Explore with it: {written}")
    return 0


@click.command(
    epilog="Example: afir test h2co.model more.extxyz --plot h2co.png",
    short_help="Test a potential on labelled geometries.",
)
@click.argument("model", metavar="MODEL", type=_FILE)
@click.argument("data", metavar="DATA", type=_FILE)
@click.option(
    "--base",
    default="",
    help="Base surface of MODEL; required if it runs code from outside.  [default: as MODEL says]",
)
@click.option(
    "--base-option",
    "base_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the base surface, as in MODEL. Repeatable.",
)
@click.option("--plot", "figure", type=_FILE, help="Plot the errors to a .png, .svg or .pdf file.")
@click.option("--device", default="cpu", show_default=True, help="Device: cpu or cuda.")
@json_option
def test(
    model: Path,
    data: Path,
    base: str,
    base_options: tuple[str, ...],
    figure: Path | None,
    device: str,
    as_json: bool,
) -> int:
    """Compare the potential MODEL with the labels in DATA.

    The errors are those of all frames and of each search stage. All frames of DATA are used:
    give frames outside the training set.
    """
    from mlpot.packages import require

    require()
    from afir.io.safe_write import new_file
    from afir.pes.named import Named, load_base
    from mlpot.dataset import above, read_dataset
    from mlpot.neural.calibration import trust
    from mlpot.neural.potential import load_potential
    from mlpot.report import judge

    if figure is not None:
        new_file(figure, option="--plot")
    potential = load_potential(model, device=device)
    frames = read_dataset(data)
    potential.check(frames.molecule)
    about = potential.description
    if "" not in (about.target, frames.surface) and about.target != frames.surface:
        remark(
            f"Warning: {model} was trained on {about.target}, the labels in {data} are of "
            f"{frames.surface}"
        )
    if about.base:
        given = Named(base, option_values(base_options, "--base-option"))
        below = Named(about.base, about.base_options)
        how = below.flags("base")
        frames = above(frames, load_base(below, given, frames.molecule, where=str(model), how=how))
    rows = judge(potential, frames)
    trusted = trust(potential, frames)
    if figure is not None:
        from afir.io.figures import save_figure
        from mlpot.plot import error_figure

        save_figure(error_figure(potential, frames), figure)
    if as_json:
        print_json(
            {
                "errors": [row.plain() for row in rows],
                "trust": vars(trusted),
                "calibration": about.calibration,
                "limit_ev_per_angstrom": about.limit,
            }
        )
        return 0
    _print_errors(f"{model}: {len(frames)} frames of {frames.molecule.name}", rows)
    _print_trust(trusted, potential)
    if figure is not None:
        echo(f"Written: {figure}")
    return 0


def _print_errors(title: str, rows: list[Errors]) -> None:
    print_table(
        results(),
        title,
        (
            "<stage",
            "frames",
            "energy MAE / meV",
            "without mean error / meV",
            "gradient MAE / meV/Å",
            "max. energy error / meV",
        ),
        [
            (
                row.origin,
                row.frames,
                f"{_MEV * row.energy:.1f}",
                f"{_MEV * row.relative_energy:.1f}",
                f"{_MEV * row.gradient:.1f}",
                f"{_MEV * row.worst_energy:.0f}",
            )
            for row in rows
        ],
    )


def _print_calibration(calibration: Any, networks: int) -> None:
    if networks < 2:
        return
    echo(
        f"Validation, committee of {networks}: calibration factor {calibration.factor:.2f}; "
        f"{100 * calibration.coverage:.0f} % of the errors within twice the calibrated spread; "
        f"rank correlation {calibration.ranking:.2f}; trusted up to a spread of "
        f"{calibration.limit:.2f} eV/Å."
    )


def _print_trust(trusted: Trust, potential: Potential) -> None:
    if len(potential) < 2:
        return
    echo(
        f"Test, committee of {len(potential)}: "
        f"{100 * trusted.coverage:.0f} % of the errors within twice the calibrated spread; rank "
        f"correlation {trusted.ranking:.2f}; {100 * trusted.trusted:.0f} % of the frames trusted "
        f"(spread up to {potential.description.limit:.2f} eV/Å); {trusted.caught} of {trusted.bad} "
        "frames with an energy error above 10 kcal/mol not trusted."
    )
