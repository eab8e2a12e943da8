"""Shared parts of the commands for single structures: reading, solving, reporting."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from afir.cli.terminal import (
    LiveLine,
    force_option,
    json_option,
    messages,
    option_values,
    print_json,
    print_table,
    remark,
    results,
    state_options,
    surface_option_option,
)
from afir.errors import InputError
from afir.io.interrupts import interruptible
from afir.io.safe_write import new_file

if TYPE_CHECKING:  # numpy is not needed for --help
    from afir.molecule import Molecule, Positions
    from afir.pes.driver import Search
    from afir.pes.surface import Evaluation, Surface, Traits

logger = logging.getLogger(__name__)

_FORCE = "add --force"
_IN_A_ROW = 6  # wavenumbers a line of a table: with their name they fit into 80 columns
FAILED = 1
"""Exit code of a search that ran without error but did not find what was asked for."""
FLAT = 0.05
"""eV/Å: a larger gradient component is more than the rounding of a converged structure. Three
digits of a coordinate in Å leave up to 0.025 in a bond of 50 eV/Å²."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Job:
    """One structure on its surface and its gradient count."""

    molecule: Molecule
    positions: Positions
    surface: Surface
    gradients: Counter[str]
    where: str
    """The surface with its options."""
    foreign: bool
    """Whether the surface runs code from outside this package."""

    @property
    def name(self) -> str:
        """The molecule and the surface with its options, for titles."""
        return f"{self.molecule.name} on {self.where}"

    def run(self, what: str, search: Search[T], stages: Mapping[str, str] | None = None) -> T:
        """Solve a search, with progress on stderr: `what` it does, or what its stages do."""
        from afir.pes.driver import Asked, Request, relayed, solve

        with interruptible(), LiveLine(messages(), f"{what} …") as line:
            watched = _Watched(self.surface, line, what)

            def begin(asked: Asked) -> Asked:
                name = asked.stage if isinstance(asked, Request) else ""
                watched.what = (stages or {}).get(name, what)
                return asked

            found = solve(relayed(search, begin), watched, gradients=self.gradients)
        for each, count in watched.counts.items():
            logger.info("%s took %d gradients", each, count)
        return found

    def at_start(self) -> tuple[float, float]:
        """Energy in eV of the structure as it was read, and its largest gradient component in eV/Å.

        Raises
        ------
        SurfaceError
            When the surface has none.
        """
        evaluation = self.surface.evaluate(self.positions[None])
        self.gradients["start"] += 1
        if evaluation.failures:
            raise evaluation.failures[0]
        return float(evaluation.energies[0]), float(abs(evaluation.gradients[0]).max())

    def examine(self) -> None:
        """Compare the energies of the surface with its gradients, near the structure.

        Nothing is proven on a surface where they disagree. Costs eight gradients.

        Raises
        ------
        InputError
            If they disagree and the surface is foreign. Small differences give a warning, and so do
            those of a surface of this package: its energy has a jump there, as between two SCF
            solutions.
        SurfaceError
            When the surface has no energy there.
        """
        import numpy as np

        from afir.stationary import unusable
        from afir.verification.consistency import consistency

        lines = consistency(self.positions, np.random.default_rng(0))
        found = self.run("comparing energies with gradients", lines)
        if found.problem and self.foreign:
            raise InputError(unusable(self.where, found.problem))
        if doubt := found.doubt or found.problem:
            remark(f"Warning: the surface {self.where}: {doubt}")


class _Watched:
    """A surface that shows its evaluations on a live line."""

    def __init__(self, surface: Surface, line: LiveLine, what: str) -> None:
        self._surface = surface
        self._line = line
        self.what = what
        self.counts: Counter[str] = Counter()

    @property
    def molecule(self) -> Molecule:
        """The molecule of the surface."""
        return self._surface.molecule

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """Evaluate the surface and show the result."""
        evaluation = self._surface.evaluate(positions, owners)
        self.counts[self.what] += len(positions)
        last = len(positions) - 1
        said = (
            f"no energy: {evaluation.failures[last]}"
            if last in evaluation.failures
            else f"energy {evaluation.energies[last]:.5f} eV, "
            f"largest gradient {abs(evaluation.gradients[last]).max():.4f} eV/Å"
        )
        text = f"{self.what}: {self.counts[self.what]} gradients, {said}"
        self._line.show(text)
        logger.debug("%s", text)
        return evaluation

    @property
    def traits(self) -> Traits:
        """Those of the surface, which answers alone: nothing below it is watched."""
        from afir.pes.surface import traits_of

        return replace(traits_of(self._surface), base=None, reference=None)

    def for_paths(self) -> Surface:
        """The same surface: a command reports every number it computes."""
        return self


