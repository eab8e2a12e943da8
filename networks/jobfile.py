"""Jobs: the input of ``afir explore``, from flags, from a TOML file, or from both.

A job file has the names of the flags, with underscores; ``--method`` is the list ``methods``, and
``--surface-option`` and the like are tables::

    input = "h2co.xyz"
    output = "h2co.db"
    surface = "gfn2"
    gamma = 1000.0
    seed = 7
    workers = 2

    [surface_options]
    solvent = "water"

    [step]
    push_steps = 200

``[step]`` holds the fields of `afir.searches.settings.StepSettings`, γ excepted. Without
``gamma`` γ follows ``window`` (`networks.settings.default_gamma`). Paths in a
job file are relative to its folder.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import tomli_w

from afir.errors import InputError, renamed
from afir.molecule import Molecule
from afir.options import check_value
from networks.files import located, with_absolute_paths
from networks.numbers import NUMBERS
from networks.settings import MOST_WORKERS, Settings

_RENAMED = {  # job key → settings field
    **{number.key: number.name for number in NUMBERS if number.key != number.name},
    "target_atoms": "targets",
}
KEY_OF = {field: key for key, field in _RENAMED.items()}
"""The keys of settings whose field has another name."""

_PATHS = ("input", "output", "wanted")
_SURFACES = ("surface", "reference")
_STATE = ("charge", "multiplicity", "workers", "executor", "executor_options")
_SETTINGS = tuple(
    KEY_OF.get(field.name, field.name)
    for field in fields(Settings)
    if field.name not in ("step", "wanted")
)
KEYS: tuple[str, ...] = (*_PATHS, *_STATE, "gamma", *_SETTINGS, "step")
"""The keys of a job file."""


@dataclass(frozen=True)
class Job:
    """The input of one exploration.

    Attributes
    ----------
    input
        The file with the structure to start from.
    output
        The run file to create; None means it is named after the input.
    charge, multiplicity
        The electronic state; None leaves it to the input file.
    workers
        Number of workers.
    executor, executor_options
        Where the tasks are done, see `networks.execution.registry.executor_factory`.
    wanted
        A file with a product; the run stops when it is found.
    settings
        Everything else; ``wanted`` is unset in them, since that file has not been read yet.
    """

    input: Path
    output: Path | None = None
    charge: int | None = None
    multiplicity: int | None = None
    workers: int = 1
    executor: str | None = None
    executor_options: Mapping[str, Any] = field(default_factory=dict)
    wanted: Path | None = None
    settings: Settings = field(default_factory=Settings)


def read_job_file(path: Path) -> dict[str, Any]:
    """The values of a job file, with keys checked and paths relative to its folder.

    Raises
    ------
    InputError
        If the file cannot be read, is no TOML, or has a key that does not exist.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such job file; check the name")
    if not path.is_file():
        raise InputError(f"{path} must be a job file, got a directory or device")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a mark
    except RecursionError as error:
        raise InputError(f"{path} must not nest lists and tables so deep") from error
    except ValueError as error:  # no TOML, no UTF-8, or a number with too many digits
        raise InputError(f"{path} is not a TOML file: {error}") from error
    _check_keys(values, KEYS, f"the job file {path}")
    for key in _PATHS:
        if key in values:
            values[key] = str(path.parent / _text(key, values[key]))
    for key in _SURFACES:
        if isinstance(values.get(key), str):
            values[key] = located(values[key], path.parent)
    if "policy_options" in values:
        policy = values.get("policy", Settings().policy)
        values["policy_options"] = with_absolute_paths(
            policy, values["policy_options"], path.parent
        )
    return values


def job_from(values: Mapping[str, Any]) -> Job:
    """The job described by a mapping of job keys.

    Parameters
    ----------
    values
        Job keys and plain values; None counts as a missing key.

    Raises
    ------
    InputError
        For a key that does not exist, a value that makes no sense, or no ``input``.
    """
    given = {key: value for key, value in values.items() if value is not None}
    _check_keys(given, KEYS, "the job")
    for key, value in given.items():
        check_value(key, value)
    if "input" not in given:
        raise InputError("no structure to start from; give IN.xyz or `input` in a job file")
    step = given.get("step", {})
    if not isinstance(step, Mapping):
        raise InputError(f"`step` must be a table, got {step!r}")
    names = tuple(name for name in Settings().to_dict()["step"] if name != "gamma")
    _check_keys(step, names, "[step]")
    settings = {_RENAMED.get(key, key): given[key] for key in _SETTINGS if key in given}
    settings["step"] = dict(step)
    _refuse_repeated(given.get("target_atoms"))
    for key in _SURFACES:  # so that the run can be resumed from any folder
        if isinstance(settings.get(key), str):
            settings[key] = located(settings[key], Path())
    if "gamma" in given:
        settings["step"]["gamma"] = _number("gamma", given["gamma"])
    with renamed(KEY_OF):
        made = Settings.from_dict(settings)
    return Job(
        input=Path(_text("input", given["input"])),
        output=Path(_text("output", given["output"])) if "output" in given else None,
        charge=_whole("charge", given.get("charge")),
        multiplicity=_whole("multiplicity", given.get("multiplicity")),
        workers=_workers(given.get("workers", 1)),
        executor=_text("executor", given["executor"]) if "executor" in given else None,
        executor_options=_table("executor_options", given.get("executor_options", {})),
        wanted=Path(_text("wanted", given["wanted"])) if "wanted" in given else None,
        settings=made,
    )


