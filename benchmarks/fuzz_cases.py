"""What `fuzz.py` asks of the command line: files and arguments that are wrong in some way.

Every case is drawn from its own number, so each can be repeated alone.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import Any

import click
import numpy as np
from damage import bomb, damaged, mangled, nasty
from fuzz_material import JOB, Material
from numpy.typing import NDArray

from afir.cli.main import build
from afir.pes.catalogue import surface_catalogue
from mlpot.process import digest as process_digest

ANALYTIC = ("lennard-jones", "double-well", "mueller-brown", "mueller-brown-bent")
SURFACES = (
    *ANALYTIC, "gfn2", "gfn1", "learned:learned.model", "delta:delta.model", "learned:", "learned",
    "gaussian:gaussian.model", "gaussian:h2.xyz", "learned:h2.xyz", "ase:", "ase:json.loads",
    "ase:nothing.Here", "ase:ase.calculators.emt.EMT", "ase:collections.Counter", "ase:os.path",
    "gfn2:water", "GFN2", "lennard-jones:",
)  # fmt: skip
NAMES = (
    "a b.xyz", "ü.xyz", "-x.xyz", "a\nb.xyz", "[red].xyz", "\udcff.xyz", "x", "x.XYZ", "x.nothing",
    "x.xyz.gz", "%s.xyz", "\x1b[31m.xyz",
)  # fmt: skip
PATHS = (
    "h2.xyz", "labels.extxyz", "pair.db", "gaussian.model", "nothing.xyz", "no/such/file.xyz", ".",
    "..", "/dev/null", "/dev/full", "", "new.xyz", "new.db", "new.svg", "new", "x" * 300 + ".xyz",
    "h2.xyz/x.xyz", "new.graphml", "new.json", "new.csv", "new.extxyz", "new.model", "new.\x00",
    "new\udcff.xyz",
)  # fmt: skip
# A large value of these is no mistake, and then a case takes as long as it asks for.
COSTLY = {
    "workers": ("0", "-1", "1", "1.5", "x", ""),
    "max_trials": ("0", "-1", "1", "2", "1.5", "x", ""),
    "max_gradients": ("0", "-1", "1", "100", "x"),
    "max_seconds": ("0", "-1", "0.1", "nan", "x"),
    "epochs": ("0", "-1", "1", "x"),
    "fewest_steps": ("0", "-1", "1", "x"),
    "networks": ("0", "-1", "1", "2", "x"),
    "attempts": ("0", "-1", "1", "2", "x"),
    "effort": ("quick", "slow", "", "é"),
    "device": ("cpu", "cuda", "", "x"),
    "surface": SURFACES,
    "reference": (*ANALYTIC, "", "x", "gfn2"),
    "base": (*ANALYTIC, "", "x", "gfn2"),
    "policy": ("learned", "exhaustive", "stochastic", "lowest-energy", "", "x", "é"),
}
VALUES: tuple[object, ...] = (
    None, True, 0, 1, -1, 1.5, 1e308, float("nan"), float("inf"), 10**30, "", "x", "gfn2", [], [1],
    [1, 1, 1], {}, {"x": 1}, "\x1b[31m", "lennard-jones", [["x"]], "delta:delta.model",
)  # fmt: skip
BOMB = 2 << 30  # bytes; a case may have a little more, so that it is seen when they are taken
LIMITS = {
    "explore": ("--max-trials", "2", "--effort", "quick", "--max-seconds", "20"),
    "resume": ("--max-trials", "6", "--max-seconds", "20"),
    "train": (
        "--epochs", "1", "--fewest-steps", "2", "--features", "4", "--interactions", "1",
        "--radial", "4", "-o", "new.model",
    ),
    "collect": ("--count", "3", "-o", "new.extxyz"),
    "plot": ("-o", "new.svg"),
    "export": ("-o", "new.json"),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One command.

    Attributes
    ----------
    arguments
        Behind ``afir``.
    files
        What lies in the folder it runs in.
    may_change
        Those of the files that it may change.
    """

    arguments: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    may_change: tuple[str, ...] = ()


