"""Advice on what to do next with a run."""

from __future__ import annotations

from decimal import Decimal
from math import ceil
from pathlib import Path

from afir.errors import InputError
from afir.io.shell import shell_command
from networks.graph.routes import lowest_route
from networks.jobfile import stored_job
from networks.records.runs import StoppedBy
from networks.reporting.run import Run
from networks.trusted import repeated


def advice(run: Run, path: Path) -> list[str]:
    """Advice on what to do next with a run: sentences with commands to copy.

    Where nothing was found yet there is nothing to list, draw or export.

    Parameters
    ----------
    run
        The run.
    path
        Its file.
    """
    summary, settings = run.summary, run.settings
    stopped = summary.complete.stopped_by
    resume = ("afir", "resume", path, *repeated(settings, stored_job(run.job)))
    found: list[str] = []
    if stopped is StoppedBy.INTERRUPTED:
        found.append(f"Nothing is lost; {shell_command(*resume)} continues the run.")
    elif stopped in _LIMITS:
        found.append(f"{shell_command(*resume, *_raised(run))} continues the run.")
    elif stopped is StoppedBy.WANTED:
        found += _way_to_wanted(run, path)
    else:
        hardest = settings.step.gamma * settings.tried.gamma_factor
        choices = [f"--gamma-max above {hardest:g}", "another seed"]
        if settings.effort != "thorough":
            choices.insert(0, "--effort thorough")
        if settings.window_kj_mol is not None:
            choices.insert(0, f"--window above {settings.window_kj_mol:g}")
        if run.remains.eqs_deeper:
            choices.insert(0, f"--bond-depth above {settings.bond_depth}")
        if run.remains.complexes:
            choices.insert(0, "--expand-complexes")
        if settings.targets is not None:
            choices.insert(0, "other --target-atoms")
        if settings.terms == 1:
            choices.append("--terms 2")
        # The four that are likeliest to find something: a line holds no more.
        found.append(f"A new run with {_either(choices[:4])} may find more.")
    if not run.network.eqs:
        return found
    return [
        *found,
        f"{shell_command('afir', 'show', path)} lists all results.",
        f"{shell_command('afir', 'plot', path, '--output', 'network.png')} draws the network.",
        f"{shell_command('afir', 'export', path, '--output', 'network.graphml')} exports it.",
    ]


_LIMITS = {
    StoppedBy.TRIALS: "--max-trials",
    StoppedBy.GRADIENTS: "--max-gradients",
    StoppedBy.SECONDS: "--max-seconds",
    StoppedBy.PATIENCE: "--patience",
}

_USED = {  # one, and several
    StoppedBy.TRIALS: ("trial", "trials"),
    StoppedBy.GRADIENTS: ("gradient", "gradients"),
    StoppedBy.SECONDS: ("s", "s"),
    StoppedBy.PATIENCE: ("trial without anything new", "trials in a row without anything new"),
}


def nothing_done(run: Run) -> str:
    """Why a run that was resumed had nothing to do, in a sentence."""
    stopped = run.summary.complete.stopped_by
    for kind, limit, used in _limits(run):
        if kind is stopped and limit is not None:
            flag, most, had = _LIMITS[kind], *_digits(limit, used)
            what = _USED[kind][had != "1"]
            return (
                f"Nothing was done: {flag} is {most}, and the run has {had} {what} already; give a "
                f"higher {flag}."
            )
    if stopped is StoppedBy.NOTHING_LEFT:
        return "Nothing was done: nothing is left to try in this run."
    return f"Nothing was done: {stopped.value}."


def _digits(limit: float, used: float) -> tuple[str, str]:
    """A limit as it was given, and what was used of it, with as many decimals."""
    exact = Decimal(str(limit)).normalize()
    decimals = max(0, -int(exact.as_tuple().exponent))
    return f"{exact:f}", f"{used:.{decimals}f}"


def _limits(run: Run) -> list[tuple[StoppedBy, float | None, float]]:
    """The limits of a run, and what was used of each."""
    settings, summary = run.settings, run.summary
    return [
        (StoppedBy.TRIALS, settings.max_trials, sum(summary.trials.values())),
        (StoppedBy.GRADIENTS, settings.max_gradients, settings.counted(summary.gradients)),
        (StoppedBy.SECONDS, settings.max_seconds, summary.seconds),
        (StoppedBy.PATIENCE, settings.patience, run.barren),
    ]


def _raised(run: Run) -> list[str]:
    """Options that double every limit that a run has reached, or what was used of it.

    A limit of 0, to see the start only, is removed.
    """
    return [
        word
        for kind, limit, used in _limits(run)
        # Time and gradients may be slightly below their limit, where no further trial would fit.
        if kind is run.summary.complete.stopped_by or (limit is not None and used >= limit)
        for most in [ceil(max(limit or 0, used))]
        for word in (_LIMITS[kind], str(2 * most) if most > 0 else "none")
    ]


def _way_to_wanted(run: Run, path: Path) -> list[str]:
    """Advice on a wanted product that was found: how to draw the route to it, if there is one."""
    if run.wanted == "EQ0":
        return ["The wanted product is the start itself, EQ0."]
    try:
        lowest_route(run.network, "EQ0", run.wanted or "")
    except InputError:
        return []  # e.g. fragments that no transition state connects to
    way = ("--output", "profile.png", "--from", "EQ0", "--to", run.wanted)
    return [f"{shell_command('afir', 'plot', path, *way)} draws the route to it."]


def _either(choices: list[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return " or ".join([", ".join(choices[:-1]), choices[-1]] if choices[1:] else choices)
