"""What is told while a run goes on, and in the log."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
from drawn_network import FORMALDEHYDE, dc, eq, ts
from offered import PUSH
from rich.console import Console

from afir.cli.main import main
from afir.cli.terminal import LiveLine
from afir.stationary import Outcome
from networks.cli.progress import Tally, watch
from networks.exploration.events import (
    Found,
    Opened,
    Progress,
    Stopped,
    StoppedBy,
    TaskDone,
    TrialDone,
)
from networks.records.structures import Dismissed
from networks.records.trials import Trial


def test_verbose_tells_what_each_trial_did(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In this order the first push finds EQ1 and TS0, the second nothing.
    command = ["explore", "hcn.xyz", "--gamma", "700", "--max-trials", "2"]
    command += ["--policy", "exhaustive", "--method", "sc-afir"]
    told = []
    for flag in ("-v", "-vv"):
        assert main([*command, "-o", f"{flag}.db", flag]) == 0
        told.append(" ".join(capsys.readouterr().err.split()))
    for text in told:
        assert re.search(r"INFO trial 2: EQ0, sc-afir: [+-]\S+: no first-order [^:;]+; ", text)
        assert "INFO trial 1: EQ0, sc-afir: " in text
        assert re.search(
            r"sc-afir: \S+: found EQ1 TS0; reached known EQ0; (the artificial force [^;]+; )?"
            r"\d+ gradients",
            text,
        )
    assert "DEBUG" not in told[0]
    assert re.search(r"DEBUG trial 1: verifying transition states, \d+ gradients", told[1])


def test_a_record_of_a_log_in_a_file_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", "hcn.xyz", "--gamma", "700", "--max-trials", "2", "-v"]) == 0
    log = [line for line in capsys.readouterr().err.splitlines() if "trial" in line]
    told = [
        line for line in log if re.match(r"\d\d:\d\d:\d\d INFO +trial [12]: EQ0, [a-z-]+:", line)
    ]
    assert len(told) == 2
    assert all(re.search(r"\d+ gradients$", line) for line in told)


PUSHED = PUSH.method, PUSH.data


def test_a_run_is_told_as_it_goes() -> None:
    trial = Trial(1, 1, "EQ0", 0, *PUSHED, (7,), Outcome.FOUND, True, {"push": 5}, 0.1, ("TS0",), 0)
    events = [
        Opened(0, 0, 0, 0),
        TaskDone(None, "characterise", 20, 0.1, None, 0),
        Found(eq(0, 0.0), None),
        TaskDone(1, "push", 100, 0.1, None, 7),
        Found(eq(1, 216.5), 1),
        Found(eq(3, 179.6, "complex"), 1),
        Found(dc(0, 390.0, "EQ0"), 1),
        Found(ts(0, 384.8, "EQ0", "EQ1"), 1),
        TrialDone(trial),
        Progress(3, 1, 1, 1, 130, 2.0),
        Stopped(StoppedBy.TRIALS, True),
    ]
    console = Console(record=True, width=100, force_terminal=False, quiet=False, stderr=True)
    tally = Tally(FORMALDEHYDE)
    lines = []
    for event in events[:5]:
        tally.take(event)
        lines.append(tally.line())
    assert "120 gradients" in lines[4]
    assert "trial 1: pushing, 7 tasks open" in lines[4]
    assert watch(events, LiveLine(console, "starting"), Tally(FORMALDEHYDE)) == events[-1]
    text = console.export_text()
    assert "EQ1      216.5 kJ/mol relative to EQ0  CH2–O  (trial 1)" in text
    assert "TS0      384.8 kJ/mol relative to EQ0  EQ0 – EQ1, 1000i cm⁻¹  (trial 1)" in text
    assert "DC0      390.0 kJ/mol relative to EQ0  C–O + H2  (trial 1)" in text
    assert "EQ3      179.6 kJ/mol relative to EQ0  C–O + H2 (complex)  (trial 1)" in text


def test_the_log_says_what_a_trial_led_to(caplog: pytest.LogCaptureFixture) -> None:
    def told(trial: Trial, *again: Dismissed) -> list[str]:
        caplog.clear()
        tally = Tally(FORMALDEHYDE, eq(0, 0.0).energy)
        with caplog.at_level(logging.INFO, "networks"):
            watch([TrialDone(trial, again)], LiveLine(Console(quiet=True), "starting"), tally)
        return [
            record.getMessage().partition(": EQ0, sc-afir: +0|1: ")[2] for record in caplog.records
        ]

    plain = Trial(7, 1, "EQ0", 0, *PUSHED, (7,), Outcome.FOUND, False, {"push": 5}, 0.1, (), 0)
    assert told(replace(plain, met=("TS2", "EQ1"))) == ["reached known TS2 EQ1; 5 gradients"]
    both = replace(plain, found=("EQ3", "TS4"), met=("TS4", "EQ3", "EQ0"), crossed=True, gamma=400)
    assert told(both) == [
        "found EQ3 TS4; reached known EQ0; the artificial force alone crossed a barrier at "
        "γ = 400 kJ/mol; 5 gradients"
    ]
    assert told(replace(plain, outcome=Outcome.NO_BARRIER)) == [
        "the push changed nothing and left no barrier to climb; 5 gradients"
    ]
    # Why what was met before came to nothing is told again.
    saddle = ts(0, 350.0, "EQ0", "EQ1")
    reason = "an end of its reaction path is no minimum"
    before = Dismissed("TS", saddle.positions, saddle.energy, Outcome.IRC_FAILED, reason, None, 3)
    first, _ = told(plain, before)
    assert first == "no candidate was verified as a transition state; 5 gradients"
    assert caplog.records[1].getMessage() == (
        "trial 7: TS candidate at 350.0 kJ/mol was rejected before, in trial 3: " + reason
    )
