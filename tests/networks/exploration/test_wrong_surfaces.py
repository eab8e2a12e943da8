"""Surfaces whose energies and gradients do not belong together: nothing they say is believed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import strangers
from runs import HCN, HCN_START, snapshot

from afir.cli.main import main
from afir.errors import AfirError, InputError
from afir.molecule import Molecule
from afir.pes.named import Named
from afir.units import KJ_PER_MOL
from networks import Settings, explore, open_run, resume
from networks.exploration.events import Doubted
from networks.reporting.run import load_run
from networks.reporting.show_json import show_object
from networks.storage.run_file import RunFile

HNC = "3\n\nN 0.0 0.0 0.0\nH 0.0 0.02 -1.0\nC 0.01 0.0 1.17\n"
GUESS = "3\n\nH 0.717 0.0 0.107\nC -0.183 0.0 -0.628\nN -0.535 0.0 0.522\n"
PROBLEMS = {
    "half": r"its gradient is 0\.50 times the slope of its energy",
    "missing": r"its gradient and the slope .* differ by \d+ % where atom 0 moves: either .*",
    "flat": "its energy does not change when atoms move",
    "state": r"its gradient and the slope .* differ by \d+ % where atom \d moves: either .*",
    "drift": r"its energy of one geometry changed by 0\.0\d+ eV while it was asked",
}


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strangers.register(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("hnc.xyz").write_text(HNC)
    Path("guess.xyz").write_text(GUESS)


def settings(how: str, size: float = 2e-3, **changes: object) -> Settings:
    options = {"how": how, "size": size}
    return Settings("wrong", options, max_trials=4, in_flight=2, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", PROBLEMS)
def test_a_run_does_not_begin_on_a_wrong_surface(how: str, tmp_path: Path) -> None:
    beginning = rf"^the surface wrong \(how={how}.*\) must give one energy .*, but "
    words = f"{beginning}{PROBLEMS[how]}; correct it"
    with pytest.raises(InputError, match=words):
        list(explore(HCN, HCN_START, settings(how), tmp_path / "run"))
    assert not (tmp_path / "run").exists()  # its name is wanted for the next attempt


def test_the_command_says_so_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "hnc.xyz", "--surface", "wrong", "--surface-option", "how=half"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("Error: the surface wrong (how=")
    assert not Path("hnc.db").exists()


@pytest.mark.parametrize("how", ["half", "missing", "flat"])
def test_a_wrong_reference_is_refused(how: str, tmp_path: Path) -> None:
    asked = Settings("gfn2", reference="wrong", reference_options={"how": how}, max_trials=1)
    with pytest.raises(InputError, match=f"^the surface wrong .*, but {PROBLEMS[how]}"):
        list(explore(HCN, HCN_START, asked, tmp_path / "run"))


def test_a_rough_surface_is_used_and_the_doubt_stays_in_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    events = list(explore(HCN, HCN_START, settings("rough"), path))
    told = [event for event in events if isinstance(event, Doubted)]
    assert [event.surface for event in told] == ["wrong (how=rough, size=0.002)"]
    (doubt,) = show_object(load_run(path))["doubts"]
    assert doubt == f"the surface wrong (how=rough, size=0.002): {told[0].doubt}"
    assert main(["show", str(path)]) == 0
    assert f"Warning: {doubt}." in " ".join(capsys.readouterr().out.split())


def test_a_jump_of_a_surface_of_this_package_is_a_doubt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of Mo2 at 2.2 Å, where two SCF solutions 3.6 eV apart cross."""
    start = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.2]])
    events = explore(Molecule((42, 42)), start, Settings(max_trials=0), tmp_path / "run")
    (told,) = (event.doubt for event in events if isinstance(event, Doubted))
    assert "or the energy jumps between neighbouring geometries" in told
    Path("mo2.xyz").write_text("2\n\nMo 0 0 0\nMo 0 0 2.2\n")
    assert main(["ts", "mo2.xyz"]) != 2
    assert "or the energy jumps" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_right_surface_costs_eight_gradients_and_leaves_no_doubt(tmp_path: Path) -> None:
    runs = {}
    for name, workers in (("one", 1), ("two", 2)):
        list(explore(HCN, HCN_START, settings("right"), tmp_path / name, workers=workers))
        runs[name] = snapshot(tmp_path / name)
        with open_run(tmp_path / name) as store:
            (examined,) = store.examined()
        assert (examined.surface, examined.doubt) == ("wrong (how=right, size=0.002)", "")
        assert examined.ratio == pytest.approx(1.0, abs=0.02)
    assert runs["one"] == runs["two"]
    assert runs["one"]["gradients"]["consistency"] == 8
    assert runs["one"]["gradients"]["again"] == 1  # EQ0 once more at the end


