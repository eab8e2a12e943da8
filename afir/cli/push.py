"""The command ``afir push``: one path of the artificial force."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from afir.cli.single_structure import (
    FLAT,
    facts_of,
    hartree,
    job_for,
    kj_mol,
    named,
    output_options,
    structure_options,
    target_file,
    tell,
    xyz_file,
)
from afir.cli.terminal import print_table, remark, results
from afir.errors import InputError
from afir.io.shell import shell_command

if TYPE_CHECKING:  # numpy is not needed for --help
    from afir.methods.artificial_force import ForceTerm
    from afir.molecule import Positions
    from afir.searches.minimum import PathPoint
    from afir.searches.path import Peak

_ALL = 0  # instead of the number of a peak
_AT = 0.001  # Å: a peak this close to a point of the path is that point


@click.command(
    epilog='Example: afir push h2co.xyz --push "1|2" --gamma 1000 --peak peak.xyz',
    short_help="Push fragments together or apart and report the path (AFIR).",
)
@structure_options
@click.option(
    "--push",
    "pushes",
    multiple=True,
    metavar="A|B",
    help='Push these atoms together, e.g. "0,1|4" (counting from 0). Repeatable.',
)
@click.option(
    "--pull",
    "pulls",
    multiple=True,
    metavar="A|B",
    help='Pull these atoms apart, e.g. "2|3". Repeatable.',
)
@click.option(
    "--gamma",
    type=float,
    default=1000.0,
    show_default=True,
    help="Collision energy parameter γ (maximum) in kJ/mol: about 2.5 times the barrier to cross.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Random seed, for the small displacement that breaks the symmetry.",
)
@click.option(
    "--peak",
    type=click.Path(path_type=Path),
    help="Write a peak of the path, a guess for `afir ts`, to this file: the highest, or that of "
    "--which.",
)
@click.option(
    "--which",
    metavar="N|all",
    help="Peak to write, by its number in the table; all: each to its own file, with its number in "
    "the name.",
)
@output_options("the path", "-path")
def push(
    source: Path,
    surface: str,
    surface_options: Sequence[str],
    charge: int | None,
    multiplicity: int | None,
    as_json: bool,
    pushes: Sequence[str],
    pulls: Sequence[str],
    gamma: float,
    seed: int,
    peak: Path | None,
    which: str | None,
    output: Path | None,
    force: bool,
) -> int:
    """Push the structure IN with an artificial force and report the energy along the path.

    The force grows up to --gamma until bonds change. Then the end is optimised without the force
    and, if bonds have changed, the path is relaxed. Energies are those of the surface, without the
    force, relative to the structure in the file IN. The path starts from IN displaced at random by
    about 0.02 Å, to break its symmetry.
    """
    import numpy as np

    from afir.geometry.bonds import bond_changes
    from afir.geometry.superposition import displacement
    from afir.hessians.model import model_hessian
    from afir.io.structures import write_xyz
    from afir.methods.afir_path import push as push_search
    from afir.methods.artificial_force import ArtificialForce
    from afir.methods.sc_afir import SAME_PLACE
    from afir.pes.driver import stage
    from afir.searches.minimum import minimise
    from afir.searches.path import path_hessians, peaks, relax_path
    from afir.searches.settings import StepSettings
    from afir.searches.surrogate_path import relax_on_surrogate

    target = target_file(source, output, "-path", force)
    chosen = _chosen(which, peak)
    if peak is not None:
        xyz_file(_numbered(peak, 1) if chosen == _ALL else peak, "--peak", force)
        if peak.absolute() == target.absolute():
            raise InputError(f"--peak must be another file than --output, got {peak} for both")
    terms = [_term("--push", text, 1) for text in pushes]
    terms += [_term("--pull", text, -1) for text in pulls]
    sides = [frozenset((frozenset(term.a), frozenset(term.b))) for term in terms]
    if len(set(sides)) < len(sides):
        raise InputError("--push and --pull must name each pair of fragments once")
    if not terms:
        raise InputError('--push or --pull must be given, e.g. --push "0,1|4"')
    settings = StepSettings(gamma=gamma)
    job = job_for(source, surface, surface_options, charge, multiplicity)
    ArtificialForce(job.molecule, terms, gamma)  # refuses atoms that do not exist
    zero, largest = job.at_start()
    if largest > FLAT:
        better = shell_command("afir", "relax", source)
        remark(
            f"{source} is not relaxed (largest gradient component {largest:.2f} eV/Å), and all "
            f"energies are relative to it; {better} gives a better start."
        )
    hessian = model_hessian(job.molecule, job.positions)
    path = job.run(
        "pushing",
        stage(
            "push",
            push_search(
                job.molecule,
                job.positions,
                terms,
                settings,
                hessian=hessian,
                rng=np.random.default_rng(seed),
            ),
        ),
    )
    tail: list[PathPoint] = []
    last = path.end.positions
    end = job.run(
        "relaxing the end", stage("end", minimise(job.molecule, last, settings, trace=tail))
    )
    points = [*path.points, *tail[1:]]
    tops = peaks(points, path_hessians(job.molecule, points, hessian), settings.peak_height)
    relaxed: Sequence[Peak] = ()
    if path.rebonded:
        relaxing = (
            relax_on_surrogate(job.molecule, points, settings)
            if settings.suited(job.surface).surrogate
            else relax_path(job.molecule, points, hessian, settings)
        )
        relaxed = job.run("relaxing the path", stage("path", relaxing))
    energies = [point.energy for point in points]
    kinds = ["push"] * len(path.points) + ["relaxation"] * (len(points) - len(path.points))
    write_xyz(
        target,
        job.molecule,
        [point.positions for point in points],
        energies=energies,
        labels=[{"kind": kind} for kind in kinds],
        overwrite=force,
    )
    # Peaks of the unrelaxed path are interpolated: after the relaxation they mean little.
    listed = relaxed or tops
    files = _files(listed, peak, chosen)
    for index, file in files.items():
        write_xyz(file, job.molecule, listed[index].positions[None], overwrite=force)

    relative = [kj_mol(energy, zero) for energy in energies]
    if not as_json:
        rows = [
            (index, kind, f"{value:.1f}", _bar(value, relative))
            for index, (kind, value) in enumerate(zip(kinds, relative, strict=True))
        ]
        columns = ["point", "<", "kJ/mol", "<"]
        print_table(results(), f"Energy along the path, relative to {source}", columns, rows)
        where = [
            "of the relaxed path" if relaxed else _place(points, top.positions) for top in listed
        ]
        peak_rows: list[tuple[object, ...]] = [
            (index + 1, place, f"{kj_mol(top.energy, zero):.1f}", _told(files.get(index)))
            for index, (top, place) in enumerate(zip(listed, where, strict=True))
        ]
        if relaxed and tops:
            high = max(kj_mol(top.energy, zero) for top in tops)
            peak_rows.append(("", f"before relaxation: {len(tops)}, up to", f"{high:.1f}", ""))
        if peak_rows:
            print_table(results(), "Peaks of the path", ["peak", "<", "kJ/mol", "<"], peak_rows)
    changes = bond_changes(job.molecule, job.positions, end.positions)
    back = displacement(job.positions, end.positions) <= SAME_PLACE
    unchanged = "none, back at the start" if back else "none"
    bonds_say = f"{'bonds' if path.rebonded else 'no bonds'} changed under the force"
    heights, relaxed_heights = (
        [kj_mol(top.energy, zero) for top in found] for found in (tops, relaxed)
    )
    summary: list[tuple[str, object]] = [
        ("force terms", " ".join(map(str, terms))),
        ("γ reached / kJ/mol", f"{path.gamma:.0f}"),
        ("push", f"{path.end.ending}, {bonds_say}"),
        ("end, optimised without force", named(job.molecule, end.positions)),
        ("energy of the end / kJ/mol", f"{relative[-1]:.1f}"),
        ("optimisation of the end", end.ending),
        ("bond changes from the start", changes or unchanged),
    ]
    facts = facts_of(
        job,
        terms=[str(term) for term in terms],
        gamma_kj_mol=path.gamma,
        outcome=path.end.outcome.value,
        rebonded=path.rebonded,
        bonds_changed=changes,
        path_kj_mol=relative,
        peaks_kj_mol=heights,
        relaxed_peaks_kj_mol=relaxed_heights,
        peaks_written=[str(file) for file in files.values()],
        end={
            "name": named(job.molecule, end.positions),
            "relative_kj_mol": relative[-1],
            "outcome": end.outcome.value,
        },
        start_energy_hartree=hartree(zero),
        output=str(target),
    )
    tell(job, f"Path of {job.name}, written to {target}", summary, as_json, facts)
    return 0


def _chosen(which: str | None, peak: Path | None) -> int | None:
    """The number of the peak to write, `_ALL`, or None for the highest."""
    if which is None:
        return None
    if peak is None:
        raise InputError("--which needs --peak, the file to write")
    if which == "all":
        return _ALL
    if not (which.isascii() and which.isdigit()) or int(which) < 1:
        raise InputError(f"--which must be the number of a peak, from 1, or all, got {which!r}")
    return int(which)


def _files(listed: Sequence[Peak], peak: Path | None, chosen: int | None) -> dict[int, Path]:
    """The files of the peaks to write, by index; a remark if there is no such peak."""
    if peak is None:
        return {}
    if not listed:
        remark(f"Not written: {peak}; the path has no peak.")
        return {}
    if chosen is None:
        return {max(range(len(listed)), key=lambda index: listed[index].energy): peak}
    if chosen == _ALL:
        return {index: _numbered(peak, index + 1) for index in range(len(listed))}
    if chosen > len(listed):
        remark(f"Not written: {peak}; the path has {len(listed)} peaks, no peak {chosen}.")
        return {}
    return {chosen - 1: peak}


def _numbered(peak: Path, number: int) -> Path:
    """The file of one of several peaks."""
    return peak.with_name(f"{peak.stem}-{number}{peak.suffix}")


def _told(file: Path | None) -> str:
    """The file of a peak, for the table."""
    return "" if file is None else f"in {file}"


def _place(points: Sequence[PathPoint], x: Positions) -> str:
    """The position of a peak on the path: at a point or between two."""
    import numpy as np

    path = np.array([point.positions for point in points])
    away = np.sqrt(((path - x) ** 2).sum(axis=(1, 2)))
    nearest = int(np.argmin(away))
    if away[nearest] < _AT:
        return f"at point {nearest}"
    detour = away[:-1] + away[1:] - np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=(1, 2)))
    first = int(np.argmin(detour))
    return f"interpolated between points {first} and {first + 1}"


def _bar(value: float, values: Sequence[float], width: int = 40) -> str:
    """A bar whose length shows a value relative to the range of all."""
    low, high = min(values), max(values)
    return "█" * round(width * (value - low) / ((high - low) or 1.0))


def _term(flag: str, text: str, direction: int) -> ForceTerm:
    """The force term of a flag."""
    from afir.methods.artificial_force import ForceTerm

    try:
        return ForceTerm.parse(f"{'+' if direction > 0 else '-'}{text}")
    except InputError as error:
        if "must look like" not in str(error):
            raise
        raise InputError(f'{flag} must look like "0,1|4", got {text!r}') from None
