"""Known structures on their way to workers: sent once, and again to a worker that forgot them."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from benches import OrderExecutor, task
from offered import PUSH as OFFER
from runs import HCN, HCN_START

from afir.stationary import StationaryPoint
from networks.execution import crews
from networks.execution.context import Bench
from networks.execution.parcels import ForgottenError, Parcel, Receiver, Sender
from networks.execution.processes import ProcessExecutor
from networks.execution.tasks import Confirm, KnownPoints, Label, Push, Task, TaskResult


def point(number: int) -> StationaryPoint:
    """A structure of ten atoms that is known by its energy."""
    nothing = np.zeros((10, 3))
    hessian = np.random.default_rng(number).normal(size=(30, 30))
    return StationaryPoint(nothing + number, float(number), 0.0, hessian, np.zeros(24), nothing, 0)


EQS = tuple(map(point, range(8)))
TSS = tuple(map(point, range(10, 14)))


def push(eqs: int, tss: int) -> Push:
    """A task that is told of the first structures."""
    return Push(EQS[0], OFFER, None, (0,), recognised=KnownPoints(EQS[:eqs], TSS[:tss]))


def told(task: Task) -> tuple[list[float], list[float]]:
    """The energies of the structures that a task is told of."""
    assert isinstance(task, Push | Confirm)
    assert task.recognised is not None
    known = task.recognised
    return [each.energy for each in known.minima], [each.energy for each in known.saddles]


def travelled(packed: object) -> object:
    """What arrives of what is sent."""
    return pickle.loads(pickle.dumps(packed))


def test_a_structure_is_sent_once_to_each_worker() -> None:
    sender, has, receiver = Sender(), set[int](), Receiver()
    tasks = [push(4, 0), push(4, 2), push(8, 4), push(8, 4)]
    sent = []
    for each in tasks:
        packed = sender.packed((each,), has)
        assert isinstance(packed[0], Parcel)
        sent.append(len(packed[0].new))
        (opened,) = receiver.opened(travelled(packed))
        assert told(opened) == told(each)
        known, whole = opened.recognised, each.recognised
        for here, there in zip(known.minima, whole.minima, strict=True):
            assert here.hessian.tobytes() == there.hessian.tobytes()
    assert sent == [4, 2, 6, 0]
    # Another worker has none of them; what it gets has the same numbers.
    (other,) = sender.packed((tasks[-1],), set())
    assert set(other.new) == has
    # Without the structures a task is small.
    assert 3 * len(pickle.dumps(packed)) < len(pickle.dumps(tasks[-1]))


def test_tasks_without_known_structures_travel_as_they_are() -> None:
    sender, has = Sender(), set[int]()
    tasks = (Label(HCN_START), task("word"), replace(push(1, 0), recognised=None))
    assert sender.packed(tasks, has) == tasks
    assert Receiver().opened(tasks) == tasks
    assert not has
    # Known to be none is not the same as not told.
    (packed,) = sender.packed((push(0, 0),), has)
    (opened,) = Receiver().opened((packed,))
    assert told(opened) == ([], [])


def test_a_worker_that_has_started_anew_says_so_and_is_sent_all_again() -> None:
    sender, has = Sender(), set[int]()
    sender.packed((push(4, 2),), has)  # it arrived at a worker that is no more
    anew = Receiver()
    with pytest.raises(ForgottenError, match="must be sent again"):
        anew.opened(sender.packed((push(5, 2),), has))
    has.clear()
    (opened,) = anew.opened(travelled(sender.packed((push(5, 2),), has)))
    assert told(opened) == told(push(5, 2))


# Executors


@dataclass(frozen=True)
class Telling:
    """A bench whose answers tell what a task was told of."""

    def open(self) -> Callable[[Task], TaskResult]:
        """See `afir.pes.child.Opening`."""
        return answer


def answer(task: Task) -> TaskResult:
    """The energies of the known structures as the error text of the result."""
    return TaskResult(None, None, str(told(task)), Counter(), 0.0)


class TellingExecutor(OrderExecutor):
    """An executor that answers so."""

    def run(self, tasks):
        """See `networks.execution.base.Executor`."""
        for index, each in enumerate(tasks):
            if isinstance(each, Push):
                yield index, answer(each)
            else:
                yield from ((index, result) for _, result in super().run([each]))


TASKS = [push(eqs, tss) for eqs, tss in ((1, 0), (3, 1), (3, 1), (8, 4), (8, 4), (5, 2))]
TOLD = [str(told(each)) for each in TASKS]


@pytest.mark.slow
def test_worker_processes_are_told_all() -> None:
    with ProcessExecutor(Telling(), 2) as executor:
        for _ in range(2):
            done = dict(executor.run(TASKS))
            assert [done[index].error for index in range(len(TASKS))] == TOLD


@pytest.mark.slow
def test_a_crew_that_was_ended_has_forgotten() -> None:
    setup = pickle.dumps(crews.Setup(Bench(HCN, "gfn2"), TellingExecutor, 60.0))
    sender, has = Sender(), set[int]()

    def asked(index: int) -> str:
        packed = pickle.dumps(sender.packed((TASKS[index],), has))
        group: crews.Group = pickle.loads(crews.perform("a run", setup, packed))
        return group.results[0].error

    try:
        assert [asked(index) for index in (0, 1)] == TOLD[:2]
        crews.end("a run")
        with pytest.raises(ForgottenError):
            asked(2)
        has.clear()
        assert [asked(index) for index in (2, 3)] == TOLD[2:4]
    finally:
        crews.end("a run")


@pytest.mark.slow
def test_a_cluster_sends_all_again_to_a_worker_that_has_forgotten() -> None:
    pytest.importorskip("distributed")
    from networks.execution.cluster import ClusterExecutor
    from networks.execution.dask import dask

    bench = Bench(HCN, "gfn2", seconds=60.0)
    executor = ClusterExecutor(bench, dask(bench, workers=2)._connection, make=TellingExecutor)
    try:
        for _ in range(3):
            tasks: list[Task] = [Label(HCN_START), *TASKS]
            done = dict(executor.run(tasks))
            assert [done[index].error for index in range(1, len(tasks))] == TOLD
            # The processes of the run end, as they do when nothing is heard of it for a while.
            crews.end(executor._token)
    finally:
        executor.close()
