"""The executor of a run, for the surface that is searched now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from networks.execution.base import Executor
from networks.execution.checked import bench_of
from networks.execution.local import BatchedExecutor
from networks.execution.processes import ProcessExecutor
from networks.storage.base import Store


class Hands:
    """Provides the executor, a new one for each surface.

    Parameters
    ----------
    store
        The run.
    workers
        Processes.
    executor
        Does all tasks if given.
    """

    def __init__(self, store: Store, workers: int, executor: Executor | None) -> None:
        self._store = store
        self._workers = workers
        self._given = executor
        self._own: Executor | None = None
        self._surface = ""

    def on(self, surface: str, options: Mapping[str, Any], *, sampling: bool) -> Executor:
        """The executor for a surface with these options.

        With `sampling`, which must stay the same for a surface, all geometries are kept to choose
        labels from.
        """
        if self._given is not None:
            return self._given
        if self._own is None or self._surface != surface:
            self.close()
            settings = self._store.settings
            bench = replace(
                bench_of(self._store.molecule, settings),
                surface=surface,
                options=options,
                keep_frames=settings.keep_frames or sampling,
                learned=surface != settings.surface,
            )
            if self._workers == 1:
                self._own = BatchedExecutor(bench)
            else:
                self._own = ProcessExecutor(bench, self._workers, settings.task_seconds)
            self._surface = surface
        return self._own

    def close(self) -> None:
        """Close the executor, unless it was given."""
        if self._own is not None:
            self._own.close()
            self._own = None
