"""The limits of a run and how much of them is used."""

from __future__ import annotations

import time

from networks.records.runs import StoppedBy
from networks.records.trials import Absorbed
from networks.settings import Settings

_GRADIENTS_A_TRIAL = 600  # a guess before the first trial
_REFERENCED_A_TRIAL = 30  # the same with a reference


class Budget:
    """Trials, gradients, time and patience: used and left.

    Parameters
    ----------
    settings
        The limits.
    trials, gradients, barren, seconds
        Used before; `barren` is the number of trials since one last added a node.

    Attributes
    ----------
    trials, gradients
        Used so far; with a reference, only its gradients count.
    """

    def __init__(
        self, settings: Settings, *, trials: int, gradients: int, barren: int, seconds: float
    ) -> None:
        self._settings = settings
        self.trials = trials
        self.gradients = gradients
        self._barren = barren
        self._began = time.monotonic() - seconds

    @property
    def seconds(self) -> float:
        """Wall time of the run so far."""
        return time.monotonic() - self._began

    def spend(self, absorbed: Absorbed) -> None:
        """Add the cost of a stage."""
        self.gradients += self._settings.counted(absorbed.gradients)
        trial = absorbed.trial
        if trial is not None:
            self.trials += 1
            self.gradients += self._settings.counted(trial.gradients)
            self._barren = 0 if trial.found else self._barren + 1

    def used_up(self) -> StoppedBy | None:
        """The limit that is reached; None if none is."""
        settings = self._settings
        if settings.max_trials is not None and self.trials >= settings.max_trials:
            return StoppedBy.TRIALS
        if settings.max_gradients is not None and self.gradients >= settings.max_gradients:
            return StoppedBy.GRADIENTS
        if settings.max_seconds is not None and self.seconds >= settings.max_seconds:
            return StoppedBy.SECONDS
        if settings.patience is not None and self._barren >= settings.patience:
            return StoppedBy.PATIENCE
        return None

    def room(self, in_flight: int) -> int:
        """Number of trials that may begin beside those in flight, so that no limit is far exceeded.

        Each trial is expected to cost what those before it did. If no limit is reached and nothing
        is in flight, there is room for one.
        """
        settings, done = self._settings, self.trials
        room = settings.in_flight - in_flight
        if room <= 0 or self.used_up() is not None:
            return 0
        if settings.max_trials is not None:
            room = min(room, settings.max_trials - done - in_flight)
        if settings.patience is not None:
            room = min(room, settings.patience - self._barren - in_flight)
        if settings.max_gradients is not None:
            guess = _REFERENCED_A_TRIAL if settings.reference else _GRADIENTS_A_TRIAL
            each = max(self.gradients / done if done else guess, 1.0)
            left = settings.max_gradients - self.gradients
            room = min(room, int(left / each) - in_flight)
        if settings.max_seconds is not None and done:
            left_seconds = settings.max_seconds - self.seconds
            room = min(room, int(left_seconds * done / self.seconds) - in_flight)
        return max(room, 0 if in_flight else 1)
