"""What the command line of an exploration means: numbers, lists of atoms, surfaces, job files."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from afir.cli.flags import pair_keys
from afir.cli.terminal import option_values
from afir.errors import InputError, plain
from networks.files import located
from networks.numbers import NUMBERS

if TYPE_CHECKING:  # numpy is not needed for --help
    from collections.abc import Mapping

    from afir.pes.named import Named
    from networks.settings import Changes, Settings

_LONGEST = 5  # digits: no molecule that can be explored has 100 000 atoms

_NUMBERS = {number.key: number for number in NUMBERS}

_WRONG = re.compile(r"`([\w.-]+?)(?:\.\d+)*`|\boption '(\w+)'")  # what a message may be about

_TABLES = ("surface_options", "reference_options", "policy_options", "executor_options")


def naming_job_file(command: Callable[..., int]) -> Callable[..., int]:
    """A command's function whose errors name the job file, if they are about what it says."""

    @wraps(command)
    def named(job: Path | None, **flags: Any) -> int:
        try:
            return command(job, **flags)
        except InputError as error:
            told = str(error)
            if job is None or str(job) in told or not _named_in(job, flags, told):
                raise
            raise type(plain(error))(f"{job}: {told}") from error

    return named


def _named_in(job: Path, flags: Mapping[str, Any], message: str) -> bool:
    """Whether a message names what only a job file says, and no flag."""
    from networks.jobfile import read_job_file

    said = set(_paths(read_job_file(job)))
    for key, value in flags.items():
        if key in _TABLES or key == "method_options":
            said -= {f"{key}.{name}" for name in pair_keys(value)}
        elif value is not None:
            said.discard(key)
    said |= {path.rpartition(".")[2] for path in said}  # options and numbers of steps
    return any((found[1] or found[2]) in said for found in _WRONG.finditer(message))


def _paths(values: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """The keys of a table and of the tables in it, ``surface_options.solvent``."""
    for key, value in values.items():
        yield f"{where}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{where}{key}.")


def merged_values(values: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """The values of a job file with the flags that were given laid over them.

    Another executor takes no options from the file.
    """
    values = dict(values)
    if flags.get("executor") not in (None, values.get("executor")):
        values.pop("executor_options", None)
    merged = dict(values)
    for key, value in flags.items():
        if value is None or value == ():
            continue
        if key in _NUMBERS:
            merged[key] = _NUMBERS[key].parsed(value)
        elif key in _TABLES:
            flag = "--" + key.removesuffix("s").replace("_", "-")
            before = values.get(key, {})
            given = option_values(value, flag)
            merged[key] = {**before, **given} if isinstance(before, dict) else given
        elif key == "methods":
            merged[key] = [name.strip() for name in value.split(",")]
        elif key == "method_options":
            merged[key] = _of_methods(value, values.get(key, {}))
        elif key == "target_atoms":
            merged[key] = atoms_of(value)
        else:
            merged[key] = value
    return merged


def _of_methods(pairs: Sequence[str], before: object) -> dict[str, Any]:
    """Options of methods, given as NAME.KEY=VALUE and laid over those of a job file."""
    flag = "--method-option"
    merged = dict(before) if isinstance(before, dict) else {}
    given: dict[str, list[str]] = {}
    for pair in pairs:
        name, dot, rest = pair.partition(".")
        if not dot or "=" in name or not name:
            raise InputError(f"{flag} must look like NAME.KEY=VALUE, got {pair!r}")
        given.setdefault(name, []).append(rest)
    for name, rests in given.items():
        of = merged.get(name)
        merged[name] = {**(of if isinstance(of, dict) else {}), **option_values(rests, flag)}
    return merged


def named_surfaces(flags: dict[str, Any]) -> list[Named]:
    """The surfaces that flags name, with their options."""
    from afir.pes.named import Named

    named = []
    for kind in ("surface", "reference"):
        options = option_values(flags[f"{kind}_options"], f"--{kind}-option")
        if flags[kind]:
            named.append(Named(located(flags[kind], Path()), options))
    return named


def named_executor(flags: Mapping[str, Any]) -> Named:
    """The executor that flags name, with its options."""
    from afir.pes.named import Named

    given = option_values(flags["executor_options"], "--executor-option")
    return Named(flags["executor"] or "", given)


@contextmanager
def of_options(kind: str, options: Container[str]) -> Iterator[None]:
    """Let an InputError about an option say what it is of: ``policy_options.temperature``.

    What was chosen by name calls its options by their names alone, and another may have the same.
    Only at the beginning of a sentence such a name is that of an option.
    """
    try:
        yield
    except InputError as error:
        told = str(error)
        found = re.match(r"`(\w+)", told)
        if found is None or found[1] not in options:
            raise
        raise type(plain(error))(f"`{kind}_options.{told[1:]}") from error


def changes_of(flags: Mapping[str, Any]) -> Changes:
    """The changes to a run that flags ask for: its limits and its policy."""
    changes: dict[str, Any] = {
        _NUMBERS[key].name: _NUMBERS[key].parsed(text)
        for key, text in flags.items()
        if key in _NUMBERS and text is not None
    }
    if flags["policy"] is not None:
        changes["policy"] = flags["policy"]
    if flags["policy_options"]:
        changes["policy_options"] = option_values(flags["policy_options"], "--policy-option")
    return cast("Changes", changes)


def led_by(settings: Settings) -> str:
    """The policy of a run in words, behind a comma, if somebody has chosen it or its options."""
    from networks.settings import Settings

    if (settings.policy, settings.policy_options) == (Settings.policy, {}):
        return ""
    options = [f"{key}={value}" for key, value in settings.policy_options.items()]
    return f", policy {' '.join([settings.policy, *options])}"


def atoms_of(text: str) -> list[int]:
    """Atom numbers from a list such as ``0,2,5-8``."""
    atoms: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*0*(\d+)(?:\s*-\s*0*(\d+))?\s*", part, re.ASCII)
        first, last = (found[1], found[2] or found[1]) if found is not None else ("1", "0")
        if max(len(first), len(last)) > _LONGEST:
            raise InputError(f"--target-atoms must name atoms of the molecule, got {part.strip()}")
        if int(last) < int(first):
            raise InputError(f"--target-atoms must look like 0,2,5-8, got {text!r}")
        atoms += range(int(first), int(last) + 1)
    return atoms


def workers_of(
    job: str, run: Path, workers: int | None, executor: str | None, options: tuple[str, ...]
) -> dict[str, Any]:
    """The arguments of `networks.resume` that say who does the tasks.

    Parameters
    ----------
    job, run
        The job text of the run, and its file.
    workers, executor, options
        The flags. Those that are missing are taken from the job.
    """
    from afir.pes.named import Named
    from networks.jobfile import stored_job
    from networks.trusted import check_executor

    stored = stored_job(job)
    before = Named(stored.get("executor") or "", stored.get("executor_options", {}))
    if executor is None and options:
        raise InputError(
            f"--executor-option must go with --executor, also where {run} names the executor"
        )
    given = named_executor({"executor": executor, "executor_options": options})
    chosen = given.options
    if not given.options and given.name in ("", before.name):
        check_executor(before, given, run)
        chosen = before.options
    return {
        "workers": stored.get("workers", 1) if workers is None else workers,
        "executor": stored.get("executor") if executor is None else executor,
        "executor_options": chosen,
    }
