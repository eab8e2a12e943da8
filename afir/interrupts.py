"""What Ctrl-C and SIGTERM do while something is at work that must be left in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """The end that was asked for by SIGTERM, as batch systems do when the time is over."""


def exit_code(stop: KeyboardInterrupt) -> int:
    """The exit code of a command that was asked to end: 128 and the signal, as shells have it."""
    return 143 if isinstance(stop, Terminated) else 130


@contextmanager
def interruptible() -> Iterator[None]:
    """Meanwhile Ctrl-C raises KeyboardInterrupt, if it does not go unheeded."""
    with _handling(signal.SIGINT, signal.default_int_handler):
        yield


@contextmanager
def terminable() -> Iterator[None]:
    """Meanwhile SIGTERM does what Ctrl-C does, by raising `Terminated`."""

    def stop(number: int, frame: object) -> None:
        raise Terminated

    with interruptible(), _handling(signal.SIGTERM, stop):
        yield


@contextmanager
def _handling(number: signal.Signals, handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Meanwhile a signal is answered by `handler`, unless it is ignored."""
    before = signal.getsignal(number)
    ours = threading.current_thread() is threading.main_thread()
    if not ours or before is None or before is signal.SIG_IGN:
        yield  # signals are not ours
        return
    signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
