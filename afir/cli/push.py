"""The command ``afir push``: one path of the artificial force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from afir.cli.push_tables import in_words, place, print_path, print_peaks, print_relaxed
from afir.cli.single_structure import (
    FAILED,
    FLAT,
    Job,
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
from afir.cli.terminal import remark
from afir.errors import InputError
from afir.io.shell import shell_command

if TYPE_CHECKING:  # numpy is not needed for --help
    from afir.methods.artificial_force import ForceTerm
    from afir.methods.sc_afir import Passage
    from afir.searches.minimum import PathPoint
    from afir.searches.path import Peak
    from afir.searches.settings import StepSettings
    from afir.stationary import Minimum

_STAGES = {"push": "pushing", "minimum": "optimising the end", "path": "relaxing the path"}
_ALL = 0  # instead of the number of a peak


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
    and, if it is another structure, the path is relaxed: what a trial of `afir explore` does before
    its saddle searches. Energies are those of the surface, without the force, relative to the
    structure in the file IN. The path starts from IN displaced at random by about 0.02 Å, to break
    its symmetry. The exit code is 1 if the path lacks the peak that is to be written.
    """
    from afir.io.structures import write_xyz
    from afir.methods.artificial_force import ArtificialForce
    from afir.searches.settings import StepSettings

    target = target_file(source, output, "-path", force)
    chosen = _chosen(which, peak)
    if peak is not None:
        xyz_file(_numbered(peak, 1) if chosen == _ALL else peak, "--peak", force)
        if peak.absolute() == target.absolute():
            raise InputError(f"--peak must be another file than --output, got {peak} for both")
    terms = _terms(pushes, pulls)
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
    pushed = _pushed(job, terms, settings, seed, zero)
    write_xyz(
        target,
        job.molecule,
        [point.positions for point in pushed.points],
        energies=[point.energy for point in pushed.points],
        labels=[{"kind": kind} for kind in pushed.kinds],
        overwrite=force,
    )
    files = _files(pushed.listed, peak, chosen)
    for index, file in files.items():
        write_xyz(file, job.molecule, pushed.listed[index].positions[None], overwrite=force)
    if not as_json:
        _print_tables(pushed, source, files)
    changes = _changes(job, pushed.over.end)
    facts = _facts(job, pushed, changes, files, target)
    title = f"Path of {job.name}, written to {target}"
    tell(job, title, _summary(job, pushed, changes), as_json, facts)
    return FAILED if peak is not None and not files else 0


@dataclass(frozen=True)
class _Pushed:
    """A push that was followed, for its tables and files."""

    over: Passage
    points: tuple[PathPoint, ...]
    """The path as it is written: pushed, then optimised without the force."""
    tops: tuple[Peak, ...]
    """The peaks of that."""
    zero: float
    """The energy in eV of the structure in the file."""

    @property
    def kinds(self) -> list[str]:
        """What each point is of."""
        pushed = len(self.over.path.points)
        return ["push"] * pushed + ["optimisation"] * (len(self.points) - pushed)

    @property
    def listed(self) -> tuple[Peak, ...]:
        """The peaks for users: those of the unrelaxed path mean little where it was relaxed."""
        return self.over.relaxed or self.tops

    @property
    def relative(self) -> list[float]:
        """The energies of the points in kJ/mol."""
        return [kj_mol(point.energy, self.zero) for point in self.points]

    @property
    def along_chain(self) -> list[float]:
        """The energies of the points of the relaxed path in kJ/mol."""
        return [kj_mol(point.energy, self.zero) for point in self.over.chain]

    def heights(self, tops: Sequence[Peak]) -> list[float]:
        """The energies of peaks in kJ/mol."""
        return [kj_mol(top.energy, self.zero) for top in tops]


def _pushed(
    job: Job, terms: Sequence[ForceTerm], settings: StepSettings, seed: int, zero: float
) -> _Pushed:
    """Follow the push of a network's trial, as far as the peaks of its path."""
    import numpy as np

    from afir.hessians.model import model_hessian
    from afir.methods.sc_afir import pass_over
    from afir.searches.path import path_hessians, peaks

    hessian = model_hessian(job.molecule, job.positions)
    search = pass_over(
        job.molecule,
        job.positions,
        hessian,
        terms,
        settings.suited(job.surface),
        rng=np.random.default_rng(seed),
    )
    over = job.run("pushing", search, _STAGES)
    if over.end is None:
        remark(f"Warning: the surface has no energy on the way to the end: {over.failure}")
    points = (*over.path.points, *over.tail[1:])
    hessians = path_hessians(job.molecule, points, hessian)
    return _Pushed(over, points, peaks(points, hessians, settings.peak_height), zero)


