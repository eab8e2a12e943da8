"""The console command ``afir``: its commands come from the installed packages.

A package adds commands through an entry point of the group ``afir.commands`` that names a
function without arguments returning a list of `click.Command`. Whatever goes wrong on purpose
ends here: one sentence on stderr and exit code 2, never a traceback.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from copy import copy
from dataclasses import dataclass
from importlib.metadata import entry_points
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, cast

import click

from afir.cli.flags import naming_flags
from afir.errors import AfirError, StoppedError
from afir.io.printable import printable
from afir.options import is_ours

ENTRY_POINT_GROUP = "afir.commands"
"""Packages register their commands under this entry-point group."""

MISUSE = 2
"""Exit code when the input or the command line is wrong, as most commands have it."""

UNREAD = 1
"""Exit code when the reader of the output has closed it: not all of it was shown."""

STOPPED = 1
"""Exit code when what did the work is gone."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal, as shells have it."""

_LONGEST_END = 500  # characters kept of both ends of an error: some lines each

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


@dataclass
class Verbosity:
    """How often ``-v`` was given, before or after the name of the command."""

    level: int = 0


class _Unwritten(Exception):  # noqa: N818  # no OSError: click and rich have their own ends for those
    """Standard output could not be written."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason.strerror or str(reason))
        self.reader_left = isinstance(reason, BrokenPipeError)


class _Output:
    """A stream whose failures are distinguished from those of other files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write to the stream."""
        try:
            return self._stream.write(text)
        except OSError as error:
            raise _Unwritten(error) from error

    def flush(self) -> None:
        """Flush the stream."""
        try:
            self._stream.flush()
        except OSError as error:
            raise _Unwritten(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        The arguments without the program's name; those of the process if None.

    Returns
    -------
    int
        0 for success, 1 if the output was closed early or what did the work is gone, 2 for wrong
        input, 130 after Ctrl-C; a command may return others.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for argument in arguments:  # it would have to be printed, and kept in files
        if any("\ud800" <= character <= "\udfff" for character in argument):
            plain = os.fsencode(argument).decode("utf-8", "replace")
            _say(f"arguments must be UTF-8, got {plain!r}; rename the file")
            return MISUSE
    verbosity = Verbosity()
    if argv is None:
        _accept_any_text()
        _leave_at_once()
    try:
        with _guarded_output(), _told_warnings():
            code = build().main(arguments, prog_name="afir", obj=verbosity, standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "afir"
        _say(f"{error.format_message().rstrip('.')}; see `{where} --help`")
    except click.ClickException as error:
        _say(error.format_message())
    except click.Abort:
        click.echo("Stopped.", err=True)
        return INTERRUPTED
    except AfirError as error:
        if verbosity.level > 1:
            _trace()
        _say(str(error))
        if isinstance(error, StoppedError):
            _echo_notes(error)
            return STOPPED
    except _Unwritten as error:
        if argv is None:
            _drop_output()
        if error.reader_left:  # `afir show RUN | head`: the reader has seen enough
            return UNREAD
        _say(f"the output cannot be written: {error}")
    except OSError as error:
        if verbosity.level > 1:
            _trace()
        what = error.strerror or str(error)
        _say(
            f"{error.filename}: {what}"
            if error.filename
            else f"the operating system refused something: {what}; add -vv to see where"
        )
    else:
        return code if isinstance(code, int) else 0
    return MISUSE


@contextmanager
def _guarded_output() -> Iterator[None]:
    """Make stdout raise `_Unwritten` when it fails; flush it at the end."""
    if sys.stdout is None:  # closed by the caller, as in `afir show RUN >&-`
        yield
        return
    output = _Output(sys.stdout)
    with redirect_stdout(cast("TextIO", output)):
        yield
        output.flush()


@contextmanager
def _told_warnings() -> Iterator[None]:
    """Print warnings of libraries as one line on stderr, like warnings of afir."""

    def tell(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        _say(str(message), "Warning")

    with warnings.catch_warnings():
        warnings.showwarning = tell
        yield


def _say(sentence: str, what: str = "Error") -> None:
    """Print one line on stderr that says what is wrong, shortened if it is very long."""
    line = " ".join(sentence.split())
    if len(line) > 2 * _LONGEST_END:
        line = f"{line[:_LONGEST_END]} … {line[-_LONGEST_END:]}"
    click.echo(printable(f"{what}: {line}"), err=True)


def _echo_notes(error: StoppedError) -> None:
    """Print on stderr what a command adds to an error: how to go on."""
    for note in getattr(error, "__notes__", ()):
        click.echo(printable(note), err=True)


def _trace() -> None:
    """Print on stderr where the exception that is being handled was raised."""
    click.echo(printable(traceback.format_exc(), keep="\n"), err=True, nl=False)


def _accept_any_text() -> None:
    """Let a terminal with a small character set show `?` for other characters."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _leave_at_once() -> None:
    """Let Ctrl-C end the program outside of work that `interruptible` guards.

    During an import an exception may be lost: the import may take it for the failure of an optional
    package.
    """

    def leave(number: int, frame: object) -> None:
        os.write(2, b"Stopped.\n")
        os._exit(INTERRUPTED)

    main_thread = threading.current_thread() is threading.main_thread()
    # Another handler belongs to the caller, or Ctrl-C is ignored.
    if main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)