def structure_case(rng: Random, material: Material) -> Case:
    """A damaged structure for relax, ts, irc, push or explore."""
    name = rng.choice(sorted(material.structures))
    data = material.structures[name]
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    data = mangled(text, rng) if text and rng.random() < 0.8 else damaged(data, rng)
    if rng.random() < 0.1:
        name = rng.choice(NAMES)
    elif rng.random() < 0.05:
        name = f"x{rng.choice(('.xyz', '.cif', '.pdb', '.json', '.db'))}"
    command = rng.choice(("relax", "relax", "ts", "irc", "push", "explore"))
    surface = rng.choice(("lennard-jones",) * 6 + ("gfn2", *ANALYTIC))
    arguments = [command, name, "--surface", surface, *LIMITS.get(command, ())]
    if command == "push":
        arguments += ["--push", rng.choice(("0|1", "1|2"))]
    if command == "relax" and rng.random() < 0.3:
        arguments.append("--frequencies")
    if command in ("relax", "ts", "irc", "push") and rng.random() < 0.3:
        arguments.append("--json")
    return Case(tuple(arguments), {name: data})


def option_case(rng: Random, material: Material) -> Case:
    """Any command with any of its options, of sense or without."""
    known = _options()
    name = rng.choice(sorted(known))
    options = known[name]
    arguments = [name, *_inputs(name, rng), *LIMITS.get(name, ())]
    for option in rng.choices(options, k=rng.randint(1, 3)) if options else ():
        flag = rng.choice([*option.opts, *option.secondary_opts])
        arguments.append(flag)
        if not option.is_flag:
            arguments.append(_value(option, rng))
        elif rng.random() < 0.05:
            arguments[-1] += "=" + nasty(rng)
    if rng.random() < 0.1:
        arguments.insert(rng.randrange(len(arguments)), nasty(rng))
    if rng.random() < 0.05:
        arguments.insert(0, rng.choice(("-v", "--version", "-x", "--no-such-option")))
    return Case(tuple(arguments), _all_files(material), ("pair.db",) if name == "resume" else ())


def job_case(rng: Random, material: Material) -> Case:
    """A damaged job file."""
    lines = JOB.splitlines()
    for _ in range(rng.randint(1, 3)):
        index = rng.randrange(len(lines))
        key, equals, _ = lines[index].partition(" = ")
        if equals and rng.random() < 0.8:
            lines[index] = f"{key} = {_toml(rng, 3, _small(key))}"
    if rng.random() < 0.2:
        lines.insert(rng.randrange(len(lines)), f"{rng.choice(('gama', 'é', '[x', '[step]'))} = 1")
    text = "\n".join(lines) + "\n"
    data = mangled(text, rng) if rng.random() < 0.3 else text.encode("utf-8", "surrogatepass")
    files = {"job.toml": data, "h2.xyz": material.structures["h2.xyz"]}
    return Case(("explore", "--job", "job.toml", "--max-seconds", "20"), files)


def run_case(rng: Random, material: Material) -> Case:
    """A damaged run file for everything that reads one."""
    name = rng.choice(sorted(name for name in material.runs if not name.endswith("-wal")))
    log = f"{name}-wal"
    files = {name: material.runs[name]}
    if log in material.runs:
        files[log] = material.runs[log]
    victim = rng.choice(sorted(files))
    draw = rng.random()
    if draw < 0.8:
        files[victim] = damaged(files[victim], rng)
    elif draw < 0.9 and log in files:
        del files[log]
    elif draw < 0.95:
        files[victim] = material.structures["h2.xyz"]
    command = rng.choice(("show", "show", "plot", "export", "collect", "resume"))
    choices: dict[str, tuple[tuple[str, ...], ...]] = {
        "show": ((), ("--json",), ("--job",), ("--loops",), ("--limit", "1")),
        "plot": (("-o", "a.svg"), ("-o", "a.png", "--from", "EQ0", "--to", "EQ1")),
        "export": tuple(
            ("-o", f"a.{suffix}") for suffix in ("graphml", "json", "csv", "extxyz", "db")
        ),
        "collect": (("-o", "a.extxyz", "--count", "3"),),
        "resume": (LIMITS["resume"],),
    }
    arguments = (command, name, *rng.choice(choices[command]))
    # A reader of a run that was killed takes up what lies beside it, as SQLite does.
    return Case(arguments, files, tuple(files) if command == "resume" or log in files else ())


def model_case(rng: Random, material: Material) -> Case:
    """A damaged model for relax, test and train."""
    name = rng.choice(sorted(material.models))
    data = material.models[name]
    draw = rng.random()
    if draw < 0.35:
        data = damaged(data, rng)
    elif draw < 0.8:
        data = forged(name, data, rng)
    elif draw < 0.9:
        data = bombed(data, rng)
    elif draw < 0.95:
        data = rng.choice((*material.models.values(), *material.labels.values()))
    files = {
        name: data,
        "h2.xyz": material.structures["h2.xyz"],
        "labels.extxyz": material.labels["labels.extxyz"],
    }
    kind = name.removesuffix(".model")
    if rng.random() < 0.1:
        kind = rng.choice(("gaussian", "learned", "delta"))
    commands: list[tuple[str, ...]] = [("relax", "h2.xyz", "--surface", f"{kind}:{name}")] * 2
    commands += [("test", name, "labels.extxyz")]
    commands += [("train", "labels.extxyz", "--start", name, *LIMITS["train"][:4], "-o", "new")]
    return Case(rng.choice(commands), files)


