"""What a run has left to try, what its window cut off, and how much it says is still unseen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drawn_network import drawn_run
from offered import kicked, pulled, pushed
from toyworld import MOLECULE, SETTINGS, structure, toy

import networks.reporting.ending
import networks.scheduling.remains
from afir.geometry.bonds import bonds, bonds_changed
from afir.methods.base import Offer
from afir.stationary import Outcome
from afir.units import KJ_PER_MOL
from networks import explore, open_run, resume
from networks.graph.rejected import Dismissals
from networks.records.runs import StoppedBy
from networks.records.trials import Trial
from networks.reporting.advice import advice
from networks.reporting.ending import ending
from networks.reporting.run import Run, load_run
from networks.reporting.show_json import show_object
from networks.scheduling.history import History
from networks.scheduling.remains import Remains, incidence
from networks.scheduling.scheduler import KeptBack, Outlook
from networks.scheduling.unseen import Unseen, unseen
from networks.settings import Settings
from networks.storage.run_file import RunFile

PUSH, PULL = pushed(0, 1), pulled(0, 1)


def trial(number: int, tried: Offer, *met: str, eq: str = "EQ0") -> Trial:
    """A trial that met these."""
    return Trial(
        number=number,
        known=0,
        eq=eq,
        push=number,
        method=tried.method,
        offer=tried.data,
        seed=(0,),
        outcome=Outcome.FOUND,
        crossed=True,
        gradients={},
        cpu_seconds=0.0,
        found=(),
        pushes_left=0,
        met=("EQ0", *met),
    )


def test_a_transition_state_is_met_once_in_a_push_however_often_that_is_tried() -> None:
    trials = [
        trial(1, PUSH, "TS0", "TS1"),
        trial(2, PUSH, "TS0"),  # the same push once more
        trial(3, PUSH, "TS0", eq="EQ1"),
        trial(4, PULL, "TS0", "TS2"),
        trial(5, kicked(0), "TS1"),
        trial(6, kicked(1), "TS1"),
        trial(7, kicked(2)),
    ]
    assert incidence(trials, {"TS0", "TS1"}) == ({"TS0": 3, "TS1": 3}, 6)


@pytest.mark.slow
def test_loops_and_what_lies_above_the_window_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "run"
    list(explore(MOLECULE, structure(0), SETTINGS, path, executor=toy))
    with open_run(path) as store:
        network, trials = store.load_network(), list(store.trials())
    steps = {id for id, ts in network.tss.items() if ts.ends[0] != ts.ends[1]}
    assert 0 < len(steps) < len(network.tss)
    counts, pushes = incidence(trials, steps)
    assert set(counts) == steps
    assert pushes < len(trials)
    assert load_run(path).remains.unseen == unseen(counts.values(), pushes)
    # A window that is made narrower later.
    energies = sorted(ts.energy for ts in network.tss.values())
    middle = (energies[len(energies) // 2] - network.eqs["EQ0"].energy) / KJ_PER_MOL
    with RunFile.open(path, writing=True) as store:
        store.change_settings(replace(store.settings, window_kj_mol=middle))
    low = {id for id in steps if network.tss[id].energy <= energies[len(energies) // 2]}
    assert 0 < len(low) < len(steps)
    counts, pushes = incidence(trials, low)
    assert load_run(path).remains.unseen == unseen(counts.values(), pushes)


@pytest.mark.slow
def test_pushes_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "run"
    list(explore(MOLECULE, structure(0), replace(SETTINGS, max_trials=7), path, executor=toy))

    def listed() -> int:
        with open_run(path) as store:
            network = store.load_network()
            outlook = Outlook(store.settings, network, Dismissals(MOLECULE), History())
            worth = [node for node in network.eqs.values() if not node.flags]
            return sum(len(outlook.pushes(node)) for node in worth)

    remains = load_run(path, count_pushes=True).remains
    assert (remains.pushes, remains.pushes_left) == (listed(), listed() - 7)
    assert load_run(path).remains.pushes is None
    list(resume(path, max_trials=None, executor=toy))
    whole = load_run(path, count_pushes=True)
    assert (whole.remains.pushes, whole.remains.pushes_left) == (listed(), 0)
    assert sum(whole.summary.trials.values()) > listed()


def test_pushes_of_very_many_structures_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    # In the order of discovery several EQs are left untried.
    settings = replace(SETTINGS, max_trials=24, policy="exhaustive")
    list(explore(MOLECULE, structure(0), settings, path, executor=toy))
    pushed = load_run(path, count_pushes=True)
    untried = pushed.remains.eqs_untried
    with open_run(path) as store:
        tried = {trial.eq for trial in store.trials()}
    eqs = pushed.network.eqs.values()
    assert untried == sum(not node.flags and node.id not in tried for node in eqs) > 1
    monkeypatch.setattr(networks.scheduling.remains, "MOST_UNTRIED", untried - 1)
    monkeypatch.setattr(networks.reporting.ending, "MOST_UNTRIED", untried - 1)
    monkeypatch.setattr(Outlook, "pushes", None)  # none is worked out
    run = load_run(path, count_pushes=True)
    assert show_object(run)["pushes"] == {"listed": None, "left": None}
    assert ending(run)[:1] == [
        f"{untried} EQs have not been pushed yet and may lead to more; their pushes were not "
        "counted."
    ]


@pytest.mark.slow
def test_a_run_that_has_tried_everything_once_has_no_push_left(tmp_path: Path) -> None:
    path = tmp_path / "run"
    list(explore(MOLECULE, structure(0), SETTINGS, path, executor=toy))
    count = load_run(path, count_pushes=True).remains.pushes
    assert count is not None
    again = replace(SETTINGS, max_trials=count + 3)
    list(explore(MOLECULE, structure(0), again, tmp_path / "again", executor=toy))
    run = load_run(tmp_path / "again", count_pushes=True)
    assert (run.remains.pushes, run.remains.pushes_left) == (count, 0)
    assert ending(run)[0] == f"All {count} pushes were tried; further attempts are left."


def test_what_the_window_cuts_off_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "run"
    settings = replace(SETTINGS, window_kj_mol=60.0)
    list(explore(MOLECULE, structure(0), settings, path, executor=toy))
    run = load_run(path)
    with open_run(path) as store:
        pushed = {trial.eq for trial in store.trials()}
    eqs = run.network.eqs
    high = [id for id, node in eqs.items() if node.energy > eqs["EQ0"].energy + 60 * KJ_PER_MOL]
    assert high
    assert not pushed & set(high)
    assert run.remains.eqs_above == len(high)


def ended(stopped: StoppedBy, remains: Remains, **settings: float) -> Run:
    """A run that ended like this, with three trials that the surface failed."""
    run = drawn_run(stopped)
    trials = {Outcome.FOUND: 27, Outcome.OUTSIDE_WINDOW: 12, Outcome.SURFACE_FAILED: 3}
    return replace(
        run,
        settings=Settings(**settings),  # type: ignore[arg-type]
        summary=replace(run.summary, trials=trials),
        remains=remains,
    )


MORE = unseen([1, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10], 42)


def test_the_end_of_a_run_is_told() -> None:
    done = ended(StoppedBy.NOTHING_LEFT, Remains(MORE, 5, 39, 0), window_kj_mol=300.0)
    assert ending(done) == [
        "All 39 pushes were tried.",
        "In 3 of 42 trials the surface failed.",
        "Above the energy window (300 kJ/mol above the start), 12 trials ended and 5 EQs were not "
        "pushed.",
        "Chao's estimate: more such trials may find about 2 (0 to 16) new transition states "
        "(14 known).",
    ]
    limit = ended(StoppedBy.TRIALS, Remains(MORE, 1, 90, 48), window_kj_mol=300.0)
    # How many are unseen is not told before all has been tried: it would be misleading.
    assert ending(limit) == [
        "48 of 90 pushes of the structures so far are untried and may find more.",
        "In 3 of 42 trials the surface failed.",
        "Above the energy window (300 kJ/mol above the start), 12 trials ended and 1 EQ was not "
        "pushed.",
    ]


@pytest.mark.parametrize("stopped", [StoppedBy.NOTHING_LEFT, StoppedBy.TRIALS])
def test_trials_that_failed_are_told_whatever_is_left(stopped: StoppedBy) -> None:
    run = ended(stopped, Remains(MORE, 0, 42, 0))
    trials = {Outcome.FOUND: 9, Outcome.SEARCH_FAILED: 30, Outcome.SURFACE_FAILED: 1}
    run = replace(run, summary=replace(run.summary, trials=trials))
    said = "In 1 of 40 trials the surface failed and in 30 of 40 trials the search itself failed."
    assert ending(run)[1] == said
    rest = {Outcome.FOUND: 9, Outcome.SEARCH_FAILED: 30}
    run = replace(run, summary=replace(run.summary, trials=rest))
    assert ending(run)[1] == "In 30 of 39 trials the search itself failed."


def test_the_end_of_a_run_without_a_window_or_a_transition_state() -> None:
    none = ended(StoppedBy.NOTHING_LEFT, Remains(Unseen(trials=39), 0, 39, 0))
    assert ending(none)[2:] == [
        "No transition states between two structures: too few to estimate how many are still "
        "unseen."
    ]
    single = ended(StoppedBy.NOTHING_LEFT, Remains(unseen([30], 200), 0, 39, 0))
    assert ending(single)[2] == (
        "1 transition state between two structures: too few to estimate how many are still unseen."
    )
    sure = ended(StoppedBy.NOTHING_LEFT, Remains(unseen([30, 31, 32], 200), 0, 39, 0))
    assert ending(sure)[2] == (
        "Chao's estimate: more such trials may find hardly any (0 to 0) new transition states "
        "(3 known)."
    )
    begun = drawn_run(StoppedBy.TRIALS)
    begun = replace(begun, summary=replace(begun.summary, trials={}), remains=Remains())
    assert ending(begun) == []
    bare = ended(StoppedBy.NOTHING_LEFT, Remains(MORE))
    bare = replace(bare, summary=replace(bare.summary, trials={Outcome.FOUND: 4}))
    assert ending(bare)[0] == "Every push was tried."
    free = replace(bare, settings=Settings(window_kj_mol=300.0))
    assert ending(free)[1] == (
        "No trial ended and no EQ lies above the energy window (300 kJ/mol above the start)."
    )
    some = ended(StoppedBy.NOTHING_LEFT, Remains(unseen([1, 2, 2, 3, 4, 5], 60), 0, 39, 0))
    assert re.search(r"hardly any \(0 to \d\) new transition states \(6 known\)", *ending(some)[2:])


def test_what_ended_above_a_narrower_window_is_not_said_to_be_above_the_new_one() -> None:
    run = ended(StoppedBy.NOTHING_LEFT, Remains(MORE, 5, 39, 0), window_kj_mol=300.0)
    same = replace(run, job="window = 300.0\n")
    assert ending(same) == ending(run)
    wider = ending(replace(run, job="window = 200.0\n"))
    assert wider[2] == (
        "12 trials ended above the energy window that was set before; 5 EQs were not pushed above "
        "the energy window (300 kJ/mol above the start)."
    )
    none = ended(StoppedBy.NOTHING_LEFT, Remains(MORE, 0, 39, 0), window_kj_mol=300.0)
    assert ending(replace(none, job="window = 200.0\n"))[2] == (
        "12 trials ended above the energy window that was set before."
    )


def test_what_was_left_alone_is_told() -> None:
    done = drawn_run(StoppedBy.NOTHING_LEFT)

    def told(remains: Remains, **settings: Any) -> list[str]:
        return ending(replace(done, remains=remains, settings=Settings(**settings)))

    assert "1 complex was not pushed (--expand-complexes)." in told(Remains(complexes=1))
    near = Remains(complexes=3, eqs_deeper=2)
    assert (
        "3 complexes were not pushed (--expand-complexes); 2 EQs were not pushed because of "
        "--bond-depth."
    ) in told(near, bond_depth=1)
    several = {
        (KeptBack.COMPLEX, KeptBack.WINDOW): ("EQ7",),
        (KeptBack.WINDOW, KeptBack.DEPTH): ("EQ12", "EQ9"),
    }
    assert (
        "1 complex above the energy window was not pushed (EQ7); 2 EQs above the energy window "
        "were not pushed, also because of --bond-depth (EQ9 EQ12)."
    ) in told(Remains(eqs_several=several))
    many = {(KeptBack.COMPLEX, KeptBack.DEPTH): tuple(f"EQ{k}" for k in range(1, 10))}
    assert (
        "9 complexes were not pushed, also because of --bond-depth "
        "(EQ1 EQ2 EQ3 EQ4 EQ5 EQ6 and 3 more)."
    ) in told(Remains(eqs_several=many))
    assert (
        "Because of --target-atoms all else was left as it is: only moves of these atoms were "
        "tried, and no random geometries."
    ) in told(Remains(), targets=(0,))
    assert len(told(Remains(), bond_depth=1)) == len(told(Remains()))
    advised = advice(replace(done, remains=near, settings=Settings(bond_depth=1)), Path("r.db"))[0]
    assert advised.startswith("A new run with --expand-complexes, --bond-depth above 1,")
    few = advice(replace(done, settings=Settings(targets=(0,))), Path("r.db"))[0]
    assert few.startswith("A new run with other --target-atoms,")


def test_why_an_eq_is_kept_back(tmp_path: Path) -> None:
    path = tmp_path / "run"
    settings = replace(SETTINGS, window_kj_mol=100.0, bond_depth=2)
    list(explore(MOLECULE, structure(0), settings, path, executor=toy))
    with open_run(path) as store:
        network = store.load_network()
        outlook = Outlook(store.settings, network, Dismissals(store.molecule), History())
        outlook.read()
        kept = {eq.id: outlook.kept_back(eq) for eq in network.eqs.values()}
        pushed = {trial.eq for trial in store.trials()}
    remains = load_run(path).remains
    numbers = remains.eqs_above, remains.complexes, remains.eqs_deeper
    reasons = KeptBack.WINDOW, KeptBack.COMPLEX, KeptBack.DEPTH
    assert numbers == tuple(list(kept.values()).count((reason,)) for reason in reasons)
    assert not any(kept[id] for id in pushed)
    start = network.eqs["EQ0"]
    for eq in network.eqs.values():
        if KeptBack.WINDOW in kept[eq.id]:
            assert eq.energy - start.energy > 100.0 * KJ_PER_MOL
        if KeptBack.DEPTH in kept[eq.id]:
            shapes = (bonds(MOLECULE, point.positions) for point in (start, eq))
            assert bonds_changed(*shapes) > 2
    assert sum(numbers) > 0
    # Each EQ that was not pushed is counted once, also a deep one above the window.
    assert remains.eqs_several
    assert all(kept[id] == why for why, ids in remains.eqs_several.items() for id in ids)
    several = sum(map(len, remains.eqs_several.values()))
    assert sum(numbers) + several == len(network.eqs) - len(pushed)


def every_end() -> Iterator[Run]:
    """Runs of all kinds, with numbers of several digits."""
    many = unseen([1] * 30 + [2] * 4 + [9] * 90, 4000)
    for stopped in StoppedBy:
        for left in (0, 1234):
            yield ended(stopped, Remains(many, 123, 5678, left), window_kj_mol=300.0)


def test_the_end_fits_on_a_line_and_is_followed_by_advice() -> None:
    for run in every_end():
        assert max(map(len, ending(run))) <= 100
        assert not set(ending(run)) & set(advice(run, Path("run.db")))


@pytest.mark.parametrize("window", [None, 300.0])
def test_the_same_is_in_the_json_object(window: float | None) -> None:
    run = replace(
        ended(StoppedBy.TRIALS, Remains(MORE, 5, 90, 48)), settings=Settings(window_kj_mol=window)
    )
    shown = show_object(run)
    assert shown["unseen"] == {
        "observed": 14,
        "met_once": 4,
        "met_twice": 2,
        "trials": 42,
        "estimate": MORE.estimate,
        "low": MORE.low,
        "high": MORE.high,
    }
    assert shown["pushes"] == {"listed": 90, "left": 48}
    assert shown["window"] == {"kj_mol": window, "trials_above": 12, "eqs_above": 5}
    assert show_object(drawn_run(StoppedBy.INTERRUPTED, []))["unseen"]["estimate"] is None
