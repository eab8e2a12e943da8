"""The numbers of a run, each described once.

Their checks, their keys in job files, their flags and what `networks.resume` may change follow from
the table `NUMBERS`. A new one needs a row here and a field in `networks.settings.Settings`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from afir.errors import InputError
from afir.options import check_value

TASK_SECONDS = 1800.0
"""s. Chosen, not fitted: it shall end a task that hangs, and none that works."""

IN_FLIGHT = 16
"""Trials in flight: four for each of four workers. A policy knows more when fewer are in flight.
Acetonitrile, glycolaldehyde and vinyl chloride have 198 transition states within 9,000 gradients
each with 16, 180 with 8, 151 with 32 (two seeds); 32 keep 16 workers busy for 57 % of the time
(`benchmarks/README.md`)."""

_MOST_IN_FLIGHT = 100_000
"""Chosen: four times as many as the workers of any cluster, and no more than the memory holds."""


@dataclass(frozen=True)
class Number:
    """A number of the settings.

    Attributes
    ----------
    name
        Its field in `networks.settings.Settings`, with the unit if it has one.
    kind
        Whether it is whole (int) or any positive number (float).
    least
        The smallest whole number that is allowed.
    most
        The largest one, if there is one.
    optional
        Whether it may be None: no limit, or what another setting says.
    default
        The value if none is given.
    help
        The help of its flag, for ``afir explore``; empty if it has none.
    resumed
        Whether a resumed run may change it.
    renamed
        Its key in job files, and with hyphens its flag, if they differ from `name`.
    """

    name: str
    kind: type[int] | type[float]
    least: int = 0
    most: int | None = None
    optional: bool = True
    default: float | None = None
    help: str = ""
    resumed: bool = False
    renamed: str = ""

    @property
    def key(self) -> str:
        """Its key in job files."""
        return self.renamed or self.name

    @property
    def flag(self) -> str:
        """Its flag on the command line."""
        return f"--{self.key.replace('_', '-')}"

    def check(self, value: object) -> None:
        """Raise InputError for a value that the settings cannot have."""
        if value is None and self.optional:
            return
        whole = self.kind is int
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if whole:
            if not number or value < self.least:  # type: ignore[operator]
                raise InputError(
                    f"`{self.name}` must be a whole number of {self.least} or more, got {value!r}"
                )
            if self.most is not None and value > self.most:  # type: ignore[operator]
                raise InputError(f"`{self.name}` must be {self.most} at most, got {value}")
            check_value(self.name, value)
        elif not number or not 0 < value <= sys.float_info.max:  # type: ignore[operator]
            raise InputError(f"`{self.name}` must be a positive number, got {value!r}")

    def parsed(self, text: str) -> float | None:
        """The value of a text from the command line: a number, or None for ``none``."""
        if self.optional and text.lower() == "none":
            return None
        try:
            return self.kind(text)
        except ValueError:
            what = "a whole number" if self.kind is int else "a number"
            other = " or none" if self.optional else ""
            raise InputError(f"{self.flag} must be {what}{other}, got {text!r}") from None


WINDOW = Number(
    "window_kj_mol",
    float,
    resumed=True,
    renamed="window",
    help="Energy window in kJ/mol above the start: do not push structures above it, and ignore "
    "transition states above it. With --reference, products of pushes above it are ignored too, "
    "judged on --surface with a margin of 30: allow for the difference between both.",
)
"""The energy window, which γ follows."""

NUMBERS: tuple[Number, ...] = (
    Number(
        "seed", int, optional=False, default=0,
        help="Seed of the random numbers.",
    ),
    WINDOW,
    Number(
        "bond_depth", int, resumed=True,
        help="Do not push structures that differ from the start by more than N bonds.",
    ),
    Number("max_trials", int, resumed=True, help="Stop after N trials."),
    Number(
        "max_gradients", int, resumed=True,
        help="Stop after N gradients; with --reference, only gradients of the reference count.",
    ),
    Number("max_seconds", float, resumed=True, help="Stop after N seconds of wall time."),
    Number(
        "patience", int, 1, resumed=True,
        help="Stop after N trials in a row that found nothing new.",
    ),
    Number(
        "task_seconds", float, optional=False, default=TASK_SECONDS, resumed=True,
        help="Abort a task after N seconds.",
    ),
    Number(
        "attempts", int, 1,
        help="Maximum attempts at a push that crosses a barrier but finds no saddle point; with "
        "--reference at any push, and more after learning. Repeats come when nothing new is left.  "
        "[default: by effort 1, 1, 3; 3 with --reference]",
    ),
    Number(
        "gamma_max", float,
        help="At the end, repeat pushes that crossed no barrier, with γ doubled each time up to "
        "this value in kJ/mol.  [default: by effort 1, 2, 4 times --gamma]",
    ),
    Number(
        "in_flight", int, 1, _MOST_IN_FLIGHT, optional=False, default=IN_FLIGHT,
        help="Number of trials under way at a time: it decides the network, unlike the number of "
        "workers. Take four for each task that is done at once.",
    ),
)  # fmt: skip
"""All numbers of the settings, but γ and the number of forces."""
