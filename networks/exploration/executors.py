"""The executor of a run, for the surface that is searched now."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from afir.errors import AfirError
from afir.molecule import Molecule
from networks.execution.base import Executor, Movable
from networks.execution.checked import calling
from networks.execution.context import Bench
from networks.settings import Settings
from networks.storage.base import Store

logger = logging.getLogger(__name__)


def bench_of(molecule: Molecule, settings: Settings) -> Bench:
    """The bench for the tasks of a run before anything has been learned."""
    return Bench(
        molecule,
        settings.surface,
        settings.surface_options,
        replace(settings.step, recognise=settings.recognises),
        settings.task_seconds,
        settings.keep_frames,
        settings.reference,
        settings.reference_options,
        methods={name: settings.options_of(name) for name in settings.methods},
    )


class Hands:
    """Provides the executor, a new one for each surface; it is closed when the context ends.

    Parameters
    ----------
    store
        The run.
    make
        Makes an executor.
    """

    def __init__(self, store: Store, make: Callable[[Bench], Executor]) -> None:
        self._store = store
        self._make = make
        self._executor: Executor | None = None
        self._surface = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except AfirError as failure:
            # The run has ended before, and what it found is stored.
            logger.warning("%s", failure)

    def on(self, surface: str, options: Mapping[str, Any], *, sampling: bool) -> Executor:
        """The executor for a surface with these options.

        With `sampling`, which must stay the same for a surface, all geometries are kept to choose
        labels from.
        """
        if self._executor is None or self._surface != surface:
            settings = self._store.settings
            bench = replace(
                bench_of(self._store.molecule, settings),
                surface=surface,
                options=options,
                keep_frames=settings.keep_frames or sampling,
                learned=surface != settings.surface,
            )
            if isinstance(self._executor, Movable):
                self._executor = _moved(self._executor, bench)
            else:
                self.close()
                self._executor = self._make(bench)
            self._surface = surface
        return self._executor

    def close(self) -> None:
        """Close the executor; AfirError if it fails."""
        executor, self._executor = self._executor, None
        if executor is not None:
            with calling(executor, "closing"):
                executor.close()


def _moved(executor: Movable, bench: Bench) -> Executor:
    """The executor for another bench on the same workers; AfirError if there is none."""
    with calling(executor, "moving to another surface"):
        moved: object = executor.moved(bench)
    if not isinstance(moved, Executor):
        raise AfirError(
            f"the executor {type(executor).__name__} must be `moved` to one with `run` and "
            f"`close`, got {type(moved).__name__}; correct it"
        )
    return moved
