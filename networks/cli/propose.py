"""The command `afir propose`: where the next gradients are expected to bring most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afir.cli.single_structure import job_for
from afir.cli.terminal import (
    echo,
    json_option,
    option_values,
    print_json,
    print_table,
    remark,
    results,
    state_options,
    surface_option_option,
)
from afir.errors import AfirError, InputError, MissingPackageError
from networks.cli.explain import policy_options

if TYPE_CHECKING:  # numpy is not needed for --help
    from collections.abc import Mapping, Sequence

    from afir.policies import Policy
    from networks.reporting.consulting import Adviser
    from networks.reporting.molecules import Promise

_COUNT = 10  # pushes that are proposed if no other number is given
_SURFACE = "gfn2"
_SUFFIXES = (".xyz", ".extxyz", ".pdb", ".mol", ".sdf")  # of the structures of a folder
_SQLITE = b"SQLite format 3\x00"  # a run file begins so; no structure does


@click.command(
    epilog="Examples: afir propose h2co.db --count 20; afir propose molecules/ --surface gfn1",
    short_help="Rank pushes, or molecules, by what they should bring.",
)
@click.argument(
    "targets", metavar="TARGET...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--count", type=int, help=f"Number of pushes of a run to list.  [default: {_COUNT}]")
@click.option(
    "--policy",
    help="Policy to ask.  [default: that of the run if it can propose, else learned]",
)
@policy_options
@click.option("--surface", help=f"Level of theory of structures.  [default: {_SURFACE}]")
@surface_option_option
@state_options
@json_option
def propose(
    targets: tuple[Path, ...],
    count: int | None,
    policy: str | None,
    policy_options: tuple[str, ...],
    as_json: bool,
    **flags: Any,
) -> int:
    """Rank the pushes of a run, or molecules, by what they are expected to bring.

    TARGET is a run file: lists the untried pushes that are expected to bring most, each beside
    those above it and those under way. TSs, EQs: expected numbers of new ones. gradients: of the
    search, without the verification of what it finds. worth per 1000: new TSs and, with a weight,
    new EQs for 1000 gradients; ±: its standard deviation.

    Or structure files, or folders of them: ranks the molecules. Each is relaxed on --surface, with
    its Hessian; the expected new TSs of its best pushes are added up, as many as 9000 gradients
    allow. Pushes of structures to be found later do not count. distance: how far its pushes lie
    from the training of the policy; above 1 the numbers say little. offers: number of its pushes.

    The JSON objects are described in docs/show-json.md.
    """
    from networks.reporting.consulting import Adviser

    adviser = Adviser(policy or "", option_values(policy_options, "--policy-option"))
    given = [name for name, value in flags.items() if value is not None and value != ()]
    if len(targets) == 1 and not targets[0].is_dir() and not _holds_structures(targets[0]):
        if given:
            flag = "--" + given[0].removesuffix("s").replace("_", "-")
            raise InputError(f"{flag} must go with structures; {targets[0]} is a run")
        if count is not None and count < 1:
            raise InputError(f"--count must be 1 or more, got {count}")
        _propose_pushes(targets[0], adviser, count or _COUNT, as_json)
        return 0
    if count is not None:
        raise InputError("--count must go with a run; of structures all are listed")
    flags["surface"] = flags["surface"] or _SURFACE
    return _rank_molecules(_files(targets), adviser, flags, as_json)


def _holds_structures(path: Path) -> bool:
    """Whether a file holds structures by its content, or would by its name."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(_SQLITE)) != _SQLITE
    except OSError:
        return path.suffix.lower() in _SUFFIXES


def _propose_pushes(run: Path, adviser: Adviser, count: int, as_json: bool) -> None:
    """Print what a policy proposes to try next in a run."""
    from afir.policies import Explains
    from networks.reporting.consulting import Consulted
    from networks.reporting.forecasts import plain_expected, proposed_section

    asked = Consulted(run, adviser)
    told = asked.proposed(count)
    reasons: list[str] = []
    if isinstance(told.policy, Explains):
        try:
            reasons = [each.reason for each in asked.explained(told)]
        except MissingPackageError as error:
            remark(f"No reasons are listed: {error}")
    if as_json:
        plain = [plain_expected(each) for each in told.proposed]
        for each, reason in zip(plain, reasons, strict=False):
            each["reason"] = reason
        facts = {"run": str(run), "policy": told.name, "under_way": told.under_way}
        print_json({**facts, "proposed": plain})
        return
    flying = f", {told.under_way} trials under way" if told.under_way else ""
    echo(f"{asked.molecule.name}, asked of the policy {told.name}{flying}", "")
    if not told.proposed:
        echo("No push is left that could be chosen now.")
        return
    section = proposed_section(told.proposed, reasons)
    print_table(results(), section.title, section.columns, section.rows)


def _files(targets: Sequence[Path]) -> list[Path]:
    """The structure files that are meant; those of a folder in the order of their names."""
    files: list[Path] = []
    for target in targets:
        if not target.is_dir():
            files.append(target)
            continue
        mine = sorted(each for each in target.iterdir() if each.suffix.lower() in _SUFFIXES)
        if not mine:
            kinds = ", ".join(_SUFFIXES)
            raise InputError(f"the folder {target} must hold structures ({kinds}), it has none")
        files += mine
    return files


def _rank_molecules(
    files: Sequence[Path], adviser: Adviser, flags: Mapping[str, Any], as_json: bool
) -> int:
    """Print which molecules are worth exploring; 1 if none of them could be judged."""
    from afir.policies import Proposes
    from networks.reporting.molecules import plain_promise, promises_section, ranked
    from networks.settings import Settings

    promises: list[Promise] = []
    failed: dict[str, str] = {}
    for file in files:
        policy = adviser.loaded(Settings(), Proposes)  # which remembers structures by their ids
        try:
            promises.append(_promise(file, policy, flags))
        except AfirError as error:
            if len(files) == 1:
                raise
            failed[str(file)] = str(error)
            remark(f"Warning: {file} is left out: {error}")
    if not promises:
        raise InputError(f"none of the {len(files)} structures could be judged")
    order = ranked(promises)
    if as_json:
        facts = {"policy": policy[0], "surface": flags["surface"]}
        print_json({**facts, "molecules": list(map(plain_promise, order)), "failed": failed})
        return 0
    echo(f"Minima on {flags['surface']}, asked of the policy {policy[0]}", "")
    section = promises_section(order)
    print_table(results(), section.title, section.columns, section.rows)
    return 0


def _promise(file: Path, policy: tuple[str, Policy], flags: Mapping[str, Any]) -> Promise:
    """Relax a structure and ask a policy about it."""
    from afir.verification.minima import characterise
    from networks.reporting.molecules import promise_of

    job = job_for(
        file,
        flags["surface"],
        flags["surface_options"],
        flags["charge"],
        flags["multiplicity"],
    )
    if job.molecule.n_atoms < 2:
        raise InputError(f"{file} holds one atom; it has no reactions to explore")
    minimum = job.run(f"relaxing {file.name}", characterise(job.molecule, job.positions))
    return promise_of(file, job.molecule, minimum, policy)
