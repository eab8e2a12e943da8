"""Methods and policies that a stranger has written: installed beside the package, in use at once.

The files are in `tests/data/strangers`; nothing but an entry point tells of them.
"""

from __future__ import annotations

import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from minima import made_eq, made_minimum
from offered import pulled, pushed
from runs import HCN, HCN_START, snapshot
from strangers import register
from toyworld import MOLECULE, SETTINGS, structure, toy

from afir.cli.main import main
from afir.errors import AfirError, InputError
from afir.io.structures import write_xyz
from afir.methods.base import Known, Offer, checked_trial, offers_of
from afir.molecule import Molecule
from afir.pes.contract import check_surface
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.policies import Policy
from afir.searches.minimum import minimise
from afir.searches.settings import StepSettings
from afir.stationary import Outcome
from afir.units import KJ_PER_MOL
from afir.verification.minima import characterise
from networks import Settings, explore, open_run, resume
from networks.execution.context import Bench
from networks.execution.registry import executor_factory
from networks.execution.tasks import Push
from networks.graph.network import ReactionNetwork
from networks.policies.choice import Choice
from networks.reporting.ending import ending
from networks.reporting.run import load_run
from networks.reporting.show_json import show_object
from networks.scheduling.offers import KICKS
from networks.scheduling.queue import Frontier
from networks.storage.run_file import RunFile

STRANGERS = Path(__file__).parents[2] / "data" / "strangers"
ROOT = Path(__file__).parents[3]


