"""What a run makes of a policy that answers what it must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import strangers
from runs import snapshot
from toyworld import MOLECULE, SETTINGS, SURFACE, structure, toy

from afir.cli.main import main
from afir.errors import AfirError, InputError
from networks import Settings, explore, open_run, resume
from networks.exploration.events import Stopped
from networks.policies.base import load_policy
from networks.records.runs import StoppedBy

WRONG = {
    "twice": r"must choose no push twice, got EQ\d+ \d+ again",
    "triples": r"must choose tuples of an id and a whole number, got \('EQ\d+', \d+, 1\)",
    "too many": r"must choose at most 1 items, got \d+",
    "not left": r"must choose pushes that are left, got EQ\d+ 1000000000",
    "unknown": "must choose pushes that are left, got EQ999 0",
    "no number": r"must choose tuples of an id and a whole number, got Item\(.*'0'\)",
    "no id": r"must choose tuples of an id and a whole number, got Item\(eq='start', push=0\)",
    "nothing": "must choose something while pushes are left, got nothing",
    "None": "must choose a list of tuples, got NoneType",
    "lazy": "must choose a list of tuples, got list_iterator",
    "endless": "must choose a list of tuples, got repeat",
    "raises": "failed while choosing: KeyError: 'a key'",
    "exits": "failed while choosing: SystemExit: 4",
    "moves": "failed while choosing: ValueError: .*read-only",
}


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strangers.register(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def settings(how: str, trials: int, **changes: object) -> Settings:
    options = {"how": how, "trials": trials}
    return Settings(
        SURFACE,
        terms=1,
        seed=5,
        in_flight=5,
        policy="strange",
        policy_options=options,
        **changes,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("how", WRONG)
def test_what_a_policy_says_wrongly_is_one_sentence_and_the_run_goes_on_with_another(
    how: str, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    right = 0 if how == "twice" else 3  # more than one is chosen only at the start
    remedy = "fix it, then resume the run, or resume it with another --policy"
    with pytest.raises(AfirError, match=f"^the policy 'strange' {WRONG[how]}; {remedy}$"):
        list(explore(MOLECULE, structure(0), settings(how, right), path, executor=toy))
    with open_run(path) as store:
        assert [trial.number for trial in store.trials()] == list(range(1, right + 1))
        # Those that were chosen rightly are in flight, and go on.
        flying = [planned.trial for planned in store.planned() if planned.trial > right]
        assert flying == (list(range(right + 1, right + 5)) if right else [])
    events = list(resume(path, policy="lowest-energy", max_trials=14, executor=toy))
    assert events[-1] == Stopped(StoppedBy.TRIALS, True)
    with open_run(path) as store:
        assert store.settings.policy == "lowest-energy"
        assert store.settings.policy_options == {}
        assert [trial.number for trial in store.trials()] == list(range(1, 15))


@pytest.mark.parametrize("how", ["NumPy", "plain"])
def test_numbers_of_numpy_and_plain_tuples_are_items(how: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    list(explore(MOLECULE, structure(0), settings(how, 0, max_trials=8), path, executor=toy))
    assert len(snapshot(path)["trials"]) == 8


@pytest.mark.parametrize(
    ("how", "said"), [("deaf", "ValueError: no memory"), ("deaf and gone", "SystemExit: 4")]
)
def test_a_policy_that_cannot_learn_is_named(how: str, said: str, tmp_path: Path) -> None:
    events = explore(MOLECULE, structure(0), settings(how, 9), tmp_path / "run", executor=toy)
    with pytest.raises(AfirError, match=f"^the policy 'strange' failed while learning: {said}; "):
        list(events)
    events = resume(tmp_path / "run", policy="exhaustive", max_trials=14, executor=toy)
    assert list(events)[-1] == Stopped(StoppedBy.TRIALS, True)


def test_a_run_goes_on_with_another_policy_as_if_it_had_begun_with_it(tmp_path: Path) -> None:
    right = replace(SETTINGS, max_trials=15)
    list(explore(MOLECULE, structure(0), right, tmp_path / "one", executor=toy))
    with pytest.raises(AfirError):
        list(explore(MOLECULE, structure(0), settings("None", 0), tmp_path / "two", executor=toy))
    list(resume(tmp_path / "two", policy=right.policy, max_trials=15, executor=toy))
    assert snapshot(tmp_path / "two") == snapshot(tmp_path / "one")


def test_a_policy_that_is_named_again_keeps_its_options(tmp_path: Path) -> None:
    hot = replace(SETTINGS, policy="stochastic", policy_options={"temperature": 3000}, max_trials=2)
    list(explore(MOLECULE, structure(0), hot, tmp_path / "run", executor=toy))
    for policy, options in (("stochastic", {"temperature": 3000}), ("learned", {})):
        list(resume(tmp_path / "run", policy=policy, executor=toy))
        with open_run(tmp_path / "run") as store:
            assert (store.settings.policy, store.settings.policy_options) == (policy, options)


def test_a_policy_that_cannot_be_built_is_named() -> None:
    with pytest.raises(
        InputError, match=r"^the policy 'strange' cannot be loaded: RuntimeError: no licence$"
    ):
        load_policy("strange", {"how": "unbuilt"})


def test_the_commands_say_so_and_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hcn.xyz").write_text("3\n\nH 0.0 0.02 -1.06\nC 0.0 0.0 0.0\nN 0.01 0.0 1.14\n")
    policy = ["--policy", "strange", "--policy-option", "how=twice", "--policy-option", "trials=0"]
    assert main(["explore", "hcn.xyz", *policy]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("Error: the policy 'strange' must choose no push twice, got EQ0")
    assert main(["resume", "hcn.db", "--max-trials", "2"]) == 2
    assert "must choose no push twice" in capsys.readouterr().err
    assert main(["resume", "hcn.db", "--max-trials", "2", "--policy", "exhaustive"]) == 0
    with open_run(Path("hcn.db")) as store:
        assert [trial.push for trial in store.trials()] == [0, 1]
