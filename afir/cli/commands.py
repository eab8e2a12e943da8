"""Commands for single structures: relax, push, ts, irc, surfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from afir.cli.push import push
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
    wavenumber_lines,
)
from afir.cli.terminal import echo, json_option, print_json, print_table, remark, results
from afir.errors import InputError
from afir.io.shell import shell_command

if TYPE_CHECKING:  # numpy is not needed for --help
    from afir.molecule import Molecule
    from afir.stationary import Confirmation

_BEGAN_LOW = "The climb began where no curvature is negative, as around a minimum"


def commands() -> list[click.Command]:
    """The commands of this package, for the entry point."""
    return [relax, push, ts, irc, surfaces]


@click.command(
    epilog="Example: afir relax h2co.xyz -o minimum.xyz --frequencies",
    short_help="Optimise a structure to a minimum.",
)
@structure_options
@click.option(
    "--frequencies",
    is_flag=True,
    help="Compute the exact Hessian, prove the minimum and print its wavenumbers; a saddle point "
    "is followed downhill.",
)
@output_options("the minimum", "-relaxed")
def relax(
    source: Path,
    surface: str,
    surface_options: Sequence[str],
    charge: int | None,
    multiplicity: int | None,
    as_json: bool,
    frequencies: bool,
    output: Path | None,
    force: bool,
) -> int:
    """Optimise the structure IN to the nearest minimum of the surface."""
    from afir.geometry.bonds import bond_changes
    from afir.io.structures import write_xyz
    from afir.searches.minimum import PathPoint, minimise
    from afir.stationary import Outcome
    from afir.verification.minima import NotAMinimum, characterise

    target = target_file(source, output, "-relaxed", force)
    job = job_for(source, surface, surface_options, charge, multiplicity)
    if frequencies:
        job.examine()
    trace: list[PathPoint] = []
    minimum = job.run("relaxing", minimise(job.molecule, job.positions, trace=trace))
    if minimum.outcome is not Outcome.CONVERGED:
        remark(f"No minimum was found: {minimum.ending}.")
        return FAILED
    positions, energy = minimum.positions, minimum.energy
    wavenumbers: list[float] | None = None
    if frequencies:
        proving = characterise(job.molecule, positions, hessian=minimum.hessian)
        try:
            point = job.run("proving", proving)
        except NotAMinimum as none:
            remark(f"No minimum was found: {none}.")
            return FAILED
        positions, energy = point.positions, point.energy
        wavenumbers = [round(float(value), 2) for value in point.wavenumbers]
    write_xyz(target, job.molecule, positions[None], energies=[energy], overwrite=force)
    changes = bond_changes(job.molecule, job.positions, positions)
    if changes:
        remark(
            f"Warning: bonds changed during the optimisation, so the minimum is not the molecule "
            f"in {source}: {', '.join(changes)}"
        )
    fall = kj_mol(energy, trace[0].energy)
    name = named(job.molecule, positions)
    rows: list[tuple[str, object]] = [
        ("molecules", name),
        ("energy / hartree", f"{hartree(energy):.8f}"),
        ("energy relative to the input / kJ/mol", f"{fall:.2f}"),
    ]
    if wavenumbers is None:
        rows.append(("minimum", "not proven; add --frequencies"))
    else:
        rows.append(("wavenumbers / cm⁻¹", wavenumber_lines(wavenumbers)))
    facts = facts_of(
        job,
        name=name,
        energy_hartree=hartree(energy),
        relative_to_input_kj_mol=fall,
        wavenumbers_cm1=wavenumbers,
        bonds_changed=changes,
        output=str(target),
    )
    # Without its Hessian a stationary point may be a saddle point.
    what = "Relaxed structure" if wavenumbers is None else "Minimum"
    tell(job, f"{what} of {job.name}, written to {target}", rows, as_json, facts)
    return 0


@click.command(
    epilog="Example: afir ts peak.xyz -o ts.xyz",
    short_help="Optimise and prove a transition state.",
)
@structure_options
@output_options("the transition state", "-ts")
def ts(
    source: Path,
    surface: str,
    surface_options: Sequence[str],
    charge: int | None,
    multiplicity: int | None,
    as_json: bool,
    output: Path | None,
    force: bool,
) -> int:
    """Optimise a transition state from the guess IN and prove it.

    Proof: exactly one negative eigenvalue of the exact Hessian, and an intrinsic reaction
    coordinate (IRC) that leads down to a minimum on both sides.
    """
    from afir.io.structures import write_xyz
    from afir.pes.driver import stage
    from afir.searches.saddle import saddle
    from afir.searches.settings import StepSettings
    from afir.stationary import Candidate, Outcome
    from afir.verification.transition_states import confirm

    target = target_file(source, output, "-ts", force)
    # One search, without other peaks to try, for this very saddle point.
    settings = StepSettings(saddle_steps=300, drift_steps=300)
    job = job_for(source, surface, surface_options, charge, multiplicity)
    if job.molecule.n_atoms < 2:
        raise InputError(f"{source} must hold two atoms or more for a transition state, got one")
    job.examine()
    found = job.run("climbing", stage("saddle", saddle(job.molecule, job.positions, settings)))
    began_low = found.lowest > 0.0
    if found.outcome is not Outcome.CONVERGED:
        remark(f"No transition state was found: {found.ending}.")
        if began_low:
            remark(f"{_BEGAN_LOW}; `afir push` gives better guesses.")
        return FAILED
    candidate = Candidate(found.positions, found.energy, found.hessian, "guess")
    proof = _lower_end_first(job.run("proving", confirm(job.molecule, candidate)))
    verified = proof.outcome is Outcome.CONFIRMED
    if verified:
        write_xyz(
            target,
            job.molecule,
            proof.point.positions[None],
            energies=[proof.point.energy],
            overwrite=force,
        )
    title = (
        f"Transition state of {job.name}, written to {target}"
        if verified
        else f"Not a transition state of {job.name}: {proof.outcome.value}"
    )
    rows, facts = _saddle_facts(job.molecule, proof)
    facts = facts_of(
        job,
        verified=verified,
        outcome=proof.outcome.value,
        **facts,
        output=str(target) if verified else None,
    )
    tell(job, title, rows, as_json, facts)
    if began_low:
        remark(
            f"{_BEGAN_LOW}: {source} may be far from what was found, and `afir push` gives better "
            f"guesses."
        )
    return 0 if verified else FAILED


def _lower_end_first(proof: Confirmation) -> Confirmation:
    """The same proof with the lower end first: the sign of a mode is arbitrary."""
    if len(proof.ends) < 2 or proof.ends[0].energy <= proof.ends[1].energy:
        return proof
    return replace(
        proof,
        ends=proof.ends[::-1],
        irc_positions=proof.irc_positions[::-1],
        irc_energies=proof.irc_energies[::-1],
    )


def _saddle_facts(
    molecule: Molecule, proof: Confirmation
) -> tuple[list[tuple[str, object]], dict[str, object]]:
    """The properties of a saddle point: as rows of a table and as plain JSON."""
    from afir.geometry.bonds import bond_changes

    point = proof.point
    imaginary = [float(-value) for value in point.wavenumbers[: point.order]]
    rows: list[tuple[str, object]] = [
        ("energy / hartree", f"{hartree(point.energy):.8f}"),
        ("negative eigenvalues", point.order),
        ("imaginary / cm⁻¹", " ".join(f"{value:.1f}" for value in imaginary) or "none"),
        ("wavenumbers / cm⁻¹", wavenumber_lines(point.wavenumbers)),
    ]
    ends = []
    for name, end in zip(("first", "second"), proof.ends, strict=False):
        barrier = kj_mol(point.energy, end.energy)
        lower = ", the lower" if name == "first" and len(proof.ends) == 2 else ""
        molecules = named(molecule, end.positions)
        ends.append(
            {
                "name": molecules,
                "barrier_kj_mol": barrier,
                "outcome": end.outcome.value,
                "ridges_cm1": list(end.ridges),
            }
        )
        rows.append((f"{name} end{lower}", molecules))
        way = "forward" if name == "first" else "reverse"
        rows.append((f"{way} barrier (from the {name} end) / kJ/mol", f"{barrier:.1f}"))
        rows.append((f"optimisation of the {name} end", end.ending))
        if end.ridges:
            met = " ".join(f"{-value:.0f}i" for value in end.ridges)
            rows.append((f"saddle points on the way to the {name} end / cm⁻¹", met))
    changes: tuple[str, ...] | None = None
    if len(proof.ends) == 2:
        changes = bond_changes(molecule, *(end.positions for end in proof.ends))
        rows.append(("bond changes, first to second end", changes or "none"))
    if proof.ends:
        rows.append(("energy along the IRC", "monotone" if proof.monotone else "not monotone"))
    return rows, {
        "energy_hartree": hartree(point.energy),
        "negative_eigenvalues": point.order,
        "imaginary_cm1": imaginary,
        "wavenumbers_cm1": [round(float(value), 2) for value in point.wavenumbers],
        "gradient_max_ev_per_angstrom": point.gradient_max,
        "ends": ends,
        "bonds_changed": changes,
        "monotone": proof.monotone,
    }


@click.command(
    epilog="Example: afir irc ts.xyz -o irc.xyz",
    short_help="Follow the IRC from a transition state.",
)
@structure_options
@output_options("the path, from one end to the other", "-irc")
def irc(
    source: Path,
    surface: str,
    surface_options: Sequence[str],
    charge: int | None,
    multiplicity: int | None,
    as_json: bool,
    output: Path | None,
    force: bool,
) -> int:
    """Follow the intrinsic reaction coordinate (IRC) from the transition state IN to both ends.

    The path starts at the end of lower energy.
    """
    from afir.hessians.model import model_hessian
    from afir.io.structures import write_xyz
    from afir.stationary import Candidate, Outcome
    from afir.verification.transition_states import confirm

    target = target_file(source, output, "-irc", force)
    job = job_for(source, surface, surface_options, charge, multiplicity)
    energy = _energy_on_top(job, source)
    job.examine()
    estimate = model_hessian(job.molecule, job.positions)
    candidate = Candidate(job.positions, energy, estimate, "file")
    proof = _lower_end_first(job.run("following the path", confirm(job.molecule, candidate)))
    rows, facts = _saddle_facts(job.molecule, proof)
    walked = len(proof.irc_energies) > 0
    if walked:
        write_xyz(
            target,
            job.molecule,
            proof.irc_positions,
            energies=proof.irc_energies,
            overwrite=force,
        )
        rows.append(("points", len(proof.irc_energies)))
    verified = proof.outcome is Outcome.CONFIRMED
    title = f"IRC of {job.name}, written to {target}" if walked else f"No IRC of {job.name}"
    if not verified:
        title += f": {proof.outcome.value}"
    relative = [kj_mol(energy, proof.point.energy) for energy in proof.irc_energies]
    facts = facts_of(
        job,
        verified=verified,
        outcome=proof.outcome.value,
        **facts,
        path_kj_mol=relative,
        output=str(target) if walked else None,
    )
    tell(job, title, rows, as_json, facts)
    return 0 if verified else FAILED


def _energy_on_top(job: Job, source: Path) -> float:
    """The energy in eV of a stationary point; InputError for any other structure."""
    energy, largest = job.at_start()
    if largest > FLAT:
        raise InputError(
            f"{source} is not a stationary point of this surface (largest gradient component "
            f"{largest:.2f} eV/Å); run {shell_command('afir', 'ts', source)} first"
        )
    return energy


@click.command(epilog="Example: afir surfaces gfn2", short_help="List the surfaces.")
@click.argument("name", required=False)
@json_option
def surfaces(name: str | None, as_json: bool) -> None:
    """List the surfaces, or the options of the surface NAME."""
    from afir.pes.catalogue import surface_catalogue

    entries = surface_catalogue()
    if name is not None:
        known = ", ".join(entry.name for entry in entries)
        entries = [entry for entry in entries if entry.name == name]
        if not entries:
            hint = f"; try `afir surfaces {name.partition(':')[0]}`" if ":" in name else ""
            raise InputError(f"NAME must be one of {known}, got {name!r}{hint}")
    if as_json:
        print_json([entry.plain() for entry in entries])
        return
    console = results()
    rows = [(entry.name, entry.summary, entry.missing or "yes") for entry in entries]
    print_table(console, "Surfaces", ["<name", "<what", "<installed"], rows, prose=True)
    if name is None:
        echo("`afir surfaces NAME` lists the options of a surface.")
        return
    if entries[0].argument:
        title = f"--surface {name}:ARGUMENT"
        print_table(console, title, ["<what"], [[entries[0].argument]], prose=True)
    options: Sequence[Mapping[str, str]] = entries[0].options
    if options:
        lines = [(item["name"], item["default"], item["help"]) for item in options]
        columns = ["<key", "<default", "<what"]
        print_table(console, "--surface-option KEY=VALUE", columns, lines, prose=True)
    else:
        echo("It takes no options.")