def _print_tables(pushed: _Pushed, source: Path, files: Mapping[int, Path]) -> None:
    """Print the energy along the path, along the relaxed one, and the peaks."""
    over, zero = pushed.over, f"relative to {source}"
    relaxed = bool(over.relaxed)
    places = [place(over.chain if relaxed else pushed.points, top) for top in pushed.listed]
    around = {at for each in places for at in each}
    title = f"Energy along the path, {zero}"
    print_path(title, pushed.kinds, pushed.relative, () if relaxed else around)
    if over.chain:
        title = f"Energy along the relaxed path, {zero}"
        print_relaxed(title, pushed.along_chain, around if relaxed else ())
    print_peaks(
        [in_words(each, relaxed=relaxed) for each in places],
        pushed.heights(pushed.listed),
        pushed.heights(pushed.tops) if relaxed else (),
        files,
    )


def _changes(job: Job, end: Minimum | None) -> tuple[str, ...]:
    """The bonds that differ between the start and the end."""
    from afir.geometry.bonds import bond_changes

    return () if end is None else bond_changes(job.molecule, job.positions, end.positions)


def _summary(job: Job, pushed: _Pushed, changes: tuple[str, ...]) -> list[tuple[str, object]]:
    """The result as names and values."""
    over, path = pushed.over, pushed.over.path
    bonds_say = f"{'bonds' if path.rebonded else 'no bonds'} changed under the force"
    summary: list[tuple[str, object]] = [
        ("force terms", " ".join(map(str, path.terms))),
        ("γ reached / kJ/mol", f"{path.gamma:.0f}"),
        ("push", f"{path.end.ending}, {bonds_say}"),
    ]
    if over.end is None:
        return [*summary, ("end, optimised without force", "none, the surface failed")]
    return [
        *summary,
        ("end, optimised without force", named(job.molecule, over.end.positions)),
        ("energy of the end / kJ/mol", f"{kj_mol(over.end.energy, pushed.zero):.1f}"),
        ("optimisation of the end", over.end.ending),
        (
            "bond changes from the start",
            changes or ("none" if over.crossed else "none, back at the start"),
        ),
    ]


def _facts(
    job: Job, pushed: _Pushed, changes: tuple[str, ...], files: Mapping[int, Path], target: Path
) -> dict[str, object]:
    """The object of --json; docs/step-json.md describes its keys."""
    over, path = pushed.over, pushed.over.path
    return facts_of(
        job,
        terms=[str(term) for term in path.terms],
        gamma_kj_mol=path.gamma,
        outcome=path.end.outcome.value,
        rebonded=path.rebonded,
        crossed=over.crossed,
        bonds_changed=changes,
        path_kj_mol=pushed.relative,
        peaks_kj_mol=pushed.heights(pushed.tops),
        relaxed_path_kj_mol=pushed.along_chain,
        relaxed_peaks_kj_mol=pushed.heights(over.relaxed),
        peaks_written=[str(file) for file in files.values()],
        end=over.end
        and {
            "name": named(job.molecule, over.end.positions),
            "relative_kj_mol": kj_mol(over.end.energy, pushed.zero),
            "outcome": over.end.outcome.value,
        },
        start_energy_hartree=hartree(pushed.zero),
        output=str(target),
    )


def _terms(pushes: Sequence[str], pulls: Sequence[str]) -> list[ForceTerm]:
    """The force terms of all flags.

    Raises
    ------
    InputError
        If there are none, or two between the same fragments.
    """
    terms = [_term("--push", text, 1) for text in pushes]
    terms += [_term("--pull", text, -1) for text in pulls]
    sides = [frozenset((frozenset(term.a), frozenset(term.b))) for term in terms]
    if len(set(sides)) < len(sides):
        raise InputError("--push and --pull must name each pair of fragments once")
    if not terms:
        raise InputError('--push or --pull must be given, e.g. --push "0,1|4"')
    return terms


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
        several = f"{len(listed)} peak{'s' * (len(listed) > 1)}"
        remark(f"Not written: {peak}; the path has {several}, no peak {chosen}.")
        return {}
    return {chosen - 1: peak}


def _numbered(peak: Path, number: int) -> Path:
    """The file of one of several peaks."""
    return peak.with_name(f"{peak.stem}-{number}{peak.suffix}")


def _term(flag: str, text: str, direction: int) -> ForceTerm:
    """The force term of a flag."""
    from afir.methods.artificial_force import ForceTerm

    try:
        return ForceTerm.parse(f"{'+' if direction > 0 else '-'}{text}")
    except InputError as error:
        if "must look like" not in str(error):
            raise
        raise InputError(f'{flag} must look like "0,1|4", got {text!r}') from None
