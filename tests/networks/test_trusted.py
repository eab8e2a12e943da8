"""Surfaces with code from outside that a file names: loaded only if a person names them too."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from runs import HCN, HCN_START

from afir.cli.main import main
from afir.cli.terminal import option_values
from afir.errors import InputError
from afir.molecule import Molecule
from afir.pes.loading import load_surface
from afir.pes.named import Named
from mlpot.dataset import Dataset
from mlpot.process import Correction
from networks import Settings, explore, resume
from networks.jobfile import write_toml
from networks.learning.models import folder_of
from networks.records.runs import Model
from networks.storage.run_file import RunFile

COMMAND = f"ase:{__name__}.spring"
SPRINGS = "ase:ase.calculators.lj.LennardJones"
ARGON = Molecule((18, 18, 18))
TRIANGLE = np.array([[0.0, 0.0, 0.0], [1.9, 0.0, 0.0], [0.95, 1.65, 0.0]])
WELLS = {"options": {"sigma": 1.7, "rc": 20.0}}


def spring(path: str) -> LennardJones:
    """A calculator that leaves a mark, as any command could."""
    Path(path).touch()
    return LennardJones()


@dataclass(frozen=True)
class Trap:
    """A folder in which a file appears if code from outside is run."""

    folder: Path

    @property
    def options(self) -> dict[str, object]:
        return {"options": {"path": str(self.folder / "run")}}

    @property
    def sprung(self) -> bool:
        return (self.folder / "run").exists()

    def model(self) -> str:
        """A correction whose base runs code from outside."""
        count = 1
        data = Dataset(
            HCN, HCN_START[None], np.zeros(count), np.zeros((count, 3, 3)), ("",), ("",), "gfn2"
        )
        Correction(COMMAND, self.options, data).save(Path("evil.model"))
        return "gaussian:evil.model"

    def run(self, settings: Settings, **keys: object) -> str:
        """A run file with these settings, and these keys in its job."""
        job = write_toml({"input": "hcn.xyz", **keys}) if keys else ""
        RunFile.create(Path("evil.db"), HCN, HCN_START, settings, job).close()
        return "evil.db"

    def job(self, **keys: object) -> str:
        """A job file with these keys."""
        Path("evil.toml").write_text(write_toml({"input": "hcn.xyz", **keys}))
        return "evil.toml"


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trap:
    monkeypatch.chdir(tmp_path)
    Path("hcn.xyz").write_text("3\n\nH 0 0 -1.07\nC 0 0 0\nN 0 0 1.15\n")
    return Trap(tmp_path)


def _nested(trap: Trap) -> str:
    """A correction of a correction of a correction of code from outside, as one file tells it."""
    data = Dataset(HCN, HCN_START[None], np.zeros(1), np.zeros((1, 3, 3)), ("",), ("",), "gfn2")
    inner = {"base": COMMAND, "base_options": trap.options}
    for name, base, options in (
        ("c.model", COMMAND, trap.options),
        ("b.model", "gaussian:c.model", inner),
        ("a.model", "gaussian:b.model", {"base": "gaussian:c.model", "base_options": inner}),
    ):
        Correction(base, options, data).save(Path(name))
    return "gaussian:a.model"


DOORS: dict[str, Callable[[Trap], list[str]]] = {
    "a model": lambda trap: ["relax", "hcn.xyz", "--surface", trap.model()],
    "models of models": lambda trap: ["relax", "hcn.xyz", "--surface", _nested(trap)],
    "a model as the reference": lambda trap: ["explore", "hcn.xyz", "--reference", trap.model()],
    "a run": lambda trap: ["resume", trap.run(Settings(COMMAND, trap.options))],
    "the reference of a run": lambda trap: [
        "resume", trap.run(Settings(reference=COMMAND, reference_options=trap.options)),
    ],
    "a model in a run": lambda trap: [
        "resume",
        trap.run(Settings(trap.model(), {"base": COMMAND, "base_options": trap.options})),
    ],
    "a job": lambda trap: [
        "explore", "--job", trap.job(surface=COMMAND, surface_options=trap.options),
    ],
    "the reference of a job": lambda trap: [
        "explore", "--job", trap.job(reference=COMMAND, reference_options=trap.options),
    ],
    "a model in a job": lambda trap: ["explore", "--job", trap.job(surface=trap.model())],
    "the options of a job": lambda trap: [
        "explore", "--job", trap.job(surface_options=trap.options), "--surface", COMMAND,
    ],
    "geometries to label": lambda trap: [
        "collect", trap.run(Settings(COMMAND, trap.options, keep_frames=True)), "-o", "a.extxyz",
    ],
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_no_file_runs_code_from_outside(
    door: str, trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(DOORS[door](trap)) == 2
    assert not trap.sprung
    told = capsys.readouterr().err
    assert f"names the surface {COMMAND}" in told or "names the surface gaussian:" in told
    assert "which runs code from outside afir; if you trust it, name it yourself: add --" in told


CLUSTER = {"cluster": "slurm", "jobs": 2, "submit_command": "touch run", "walltime": "24:00:00"}


@pytest.mark.parametrize(
    "given",
    [[], ["--executor", "dask"], ["--executor", "dask", "--executor-option", "cluster=slurm"]],
    ids=["nothing", "name", "one option"],
)
def test_no_file_starts_commands_by_options_of_an_executor(
    given: list[str], trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {"executor": "dask", "executor_options": CLUSTER}
    commands = [["explore", "--job", trap.job(**keys), *given]]
    if len(given) < 4:  # other options than those of a run may be chosen freely
        commands.append(["resume", trap.run(Settings("gfn2"), **keys), *given])
    for arguments in commands:
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert f"{arguments[-1 - len(given)]} names the executor dask with" in told
        flags = shlex.split(told.split("add ")[1])
        assert flags[:2] == ["--executor", "dask"]
        assert option_values(flags[3::2]) == CLUSTER
    assert not trap.sprung


PLAIN = {"cluster": "slurm", "jobs": 2, "walltime": "24:00:00", "queue": "long"}


@pytest.mark.parametrize(
    "options",
    [PLAIN, {**PLAIN, "queue": "long\ntouch run"}, {**PLAIN, "queue": "long@elsewhere"}],
    ids=["", "line", "another computer"],
)
def test_numbers_and_names_of_a_cluster_may_stand_in_a_file(
    options: dict[str, Any], trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed")
    keys = {"executor": "dask", "executor_options": options}
    job = ["explore", "--job", trap.job(**keys)]
    for arguments in (job, ["resume", trap.run(Settings("gfn2"), **keys)]):
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert ("may start commands" in told) == (options != PLAIN)
        asked = shlex.split(told.split("add ")[1])
        assert (asked == ["--executor", "dask"]) == (options == PLAIN)
        assert main([*arguments, *asked]) == 2  # there is no Slurm here
        assert "that is installed here, got 'slurm'" in capsys.readouterr().err
    assert not trap.sprung


@pytest.mark.parametrize("written", [f"{__name__}:spring", f"{__name__}.spring"])
@pytest.mark.parametrize("kind", ["policy", "learner"])
def test_no_file_names_a_policy_or_learner_that_is_not_installed(
    kind: str, written: str, trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trap.options["options"]
    job: dict[str, object] = {"policy": written, "policy_options": path}
    settings = Settings(policy=written, policy_options=path)  # type: ignore[arg-type]
    if kind == "learner":
        job = {"reference": "gfn1", "learn": True, "learner": written}
        settings = Settings(reference="gfn1", learn=True, learner=written)
    for arguments in (["explore", "--job", trap.job(**job)], ["resume", trap.run(settings)]):
        assert main(arguments) == 2
        told = " ".join(capsys.readouterr().err.split())
        name = re.escape(repr(written))
        wanted = f"{kind}`? must be one of .*, got {name}"
        if arguments[0] == "resume":
            wanted = f"needs the {kind} {name}, which is not installed here; install the package"
        assert re.search(wanted, told)
    assert not trap.sprung


def test_what_the_message_asks_for_is_enough(
    trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = DOORS["a model"](trap)
    main(arguments)
    added = capsys.readouterr().err.split("add ")[1]
    main([*arguments, *shlex.split(added)])
    assert trap.sprung


def test_python_is_asked_too(trap: Trap) -> None:
    run = Path(trap.run(Settings(COMMAND, trap.options)))
    with pytest.raises(InputError, match=r"evil\.db names the surface ase:test_trusted"):
        resume(run)
    with pytest.raises(InputError, match="names the surface ase:test_trusted"):
        resume(run, trusted=[Named(COMMAND)])  # with other options
    with pytest.raises(InputError, match=r"evil\.model names the surface ase:test_trusted"):
        load_surface(trap.model(), HCN)
    with pytest.raises(InputError, match=r"`base` must be what evil\.model corrects, ase:test_t"):
        load_surface("gaussian:evil.model", HCN, base="gfn2")
    assert not trap.sprung


def test_models_beside_a_run_are_not_trusted(trap: Trap) -> None:
    trap.model()
    settings = Settings("gfn1", reference="gfn2", learn=True, learner="gaussian")
    run = Path(trap.run(settings))
    with RunFile.open(run, writing=True) as store:
        store.add_model(Model(1, 0, 20, 1.0, {}))
    folder_of(run).mkdir()
    Path("evil.model").rename(folder_of(run) / "1.model")
    with pytest.raises(InputError, match=r"1\.model names the surface ase:test_trusted"):
        list(resume(run))
    assert not trap.sprung


@pytest.mark.slow
def test_a_run_on_a_calculator_goes_on_where_it_is_named_again(
    trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(SPRINGS, WELLS, max_trials=1, terms=1)
    run = Path("wells.db")
    list(explore(ARGON, TRIANGLE, settings, run))
    arguments = ["resume", str(run), "--max-trials", "2"]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    flags = shlex.split(told.split("add ")[1])
    assert flags == [
        "--surface",
        SPRINGS,
        "--surface-option",
        f"options={json.dumps(WELLS['options'])}",
    ]
    assert main([*arguments, "--surface", SPRINGS]) == 2
    assert main([*arguments, "--surface", "gfn2"]) == 2
    assert "must continue with its own surface" in capsys.readouterr().err
    assert main([*arguments, *flags]) == 0
    told = capsys.readouterr().out
    assert "2 trials" in told
    assert f"--surface {SPRINGS}" in told  # the command that goes on can be copied


def test_a_job_on_a_calculator_runs_where_it_is_named_again(trap: Trap) -> None:
    Path("hcn.xyz").write_text("3\n\nAr 0 0 0\nAr 1.9 0 0\nAr 0.95 1.65 0\n")
    job = trap.job(surface=SPRINGS, surface_options=WELLS, max_trials=0)
    assert main(["explore", "--job", job]) == 2
    options = ["--surface-option", f"options={json.dumps(WELLS['options'])}"]
    assert main(["explore", "--job", job, "--surface", SPRINGS, *options]) == 0