def forged(name: str, data: bytes, rng: Random) -> bytes:
    """A model that says something else than it should, with the checksum of that."""
    if name == "gaussian.model":
        with np.load(io.BytesIO(data)) as content:
            held = dict(content)
        arrays = [held[key] for key in ("positions", "energies", "gradients")]
        about = str(held["about"])
        if rng.random() < 0.5:
            place = rng.randrange(3)
            arrays[place] = _other_array(arrays[place], rng)
        else:
            about = _mangled_json(about, rng)
        held = dict(zip(("positions", "energies", "gradients"), arrays, strict=True))
        target = io.BytesIO()
        np.savez(target, about=about, **held, digest=process_digest(about, arrays))
        return target.getvalue()
    import torch

    from mlpot.neural.potential import digest

    content = torch.load(io.BytesIO(data), weights_only=True)
    states = content["states"]
    if rng.random() < 0.5:
        state = rng.choice(states)
        key = rng.choice(sorted(state))
        state[key] = torch.as_tensor(_other_array(state[key].numpy(), rng))
    else:
        content["description"] = _mangled_json(content["description"], rng)
    content["digest"] = digest(content["description"], states)
    target = io.BytesIO()
    torch.save(content, target)
    return target.getvalue()


def _other_array(array: NDArray[Any], rng: Random) -> NDArray[Any]:
    """An array of another shape, type or size, or with other numbers in it."""
    with np.errstate(all="ignore"):
        choices = (
            array[:1], array[:0], array.ravel(), array.astype(int), array.astype(np.float16),
            array.astype(bool), array.astype(complex), array * np.nan, array * 1e300, array * 0.0,
            np.zeros(()), np.repeat(array[None], 3, axis=0),
        )  # fmt: skip
    return rng.choice(choices)


def _mangled_json(text: str, rng: Random) -> str:
    """JSON in which a value is another, or one that is none any more."""
    if rng.random() < 0.2:
        return mangled(text, rng).decode("utf-8", "replace").replace("\0", "")
    values = json.loads(text)
    key = rng.choice(sorted(values))
    if isinstance(values[key], dict) and values[key] and rng.random() < 0.7:
        values[key][rng.choice(sorted(values[key]))] = rng.choice(VALUES)
    else:
        values[key] = rng.choice(VALUES)
    return json.dumps(values)


