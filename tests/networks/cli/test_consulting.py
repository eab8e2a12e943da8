"""`afir propose` and `afir explain` on runs of the toy world, and on molecules."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strangers
from commands import said
from runs import run, toy_run
from toyworld import SETTINGS, toy

from afir.cli.main import main
from networks import RunFile, resume
from networks.exploration.events import TrialDone, Unsure
from networks.reporting.consulting import Adviser, Consulted
from networks.reporting.run import load_run

slow = pytest.mark.slow  # loading shap takes seconds
GREEDY = ("--policy", "learned", "--policy-option", "explore=greedy")
LEARNED = replace(SETTINGS, policy="learned", policy_options={"explore": "greedy"})


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 trials."""
    path = tmp_path_factory.mktemp("begun") / "toy.db"
    run(path, replace(LEARNED, max_trials=12))
    return path


@pytest.fixture
def toy_file(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(begun, "toy.db"))


def go_on(path: Path, trials: int) -> None:
    """Let a run go on."""
    list(resume(path, executor=toy, max_trials=trials))


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON object of a command."""
    assert main([*arguments, "--json"]) == 0
    return said(capsys)


def pushes(told: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(each["eq"], each["push"]) for each in told]


def test_what_is_proposed_is_what_a_resumed_run_tries(
    toy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = toy_file.read_bytes()
    told = command(capsys, "propose", "toy.db", "--count", "5")
    assert toy_file.read_bytes() == before
    assert told["policy"] == "learned"
    assert told["schema_version"] == 1
    proposed = told["proposed"]
    go_on(toy_file, 17)
    with RunFile.open(toy_file) as store:
        tried = [(str(t.eq), t.push) for t in store.trials() if t.number > 12]
        chosen_at_once = [t.number for t in store.trials() if t.known == 12]
    assert len(chosen_at_once) == SETTINGS.in_flight == 5
    assert pushes(proposed) == tried
    for each in proposed:
        assert 0.0 <= each["tss"] < 5.0
        assert each["gradients"] > 1.0
        assert each["spread"] >= 0.0
        worth = each["tss"] + each["low_tss"] + 0.3 * each["eqs"]
        value = each["worth_per_1000_gradients"]
        assert value == pytest.approx(1000.0 * worth / each["gradients"], rel=1e-6)


def test_another_policy_may_propose_for_a_run(
    toy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = pushes(command(capsys, "propose", "toy.db", *GREEDY)["proposed"])
    list(resume(toy_file, executor=toy, max_trials=12, policy="exhaustive", policy_options={}))
    told = command(capsys, "propose", "toy.db")  # exhaustive cannot
    assert told["policy"] == "learned"
    assert pushes(told["proposed"]) == expected


@slow
def test_explained_is_what_was_proposed(toy_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proposed = command(capsys, "propose", "toy.db", "--count", "4")["proposed"]
    explained = command(capsys, "explain", "toy.db", "--next", "4")["explained"]
    assert pushes(explained) == pushes(proposed)
    for one, other in zip(proposed, explained, strict=True):
        assert {key: other[key] for key in one} == one
        worth = other["usual_worth"] + math.fsum(part["worth"] for part in other["parts"])
        more = math.fsum(part["log_gradients"] for part in other["parts"])
        gradients = other["usual_gradients"] * math.exp(more)
        factor = math.prod(each["factor"] for each in other["factors"])
        assert gradients == pytest.approx(one["gradients"], rel=1e-6)
        value = 1000.0 * worth * factor / gradients
        assert value == pytest.approx(one["worth_per_1000_gradients"], rel=1e-6)


@slow
def test_a_trial_is_explained_as_it_was_planned(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    run(path, replace(LEARNED, in_flight=1, max_trials=9))
    (proposed,) = Consulted(path, Adviser()).proposed(1).proposed
    go_on(path, 10)
    told = Consulted(path, Adviser()).trial(10)
    assert told.explained.expected == proposed
    go_on(path, 30)
    later = Consulted(path, Adviser()).trial(10)
    assert later == told


@slow
def test_who_explains_is_told_if_another_led_the_run(
    toy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "toy.db", "--trial", "7"]) == 0
    assert "Explained by" not in capsys.readouterr().out
    list(resume(toy_file, executor=toy, max_trials=13, policy="stochastic", policy_options={}))
    assert main(["explain", "toy.db", "--trial", "7"]) == 0
    assert (
        "Explained by the policy learned (packaged model); by its settings the run is led by "
        "stochastic."
    ) in capsys.readouterr().out.splitlines()
    told = command(capsys, "explain", "toy.db", "--trial", "7")
    assert (told["explained_by"], told["led_by"]) == ("learned (packaged model)", "stochastic")
    assert 0 < told["trial_gradients"]["search"] <= told["trial_gradients"]["total"]


@slow
def test_trials_between_count_as_under_way(toy_file: Path) -> None:
    asked = Consulted(toy_file, Adviser())
    with RunFile.open(toy_file) as store:
        late = next(t for t in store.trials() if t.number - t.known > 2 and t.known > 0)
    assert "similar trials are under way" in asked.trial(late.number).explained.factors


@slow
def test_trials_under_way_are_explained_as_later_when_they_are_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stopped.db"
    events = toy_run(path, replace(LEARNED, max_trials=20))
    for event in events:
        if isinstance(event, TrialDone) and event.trial.number == 7:
            break
    events.close()  # type: ignore[attr-defined]
    asked = Consulted(path, Adviser())
    coming = asked.proposed(3)
    assert coming.under_way == SETTINGS.in_flight - 1
    flying = 7 + coming.under_way
    with RunFile.open(path) as store:
        under_way = {(each.item.eq, each.item.push) for each in store.planned() if each.trial > 7}
    assert not under_way & {(each.eq, each.push) for each in coming.proposed}
    told = asked.trial(flying)
    assert told.trial is None
    assert main(["explain", str(path), "--trial", str(flying)]) == 0
    assert f"Trial {flying} is under way." in capsys.readouterr().out
    go_on(path, 20)
    later = Consulted(path, Adviser()).trial(flying)
    assert later.explained == told.explained
    assert later.trial is not None


@slow
def test_tables_and_figures(toy_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["propose", "toy.db", "--count", "3"]) == 0
    out = capsys.readouterr().out
    assert "main reason" in out
    assert "Distance from the training of the policy: " in out
    assert max(map(len, out.split("Why")[0].splitlines())) <= 90
    assert main(["explain", "toy.db", "--trial", "7", "--plot", "seven.svg"]) == 0
    out = capsys.readouterr().out
    for words in (
        "any push",
        "what this run has found so far",
        "total",
        "Trial 7 found",
        "of the search, ",
    ):
        assert words in out
    drawn = Path("seven.svg").read_text()
    for words in (
        "Trial 7 of toy.db",
        "tried before",
        "added to the worth",
        "factor of the gradients",
        "(any push) + bars = ",
    ):
        assert words in drawn
    assert main(["explain", "toy.db", "--next", "2", "--plot", "seven.svg"]) == 2
    assert "seven.svg exists already; choose another --plot" in capsys.readouterr().err
    assert main(["explain", "toy.db", "--next", "2", "--plot", "seven.svg", "--force"]) == 0
    assert "The next 2 pushes of toy.db, mean" in Path("seven.svg").read_text()


def test_without_shap_pushes_are_proposed_and_not_explained(
    toy_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    assert main(["propose", "toy.db", "--count", "2"]) == 0
    out, err = capsys.readouterr()
    assert "main reason" not in out
    assert "No reasons are listed: explaining a policy needs shap; install it with pip" in err
    assert main(["explain", "toy.db"]) == 2
    assert capsys.readouterr().err == (
        "Error: explaining a policy needs shap; install it with "
        'pip install -c constraints.txt "afir[policy]"\n'
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["propose", "none.db"], "the run file none.db does not exist"),
        (["explain", "none.db"], "the run file none.db does not exist"),
        (["propose", "none.xyz"], "none.xyz"),
        (["explain", "toy.db", "--trial", "13"], "--trial must be a trial of toy.db, 1 to 12, got"),
        (["explain", "toy.db", "--trial", "0"], "--trial must be a trial of toy.db, 1 to 12, got"),
        (
            ["explain", "toy.db", "--trial", "1", "--next", "2"],
            "--trial explains a past push and --next coming ones",
        ),
        (["explain", "toy.db", "--next", "0"], "--next must be 1 or more, got 0"),
        (["propose", "toy.db", "--count", "-1"], "--count must be 1 or more, got -1"),
        (["propose", "toy.db", "--policy", "exhaustive"], "'exhaustive' cannot propose"),
        (["explain", "toy.db", "--policy", "exhaustive"], "'exhaustive' cannot explain"),
        (["explain", "toy.db", "--trial", "2", "--policy", "stochastic"], "cannot explain"),
        (["propose", "toy.db", "--policy", "nobody"], "nobody"),
        (["propose", "toy.db", *GREEDY[:3], "explore=all"], "explore"),
        (["propose", "toy.db", "--surface", "gfn1"], "--surface is for structures"),
        (["propose", ".", "--count", "3"], "--count is for a run"),
        (["propose", "toy.db", "toy.db"], "toy.db is a run; give one run alone"),
        (["propose", "toy.db", "empty"], "toy.db is a run; give one run alone"),
        (["propose", "wrong.db"], "wrong.db"),
        (["propose", "mine.npz"], "it looks like a model: give it as --policy-option model="),
        (["explain", "toy.db", "--force"], "--force replaces the file of --plot"),
        (["propose", "empty"], "the folder empty must hold structures (.xyz, "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_misuse_is_one_sentence(
    toy_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    Path("empty").mkdir()
    Path("wrong.db").touch()
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert "XYZ" not in err or "empty" in arguments


@slow
def test_a_run_with_nothing_left_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole.db"
    run(whole, replace(SETTINGS, policy="exhaustive", effort="quick"))
    monkeypatch.setitem(sys.modules, "shap", None)  # nothing is explained
    assert command(capsys, "propose", str(whole), *GREEDY)["proposed"] == []
    assert main(["propose", str(whole)]) == 0
    assert "No push is left that could be chosen now." in capsys.readouterr().out


def test_molecules_are_ranked(
    folder: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    (folder / "apart.xyz").write_text("2\n\nHe 0 0 0\nHe 0 0 9\n")
    (folder / "notes.txt").write_text("no structure")
    told = command(capsys, "propose", ".")
    assert {Path(each["file"]).name for each in told["molecules"]} == {"hcn.xyz", "hnc.xyz"}
    assert list(told["failed"]) == ["apart.xyz"]
    rates = [each["tss_per_1000"] for each in told["molecules"]]
    assert rates == sorted(rates, reverse=True)
    for each in told["molecules"]:
        assert each["formula"] == "CHN"
        assert 0.0 < each["gradients"] <= 9000.0
        assert each["tss_per_1000"] == pytest.approx(1000.0 * each["tss"] / each["gradients"])
        assert each["offers"] >= each["counted"] > 0
        assert (each["charge"], each["multiplicity"]) == (0, 1)
    assert main(["propose", "hcn.xyz"]) == 0
    assert "Where exploring is expected to pay" in capsys.readouterr().out


def test_a_doubt_of_the_policy_is_told_once_at_the_start_and_by_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("networks.exploration.run.load_policy", lambda *_: Unsteady())
    monkeypatch.setattr("networks.reporting.run.load_policy", lambda *_: Unsteady())
    path = tmp_path / "toy.db"
    events = run(path, replace(SETTINGS, policy="exhaustive", max_trials=2))
    told = [event for event in events if isinstance(event, Unsure)]
    assert told == [Unsure("exhaustive", "it never saw CHNO")]
    more = list(resume(path, executor=toy, max_trials=4))
    assert not [event for event in more if isinstance(event, Unsure)]
    doubt = "the policy exhaustive: it never saw CHNO"
    assert load_run(path, count_pushes=True).doubts == (doubt,)
    assert main(["show", str(path)]) == 0
    assert f"Warning: {doubt}." in capsys.readouterr().out
    assert main(["show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["doubts"] == [doubt]


class Unsteady(strangers.Strange):
    """A policy that knows little."""

    def __init__(self) -> None:
        super().__init__("plain", 0)

    def doubt(self, offers: Sequence[Any], network: Any) -> str:
        assert len(offers) > 3
        assert np.isfinite(network.eqs["EQ0"].positions).all()
        return f"it never saw {network.molecule.formula}"
