"""Executors by name, and the default ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, TypeAlias

from afir.errors import AfirError, InputError, said
from afir.options import check_options, check_whole, find_entry, options_of, takes
from networks.execution.base import Executor, declares
from networks.execution.context import Bench
from networks.execution.local import BatchedExecutor, SerialExecutor
from networks.execution.processes import ProcessExecutor
from networks.settings import MOST_WORKERS

ENTRY_POINT_GROUP = "afir.executors"
"""Packages register a factory of executors under this entry-point group."""

Factory: TypeAlias = Callable[..., Executor]
"""Makes an executor: ``factory(bench, **options)``, with ``workers`` if it has such a parameter."""


def serial(bench: Bench) -> SerialExecutor:
    """One task after the other in this process."""
    return SerialExecutor(bench)


def _check_width(*, width: int | None = None) -> None:
    """Raise InputError for a number of tasks that there cannot be."""
    if width is not None:
        check_whole("width", width, least=1)


@declares(plain=["width"], check=_check_width)
def batched(bench: Bench, *, width: int | None = None) -> BatchedExecutor:
    """Tasks side by side in this process, with their geometries in batches.

    Parameters
    ----------
    bench
        What the tasks have in common.
    width
        Number of tasks in flight; None leaves it to the surface.
    """
    return BatchedExecutor(bench, width)


def processes(bench: Bench, *, workers: int = 1) -> ProcessExecutor:
    """Tasks in worker processes on this machine."""
    return ProcessExecutor(bench, workers, bench.seconds)


def executor_factory(
    executor: str | Factory | None, workers: int, options: Mapping[str, Any]
) -> Callable[[Bench], Executor]:
    """The function that makes the executors of a run.

    Parameters
    ----------
    executor
        A registered name or a factory. None does tasks in this process with one worker, side by
        side if the surface gains from that, and in processes with more.
    workers
        Number of workers.
    options
        Options of the executor, plain values.

    Raises
    ------
    InputError
        For an unknown name, an option that is unknown or wrong as far as can be told now, a wrong
        number of workers, or several workers for an executor without them. The function itself
        raises AfirError when no executor can be made.
    """
    check_whole("workers", workers, least=1)
    if workers > MOST_WORKERS:
        raise InputError(f"`workers` must be from 1 to {MOST_WORKERS}, got {workers}")
    if executor is None:
        if options:
            raise InputError(f"`executor_options` must go with an `executor`, got {dict(options)}")
        return batched if workers == 1 else partial(processes, workers=workers)
    name = executor if isinstance(executor, str) else getattr(executor, "__name__", repr(executor))
    what = f"the executor {name!r}"
    factory: Any = executor
    if isinstance(executor, str):
        factory = find_entry(ENTRY_POINT_GROUP, "executor", executor).load(what)
    if not callable(factory):
        raise InputError(
            f"`executor` must be a name or a function that makes an executor, got {factory!r}"
        )
    if "workers" in options:
        raise InputError(f"{what} has no option 'workers'; `workers` sets their number")
    check_options(what, factory, options, given=1, without=("workers",))
    given = dict(options)
    if "workers" in options_of(factory, 1):
        given["workers"] = workers
    elif workers > 1:
        raise InputError(f"`workers` must be 1 with {what}, which has no workers, got {workers}")
    _check_declared(what, factory, given)
    return partial(_made, what, partial(factory, **given))


def plain_options(name: str) -> frozenset[str]:
    """The options of an executor that are numbers and names: see `networks.execution.base`.

    Raises
    ------
    InputError
        If there is no such executor.
    """
    factory = find_entry(ENTRY_POINT_GROUP, "executor", name).load(f"the executor {name!r}")
    said_of_it: object = getattr(factory, "plain_options", ())
    names = said_of_it if isinstance(said_of_it, Collection) else None
    if names is None or isinstance(names, str) or not all(isinstance(each, str) for each in names):
        raise InputError(
            f"`plain_options` of the executor {name!r} must be names of options, got {said_of_it!r}"
        )
    return frozenset(names)


def _check_declared(what: str, factory: Factory, given: Mapping[str, Any]) -> None:
    """Have an executor, which may come from elsewhere, check its own options."""
    check = getattr(factory, "check_options", None)
    if check is None:
        return
    try:
        # One that has nothing to say of workers need not have the parameter.
        options = {k: v for k, v in given.items() if k != "workers" or takes(check, k)}
        check(**options)
    except AfirError:
        raise
    except Exception as error:
        raise InputError(f"{what} cannot check its options: {said(error)}") from error


def _made(what: str, factory: Factory, bench: Bench) -> Executor:
    """An executor, which may come from elsewhere."""
    try:
        made: object = factory(bench)
    except AfirError:
        raise
    except Exception as error:
        raise AfirError(f"{what} cannot be made: {said(error)}") from error
    if not isinstance(made, Executor):
        raise AfirError(
            f"{what} must have `run` and `close`, got {type(made).__name__}; correct it"
        )
    return made
