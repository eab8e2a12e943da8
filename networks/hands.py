"""Who does the tasks of a run, on the surface of the moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from afir.errors import InputError
from afir.molecule import Molecule
from afir.searches.settings import StepSettings
from networks.executor import BatchedExecutor, Executor, ProcessExecutor
from networks.settings import Settings
from networks.store import Store
from networks.tasks import Bench


def bench_of(molecule: Molecule, settings: Settings) -> Bench:
    """What the tasks of a run are done on as long as nothing has been learned."""
    return Bench(
        molecule,
        settings.surface,
        settings.surface_options,
        settings.step,
        settings.task_seconds,
        settings.keep_frames,
        settings.reference,
        settings.reference_options,
    )


_DECISIVE = {
    "molecule": "molecule",
    "surface": "surface",
    "options": "options of the surface",
    "step": "step settings",
    "reference": "reference",
    "reference_options": "options of the reference",
    "keep_frames": "keep_frames",
}
"""What decides the answers to tasks, of the attributes of a bench, and what people call it."""


def check_executor(executor: Executor, molecule: Molecule, settings: Settings) -> None:
    """Compare what an executor that was handed in computes on with what a run needs.

    Parameters
    ----------
    executor
        Its `bench` must have the attributes of a `networks.tasks.Bench` that decide answers. Of
        step settings those that were left to the surface need not have been.
    molecule, settings
        Of the run.

    Raises
    ------
    InputError
        If anything differs, or the executor does not say.
    """
    bench, needed = getattr(executor, "bench", None), bench_of(molecule, settings)
    for name, what in _DECISIVE.items():
        if not hasattr(bench, name):
            raise InputError(
                f"`executor` must say by its `bench` what it computes on (`networks.tasks.Bench`), "
                f"got none with `{name}`"
            )
        has, needs = getattr(bench, name), getattr(needed, name)
        if isinstance(has, StepSettings) and needed.step.surrogate is None:
            has = replace(has, surrogate=None)
        if has != needs:
            raise InputError(f"`executor` must have the {what} of the run, {needs!r}, got {has!r}")


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
        """Give back what was not given."""
        if self._own is not None:
            self._own.close()
            self._own = None
