"""The command `afir propose`: where the next gradients are expected to bring most."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afir.cli.single_structure import job_for
from afir.cli.terminal import (
    echo,
    json_option,
    option_values,
    print_json,
    remark,
    state_options,
    surface_option_option,
)
from afir.errors import AfirError, InputError, MissingPackageError
from networks.cli.explain import policy_options, print_sections

if TYPE_CHECKING:  # numpy is not needed for --help
    from collections.abc import Mapping, Sequence

    from afir.policies import Policy
    from networks.reporting.consulting import Adviser
    from networks.reporting.molecules import Promise

_COUNT = 10  # pushes that are proposed if no other number is given
_SURFACE = "gfn2"
_SUFFIXES = (".xyz", ".extxyz", ".pdb", ".mol", ".sdf")  # of the structures of a folder
_RUN = ".db"  # how files of runs end
_MODEL = ".npz"  # how files of models end
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
    help="Policy that ranks.  [default: that of the run if it can propose, else learned]",
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
    those above it and those under way. TSs, EQs: expected numbers of new ones; low: those of the
    TSs below 300 kJ/mol above the start; grad.: gradients of the search, without the verification
    of what it finds. worth: 1000 × (TSs + low_weight × low + eq_weight × EQs) / grad., with weights
    of 1 and 0.3 unless they are changed; ±: its standard deviation. The option explore= of the
    policy learned is ignored: pushes are ranked by what is expected.

    Or structure files, or folders of them: ranks the molecules. Each is relaxed on --surface, with
    its Hessian; the expected new TSs of its best pushes are added up, as many as 9000 gradients
    allow. The sum counts a TS once for each push that is expected to find it: it is for ranking,
    not the number of TSs. Pushes of structures to be found later do not count. distance: how far
    its pushes lie from the training of the policy; molecules above 1 come last, the numbers say
    little of them. pushes: those counted, of all.

    The JSON objects are described in docs/show-json.md.
    """
    from networks.reporting.consulting import Adviser

    adviser = Adviser(policy or "", option_values(policy_options, "--policy-option"))
    given = [name for name, value in flags.items() if value is not None and value != ()]
    if models := [each for each in targets if each.suffix.lower() == _MODEL]:
        raise InputError(
            f"TARGET must be a run or structures, got {models[0]}; it looks like a model: give it "
            f"as --policy-option model={models[0]}"
        )
    if runs := [each for each in targets if not each.is_dir() and not _holds_structures(each)]:
        if len(targets) > 1:
            raise InputError(f"{runs[0]} is a run; give one run alone, or structures and folders")
        if given:
            flag = "--" + given[0].removesuffix("s").replace("_", "-")
            raise InputError(f"{flag} is for structures, but {targets[0]} is a run; leave it out")
        if count is not None and count < 1:
            raise InputError(f"--count must be 1 or more, got {count}")
        _propose_pushes(targets[0], adviser, count or _COUNT, as_json)
        return 0
    if count is not None:
        raise InputError("--count is for a run; leave it out, all structures are listed")
    flags["surface"] = flags["surface"] or _SURFACE
    return _rank_molecules(_files(targets), adviser, flags, as_json)


def _holds_structures(path: Path) -> bool:
    """Whether a file holds structures by its content, or would by its name."""
    if path.suffix.lower() == _RUN:
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(len(_SQLITE)) != _SQLITE
    except OSError:
        return path.suffix.lower() in _SUFFIXES


def _propose_pushes(run: Path, adviser: Adviser, count: int, as_json: bool) -> None:
    """Print what a policy proposes to try next in a run."""
    from afir.policies import Explains
    from networks.reporting.consulting import Consulted
    from networks.reporting.forecasts import SCHEMA_VERSION, plain_expected, proposed_sections

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
        facts = {"schema_version": SCHEMA_VERSION, "run": str(run), "policy": told.name}
        print_json({**facts, "under_way": told.under_way, "proposed": plain})
        return
    flying = f", {told.under_way} trials under way" if told.under_way else ""
    echo(f"{asked.molecule.name}, ranked by the policy {told.name}{flying}", "")
    if not told.proposed:
        echo("No push is left that could be chosen now.")
        return
    print_sections(proposed_sections(told.proposed, reasons))


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
    from networks.reporting.forecasts import SCHEMA_VERSION
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
            reason = re.sub(r"`(charge|multiplicity)`", r"--\1", str(error))
            failed[str(file)] = reason = reason.removeprefix(f"{file}: ")
            remark(f"Warning: {file} is left out: {reason}")
    if not promises:
        raise InputError(f"none of the {len(files)} structures can be ranked; see the warnings")
    order = ranked(promises)
    if as_json:
        facts: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
        facts |= {"policy": policy[0], "surface": flags["surface"]}
        print_json({**facts, "molecules": list(map(plain_promise, order)), "failed": failed})
        return 0
    echo(f"Minima on {flags['surface']}, ranked by the policy {policy[0]}", "")
    print_sections([promises_section(order)])
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
