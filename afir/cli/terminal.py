"""Shared parts of all commands: consoles, tables, live progress, common options."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from types import TracebackType
from typing import Any, Self, TypeVar

import click
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from afir.errors import InputError
from afir.io.printable import printable, printable_json

F = TypeVar("F", bound=Callable[..., Any])

_WIDE = 100  # columns of messages and prose where the output is not a terminal; as in the source
_ENDLESS = 100_000  # columns of results there: each row of a table is one line
_PATIENCE = 10.0  # seconds between lines of progress where there is no terminal; chosen


def results() -> Console:
    """The console for results: stdout, wide enough for every table when it is not a terminal.

    A file or a pipe gets each row of a table as one whole line.
    """
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_ENDLESS)


def messages() -> Console:
    """The console for progress and remarks: stderr, so that stdout holds results only.

    It is shared, since only the console of a live line prints above that line.
    """
    return _messages(getattr(sys.stderr, "rich_proxied_file", sys.stderr))


@lru_cache(maxsize=1)
def _messages(stream: object) -> Console:
    """The console of the stream that stderr is."""
    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else Console(stderr=True, highlight=False, width=_WIDE)


def echo(*lines: str, err: bool = False) -> None:
    """Print lines on stdout, or on stderr, with invisible characters escaped."""
    click.echo("\n".join(map(printable, lines)), err=err)


def remark(text: str) -> None:
    """Print a remark on stderr."""
    _tell(messages(), text)


def _tell(console: Console, text: str) -> None:
    """Print a sentence: wrapped on a terminal, elsewhere as one searchable line."""
    console.print(_plain(text), soft_wrap=not console.is_terminal)


def _plain(text: str) -> str:
    """Text without markup of rich and without escape codes of terminals."""
    return escape(printable(text))


def print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    prose: bool = False,
) -> None:
    """Print a plain table below its title.

    Columns whose name starts with ``<`` are aligned left, others right. A cell that is a tuple of
    texts has a line for each. If the output is not a terminal, each row is one line, as wide as its
    columns need. With ``prose`` a table of sentences is wrapped there too.
    """
    if not (console.is_terminal or prose):
        _write(console, [printable(title), "", *_aligned(columns, rows), ""])
        return
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        made.add_column(
            _plain(name.removeprefix("<")),
            justify="left" if name.startswith("<") else "right",
            overflow="fold",  # no digit is lost on a narrow terminal
        )
    for row in rows:
        made.add_row(*("\n".join(map(_plain, _lines_of(cell))) for cell in row))
    if console.is_terminal:
        console.print(f"[bold]{_plain(title)}[/bold]")
        console.print(made)
        return
    with console.capture() as drawn:
        console.print(made, width=min(console.width, _WIDE))
    _write(console, [printable(title), *drawn.get().splitlines()])


def _lines_of(cell: object) -> tuple[str, ...]:
    """The lines of a cell of a table."""
    return cell if isinstance(cell, tuple) else (str(cell),)


def _write(console: Console, lines: Iterable[str]) -> None:
    """Write lines to the file of a console, without trailing blanks."""
    click.echo("\n".join(line.rstrip() for line in lines), file=console.file)


def _aligned(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines of a table: its header, a rule and its rows."""
    left = [name.startswith("<") for name in columns]
    header = [printable(name.removeprefix("<")) for name in columns]
    body: list[Sequence[str]] = []
    for row in rows:
        cells = [map(printable, _lines_of(cell)) for cell in row]
        body += zip_longest(*cells, fillvalue="")
    widths = [max(map(cell_len, cells)) for cells in zip(header, *body, strict=True)]

    used = [place for place, width in enumerate(widths) if width]  # others are empty

    def line(cells: Sequence[str]) -> str:
        padded = []
        for place in used:
            cell, blank = cells[place], " " * (widths[place] - cell_len(cells[place]))
            padded.append(cell + blank if left[place] else blank + cell)
        return f" {'   '.join(padded)}"

    yield line(header)
    yield f" {'─' * (sum(widths) + 3 * (len(used) - 1))}"
    yield from map(line, body)


def print_json(value: object) -> None:
    """One JSON object on stdout and nothing else; a number that is not finite becomes null."""
    text = json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    click.echo(printable_json(text))


def _finite(value: object) -> object:
    """The value with None for infinities and NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Printed(logging.Formatter):
    """Formatter of log records that escapes invisible characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line of a record."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The lines about an exception."""
        return printable(super().formatException(ei), keep="\n")


class _Lines(logging.Handler):
    """Log handler that writes each record as one searchable line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            _write(messages(), [self.format(record)])
        except Exception:
            self.handleError(record)


def log_handler(*, times: bool) -> logging.Handler:
    """The log handler for stderr: records wrapped on a terminal, elsewhere one line each.

    Parameters
    ----------
    times
        Whether to begin with the time of day.
    """
    console = messages()
    clock = "%H:%M:%S"
    if console.is_terminal:
        from rich.logging import RichHandler

        handler: logging.Handler = RichHandler(
            console=console, show_time=times, show_path=False, log_time_format=clock
        )
        handler.setFormatter(_Printed("%(message)s"))
        return handler
    handler = _Lines()
    stamp = "%(asctime)s " if times else ""
    handler.setFormatter(_Printed(f"{stamp}%(levelname)-8s %(message)s", clock))
    return handler


class LiveLine:
    """One line that shows the progress.

    On a terminal it is redrawn in place; elsewhere a line is printed every ten seconds.

    Parameters
    ----------
    console
        Where to draw.
    start
        The first text.
    """

    def __init__(self, console: Console, start: str) -> None:
        self._console = console
        self._status = Status(_plain(start), console=console) if console.is_terminal else None
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        _tell(self._console, text)

    def show(self, text: str) -> None:
        """Replace the line, or print it if ten seconds have passed."""
        if self._status is not None:
            self._status.update(_plain(text))
        elif time.monotonic() - self._last > _PATIENCE:
            self._last = time.monotonic()
            self.say(text)


def option_values(pairs: Sequence[str], flag: str = "--surface-option") -> dict[str, Any]:
    """Options given as KEY=VALUE; a value is a number, true, false or none, else text."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key.isidentifier():
            raise InputError(f"{flag} must look like KEY=VALUE, got {pair!r}")
        if key in values:
            raise InputError(f"{flag} must give each option once, got {key} twice")
        try:
            values[key] = None if text.lower() == "none" else json.loads(text)
        except json.JSONDecodeError:
            values[key] = text
        except (ValueError, RecursionError) as error:  # too many digits, too many brackets
            raise InputError(
                f"{flag} must hold values of reasonable size, got {pair[:40]!r}…"
            ) from error
    return values


def state_options(command: F) -> F:
    """Give a command ``--charge`` and ``--multiplicity``; None where not given."""
    command = click.option(
        "--multiplicity",
        type=int,
        help="Spin multiplicity, 2S + 1.  [default: as in the file, else 1]",
    )(command)
    return click.option(
        "--charge", type=int, help="Total charge.  [default: as in the file, else 0]"
    )(command)


def surface_option_option(command: F) -> F:
    """Give a command ``--surface-option KEY=VALUE``, repeatable."""
    return click.option(
        "--surface-option",
        "surface_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="Option of the surface, see `afir surfaces`. Repeatable.",
    )(command)


def force_option(command: F) -> F:
    """Give a command ``--force``, to replace an output file that exists."""
    return click.option("--force", is_flag=True, help="Replace an existing output file.")(command)


def json_option(command: F) -> F:
    """Give a command ``--json`` (argument ``as_json``)."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object instead of tables."
    )(command)