@pytest.mark.slow
def test_an_energy_that_drifts_slowly_ends_the_run(tmp_path: Path) -> None:
    """10 kJ/mol in a thousand gradients: too slow to be seen at the start."""
    slow = settings("drift", 0.01 * KJ_PER_MOL)
    with pytest.raises(
        AfirError, match=r"^the surface gave another energy for EQ0 in the last check"
    ) as e:
        list(explore(HCN, HCN_START, slow, tmp_path / "run"))
    assert "nothing since the last check was kept: fix the surface, then resume the run" in str(
        e.value
    )
    with open_run(tmp_path / "run") as store:
        assert list(store.trials()) == []
        assert store.results() == {}  # done again by who resumes
    trusted = [Named(slow.surface, slow.surface_options)]
    with pytest.raises(AfirError, match=r"the energy of EQ0 is .* kJ/mol off"):
        list(resume(tmp_path / "run", trusted=trusted))


@pytest.mark.slow
def test_a_surface_with_two_solutions_is_no_other_surface(tmp_path: Path) -> None:
    two = settings("solutions", 0.01)
    assert list(explore(HCN, HCN_START, two, tmp_path / "run"))
    with open_run(tmp_path / "run") as store:
        gradients, trials = store.summary().gradients, len(list(store.trials()))
    assert gradients["again"] == 1
    trusted = [Named(two.surface, two.surface_options)]
    list(resume(tmp_path / "run", max_trials=trials + 2, trusted=trusted))
    with open_run(tmp_path / "run") as store:
        assert len(list(store.trials())) == trials + 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("steep", r"must be the one that \S+ began with; the largest gradient .* is 3\.\d\d eV/Å"),
        ("NaN", "must still work for the start of .*not finite"),
        ("short", r"must still work for the start of .*must return .*\(1, 3, 3\)"),
    ],
)
def test_a_run_does_not_go_on_with_a_surface_that_was_changed(
    how: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    list(explore(HCN, HCN_START, settings("right"), path))
    with RunFile.open(path, writing=True) as store:
        store.change_settings(settings(how))
    before = snapshot(path)
    trusted = [Named("wrong", settings(how).surface_options)]
    with pytest.raises(InputError, match=f"^the surface wrong {words}"):
        resume(path, max_trials=8, trusted=trusted)
    assert snapshot(path) == before


def test_a_reference_may_be_the_same_method_with_other_options(tmp_path: Path) -> None:
    water = {"solvent": "water"}
    both = Settings(reference="gfn2", reference_options=water, max_trials=0)
    list(explore(HCN, HCN_START, both, tmp_path / "run"))
    with open_run(tmp_path / "run") as store:
        assert [e.surface for e in store.examined()] == ["gfn2", "gfn2 (solvent=water)"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["half", "missing", "flat", "drift"])
@pytest.mark.parametrize(
    "command", [["ts", "guess.xyz"], ["relax", "hnc.xyz", "--frequencies"]], ids=["ts", "relax"]
)
def test_nothing_is_proven_on_a_wrong_surface(
    command: list[str], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--surface-option", f"how={how}", "--surface-option", "size=0.002"]
    assert main([*command, "--surface", "wrong", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match(r"Error: the surface wrong \(how=.*\) must give one energy for one geom", err)
    assert not list(Path().glob("*-*.xyz"))


def test_no_path_is_followed_on_a_wrong_surface(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ts", "guess.xyz", "-o", "top.xyz"]) == 0
    wrong = ["--surface", "wrong", "--surface-option", "how=half", "--json"]
    assert main(["irc", "top.xyz", *wrong]) == 2
    capsys.readouterr()
    rough = ["--surface", "wrong", "--surface-option", "how=rough", "--json"]
    assert main(["irc", "top.xyz", *rough]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["verified"]
    told = " ".join(err.split())
    assert "Warning: the surface wrong (how=rough): its gradient is 1.10 times" in told