def job_for(
    source: Path,
    surface: str,
    surface_options: Sequence[str],
    charge: int | None,
    multiplicity: int | None,
) -> Job:
    """Read the structure and build its surface."""
    from afir.io.structures import read_structure
    from afir.pes.loading import load_surface
    from afir.pes.named import Named
    from afir.pes.registry import described
    from afir.pes.surface import traits_of

    molecule, positions = read_structure(source, charge=charge, multiplicity=multiplicity)
    options = option_values(surface_options)
    built = load_surface(surface, molecule, **options)
    if doubt := traits_of(built).doubt:
        remark(f"Warning: {doubt}")
    where = described(surface, options)
    return Job(molecule, positions, built, Counter(), where, Named(surface, options).foreign)


def structure_options(command: F) -> F:
    """The argument and the options every command on one structure takes."""
    command = json_option(state_options(surface_option_option(command)))
    command = click.option(
        "--surface", default="gfn2", show_default=True, help="Surface (level of theory)."
    )(command)
    return click.argument("source", metavar="IN", type=click.Path(path_type=Path))(command)


def output_options(what: str, suffix: str) -> Callable[[F], F]:
    """Give a command that writes ``what`` the options ``--output`` and ``--force``."""

    def decorate(command: F) -> F:
        command = force_option(command)
        return click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            help=f"Output file for {what} (extended XYZ, eV).  [default: IN{suffix}.xyz]",
        )(command)

    return decorate


def target_file(source: Path, output: Path | None, suffix: str, force: bool) -> Path:
    """The file to write, checked before anything is computed."""
    return xyz_file(output or Path(f"{source.stem}{suffix}.xyz"), "--output", force)


def xyz_file(path: Path, option: str, force: bool) -> Path:
    """A file for structures, with the suffix of extended XYZ."""
    from afir.io.structures import XYZ_SUFFIXES

    if path.suffix and path.suffix.lower() not in XYZ_SUFFIXES:
        raise InputError(f"{option} must end in .xyz or .extxyz (extended XYZ), got {path}")
    return new_file(path, option=option, force=force, remedy=_FORCE)


def kj_mol(energy: float, zero: float) -> float:
    """An energy relative to another, eV to kJ/mol."""
    from afir.units import KJ_PER_MOL

    return (energy - zero) / KJ_PER_MOL


def hartree(energy: float) -> float:
    """An energy in hartree, from eV."""
    from afir.units import HARTREE

    return energy / HARTREE


def facts_of(job: Job, **more: object) -> dict[str, object]:
    """The part of the JSON result that all commands share."""
    return {
        "formula": job.molecule.formula,
        "charge": job.molecule.charge,
        "multiplicity": job.molecule.multiplicity,
        "surface": job.where,
        **more,
        "gradients": {"total": sum(job.gradients.values()), "stages": dict(job.gradients)},
    }


def named(molecule: Molecule, positions: Positions) -> str:
    """The molecules of a geometry (n, 3) in Å by name, see `afir.geometry.naming`."""
    from afir.geometry.naming import names

    return " + ".join(names(molecule, positions))


def wavenumber_lines(wavenumbers: Iterable[float]) -> tuple[str, ...]:
    """Wavenumbers in cm⁻¹ as the lines of a cell of a table."""
    numbers = [f"{value:.1f}" for value in wavenumbers]
    starts = range(0, len(numbers), _IN_A_ROW)
    return tuple(" ".join(numbers[start : start + _IN_A_ROW]) for start in starts)


def tell(
    job: Job, title: str, rows: Sequence[tuple[str, object]], as_json: bool, facts: object
) -> None:
    """Print the result: a table of names and values, or one JSON object."""
    if as_json:
        print_json(facts)
        return
    rows = [*rows, ("gradients", sum(job.gradients.values()))]
    print_table(results(), title, ["<what", "value"], rows)
