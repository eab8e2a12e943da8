"""Who does the tasks of a run, on the surface of the moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from networks.executor import BatchedExecutor, Executor, ProcessExecutor
from networks.store import Store
from networks.tasks import Bench


class Hands:
    """Who does the tasks; replaced when they are to be done on another surface.

    Parameters
    ----------
    store
        The run.
    workers
        Processes.
    executor
        Does everything if given.
    """

    def __init__(self, store: Store, workers: int, executor: Executor | None) -> None:
        self._store = store
        self._workers = workers
        self._given = executor
        self._own: Executor | None = None
        self._surface = ""

    def on(self, surface: str, options: Mapping[str, Any], *, sampling: bool) -> Executor:
        """Who does tasks on a surface with these options.

        With `sampling`, which stays the same for a surface, all geometries are kept, to choose
        labels from.
        """
        if self._given is not None:
            return self._given
        if self._own is None or self._surface != surface:
            self.close()
            settings = self._store.settings
            bench = Bench(
                self._store.molecule,
                surface,
                options,
                settings.step,
                settings.task_seconds,
                settings.keep_frames or sampling,
                settings.reference,
                settings.reference_options,
                learned=surface != settings.surface,
            )
            if self._workers == 1:
                self._own = BatchedExecutor(bench)
            else:
                self._own = ProcessExecutor(bench, self._workers, settings.task_seconds)
            self._surface = surface
        return self._own

    def close(self) -> None:
        """Give back what was not given."""
        if self._own is not None:
            self._own.close()
            self._own = None