def bombed(data: bytes, rng: Random) -> bytes:
    """A model, a member of which unpacks to 2 GB; what it says of its size may be a lie."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    victim = rng.choice(sorted(members))
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (BOMB // 8,)}
    np.lib.format.write_array_header_1_0(header, shape)
    packed = bomb(header.getvalue() if victim.endswith(".npy") else b"", BOMB)
    said = rng.choice((BOMB, BOMB, 100, len(members[victim]), 0xFFFFFFFF))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            if name != victim:
                archive.writestr(name, content)
        info = zipfile.ZipInfo(victim)
        info.compress_type = zipfile.ZIP_STORED
        archive.writestr(info, packed)
    result = bytearray(buffer.getvalue())
    # Stored as it is, so far: say in both places that it is deflated, and how large it will be.
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = result.rindex(mark)
        result[start + place : start + place + 2] = struct.pack("<H", zipfile.ZIP_DEFLATED)
        result[start + place + 14 : start + place + 18] = struct.pack("<I", said)
    return bytes(result)


def label_case(rng: Random, material: Material) -> Case:
    """Damaged labelled geometries for train and test."""
    data = mangled(material.labels["labels.extxyz"].decode(), rng)
    files = {"labels.extxyz": data, **material.models}
    commands: list[tuple[str, ...]] = [("train", "labels.extxyz", *LIMITS["train"])]
    if "learned.model" in material.models:
        commands.append(("test", "learned.model", "labels.extxyz"))
        commands.append(("test", "delta.model", "labels.extxyz", "--plot", "a.svg"))
    return Case(rng.choice(commands), files)


KINDS: dict[str, Callable[[Random, Material], Case]] = {
    "structure": structure_case,
    "option": option_case,
    "job": job_case,
    "run": run_case,
    "model": model_case,
    "label": label_case,
}
"""What is damaged."""


def kind_of(number: int) -> str:
    """What the case of a number damages."""
    return list(KINDS)[number % len(KINDS)]


def case_of(number: int, seed: int, material: Material) -> tuple[str, Case]:
    """The kind and the case of a number."""
    kind = kind_of(number)
    case = KINDS[kind](Random(f"{seed} {number}"), material)
    # No shell can hand over a zero byte.
    arguments = tuple(argument.replace("\0", "") for argument in case.arguments)
    return kind, replace(case, arguments=arguments)


def _all_files(material: Material) -> dict[str, bytes]:
    return {
        "h2.xyz": material.structures["h2.xyz"],
        "pair.db": material.runs["pair.db"],
        "job.toml": JOB.encode(),
        **material.models,
        **material.labels,
    }


def _inputs(command: str, rng: Random) -> list[str]:
    usual = {
        "surfaces": [[], ["gfn2"], ["lennard-jones"], ["x"]],
        "collect": [["pair.db"], ["pair.db", "pair.db"]],
        "train": [["labels.extxyz"]],
        "test": [["learned.model", "labels.extxyz"]],
    }
    usual |= {name: [["pair.db"]] for name in ("show", "plot", "export", "resume")}
    structures = [["h2.xyz", "--surface", rng.choice(SURFACES[:2])]]
    chosen = list(rng.choice(usual.get(command, structures)))
    if command == "push":
        chosen += ["--push", "0|1"]
    if rng.random() < 0.1:
        return rng.choice(([], [rng.choice(PATHS)], [*chosen, rng.choice(PATHS)]))
    return chosen


def _value(option: click.Option, rng: Random) -> str:
    if option.name in COSTLY and rng.random() < 0.9:
        return rng.choice(COSTLY[option.name])
    if option.name and option.name.endswith("_options"):
        return _key_value(rng)
    draw = rng.random()
    if isinstance(option.type, click.Choice) and draw < 0.7:
        return str(rng.choice(list(option.type.choices)))
    if isinstance(option.type, click.Path) or option.name == "output":
        return rng.choice(PATHS) if draw < 0.9 else nasty(rng)
    if option.name in COSTLY:
        return rng.choice(COSTLY[option.name])
    return nasty(rng)


@cache
def _options() -> dict[str, list[click.Option]]:
    """The options of each command."""
    return {
        name: [
            parameter
            for parameter in command.params
            if isinstance(parameter, click.Option) and parameter.name not in ("help", "verbose")
        ]
        for name, command in build().commands.items()
    }


@cache
def _surface_options() -> list[str]:
    return [item["name"] for entry in surface_catalogue() for item in entry.options]


def _key_value(rng: Random) -> str:
    key = rng.choice(
        [*_surface_options(), "temperature", "argument", "molecule", "self", nasty(rng)]
    )
    value = nasty(rng) if rng.random() < 0.6 else _json(rng, 3)
    return rng.choice((f"{key}={value}",) * 8 + (key, f"={value}", f"{key}=={value}"))


def _json(rng: Random, depth: int) -> str:
    if depth and rng.random() < 0.6:
        items = [_json(rng, depth - 1) for _ in range(rng.randint(0, 3))]
        if rng.random() < 0.5:
            return "[" + ", ".join(items) + "]"
        return "{" + ", ".join(f'"k{index}": {item}' for index, item in enumerate(items)) + "}"
    return rng.choice(("1", "-1.5", "1e999", "NaN", "null", "true", '"é"', "1" * 5000, '""'))


def _small(key: str) -> bool:
    """Whether a large value of a key of a job makes a case long."""
    return key in COSTLY or key in ("max_trials", "push_steps", "saddle_steps", "in_flight")


def _toml(rng: Random, depth: int, small: bool) -> str:
    if depth and rng.random() < 0.3:
        items = [_toml(rng, depth - 1, small) for _ in range(rng.randint(0, 3))]
        if rng.random() < 0.5:
            return "[" + ", ".join(items) + "]"
        return "{" + ", ".join(f'"k{index}" = {item}' for index, item in enumerate(items)) + "}"
    plain = ["0", "-1", "1", "1.5", '"x"', '""', "true", "nan", "1979-05-27", "07:32:00", "-inf"]
    large = ["1e308", "99999999999999999999", "1" * 5000, "inf", "0x7fffffffffffffff"]
    deep = ["[" * 2000 + "]" * 2000, '"\\u0000"', '"\\u001b[31m"', '"é"', '"gfn2"', '"quick"']
    return rng.choice(plain if small else plain + large + deep)
