"""Which proven structures a trial met, known ones too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from offered import PUSH, climbed, forced, inverted, kicked
from played import Played
from rich.console import Console
from runs import HCN, HCN_START
from toyworld import MOLECULE, SETTINGS, answer, by, structure, toy

from afir.cli.terminal import LiveLine
from afir.methods.artificial_force import ForceTerm
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.searches.saddle import saddle
from afir.stationary import Candidate, Confirmation, Minimum, Outcome, TrialResult
from afir.verification.minima import characterise
from networks import explore, open_run
from networks.cli.progress import Tally, watch
from networks.execution.context import Bench
from networks.execution.tasks import Confirm, Push, Task, TaskResult
from networks.exploration.events import TrialDone
from networks.records.structures import Dismissed
from networks.records.trials import Trial


@dataclass
class Listening:
    """The toy world, and what each push said."""

    said: dict[tuple[int, ...], TrialResult] = field(default_factory=dict)

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskResult]]:
        """See `networks.execution.base.Executor`."""
        for index, task in enumerate(tasks):
            result = answer(task)
            if isinstance(task, Push) and isinstance(result.value, TrialResult):
                self.said[task.seed] = result.value
            yield index, result

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.slow
def test_every_proven_structure_that_a_trial_met_is_in_its_row(tmp_path: Path) -> None:
    world = Listening()
    list(explore(MOLECULE, structure(0), SETTINGS, tmp_path / "run", executor=by(world)))
    with open_run(tmp_path / "run") as store:
        network, trials = store.load_network(), list(store.trials())
    tss = {round(ts.energy, 4): id for id, ts in network.tss.items()}
    eqs = {round(eq.energy, 4): id for id, eq in network.eqs.items()}
    known = 0
    for trial in trials:
        assert len(set(trial.met)) == len(trial.met)
        assert set(trial.found) <= set(trial.met)
        value = world.said.get(trial.seed)
        candidates = () if value is None else value.candidates
        # Those whose proof failed are in no network.
        passed = [tss[key] for c in candidates if (key := round(c.energy, 4)) in tss]
        assert [id for id in trial.met if id.startswith("TS")] == passed
        for id in set(passed) - set(trial.found):
            known += 1
            # Nothing was examined, so its ends were not met.
            assert not set(network.tss[id].ends) & (set(trial.met) - set(behind(value, eqs)))
        for id in set(passed) & set(trial.found):
            assert set(network.tss[id].ends) <= set(trial.met)
        assert set(behind(value, eqs)) <= set(trial.met)
    assert known > 10
    # In the order in which they are met: transition states, their ends, what lies behind the push.
    both = [trial.met for trial in trials if len(trial.met) > 1 and trial.met[0].startswith("TS")]
    assert both
    assert all(not id.startswith("TS") for met in both for id in met[1:])


def behind(value: TrialResult | None, eqs: dict[float, str]) -> list[str]:
    """The EQs that a push led to."""
    minima = () if value is None else value.minima
    return [eqs[key] for m in minima if (key := round(m.energy - 1e-6, 4)) in eqs]


def test_trials_in_flight_together_that_met_the_same_both_say_so() -> None:
    """The second is not examined; nor is one that was dismissed because it is known."""
    perform = Bench(HCN, "gfn2").open()
    surface = load_surface("gfn2", HCN)
    start = solve(characterise(HCN, HCN_START), surface)
    guess = np.array([[0.717, 0.0, 0.107], [-0.183, 0.0, -0.628], [-0.535, 0.0, 0.522]])
    top = solve(saddle(HCN, guess), surface)
    candidate = Candidate(top.positions, top.energy, top.hessian, "")
    beside = replace(candidate, positions=top.positions + 1e-5)
    odd = Candidate(HCN_START * 1.2, top.energy + 3.0, top.hessian, "")
    none = np.zeros((3, 3))
    back = Minimum(Outcome.CONVERGED, start.positions, start.energy, none, start.hessian, False)
    proven = perform(Confirm(candidate))
    assert isinstance(proven.value, Confirmation)

    played = Played(HCN, start, lambda task: proven if isinstance(task, Confirm) else perform(task))
    network, dismissals = played.network, played.dismissals

    def met(*pushed: TrialResult) -> list[tuple[str, ...]]:
        """What trials in flight together have met, all of which crossed at 400 kJ/mol."""
        trials = played.together(*pushed).trials
        assert {trial.gamma for trial in trials} == {400.0}
        return [trial.met for trial in trials]

    first = TrialResult(Outcome.FOUND, (candidate,), (), True, 400.0)
    again = TrialResult(Outcome.FOUND, (beside, candidate), (), True, 400.0)
    assert met(first, again) == [("TS0", *network.tss["TS0"].ends), ("TS0",)]
    assert met(again) == [("TS0",)]
    dismissals.add(
        Dismissed("TS", odd.positions, odd.energy, Outcome.CONFIRMED, "it is TS0", "TS0", 1)
    )
    wrong = replace(odd, energy=odd.energy + 5.0)
    dismissals.add(
        Dismissed("TS", wrong.positions, wrong.energy, Outcome.WRONG_ORDER, "no", None, 1)
    )
    known = TrialResult(Outcome.FOUND, (wrong, odd, candidate), (back,), True, 400.0)
    assert met(known) == [("TS0", "EQ0")]


PAIR = forced(ForceTerm((0, 1), (2,), 1), ForceTerm((2,), (3,), -1))


@pytest.mark.parametrize(
    ("gamma", "found", "words"),
    [
        (
            500.0,
            ("TS3",),
            ": found TS3; reached known EQ0 EQ1; the artificial force alone crossed a barrier at "
            "γ = 500 kJ/mol; 5 gradients",
        ),
        (0.0, (), ": reached known TS3 EQ0 EQ1; 5 gradients"),
    ],
)
def test_what_a_trial_met_and_where_it_crossed_is_logged(
    gamma: float, found: tuple[str, ...], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    trial = Trial(
        number=7,
        known=1,
        eq="EQ0",
        push=0,
        method="sc-afir",
        offer=PUSH.data,
        seed=(7,),
        outcome=Outcome.FOUND,
        crossed=gamma > 0,
        gradients={"push": 5},
        cpu_seconds=0.1,
        found=found,
        pushes_left=0,
        gamma=gamma,
        met=("TS3", "EQ0", "EQ1"),
    )
    line = LiveLine(Console(stderr=True, quiet=True), "starting")
    with caplog.at_level("INFO", logger="networks.cli.progress"):
        watch([TrialDone(trial)], line, Tally(HCN))
        for offer in (PAIR, climbed(3, -1), inverted(4), kicked(6)):
            other = replace(trial, method=offer.method, offer=offer.data)
            watch([TrialDone(other)], line, Tally(HCN))
    message, *others = caplog.messages
    assert message.startswith("trial 7: EQ0, sc-afir: +0|1: ")
    assert message.endswith(words)
    for said, offer in zip(
        others,
        (
            "EQ0, sc-afir: +0,1|2 -2|3: ",
            "EQ0, mode-following: kind climb, mode 3, sign -1: ",
            "EQ0, inversion: kind inversion, atoms [4]: ",
            "EQ0, kick: kind random, geometry moved, number 6: ",
        ),
        strict=True,
    ):
        assert offer in said


@pytest.mark.slow
def test_what_was_rejected_before_is_told_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    settings = replace(SETTINGS, max_trials=480)
    events = list(explore(MOLECULE, structure(0), settings, path, executor=toy))
    again = [(e.trial, e.again) for e in events if isinstance(e, TrialDone) and e.again]
    assert again
    with open_run(path) as store:
        rejected = {(d.trial, d.energy): d for d in store.dismissed() if d.node is None}
    for trial, before in again:
        for record in before:
            assert record.trial < trial.number
            assert rejected[record.trial, record.energy].reason == record.reason
            assert record.reason