def install(folder: Path, *points: str) -> None:
    """Install modules with entry points such as ``afir.methods rattle = rattle:Rattle``."""
    package = folder / "strangers-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Name: strangers\nVersion: 1\n")
    groups = [point.split(maxsplit=1) for point in points]
    (package / "entry_points.txt").write_text("".join(f"[{g}]\n{line}\n" for g, line in groups))


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """A folder as of an installed package."""
    folder = tmp_path / "site"
    shutil.copytree(STRANGERS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    install(folder, "afir.methods rattle = rattle:Rattle", "afir.policies newest = newest:Newest")
    return folder


def afir(folder: Path, *words: str) -> str:
    """What a command prints, with that folder on the path."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-m", "afir", *words], env=env, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_method_and_a_policy_of_others_explore_hcn(strangers: Path) -> None:
    for name in STRANGERS.glob("*.py"):
        assert len(name.read_text().splitlines()) < 60
    write_xyz(strangers / "hcn.xyz", HCN, HCN_START[None])
    how = ["--method", "rattle", "--method-option", "rattle.size=1.0", "--policy", "newest"]
    few = ["--seed", "1", "--max-trials", "32", "--in-flight", "8"]
    afir(strangers, "explore", "hcn.xyz", *how, *few, "--workers", "2")
    afir(strangers, "explore", "hcn.xyz", *how, *few, "-o", "one.db")
    assert snapshot(strangers / "hcn.db") == snapshot(strangers / "one.db")
    with open_run(strangers / "hcn.db") as store:
        trials, network = list(store.trials()), store.load_network()
        assert store.settings.method_options == {"rattle": {"size": 1.0}}
    # Rattling alone finds HNC and the way to it, as brute force did.
    zero = network.eqs["EQ0"].energy
    assert any(abs((eq.energy - zero) / KJ_PER_MOL - 83.8) < 0.1 for eq in network.eqs.values())
    assert any(abs((ts.energy - zero) / KJ_PER_MOL - 306.4) < 0.1 for ts in network.tss.values())
    assert {trial.method for trial in trials} == {"rattle"}
    assert all(trial.offer["number"] == trial.push - KICKS for trial in trials)
    # The policy tries new structures first.
    assert {trial.eq for trial in trials} == set(network.eqs)


def examples(title: str) -> dict[str, Any]:
    """What the example of a section of ARCHITECTURE.md defines."""
    section = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split(f"## {title}\n")[1]
    namespace: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.S):
        exec(code, namespace)
    return namespace


def test_the_method_of_the_architecture_works() -> None:
    rattle = examples("How to add a method")["Rattle"](size=0.6)
    surface = load_surface("gfn2", HCN)
    start = solve(characterise(HCN, HCN_START), surface)
    listed = offers_of("rattle", rattle, Known(HCN, start), np.random.default_rng(0))
    data = [offer.data for offer in islice(listed, 3)]
    assert [each["number"] for each in data] == [0, 1, 2]
    found = []
    for number in range(6):
        rng = np.random.default_rng(number)
        search = rattle.search(HCN, start, data[0], StepSettings(), ceiling=None, rng=rng)
        found += solve(checked_trial("rattle", search, 3), surface).candidates
    # The only saddle point of HCN.
    rises = [(candidate.energy - start.energy) / KJ_PER_MOL for candidate in found]
    assert any(abs(rise - 306.4) < 0.1 for rise in rises)


def test_the_policy_of_the_architecture_works() -> None:
    newest: Policy = examples("How to add a policy")["Newest"]()
    left = Frontier(lambda _: {0: pushed(0, 1), 3: pulled(0, 1)})
    network = ReactionNetwork(MOLECULE)
    for number in range(3):
        eq = made_eq(number, structure(number), -float(number % 2))
        network.insert(eq)
        left.add(eq)
    choice, rng = Choice("newest", newest), np.random.default_rng(0)
    assert choice.choose(left, network, 3, rng) == (("EQ2", 0), ("EQ2", 3), ("EQ1", 0))


def test_the_surface_of_the_architecture_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argon = Molecule((18, 18, 18))
    start = np.array([[0.0, 0.0, 0.0], [1.8, 0.0, 0.0], [0.5, 1.3, 0.0]])
    section = (ROOT / "ARCHITECTURE.md").read_text().split("## How to add a surface\n")[1]
    code = re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.S)
    (tmp_path / "springs_of_others.py").write_text("".join(code))
    install(tmp_path, "afir.surfaces springs = springs_of_others:springs")
    monkeypatch.syspath_prepend(tmp_path)
    surface = load_surface("springs", argon, length=1.7)
    check_surface(surface, start[None], rng=np.random.default_rng(0))
    found = solve(minimise(argon, start), surface)
    sides = [np.linalg.norm(found.positions[i] - found.positions[i - 1]) for i in range(3)]
    assert sides == pytest.approx([1.7] * 3, abs=1e-3)
    with pytest.raises(InputError, match=r"^`length` must be a number, got 'long'$"):
        load_surface("springs", argon, length="long")
    assert main(["surfaces", "springs"]) == 0
    listed = capsys.readouterr().out
    for words in ("A spring between each two atoms", "At rest, in Å.", "Force constant in eV/Å²."):
        assert words in listed


def test_the_executor_of_the_architecture_works(tmp_path: Path) -> None:
    mine = examples("How to add an executor")["mine"]
    settings = Settings(max_trials=1, methods=("kick",))
    with pytest.raises(InputError, match=r"^`option` must be more than 0, got 0.0$"):
        executor_factory(mine, 1, {"option": 0.0})
    for name, executor in (("theirs", mine), ("ours", "serial")):
        list(explore(HCN, HCN_START, settings, tmp_path / name, executor=executor))
    assert snapshot(tmp_path / "theirs") == snapshot(tmp_path / "ours")


LISTED_WRONGLY = {
    "raises": "KeyError: 'a key'",
    "NumPy": "an offer must hold plain JSON values, got .*",
    "NaN": "an offer must hold plain JSON values, got .*",
    "text": "an offer must be a table of plain values, got 'rattle'",
    "atoms": "an offer must name atoms from 0 to 3, got 4",
    "sign": "`direction` must be 1 or -1, got 2",
    "force": "a force must look like .*, got .*",
    "half an atom": "a force term must name atoms by whole numbers, got 0.5",
    "no fragments": "a force must look like .*, got .*'01'.*",
    "one force": "`forces` of an offer must be a list of forces, got .*",
    "atom": "`atoms` of an offer must be a list of atoms, got 3",
    "true atom": "an offer must name atoms from 0 to 3, got True",
    "words": r"`kind` of an offer must be a word, got \['odd'\]",
    "soft": "`mode` of an offer must be a whole number, got 'soft'",
    "late": "`late` of an offer must be true or false, got 'yes'",
    "exits": "SystemExit: 3",
    "no end": "it lists more than 50 and is not `endless`",
}


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    register(folder)
    monkeypatch.syspath_prepend(folder)


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize("how", LISTED_WRONGLY)
def test_what_a_method_lists_wrongly_is_one_sentence(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afir.methods.base.MOST_OFFERS", 50)
    settings = replace(SETTINGS, methods=("odd",), method_options={"odd": {"how": how}})
    events = explore(MOLECULE, structure(0), settings, tmp_path / "run", executor=toy)
    said = f"^the method 'odd' failed while listing its offers: {LISTED_WRONGLY[how]}$"
    with pytest.raises(AfirError, match=said):
        list(events)


SEARCHED_WRONGLY = {
    "no search": "the method 'odd' must make a generator, got TrialResult",
    "no result": "the method 'odd' must return a TrialResult, got NoneType",
    "no geometry": "the method 'odd' returned a wrong TrialResult: `candidates[0].positions` must "
    "have the shape (3, 3), got (1, 3)",
    "list": "the method 'odd' returned a wrong TrialResult: `candidates` must be a tuple, got []",
    "misuse": "`how` must be right",
    "exits in the search": "SystemExit: 3",
    "moves the start": "ValueError: output array is read-only",
    "changes the radii": "ValueError: output array is read-only",
    "one atom": "the method 'odd' must ask for geometries (k, 3, 3), got (1, 1, 3)",
    "unknown": "KeyError: 'unknown'",
    "right": "",
}


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize("sent", [False, True], ids=["here", "elsewhere"])
@pytest.mark.parametrize("how", SEARCHED_WRONGLY)
def test_what_a_method_searches_wrongly_costs_one_trial(how: str, sent: bool) -> None:
    start = made_eq(0, HCN_START, 0.0)
    before = start.positions.copy()
    task = Push(start, Offer("odd", {}), None, (0,), options={"how": how})
    bench = Bench(Molecule(HCN.numbers), "gfn2")
    assert bench.molecule.radii.max() > 0.5  # worked out before anything is sent
    if sent:  # as to another process
        bench, task = pickle.loads(pickle.dumps((bench, task), protocol=4))
    result = bench.open()(task)
    assert result.error == SEARCHED_WRONGLY[how]
    assert result.outcome is (Outcome.SEARCH_FAILED if result.error else None)
    assert np.array_equal(start.positions, before)


@pytest.mark.usefixtures("odd")
def test_a_method_cannot_change_an_offer_that_is_stored_later() -> None:
    offer = Offer("odd", {"kind": "odd", "atoms": [0, 1]})
    how = {"how": "changes the offer"}
    task = Push(made_minimum(HCN_START, 0.0), offer, None, (0,), options=how)
    assert Bench(HCN, "gfn2").open()(task).error == ""
    assert offer.data == {"kind": "odd", "atoms": [0, 1]}


@pytest.mark.usefixtures("odd")
def test_a_run_whose_method_is_not_here_is_shown_but_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(SETTINGS, methods=("sc-afir", "odd"), policy="exhaustive", max_trials=3)
    path = tmp_path / "run"
    list(explore(MOLECULE, structure(0), settings, path, executor=toy))
    here = load_run(path, count_pushes=True)
    assert here.remains.pushes_left
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part != str(tmp_path / "odd")])
    run = load_run(path, count_pushes=True)
    assert ending(run)[0] == (
        "What is left to try cannot be told: the method 'odd' is not installed here."
    )
    assert show_object(run) == {**show_object(here), "pushes": {"listed": None, "left": None}}
    assert main(["show", str(path)]) == 0
    assert "the method 'odd' is not installed here" in capsys.readouterr().out
    with pytest.raises(
        InputError, match=f"^{path} needs the method 'odd', which is not installed here; install "
    ):
        resume(path, executor=toy)


@pytest.mark.usefixtures("odd")
def test_a_run_in_which_every_trial_failed_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_xyz(Path("hcn.xyz"), HCN, HCN_START[None])
    how = ["--method", "odd", "--method-option"]
    assert main(["explore", "hcn.xyz", *how, "odd.how=no result"]) == 1
    assert (
        "\nNo trial could be done (1 of 1 failed); the first: the search ended with an error of "
        "its own: the method 'odd' must return a TrialResult, got NoneType.\n"
        in capsys.readouterr().out
    )
    assert main(["explore", "hcn.xyz", *how, "odd.how=right", "-o", "right.db"]) == 0
    assert "could be done" not in capsys.readouterr().out


@pytest.mark.usefixtures("odd")
def test_a_run_whose_method_fails_now_is_shown(tmp_path: Path) -> None:
    settings = replace(SETTINGS, methods=("sc-afir", "odd"), policy="exhaustive", max_trials=3)
    path = tmp_path / "run"
    list(explore(MOLECULE, structure(0), settings, path, executor=toy))
    with RunFile.open(path, writing=True) as store:
        broken = replace(store.settings, method_options={"odd": {"how": "raises"}})
        store.change_settings(broken)
    assert ending(load_run(path, count_pushes=True))[0] == (
        "What is left to try cannot be told: the method 'odd' failed while listing its offers: "
        "KeyError: 'a key'."
    )


def test_a_method_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = replace(SETTINGS, methods=("sc-afir", "rattle"))
    with pytest.raises(InputError, match=r"^`method` must be one of .*kick.*, got 'rattle'$"):
        explore(MOLECULE, structure(0), settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "sc-afir,addf"], "--method must be one of "),
        (["--method", "kick,kick"], "--method must name each method once, got 'kick' twice"),
        (["--method-option", "cap=3"], "--method-option must look like NAME.KEY=VALUE, got "),
        (["--method-option", "rattle.size=3"], "--method-option must be of the methods "),
        (
            ["--method-option", "sc-afir.cap=few"],
            "--method-option sc-afir.cap must be a whole number",
        ),
        (
            ["--method-option", "sc-afir.cap=-1"],
            "--method-option sc-afir.cap must be a whole number of ",
        ),
        (["--method-option", "sc-afir.kap=3"], "the method 'sc-afir' has no option 'kap'; did "),
        (["--method", "kick", "--effort", "quick"], "--effort must be normal or thorough if the "),
    ],
)
def test_misuse_of_the_flags_is_one_sentence(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_xyz(Path("hcn.xyz"), HCN, HCN_START[None])
    assert main(["explore", "hcn.xyz", *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"Error: {said}")
    assert not Path("hcn.db").exists()