def job_values(job: Job) -> dict[str, Any]:
    """The job as job keys and plain values, defaults included; `job_from` reads it back."""
    settings = job.settings.to_dict()
    step = settings["step"]
    values: dict[str, Any] = {
        "input": str(job.input),
        "output": None if job.output is None else str(job.output),
        "wanted": None if job.wanted is None else str(job.wanted),
        "charge": job.charge,
        "multiplicity": job.multiplicity,
        "workers": job.workers,
        "executor": job.executor,
        "executor_options": dict(job.executor_options),
        "gamma": step.pop("gamma"),
        **{key: settings[_RENAMED.get(key, key)] for key in _SETTINGS},
        "step": step,
    }
    return {key: value for key, value in values.items() if value not in (None, {}, "")}


def resolved_job(job: Job, molecule: Molecule) -> dict[str, Any]:
    """The job to keep with its run: absolute paths, the electronic state, no output.

    A new run of it needs a new output, and can be started from any folder.
    """
    return job_values(
        replace(
            job,
            input=job.input.absolute(),
            output=None,
            charge=molecule.charge,
            multiplicity=molecule.multiplicity,
            wanted=None if job.wanted is None else job.wanted.absolute(),
        )
    )


def stored_job(text: str) -> dict[str, Any]:
    """The job text of a run as values; empty if it is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def current_job(text: str, molecule: Molecule, settings: Settings) -> dict[str, Any]:
    """The job of a run file, with its current settings.

    Parameters
    ----------
    text
        The job text of the run; may be empty.
    molecule, settings
        Those of the run.
    """
    stored = stored_job(text)
    now = Job(
        input=Path(stored.get("input", "")),
        charge=molecule.charge,
        multiplicity=molecule.multiplicity,
        workers=stored.get("workers", 1),
        executor=stored.get("executor"),
        executor_options=stored.get("executor_options", {}),
        wanted=Path(stored["wanted"]) if "wanted" in stored else None,
        settings=settings,
    )
    values = job_values(now)
    return values if "input" in stored else {k: v for k, v in values.items() if k != "input"}


def write_toml(values: Mapping[str, Any]) -> str:
    """Plain values as TOML: numbers, text, truth values, lists and tables of them.

    Characters that cannot be seen are escaped, since the text is shown on terminals. None is left
    out: TOML has no null.

    Raises
    ------
    InputError
        For a value that TOML cannot hold.
    """
    try:
        text = tomli_w.dumps(_without_none(values))
    except (TypeError, ValueError) as error:
        raise InputError(f"a job must hold plain values: {error}") from error
    for line in text.splitlines():
        if any("\ud800" <= c <= "\udfff" for c in line):  # of a folder whose name is no UTF-8
            raise InputError(
                f"a job must hold names in UTF-8, got {line!r}; rename the folder or file"
            )
    return "".join(c if c.isprintable() or c == "\n" else f"\\U{ord(c):08x}" for c in text)


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """A table without None, in all its tables."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }


def _check_keys(values: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raise InputError for an unknown key, with the closest known one."""
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1, 0.5)
            hint = f"did you mean `{close[0]}`?" if close else f"it knows {', '.join(known)}"
            raise InputError(f"{where} has the unknown key `{key}`; {hint}")


def _refuse_repeated(atoms: object) -> None:
    """Raise InputError for an atom that is named twice: probably another was meant."""
    if isinstance(atoms, list) and all(isinstance(atom, int) for atom in atoms):
        for atom, following in pairwise(sorted(atoms)):
            if atom == following:
                raise InputError(f"`target_atoms` must name each atom once, got {atom} twice")


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise InputError(f"`{key}` must be the name of a file, got {value!r}")
    return value


def _table(key: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"`{key}` must be a table of named options, got {value!r}")
    return value


def _number(key: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"`{key}` must be a number, got {value!r}")
    return float(value)


def _whole(key: str, value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise InputError(f"`{key}` must be a whole number, got {value!r}")
    return value


def _workers(value: object) -> int:
    workers = _whole("workers", value)
    if workers is None or not 1 <= workers <= MOST_WORKERS:
        raise InputError(
            f"`workers` must be a whole number from 1 to {MOST_WORKERS}, got {value!r}"
        )
    return workers
