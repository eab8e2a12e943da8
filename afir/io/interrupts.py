"""Ctrl-C and SIGTERM during work that needs a clean end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """Raised for SIGTERM, which batch systems send at the time limit."""


def exit_code(stop: KeyboardInterrupt) -> int:
    """The exit code of a command that a signal stopped: 128 plus the signal, as in shells."""
    return 143 if isinstance(stop, Terminated) else 130


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt, unless it is ignored."""
    with _handling(signal.SIGINT, signal.default_int_handler):
        yield


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM act as Ctrl-C does, by raising `Terminated`."""

    def stop(number: int, frame: object) -> None:
        raise Terminated

    with interruptible(), _handling(signal.SIGTERM, stop):
        yield


@contextmanager
def _handling(number: signal.Signals, handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Handle a signal by `handler`, unless it is ignored."""
    before = signal.getsignal(number)
    ours = threading.current_thread() is threading.main_thread()
    if not ours or before is None or before is signal.SIG_IGN:
        yield  # only the main thread may handle signals
        return
    signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