def _drop_output() -> None:
    """Discard unwritten output, so that Python does not try again at its exit.

    Only for the program itself: a caller of `main` from Python goes on to use its stdout.
    """
    with suppress(OSError), Path(os.devnull).open("w") as nowhere:  # stdout may be no file
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


class _Commands(click.Group):
    """Commands in which a broken pipe is an error; click takes any for a closed output."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except BrokenPipeError as error:
            raise AfirError(
                "another program that was used ended too early (broken pipe); add -vv to see which"
            ) from error


def build() -> click.Group:
    """The command group with everything the installed packages offer."""
    group = _Commands(
        "afir",
        callback=_start,
        help=(
            "Explore the reaction paths of a molecule with artificial forces (AFIR).\n\n"
            "Start with `afir explore IN.xyz`, which finds the equilibrium structures and "
            "transition states that can be reached from one structure."
        ),
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        params=[_verbose_option()],
    )
    click.version_option(package_name="afir", prog_name="afir")(group)
    # Ours come last: no other package replaces one of our commands.
    points = entry_points(group=ENTRY_POINT_GROUP)
    for point in sorted(points, key=lambda point: (is_ours(point), point.name)):
        try:
            commands: list[click.Command] = point.load()()
        except Exception as error:  # another package: the other commands must still work
            reason = str(error) or type(error).__name__
            _say(f"no commands from {point.value}: {reason}", "Warning")
            continue
        for command in commands:
            heard = copy(command)  # a package's own command object is never changed
            heard.params = [*command.params, _verbose_option()]
            heard.callback = naming_flags(heard.callback)
            group.add_command(heard)
    return group


@click.pass_context
def _start(context: click.Context) -> None:
    """Show the help, for ``afir`` without a command."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _verbose_option() -> click.Option:
    """The option ``-v``, which is counted and never reaches the command itself."""
    return click.Option(
        ["-v", "--verbose"],
        count=True,
        expose_value=False,
        callback=_listen,
        help="Log each step; -vv also logs every gradient or task, and tracebacks.",
    )


def _listen(context: click.Context, option: click.Parameter, count: int) -> None:
    """Show the libraries' log on stderr."""
    verbosity = context.ensure_object(Verbosity)
    verbosity.level += count
    level = _LEVELS[min(verbosity.level, len(_LEVELS) - 1)]
    from afir.cli.terminal import log_handler  # not needed for --help and --version

    handler = log_handler(times=verbosity.level > 0)
    for package in ("afir", "networks", "mlpot"):
        logger = logging.getLogger(package)
        logger.handlers = [handler]
        logger.setLevel(level)
