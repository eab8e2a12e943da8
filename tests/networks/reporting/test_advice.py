"""Advice on what to do next with a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from drawn_network import drawn_run, eq

from afir.stationary import Outcome
from networks.records.runs import Complete, StoppedBy
from networks.reporting.advice import advice, nothing_done
from networks.settings import Settings


@pytest.mark.parametrize(
    ("stopped", "words"),
    [
        (StoppedBy.INTERRUPTED, "`afir resume run.db` continues"),
        (StoppedBy.TRIALS, "`afir resume run.db --max-trials 60` continues"),
        (StoppedBy.WANTED, "`afir plot run.db --output profile.png --from EQ0 --to EQ2` draws"),
        (StoppedBy.NOTHING_LEFT, "--gamma-max above 1800"),
    ],
)
def test_advice_fits_what_stopped_the_run(stopped: StoppedBy, words: str) -> None:
    run = replace(drawn_run(stopped), wanted="EQ2")
    assert words in " ".join(advice(run, Path("run.db")))


def test_advice_fits_on_a_line() -> None:
    run = replace(drawn_run(StoppedBy.NOTHING_LEFT), settings=Settings(terms=1))
    assert advice(run, Path("run.db"))[0] == (
        "A new run with --effort thorough, --gamma-max above 2000, another seed or --terms 2 may "
        "find more."
    )
    for stopped in StoppedBy:
        run = replace(run, summary=replace(run.summary, complete=Complete(True, stopped)))
        assert max(map(len, advice(run, Path("butadiene.db")))) <= 100


@pytest.mark.parametrize(
    ("limit", "used", "suggested"),
    [(1, 0, 2), (30, 30, 60), (30, 16, 60), (0, 16, 32), (1, 2000, 4000)],
)
def test_advised_limits_are_above_what_was_used(limit: int, used: int, suggested: int) -> None:
    run = drawn_run()
    for stopped, key in (
        (StoppedBy.TRIALS, "max_trials"),
        (StoppedBy.GRADIENTS, "max_gradients"),
        (StoppedBy.SECONDS, "max_seconds"),
        (StoppedBy.PATIENCE, "patience"),
    ):
        value = max(limit, 1) if key in ("max_seconds", "patience") else limit
        stuck = replace(
            run,
            settings=Settings(**{key: value}),
            summary=replace(
                run.summary,
                trials={Outcome.FOUND: used},
                gradients={"push": used},
                seconds=float(used) - 0.5,
                complete=Complete(True, stopped),
            ),
            barren=used,
        )
        flag = f"--{key.replace('_', '-')}"
        assert f"`afir resume run.db {flag} {suggested}`" in advice(stuck, Path("run.db"))[0]


@pytest.mark.parametrize("key", ["max_trials", "max_gradients"])
def test_a_limit_of_zero_is_removed_and_not_doubled(key: str) -> None:
    run = drawn_run()
    stopped = StoppedBy[key.removeprefix("max_").upper()]
    summary = replace(run.summary, trials={}, gradients={}, complete=Complete(True, stopped))
    start = replace(run, settings=Settings(**{key: 0}), summary=summary)
    flag = f"--{key.replace('_', '-')}"
    assert f"`afir resume run.db {flag} none` continues" in advice(start, Path("run.db"))[0]


@pytest.mark.parametrize(
    ("limits", "used", "words"),
    [
        ({"max_trials": 1}, 1, "--max-trials is 1, and the run has 1 trial already"),
        ({"max_trials": 30}, 30, "--max-trials is 30, and the run has 30 trials already"),
        (
            {"max_gradients": 1_234_567},
            2_000_000,
            "--max-gradients is 1234567, and the run has 2000000 gradients already",
        ),
        ({"max_gradients": 1}, 1, "--max-gradients is 1, and the run has 1 gradient already"),
        ({"max_seconds": 0.4}, 0.43, "--max-seconds is 0.4, and the run has 0.4 s already"),
        ({"max_seconds": 0.001}, 0.43, "--max-seconds is 0.001, and the run has 0.430 s already"),
        (
            {"max_seconds": 1234567.0},
            1234567.8,
            "--max-seconds is 1234567, and the run has 1234568 s already",
        ),
        (
            {"patience": 1},
            1,
            "--patience is 1, and the run has 1 trial without anything new already",
        ),
    ],
)
def test_limits_are_told_as_they_were_given(
    limits: dict[str, float], used: float, words: str
) -> None:
    (key,) = limits
    run = drawn_run(StoppedBy[key.removeprefix("max_").upper()])
    counts = {"trials": {Outcome.FOUND: used}, "gradients": {"push": used}, "seconds": used}
    summary = replace(run.summary, **counts)
    stuck = replace(run, settings=Settings(**limits), summary=summary, barren=int(used))
    flag = words.partition(" ")[0]
    assert nothing_done(stuck) == f"Nothing was done: {words}; give a higher {flag}."


def test_what_has_found_nothing_yet_is_neither_listed_nor_drawn() -> None:
    empty = drawn_run(StoppedBy.INTERRUPTED, [])
    assert advice(empty, Path("run.db")) == [
        "Nothing is lost; `afir resume run.db` continues the run."
    ]


def test_the_way_to_the_wanted_product_is_drawn_only_if_there_is_one() -> None:
    run = drawn_run(StoppedBy.WANTED)
    at_once = advice(replace(run, wanted="EQ0"), Path("run.db"))
    assert at_once[0] == "The wanted product is the start itself, EQ0."
    no_way = drawn_run(StoppedBy.WANTED, [eq(0, 0.0), eq(1, 3.0)])
    for id in ("EQ1", None):
        assert "profile" not in " ".join(advice(replace(no_way, wanted=id), Path("run.db")))
